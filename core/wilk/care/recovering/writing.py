"""Writes what was found into the new database: rows as they are, placeholders for lost rows, counts anew."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

from wilk import codec
from wilk.care.recovering.layouts import Json, Layout, of_database, quoted
from wilk.care.recovering.mending import MARK, Unmendable, mended, shown
from wilk.care.recovering.salvage import Aside, Found, Salvage, Taken
from wilk.errors import BackendError
from wilk.records.recovery import RecoveredTable, ShortSession
from wilk.records.transfer import Progress
from wilk.services.keeping.archiver import COMPACTED
from wilk.settings import Settings

DERIVED = ("passages", "indexed_kinds")
"""Tables that are made anew from others."""
_EVERY = 1000


class AsideFile:
    """Rows that were found and not taken, or changed, one JSON object a line. Made when it is needed."""

    def __init__(self, file: Path) -> None:
        self.file = file
        self.written = 0
        self._opened: Any = None

    def put(self, aside: Aside, layout: Layout | None) -> None:
        """Keep a row as it was found."""
        if self._opened is None:
            self._opened = os.fdopen(os.open(self.file, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600), "wb")
        said = {
            "table": aside.table,
            "row": aside.number,
            "why": aside.why,
            "values": shown(layout, aside.values),
        }
        self._opened.write(codec.dumps(said).encode() + b"\n")
        self.written += 1

    def close(self) -> None:
        if self._opened is not None:
            self._opened.flush()
            os.fsync(self._opened.fileno())
            self._opened.close()
            self._opened = None


class Writer:
    """Writes into one new database; counts what it does by table."""

    def __init__(
        self,
        connection: sqlite3.Connection,
        json: Json,
        aside: AsideFile,
        progress: Callable[[Progress], object] | None,
    ) -> None:
        self._connection = connection
        self._aside = aside
        self._progress = progress
        self._json = json
        self._layouts = of_database(connection, json)
        self._counts: dict[str, dict[str, int]] = {}
        self._done = 0
        self.made_again = 0  # vectors that an embedder made, and whose space is lost: it makes them again

    def write(self, salvage: Salvage, without: Iterable[str]) -> None:
        """Write every table of a salvage, except those named."""
        left_out = {*without, *DERIVED}
        tables = [found for name, found in salvage.tables.items() if name not in left_out]
        tables = [found for found in tables if found.layout.columns]
        self._make_foreign(salvage, tables)
        tables = [found for found in tables if found.name in self._layouts]
        of = sum(leaf.rows for found in tables for leaf in found.leaves)
        for one in salvage.aside:
            if one.table not in left_out:
                self._put_aside(one, None)
        for found in sorted(tables, key=lambda found: found.name != "vector_spaces"):
            self._write(salvage, found, of)

    def _write(self, salvage: Salvage, found: Found, of: int) -> None:
        count = self._of(found.name)
        theirs = found.layout
        ours = {column.name for column in self._layouts[found.name].columns}
        places = [n for n, column in enumerate(theirs.columns) if column.name in ours]
        names = [quoted(theirs.columns[n].name) for n in places]
        numbered = theirs.number is None and not theirs.rowless
        if numbered:  # rows keep their order
            names.append("rowid")
        values = ", ".join("?" * len(names))
        insert = f"INSERT INTO {quoted(found.name)} ({', '.join(names)}) VALUES ({values})"  # noqa: S608 (quoted)
        spaces = self._spaces() if found.name == "vectors" else None
        for one in salvage.rows(found):
            self._tell(found.name, of)
            if spaces is not None and isinstance(one, Taken) and _made_again(theirs, one, spaces):
                self.made_again += 1
                continue
            if isinstance(one, Aside):
                self._put_aside(one, None)
                continue
            try:
                row, done = mended(theirs, one.values)
                written = [row[n] for n in places]
                self._connection.execute(insert, [*written, one.number] if numbered else written)
            except (Unmendable, sqlite3.IntegrityError, UnicodeError) as error:
                self._put_aside(Aside(found.name, one.number, str(error), one.values), theirs)
                continue
            count["rows"] += 1
            if done:
                count["changed"] += 1
                self._aside.put(Aside(found.name, one.number, "; ".join(done), one.values), theirs)

    def _spaces(self) -> set[int]:
        """The spaces of vectors that came over."""
        return {id for (id,) in self._connection.execute("SELECT id FROM vector_spaces")}

    def _make_foreign(self, salvage: Salvage, tables: list[Found]) -> None:
        """Make tables that no migration makes, such as those of plugins that are not installed."""
        there = {name for (name,) in self._connection.execute("SELECT name FROM sqlite_master")}
        missing = {found.name for found in tables} - there
        for kind in ("table", "index"):
            for one in salvage.objects:
                if one.type == kind and one.sql and one.table in missing:
                    self._connection.execute(one.sql)
        if missing:
            self._layouts = of_database(self._connection, self._json)

    # -- what is missing ------------------------------------------------------------------------

    def make_parents(self, settings: Settings, now: int) -> None:
        """Make placeholders for rows that others refer to and that are lost."""
        for layout in self._layouts.values():
            for parent in layout.parents:
                there = self._layouts.get(parent.table)
                if there is None:
                    continue
                child, column = quoted(layout.name), quoted(parent.column)
                missing = self._connection.execute(
                    f"SELECT DISTINCT {column} FROM {child} WHERE {column} IS NOT NULL AND {column} NOT IN "  # noqa: S608
                    f"(SELECT {quoted(parent.referred)} FROM {quoted(parent.table)})"
                ).fetchall()
                for (key,) in missing:
                    self._make(there, parent.referred, key, settings, now)

    def _make(self, layout: Layout, column: str, key: Any, settings: Settings, now: int) -> None:
        row: dict[str, Any] = {}
        for one in layout.columns:
            if one.filled or one.key:
                row[one.name] = (
                    now if one.name.endswith("_at") else {"text": "", "real": 0.0}.get(one.kind, 0)
                )
        row |= self._known(layout.name, key, settings, now)
        row[column] = key
        row = {name: value for name, value in row.items() if name in {one.name for one in layout.columns}}
        names, places = ", ".join(map(quoted, row)), ", ".join("?" * len(row))
        try:
            self._connection.execute(
                f"INSERT INTO {quoted(layout.name)} ({names}) VALUES ({places})",  # noqa: S608 (quoted)
                list(row.values()),
            )
        except sqlite3.IntegrityError as error:
            raise BackendError(f"no placeholder can be made for {layout.name} {key!r}: {error}") from error
        count = self._of(layout.name)
        count["made"] += 1

    def _known(self, table: str, key: Any, settings: Settings, now: int) -> dict[str, Any]:
        """What a placeholder is to say beside its key."""
        named = {"name": f"{MARK} {key}", "metadata": codec.dumps({MARK: ["all of it: the row was lost"]})}
        if table == "sessions":
            found = self._connection.execute(
                "SELECT min(created_at), max(created_at), max(sequence) FROM messages WHERE session_id = ?",
                (key,),
            ).fetchone()
            return named | {
                "status": "active",
                "model": settings.default_model,
                "context_strategy": settings.context_strategy,
                "max_tokens": settings.max_tokens,
                "created_at": found[0] or now,
                "updated_at": found[1] or now,
                "last_sequence": found[2] or 0,
            }
        if table == "vector_spaces":
            found = self._connection.execute(
                "SELECT length(data) / 4, max(number) FROM vectors WHERE space_id = ?", (key,)
            ).fetchone()
            return {
                "collection": f"{MARK}-{key}",
                "model": MARK,
                "dimension": found[0],
                "distance": "cosine",
                "state": "active",
                "token": os.urandom(16).hex(),
                "last_number": found[1],
            }
        return named

    def count_again(self, salvage: Salvage) -> list[ShortSession]:
        """Let sessions and spaces say how much they have, where some of it is lost; tell which sessions had
        more."""
        run = self._connection.execute
        short: list[ShortSession] = []
        columns = {name: {one.name for one in layout.columns} for name, layout in self._layouts.items()}
        if self._is_torn(salvage, "messages"):
            kept = ""  # messages that were compacted count as well; they lie in the archive
            if "restored_at" in columns.get("archive", ()):
                kept = (
                    " + (SELECT count(*) FROM archive WHERE archive.session_id = sessions.id "  # noqa: S608 (own words)
                    f"AND kind = 'message' AND reason = '{COMPACTED}' AND restored_at IS NULL)"
                )
            there = f"(SELECT count(*) FROM messages WHERE session_id = sessions.id){kept}"  # noqa: S608
            found = run(f"SELECT id, name, message_count, {there} FROM sessions ORDER BY id").fetchall()  # noqa: S608
            short = [ShortSession(*row) for row in found if row[2] > row[3]]
            tokens = ""
            if "token_count" in columns["sessions"]:
                tokens = (
                    ", token_count = (SELECT coalesce(sum(tokens), 0) FROM messages "
                    "WHERE session_id = sessions.id)"
                )
            run(
                f"UPDATE sessions SET message_count = {there}, last_sequence = max(last_sequence, "  # noqa: S608 (own words)
                "coalesce((SELECT max(sequence) FROM messages WHERE session_id = sessions.id), 0))"
                f"{tokens} WHERE message_count <> {there}"
            )
        if self._is_torn(salvage, "vectors"):
            run(
                "UPDATE vector_spaces SET count = (SELECT count(*) FROM vectors WHERE space_id = "
                "vector_spaces.id), last_number = max(last_number, coalesce((SELECT max(number) FROM vectors "
                "WHERE space_id = vector_spaces.id), 0))"
            )
        return short

    def _is_torn(self, salvage: Salvage, table: str) -> bool:
        """Whether rows of a table are lost, or may be, or have a placeholder for what they belong to."""
        found = salvage.tables.get(table)
        made = any(count["made"] for count in self._counts.values())
        return found is not None and (made or bool(found.gaps or found.lost or self._of(table)["aside"]))

    def results(self, salvage: Salvage) -> list[RecoveredTable]:
        """What came over, table by table."""
        return list(self._results(salvage))

    def _results(self, salvage: Salvage) -> Iterator[RecoveredTable]:
        for name in sorted({*self._counts, *self._layouts} - set(DERIVED)):
            count, found = self._of(name), salvage.tables.get(name)
            yield RecoveredTable(
                table=name,
                rows=count["rows"],
                scavenged=0 if found is None else found.scavenged,
                changed=count["changed"],
                lost=0 if found is None else found.lost,
                exact=found is None or found.known,
                aside=count["aside"],
                made=count["made"],
                names=() if found is None else tuple(found.names),
            )

    def _of(self, table: str) -> dict[str, int]:
        return self._counts.setdefault(table, {"rows": 0, "changed": 0, "aside": 0, "made": 0})

    def _put_aside(self, one: Aside, layout: Layout | None) -> None:
        self._of(one.table)["aside"] += 1
        self._aside.put(one, layout)

    def _tell(self, table: str, of: int) -> None:
        self._done += 1
        if self._progress is not None and self._done % _EVERY == 0:
            self._progress(Progress("recovering", table, min(self._done, of), of))


def _made_again(layout: Layout, one: Taken, spaces: set[int]) -> bool:
    """Whether a vector is one of a kind of records, and its space is lost."""
    row = {column.name: value for column, value in zip(layout.columns, one.values, strict=True)}
    return row.get("kind") is not None and row.get("space_id") not in spaces
