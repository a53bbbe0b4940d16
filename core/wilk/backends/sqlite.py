"""SQLite backend: one file, WAL, foreign keys on, one writer at a time, full text by FTS5."""

from __future__ import annotations

import os
import re
import sqlite3
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from wilk.contracts import Backend, Opened
from wilk.errors import BackendError, Busy, NotFound, SettingsError
from wilk.files import private_folder
from wilk.hookspecs import hookimpl
from wilk.settings import check

if TYPE_CHECKING:
    from peewee import Database

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
    from peewee import SqliteDatabase  # drivers are imported when opened

    path, options = _parse(url)
    if unknown := sorted(options.keys() - _OPTIONS):
        raise SettingsError(f"{url}: unknown option {', '.join(unknown)}; known: {', '.join(_OPTIONS)}")
    chosen = check(options, url)
    timeout: float = chosen.get("timeout", settings.timeout)
    journal: str = chosen.get("journal_mode", settings.journal_mode)
    readonly: bool = chosen.get("readonly", settings.readonly)
    connect: dict[str, Any] = {"factory": _Connection, "check_same_thread": False, "cached_statements": 256}
    pragmas: list[tuple[str, Any]] = [("foreign_keys", 1), ("synchronous", "normal")]
    if path == MEMORY:
        # Every connection to :memory: is a database of its own, so all threads share one.
        database = SqliteDatabase(
            MEMORY, pragmas=pragmas, timeout=timeout, lock_type="IMMEDIATE", thread_safe=False, **connect
        )
        return Opened(database, shared=True, full_text=FTS5())
    file = Path(path).expanduser().absolute()
    if readonly:
        if not file.exists():
            raise NotFound("database file", str(file), "open it without readonly once to make it")
        database = SqliteDatabase(
            f"{file.as_uri()}?mode=ro", pragmas=pragmas, timeout=timeout, uri=True, **connect
        )
        return Opened(database, full_text=FTS5())
    _private_file(file)
    lock = file.with_name(file.name + ".lock")
    _set_journal(file, journal, lock, timeout)
    if journal in ("truncate", "persist"):  # not kept in the file, so each connection says it
        pragmas.append(("journal_mode", journal))
    database = SqliteDatabase(str(file), pragmas=pragmas, timeout=timeout, lock_type="IMMEDIATE", **connect)
    return Opened(
        database,
        full_text=FTS5(),
        migration_lock=lambda: _exclusive(lock, timeout),
        backup=lambda label: _backup(file, label),
    )


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
        is_wal = opened.read(20)[18:] == b"\x02\x02"
    if is_wal != (journal == "wal"):
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
            raise Busy(f"another process keeps {path}, which lets one at a time change the schema; try again") from error
        yield
    finally:
        connection.close()


def _backup(file: Path, label: str) -> Path:
    """Copy the database through SQLite's backup interface, check the copy, and return its path."""
    stamp = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime())
    target = private_folder(file.parent / "backups") / f"{file.stem}-{label}-{stamp}-{os.getpid()}.db"
    _private_file(target)
    source, copy = sqlite3.connect(file), sqlite3.connect(target)
    try:
        source.backup(copy)
        verdict = copy.execute("PRAGMA integrity_check").fetchone()[0]
    finally:
        source.close()
        copy.close()
    if verdict != "ok":
        raise BackendError(f"the backup {target} is not sound ({verdict}); the schema was left as it is")
    return target


class FTS5:
    """Full text over messages, kept in step by triggers.

    The index holds no copy of the text (external content). Words are folded (case, accents) by
    the unicode61 tokenizer, which takes a run of Chinese, Japanese or Thai as one word: such
    queries are answered by comparing text instead.
    """

    _OBJECTS = {
        "messages_fts": (
            "CREATE VIRTUAL TABLE messages_fts USING fts5(text, content='messages', content_rowid='pk', "
            "tokenize='unicode61 remove_diacritics 2')"
        ),
        "messages_fts_insert": (
            "CREATE TRIGGER messages_fts_insert AFTER INSERT ON messages BEGIN "
            "INSERT INTO messages_fts(rowid, text) VALUES (new.pk, new.text); END"
        ),
        "messages_fts_delete": (
            "CREATE TRIGGER messages_fts_delete AFTER DELETE ON messages BEGIN "
            "INSERT INTO messages_fts(messages_fts, rowid, text) VALUES ('delete', old.pk, old.text); END"
        ),
        "messages_fts_update": (
            "CREATE TRIGGER messages_fts_update AFTER UPDATE OF text ON messages BEGIN "
            "INSERT INTO messages_fts(messages_fts, rowid, text) VALUES ('delete', old.pk, old.text); "
            "INSERT INTO messages_fts(rowid, text) VALUES (new.pk, new.text); END"
        ),
    }
    # Scripts written without spaces between words.
    _UNSPACED = "[\u0e00-\u0eff\u1780-\u17ff\u3040-\u30ff\u3400-\u9fff\uf900-\ufaff\U00020000-\U0003ffff]"

    def install(self, database: Database) -> None:
        """Make what is missing of the table and its triggers; a new index takes in every row."""
        present = dict(database.execute_sql("SELECT name, sql FROM sqlite_master WHERE name LIKE 'messages_fts%'"))
        for name, sql in self._OBJECTS.items():
            if name not in present:
                database.execute_sql(sql)
                if name == "messages_fts":
                    database.execute_sql("INSERT INTO messages_fts(messages_fts) VALUES ('rebuild')")

    def matching(self, text: str) -> Any:
        from peewee import SQL, NodeList, Table

        # An accent may be a character of its own behind its letter, and the index ignores it.
        words = re.findall(r"[\w\u0300-\u0331]+", text)
        if not any(any(c.isalnum() for c in word) for word in words) or re.search(self._UNSPACED, text):
            return None
        # Quoted, every word is a plain word: no operator, column filter or syntax error.
        expression = " ".join(f'"{word}"' for word in words)
        index = Table("messages_fts")
        matches = NodeList((index.c.text, SQL("MATCH ?", [expression])))
        return index.select(index.c.rowid.alias("pk"), index.c.rank).where(matches)
