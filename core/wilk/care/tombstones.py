"""Tombstones: what was forgotten must not come back, and its id must not be kept to see to that."""

from __future__ import annotations

from collections.abc import Iterable
from hashlib import sha256
from typing import Any

from wilk import models
from wilk.engine import Engine
from wilk.models.statements import param

_SINGULAR = {"users": "user", "groups": "group", "sessions": "session", "messages": "message"}


def mark(kind: str, id: str) -> str:
    """The hash by which a record is known once its id is gone."""
    return sha256(f"wilk\0{_SINGULAR.get(kind, kind)}\0{id}".encode(errors="surrogatepass")).hexdigest()


class Tombstones:
    """The table ``forgotten`` of one store."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def holds(self, kind: str, id: str) -> bool:
        """Whether a record of that id was forgotten."""
        kind = _SINGULAR.get(kind, kind)
        return bool(self._engine.fetch("forgotten.find", _find, (kind, mark(kind, id))))

    def any(self) -> bool:
        """Whether anything was ever forgotten."""
        one = models.Forgotten
        return bool(self._engine.select(one.select(one.kind).limit(1)))

    def put(self, certificate: str, records: Iterable[tuple[str, str]]) -> None:
        """Note records by kind and id; within a transaction. One that was forgotten before, and made anew
        since, is forgotten now."""
        one = models.Forgotten
        now = self._engine.clock.now()
        for kind, id in records:
            kind = _SINGULAR.get(kind, kind)
            row = {
                one.kind: kind,
                one.hash: mark(kind, id),
                one.certificate_id: certificate,
                one.forgotten_at: now,
            }
            again = one.insert(row).on_conflict(
                conflict_target=[one.kind, one.hash], preserve=[one.certificate_id, one.forgotten_at]
            )
            self._engine.run(again)


def _find() -> Any:
    one = models.Forgotten
    return one.select(one.kind).where(one.kind == param("kind"), one.hash == param("hash"))
