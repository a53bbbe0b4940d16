"""Writes wilk's own JSON Lines: all of a store, or some of its sessions, so that importing gives it back."""

from __future__ import annotations

import gzip
import logging
from collections.abc import Iterator
from contextlib import ExitStack
from hashlib import sha256
from typing import TYPE_CHECKING, Any

import wilk
from wilk import clock
from wilk.errors import BackendError, WilkError
from wilk.migrations import runner
from wilk.transfer.moves.ends import End, Pace
from wilk.transfer.moves.hashing import Tally
from wilk.transfer.moves.tables import Row
from wilk.transfer.own import definition_files
from wilk.transfer.own.choosing import OF_THE_STORE, Chosen
from wilk.transfer.own.form import DERIVED, FORMAT, VERSION, Shape, line, line_of, shapes

if TYPE_CHECKING:
    from pathlib import Path
    from typing import BinaryIO

    from wilk.contracts import Choice, Writing
    from wilk.store import Store

logger = logging.getLogger("wilk.transfer")

_PAGE = 200


def write(store: Store, target: Path, choice: Choice, writing: Writing) -> None:
    """Write a file, packed where its name ends in ``.gz``; from one state of the store."""
    with ExitStack() as closing:
        file: Any = closing.enter_context(target.open("xb"))
        target.chmod(0o600)
        if target.name.endswith(".gz"):
            # The file's name and time stay out, so that equal stores give equal files.
            file = closing.enter_context(gzip.GzipFile("", "wb", 6, file, mtime=0))
        Exporting(store, choice, writing, file).run()


class Exporting:
    """One export into one open file."""

    def __init__(self, store: Store, choice: Choice, writing: Writing, file: BinaryIO) -> None:
        self._store = store
        self._engine = store._engine
        self._end = End(store._engine, store._backend, "this store")
        self._choice = choice
        self._writing = writing
        self._file = file
        self._hash = sha256()
        self._lines = 0

    def run(self) -> None:
        """Write all lines."""
        with self._engine.snapshot():
            everything = self._choice.sessions is None and self._choice.user is None
            chosen = None if everything else Chosen(self._engine, self._choice)
            known = shapes(self._store.host.model_sets())
            self._put(line({"header": self._header(known, chosen)}))
            tallies = {name: self._table(shape, chosen) for name, shape in known.items()}
        files = 0
        for found in definition_files.read(
            self._store.catalog, self._writing, None if chosen is None else chosen.definitions
        ):
            self._put(line(definition_files.line_of(found)))
            files += 1
        self._writing.count("files", files)
        if chosen is not None:
            self._writing.warn(
                "vectors stay behind where sessions are chosen; an embedder makes those of records again"
            )
        tables = {
            name: {"rows": tally.rows, "sha256": tally.state} for name, tally in tallies.items() if tally.rows
        }
        trailer = {
            "lines": self._lines + 1, "files": files, "tables": tables, "sha256": self._hash.hexdigest(),
        }  # fmt: skip
        self._file.write(line({"trailer": trailer}))

    def _put(self, data: bytes) -> None:
        self._hash.update(data)
        self._file.write(data)
        self._lines += 1

    def _header(self, known: dict[str, Shape], chosen: Chosen | None) -> dict[str, Any]:
        choice = self._choice
        picked = (
            {"user": choice.user}
            if choice.user is not None
            else {"sessions": chosen.sessions if chosen else []}
        )
        return {
            "format": FORMAT,
            "version": VERSION,
            "wilk": wilk.__version__,
            "schema": max(file.stem for file in runner.FOLDER.glob("[0-9]*.py")),
            "created_at": clock.to_datetime(self._engine.clock.now()).isoformat().replace("+00:00", "Z"),
            "choice": None if chosen is None else picked,
            "hashes": "rows: the sum modulo 2^256 of the SHA-256 of each row; the file: the SHA-256 of "
            "all bytes before the trailer",
            "left_out": dict(DERIVED),
            "tables": [shape.header() for shape in known.values()],
        }

    # -- rows -------------------------------------------------------------------------------

    def _table(self, shape: Shape, chosen: Chosen | None) -> Tally:
        tally = Tally()
        pages = self._all(shape) if chosen is None else self._some(shape, chosen)
        for rows in pages:
            if shape.name == "archive":
                rows = self._resolved(shape, rows)
            tally.add(rows)
            for row in rows:
                self._put(line_of(shape, row))
        if tally.rows:
            self._writing.count(shape.name, tally.rows)
        return tally

    def _all(self, shape: Shape) -> Iterator[list[Row]]:
        after, pace = None, Pace()
        while True:
            try:
                rows = self._end.page(shape.table, after, pace.rows)
            except BackendError as error:
                logger.info("%s: %s", shape.name, error)
                yield from self._one_by_one(shape, after)
                return
            if not rows:
                return
            yield rows
            after = shape.table.key(rows[-1])
            pace.learn(
                len(rows),
                sum(len(one) if isinstance(one, (str, bytes)) else 8 for row in rows for one in row),
            )

    def _one_by_one(self, shape: Shape, after: Any) -> Iterator[list[Row]]:
        """The rest of a table in which a row cannot be read: all rows but such."""
        table = shape.table
        keys = table.keys
        query = table.model.select(*keys).order_by(*keys)
        for number, key in enumerate(self._engine.select(query)):
            if after is not None and key <= tuple(table.given_key(after)):
                continue
            condition = keys[0] == key[0]
            for field, value in zip(keys[1:], key[1:], strict=True):
                condition &= field == value
            try:
                rows = table.taken(self._engine.select(table.model.select(*table.fields).where(condition)))
            except WilkError:
                self._writing.lost(shape.name)
                self._writing.warn(f"{shape.name}: row {number + 1} cannot be read and was left out")
                continue
            yield rows

    def _some(self, shape: Shape, chosen: Chosen) -> Iterator[list[Row]]:
        """The rows of a choice, by pages along the primary key."""
        table = shape.table
        if shape.name in OF_THE_STORE:
            return
        for condition in chosen.conditions(shape.name):
            query = table.model.select(*table.fields).where(condition).order_by(*table.keys)
            if len(table.keys) > 1:
                yield table.taken(self._engine.select(query))
                continue
            (key,), (place,) = table.keys, table.key_places
            after: Any = None
            while True:
                page = query if after is None else query.where(key > after)
                rows = table.taken(self._engine.select(page.limit(_PAGE)))
                if not rows:
                    break
                yield rows
                after = rows[-1][place]

    def _resolved(self, shape: Shape, rows: list[Row]) -> list[Row]:
        """Archived rows with what they hold, wherever that lies."""
        from wilk import codec

        data, place = shape.names.index("data"), shape.names.index("place")
        found = []
        for row in rows:
            if row[data] is not None or row[place] is None:
                found.append(row)
                continue
            values = list(row)
            try:
                (kept,) = self._store._outbox.read([(None, row[place])])
            except WilkError as error:
                logger.info("archive: %s", error)
                self._writing.lost("archive.data")
                self._writing.warn(
                    "archived rows that lie outside of the database and cannot be read were left there"
                )
            else:
                values[data], values[place] = codec.dumps(kept), None
            found.append(tuple(values))
        return found
