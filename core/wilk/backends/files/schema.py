"""``schema.json``: how the index was built, so that it can be built again from the tree alone.

It has the tables and indexes as SQL, and which migrations were applied. An index that is built again is
at the schema of the tree, and is migrated from there like any other.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from wilk import codec
from wilk.backends.files.rows import Execute, quoted

FORMAT = 1


def schema_file(execute: Execute) -> bytes:
    """The content of ``schema.json``."""
    objects = execute(
        "SELECT name, sql FROM main.sqlite_master WHERE type IN ('table', 'index') AND sql IS NOT NULL "
        "AND name NOT LIKE '%\\_fts%' ESCAPE '\\' AND tbl_name NOT LIKE '%\\_fts%' ESCAPE '\\' "
        "AND name NOT LIKE 'sqlite\\_%' ESCAPE '\\' ORDER BY type DESC, rootpage"
    )
    migrations = {
        name: [list(row) for row in execute(f"SELECT id, name, applied FROM main.{quoted(name)} ORDER BY id")]
        for name, _ in objects
        if name.endswith("_migrations")
    }
    kept = {"format": FORMAT, "migrations": migrations, "schema": dict(objects)}
    return codec.file_text(kept, indent=True) + b"\n"


def build(execute: Execute, kept: Mapping[str, Any]) -> None:
    """Build empty tables by the content of ``schema.json``, with what migrations were applied."""
    for sql in kept["schema"].values():
        execute(sql)
    for name, rows in kept["migrations"].items():
        for row in rows:
            execute(f"INSERT INTO main.{quoted(name)} (id, name, applied) VALUES (?, ?, ?)", row)
