"""Connectome's interface over wilk: its names, what goes in and comes out, and what fails."""

from __future__ import annotations

import asyncio
import inspect
import json
import sqlite3
from abc import ABCMeta, abstractmethod
from collections.abc import Callable, Coroutine
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import wilk
from wilk.adapters.connectome import ConnectomeStorage, create_sqlite_storage

Run = Callable[[Coroutine[Any, Any, Any]], Any]

# The interface as Connectome has it: each method with the names of what it takes.
INTERFACE = {
    "initialize": [],
    "shutdown": [],
    "store_conversation": ["conversation_id", "data"],
    "load_conversation": ["conversation_id"],
    "list_conversations": [],
    "delete_conversation": ["conversation_id"],
    "store_raw_messages": ["conversation_id", "messages"],
    "load_raw_messages": ["conversation_id"],
    "store_memory": ["conversation_id", "memory_id", "memory_data"],
    "load_memories": ["conversation_id"],
    "store_reasoning_chain": ["agent_id", "chain_data"],
    "load_reasoning_chains": ["agent_id", "limit"],
    "store_chunk_info": ["conversation_id", "chunk_data"],
    "load_chunk_info": ["conversation_id"],
    "store_cache_entry": ["cache_key", "cache_data", "ttl"],
    "load_cache_entry": ["cache_key"],
    "store_system_state": ["state_key", "state_data"],
    "load_system_state": ["state_key"],
    "health_check": [],
    "get_storage_stats": [],
}

texts = st.text(st.characters(exclude_categories=[]))
anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | texts,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(texts, inner, max_size=4),
    max_leaves=12,
)


def same(one: Any, other: Any) -> bool:
    """Whether two values are equal down to the order of keys, where NaN equals NaN."""
    return json.dumps(one) == json.dumps(other)


def nested(depth: int) -> dict[str, Any]:
    value: dict[str, Any] = {"end": float("inf")}
    for _ in range(depth):
        value = {"b": [value], "a": 1}
    return value


class Storage:
    """A storage over a file, with its methods called one after another on a loop of its own."""

    def __init__(self, storage: ConnectomeStorage) -> None:
        self.runner = asyncio.Runner()
        self.storage = storage
        self.do(storage.initialize())

    def do(self, work: Coroutine[Any, Any, Any]) -> Any:
        return self.runner.run(work)

    def __getattr__(self, name: str) -> Callable[..., Any]:
        method = getattr(self.storage, name)
        return lambda *args, **options: self.do(method(*args, **options))

    def end(self) -> None:
        self.do(self.storage.shutdown())
        self.runner.close()


@pytest.fixture
def storage(tmp_path: Path) -> Any:
    opened = Storage(create_sqlite_storage(tmp_path / "connectome.db"))
    yield opened
    opened.end()


class TestInterface:
    def test_has_every_method_with_its_names(self) -> None:
        methods = {
            name: [parameter for parameter in inspect.signature(method).parameters if parameter != "self"]
            for name, method in inspect.getmembers(ConnectomeStorage, inspect.iscoroutinefunction)
        }
        assert methods == INTERFACE

    def test_stands_in_for_a_base_class_of_connectomes_own(self, run: Run) -> None:
        def refuse(self: Any, storage_config: dict[str, Any]) -> None:
            raise AssertionError("the adapter's own comes first")

        abstract = {name: abstractmethod(lambda self: None) for name in INTERFACE}
        StorageInterface: Any = ABCMeta("StorageInterface", (), {**abstract, "__init__": refuse})

        class Wilk(ConnectomeStorage, StorageInterface):
            pass

        with pytest.raises(TypeError, match="abstract"):
            StorageInterface({})
        storage = Wilk({"db_path": ":memory:"})
        assert run(storage.initialize())
        assert run(storage.shutdown())

    def test_writing_answers_true(self, storage: Any) -> None:
        assert storage.store_conversation("c", {}) is True
        assert storage.store_raw_messages("c", []) is True
        assert storage.store_memory("c", "m", {}) is True
        assert storage.store_reasoning_chain("a", {}) is True
        assert storage.store_chunk_info("c", {}) is True
        assert storage.store_cache_entry("k", {}) is True
        assert storage.store_system_state("k", {}) is True

    def test_what_is_not_there_is_none_or_nothing(self, storage: Any) -> None:
        assert storage.load_conversation("x") is storage.load_chunk_info("x") is None
        assert storage.load_cache_entry("x") is storage.load_system_state("x") is None
        assert storage.load_raw_messages("x") == storage.load_memories("x") == []
        assert storage.load_reasoning_chains("x") == storage.list_conversations() == []

    def test_what_is_stored_is_there_after_opening_again(self, tmp_path: Path) -> None:
        for _ in range(2):
            storage = Storage(create_sqlite_storage(str(tmp_path / "100%?.db")))
            found = storage.load_conversation("c")
            storage.store_conversation("c", {"b": 1, "a": 2})
            storage.end()
        assert list(found) == ["b", "a"]
        assert (tmp_path / "100%?.db").is_file()


class TestRoundTrips:
    @given(data=anything)
    def test_any_json_is_loaded_as_it_was_stored(self, storage: Any, data: Any) -> None:
        storage.store_conversation("c", {"data": data})
        assert same(storage.load_conversation("c"), {"data": data})

    @pytest.mark.parametrize("data", [nested(98), {"n": 2**200, "m": -(2**63) - 1}, {"$wilk": ["text", 1]}])
    def test_so_are_deep_and_large_values(self, storage: Any, data: Any) -> None:
        storage.store_conversation("c", data)
        assert same(storage.load_conversation("c"), data)

    @given(data=st.dictionaries(texts, anything, max_size=4))
    def test_in_every_place(self, storage: Any, data: Any) -> None:
        storage.store_raw_messages("c", [data, 1, data])
        storage.store_memory("c", "m", data)
        storage.store_reasoning_chain("a", data)
        storage.store_chunk_info("c", data)
        storage.store_cache_entry("k", data)
        storage.store_system_state("k", data)
        assert same(storage.load_raw_messages("c"), [data, 1, data])
        assert same(storage.load_memories("c"), [data])
        assert same(storage.load_reasoning_chains("a", 1), [data])
        assert same(storage.load_chunk_info("c"), data)
        assert same(storage.load_cache_entry("k"), data)
        assert same(storage.load_system_state("k"), data)

    @pytest.mark.parametrize("id", ["../../etc/passwd", "a/b", "a:b", "CON", "ü", "x" * 900, "' OR 1=1 --"])
    def test_under_any_id(self, storage: Any, id: str) -> None:
        storage.store_conversation(id, {"id": id})
        storage.store_cache_entry(id, {"id": id})
        assert storage.list_conversations() == [id]
        assert storage.load_conversation(id) == storage.load_cache_entry(id) == {"id": id}


class TestConversations:
    def test_are_listed_in_the_order_of_first_storing(self, storage: Any) -> None:
        for id in ("b", "a", "c", "b"):
            storage.store_conversation(id, {"id": id})
        assert storage.list_conversations() == ["b", "a", "c"]

    def test_deleting_archives_all_of_it(self, storage: Any) -> None:
        storage.store_conversation("c", {})
        storage.store_raw_messages("c", [1, 2])
        storage.store_memory("c", "m", {})
        storage.store_chunk_info("c", {})
        storage.store_conversation("other", {"a": 1})
        assert storage.delete_conversation("c") is True
        assert storage.load_conversation("c") is storage.load_chunk_info("c") is None
        assert storage.load_raw_messages("c") == storage.load_memories("c") == []
        assert storage.list_conversations() == ["other"]
        entries = storage.do(storage.storage._store.archive.list())
        assert len(entries) == 5
        assert len({entry.batch for entry in entries}) == 1

    def test_deleting_what_is_not_there_is_false(self, storage: Any) -> None:
        assert storage.delete_conversation("c") is False

    def test_deleting_takes_messages_without_a_conversation_too(self, storage: Any) -> None:
        storage.store_raw_messages("c", [1])
        assert storage.delete_conversation("c") is True
        assert storage.load_raw_messages("c") == []

    def test_documents_of_other_kinds_are_none(self, storage: Any) -> None:
        storage.do(storage.storage._store.documents.save("note", {}, kind="note"))
        assert storage.load_conversation("note") is None
        assert storage.delete_conversation("note") is False
        with pytest.raises(wilk.Conflict):
            storage.store_conversation("note", {})


class TestMemories:
    def test_stored_twice_is_replaced_in_its_place(self, storage: Any) -> None:
        storage.store_memory("c", "m1", {"n": 1})
        storage.store_memory("c", "m2", {"n": 2})
        storage.store_memory("c", "m1", {"n": 3})
        assert storage.load_memories("c") == [{"n": 3}, {"n": 2}]

    def test_stored_twice_at_the_same_time_is_one(self, storage: Any) -> None:
        async def scenario() -> None:
            storing = (storage.storage.store_memory("c", "m", {"n": n}) for n in range(20))
            assert all(await asyncio.gather(*storing))

        storage.do(scenario())
        assert len(storage.load_memories("c")) == 1

    def test_know_their_ids_though_the_data_does_not(self, storage: Any) -> None:
        storage.store_memory("c", "m1", {"n": 1})
        (memory,) = storage.load_memories("c")
        assert memory["memory_id"] == "m1"
        assert memory.get("created_at").endswith("+00:00")
        assert list(memory) == ["n"]
        assert memory.get("other", 7) == 7
        with pytest.raises(KeyError):
            memory["other"]

    def test_that_the_store_has_without_an_id_are_not_loaded(self, storage: Any) -> None:
        storage.do(storage.storage._store.memories.add("a note", conversation="c"))
        assert storage.load_memories("c") == []

    def test_have_the_id_that_their_data_says(self, storage: Any) -> None:
        storage.store_memory("c", "m1", {"memory_id": "mine"})
        assert storage.load_memories("c")[0]["memory_id"] == "mine"

    def test_move_from_one_storage_to_another_as_connectomes_own_guide_does(
        self, storage: Any, tmp_path: Path
    ) -> None:
        storage.store_memory("c", "m1", {"n": [1]})
        new = Storage(create_sqlite_storage(tmp_path / "new.db"))
        for memory in storage.load_memories("c"):
            new.store_memory("c", memory["memory_id"], memory)
        assert same(new.load_memories("c"), [{"n": [1]}])
        new.end()


class TestReasoningAndCache:
    def test_the_most_recent_chains_come_the_oldest_first(self, storage: Any) -> None:
        for n in range(5):
            storage.store_reasoning_chain("a", {"n": n})
        assert [chain["n"] for chain in storage.load_reasoning_chains("a", limit=2)] == [3, 4]
        assert [chain["n"] for chain in storage.load_reasoning_chains("a")] == [0, 1, 2, 3, 4]

    def test_a_cache_entry_of_no_seconds_has_ended(self, storage: Any) -> None:
        storage.store_cache_entry("k", {"a": 1}, ttl=0)
        assert storage.load_cache_entry("k") is None
        storage.store_cache_entry("k", {"a": 1}, ttl=60)
        assert storage.load_cache_entry("k") == {"a": 1}


class TestFailures:
    def test_what_json_cannot_hold_raises_and_changes_nothing(self, storage: Any) -> None:
        storage.store_conversation("c", {"a": 1})
        with pytest.raises(wilk.NotStorable, match=r"a\.0"):
            storage.store_conversation("c", {"a": [b"bytes"]})
        assert storage.load_conversation("c") == {"a": 1}

    def test_a_failing_write_raises_and_is_no_false(self, storage: Any, tmp_path: Path) -> None:
        waiting = Storage(create_sqlite_storage(tmp_path / "connectome.db", connection_timeout=0.05))
        with closing(sqlite3.connect(tmp_path / "connectome.db", isolation_level=None)) as other:
            other.execute("BEGIN IMMEDIATE")
            with pytest.raises(wilk.Busy):
                waiting.store_conversation("c", {})
        waiting.end()

    def test_before_initialize_and_after_shutdown_it_says_what_to_do(self, run: Run) -> None:
        storage = create_sqlite_storage(":memory:")

        async def scenario() -> None:
            with pytest.raises(wilk.Closed, match="initialize"):
                await storage.load_conversation("c")
            assert await storage.initialize()
            assert await storage.initialize()
            assert await storage.shutdown()
            assert await storage.shutdown()
            with pytest.raises(wilk.Closed):
                await storage.list_conversations()

        run(scenario())

    def test_an_unknown_option_is_named(self) -> None:
        with pytest.raises(wilk.SettingsError, match=r"redis_url; known: db_path.*base_dir"):
            ConnectomeStorage({"redis_url": "x"})

    def test_two_places_are_one_too_many(self) -> None:
        with pytest.raises(wilk.SettingsError, match="db_path and url"):
            ConnectomeStorage({"db_path": "x", "url": "sqlite:///y"})

    @pytest.mark.parametrize("option", ["db_path", "url", "home"])
    def test_a_place_that_is_none_is_named(self, option: str) -> None:
        with pytest.raises(wilk.SettingsError, match=f"{option} 5: a path is wanted"):
            ConnectomeStorage({option: 5})

    def test_a_wrong_option_is_told_when_it_is_opened(self, run: Run) -> None:
        with pytest.raises(wilk.SettingsError, match="timeout"):
            run(create_sqlite_storage(":memory:", connection_timeout="soon").initialize())

    def test_a_database_of_connectomes_own_is_left_alone(self, run: Run, tmp_path: Path) -> None:
        file = tmp_path / "old.db"
        with closing(sqlite3.connect(file)) as old:
            old.execute("CREATE TABLE conversations (conversation_id TEXT PRIMARY KEY, data TEXT NOT NULL)")
            old.execute("CREATE TABLE memories (id INTEGER PRIMARY KEY, memory_id TEXT)")
            old.commit()
        with pytest.raises(wilk.SchemaError):
            run(create_sqlite_storage(file).initialize())


class TestOptionsAndTools:
    def test_the_options_become_settings(self, run: Run, tmp_path: Path) -> None:
        async def scenario() -> None:
            storage = create_sqlite_storage(tmp_path / "a.db", connection_timeout=5, enable_wal_mode=False)
            await storage.initialize()
            settings = storage._store.settings
            assert (settings.timeout, settings.journal_mode) == (5.0, "delete")
            assert (await storage.health_check())["journal_mode"] == "delete"
            await storage.shutdown()

        run(scenario())

    def test_over_a_store_it_leaves_the_store_open(self, run: Run) -> None:
        async def scenario() -> None:
            async with wilk.open_async_store("sqlite:///:memory:") as store:
                storage = ConnectomeStorage.over(store)
                assert await storage.initialize()
                await storage.store_conversation("c", {"a": 1})
                assert await storage.shutdown()
                assert (await store.documents.get("c")).data == {"a": 1}

        run(scenario())

    def test_over_a_store_it_joins_the_transaction_of_its_caller(self, run: Run) -> None:
        async def scenario() -> None:
            async with wilk.open_async_store("sqlite:///:memory:") as store:
                storage = ConnectomeStorage.over(store)
                with pytest.raises(ZeroDivisionError):
                    async with store.transaction():
                        await storage.store_conversation("c", {})
                        await storage.store_raw_messages("c", [1])
                        raise ZeroDivisionError
                assert await storage.list_conversations() == await storage.load_raw_messages("c") == []

        run(scenario())

    def test_with_a_home_it_shares_that_store(self, run: Run, home: Path) -> None:
        async def scenario() -> None:
            storage = ConnectomeStorage({"home": str(home)})
            await storage.initialize()
            await storage.store_conversation("c", {"a": 1})
            await storage.shutdown()

        run(scenario())
        with wilk.open_store(home=home) as store:
            assert store.documents.get("c").data == {"a": 1}

    def test_counts_have_their_documented_names_and_those_of_the_tables(
        self, storage: Any, tmp_path: Path
    ) -> None:
        storage.store_conversation("c", {})
        storage.store_raw_messages("c", [1, 2])
        storage.store_memory("c", "m", {})
        stats = storage.get_storage_stats()
        assert (stats["conversation_count"], stats["conversations_count"]) == (1, 1)
        assert (stats["raw_messages_count"], stats["memories_count"], stats["system_state_count"]) == (
            2,
            1,
            0,
        )
        assert (
            stats["total_bytes"]
            == stats["database_size_bytes"]
            >= (tmp_path / "connectome.db").stat().st_size
        )
        assert stats["storage_type"] == "sqlite"
        assert stats["database_path"] == str(tmp_path / "connectome.db")

    def test_health_is_told_and_never_raised(self, run: Run, tmp_path: Path) -> None:
        storage = create_sqlite_storage(tmp_path / "a.db")

        async def scenario() -> None:
            assert (await storage.health_check())["status"] == "error"
            await storage.initialize()
            health = await storage.health_check()
            assert (health["status"], health["connection_active"]) == ("healthy", True)
            await storage.shutdown()

        run(scenario())
