"""A law: whatever verbs do, passages and vectors are those of the records, and nothing is left to do."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.embedding import Bag

import wilk

from .indexed import check_passages, check_vectors, opened

WORDS = st.lists(
    st.sampled_from(["wolf", "bear", "hunts", "at", "night", "snow", "7", "ü", "熊"]), max_size=12
)
TEXTS = st.one_of(
    WORDS.map(" ".join),
    st.sampled_from(["", "   ", "nul \0 and \ud800", "long words. " * 300, "x" * 4000, "short"]),
)
VALUES = st.recursive(
    st.one_of(TEXTS, st.integers(), st.floats(allow_nan=False), st.booleans(), st.none()),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3), st.dictionaries(st.text(max_size=3), inner, max_size=3)
    ),
    max_leaves=6,
)
Step = Callable[[wilk.Store, st.DataObject], object]
PLACES = st.integers(0, 999)
SESSIONS = ("one", "two")
FILLED = TEXTS.filter(lambda text: bool(text.strip()) and "\0" not in text)


def _any(store: wilk.Store, data: st.DataObject, table: str) -> str:
    """One of the records that there are; what is drawn does not depend on them, nor on the time."""
    n = data.draw(PLACES)
    ids = [id for (id,) in store._engine.execute(f"SELECT id FROM {table} ORDER BY id")]
    return ids[n % len(ids)] if ids else "none"


def _session(data: st.DataObject) -> str:
    return data.draw(st.sampled_from(SESSIONS))


def append(store: wilk.Store, data: st.DataObject) -> None:
    role = data.draw(st.sampled_from(["user", "assistant", "tool"]))
    store.messages.append(_session(data), role, data.draw(TEXTS))


def extend(store: wilk.Store, data: st.DataObject) -> None:
    texts = data.draw(st.lists(TEXTS, min_size=1, max_size=6))
    store.messages.extend(_session(data), [{"role": "user", "text": text} for text in texts])


def roll_back(store: wilk.Store, data: st.DataObject) -> None:
    with store.transaction():
        store.pins.add(_session(data), "kept with the transaction")
        with suppress(LookupError), store.transaction():
            append(store, data)
            store.memories.add("taken back")
            raise LookupError
        append(store, data)


def fork(store: wilk.Store, data: st.DataObject) -> None:
    store.sessions.fork(_session(data))


def summarize(store: wilk.Store, data: st.DataObject) -> None:
    store.memory.compact(_session(data), keep_messages=1, archive=data.draw(st.booleans()))


def restore(store: wilk.Store, data: st.DataObject) -> None:
    n = data.draw(PLACES)
    entries = [entry for entry in store.archive.list() if entry.restored_at is None and entry.batch]
    if batches := sorted({str(entry.batch) for entry in entries}):
        store.archive.restore(batch=batches[n % len(batches)])


def restore_one(store: wilk.Store, data: st.DataObject) -> None:
    n = data.draw(PLACES)
    entries = [entry for entry in store.archive.list() if entry.restored_at is None]
    if entries:
        store.archive.restore(entries[n % len(entries)].id)


STEPS: dict[str, Step] = {
    "append": append,
    "extend": extend,
    "roll back": roll_back,
    "fork": fork,
    "compact": summarize,
    "uncompact": lambda store, data: store.memory.uncompact(_session(data)),
    "restore": restore,
    "restore one": restore_one,
    "remove session": lambda store, data: store.sessions.remove(_any(store, data, "sessions")),
    "pin": lambda store, data: store.pins.add(_session(data), data.draw(FILLED)),
    "edit pin": lambda store, data: store.pins.update(_any(store, data, "pins"), content=data.draw(FILLED)),
    "remove pin": lambda store, data: store.pins.remove(_any(store, data, "pins")),
    "remember": lambda store, data: store.memories.add(
        data.draw(TEXTS), data=data.draw(VALUES), session=data.draw(st.none() | st.sampled_from(SESSIONS))
    ),
    "remember by name": lambda store, data: store.memories.save_sequence(
        "c", data.draw(st.sampled_from("ab")), data.draw(VALUES)
    ),
    "edit memory": lambda store, data: store.memories.update(
        _any(store, data, "memories"), content=data.draw(TEXTS)
    ),
    "forget": lambda store, data: store.memories.remove(_any(store, data, "memories")),
    "document": lambda store, data: store.documents.save(
        data.draw(st.sampled_from("cde")), data.draw(VALUES), title=data.draw(st.none() | FILLED)
    ),
    "remove document": lambda store, data: store.documents.remove(_any(store, data, "documents")),
    "fact": lambda store, data: store.facts.add("wolf", "eats", data.draw(VALUES)),
    "retract": lambda store, data: store.facts.retract(_any(store, data, "facts")),
    "correct": lambda store, data: store.facts.correct(_any(store, data, "facts"), object=data.draw(VALUES)),
    "interaction": lambda store, data: store.interactions.add(data.draw(FILLED), session=_session(data)),
    "remove interaction": lambda store, data: store.interactions.remove(_any(store, data, "interactions")),
    "pattern": lambda store, data: store.patterns.add(
        data.draw(FILLED), sequence=data.draw(st.lists(VALUES, max_size=2))
    ),
    "promote": lambda store, data: store.patterns.promote(_any(store, data, "patterns")),
    "consolidate": lambda store, _: store.consolidation.run(interactions=2, working=2, episodic=2),
    "retain": lambda store, _: store.retention.run({"pin": {"count": 1}, "memory": {"count": 2}}),
    "settle": lambda store, _: store.settle(),
}
REFUSALS = (wilk.NotFound, wilk.Conflict, wilk.Invalid, wilk.Protected, wilk.NotStorable)


def _do(store: wilk.Store, data: st.DataObject) -> None:
    for name in data.draw(st.lists(st.sampled_from(sorted(STEPS)), min_size=4, max_size=20)):
        with suppress(*REFUSALS):
            STEPS[name](store, data)


@pytest.fixture
def home_of_two(home: Path, _new_database: Path) -> Path:
    """A home with two sessions, whose database each example begins from."""
    home.mkdir()
    shutil.copy(_new_database, home / "wilk.db")
    with wilk.open_store(home=home) as store:
        for id in SESSIONS:
            store.sessions.create(id=id)
    return home


def _copied(home: Path, folder: Path) -> Path:
    shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(home, folder)
    return folder


@pytest.mark.slow
@settings(max_examples=60)
@given(data=st.data())
def test_passages_and_vectors_are_those_of_the_records(
    home_of_two: Path, tmp_path: Path, data: st.DataObject
) -> None:
    plugin = Bag(batch=data.draw(st.sampled_from([1, 3, 50])))
    with opened(_copied(home_of_two, tmp_path / "work"), plugin) as store:
        _do(store, data)
        check_passages(store)
        assert store.settle()
        check_vectors(store, plugin)


@pytest.mark.slow
@settings(max_examples=30)
@given(data=st.data())
def test_another_model_takes_over_whatever_happens_meanwhile(
    home_of_two: Path, tmp_path: Path, data: st.DataObject
) -> None:
    """Records that are written, changed and restored while the new vectors are made have those as well."""
    with opened(_copied(home_of_two, tmp_path / "work"), Bag()) as store:
        _do(store, data)
        store.settle()
    plugin = Bag("bag-2", dimension=32, batch=2)
    with opened(tmp_path / "work", plugin) as store:
        store._indexing.wake()
        _do(store, data)
        assert store.settle()
        store.index.update()
        check_passages(store)
        check_vectors(store, plugin)


@pytest.mark.slow
@settings(max_examples=30)
@given(data=st.data())
def test_an_embedder_that_comes_later_finds_all_there_is(
    home_of_two: Path, tmp_path: Path, data: st.DataObject
) -> None:
    with wilk.open_store(home=_copied(home_of_two, tmp_path / "work")) as store:
        _do(store, data)
        check_passages(store)
    plugin = Bag()
    with opened(tmp_path / "work", plugin) as store:
        assert store.settle()
        check_vectors(store, plugin)
