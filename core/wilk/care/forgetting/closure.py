"""Finds all that belongs to a person or a session: from what is known on to what hangs on it, in tables and
in the archive, until nothing more is found."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

from wilk import codec
from wilk.care.forgetting.links import BY_KIND, LEDGER, MEMBERS, TOMBSTONED, Gone, Member
from wilk.care.forgetting.rows import Rows
from wilk.care.tombstones import mark
from wilk.errors import WilkError

Key = tuple[Any, ...]
Reader = Callable[[Sequence[tuple[str | None, str | None]]], list[dict[str, Any]]]
"""Reads archived rows by their entries' data and place."""


class Found:
    """What goes from one database: keys by table, archive entries with their place, contents by hash."""

    def __init__(self, gone: Gone) -> None:
        self.gone = gone
        self.keys: dict[str, set[Key]] = {}
        self.archive: dict[int, str | None] = {}
        self.archived_kinds: dict[str, int] = {}
        self.blobs: set[str] = set()
        self.ledger: set[Key] = set()
        self.repairs: set[str] = set()
        self.spaces: set[int] = set()
        self.forks: set[str] = set()
        self.shared = 0
        """Memories and patterns that were made of others' records as well, and stay."""
        self.files: set[str] = set()
        """Working context files of sessions that go."""

    def rows(self) -> Iterator[tuple[str, tuple[str, ...], set[Key]]]:
        """What goes: table, the columns of its key, and the keys; what refers to others before them."""
        for member in MEMBERS:
            if keys := self.keys.get(member.table):
                yield member.table, member.key, keys
        for table, key, keys in (
            ("archive", ("pk",), {(pk,) for pk in self.archive}),
            ("blobs", ("hash",), {(hash,) for hash in self.blobs}),
            ("imported_records", ("importer", "kind", "key"), self.ledger),
            ("repairs", ("id",), {(id,) for id in self.repairs}),
        ):
            if keys:
                yield table, key, keys

    @property
    def counts(self) -> dict[str, int]:
        """How many rows go, by table."""
        return {table: len(keys) for table, _, keys in self.rows()}

    def __bool__(self) -> bool:
        return bool(self.counts)


class Closure:
    """Finds what goes from one database.

    ``read`` reads archived rows; without it, those in an archive outside of the database are told by their
    entries alone. ``forks``: sessions that were forked from ones that go, go along.
    """

    def __init__(self, rows: Rows, found: Found, read: Reader | None = None, *, forks: bool = False) -> None:
        self._rows = rows
        self._found = found
        self._gone = found.gone
        self._read = read
        self._forks = forks
        self._asked: dict[tuple[str, str, str], set[str]] = {}

    def run(self, *, again: bool = False) -> Found:
        """Find everything; with ``again`` begin with what is known by its mark alone."""
        if again:
            self._expand()
        while True:
            before = self._size()
            while self._follow():
                pass
            self._archive()
            self._made()
            if self._size() == before:
                break
        self._alone()
        self._blobs()
        self._ledgers()
        self._repairs()
        return self._found

    def _size(self) -> int:
        return (
            sum(map(len, self._gone.ids.values()))
            + sum(map(len, self._found.keys.values()))
            + len(self._found.archive)
        )

    # -- tables ---------------------------------------------------------------------------

    def _expand(self) -> None:
        """Find the ids that marks stand for. One that was made anew since is left alone."""
        gone, rows = self._gone, self._rows
        for kind in TOMBSTONED:
            marks = gone.marks.get(kind)
            if not marks:
                continue
            member = BY_KIND[kind]
            if rows.has(member.table, str(member.id)):
                time = next(
                    (one for one in ("created_at", "recorded_at") if rows.has(member.table, one)), None
                )
                wanted = [str(member.id), *([time] if time else [])]
                for row in rows.pages(member.table, wanted, member.key):
                    id, moment = row[len(member.key)], row[-1] if time else 0
                    when = marks.get(mark(kind, id))
                    if when is not None and moment > when and id not in gone.ids.get(kind, ()):
                        gone.returned.setdefault(kind, set()).add(id)
                    elif when is not None:
                        gone.add(kind, id)
            for other in MEMBERS:
                for link in other.links:
                    if kind in link.kinds and rows.has(other.table, link.column):
                        for value in rows.distinct(other.table, link.column):
                            if gone.has(kind, value):
                                gone.add(kind, value)

    def _follow(self) -> bool:
        """Find the rows that belong to what was found last; whether there were any."""
        more = False
        gone = self._gone
        for member in MEMBERS:
            if not self._rows.has(member.table, *member.key):
                continue
            if member.id is not None:
                fresh = self._fresh(member, member.id, member.kind)
                more |= self._take(member, self._select(member, member.id, fresh))
            for link in member.links:
                if not self._rows.has(member.table, link.column):
                    continue
                for kind in link.kinds:
                    fresh = self._fresh(member, f"{link.column} of", kind)
                    also = "" if link.kind_column is None else f" AND \"{link.kind_column}\" = '{kind}'"
                    more |= self._take(member, self._select(member, link.column, fresh, also))
        if self._rows.has("sessions", "fork_of"):
            fresh = self._fresh(BY_KIND["session"], "fork_of", "session")
            for (id,) in self._rows.where("sessions", ["id"], "fork_of", fresh):
                if self._forks:
                    more |= gone.add("session", id)
                self._found.forks.add(id)
        return more

    def _fresh(self, member: Member, what: str, kind: str) -> set[str]:
        """The ids of a kind that were not asked for yet."""
        asked = self._asked.setdefault((member.table, what, kind), set())
        fresh = self._gone.ids.get(kind, set()) - asked
        asked |= fresh
        return fresh

    def _select(self, member: Member, column: str, ids: Iterable[str], also: str = "") -> Iterator[Key]:
        wanted = [*member.key, *([member.id] if member.id else [])]
        if member.table == "sessions" and self._rows.has("sessions", "context_file"):
            wanted.append("context_file")
        yield from self._rows.where(member.table, wanted, column, ids, also)

    def _take(self, member: Member, rows: Iterable[Key]) -> bool:
        known = self._found.keys.setdefault(member.table, set())
        before, width = len(known), len(member.key)
        for row in rows:
            if member.id is not None and row[width] in self._gone.returned.get(member.kind, ()):
                continue
            known.add(tuple(row[:width]))
            if member.id is not None:
                self._gone.add(member.kind, row[width])
            if member.table == "sessions" and len(row) > width + 1 and row[-1]:
                self._found.files.add(row[-1])
        return len(known) > before

    def _made(self) -> None:
        """Find what was made of nothing but what goes."""
        self._found.shared = 0
        for member in MEMBERS:
            if member.sources is None or not self._rows.has(member.table, member.sources):
                continue
            known = self._found.keys.setdefault(member.table, set())
            for row in self._rows.pages(
                member.table, [str(member.id), member.sources], member.key, f'"{member.sources}" IS NOT NULL'
            ):
                if tuple(row[: len(member.key)]) in known:
                    continue
                if self._gone.made_of(row[-1]):
                    self._take(member, [(*row[: len(member.key)], row[-2])])
                elif self._part_of(row[-1]):
                    self._found.shared += 1

    def _part_of(self, sources: Any) -> bool:
        try:
            ids = codec.loads(sources)
        except (ValueError, WilkError):
            return False
        return isinstance(ids, list) and any(self._gone.made_of([one]) for one in ids)

    def _alone(self) -> None:
        """Find applications' own records that name what goes."""
        rows, found = self._rows, self._found
        if rows.has("system_state", "key", "data"):
            state = found.keys.setdefault("system_state", set())
            for key, data in rows.pages("system_state", ["data"], ["key"]):
                if self._gone.tells_of(key, data):
                    state.add((key,))
                    self._gone.add("system_state", key)
        if rows.has("vectors", "record_id", "metadata"):
            known = found.keys.setdefault("vectors", set())
            wanted = ["record_id", "metadata"]
            for pk, record, metadata in rows.pages("vectors", wanted, ["pk"], '"kind" IS NULL'):
                if self._gone.named(record) or (metadata and self._gone.tells_of(None, metadata)):
                    known.add((pk,))
            numbers = [key[0] for key in known]
            for space, number in rows.where("vectors", ["space_id", "number"], "pk", numbers):
                found.spaces.add(space)
                self._gone.numbers.add((space, number))

    # -- the archive ----------------------------------------------------------------------

    def _archive(self) -> None:
        """Find archived rows, and what they lead to: passes over all entries, until one finds nothing new."""
        if not self._rows.has("archive", "kind", "record_id", "session_id", "data"):
            return
        more = True
        while more:
            more = False
            for entries in self._entries():
                for (pk, kind, record, session, _, place), row in entries:
                    if pk in self._found.archive or not belongs(self._gone, kind, record, session, row):
                        continue
                    self._found.archive[pk] = place
                    self._found.archived_kinds[kind] = self._found.archived_kinds.get(kind, 0) + 1
                    more = True
                    member = BY_KIND.get(kind)
                    if member is not None and member.id is not None:
                        id = row.get(member.id)
                        self._gone.add(kind, id if isinstance(id, str) else record)

    def _entries(self) -> Iterator[list[tuple[Key, dict[str, Any]]]]:
        """The entries of the archive with their rows, a piece at a time."""
        place = self._rows.has("archive", "place")
        wanted = ["kind", "record_id", "session_id", "data", *(["place"] if place else [])]
        some: list[Key] = []
        for row in self._rows.pages("archive", wanted, ["pk"]):
            some.append(row if place else (*row, None))
            if len(some) == 200:
                yield self._with_rows(some)
                some = []
        if some:
            yield self._with_rows(some)

    def _with_rows(self, entries: list[Key]) -> list[tuple[Key, dict[str, Any]]]:
        where = [(entry[4], entry[5]) for entry in entries]
        if self._read is None:
            return [(entry, _row(data)) for entry, (data, _) in zip(entries, where, strict=True)]
        try:
            return list(zip(entries, self._read(where), strict=True))
        except WilkError:  # one that cannot be read must not keep the others back
            return [
                (entry, self._one(data, place)) for entry, (data, place) in zip(entries, where, strict=True)
            ]

    def _one(self, data: str | None, place: str | None) -> dict[str, Any]:
        assert self._read is not None  # noqa: S101 (for type checkers)
        try:
            return self._read([(data, place)])[0]
        except WilkError:
            return {}

    # -- what is kept once, and what was noted -----------------------------------------------

    def _blobs(self) -> None:
        """Find contents that nothing names any more but what goes."""
        rows, found = self._rows, self._found
        if not rows.has("blobs", "hash"):
            return
        going: set[str] = set()
        staying: set[str] = set()
        calls, manifests = found.keys.get("tool_calls", set()), found.keys.get("manifests", set())
        if rows.has("tool_calls", "result_hash"):
            for id, hash in rows.pages("tool_calls", ["result_hash"], ["id"], '"result_hash" IS NOT NULL'):
                (going if (id,) in calls else staying).add(hash)
        for id, items in rows.pages("manifests", ["items"], ["id"], '"items" IS NOT NULL'):
            (going if (id,) in manifests else staying).update(_hashes(items))
        if rows.has("archive", "kind"):
            for entries in self._entries():
                for (pk, kind, *_), row in entries:
                    if kind in ("tool_call", "manifest"):
                        named = {row.get("result_hash")} if kind == "tool_call" else _hashes(row.get("items"))
                        (going if pk in found.archive else staying).update(filter(None, named))
        if rows.has("installations", "files"):
            for _, files in rows.pages("installations", ["files"], ["id"], '"files" IS NOT NULL'):
                staying |= {hash for hash in going if hash in files}
        found.blobs = {hash for (hash,) in rows.where("blobs", ["hash"], "hash", going - staying)}
        self._gone.ids.setdefault("blob", set()).update(found.blobs)

    def _ledgers(self) -> None:
        """Find what the ledger of imports knows of what goes."""
        rows, gone = self._rows, self._gone
        if not rows.has("imported_records", "target_id"):
            return
        key = ["importer", "kind", "key"]
        named: dict[str, str] = {word: kind for kind, word in LEDGER.items()}
        for row in rows.pages("imported_records", ["target_id"], key):
            kind = named.get(row[1], str(row[1]))
            if gone.has(kind, row[3]):
                self._found.ledger.add(tuple(row[:3]))

    def _repairs(self) -> None:
        """Find repairs that keep a row that goes, as it was or is."""
        rows, gone = self._rows, self._gone
        if not rows.has("repairs", "kind", "record_id", "before", "after"):
            return
        for id, kind, record, *sides in rows.pages(
            "repairs", ["kind", "record_id", "before", "after"], ["id"]
        ):
            member = BY_KIND.get(kind)
            if gone.has(kind, record) or (
                member is not None and any(gone.owns(member, _row(side)) for side in sides)
            ):
                self._found.repairs.add(id)


def belongs(gone: Gone, kind: str, record: str, session: str | None, row: Mapping[str, Any]) -> bool:
    """Whether an archived row goes."""
    member = BY_KIND.get(kind)
    if session is not None and gone.has("session", session):
        return True
    if member is None:
        return False
    if member.id is not None and record in gone.returned.get(kind, ()):
        return False
    if member.id is not None and gone.has(kind, record):
        return True
    if kind == "membership":
        return gone.has("user", record.rpartition("/")[2])
    return gone.owns(member, row)


def _row(data: Any) -> dict[str, Any]:
    """A row out of JSON; empty for what is none."""
    if not isinstance(data, str):
        return data if isinstance(data, dict) else {}
    try:
        found = codec.loads(data)
    except (ValueError, WilkError):
        return {}
    return found if isinstance(found, dict) else {}


def _hashes(items: Any) -> set[str]:
    if isinstance(items, str):
        try:
            items = codec.loads(items)
        except (ValueError, WilkError):
            return set()
    return {one["hash"] for one in items or () if isinstance(one, dict) and isinstance(one.get("hash"), str)}
