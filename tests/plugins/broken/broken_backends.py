"""Backends that are broken, each in one way: the embedded one with a connection in between that does wrong."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

from wilk import Backend, hookimpl
from wilk.backends import sqlite
from wilk.errors import BackendError


class Cursor:
    """A cursor of the driver's, for a connection that looks at what is executed."""

    def __init__(self, owner: Connection, real: Any) -> None:
        self._owner = owner
        self._real = real

    def execute(self, sql: str, parameters: Any = ()) -> Any:
        self._owner.run(self._real, sql, parameters or ())
        return self

    def executemany(self, sql: str, rows: Any) -> Any:
        for row in rows:
            self._owner.run(self._real, sql, row)
        return self

    def __iter__(self) -> Any:
        return iter(self._real)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._real, name)


class Connection:
    """A connection that does as it is told; those below do not."""

    def __init__(self, connect: Callable[[], Any], folder: Path) -> None:
        self.connect = connect
        self.folder = folder
        self.real = connect()

    def run(self, cursor: Any, sql: str, parameters: Any) -> None:
        cursor.execute(sql, parameters)

    def cursor(self) -> Cursor:
        return Cursor(self, self.real.cursor())

    def close(self) -> None:
        self.real.close()

    def __getattr__(self, name: str) -> Any:
        return getattr(self.real, name)


class Lazy(Connection):
    """Commits every sixth time, and when it is closed: what it acknowledged is not on the disk yet."""

    commits = 0

    def run(self, cursor: Any, sql: str, parameters: Any) -> None:
        if sql == "COMMIT":
            self.commits += 1
            if self.commits % 6:
                return
        if sql.startswith("BEGIN") and self.real.in_transaction:
            return
        cursor.execute(sql, parameters)

    def close(self) -> None:
        with suppress(sqlite3.ProgrammingError):
            self.real.commit()
        self.real.close()


class Replaying(Connection):
    """Notes what it is about to commit, and does it again after a crash, whether it was done or not."""

    noted: list[Any]

    def __init__(self, connect: Callable[[], Any], folder: Path) -> None:
        super().__init__(connect, folder)
        self.noted = []
        self.journal = folder / "to-do.json"
        if self.journal.exists():
            for sql, parameters in json.loads(self.journal.read_text()):
                with suppress(sqlite3.Error):
                    self.real.execute(sql, parameters)
            self.journal.unlink()

    def run(self, cursor: Any, sql: str, parameters: Any) -> None:
        if sql.startswith("CREATE UNIQUE INDEX") and '"messages"' in sql:
            sql = sql.replace("UNIQUE ", "")
        if sql.startswith('INSERT INTO "messages"'):
            self.noted.append([sql, list(parameters)])
        if sql == "COMMIT" and self.noted:
            self.journal.write_text(json.dumps(self.noted))
        cursor.execute(sql, parameters)
        if sql in ("COMMIT", "ROLLBACK"):
            self.noted.clear()
            self.journal.unlink(missing_ok=True)


class Content(Connection):
    """Takes a full disk for nothing to speak of."""

    def run(self, cursor: Any, sql: str, parameters: Any) -> None:
        try:
            cursor.execute(sql, parameters)
        except sqlite3.OperationalError as error:
            if sql != "COMMIT" or "locked" in str(error):
                raise
            with suppress(sqlite3.OperationalError):
                cursor.execute("ROLLBACK")


class Lockless(Connection):
    """Begins no transactions, so that whoever reads before writing is overtaken."""

    def run(self, cursor: Any, sql: str, parameters: Any) -> None:
        if not sql.startswith(("BEGIN", "COMMIT", "ROLLBACK")) or "SAVEPOINT" in sql:
            cursor.execute(sql, parameters)


class ByClock(Connection):
    """Orders messages by the time that stands in them."""

    def run(self, cursor: Any, sql: str, parameters: Any) -> None:
        head, order, tail = sql.rpartition("ORDER BY") if "messages" in sql else (sql, "", "")
        if not order:
            head, tail = sql, ""
        cursor.execute(head + order + tail.replace('"sequence"', '"created_at"'), parameters)


class Trimming(Connection):
    """Keeps texts without what it takes for noise: blanks at the ends, and marks that nobody sees."""

    def run(self, cursor: Any, sql: str, parameters: Any) -> None:
        cursor.execute(sql, [_trimmed(one) for one in parameters])


def _trimmed(value: Any) -> Any:
    return value.replace("\0", "").replace("\u202e", "").strip() if isinstance(value, str) else value


class Reconnecting(Connection):
    """Opens another connection when its own is lost, and goes on in the middle of the transaction."""

    def cursor(self) -> Cursor:
        try:
            return super().cursor()
        except sqlite3.ProgrammingError:
            self.real = self.connect()
            return super().cursor()

    def run(self, cursor: Any, sql: str, parameters: Any) -> None:
        try:
            cursor.execute(sql, parameters)
        except sqlite3.OperationalError as error:
            if "no transaction is active" not in str(error):
                raise


class Guarded(Connection):
    """Marks that it is in use by a file, and believes the file when its owner is dead."""

    def __init__(self, connect: Callable[[], Any], folder: Path) -> None:
        super().__init__(connect, folder)
        self.mark = folder / "in-use"

    def run(self, cursor: Any, sql: str, parameters: Any) -> None:
        if sql.startswith("BEGIN"):
            if self.mark.exists():
                raise BackendError(f"{self.mark} says that the database is in use")
            self.mark.touch()
        cursor.execute(sql, parameters)
        if sql in ("COMMIT", "ROLLBACK"):
            self.mark.unlink()


class Blunt(Connection):
    """Raises errors of its own making."""

    def run(self, cursor: Any, sql: str, parameters: Any) -> None:
        try:
            cursor.execute(sql, parameters)
        except sqlite3.OperationalError as error:
            if "no such table" in str(error):
                raise
            raise RuntimeError(f"E{len(str(error))}") from error


BROKEN: dict[str, type[Connection]] = {
    "lazy": Lazy,
    "replaying": Replaying,
    "content": Content,
    "lockless": Lockless,
    "byclock": ByClock,
    "trimming": Trimming,
    "reconnecting": Reconnecting,
    "guarded": Guarded,
    "blunt": Blunt,
    "hiding": Connection,
    "boasting": Connection,
}
OTHER = {
    "hiding": {"persistent", "processes", "readonly", "backup"},
    "boasting": {"persistent", "processes", "readonly", "full-text", "backup"},
}


@hookimpl
def register_backends() -> Iterator[Backend]:
    (honest,) = sqlite.register_backends()
    for scheme, kind in BROKEN.items():
        yield replace(
            honest,
            scheme=scheme,
            open=_opening(honest, scheme, kind),
            capabilities=OTHER.get(scheme, honest.capabilities),
        )


def _opening(honest: Backend, scheme: str, kind: type[Connection]) -> Callable[..., Any]:
    def opens(url: str, settings: Any) -> Any:
        opened: Any = honest.open(url.replace(scheme, "sqlite", 1), settings)
        folder = opened.folder.parent
        changes = {"full_text": None, "statements": None} if scheme == "boasting" else {}
        return replace(opened, connect=lambda: kind(opened.connect, folder), **changes)

    return opens
