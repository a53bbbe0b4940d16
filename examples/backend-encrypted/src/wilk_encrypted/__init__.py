"""Encrypted backend for wilk: one SQLite file, every page of it encrypted.

``encrypted:///path/to/file.db``; the key comes from ``WILK_ENCRYPTED_KEY``, or from the file that
config.yaml names (``plugins: {encrypted: {key_file: ...}}``). It is never part of the URL.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from wilk import Backend, BackendError, Opened, SettingsError, hookimpl

if TYPE_CHECKING:
    from wilk import Settings


@hookimpl
def register_backends() -> Iterator[Backend]:
    yield Backend(
        scheme="encrypted",
        open=open_encrypted,
        capabilities=frozenset({"persistent", "processes"}),
        summary="one encrypted SQLite file (encrypted:///path), key in WILK_ENCRYPTED_KEY",
    )


def open_encrypted(url: str, settings: Settings) -> Opened:
    """Open the file, made on first use. Raises BackendError when the key is not the file's."""
    from peewee import DatabaseError

    from wilk_encrypted.driver import EncryptedDatabase  # drivers are imported when opened

    if settings.readonly:
        raise SettingsError("an encrypted store opens for writing only; leave readonly out")
    file = Path(url.removeprefix("encrypted:///")).expanduser().absolute()
    file.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    database = EncryptedDatabase(str(file), key=_key(settings), timeout=settings.timeout)
    lock = file.with_name(file.name + ".lock")
    try:
        with _alone(lock), database.connection_context():
            pass  # connecting switches a new file to WAL, and reads the first page
    except DatabaseError as error:
        raise BackendError(
            f"{file} does not open with this key ({error}); give the key it was made with"
        ) from error
    return Opened(database, migration_lock=lambda: _alone(lock))


def _key(settings: Settings) -> str:
    key_file = settings.plugins.get("encrypted", {}).get("key_file")
    if key_file:
        return Path(key_file).expanduser().read_text().strip()
    key = os.environ.get("WILK_ENCRYPTED_KEY")
    if not key:
        raise SettingsError("an encrypted store needs a key: set WILK_ENCRYPTED_KEY")
    return key


@contextmanager
def _alone(lock: Path) -> Iterator[None]:
    """Let one process at a time make or migrate the file."""
    with closing(sqlite3.connect(lock, timeout=60, isolation_level=None)) as connection:
        connection.execute("BEGIN EXCLUSIVE")
        yield
