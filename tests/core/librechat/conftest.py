"""What the tests of LibreChat's import and export share."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from tests.core.librechat import documents

import wilk
from wilk import models
from wilk.records.transfer import MigrationResult

Collections = Mapping[str, Iterable[Mapping[str, Any]]]
_VOLATILE = {"pk", "run_id", "run", "synced_at", "stat", "sequence_"}
_OF_THE_CLOCK = {
    "agents", "prompts", "presets", "revisions", "definitions", "groups", "memberships", "users",
    "imported_records", "tool_calls", "documents", "memories",
}  # fmt: skip


@pytest.fixture
def take(store: wilk.Store, tmp_path: Path) -> Callable[..., MigrationResult]:
    """Import collections into the store: ``take({"agents": [...]}, temporary="include")``."""
    count = iter(range(1000))

    def taken(collections: Collections, dry_run: bool = False, **options: str) -> MigrationResult:
        folder = documents.write(tmp_path / f"dump{next(count)}", collections)
        given = {name.replace("_", "-"): value for name, value in options.items()}
        return store.imports.run("librechat", folder, options=given, dry_run=dry_run)

    return taken


@pytest.fixture
def another(tmp_path: Path) -> Iterator[Callable[[str], wilk.Store]]:
    """Open further stores."""
    with ExitStack() as closing:
        yield lambda name: closing.enter_context(wilk.open_store(home=tmp_path / name))


def rows(store: wilk.Store, *, times: bool = False) -> dict[str, list[dict[str, Any]]]:
    """All that a store holds, but for ids of runs and times that its own clock gave."""
    found = {}
    for model in (
        models.User, models.Group, models.Membership, models.Agent, models.Prompt, models.Preset,
        models.Revision, models.Session, models.Message, models.BranchMessage, models.ToolCall,
        models.Document, models.Memory, models.ArchiveEntry, models.ImportedRecord,
    ):  # fmt: skip
        meta: Any = model._meta
        names = [field.column_name for field in meta.sorted_fields]
        left = set(_VOLATILE)
        if not times and meta.table_name in _OF_THE_CLOCK:
            left |= {"created_at", "updated_at", "started_at", "finished_at"}
        if meta.table_name == "imported_records":
            left |= {"content_hash"}
        table = [dict(zip(names, row, strict=True)) for row in store._engine.select(model.select())]
        for row in table:
            for name in left:
                row.pop(name, None)
        found[meta.table_name] = sorted(table, key=repr)
    return found
