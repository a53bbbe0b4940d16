"""The journal of one store: entries are written after the change that they tell of has been committed.

Each is a transaction of its own and goes past wilk's events, so that writing an entry is not
itself a change to be told of.
"""

from __future__ import annotations

import os
import re
from collections.abc import Collection, Mapping
from datetime import UTC, datetime
from getpass import getuser
from threading import Lock
from typing import TYPE_CHECKING, Any, NamedTuple
from weakref import WeakKeyDictionary

from wilk import ReadOnly
from wilk_audit.models import AuditEntry

if TYPE_CHECKING:
    from wilk import Store

MAX_SUMMARY = 500
_CHUNK = 500
_DISTINCTIVE = 8
_WORDS = re.compile(r"[\s,/:]+")

_journals: WeakKeyDictionary[Store, Journal] = WeakKeyDictionary()
_making = Lock()


class Entry(NamedTuple):
    """One line: ``event`` is opened, saved, removed, archived, restored, built, synced, failed or
    closed."""

    moment: datetime
    actor: str
    event: str
    kind: str | None
    record_id: str | None
    summary: str


def journal(store: Store) -> Journal:
    """The journal of a store, made when it is first asked for."""
    with _making:
        found = _journals.get(store)
        if found is None:
            found = _journals[store] = Journal(store)
        return found


def entries(store: Store, *, kind: str | None = None, last: int = 50) -> list[Entry]:
    """The newest entries of a store, the latest first; of one kind, if given."""
    with store.reading():
        query = AuditEntry.select(*(getattr(AuditEntry, name) for name in Entry._fields))
        if kind is not None:
            query = query.where(AuditEntry.kind == kind)
        rows: Any = query.order_by(AuditEntry.pk.desc()).limit(last).tuples()
        return [Entry(*row) for row in rows]


def forget(records: Mapping[str, Collection[str]], *, dry_run: bool) -> int:
    """Delete the entries that name one of some records, as what they are on or in their summary; return how
    many there are. Within a transaction, or a block that reads."""
    ids = {id for some in records.values() for id in some}
    going = []
    query: Any = AuditEntry.select(AuditEntry.pk, AuditEntry.record_id, AuditEntry.summary).tuples()
    for pk, record, summary in query:
        words = {word for text in (record, summary) if text for word in _WORDS.split(text)}
        if record in ids or any(len(word) >= _DISTINCTIVE and word in ids for word in words):
            going.append(pk)
    if not dry_run:
        for start in range(0, len(going), _CHUNK):
            AuditEntry.delete().where(AuditEntry.pk.in_(going[start : start + _CHUNK])).execute()
    return len(going)


class Journal:
    """Writes the entries of one open store; none for a store that is only read."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._opened = datetime.now(UTC)
        self._actor = actor(store)
        self._begun = False
        self._lock = Lock()

    def write(
        self, event: str, *, kind: str | None = None, record_id: str | None = None, summary: str = ""
    ) -> None:
        """Write one entry, and before the first of all when the store was opened."""
        if self._store.settings.readonly:
            return
        rows = [self._row(datetime.now(UTC), event, kind, record_id, summary)]
        with self._lock:
            first, self._begun = not self._begun, True
        if first:
            rows.insert(0, self._row(self._opened, "opened", None, None, repr(self._store)))
        fields = [getattr(AuditEntry, name) for name in Entry._fields]
        try:
            with self._store.transaction():
                AuditEntry.insert_many(rows, fields=fields).execute()
        except BaseException as error:
            self._begun = self._begun and not first
            if not isinstance(error, ReadOnly):  # then nothing can change that could be told of
                raise

    def close(self) -> None:
        """Write that the store was closed, if it was ever changed."""
        if self._begun:
            self.write("closed")

    def _row(
        self, moment: datetime, event: str, kind: str | None, record_id: str | None, summary: str
    ) -> tuple[Any, ...]:
        clean = summary.encode("utf-8", "replace").decode().replace("\0", "�")
        return (moment, self._actor, event, kind, record_id, clean[:MAX_SUMMARY])


def actor(store: Store) -> str:
    """Who acts: ``WILK_AUDIT_ACTOR``, else the setting ``plugins.audit.actor``, else the system's user."""
    named = os.environ.get("WILK_AUDIT_ACTOR") or store.settings.plugins.get("audit", {}).get("actor")
    if named:
        return str(named)
    try:
        return getuser()
    except (OSError, KeyError):  # a container may run under a number that has no name
        return "unknown"


_NAMES = (
    ("id",),
    ("group_id", "user_id"),
    ("interaction_id", "position"),
    ("conversation_id", "position"),
    ("conversation_id",),
    ("key",),
)


def identity(record: Any) -> str:
    """The id of a record, or what it is named by in its place: a membership by its group and its user."""
    names = next((names for names in _NAMES if all(hasattr(record, name) for name in names)), ())
    return "/".join(str(getattr(record, name)) for name in names)


def counted(counts: Mapping[str, int]) -> str:
    """How many of what, in words."""
    return ", ".join(f"{n} {kind}" for kind, n in counts.items())


def about(kind: str, record: Any) -> str:
    """A few words on a record, and never what was said in it: that would outlive its removal."""
    if kind == "message":
        return f"{record.role}, {record.tokens} tokens, session {record.session_id}"
    words = [str(name)] if (name := getattr(record, "name", None)) else []
    if (revision := getattr(record, "revision", None)) is not None:
        words.append(f"revision {revision}")
    if (status := getattr(record, "status", None)) is not None:
        words.append(f"status {status}")
    return ", ".join(words)
