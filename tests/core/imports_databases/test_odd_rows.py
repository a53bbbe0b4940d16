"""Columns that hold what they never should: the run goes on to its end, whatever the type."""

from __future__ import annotations

import shutil
import sqlite3
from pathlib import Path

import pytest
from tests.core.imports_databases import databases
from tests.core.imports_databases.databases import MADE

import wilk

pytestmark = [pytest.mark.slow, pytest.mark.sqlite]

ODD = (
    7,
    -1.5e300,
    b"\xff\x00odd",
    "odd",
    "[1, {}]",
    '{"a": []}',
    None,
    2**62,
    "\ud800".encode(errors="surrogatepass"),
)


def columns(path: Path) -> list[tuple[str, str]]:
    with sqlite3.connect(path) as connection:
        tables = connection.execute(
            "SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite_%' AND sql NOT LIKE '%VIRTUAL%'"
        ).fetchall()
        found = [
            (table, row[1])
            for (table,) in tables
            for row in connection.execute(f'PRAGMA table_info("{table}")')
            if "_fts_" not in table
        ]
    connection.close()
    return found


@pytest.mark.parametrize(
    "name", [*(name for name in MADE if name != "typingcloud"), "advanced", "embeddings"]
)
def test_no_value_of_any_column_stops_a_run(name: str, store: wilk.Store, tmp_path: Path) -> None:
    others = {
        "advanced": ("openai-agents", databases.openai_agents_advanced),
        "embeddings": ("llm", databases.llm_embeddings),
    }
    importer, make = others.get(name) or (name, MADE[name][1])
    path = make(tmp_path / "sound.db")
    for number, (table, column) in enumerate(columns(path)):
        for value in (ODD[number % len(ODD)], ODD[(number + 4) % len(ODD)], ODD[(number * 5 + 2) % len(ODD)]):
            odd = tmp_path / "odd.db"
            shutil.copy(path, odd)
            try:
                databases.change(
                    odd, f'UPDATE OR IGNORE "{table}" SET "{column}" = ? WHERE rowid IN (1, 2)', value
                )
            except sqlite3.IntegrityError:  # the number of a row takes no other value
                continue
            result = store.imports.run(importer, odd)
            assert result.status == "finished", (table, column, value)
