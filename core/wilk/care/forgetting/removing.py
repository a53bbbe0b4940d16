"""The one place from which rows go without being archived: a person's right to be forgotten.

Everything else that leaves a table leaves it through ``services/keeping/archiver.py``.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from collections.abc import Set as AbstractSet
from typing import Any

from wilk import codec, models
from wilk.care.forgetting.closure import Found, Key
from wilk.care.forgetting.gathering import contents
from wilk.care.forgetting.links import DISTINCTIVE, REFERENCES, Gone
from wilk.care.forgetting.needles import Needles
from wilk.care.forgetting.rows import Rows, chunks, name
from wilk.errors import WilkError

FORGOTTEN = "(forgotten)"
"""What takes the place of an id in the reports of imports."""

JSON = frozenset(
    ["active_agents", "arguments", "before", "after", "constraints", "context", "data", "details", "entities",
     "goals", "items", "last_key", "left_out", "merged_from", "metadata", "metrics", "object", "parts",
     "planned_actions", "query_context", "relations", "report", "request", "result", "sequence", "sources",
     "tags", "value"]
)  # fmt: skip
_UNTOUCHED = frozenset(
    ["agents", "prompts", "personas", "presets", "definitions", "revisions", "definition_files", "blobs",
     "forgotten", "certificates", "imports", "moves", "installations", "registry_packages", "vector_spaces",
     "indexed_kinds"]
)  # fmt: skip
_WORDS = re.compile(r"[^\w.@+-]+")
_WORD = re.compile(r"[\w.@+-]{8,}")
_STRING = re.compile(r'"((?:[^"\\]|\\.){8,200})"')


def remove(rows: Rows, found: Found) -> dict[str, int]:
    """Delete what was found, within a transaction of the caller's; return how many rows went, by table."""
    counts: dict[str, int] = {}
    for table, key, keys in found.rows():
        if table == "vectors":
            _untag(rows, keys)
        counts[table] = _delete(rows, table, key, keys)
    for space in found.spaces:
        rows.execute(
            f'UPDATE "vector_spaces" SET "count" = (SELECT COUNT(*) FROM "vectors" '
            f'WHERE "space_id" = {rows.mark}) WHERE "id" = {rows.mark}',
            [space, space],
        )
    return counts


def foreign(rows: Rows) -> list[str]:
    """The tables that are not wilk's: those of plugins."""
    own = {model._meta.table_name for model in models.every()}
    return [
        table
        for table in rows.columns
        if table not in own
        and "_fts" not in table
        and not table.endswith("_migrations")
        and rows.keys.get(table)
    ]


def naming(rows: Rows, table: str, gone: Gone) -> set[Key]:
    """The keys of rows, of a table that nobody here knows, in which a text is or names an id that goes."""
    ids = {id for some in gone.ids.values() for id in some if len(id) >= DISTINCTIVE}
    key = rows.keys[table]
    others = [column for column in rows.columns[table] if column not in key]
    found: set[Key] = set()
    for row in rows.pages(table, others, key) if ids else ():
        for value in row:
            if names_one(value, ids):
                found.add(tuple(row[: len(key)]))
    return found


def names_one(value: Any, ids: AbstractSet[str]) -> bool:
    """Whether a value is one of some ids, or names one in a sentence."""
    return isinstance(value, str) and not ids.isdisjoint((value, *_WORDS.split(value)))


def remove_foreign(rows: Rows, gone: Gone, needles: Needles) -> dict[str, int]:
    """Delete rows of plugins' tables that name an id which goes: in copies, where no plugin is asked."""
    counts: dict[str, int] = {}
    for table in foreign(rows):
        if keys := naming(rows, table, gone):
            for row in contents(rows, table, rows.keys[table], keys):
                needles.row(row)
            counts[table] = _delete(rows, table, rows.keys[table], keys)
    return counts


def empty(rows: Rows, table: str) -> int:
    """Delete all rows of a table that can be computed again; return how many there were."""
    if not rows.has(table):
        return 0
    ((count,),) = rows.execute(f"SELECT COUNT(*) FROM {name(table)}")
    if count:
        rows.execute(f"DELETE FROM {name(table)}")
    return int(count)


def cut(rows: Rows, found: Found) -> int:
    """Take the ids of what went out of rows that stay; return how many rows were changed."""
    changed, gone = 0, found.gone
    for table, references in REFERENCES.items():
        for column, kind in references.items():
            if rows.has(table, column):
                changed += _null(rows, table, column, gone.ids.get(kind, ()))
    wanted = {id for ids in gone.ids.values() for id in ids if len(id) >= DISTINCTIVE}
    if rows.has("imports", "id", "report"):
        changed += _cut_reports(rows, wanted | {key for _, _, key in found.ledger if len(key) >= DISTINCTIVE})
    if not wanted:
        return changed
    for table, columns in rows.columns.items():
        some = [column for column in columns if column in JSON]
        if some and rows.keys.get(table) and table not in _UNTOUCHED:
            changed += _cut_json(rows, table, rows.keys[table], some, wanted)
    return changed


def _cut_json(rows: Rows, table: str, key: Sequence[str], columns: list[str], wanted: set[str]) -> int:
    there = "(" + " OR ".join(f"{name(column)} IS NOT NULL" for column in columns) + ")"
    changes: list[tuple[str, list[Any]]] = []
    width = len(key)
    for row in rows.pages(table, columns, key, there):
        for column, text in zip(columns, row[width:], strict=True):
            if not isinstance(text, str) or wanted.isdisjoint(_STRING.findall(text)):
                continue
            try:
                value = codec.loads(text)
            except (ValueError, WilkError):
                continue
            kept = _without(value, wanted)
            changes.append((column, [codec.dumps(kept), *row[:width]]))
    condition = " AND ".join(f"{name(one)} = {rows.mark}" for one in key)
    for column, values in changes:
        rows.execute(f"UPDATE {name(table)} SET {name(column)} = {rows.mark} WHERE {condition}", values)
    return len(changes)


def _without(value: Any, wanted: set[str]) -> Any:
    """A value without ids: gone from lists and as keys, and None in their place elsewhere."""
    if isinstance(value, dict):
        return {key: _without(one, wanted) for key, one in value.items() if key not in wanted}
    if isinstance(value, list):
        return [_without(one, wanted) for one in value if not (isinstance(one, str) and one in wanted)]
    return None if isinstance(value, str) and value in wanted else value


def _cut_reports(rows: Rows, wanted: set[str]) -> int:
    """Take ids, and the keys by which importers knew what goes, out of the reports of imports, also where a
    sentence names one."""
    changed = 0
    for id, text in rows.pages("imports", ["report"], ["id"], '"report" IS NOT NULL'):
        kept = _WORD.sub(lambda found: FORGOTTEN if found[0] in wanted else found[0], text)
        if kept != text:
            rows.execute(f'UPDATE "imports" SET "report" = {rows.mark} WHERE "id" = {rows.mark}', [kept, id])
            changed += 1
    return changed


def _null(rows: Rows, table: str, column: str, ids: Iterable[str]) -> int:
    changed = 0
    for some in chunks(ids):
        marks = ", ".join([rows.mark] * len(some))
        condition = f"{name(column)} IN ({marks})"
        ((count,),) = rows.execute(f"SELECT COUNT(*) FROM {name(table)} WHERE {condition}", some)
        if count:
            also = ', "fork_sequence" = NULL' if column == "fork_of" else ""
            rows.execute(f"UPDATE {name(table)} SET {name(column)} = NULL{also} WHERE {condition}", some)
            changed += count
    return changed


def _untag(rows: Rows, keys: Iterable[Key]) -> None:
    """Delete the tags of vectors."""
    if not rows.has("vector_tags", "space_id", "number"):
        return
    if numbers := list(rows.where("vectors", ["space_id", "number"], "pk", [one[0] for one in keys])):
        rows.many(
            f'DELETE FROM "vector_tags" WHERE "space_id" = {rows.mark} AND "number" = {rows.mark}', numbers
        )


def _delete(rows: Rows, table: str, key: Sequence[str], keys: Iterable[Key]) -> int:
    gone = list(keys)
    if len(key) == 1:
        for some in chunks(one[0] for one in gone):
            marks = ", ".join([rows.mark] * len(some))
            rows.execute(f"DELETE FROM {name(table)} WHERE {name(key[0])} IN ({marks})", some)
    else:
        condition = " AND ".join(f"{name(one)} = {rows.mark}" for one in key)
        rows.many(f"DELETE FROM {name(table)} WHERE {condition}", gone)
    return len(gone)
