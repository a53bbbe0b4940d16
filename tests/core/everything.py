"""A store with rows of every kind that can be archived, and its tables as they stand."""

from __future__ import annotations

from typing import Any

import wilk
from wilk.models.base import JsonField, TimeField
from wilk.services.embedding.passages import SOURCES
from wilk.services.keeping.kinds import KINDS
from wilk.services.vectors import spaces

BEGIN = 1_700_000_000_000_000
JSON = (
    {"n": 1, "deep": [{"x": None}]},
    None,
    [1, 2.5, "ü"],
    {"$wilk": ["text", "no"]},
    {"big": 2**70, "nan": float("inf")},
    "nul \0 and \ud800",
)


def tables(store: wilk.Store, *, archive: bool = False) -> dict[str, list[tuple[Any, ...]]]:
    """Every table's rows, without the full-text index's own tables; without the archive unless asked.

    Numbers that count up whenever a vector or a passage is written anew are left out, and what is still
    to be embedded.
    """
    with store._engine.reading():
        names = store._engine.database.get_tables()
    return {
        name: sorted(store._engine.execute(f'SELECT {_columns(store, name)} FROM "{name}"'), key=repr)
        for name in names
        if "_fts" not in name
        and not name.endswith("_words")
        and name != "pending_vectors"
        and (archive or name != "archive")
    }


GROWING = {
    "passages": {"pk"},
    "vectors": {"number"},
    "vector_tags": {"pk", "number"},
    "vector_spaces": {"last_number", "updated_at"},
}


def _columns(store: wilk.Store, table: str) -> str:
    with store._engine.reading():
        columns = [column.name for column in store._engine.database.get_columns(table)]
    return ", ".join(f'"{column}"' for column in columns if column not in GROWING.get(table, ()))


def fill(store: wilk.Store) -> dict[str, list[tuple[Any, ...]]]:
    """Put rows of every kind into a store; return the keys of each kind's rows.

    Sessions, messages, users and groups come through their verbs; the others hold whatever their
    columns take, with values that are hard to keep.
    """
    for n in range(2):
        store.users.save(f"user-{n}", name=f"User {n}", metadata={"n": n})
        store.groups.save(f"group-{n}", name=f"Group {n}")
        store.groups.add(f"group-{n}", f"user-{n}", role="owner")
        store.sessions.create(id=f"session-{n}", user="user-0" if n else None, metadata={"$wilk": n})
        store.messages.extend(
            f"session-{n}",
            [{"role": "user", "text": f"word{m} \0 \ud800" if m == 2 else f"word{m}", "key": f"k{m}",
              "parts": [JSON[m]], "interaction": "i", "tokens": m} for m in range(4)],
        )  # fmt: skip
    for name in KINDS:
        if name not in ("user", "group", "membership", "session", "message", "vector"):
            for n in range(3):
                _insert(store, name, n)
    _fill_vectors(store)
    return {name: keys(store, name) for name in KINDS}


def _fill_vectors(store: wilk.Store) -> None:
    """Vectors of a collection of the caller's own, with metadata, and of a message and a pin; passages."""
    with store.transaction():
        for kind in SOURCES:
            store._following.rebuild(kind, [str(key[0]) for key in keys(store, kind)], queue=False)
    message = store.messages.last("session-0", 1)[0].id
    with store.transaction():
        for collection, kind, record in (
            ("own", None, "x/1"),
            ("message", "message", message),
            ("pin", "pin", "pin-0"),
        ):
            space = spaces.make(
                store._engine, collection, model="m", dimension=2, distance="cosine", kind=kind
            )
            metadata = {} if kind else {"deep": {"n": 1}, "tags": ["a", "ü"]}
            data = b"\0\0\x80?\xff\xff\x7f\x7f"
            entries = [spaces.Entry(record, part, data, metadata) for part in range(2)]
            spaces.write(store._engine, store._archiver, space, entries)


def keys(store: wilk.Store, name: str) -> list[tuple[Any, ...]]:
    """The keys of all rows of a kind."""
    one = KINDS[name]
    model: Any = one.model()
    fields = [model._meta.combined[field] for field in one.key]
    return sorted(store._engine.select(model.select(*fields)))


def condition(name: str, key: tuple[Any, ...]) -> Any:
    """The condition on the row of that key."""
    one = KINDS[name]
    model: Any = one.model()
    found = None
    for field, value in zip(one.key, key, strict=True):
        each = model._meta.combined[field] == value
        found = each if found is None else found & each
    return found


def _insert(store: wilk.Store, name: str, n: int) -> None:
    model: Any = KINDS[name].model()
    values = {
        field: _value(name, field, n, place)
        for place, field in enumerate(model._meta.sorted_fields)
        if field.name != "pk"
    }
    store._engine.run(model.insert(values))


def _value(name: str, field: Any, n: int, place: int) -> Any:
    parents = {"session": f"session-{n % 2}", "interaction": "interaction-0", "world_model": "world_model-0"}
    if getattr(field, "rel_model", None) is not None:
        return parents[field.name]
    if field.name == "conversation_id":
        return f"document-{n}" if name == "chunk_info" else "document-0"
    if name == "block" and field.name.startswith("owner"):
        owner = ("session", "user", "agent")[n]
        return owner if field.name == "owner_kind" else f"{owner}-0"
    if field.name == "session_id":
        return f"session-{n % 2}"
    if field.name != "id" and field.null and n == 1 and not isinstance(field, JsonField):
        return None
    if isinstance(field, JsonField):
        return JSON[(n + place) % len(JSON)] if field.empty is None else (field.empty() if n else {"n": 1})
    if isinstance(field, TimeField):
        return BEGIN + n * 1_000_000
    kind = type(field).__name__
    if kind == "IntegerField":
        return n + 1
    if kind == "FloatField":
        return n / 3
    if kind == "BooleanField":
        return bool(n % 2)
    if field.name == "original":  # of a text that no database keeps, as JSON
        return f'"a\\u0000 {n}"'
    return f"{name}-{n}" if field.name in ("id", "key") else f"{field.name} {n} ü"
