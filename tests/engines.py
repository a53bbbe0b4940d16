"""What tests do to a store's database past its verbs, on whichever engine it lies."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import wilk


def ask(store: wilk.Store, sql: str, parameters: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
    """Run SQL with ``?`` for its values, and fetch the rows as the engine holds them."""
    return store._engine.execute(sql.replace("?", store._engine.database.param), parameters)


def kept(store: wilk.Store) -> bytes:
    """All that the database holds: its rows as text, and the bytes of SQLite's file."""
    engine = store._engine
    with engine.reading():
        tables = engine.database.get_tables()
    rows = repr([engine.execute(f'SELECT * FROM "{table}"') for table in tables]).encode()
    if not store.settings.url.startswith("sqlite:"):
        return rows
    engine.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    ((_, _, file),) = engine.execute("PRAGMA database_list")
    return rows + Path(file).read_bytes()


@contextmanager
def held() -> Iterator[Callable[[], None]]:
    """Hold the right to write by another store, as another process would; gives what ends that."""
    with wilk.open_store() as other, ExitStack() as stack:
        stack.enter_context(other.transaction())
        yield stack.close
