"""The messages of a session as they were written, wherever they lie.

What a summary stands for lies in the archive and still belongs to its session. The archive is asked
when the live rows leave a gap, and not otherwise: sequences count without one from 1 to the session's
last. It has a session's message as long as the summary of its batch is there.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from functools import partial
from typing import Any

from wilk import models
from wilk.engine import Engine, Rows
from wilk.models.statements import padded, param, places
from wilk.services.conversation.message_rows import columns, row_of

_KIND = "message"
_NO_END = 2**62
_SOME = 400

Archived = Callable[[Sequence[tuple[str | None, str | None]]], Sequence[dict[str, Any]]]
"""Reads archived rows by the ``data`` and ``place`` of their entries."""


class Transcript:
    """Reads rows of messages, in the order of ``message_rows.columns()``."""

    def __init__(self, engine: Engine, archived: Archived) -> None:
        self._engine = engine
        self._archived = archived

    def newest(self, session_id: str, n: int, before: int | None = None) -> Rows:
        """The newest ``n`` rows, of those before a sequence if one is given; the newest comes first."""
        if before is not None:
            rows, bound = self._live_newest(session_id, n, before), before
        else:
            rows, bound = self._with_bound(session_id, self._live_last(session_id, n))
        if not n or not _leaves_gap(rows, n, bound):
            return rows
        with self._engine.snapshot():  # or what a compaction moves just now would be in neither
            live = self._live_newest(session_id, n, _NO_END if before is None else before)
            compacted = self._compacted(
                "compacted.before", _before, (session_id, _NO_END if before is None else before, n)
            )
        return sorted(_merged(live, compacted), key=_sequence, reverse=True)[:n]

    def following(self, session_id: str, after: int, n: int) -> Rows:
        """The first ``n`` rows after a sequence, oldest first."""
        rows, bound = self._with_bound(session_id, self._live_following(session_id, after, n))
        after = max(after, 0)
        whole = max(0, min(n, bound - 1 - after))
        if len(rows) == whole and (not rows or rows[-1][2] == after + whole):
            return rows
        with self._engine.snapshot():
            live = [row[:-1] for row in self._live_following(session_id, after, n)]
            compacted = self._compacted("compacted.after", _after, (session_id, after, n))
        return sorted(_merged(live, compacted), key=_sequence)[:n]

    def between(self, session_id: str, first: int, last: int) -> Rows:
        """All rows from one sequence to another, oldest first."""
        with self._engine.snapshot():
            live = self._engine.fetch("messages.between", _live_between, (session_id, first, last))
            if len(live) == last - first + 1:
                return live
            compacted = self._compacted("compacted.between", _between, (session_id, first, last))
        return sorted(_merged(live, compacted), key=_sequence)

    def find(self, id: str) -> tuple[Any, ...] | None:
        """The row of one message, or None."""
        rows = self._engine.fetch("messages.find", _live_find, (id,))
        if not rows:
            with self._engine.snapshot():
                rows = self._engine.fetch("messages.find", _live_find, (id,))
                rows = rows or self._compacted("compacted.find", _find, (id,))
        return rows[0] if rows else None

    def by_key(self, session_id: str, key: str) -> Rows:
        """The row that was written under an idempotency key, if any."""
        rows = self._engine.fetch("messages.by_key", _by_key, (session_id, key, session_id, _KIND, key))
        live = [row[:-2] for row in rows if row[0] is not None]
        return live or [row_of(row) for row in self._archived([row[-2:] for row in rows])]

    def taken(self, ids: Iterable[str]) -> str | None:
        """One of these ids that a compacted message has, or None."""
        for some in padded([*ids], _SOME):
            size = len(some)
            rows = self._engine.fetch(f"compacted.taken.{size}", partial(_taken, size), (_KIND, *some))
            if rows:
                found: str = rows[0][0]
                return found
        return None

    def _live_last(self, session_id: str, n: int) -> Rows:
        """The newest live rows, each with the session's last sequence behind it."""
        return self._engine.fetch("messages.last", _live_last, (session_id, session_id, n))

    def _live_newest(self, session_id: str, n: int, before: int) -> Rows:
        return self._engine.fetch("messages.before", _live_before, (session_id, before, n))

    def _live_following(self, session_id: str, after: int, n: int) -> Rows:
        """Live rows, each with the session's last sequence behind it."""
        return self._engine.fetch("messages.after", _live_after, (session_id, session_id, after, n))

    def _with_bound(self, session_id: str, rows: Rows) -> tuple[Rows, int]:
        """The rows themselves, and the sequence before which all of the session's messages lie."""
        if rows:
            return [row[:-1] for row in rows], rows[0][-1] + 1
        counts = self._engine.fetch("messages.count", held, (session_id,))
        return rows, counts[0][1] + 1 if counts and counts[0][0] else 1

    def _compacted(self, name: str, build: Callable[[], Any], values: Sequence[Any]) -> Rows:
        """Rows out of the archive; ``values`` are the query's, of which the kind is the first."""
        entries: list[Any] = self._engine.fetch(name, build, (_KIND, *values))
        return [row_of(row) for row in self._archived(entries)]


def _sequence(row: Sequence[Any]) -> int:
    sequence: int = row[2]
    return sequence


def _leaves_gap(rows: Rows, n: int, before: int) -> bool:
    """Whether rows before a sequence, the newest first, may lack some that were written."""
    if not rows:
        return before > 1
    newest, oldest = rows[0][2], rows[-1][2]
    if newest - oldest + 1 != len(rows) or newest != before - 1:
        return True
    return len(rows) < n and oldest > 1


def _merged(live: Rows, compacted: Rows) -> list[tuple[Any, ...]]:
    return list({row[2]: row for row in (*compacted, *live)}.values())


# -- statements, compiled once per store ---------------------------------------------------


def _select() -> Any:
    return models.Message.select(*columns())


def _live_find() -> Any:
    return _select().where(models.Message.id == param("id"))


def held() -> Any:
    """How many messages a session holds, live ones and those that a summary stands for; and the last
    sequence that it gave."""
    session = models.Session
    return session.select(session.message_count, session.last_sequence).where(session.id == param("session"))


def _select_with_last() -> Any:
    session = models.Session
    last = session.select(session.last_sequence).where(session.id == param("same_session"))
    return models.Message.select(*columns(), last)


def _live_last() -> Any:
    return (
        _select_with_last()
        .where(models.Message.session == param("session"))
        .order_by(models.Message.sequence.desc())
        .limit(param("n"))
    )


def _live_before() -> Any:
    return (
        _select()
        .where(models.Message.session == param("session"), models.Message.sequence < param("before"))
        .order_by(models.Message.sequence.desc())
        .limit(param("n"))
    )


def _live_after() -> Any:
    return (
        _select_with_last()
        .where(models.Message.session == param("session"), models.Message.sequence > param("after"))
        .order_by(models.Message.sequence)
        .limit(param("n"))
    )


def _live_between() -> Any:
    return (
        _select()
        .where(
            models.Message.session == param("session"),
            models.Message.sequence >= param("first"),
            models.Message.sequence <= param("last"),
        )
        .order_by(models.Message.sequence)
    )


def _by_key() -> Any:
    """One look for a key among live messages and in the archive, so that a new key costs no more."""
    from peewee import SQL  # with Peewee; see wilk.models

    entry, message = models.ArchiveEntry, models.Message
    nothing = SQL("NULL")
    live = message.select(*columns(), nothing, nothing).where(
        message.session == param("session"), message.idempotency_key == param("key")
    )
    archived = entry.select(*[nothing for _ in columns()], entry.data, entry.place).where(
        entry.session_id == param("archived_session"),
        entry.kind == param("kind"),
        entry.unique_key == param("archived_key"),
        *_is_compacted(entry),
    )
    return live.union_all(archived)


def _is_compacted(entry: Any) -> tuple[Any, ...]:
    """The conditions on an entry whose message belongs to its session still."""
    from peewee import fn  # with Peewee; see wilk.models

    summary: Any = models.Summary
    summaries = summary.select(summary.id).where(
        summary.id == entry.batch, summary.session == entry.session_id, summary.compacted
    )
    return (entry.restored_at.is_null(), fn.EXISTS(summaries))


def _entries(*conditions: Any) -> Any:
    entry = models.ArchiveEntry
    return entry.select(entry.data, entry.place).where(
        entry.kind == param("kind"), *conditions, *_is_compacted(entry)
    )


def _of_session(*conditions: Any) -> Any:
    return _entries(models.ArchiveEntry.session_id == param("session"), *conditions)


def _taken(size: int) -> Any:
    entry = models.ArchiveEntry
    return entry.select(entry.record_id).where(
        entry.kind == param("kind"), entry.record_id.in_(places(size)), *_is_compacted(entry)
    )


def _find() -> Any:
    entry = models.ArchiveEntry
    return _entries(entry.record_id == param("id"))


def _before() -> Any:
    entry = models.ArchiveEntry
    query = _of_session(entry.position < param("before"))
    return query.order_by(entry.position.desc()).limit(param("n"))


def _after() -> Any:
    entry = models.ArchiveEntry
    return _of_session(entry.position > param("after")).order_by(entry.position).limit(param("n"))


def _between() -> Any:
    entry = models.ArchiveEntry
    query = _of_session(entry.position >= param("first"), entry.position <= param("last"))
    return query.order_by(entry.position)
