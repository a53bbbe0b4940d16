"""Nothing is lost: every row that leaves its table lies in the archive, whichever verb took it away."""

from __future__ import annotations

import json
import re
from base64 import b64decode
from collections import Counter
from collections.abc import Callable
from functools import cached_property
from inspect import getattr_static
from pathlib import Path
from typing import Any

import pytest

import wilk
from wilk import models
from wilk.models import _FAMILY
from wilk.services.keeping.kinds import KINDS

from .everything import fill
from .packaging import Shelf, package

TAKES_AWAY = re.compile(
    "(?:remove|drop|clear|delete|discard|purge|prune|archive|replace|divide|compact|uncompact|forget|expire|evict"
    "|sweep|run|merge|consolidate|promote|deactivate|retract|restore|save_sequence|set|save|update)"
)
"""Names of verbs that take rows away, or may do so one day."""

DERIVED = {"cache_entries", "passages", "pending_vectors", "vector_tags", "registry_packages"}
"""Tables whose rows can be computed again."""

KEPT = {
    "agents": "definitions are marked as archived and stay",
    "definition_files": "bookkeeping of files: a row per file",
    "revisions": "the history of definitions",
    "definitions": "definitions are marked as archived and stay",
    "personas": "definitions are marked as archived and stay",
    "presets": "definitions are marked as archived and stay",
    "prompts": "definitions are marked as archived and stay",
    "blobs": "contents of manifests and results of tools, each kept once; nothing takes them away",
    "cache_entries": "can be computed again",
    "archive": "the archive itself",
    "passages": "copies of records' texts, made anew with them",
    "pending_vectors": "what is still to be done",
    "vector_tags": "values of vectors' metadata, made anew with them",
    "vector_spaces": "spaces stay, so that no other one gets their id",
    "indexed_kinds": "bookkeeping: a row per kind",
    "registry_packages": "what sources offer, asked for again",
    "moves": "bookkeeping of moves into this database: a row per table",
    "imports": "bookkeeping: a row per run of an importer",
    "imported_records": "bookkeeping: what records of other programs became here",
    "forgotten": "marks that keep what was forgotten from coming back",
    "certificates": "what was forgotten, in numbers",
    "repairs": "rows as they were before a repair, by which it is undone",
}
"""Tables whose rows never leave, and why."""


def watch(store: wilk.Store) -> None:
    """Let the engine itself note every row that is deleted, by triggers on every table."""
    engine = store._engine
    engine.execute("CREATE TABLE test_deleted (name TEXT, was TEXT)")
    with engine.reading():
        tables = engine.database.get_tables()
    if on_postgresql(store):
        engine.execute(
            "CREATE FUNCTION test_noted() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN "
            "INSERT INTO test_deleted VALUES (TG_TABLE_NAME, to_jsonb(old)::text); RETURN NULL; END $$"
        )
    for name in tables:
        if "_fts" in name or name.startswith("test_") or name.endswith("_words"):
            continue
        if on_postgresql(store):
            engine.execute(
                f'CREATE TRIGGER "test_{name}" AFTER DELETE ON "{name}" FOR EACH ROW EXECUTE FUNCTION test_noted()'
            )
            continue
        columns = " || ',' || ".join(f'quote(old."{column}")' for column in columns_of(store, name))
        engine.execute(
            f'CREATE TRIGGER "test_{name}" AFTER DELETE ON "{name}" BEGIN '
            f"INSERT INTO test_deleted VALUES ('{name}', {columns}); END"
        )


def columns_of(store: wilk.Store, table: str) -> list[str]:
    with store._engine.reading():
        return [column.name for column in store._engine.database.get_columns(table)]


def on_postgresql(store: wilk.Store) -> bool:
    return store.settings.url.startswith("postgresql:")


def deleted(store: wilk.Store) -> Counter[tuple[str, str]]:
    """What the triggers saw go: table and all columns."""
    return Counter(
        (name, canonical(json.loads(was)) if on_postgresql(store) else was)
        for name, was in store._engine.execute("SELECT name, was FROM test_deleted")
        if name not in DERIVED
    )


def canonical(row: dict[str, Any]) -> str:
    """A row as PostgreSQL tells it in JSON: bytes in hexadecimal, and no difference between 1 and 1.0."""
    told = {
        column: "\\x" + value.hex() if isinstance(value, bytes) else value for column, value in row.items()
    }
    return repr(
        sorted(
            (column, int(value) if isinstance(value, float) and value.is_integer() else value)
            for column, value in told.items()
        )
    )


def archived(store: wilk.Store) -> Counter[tuple[str, str]]:
    """What lies in the archive, in the same form."""
    found: Counter[tuple[str, str]] = Counter()
    for entry in store.archive.list(limit=100_000):
        table = KINDS[entry.kind].model()._meta.table_name
        columns = columns_of(store, table)
        assert set(entry.data) == set(columns)
        quoted = " || ',' || ".join("quote(?)" for _ in columns)
        values = [
            b64decode(entry.data[column]) if (table, column) == ("vectors", "data") else entry.data[column]
            for column in columns
        ]
        if on_postgresql(store):
            found[table, canonical(dict(zip(columns, values, strict=True)))] += 1
            continue
        (row,) = store._engine.execute(f"SELECT {quoted}", values)
        found[table, row[0]] += 1
    return found


def talk(store: wilk.Store) -> str:
    """A session that can be compacted."""
    session = store.sessions.create(id="long", max_tokens=100).id
    turns = [
        {"role": role, "text": f"some words {n}", "tokens": 20}
        for n in range(10)
        for role in ("user", "assistant")
    ]
    store.messages.extend(session, turns)
    store.settle()
    return session


def conversation(store: wilk.Store, id: str = "c") -> str:
    store.raw_messages.save(id, [{"role": "user", "content": f"text {n} " * 30} for n in range(12)])
    store.chunks.divide(id, chunk_tokens=100, tail_tokens=100)
    return id


def shorten(store: wilk.Store) -> None:
    store.raw_messages.save(conversation(store), [{"role": "user", "content": "another"}])
    store.chunks.divide("c", chunk_tokens=10, tail_tokens=10)


def consolidate(store: wilk.Store) -> None:
    for n in range(25):
        store.interactions.add(f"query {n}", session="session-0", actions=[{"action_type": "read"}])
    store.consolidation.run(interactions=2, working=2, episodic=2)


def compact_and_back(store: wilk.Store) -> None:
    session = talk(store)
    store.memory.compact(session, keep_messages=4)
    store.memory.uncompact(session)


def retain(store: wilk.Store) -> None:
    rules: dict[str, Any] = {"session": {"count": 1}, "temporary_sessions": "0s"}
    for name in (
        "tool_call",
        "manifest",
        "pin",
        "block",
        "fact",
        "document",
        "memory",
        "interaction",
        "world_model",
    ):
        rules[name] = {"count": 0}
    store.retention.run(rules)


def uninstall(store: wilk.Store) -> None:
    assert store.home is not None
    shelf = Shelf(store.home / "shelf")
    shelf.put(package())
    store.settings.registries["main"] = str(shelf.root)  # type: ignore[index]
    store.registry.install("reviewer")
    store.registry.remove("reviewer")


Call = Callable[[wilk.Store], object]
CALLS: dict[str, Call | str] = {
    "users.remove": lambda store: store.users.remove("user-1"),
    "groups.remove": lambda store: store.groups.remove("group-0"),
    "groups.drop": lambda store: store.groups.drop("group-0", "user-0"),
    "sessions.remove": lambda store: store.sessions.remove("session-0"),
    "summaries.remove": lambda store: store.summaries.remove("summary-0"),
    "memory.compact": lambda store: store.memory.compact(talk(store), keep_messages=4),
    "memory.uncompact": compact_and_back,
    "pins.remove": lambda store: store.pins.remove("pin-0"),
    "blocks.remove": lambda store: store.blocks.remove(store.blocks.set("b", "x").label),
    "blocks.replace": "changes one text in place",
    "facts.remove": lambda store: store.facts.remove("fact-0"),
    "contexts.remove": lambda store: store.contexts.remove("manifest-0"),
    "vectors.remove": lambda store: store.vectors.remove("own", "x/1"),
    "vectors.drop": lambda store: store.vectors.drop("own"),
    "documents.remove": lambda store: store.documents.remove("document-0"),
    "documents.clear": lambda store: store.documents.clear("document-0"),
    "raw_messages.remove": lambda store: store.raw_messages.remove("document-0"),
    "raw_messages.save": shorten,
    "chunks.divide": shorten,
    "memories.remove": lambda store: store.memories.remove("memory-0"),
    "reasoning.remove": lambda store: store.reasoning.remove("reasoning_chain-0"),
    "state.remove": lambda store: store.state.remove("system_state-0"),
    "interactions.remove": lambda store: store.interactions.remove("interaction-0"),
    "interactions.archive": lambda store: store.interactions.archive(["interaction-0"]),
    "patterns.remove": lambda store: store.patterns.remove("pattern-0"),
    "patterns.archive": lambda store: store.patterns.archive(["pattern-0"], reason="old"),
    "patterns.promote": lambda store: store.patterns.promote("pattern-0"),
    "feedback.remove": lambda store: store.feedback.remove("feedback-0"),
    "preferences.remove": lambda store: store.preferences.remove(store.preferences.set("k", 1).key),
    "world_models.remove": lambda store: store.world_models.remove("world_model-0"),
    "world_models.merge": "marks the one that was merged",
    "consolidation.run": consolidate,
    "registry.remove": uninstall,
    "retention.run": retain,
    "world_models.deactivate": "sets a flag",
    "world_models.restore": "changes a record by a snapshot, which stays",
    "tools.run": "writes a call into the log",
    "imports.run": "what a source has changed goes through the archiver, which test_imports.py holds",
    "exports.run": "writes files, and only reads rows",
    "backups.restore": "puts all rows of a backup in the place of those there are, of which it makes a backup first",
    "backups.remove": "removes the files of a backup, and no row",
    "backups.prune": "removes the files of backups, and no row",
    "forgetting.run": "the one exception: what a person wants forgotten goes for good, which test_forgetting.py holds",
    "archive.restore": "takes rows out of the archive",
    "facts.retract": "sets the end of a belief",
    "memories.save_sequence": "writes one record, or changes it",
}
"""How each verb is called, or why it takes nothing away."""

CHANGING = ("set", "save", "update")
"""Verbs that write one record and take nothing away, unless the table of calls has them."""
OF_FILES = ("agents", "prompts", "personas", "presets", "definitions", "catalog")
"""Nouns whose records follow files; their rows stay."""


def verbs() -> list[str]:
    """Every public verb of every noun that may take rows away."""
    found = []
    with wilk.open_store("sqlite:///:memory:") as store:
        for noun in dir(wilk.Store):
            value = getattr_static(wilk.Store, noun)
            if not isinstance(value, cached_property) or noun.startswith("_") or noun in OF_FILES:
                continue
            for verb in dir(getattr(store, noun)):
                name = f"{noun}.{verb}"
                if TAKES_AWAY.fullmatch(verb) and (verb not in CHANGING or name in CALLS):
                    found.append(name)
    return found


@pytest.fixture
def watched(store: wilk.Store) -> wilk.Store:
    """A store with rows of every kind whose engine notes what is deleted."""
    fill(store)
    watch(store)
    return store


def test_the_table_of_calls_has_every_verb_that_takes_rows_away() -> None:
    assert set(verbs()) - set(CALLS) == set(), "say in CALLS how it is called"
    assert set(CALLS) - set(verbs()) == set(), "these verbs are gone"


@pytest.mark.parametrize("name", [name for name, call in CALLS.items() if callable(call)])
def test_what_a_verb_takes_away_lies_in_the_archive(watched: wilk.Store, name: str) -> None:
    if name == "memory.uncompact":  # its rows came back, so that their entries are empty
        watched._archiver.restore = lambda *_, **__: {}  # type: ignore[method-assign]
    call: Any = CALLS[name]
    call(watched)
    watched.settle()
    went = deleted(watched)
    assert went.total() > 0, "the call takes nothing away, so that it proves nothing"
    assert went - archived(watched) == Counter()
    assert archived(watched) - went == Counter()


@pytest.mark.parametrize("name", [name for name, why in CALLS.items() if isinstance(why, str)])
def test_a_verb_that_takes_nothing_away_says_why(name: str) -> None:
    assert CALLS[name]


def test_the_cache_goes_without(watched: wilk.Store) -> None:
    entries = watched._cache_entries
    model: Any = models.CacheEntry
    entries_before = watched.archive.count()
    now = watched._engine.clock.now()
    watched._engine.run(model.insert(namespace="n", key="k", data=1, created_at=now, expires_at=now))
    assert watched._archiver.drop_derived(model, model.namespace == "n") == 1
    assert entries is not None
    assert watched.archive.count() == entries_before


def test_only_the_cache_goes_without(store: wilk.Store) -> None:
    with pytest.raises(TypeError, match="is not derived"):
        store._archiver.drop_derived(models.Message, models.Message.pk > 0)


def test_every_table_that_can_lose_rows_has_a_kind() -> None:
    tables = {getattr(models, name)._meta.table_name for name in _FAMILY}
    of_kinds = {kind.model()._meta.table_name for kind in KINDS.values()}
    assert tables - of_kinds == set(KEPT)
    assert of_kinds & set(KEPT) == set()


@pytest.mark.parametrize("name", sorted(KINDS))
def test_a_kind_names_columns_that_there_are(name: str) -> None:
    one = KINDS[name]
    meta: Any = one.model()._meta
    assert {*one.key, one.created} <= set(meta.fields)
    assert one.serial is None or meta.fields[one.serial].field_type == "AUTO"
    assert (one.serial is None) == (type(meta.primary_key).__name__ != "AutoField")
    assert not isinstance(one.session, str) or one.session in meta.columns


@pytest.mark.parametrize("name", sorted(KINDS))
def test_what_refers_to_a_row_goes_with_it(name: str) -> None:
    """A foreign key to a kind makes its rows children of that kind: without, they could not be removed."""
    model = KINDS[name].model()
    referring = {
        other for other, one in KINDS.items() for field in one.model()._meta.refs if field.rel_model is model
    }
    children = {child.kind for child in KINDS[name].children}
    refused = {"user": {"session"}, "group": {"session"}}  # people keep their sessions
    assert referring - children == refused.get(name, set())


def test_a_migrated_table_is_watched_too(watched: wilk.Store, home: Path) -> None:
    """The triggers see a row that goes past the archiver: this test can fail."""
    watched._engine.execute("DELETE FROM feedback WHERE id = 'feedback-0'")
    assert (deleted(watched) - archived(watched)).total() == 1
