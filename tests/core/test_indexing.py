"""Vectors of records are made behind the verbs, of exactly what the records say, and no work is lost."""

from __future__ import annotations

import logging
import os
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from zlib import crc32

import numpy as np
import pytest
from tests.embedding import Bag, bag
from tests.engines import ask

import wilk
from wilk import PluginError
from wilk.services.embedding import following, indexing, queue
from wilk.services.embedding.passages import LONGEST

from .indexed import WAIT, Gate, check_passages, check_vectors, opened, pending, status, until


@pytest.fixture
def plugin() -> Bag:
    return Bag()


@pytest.fixture
def store(home: Path, plugin: Bag) -> Iterator[wilk.Store]:
    """A store with an embedder."""
    with opened(home, plugin) as made:
        yield made


@pytest.fixture
def session(store: wilk.Store) -> str:
    return store.sessions.create().id


class TestMaking:
    def test_the_caller_does_not_wait_for_the_embedder(
        self, store: wilk.Store, plugin: Bag, session: str
    ) -> None:
        gate = Gate(plugin)
        message = store.messages.append(session, "user", "hello")
        assert gate.reached.wait(WAIT)
        assert store.messages.get(message.id).text == "hello"
        assert pending(store) == [("message", message.id)]
        gate.open.set()
        assert store.settle()
        check_vectors(store, plugin)

    def test_every_kind_of_record_is_embedded(self, store: wilk.Store, plugin: Bag, session: str) -> None:
        store.messages.append(session, "user", "a message")
        store.memories.add("a memory")
        store.pins.add(session, "a pin")
        store.documents.save("d", {"title": "a document", "body": ["with", "parts"]})
        store.summaries.add(session, "a summary", last=1)
        store.facts.add("the wolf", "eats", "a fact")
        store.interactions.add("an interaction")
        store.patterns.add("a pattern")
        store.settle()
        assert [one.embedded for one in store.index.status()] == [1] * 8
        check_vectors(store, plugin)

    def test_many_records_go_in_batches(self, store: wilk.Store, plugin: Bag, session: str) -> None:
        store.messages.extend(session, [{"role": "user", "text": f"text {n}"} for n in range(200)])
        store.settle()
        assert max(plugin.calls) == plugin.batch
        assert sum(plugin.calls) == 201  # and one to learn the dimension
        check_vectors(store, plugin)

    def test_equal_texts_are_embedded_once(self, store: wilk.Store, plugin: Bag, session: str) -> None:
        store.messages.extend(session, [{"role": "user", "text": "the same"}] * 10)
        store.settle()
        assert plugin.texts.count("the same") == 1
        check_vectors(store, plugin)

    def test_what_did_not_change_is_not_embedded_again(
        self, store: wilk.Store, plugin: Bag, session: str
    ) -> None:
        pin = store.pins.add(session, "a pin")
        store.settle()
        store.pins.update(pin.id, importance=0.1)
        store.documents.save("d", "a text")
        store.settle()
        store.documents.save("d", "a text", metadata={"n": 1})
        store.settle()
        assert plugin.texts.count("a pin") == plugin.texts.count("a text") == 1

    def test_only_the_parts_that_changed_are_embedded_again(self, store: wilk.Store, plugin: Bag) -> None:
        first, second = "one " * (LONGEST // 4), "two " * (LONGEST // 4)
        store.memories.add(first + second + "three", conversation="c", memory_id="m")
        store.settle()
        plugin.texts.clear()
        store.memories.add(first + second + "four", conversation="c", memory_id="m")
        store.settle()
        assert plugin.texts == ["four"]
        check_vectors(store, plugin)

    def test_vectors_of_parts_that_are_gone_go_too(self, store: wilk.Store, plugin: Bag) -> None:
        store.documents.save("d", "one two three " * 500)
        store.settle()
        assert store._engine.execute("SELECT count(*) > 3 FROM vectors") == [(1,)]
        store.documents.save("d", "short")
        store.settle()
        check_vectors(store, plugin)
        store.documents.save("d", " ")
        store.settle()
        assert store._engine.execute("SELECT count(*) FROM vectors") == [(0,)]
        check_vectors(store, plugin)

    def test_what_was_rolled_back_is_not_embedded(self, store: wilk.Store, plugin: Bag, session: str) -> None:
        with pytest.raises(LookupError), store.transaction():
            store.messages.append(session, "user", "taken back")
            raise LookupError
        store.messages.append(session, "user", "kept")
        store.settle()
        assert "taken back" not in plugin.texts
        check_vectors(store, plugin)

    def test_the_output_of_a_tool_has_a_few_vectors_alone(
        self, store: wilk.Store, plugin: Bag, session: str
    ) -> None:
        message = store.messages.append(session, "tool", "a line of a listing\n" * 2000)
        store.settle()
        rows = ask(store, "SELECT part FROM vectors WHERE record_id = ?", (message.id,))
        assert sorted(rows) == [(0,), (1,), (2,), (3,)]

    def test_a_text_beyond_the_model_gives_the_mean_of_its_pieces(self, home: Path) -> None:
        plugin = Bag(longest=20)
        with opened(home, plugin) as store:
            store.memories.add("the wolf hunts here. the bear sleeps there.")
            store.settle()
            ((data,),) = store._engine.execute("SELECT data FROM vectors")
            vector = np.frombuffer(data, "<f4")
            pieces = ["the wolf hunts", "here. the bear", "sleeps there."]
            assert plugin.texts[-3:] == pieces
            seed = crc32(b"bag-1")
            mean = np.average([bag(piece, seed=seed) for piece in pieces], axis=0, weights=[14, 14, 13])
            assert np.allclose(vector, mean)

    def test_without_an_embedder_nothing_is_noted(self, home: Path) -> None:
        with wilk.open_store(home=home) as store:
            store.memories.add("a memory")
            assert pending(store) == []
            assert store.index.status()[1].state == "none"

    def test_a_process_without_the_embedder_notes_what_it_writes(
        self, home: Path, plugin: Bag, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(following, "_ASKED_AGAIN", 0.0)
        with wilk.open_store(home=home) as plain:
            with opened(home, plugin) as store:
                store.memories.add("a memory")
                store.settle()
            plain.memories.add("another")
            assert len(pending(plain)) == 1
        with opened(home, plugin) as store:
            store.settle()
            check_vectors(store, plugin)

    def test_update_finds_what_nobody_noted(self, store: wilk.Store, plugin: Bag, session: str) -> None:
        store.messages.extend(session, [{"role": "user", "text": text} for text in ("a", "", "b")])
        store.memories.add("a memory")
        store.settle()
        store._engine.execute("DELETE FROM vectors")
        store._engine.execute("UPDATE vector_spaces SET count = 0")
        assert store.index.update() == 3
        check_vectors(store, plugin)
        assert store.index.update() == 0

    def test_a_fork_of_a_session_has_vectors(self, store: wilk.Store, plugin: Bag, session: str) -> None:
        store.messages.append(session, "user", "hello")
        store.pins.add(session, "a pin")
        store.sessions.fork(session)
        store.settle()
        assert status(store).embedded == status(store, "pin").embedded == 2
        check_vectors(store, plugin)


class TestLoading:
    """A model takes seconds to load: nobody who only writes waits for it."""

    def test_a_process_that_ends_at_once_leaves_its_records_to_the_next(
        self, home: Path, plugin: Bag
    ) -> None:
        with opened(home, plugin) as store:
            store.memories.add("a memory")
            store.memories.add("another")
        with opened(home, plugin) as store:
            assert len(pending(store)) == 2
        assert (plugin.opened, plugin.calls) == ([], [])
        with opened(home, plugin) as store:
            store.settle()
            check_vectors(store, plugin)
        assert plugin.opened == ["bag-1"]

    def test_a_process_that_stays_loads_it_by_itself(
        self, home: Path, plugin: Bag, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(indexing, "_FIRST_LOAD", 0.01)
        with opened(home, plugin) as store:
            store.memories.add("a memory")
            until(lambda: not pending(store))
            store.settle()
            check_vectors(store, plugin)

    def test_where_it_is_loaded_closing_writes_what_waits(self, home: Path, plugin: Bag) -> None:
        with opened(home, plugin) as store:
            store.memories.add("a memory")
            store.settle()
            store.memories.add("another")
        with wilk.open_store(home=home) as store:
            assert pending(store) == []

    def test_one_that_fails_in_its_own_way_leaves_full_text(
        self, home: Path, plugin: Bag, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def failing(settings: Any, model: str | None) -> Any:
            raise RuntimeError("no such file")

        with opened(home, plugin) as store:
            store.memories.add("a wolf")
            store.settle()
        monkeypatch.setattr(plugin, "open", failing)
        with opened(home, plugin) as store:
            store.memories.add("another wolf")
            assert len(store.search("wolf")) == 2
            with pytest.raises(wilk.BackendError, match="RuntimeError: no such file"):
                store.index.update()


class TestFailing:
    def test_what_fails_waits_and_is_made_later(self, store: wilk.Store, plugin: Bag, session: str) -> None:
        plugin.error = wilk.BackendError("the server does not answer")
        message = store.messages.append(session, "user", "hello")
        store.settle()
        plugin.error = None
        assert pending(store) == [("message", message.id)]
        assert status(store).pending == 1
        assert "does not answer" in str(status(store).error)
        store.index.update()
        check_vectors(store, plugin)
        assert status(store).error is None

    def test_it_is_tried_again_by_itself(
        self, store: wilk.Store, plugin: Bag, session: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(queue, "_FIRST_DELAY", 1000)
        store.messages.append(session, "user", "first")
        store.settle()
        plugin.error = wilk.BackendError("away")
        store.messages.append(session, "user", "hello")
        until(lambda: len(plugin.calls) > 3)
        plugin.error = None
        until(lambda: not pending(store))
        store.settle()
        check_vectors(store, plugin)

    def test_after_a_failure_nothing_else_is_sent_for_a_while(
        self, store: wilk.Store, plugin: Bag, session: str
    ) -> None:
        store.messages.append(session, "user", "first")
        store.settle()
        plugin.error = wilk.BackendError("away")
        store.messages.append(session, "user", "hello")
        store.settle()
        calls = len(plugin.calls)
        store.messages.append(session, "user", "and more")
        store.settle()
        assert len(plugin.calls) == calls
        assert len(pending(store)) == 2

    def test_a_failure_is_logged_once(
        self, store: wilk.Store, plugin: Bag, session: str, caplog: pytest.LogCaptureFixture
    ) -> None:
        plugin.error = wilk.BackendError("away")
        for n in range(3):
            store.messages.append(session, "user", f"text {n}")
            store.settle()
            store._engine.execute("UPDATE pending_vectors SET not_before = NULL")
        assert [one.levelno for one in caplog.records if "away" in one.message] == [logging.WARNING]

    def test_update_tells_what_fails(self, store: wilk.Store, plugin: Bag, session: str) -> None:
        store.messages.append(session, "user", "hello")
        store.settle()
        plugin.error = wilk.BackendError("away")
        store.messages.append(session, "user", "more")
        with pytest.raises(wilk.BackendError, match="away"):
            store.index.update()

    @pytest.mark.parametrize(
        ("answer", "told"),
        [
            (lambda _: np.zeros((7, 3)), "array of"),
            (lambda texts: np.full((len(texts), 64), np.nan), "not finite"),
            (lambda _: [["a"]], "ValueError"),
            (lambda texts: np.ones((len(texts), 3)), "wilk index rebuild"),
            (lambda _: 1 / 0, "ZeroDivisionError"),
        ],
    )
    def test_an_embedder_at_fault_is_told_of(
        self, store: wilk.Store, session: str, answer: Callable[[Any], Any], told: str
    ) -> None:
        store.messages.append(session, "user", "hello")
        store.settle()
        embedding: Any = store._indexing.embedders.chosen()
        embedding.embed = lambda texts, query=False: answer(texts)
        message = store.messages.append(session, "user", "more")
        store.settle()
        assert told in str(status(store).error)
        assert pending(store) == [("message", message.id)]

    def test_a_refused_text_holds_up_no_other(self, store: wilk.Store, plugin: Bag, session: str) -> None:
        plugin.refuses = "forbidden"
        texts = [f"text {n}" for n in range(20)]
        texts[7] = "a forbidden text"
        messages = store.messages.extend(session, [{"role": "user", "text": text} for text in texts])
        store.settle()
        assert pending(store) == [("message", messages[7].id)]
        found = status(store)
        assert (found.embedded, found.pending, found.failed) == (19, 1, 1)
        assert "refused" in str(found.error)

    def test_a_refused_text_waits_until_it_changes(
        self, store: wilk.Store, plugin: Bag, session: str
    ) -> None:
        plugin.refuses = "forbidden"
        pin = store.pins.add(session, "a forbidden pin")
        store.settle()
        calls = len(plugin.calls)
        assert store.index.update() == 0
        assert len(plugin.calls) == calls
        store.pins.update(pin.id, content="a pin")
        store.settle()
        check_vectors(store, plugin)

    def test_what_a_refused_record_said_before_is_not_found_by(
        self, store: wilk.Store, plugin: Bag, session: str
    ) -> None:
        plugin.refuses = "forbidden"
        pin = store.pins.add(session, "a pin")
        store.settle()
        store.pins.update(pin.id, content="a forbidden pin")
        store.settle()
        assert store._engine.execute("SELECT count(*) FROM vectors") == [(0,)]

    def test_rebuild_tries_refused_texts_again(self, store: wilk.Store, plugin: Bag, session: str) -> None:
        plugin.refuses = "forbidden"
        store.pins.add(session, "a forbidden pin")
        store.settle()
        plugin.refuses = None
        (found,) = store.index.rebuild(["pin"])
        assert (found.embedded, found.failed, found.state) == (1, 0, "active")
        check_vectors(store, plugin)

    def test_a_readonly_store_says_that_it_cannot_be_updated(self, home: Path) -> None:
        with opened(home, Bag()) as store:
            store.memories.add("a memory")
        with wilk.open_store(home=home, readonly=True) as reader:
            for verb in (reader.index.update, reader.index.rebuild):
                with pytest.raises(wilk.ReadOnly, match="open it without"):
                    verb()

    def test_an_embedder_that_is_not_there_is_told_and_nothing_else_fails(
        self, home: Path, caplog: pytest.LogCaptureFixture
    ) -> None:
        class Nothing:
            @wilk.hookimpl
            def register_tools(self) -> list[wilk.Tool]:
                return []

        with opened(home, Nothing()) as store:  # type: ignore[arg-type]
            assert "no plugin offers the embedder 'bag'" in caplog.text
            store.memories.add("wolves sleep in the open")
            assert [one.kind for one in store.search("wolves")] == ["memory"]
            memory = next(one for one in store.index.status() if one.kind == "memory")
            assert (memory.pending, memory.error) == (1, store._indexing.error)
            with pytest.raises(PluginError, match="no plugin offers the embedder 'bag'"):
                store.index.update()
        with opened(home, Bag()) as store:
            store.settle()
            assert next(one for one in store.index.status() if one.kind == "memory").embedded == 1

    def test_a_model_that_cannot_be_opened_loses_nothing(self, home: Path) -> None:
        plugin = Bag()
        plugin.missing = {"bag-1"}
        with opened(home, plugin) as store:
            store.memories.add("a memory")
            store.settle()
            assert len(pending(store)) == 1
            assert "there is no model" in str(status(store, "memory").error)
            plugin.missing = set()
            store.index.update()
            check_vectors(store, plugin)


class TestClaims:
    def test_what_another_process_has_is_left_to_it_for_a_while(
        self, home: Path, plugin: Bag, clock: wilk.Clock, now: Any
    ) -> None:
        with wilk.open_store(home=home, clock=clock) as store:
            store.memories.add("first")
        with opened(home, plugin) as store:
            store._engine.clock = clock
            store.settle()
            plugin.texts.clear()
            store._embedding_worker.submit = lambda *_: False  # type: ignore[method-assign]
            store.memories.add("a memory")
            claims, _ = store._indexing.queue.claim(10)
            assert len(claims) == 1
            assert store._indexing.queue.claim(10)[0] == []
            assert store._indexing.queue.next_due() == 120
            now.pass_by(seconds=121)
            again, until = store._indexing.queue.claim(10)
            assert again == claims
            store._indexing.queue.release(again, until)
            store.index.update()
            check_vectors(store, plugin)

    def test_a_record_that_changes_meanwhile_has_the_vectors_of_its_new_text(
        self, store: wilk.Store, plugin: Bag, session: str
    ) -> None:
        store.messages.append(session, "user", "first")
        store.settle()
        gate = Gate(plugin)
        pin = store.pins.add(session, "old")
        assert gate.reached.wait(WAIT)
        store.pins.update(pin.id, content="new")
        gate.open.set()
        store.settle()
        check_vectors(store, plugin)

    def test_a_record_that_goes_meanwhile_leaves_no_vectors(
        self, store: wilk.Store, plugin: Bag, session: str
    ) -> None:
        store.messages.append(session, "user", "first")
        store.settle()
        gate = Gate(plugin)
        pin = store.pins.add(session, "old")
        assert gate.reached.wait(WAIT)
        store.pins.remove(pin.id)
        gate.open.set()
        store.settle()
        check_vectors(store, plugin)
        assert status(store, "pin").records == 0

    def test_one_that_comes_back_with_old_vectors_gets_those_of_its_text(
        self, store: wilk.Store, plugin: Bag, session: str
    ) -> None:
        """It changed, and was removed before it was embedded: the archive has the vector of the old text."""
        pin = store.pins.add(session, "old")
        store.settle()
        gate = Gate(plugin)
        store.pins.update(pin.id, content="new")
        store.pins.remove(pin.id)
        gate.open.set()
        store.settle()
        store.archive.restore(kind="pin", record=pin.id)
        store.settle()
        check_vectors(store, plugin)

    def test_what_another_one_takes_over_is_written_by_the_first_that_has_it(
        self, home: Path, plugin: Bag
    ) -> None:
        with opened(home, plugin) as one, opened(home, plugin) as other:
            one.memories.add("first")
            one.index.update()
            other._embedding_worker.submit = lambda *_: False  # type: ignore[method-assign]
            one._embedding_worker.submit = lambda *_: False  # type: ignore[method-assign]
            one.memories.add("a memory")
            plugin.before = lambda: other._indexing.queue.claim(10, others=True)  # again and again
            assert one._indexing.step(others=True)
            plugin.before = lambda: None
            assert pending(one) == []
            check_vectors(one, plugin)

    def test_an_update_leaves_to_others_what_they_have_while_something_is_free(
        self, home: Path, plugin: Bag
    ) -> None:
        with opened(home, plugin) as one, opened(home, plugin) as other:
            for n in range(4):
                one.memories.add(f"memory {n}")
            one.index.update()
            for store in (one, other):
                store._embedding_worker.submit = lambda *_: False  # type: ignore[method-assign]
            for n in range(4):
                one.memories.add(f"and {n}")
            first, _ = one._indexing.queue.claim(2)
            second, _ = other._indexing.queue.claim(2, others=True)
            third, _ = other._indexing.queue.claim(4, others=True)
            assert not {one.pk for one in first} & {one.pk for one in second}
            assert {one.pk for one in third} == {one.pk for one in first + second}
            one.index.update()
            check_vectors(one, plugin)

    def test_what_is_written_in_the_last_moment_of_an_update_is_embedded(
        self, store: wilk.Store, plugin: Bag
    ) -> None:
        store.memories.add("first")
        store.settle()
        made: Any = store._indexing
        late: list[Any] = []
        step = made.step

        def last(**options: Any) -> bool:
            more: bool = step(**options)
            if not more and not late:
                late.append(store.memories.add("late"))
                store.settle()  # its job finds that the turn is taken
            return more

        made.step = last
        store.index.update()
        store.settle()
        check_vectors(store, plugin)

    def test_records_of_many_parts_are_counted_once(self, home: Path) -> None:
        plugin = Bag(batch=4)
        told: list[tuple[int, int]] = []
        with opened(home, plugin) as store:
            store._embedding_worker.submit = lambda *_: False  # type: ignore[method-assign]
            for n in range(8):
                store.memories.add(f"{n} {'word ' * 1000}")
            assert store.index.update(progress=lambda done, of: told.append((done, of))) == 8
            assert told[-1] == (8, 8)
            assert {of for _, of in told} == {8}

    def test_two_stores_share_the_work(self, home: Path, plugin: Bag) -> None:
        with opened(home, plugin) as one, opened(home, plugin) as other:
            for n in range(60):
                (one if n % 2 else other).memories.add(f"memory {n}")
            one.settle()
            other.settle()
            until(lambda: not pending(one))
            check_vectors(one, plugin)
            assert sorted(plugin.texts).count("memory 7") == 1

    def test_threads_that_write_and_a_verb_that_drains(self, store: wilk.Store, plugin: Bag) -> None:
        def write(name: str) -> None:
            for n in range(20):
                store.memories.add(f"{name} {n}")
            store._engine.release()

        threads = [threading.Thread(target=write, args=(name,)) for name in ("a", "b", "c")]
        for thread in threads:
            thread.start()
        for _ in range(5):
            store.index.update()
        for thread in threads:
            thread.join()
        store.settle()
        store.index.update()
        check_vectors(store, plugin)


class TestQuery:
    def test_a_query_is_embedded_once_as_a_query(self, store: wilk.Store, plugin: Bag) -> None:
        store.memories.add("a wolf")
        store.settle()
        for _ in range(3):
            found = store._indexing.query("where is the wolf")
        assert plugin.asked == ["where is the wolf"]
        assert len(found) == 8

    def test_without_vectors_there_is_none(self, store: wilk.Store, home: Path) -> None:
        assert store._indexing.query("wolf") == {}
        with wilk.open_store(home=home) as plain:
            assert plain._indexing.query("wolf") == {}

    def test_a_query_that_fails_is_logged_once_and_gives_nothing(
        self, store: wilk.Store, plugin: Bag, caplog: pytest.LogCaptureFixture
    ) -> None:
        store.memories.add("a wolf")
        store.settle()
        plugin.error = wilk.BackendError("away")
        assert [store._indexing.query(f"wolf {n}") for n in range(3)] == [{}, {}, {}]
        assert sum("away" in one.message for one in caplog.records) == 1
        plugin.error = None
        assert "memory" in store._indexing.query("wolf")

    def test_a_store_for_reading_only_has_queries(self, home: Path, plugin: Bag) -> None:
        with opened(home, plugin) as store:
            store.memories.add("a wolf")
            store.settle()
        with opened(home, plugin, readonly=True) as store:
            assert "memory" in store._indexing.query("wolf")
            assert status(store, "memory").embedded == 1


class TestLife:
    def test_closing_leaves_the_rest_for_the_next_time(self, home: Path, plugin: Bag) -> None:
        gate = Gate(plugin)
        store = opened(home, plugin)
        with store.transaction():
            for n in range(100):
                store.memories.add(f"memory {n}")
        assert gate.reached.wait(WAIT)
        closing = threading.Thread(target=store.close)
        closing.start()
        until(lambda: store._embedding_worker.stopping)
        gate.open.set()
        closing.join(WAIT)
        assert len(plugin.calls) <= 3
        with opened(home, plugin) as store:
            assert store.settle()
            check_vectors(store, plugin)
        assert len(set(plugin.texts)) == 101
        assert plugin.closed == plugin.opened

    def test_a_store_in_memory_has_vectors(self, plugin: Bag) -> None:
        from dataclasses import replace

        from wilk import settings
        from wilk.host import Host

        chosen = replace(settings.load(url="sqlite:///:memory:"), embedder="bag", home=None)
        with wilk.open_store(settings=chosen, host=Host(plugin)) as store:
            for n in range(40):
                store.memories.add(f"memory {n}")
            store.settle()
            check_vectors(store, plugin)

    def test_opening_without_an_embedder_asks_nothing(
        self, home: Path, caplog: pytest.LogCaptureFixture
    ) -> None:
        wilk.open_store(home=home).close()
        with caplog.at_level(logging.DEBUG, "wilk.statements"), opened(home, Bag(), verbose=True):
            pass
        assert "vector_spaces" in caplog.text
        caplog.clear()
        with caplog.at_level(logging.DEBUG, "wilk.statements"):
            from dataclasses import replace

            from wilk import settings

            with wilk.open_store(settings=replace(settings.load(home=home), verbose=True)):
                pass
        assert "vector_spaces" not in caplog.text
        assert "pending_vectors" not in caplog.text

    @pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork here")
    @pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
    def test_a_forked_child_makes_its_own_vectors(self, store: wilk.Store, plugin: Bag) -> None:
        store.memories.add("of the parent")
        store.settle()
        child = os.fork()
        if child == 0:
            try:
                store.memories.add("of the child")
                os._exit(0 if store.settle() and not pending(store) else 1)
            finally:
                os._exit(2)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
        store.memories.add("of the parent again")
        store.settle()
        check_vectors(store, plugin)

    @pytest.mark.skipif(not hasattr(os, "fork"), reason="only where processes fork")
    def test_a_child_that_is_forked_amid_a_moment_of_waiting_begins_its_own(
        self, home: Path, plugin: Bag, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        with opened(home, plugin) as store:
            store.memories.add("of the parent")
            monkeypatch.setattr(indexing, "_FIRST_LOAD", 0.01)
            child = os.fork()
            if child == 0:
                try:
                    store.memories.add("of the child")
                    until(lambda: not pending(store))
                    os._exit(0)
                finally:
                    os._exit(2)
            assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0

    def test_verbs_are_refused_in_a_transaction(self, store: wilk.Store) -> None:
        for verb in (store.index.update, store.index.rebuild):
            with pytest.raises(wilk.Invalid, match="outside"), store.transaction():
                verb()

    def test_an_unknown_kind_is_refused(self, store: wilk.Store) -> None:
        with pytest.raises(wilk.Invalid, match="one of message, memory"):
            store.index.rebuild(["pins"])
        with pytest.raises(wilk.Invalid, match="a list is wanted"):
            store.index.rebuild("pin")

    def test_a_rebuild_without_an_embedder_mends_passages(self, home: Path) -> None:
        with wilk.open_store(home=home) as store:
            memory = store.memories.add("a memory")
            store.memories.add("another")
            ask(store, "DELETE FROM passages WHERE record_id = ?", (memory.id,))
            store._engine.execute(
                "INSERT INTO passages (kind, record_id, part, text) VALUES ('memory', 'none', 0, 'stray')"
            )
            store.index.rebuild()
            check_passages(store)

    def test_awaited(self, home: Path, run: Callable[[Any], Any]) -> None:
        async def work() -> Any:
            async with wilk.open_async_store(home=home) as store:
                assert await store.index.update() == 0
                return await store.index.status()

        assert [one.kind for one in run(work())][:2] == ["message", "memory"]
