"""Restoring: archived rows go back to their tables, parents before what hangs on them.

A row comes back with every column as it was. Only a number that the engine had given
(``Kind.serial``) may be another one, when somebody else has it by now.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import groupby, pairwise
from typing import Any, NamedTuple

from wilk import codec, models
from wilk.engine import Engine
from wilk.errors import Conflict, Invalid, NotFound
from wilk.models.statements import param
from wilk.services.embedding.following import Following
from wilk.services.embedding.returning import Returning
from wilk.services.keeping.archiver import COMPACTED
from wilk.services.keeping.kinds import KINDS, kind
from wilk.services.keeping.outbox import Outbox

_CHUNK = 500


class Entry(NamedTuple):
    """What restoring has to know of an entry before it reads the row itself."""

    pk: int
    kind: str
    record_id: str
    session_id: str | None
    reason: str
    batch: str | None
    archived_at: int
    restored_at: int | None


class Restorer:
    """Takes rows of one store out of its archive again. Runs inside a transaction of its caller."""

    def __init__(self, engine: Engine, outbox: Outbox, following: Following) -> None:
        self._engine = engine
        self._outbox = outbox
        self._following = following

    # -- which entries --------------------------------------------------------------------

    def chosen(
        self,
        ids: int | Iterable[int] | None,
        kind_name: str | None,
        record: str | None,
        batch: str | None,
        session: str | None,
    ) -> list[Entry]:
        """Find the entries to restore, the latest first; raises NotFound, and Conflict for restored ones."""
        entry = models.ArchiveEntry
        given = [value is not None for value in (ids, record, batch, session)]
        if sum(given) != 1 or (record is None) != (kind_name is None):
            raise Invalid("restore takes ids, or kind and record, or batch, or session")
        if ids is not None:
            return self._by_ids(ids)
        if batch is not None:
            return _to_restore(self._entries(entry.batch == batch), "batch", batch)
        name, key = ("session", str(session)) if session is not None else (str(kind_name), str(record))
        one = kind(name)
        latest = _to_restore(self._entries((entry.kind == name) & (entry.record_id == key)), name, key)[0]
        found = {latest}
        if one.children and latest.batch is not None:
            found |= self._hanging(name, {key}, latest)
        return sorted(found, reverse=True)

    def _by_ids(self, ids: int | Iterable[int]) -> list[Entry]:
        numbers = [ids] if isinstance(ids, int) else list(ids)
        for number in numbers:
            if type(number) is not int:
                raise Invalid(f"archive entry {number!r}: a whole number is wanted")
        entry = models.ArchiveEntry
        found: list[Entry] = []
        for chunk in _chunks(sorted(set(numbers), reverse=True)):
            found += self._entries(entry.pk.in_(chunk))
        if missing := set(numbers) - {one.pk for one in found}:
            raise _missing_entry(min(missing))
        for one in found:
            if one.restored_at is not None:
                raise Conflict(f"archive entry {one.pk} ({one.kind} {one.record_id!r}) is restored already")
        return found

    def _hanging(self, name: str, keys: set[str], top: Entry) -> set[Entry]:
        """The entries of what left with records because it hung on them, and of what hung on that.

        ``top`` is the entry of the one with which all of it left.
        """
        entry = models.ArchiveEntry
        found: set[Entry] = set()
        for child in kind(name).children:
            condition = (
                (entry.batch == top.batch) & (entry.kind == child.kind) & entry.restored_at.is_null()
            ) & (entry.pk < top.pk)
            if name == "session":
                candidates = self._entries(condition & entry.session_id.in_(keys))
            else:
                all_of_kind = self._entries(condition)
                rows = self._rows(all_of_kind)
                candidates = [
                    one for one, row in zip(all_of_kind, rows, strict=True) if child.parent(row) in keys
                ]
            found.update(candidates)
            if candidates and kind(child.kind).children:
                found |= self._hanging(child.kind, {one.record_id for one in candidates}, top)
        return found

    def _entries(self, condition: Any) -> list[Entry]:
        entry = models.ArchiveEntry
        fields = [getattr(entry, name) for name in Entry._fields]
        query = entry.select(*fields).where(condition).order_by(entry.pk.desc())
        return [Entry(*row) for row in self._engine.select(query)]

    # -- putting back ---------------------------------------------------------------------

    def restore(self, entries: Sequence[Entry]) -> dict[str, int]:
        """Put rows back; ``entries`` are the latest first, so that parents come before children."""
        moved: dict[str, int] = {}
        renumbered: list[tuple[str, dict[str, Any]]] = []
        uncounted: set[str] = set()
        gone: dict[str, list[int]] = {}  # by session: messages and tokens that come back to it
        returning = Returning(self._engine, self._following)
        for name, run in groupby(entries, lambda one: one.kind):
            for chunk in _chunks(list(run)):
                ordered = chunk[::-1]
                rows = self._rows(ordered)
                if name == "vector":
                    ordered, rows = returning.vectors(ordered, rows)
                self._check(name, ordered, rows)
                kept, others = self._by_serial(name, rows)
                self._insert(name, kept)
                renumbered += [(name, row) for row in others]
                if name == "message":
                    _count(gone, ordered, rows)
                elif name == "session":  # schema 1 did not count tokens
                    uncounted.update(row["id"] for row in rows if "token_count" not in row)
                if rows:
                    moved[name] = moved.get(name, 0) + len(rows)
                self._note([one.pk for one in ordered])
                returning.add(name, rows)
        for name, some in groupby(renumbered, lambda pair: pair[0]):
            self._insert(name, [row for _, row in some], numbered=False)
        if not moved:
            raise Conflict(
                "vectors of records come back with them: their records are not there, or have been embedded "
                "again"
            )
        returning.finish()
        self._recount(entries, gone, uncounted)
        return moved

    def _rows(self, entries: Sequence[Entry]) -> list[dict[str, Any]]:
        entry = models.ArchiveEntry
        rows: dict[int, tuple[str | None, str | None]] = {}
        for chunk in _chunks([one.pk for one in entries]):
            query = entry.select(entry.pk, entry.data, entry.place).where(entry.pk.in_(chunk))
            rows.update((pk, (data, place)) for pk, data, place in self._engine.select(query))
        found = self._outbox.read([rows[one.pk] for one in entries])
        for one, row in zip(entries, found, strict=True):
            if codec.UNREADABLE in row:
                raise Invalid(f"archive entry {one.pk} holds no row that can be read; restore the others")
        return found

    def _check(self, name: str, entries: Sequence[Entry], rows: Sequence[dict[str, Any]]) -> None:
        """Raise Conflict for a record that is there again, for one whose parent is not there, or is
        another one by now, and for a summary of what another one covers."""
        one = kind(name)
        model: Any = one.model()
        columns = one.columns_of_key()
        fields = [model._meta.columns[column] for column in columns]
        wanted = {tuple(row[column] for column in columns) for row in rows}
        if len(wanted) < len(rows):
            raise Conflict(f"the same {name} is restored twice; choose one entry of each record")
        query = model.select(*fields).where(
            *(field.in_({key[i] for key in wanted}) for i, field in enumerate(fields))
        )
        for key in self._engine.select(query):
            if tuple(key) in wanted:
                record = "/".join(map(str, key))
                raise Conflict(f"there is a {name} {record!r} again; remove it first, or leave the entry")
        for field in model._meta.sorted_fields:
            if (parent := getattr(field, "rel_model", None)) is None:
                continue
            keys = {row[field.column_name] for row in rows} - {None}
            there = {
                row[0]
                for row in self._engine.select(
                    parent.select(field.rel_field).where(field.rel_field.in_(keys))
                )
            }
            if keys - there:
                raise self._without_parent(name, _name_of(parent), min(keys - there))
            if parent is models.Session:
                self._check_sessions(name, entries, [row[field.column_name] for row in rows])
        if name == "summary":
            self._check_ranges(rows)

    def _check_sessions(self, name: str, entries: Sequence[Entry], sessions: Sequence[str]) -> None:
        """Raise Conflict for a row of a session that lies in the archive, while another has its id."""
        entry = models.ArchiveEntry
        leavings: dict[str, list[Entry]] = {}
        for one in self._entries((entry.kind == "session") & entry.record_id.in_(sorted(set(sessions)))):
            leavings.setdefault(one.record_id, []).insert(0, one)
        for row, session in zip(entries, sessions, strict=True):
            moment = row.archived_at
            for left in leavings.get(session, ()):
                if left.pk < row.pk or left.archived_at < moment:
                    continue
                if left.restored_at is None:
                    raise Conflict(
                        f"a {name} belongs to the session {session!r} of archive entry {left.pk}, and not to "
                        "the one that has this id now; remove this one, and restore that one first"
                    )
                moment = left.restored_at

    def _check_ranges(self, rows: Sequence[dict[str, Any]]) -> None:
        """Raise Conflict for a summary that covers what another one covers."""
        summary: Any = models.Summary
        fields = (summary.session, summary.first_sequence, summary.last_sequence, summary.id)
        columns = [field.column_name for field in fields]
        sessions = {row["session_id"] for row in rows}
        spans = [
            tuple(row)
            for row in self._engine.select(summary.select(*fields).where(summary.session.in_(sessions)))
        ]
        spans += [tuple(row[column] for column in columns) for row in rows]
        for (session, first, last, id), (other, start, end, another) in pairwise(sorted(spans)):
            if session == other and start <= last:
                raise Conflict(
                    f"summary {id!r} covers messages {first} to {last} of session {session!r}, and summary "
                    f"{another!r} {start} to {end}; only one of them can be there"
                )

    def _without_parent(self, name: str, parent: str, key: str) -> Conflict:
        entry = models.ArchiveEntry
        found = (
            []
            if parent not in KINDS
            else self._entries(
                (entry.kind == parent) & (entry.record_id == key) & entry.restored_at.is_null()
            )
        )
        way = f"restore it first: archive entry {found[0].pk}" if found else "make it first"
        return Conflict(f"a {name} belongs to {parent} {key!r}, which is not there; {way}")

    def _by_serial(
        self, name: str, rows: list[dict[str, Any]]
    ) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
        """Part rows into those whose number is free, and those that need another one."""
        one = kind(name)
        if one.serial is None:
            return rows, []
        field = one.model()._meta.combined[one.serial]
        numbers = [row[field.column_name] for row in rows]
        query = one.model().select(field).where(field.in_(numbers))
        taken = {row[0] for row in self._engine.select(query)}
        return (
            [row for row in rows if row[field.column_name] not in taken],
            [row for row in rows if row[field.column_name] in taken],
        )

    def _insert(self, name: str, rows: Sequence[dict[str, Any]], *, numbered: bool = True) -> None:
        """Write rows with the columns that they have: an older schema may have had fewer."""
        one = kind(name)
        model: Any = one.model()
        by_columns: dict[frozenset[str], list[dict[str, Any]]] = {}
        for row in rows:
            by_columns.setdefault(frozenset(row), []).append(row)
        for columns, some in by_columns.items():
            fields = [
                field
                for field in model._meta.sorted_fields
                if field.column_name in columns and (numbered or field.name != one.serial)
            ]
            statement = self._engine.statement(
                f"{name}.restore: {' '.join(field.column_name for field in fields)}",
                lambda: model.insert({field: param(field.column_name) for field in fields}),  # noqa: B023 run at once
            )
            try:
                self._engine.insert_many(
                    statement, [[row[column] for column in statement.names] for row in some]
                )
            except Conflict as error:
                raise Conflict(
                    f"a {name} cannot come back: what took its place stands in its way ({error})"
                ) from error

    def _note(self, numbers: Sequence[int]) -> None:
        entry = models.ArchiveEntry
        now = self._engine.clock.now()
        self._engine.run(
            entry.update({entry.restored_at: now, entry.data: None}).where(entry.pk.in_(numbers))
        )

    # -- counts of sessions ---------------------------------------------------------------

    def _recount(self, entries: Sequence[Entry], gone: dict[str, list[int]], uncounted: set[str]) -> None:
        """Bring the counts of sessions in line with what came back to them.

        A session that comes back itself counts the messages that left with it already.
        """
        together: dict[tuple[str, str | None], int] = {}
        for one in entries:
            if one.kind == "message":
                key = (str(one.session_id), one.batch)
                together[key] = together.get(key, 0) + 1
        returned = {one.record_id: one for one in entries if one.kind == "session"}
        for session in {*gone, *returned}:
            entry = returned.get(session)
            if entry is None:
                self._add(session, *gone[session])
                continue
            others = sum(n for (id, batch), n in together.items() if id == session and batch != entry.batch)
            if (
                others
                or session in uncounted
                or together.get((session, entry.batch), 0) != self._left_with(entry)
            ):
                self._count_again(entry)

    def _left_with(self, session: Entry) -> int:
        """How many messages left with a session."""
        from peewee import fn  # with Peewee; see wilk.models

        entry = models.ArchiveEntry
        condition = (
            (entry.session_id == session.record_id)
            & (entry.kind == "message")
            & (entry.batch == session.batch)
        )
        count: int = self._engine.select(entry.select(fn.COUNT(entry.pk)).where(condition))[0][0]
        return count

    def _add(self, session: str, messages: int, tokens: int) -> None:
        one: Any = models.Session
        self._engine.run(
            one.update(
                {one.message_count: one.message_count + messages, one.token_count: one.token_count + tokens}
            ).where(one.id == session)
        )

    def _count_again(self, left: Entry) -> None:
        """Count the messages and tokens of a session that is back: those there are, and those that a
        summary stands for. What an earlier session of that id left in the archive is not counted."""
        from peewee import fn  # with Peewee; see wilk.models

        session = left.record_id
        one, message, entry = models.Session, models.Message, models.ArchiveEntry
        others = self._engine.select(
            entry.select(fn.MAX(entry.pk)).where(
                entry.kind == "session",
                entry.record_id == session,
                entry.pk < left.pk,
                entry.restored_at.is_null() | (entry.restored_at > left.archived_at),
            )
        )
        earlier = others[0][0] or 0
        live = message.select(fn.COUNT(message.pk), fn.SUM(message.tokens)).where(message.session == session)
        count, tokens = self._engine.select(live)[0]
        compacted = entry.select(fn.COUNT(entry.pk)).where(
            entry.session_id == session,
            entry.kind == "message",
            entry.reason == COMPACTED,
            entry.restored_at.is_null(),
            entry.pk > earlier,
            entry.pk < left.pk,
        )
        count += self._engine.select(compacted)[0][0]
        self._engine.run(
            one.update({one.message_count: count, one.token_count: int(tokens or 0)}).where(one.id == session)
        )


def _count(gone: dict[str, list[int]], entries: Sequence[Entry], rows: Sequence[dict[str, Any]]) -> None:
    for entry, row in zip(entries, rows, strict=True):
        counted = gone.setdefault(row["session_id"], [0, 0])
        counted[0] += entry.reason != COMPACTED
        counted[1] += row["tokens"]


def _to_restore(entries: Sequence[Entry], what: str, name: str) -> list[Entry]:
    """Those that are not restored yet; raises NotFound for none at all, Conflict when all are back."""
    if not entries:
        raise NotFound(f"archived {what}", name, "`wilk archive list` shows what there is")
    left = [one for one in entries if one.restored_at is None]
    if not left:
        raise Conflict(f"{what} {name!r} is restored already")
    return left


def _missing_entry(number: int) -> NotFound:
    return NotFound("archive entry", str(number), "`wilk archive list` shows the ones there are")


def _name_of(model: Any) -> str:
    """The kind of a model's records."""
    names = (name for name, one in KINDS.items() if one.model() is model)
    return next(names, model.__name__.lower())


def _chunks(items: Sequence[Any]) -> Iterator[Sequence[Any]]:
    for start in range(0, len(items), _CHUNK):
        yield items[start : start + _CHUNK]
