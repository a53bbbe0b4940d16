"""Large databases: what is in memory does not grow with them."""

from __future__ import annotations

import sqlite3
import tracemalloc
from pathlib import Path

import pytest
from tests.core.imports_databases import databases

import wilk

pytestmark = [pytest.mark.slow, pytest.mark.sqlite]


def large(path: Path, rows: int, a_session: int = 100) -> Path:
    """kalito.db with so many messages in sessions of a hundred, and no index."""
    databases.database(path, databases.KALITO, {})
    with sqlite3.connect(path) as connection:
        connection.execute(
            "WITH RECURSIVE n(i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i + 1 < ?) "
            "INSERT INTO sessions (id, name, saved) SELECT 'session-' || i, 'Talk', 1 FROM n",
            (rows // a_session,),
        )
        connection.execute(
            "WITH RECURSIVE n(i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i + 1 < ?) "
            "INSERT INTO messages (session_id, role, text, created_at) "
            "SELECT 'session-' || (i % ?), 'user', 'Line ' || i || hex(zeroblob(200)), '2025-01-01' FROM n",
            (rows, rows // a_session),
        )
    connection.close()
    return path


def peak(store: wilk.Store, path: Path) -> int:
    tracemalloc.start()
    try:
        result = store.imports.run("kalito", path, dry_run=True)
        assert not result.errors
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def test_reading_ten_times_as_much_takes_no_more_memory(store: wilk.Store, tmp_path: Path) -> None:
    small = peak(store, large(tmp_path / "small.db", 10_000))
    ten_times = peak(store, large(tmp_path / "large.db", 100_000))
    # 8 bytes a row are the numbers of rows by their session.
    assert ten_times < small + 100_000 * 8 * 3 + 2_000_000


def test_a_hundred_thousand_messages_come_in(store: wilk.Store, tmp_path: Path) -> None:
    path = large(tmp_path / "large.db", 100_000, 1000)
    result = store.imports.run("kalito", path)
    assert [one.created for one in result.kinds if one.kind == "messages"] == [100_000]
    assert store.messages.last("session-0", 1)[0].text.startswith("Line 99900")
    again = store.imports.run("kalito", path)
    assert (again.created, again.updated) == (0, 0)
