"""The landing: takes records one by one, finds out whether they are new or changed, and writes them.

Each record is one transaction with its entry in ``imported_records``, so that a run that is interrupted,
by a kill too, goes on where it was: what is there already costs a look at its hash.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import fields, is_dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

from wilk import codec
from wilk.contracts import (
    Incoming,
    IncomingDefinition,
    IncomingGroup,
    IncomingRecord,
    IncomingSession,
    IncomingUser,
    IncomingVector,
)
from wilk.errors import Busy, Closed, ReadOnly, WilkError
from wilk.transfer.landing.conversations import Conversations
from wilk.transfer.landing.definitions import Definitions
from wilk.transfer.landing.edits import Edits
from wilk.transfer.landing.people import People
from wilk.transfer.landing.records import Records
from wilk.transfer.landing.vectors import Vectors

if TYPE_CHECKING:
    from wilk.engine import Engine
    from wilk.transfer.landing.ledger import Ledger
    from wilk.transfer.landing.report import Report

_FATAL = (Busy, Closed, ReadOnly)
_QUOTED = re.compile(r"""(?<!\w)(?:'(?:[^'\\]|\\.)*'|"(?:[^"\\]|\\.)*")(?!\w)""")


class Landing:
    """Takes the records of one run over into one store."""

    def __init__(
        self,
        engine: Engine,
        ledger: Ledger,
        report: Report,
        people: People,
        definitions: Definitions,
        conversations: Conversations,
        records: Records,
        vectors: Vectors,
        edits: Edits,
        *,
        forgotten: Callable[[str, str], bool],
    ) -> None:
        self._engine = engine
        self._ledger = ledger
        self._report = report
        self._edits = edits
        self._forgotten = forgotten
        self._ways: dict[type, tuple[Callable[[Any], str], Any]] = {
            IncomingUser: (lambda _: "users", people.user),
            IncomingGroup: (lambda _: "groups", people.group),
            IncomingDefinition: (lambda item: item.kind, definitions.definition),
            IncomingSession: (lambda _: "sessions", conversations.session),
            IncomingRecord: (lambda item: item.kind, records.record),
            IncomingVector: (lambda _: "vectors", vectors.vector),
        }

    def take(self, items: Iterable[Incoming]) -> None:
        """Take records over, in their order; one that cannot be is reported, and the others go on."""
        for item in items:
            way = self._ways.get(type(item))
            if way is None:
                raise TypeError(f"an importer yields wilk.Incoming… records, not {type(item).__name__}")
            kind = way[0](item)
            try:
                self._take(kind, item, way[1])
            except _FATAL:
                raise
            except WilkError as error:
                self._report.fail(kind, item.key, _told(error, kind, item))

    def _take(self, kind: str, item: Any, land: Callable[[Any, str | None], str]) -> None:
        report, ledger = self._report, self._ledger
        hash = content_of(item)
        known = ledger.find(kind, item.key)
        target = known.target if known else (getattr(item, "id", None) or item.key)
        if self._gone(kind, item.key, target) or any(self._gone(*owner) for owner in _owners(item)):
            report.skip(kind, item.key, "forgotten: it was removed for good, on request")
            return
        if known is not None and known.hash == hash:
            report.count(kind, "unchanged", read=True)
            return
        if not report.dry_run:
            self._edits.begin("" if known is None else known.made)
            counted = report.mark()
            try:
                with self._engine.transaction():
                    target = land(item, None if known is None else known.target)
                    ledger.put(kind, item.key, target, hash, report.run, self._edits.made)
            except BaseException:
                report.back_to(counted)  # nothing of it was written
                raise
        report.count(kind, "created" if known is None else "updated", read=True)

    def _gone(self, kind: str, key: str, target: str | None = None) -> bool:
        """Whether a record was forgotten: by its key, by that with the importer's name, or by its id here."""
        names = {key, f"{self._report.importer}:{key}", target or key}
        return any(self._forgotten(kind, name) for name in names)


def _owners(item: Any) -> list[tuple[str, str]]:
    """Whom a record belongs to, by kind and key: what belongs to somebody who was forgotten stays out."""
    found = [("users", getattr(item, "user", None))]
    values = getattr(item, "values", None)
    if isinstance(values, Mapping):
        for name, kind in getattr(item, "refers", {}).items():
            found.append((kind, values.get(name)))
    return [(kind, str(key)) for kind, key in found if key is not None]


def _told(error: WilkError, kind: str, item: Any) -> str:
    """What an error says, without what it quotes of the record: that may be a secret."""
    names = {kind, item.key, getattr(item, "id", None), *(key for _, key in _owners(item))}
    shown = {repr(name) for name in names}
    return _QUOTED.sub(lambda found: found[0] if found[0] in shown else "(not shown)", str(error))


def content_of(item: Any) -> str:
    """The hash of all that an incoming record holds; of a session, its messages as they come."""
    from hashlib import sha256

    made = sha256()
    for name in [one.name for one in fields(item)]:
        value = getattr(item, name)
        if name == "messages":
            for message in value:
                made.update(codec.fingerprint(message) or _bytes(_plain(message)))
        else:
            made.update(codec.fingerprint([name, value]) or _bytes([name, _plain(value)]))
    return made.hexdigest()


def _bytes(value: Any) -> bytes:
    try:
        return codec.canonical(value)
    except WilkError:  # too deep, or of no JSON form: what is set aside later
        return repr(value).encode(errors="surrogatepass")


def _plain(value: Any) -> Any:
    if is_dataclass(value) and not isinstance(value, type):
        return [_plain(getattr(value, one.name)) for one in fields(value)]
    if isinstance(value, datetime):
        return value.isoformat()
    if type(value) is tuple or type(value) is list:
        return [_plain(one) for one in value]
    if isinstance(value, Mapping) and any(isinstance(one, (datetime, tuple)) for one in value.values()):
        return {key: _plain(one) for key, one in value.items()}
    return value
