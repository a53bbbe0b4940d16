"""SQLite backend: one file, WAL, foreign keys on, one writer at a time, full text by FTS5."""

from __future__ import annotations

import json
import os
import re
import sqlite3
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from wilk.contracts import Backend, Opened
from wilk.errors import BackendError, Busy, NotFound, SettingsError
from wilk.files import private_folder
from wilk.hookspecs import hookimpl
from wilk.models.statements import Statement
from wilk.settings import check

if TYPE_CHECKING:
    from peewee import Database

    from wilk.contracts import Erasing, Figures, Maintaining
    from wilk.contracts.backends import Execute
    from wilk.settings import Settings

MEMORY = ":memory:"
_OPTIONS = ("timeout", "journal_mode", "readonly")


@hookimpl
def register_backends() -> Iterator[Backend]:
    yield Backend(
        scheme="sqlite",
        open=open_sqlite,
        capabilities=frozenset({"persistent", "processes", "readonly", "full-text", "backup"}),
        summary="one local SQLite file (sqlite:///path), or memory (sqlite:///:memory:)",
    )


class _Connection(sqlite3.Connection):
    """A connection that ends quietly with its thread."""

    def __del__(self) -> None:
        self.close()


def open_sqlite(url: str, settings: Settings) -> Opened:
    """Open ``sqlite:///relative.db``, ``sqlite:////absolute.db`` or ``sqlite:///:memory:``.

    Query parameters go before settings: ``?journal_mode=delete&timeout=5&readonly=1``. A new
    file and its folder are private to their owner.
    """
    path, options = _parse(url)
    if unknown := sorted(options.keys() - _OPTIONS):
        raise SettingsError(f"{url}: unknown option {', '.join(unknown)}; known: {', '.join(_OPTIONS)}")
    chosen = check(options, url)
    timeout: float = chosen.get("timeout", settings.timeout)
    journal: str = chosen.get("journal_mode", settings.journal_mode)
    readonly: bool = chosen.get("readonly", settings.readonly)
    # A checkpoint every 16 MB instead of every 4: fewer writers have to wait for one.
    pragmas = ["foreign_keys = 1", "synchronous = normal", "wal_autocheckpoint = 4000"]
    if path == MEMORY:
        # Every connection to :memory: is a database of its own, so all threads share one.
        opened = _opened(lambda: _connect(MEMORY, timeout, pragmas), shared=True)
        name = f"memory {os.urandom(16).hex()}"
        return replace(
            opened,
            timeout=timeout,
            readonly=readonly,
            identity=lambda _: name,
            figures=_figures(None, readonly),
            maintenance=lambda: _maintenance(None, readonly=readonly),
        )
    file = Path(path).expanduser().absolute()
    if readonly:
        if not file.exists():
            raise NotFound("database file", str(file), "open it without readonly once to make it")
        address = f"{file.as_uri()}?mode=ro{_unchanging(file)}"
        opened = _opened(lambda: _connect(address, timeout, pragmas))
        return replace(
            opened,
            timeout=timeout,
            readonly=True,
            copy=lambda target: _copy(lambda: _connect(address, timeout, pragmas), target),
            identity=lambda _: _identity(file),
            folder=file.with_name(file.name + ".files"),
            figures=_figures(file, True),
            maintenance=lambda: _maintenance(file, readonly=True),
            translate=lambda error: _damaged(file, error),
        )
    _private_file(file)
    lock = file.with_name(file.name + ".lock")
    _set_journal(file, journal, lock, timeout)
    if journal in ("truncate", "persist"):  # not kept in the file, so each connection says it
        pragmas.append(f"journal_mode = {journal}")
    return replace(
        _opened(lambda: _connect(str(file), timeout, pragmas)),
        timeout=timeout,
        readonly=False,
        migration_lock=lambda: _exclusive(lock, timeout),
        copy=lambda target: _copy(lambda: _connect(str(file), timeout, pragmas), target),
        put_back=lambda copy: _put_back(copy, lambda: _connect(str(file), timeout, pragmas), timeout),
        identity=lambda _: _identity(file),
        folder=file.with_name(file.name + ".files"),
        figures=_figures(file, False),
        maintenance=lambda: _maintenance(file, readonly=False),
        erasing=lambda engine: _erasing(engine, file, timeout),
        translate=lambda error: _damaged(file, error),
    )


def _damaged(file: Path, error: Exception) -> BackendError | None:
    """What to tell of a file that SQLite cannot make sense of; None for every other error."""
    text = str(error)
    if "not a database" not in text and "image is malformed" not in text:
        return None
    return BackendError(
        f"{file} is no SQLite database, or is damaged ({text}); name another file, put a copy of it back, or "
        f"write what can be read into a new one with `wilk recover {file} NEW`"
    )


def _figures(file: Path | None, readonly: bool) -> Callable[[], Figures]:
    """What tells of the file that is there now."""
    identity = None
    if file is not None:
        status = os.stat(file)  # noqa: PTH116 (pathlib costs more here)
        identity = (status.st_dev, status.st_ino)

    def make() -> Figures:
        from wilk.backends.sqlite_figures import SqliteFigures

        return SqliteFigures(file, readonly=readonly, identity=identity)

    return make


def _erasing(engine: Any, file: Path, timeout: float) -> Erasing:
    from wilk.backends.sqlite_erasing import SqliteErasing  # rarely needed

    return SqliteErasing(engine, file, timeout)


def _maintenance(file: Path | None, *, readonly: bool) -> Maintaining:
    from wilk.backends.sqlite_maintenance import SqliteMaintenance

    return SqliteMaintenance(file, readonly=readonly)


def _identity(file: Path) -> str:
    """The file itself, whichever of its names was used, and as long as it is there.

    A file system may get another device number when it is mounted again; its own number stays.
    """
    found = file.stat()
    own = os.statvfs(file).f_fsid if hasattr(os, "statvfs") else 0
    return f"sqlite {own or found.st_dev}:{found.st_ino}"


def _unchanging(file: Path) -> str:
    """What an address needs where nothing can be written beside the file, such as on a read-only disk.

    Readers of a WAL keep an index of it beside the file; without a WAL there is nothing to index.
    """
    log = file.with_name(file.name + "-wal")
    writable = os.access(file.parent, os.W_OK)
    return "" if writable or (log.exists() and log.stat().st_size) else "&immutable=1"


def _opened(connect: Callable[[], sqlite3.Connection], *, shared: bool = False) -> Opened:
    return Opened(
        connect=connect,
        attach=lambda connection: _attached(connection, shared=shared),
        shared=shared,
        unchecked=_unchecked,
        full_text=FTS5(),
        statements=_statements,
    )


@contextmanager
def _unchecked(execute: Execute) -> Iterator[None]:
    """Let a connection write references that lead nowhere; SQLite changes that between transactions only."""
    execute("PRAGMA foreign_keys = off", ())
    try:
        yield
    finally:
        execute("PRAGMA foreign_keys = on", ())


def _connect(path: str, timeout: float, pragmas: list[str]) -> sqlite3.Connection:
    connection = sqlite3.connect(
        path,
        timeout=timeout,
        isolation_level=None,
        check_same_thread=False,  # the store closes the connections of all threads
        cached_statements=256,
        factory=_Connection,
        uri=path.startswith("file:"),
    )
    for pragma in pragmas:
        connection.execute(f"PRAGMA {pragma}")
    return connection


def _attached(connection: Callable[[], sqlite3.Connection], *, shared: bool) -> Database:
    """A Peewee database over connections that the store opens and closes."""
    from peewee import SqliteDatabase

    class Attached(SqliteDatabase):
        def _connect(self) -> sqlite3.Connection:
            opened = connection()
            self._add_conn_hooks(opened)  # type: ignore[attr-defined]
            return opened

        def _close(self, conn: sqlite3.Connection) -> None:
            """The store's connections are not Peewee's to close."""

    return Attached("(attached)", lock_type="IMMEDIATE", thread_safe=not shared)


@cache
def _statements() -> dict[str, Statement]:
    """The statements that ``tools/freeze_statements.py`` compiled from the models."""
    kept = json.loads(Path(__file__).with_name("sqlite_statements.json").read_bytes())
    return {name: Statement(sql, tuple(names)) for name, (sql, names) in kept.items()}


def _parse(url: str) -> tuple[str, dict[str, str]]:
    rest, _, query = url.partition("?")
    path, options = rest.removeprefix("sqlite://").removeprefix("/"), {}
    if query or "%" in path:
        from urllib.parse import parse_qsl, unquote

        path, options = unquote(path), dict(parse_qsl(query))
    if not path:
        raise SettingsError(f"{url!r} names no file; write sqlite:///path/to/file.db or sqlite:///:memory:")
    return path, options


def _private_file(file: Path) -> None:
    """Make the file and its folder if they are missing, readable by their owner alone."""
    try:
        private_folder(file.parent)
        os.close(os.open(file, os.O_CREAT | os.O_RDWR, 0o600))
    except OSError as error:
        raise BackendError(f"{file} cannot be opened for writing: {error.strerror}") from error


def _set_journal(file: Path, journal: str, lock: Path, timeout: float) -> None:
    """Switch a file into or out of WAL, if it is not there yet.

    The mode is kept in the file's header (bytes 18 and 19 are 2 in WAL). Switching needs the
    file alone and does not wait for others, so processes that open a new file together take turns.
    """
    with file.open("rb") as opened:
        header = opened.read(20)
    is_wal = header[18:] == b"\x02\x02"
    if is_wal != (journal == "wal") and not (header and _is_foreign(file)):
        with _exclusive(lock, timeout):
            connection = sqlite3.connect(file, timeout=timeout, isolation_level=None)
            try:
                connection.execute(f"PRAGMA journal_mode = {journal}")
            except sqlite3.OperationalError as error:
                raise Busy(
                    f"{file} cannot change its journal to {journal} while others have it open ({error})"
                ) from error
            except sqlite3.DatabaseError as error:
                raise BackendError(f"{file} is not a SQLite database: {error}") from error
            finally:
                connection.close()


def _is_foreign(file: Path) -> bool:
    """Whether a file holds somebody else's tables: it is refused later, and left as it is now."""
    with closing(sqlite3.connect(f"{file.as_uri()}?mode=ro", uri=True)) as connection:
        try:
            tables = {name for (name,) in connection.execute("SELECT name FROM sqlite_master")}
        except sqlite3.DatabaseError:
            return True  # no database at all
    return bool(tables) and "wilk_migrations" not in tables


@contextmanager
def _exclusive(path: Path, timeout: float) -> Iterator[None]:
    """Hold a lock between processes, by the one means that SQLite has on every platform.

    It is released by the system when its holder dies.
    """
    _private_file(path)
    connection = sqlite3.connect(path, timeout=max(timeout, 60), isolation_level=None)
    try:
        try:
            connection.execute("BEGIN EXCLUSIVE")
        except sqlite3.OperationalError as error:
            raise Busy(
                f"another process keeps {path}, which lets one at a time change the schema; try again"
            ) from error
        yield
    finally:
        connection.close()


def _copy(connect: Callable[[], sqlite3.Connection], target: Path) -> None:
    """Copy the database through SQLite's backup interface into a new file that needs no other beside it.

    All pages in one step: with several, each write of another process would begin the copy anew.
    """
    _private_file(target)
    try:
        with closing(connect()) as source, closing(sqlite3.connect(target, isolation_level=None)) as copy:
            copy.execute("PRAGMA synchronous = off")  # whoever asks for a copy brings it to the disk
            source.backup(copy)
            copy.execute("PRAGMA journal_mode = delete")
    except sqlite3.Error as error:
        raise BackendError(f"the database cannot be copied to {target}: {error}") from error


def _put_back(copy: Path, connect: Callable[[], sqlite3.Connection], timeout: float) -> None:
    """Write all pages of a copy into the live file, as one transaction: until it commits, others see what
    was there before, and a process that is killed leaves that as it was."""
    until = time.monotonic() + timeout

    def waiting(status: int, _remaining: int, _total: int) -> None:
        if status in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED) and time.monotonic() > until:
            raise Busy(f"another process held the store for over {timeout:g} s; try again")

    try:
        with closing(connect()) as live, closing(sqlite3.connect(copy, isolation_level=None)) as source:
            ((size,),) = live.execute("PRAGMA page_size")
            if source.execute("PRAGMA page_size").fetchone() != (size,):  # a live WAL keeps to its own
                source.execute("PRAGMA journal_mode = delete")
                source.execute(f"PRAGMA page_size = {size}")
                source.execute("VACUUM")
            source.backup(live, progress=waiting)
            live.execute("PRAGMA wal_checkpoint(PASSIVE)")
    except sqlite3.Error as error:
        raise BackendError(f"the copy cannot be put back: {error}") from error


class FTS5:
    """Full text over messages and passages, kept in step by triggers.

    The indexes hold no copy of the text (external content). Words are folded (case, accents) by
    the unicode61 tokenizer, which takes a run of Chinese, Japanese or Thai as one word: such
    queries are answered by comparing text instead.
    """

    _TABLES = ("messages", "passages")
    _OBJECTS = {
        "{table}_fts": (
            "CREATE VIRTUAL TABLE {table}_fts USING fts5(text, content='{table}', content_rowid='pk', "
            "tokenize='unicode61 remove_diacritics 2 separators ''{symbols}''')"
        ),
        "{table}_fts_insert": (
            "CREATE TRIGGER {table}_fts_insert AFTER INSERT ON {table} BEGIN "
            "INSERT INTO {table}_fts(rowid, text) VALUES (new.pk, new.text); END"
        ),
        "{table}_fts_delete": (
            "CREATE TRIGGER {table}_fts_delete AFTER DELETE ON {table} BEGIN "
            "INSERT INTO {table}_fts({table}_fts, rowid, text) VALUES ('delete', old.pk, old.text); END"
        ),
        "{table}_fts_update": (
            "CREATE TRIGGER {table}_fts_update AFTER UPDATE OF text ON {table} BEGIN "
            "INSERT INTO {table}_fts({table}_fts, rowid, text) VALUES ('delete', old.pk, old.text); "
            "INSERT INTO {table}_fts(rowid, text) VALUES (new.pk, new.text); END"
        ),
    }
    # Emoji that the tokenizer's Unicode 6.1 does not have: it would take them for letters of the word before.
    _SYMBOLS = (range(0x1F300, 0x1F650), range(0x1F680, 0x1F700), range(0x1F900, 0x1FB00))
    # Scripts written without spaces between words.
    _UNSPACED = "[\u0e00-\u0eff\u1780-\u17ff\u3040-\u30ff\u3400-\u9fff\uf900-\ufaff\U00020000-\U0003ffff]"

    def install(self, database: Database) -> None:
        """Make what is missing of the indexes and their triggers; a new index takes in every row."""
        present = dict(database.execute_sql("SELECT name, sql FROM sqlite_master"))
        symbols = "".join(chr(code) for codes in self._SYMBOLS for code in codes)
        for table in self._TABLES:
            if table not in present:
                continue  # a later migration makes it
            for template, statement in self._OBJECTS.items():
                name, wanted = template.format(table=table), statement.format(table=table, symbols=symbols)
                if name == f"{table}_fts" and present.get(name, wanted) != wanted:
                    database.execute_sql(f"DROP TABLE {name}")  # by earlier rules; the text is in the rows
                    del present[name]
                if name not in present:
                    database.execute_sql(wanted)
                    if name == f"{table}_fts":
                        database.execute_sql(f"INSERT INTO {name}({name}) VALUES ('rebuild')")  # noqa: S608 (own names)

    def matching(self, text: str, table: str, *, any_word: bool = False) -> Any:
        from peewee import SQL, NodeList, Table

        words = [word for word in _words(text) if any(c.isalnum() for c in word)]
        if not words or re.search(self._UNSPACED, text):
            return None
        # Quoted, every word is a plain word: no operator, column filter or syntax error.
        expression = (" OR " if any_word else " ").join(f'"{word}"' for word in words)
        index = Table(f"{table}_fts")
        matches = NodeList((index.c.text, SQL("MATCH ?", [expression])))
        return index.select(index.c.rowid.alias("pk"), index.c.rank).where(matches)


def _words(text: str) -> list[str]:
    """The words of a text with the marks at their letters, such as accents and signs for vowels.

    The index takes a word apart where it does not know a mark, and finds it as those parts one behind
    the other.
    """
    if text.isascii():
        return re.findall(r"\w+", text)
    from unicodedata import category  # a megabyte that ASCII does not need

    held = (c if c.isalnum() or c == "_" or category(c)[0] == "M" else " " for c in text)
    return "".join(held).split()
