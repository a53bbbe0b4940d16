"""Passages follow their records; those of an older database are made before they are searched."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import pytest
from tests.embedding import Bag

import wilk
from wilk.services.embedding import following, indexing
from wilk.services.embedding.following import stale
from wilk.services.embedding.passages import SOURCES, VERSION

from .indexed import check_passages, check_vectors, indexed_kinds, opened


@pytest.fixture
def older(home: Path) -> Path:
    """A home whose database was written before there were passages."""
    with wilk.open_store(home=home) as store:
        session = store.sessions.create().id
        for n in range(25):
            store.memories.add(f"memory {n}")
            store.pins.add(session, f"pin {n}")
            store.messages.append(session, "user", f"message {n}")
        store._engine.execute("DELETE FROM passages")
        store._engine.execute("DELETE FROM indexed_kinds")
    return home


def refuse_pages(store: wilk.Store, after: int) -> None:
    """Let making passages fail after so many pages."""
    rebuild, pages = store._following.rebuild, [0]

    def failing(*args: Any, **options: Any) -> None:
        pages[0] += 1
        if pages[0] > after:
            raise wilk.BackendError("killed here")
        rebuild(*args, **options)

    store._following.rebuild = failing  # type: ignore[method-assign]


def test_passages_of_an_older_database_are_made_before_the_first_search(older: Path) -> None:
    with wilk.open_store(home=older) as store:
        assert stale(store._engine) == list(SOURCES)
        store._indexing.prepare()
        check_passages(store)
        assert stale(store._engine) == []
        assert indexed_kinds(store) == dict.fromkeys(SOURCES, (VERSION, None))


def test_a_search_finds_what_an_older_database_has(older: Path) -> None:
    with wilk.open_store(home=older) as store:
        assert [found.kind for found in store.search("memory 7")][:1] == ["memory"]


def test_making_them_goes_on_where_it_was_interrupted(older: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(indexing, "_PAGE", 10)
    with wilk.open_store(home=older) as store:
        refuse_pages(store, 2)
        with pytest.raises(wilk.BackendError, match="killed here"):
            store._indexing.prepare()
        assert store._engine.execute("SELECT kind, count(*) FROM passages GROUP BY kind") == [("memory", 20)]
    with wilk.open_store(home=older) as store:
        refuse_pages(store, 1 + 3 + 5)  # one of memories, three of pins, one of each other kind
        store._indexing.prepare()
        check_passages(store)


def test_two_that_make_them_at_once_make_them_once(older: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(indexing, "_PAGE", 3)
    errors: list[BaseException] = []

    def prepare(store: wilk.Store) -> None:
        try:
            store._indexing.prepare()
        except BaseException as error:
            errors.append(error)
        finally:
            store._engine.release()

    with wilk.open_store(home=older) as one, wilk.open_store(home=older) as other:
        threads = [threading.Thread(target=prepare, args=(store,)) for store in (one, other)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert errors == []
        check_passages(one)


def test_within_a_transaction_that_is_taken_back_they_are_made_again(older: Path) -> None:
    with wilk.open_store(home=older) as store:
        with pytest.raises(LookupError), store.transaction():
            store._indexing.prepare()
            raise LookupError
        assert store._engine.execute("SELECT count(*) FROM passages") == [(0,)]
        store._indexing.prepare()
        check_passages(store)


def test_records_of_an_older_database_get_vectors(older: Path) -> None:
    plugin = Bag()
    with opened(older, plugin) as store:
        store.settle()
        check_passages(store)
        check_vectors(store, plugin)


def test_other_rules_make_passages_and_vectors_anew(older: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from wilk.services.embedding import building, passages

    plugin = Bag()
    with opened(older, plugin) as store:
        store.settle()
    for module in (passages, building, indexing, following):
        monkeypatch.setattr(module, "VERSION", VERSION + 1)
    monkeypatch.setattr(passages, "LONGEST", 6)
    with opened(older, plugin) as store:
        store.index.update()
        check_passages(store)
        check_vectors(store, plugin)
        assert store._engine.execute("SELECT max(part) > 0 FROM vectors WHERE kind = 'message'") == [(1,)]


def test_in_a_fresh_database_nothing_is_left_to_prepare(store: wilk.Store) -> None:
    store._indexing.prepare()
    assert stale(store._engine) == []


def test_a_store_for_reading_only_prepares_nothing(older: Path) -> None:
    with wilk.open_store(home=older, readonly=True) as store:
        store._indexing.prepare()
        assert store._engine.execute("SELECT count(*) FROM passages") == [(0,)]


def test_a_record_that_is_written_as_it_was_leaves_its_passages_alone(
    store: wilk.Store, session: str
) -> None:
    pin = store.pins.add(session, "a pin")
    before = store._engine.execute("SELECT pk FROM passages")
    store.pins.update(pin.id, importance=0.1)
    assert store._engine.execute("SELECT pk FROM passages") == before


def test_a_hook_that_refuses_a_record_leaves_nothing_of_it(home: Path) -> None:
    class Refusing:
        @wilk.hookimpl
        def before_save(self, store: wilk.Store, kind: str, record: Any) -> None:
            if kind == "memory":
                raise wilk.Invalid("not this")

    with wilk.open_store(home=home, host=wilk.Host(Refusing())) as store:
        with pytest.raises(wilk.Invalid):
            store.memories.add("refused")
        check_passages(store)


def test_a_vector_of_a_record_comes_back_only_with_it(home: Path) -> None:
    plugin = Bag()
    with opened(home, plugin) as store:
        memory = store.memories.add("a memory")
        store.settle()
        store.memories.remove(memory.id)
        vector, record = sorted(store.archive.list(), key=lambda entry: entry.kind == "memory")
        with pytest.raises(wilk.Conflict, match="come back with them"):
            store.archive.restore(vector.id)
        store.archive.restore(record.id)
        store.settle()
        check_vectors(store, plugin)
        with pytest.raises(wilk.Conflict, match="come back with them"):
            store.archive.restore(vector.id)
        check_vectors(store, plugin)


def test_vectors_come_back_with_their_record_without_the_embedder(home: Path) -> None:
    plugin = Bag()
    with opened(home, plugin) as store:
        memory = store.memories.add("a memory")
        store.settle()
        store.memories.remove(memory.id)
        plugin.texts.clear()
        store.archive.restore(kind="memory", record=memory.id)
        store.settle()
        check_vectors(store, plugin)
        assert plugin.texts == []
