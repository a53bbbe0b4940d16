"""The driver: Peewee over apsw, whose SQLite encrypts every page (SQLite3 Multiple Ciphers)."""

from __future__ import annotations

from typing import Any

import apsw
from playhouse.apsw_ext import APSWDatabase


class EncryptedDatabase(APSWDatabase):
    """A database that gives every new connection the key before anything else."""

    def __init__(self, file: str, *, key: str, timeout: float) -> None:
        self._secret = key
        super().__init__(file, timeout=timeout, lock_type="IMMEDIATE")

    def _add_conn_hooks(self, connection: apsw.Connection) -> None:
        connection.cursor_factory = _Cursor
        connection.convert_binding = _bindable
        connection.pragma("key", self._secret)
        connection.pragma("foreign_keys", 1)
        connection.pragma("journal_mode", "wal")
        super()._add_conn_hooks(connection)


class _Cursor(apsw.Cursor):
    """A cursor with the attributes that those of other drivers have."""

    @property
    def rowcount(self) -> int:
        return self.connection.changes()

    @property
    def description(self) -> Any:
        try:
            return self.get_description()
        except apsw.ExecutionCompleteError:  # there are no rows to describe
            return None


def _bindable(_cursor: apsw.Cursor, _place: int, value: Any) -> int | str:
    """Give booleans and times the forms that the standard driver gives them."""
    return int(value) if isinstance(value, bool) else str(value)
