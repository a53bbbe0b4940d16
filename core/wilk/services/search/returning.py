"""Vectors that come back from the archive with their records, and what else is derived of these."""

from __future__ import annotations

from base64 import b64decode
from collections.abc import Sequence
from typing import Any, TypeVar

from wilk import codec, models
from wilk.engine import Engine
from wilk.services.search.following import Following
from wilk.services.search.passages import KINDS
from wilk.services.search.spaces import advance, tag

_E = TypeVar("_E")


class Returning:
    """One act of restoring, as far as search is concerned. Runs in its transaction."""

    def __init__(self, engine: Engine, following: Following) -> None:
        self._engine = engine
        self._following = following
        self._records: dict[str, list[str]] = {}
        self._embedded: dict[str, set[str]] = {}
        self._states: dict[int, str] = {}

    def vectors(
        self, entries: Sequence[_E], rows: Sequence[dict[str, Any]]
    ) -> tuple[list[_E], list[dict[str, Any]]]:
        """Choose the vectors that have a place to come back to, and give them new numbers.

        A record's vector by a model that is not in use any more stays in the archive: the record is
        embedded again.
        """
        chosen: list[_E] = []
        fitting: list[dict[str, Any]] = []
        for entry, row in zip(entries, rows, strict=True):
            space = row["space_id"]
            if not self._open(space, row["kind"]):
                continue
            number = advance(self._engine, space, 1)
            data = row["data"]
            fitting.append({**row, "number": number, "data": b64decode(data)})
            chosen.append(entry)
        return chosen, fitting

    def add(self, kind: str, rows: Sequence[dict[str, Any]]) -> None:
        """Note rows that were written."""
        if kind == "vector":
            for row in rows:
                if row["metadata"]:
                    tag(self._engine, row["space_id"], [(row["number"], codec.loads(row["metadata"]))])
                if row["kind"] is not None:
                    self._embedded.setdefault(row["kind"], set()).add(row["record_id"])
        elif kind in KINDS:
            self._records.setdefault(kind, []).extend(row["id"] for row in rows)

    def finish(self) -> None:
        """Make what is derived of the records, once all of them are there."""
        for kind, ids in self._records.items():
            self._following.returned(kind, ids, self._embedded.get(kind, ()))

    def _open(self, space: int, kind: str | None) -> bool:
        """Whether vectors can come back to a space; one that was dropped by name is opened again."""
        if space not in self._states:
            one: Any = models.VectorSpace
            rows = self._engine.select(one.select(one.state, one.collection).where(one.id == space))
            state, collection = rows[0] if rows else ("missing", "")
            if state == "dropped" and kind is None:
                others = one.select(one.id).where(one.collection == collection, one.state == "active")
                if not self._engine.select(others):
                    self._engine.run(one.update({one.state: "active"}).where(one.id == space))
                    state = "active"
            self._states[space] = state
        return self._states[space] in ("active", "building")
