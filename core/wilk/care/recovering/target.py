"""The new database: made by the migrations that the damaged one had, then brought to today's schema."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import quote

from wilk import models
from wilk.clock import Clock
from wilk.contracts import Opened
from wilk.engine import Engine
from wilk.errors import SchemaError
from wilk.host import Host
from wilk.migrations import runner
from wilk.models.base import JsonField
from wilk.settings import Settings


class Set(NamedTuple):
    """Migrations of one owner: the table that names those that were applied, and all there are."""

    table: str
    folder: Path
    owner: str
    names: tuple[str, ...]


def sets(host: Host) -> list[Set]:
    """wilk's migrations, and those of the plugins."""
    found = [Set(runner.TABLE, runner.FOLDER, "wilk", _names(runner.FOLDER))]
    for one in host.model_sets():
        folder = Path(one.migrations)
        found.append(Set(f"{one.name}_migrations", folder, f"plugin {one.name}", _names(folder)))
    return found


def newest(host: Host) -> dict[str, str | None]:
    """The last migration of each set that there is."""
    return {one.table: max(one.names, default=None) for one in sets(host)}


def _names(folder: Path) -> tuple[str, ...]:
    return tuple(sorted(file.stem for file in folder.glob("[0-9]*_*.py")))


def json_columns(host: Host) -> dict[str, set[str]]:
    """The columns that hold JSON, of wilk's models and of the plugins'."""
    found: dict[str, set[str]] = {}
    for model in (*models.every(), *(model for one in host.model_sets() for model in one.models())):
        fields = model._meta.sorted_fields
        found[model._meta.table_name] = {one.column_name for one in fields if isinstance(one, JsonField)}
    return found


def settings_for(settings: Settings, file: Path) -> Settings:
    """Settings under which nothing goes on behind the store."""
    return replace(
        settings,
        home=None,
        url=f"sqlite:///{quote(str(file))}",
        readonly=False,
        bus="none",
        embedder="none",
        archive="table",
        retention={},
        consolidation="manual",
    )


def make(file: Path, host: Host, settings: Settings, applied: Mapping[str, str | None]) -> None:
    """Make a database with the migrations up to the given ones, by the set's table; None leaves a set out."""
    chosen = settings_for(settings, file)
    opened: Any = host.backend("sqlite").open(chosen.url, chosen)
    if not isinstance(opened, Opened):
        opened = Opened(opened)
    engine = Engine(opened, Clock(), timeout=chosen.timeout, readonly=False)
    try:
        with engine.pinned():
            for one in sets(host):
                last = applied.get(one.table)
                if last is not None:
                    runner.apply(engine, opened, one.folder, one.table, last=last)
    finally:
        engine.close()


def versions(
    host: Host, recorded: Callable[[str], set[str]], there: set[str], *, whole: bool
) -> dict[str, str | None]:
    """The last migration that a database had of each set: as it recorded them (``recorded(table)``), else
    the newest. A set without a table has none, if the list of tables is ``whole``.

    Raises SchemaError for a database of a newer wilk, or of a newer plugin.
    """
    found: dict[str, str | None] = {}
    for one in sets(host):
        names = recorded(one.table)
        if unknown := names - set(one.names):
            raise SchemaError(
                f"the database was written by a newer {one.owner} (it has {max(unknown)}); "
                f"upgrade {one.owner}, and recover it then"
            )
        if names:
            found[one.table] = max(names)
        elif one.table in there or not whole:
            found[one.table] = max(one.names, default=None)
        else:
            found[one.table] = None
    return found
