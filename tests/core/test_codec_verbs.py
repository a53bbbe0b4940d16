"""Every verb that takes text or JSON, with every value that some store loses: it comes back equal, or the
verb says no by name and nothing was written (trap T19)."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime
from typing import Any

import pytest

import wilk
from wilk import codec
from wilk.errors import BackendError, WilkError
from wilk.testing.faults.backend_texts import Call, calls

from .test_codec import same


def nested(levels: int) -> Any:
    value: Any = "leaf"
    for _ in range(levels):
        value = [value]
    return value


TEXTS: dict[str, Any] = {
    "NUL": "a\0b",
    "a lone surrogate": "\ud83d and \udc3a",
    "both, and a mark": '{"$wilk": ["text", "\0\ud800"]}',
    "a number for a text": 7,
    "bytes for a text": b"\xff\0",
    "depth for a text": nested(100_000),
}
VALUES: dict[str, Any] = {
    "NaN": float("nan"),
    "infinities": [float("inf"), float("-inf"), -0.0],
    "integers past 64 bits": [2**63, 2**64, -(2**63) - 1, 10**40],
    "texts": ["a\0b", "\ud800", "\udc00\ud800"],
    "odd keys": {"a\0": 1, "\ud800": 2, "": 3, "$wilk": 4},
    "wilk's own mark": {"$wilk": ["int", "0x5"]},
    "another mark": {"$unreadable": "{"},
    "depth that can be": nested(150),
    "depth that just can be": nested(245),
    "depth that cannot be": nested(300),
    "depth of 100,000": nested(100_000),
    "depth in an object": {"a": {"b": nested(100_000)}},
    "keys that are no text": {1: "a"},
    "bytes": [b"\0\xff"],
    "a set": {"a": {1, 2}},
    "a time": [datetime(2026, 1, 1, tzinfo=UTC)],
    "an object": {"a": object()},
}


NAMED = {"source": ("message",), "message": ("data", "message"), "messages": ("data", "message"),
         "subject": ("fact",), "agent_id": ("agent",), "given": ("definition",), "name": ("reads back",),
         "description": ("reads back",), "author": ("reads back",), "interaction": ("interaction_id",),
         "error": ("result",), "query_context": ("context",)}  # fmt: skip
"""What else an error may name: the column, or the record that a field names."""

MAKES_FIRST = ("tool_calls.finish", "summaries.add")
"""Verbs that are given a record of their own here, which stays."""


def further(store: wilk.Store, tag: str) -> Iterator[Call]:
    """Verbs that the common table has not."""
    session = f"{tag}-further"
    store.sessions.create(id=session)
    first = store.messages.append(session, "user", "first").id
    asked = store.interactions.add("asked").id
    memory = store.memories.add("kept").id
    pattern = store.patterns.add("p", pattern_type="t").id
    world = store.world_models.save("d").id
    block = store.blocks.set("l", "v", session=session, max_tokens=10**6).label
    meta = {"metadata": {"n": 1}}

    yield Call("branches.add", lambda **new: store.branches.add(session, parent=first, **new),
               {"role": "user", "text": "t", "parts": [1], "agent": "a", "model": "m", **meta},
               lambda one: store.branches.messages(session, one.id)[-1])  # fmt: skip
    yield Call("memories.update", lambda **new: store.memories.update(memory, **new),
               {"content": "c", "data": {"n": 1}, "sources": [1], **meta}, lambda _: store.memories.get(memory))  # fmt: skip
    yield Call("memories.save_sequence", lambda **new: store.memories.save_sequence("c", "m", **new),
               {"data": {"n": 1}, "sources": [1], **meta}, lambda one: store.memories.get(one.id))  # fmt: skip
    yield Call("interactions.act", lambda **new: store.interactions.act(asked, **new),
               {"action_type": "t", "target": "t", "details": {"n": 1}, "status": "s", "result": [1], "error": "e"},
               lambda _: store.interactions.actions(asked)[-1])  # fmt: skip
    yield Call("interactions.update", lambda **new: store.interactions.update(asked, **new),
               {"user_query": "q", "planned_actions": [1], "tags": ["t"], "query_context": {"n": 1}, **meta},
               lambda _: store.interactions.get(asked))  # fmt: skip
    yield Call("patterns.update", lambda **new: store.patterns.update(pattern, **new),
               {"name": "n", "description": "d", "sequence": [1], **meta}, lambda _: store.patterns.get(pattern))  # fmt: skip
    yield Call("world_models.save", lambda **new: store.world_models.save("w", **new),
               {"goals": [1], "constraints": [1], "metrics": {"n": 1}, **meta},
               lambda one: store.world_models.get(one.id))  # fmt: skip
    yield Call("world_models.snapshot", lambda **new: store.world_models.snapshot(world, **new),
               {"trigger_event": "t"}, lambda _: store.world_models.snapshots(world)[-1])  # fmt: skip
    yield Call("facts.add", store.facts.add, {"subject": "s", "predicate": "p", "object": {"n": 1}, **meta},
               lambda one: store.facts.get(one.id))  # fmt: skip
    yield Call("blocks.set", lambda **new: store.blocks.set(block, session=session, max_tokens=10**6, **new),
               {"value": "v", **meta}, lambda _: store.blocks.get(block, session=session))  # fmt: skip
    yield Call("raw_messages.save", lambda **new: store.raw_messages.save(session, **new),
               {"messages": [{"n": 1}]}, lambda _: [one.data for one in store.raw_messages.list(session)])  # fmt: skip
    yield Call("chunks.save_info", lambda **new: store.chunks.save_info(session, **new), {"data": {"n": 1}},
               lambda _: store.chunks.info(session))  # fmt: skip
    yield Call("tool_calls.start", lambda **new: store.tool_calls.start(session, "n", **new),
               {"arguments": {"n": 1}, "message": first, **meta}, lambda one: store.tool_calls.get(one.id))  # fmt: skip
    yield Call("tool_calls.finish",
               lambda **new: store.tool_calls.finish(store.tool_calls.start(session, "n").id, **new),
               {"error": "e"}, lambda one: store.tool_calls.get(one.id))  # fmt: skip

    def summarize(**new: Any) -> Any:
        one = store.sessions.create().id
        store.messages.extend(one, [{"role": "user", "text": "m", "tokens": 1}] * 3)
        return store.summaries.add(one, last=3, **new)

    yield Call("summaries.add", summarize, {"text": "t", "method": "m", **meta},
               lambda one: store.summaries.list(one.session_id)[0])  # fmt: skip
    yield Call("sessions.fork", lambda **new: store.sessions.fork(session, **new), {"name": "n"},
               lambda one: store.sessions.get(one.id))  # fmt: skip


def hostile(given: Mapping[str, Any]) -> Iterator[tuple[str, str, Any]]:
    """What to put into each field."""
    for field, value in given.items():
        if isinstance(value, str):
            yield from ((field, kind, odd) for kind, odd in TEXTS.items())
        elif not isinstance(value, int):
            for kind, odd in VALUES.items():
                yield field, kind, {"value": odd} if isinstance(value, Mapping) else [odd]


def holds(record: Any, value: Any) -> bool:
    """Whether a field of a record, or one value of an object in it, is just that value."""
    if isinstance(record, list):
        return same(record, value)
    if not isinstance(record, tuple) and not hasattr(record, "__dict__"):
        return same(record, value)
    fields = list(record) if isinstance(record, tuple) else list(vars(record).values())
    inner = [item for one in fields if isinstance(one, Mapping) for item in one.values()]
    return any(same(one, value) for one in [*fields, *inner])


@pytest.mark.backends
@pytest.mark.parametrize("table", [calls, further], ids=["the common verbs", "further verbs"])
def test_what_a_verb_takes_comes_back_or_is_refused_by_name(
    store: wilk.Store, table: Callable[..., Iterator[Call]], monkeypatch: pytest.MonkeyPatch
) -> None:
    with store.reading():
        names = [name for name in store._engine.database.get_tables() if "_fts" not in name]
    count = "SELECT " + ", ".join(f'(SELECT count(*) FROM "{name}")' for name in names)
    wrong: list[str] = []
    tried = 0
    for call in table(store, "t19"):
        for number, (field, kind, value) in enumerate(hostile(call.given)):
            if (call.verb, call.given.get("text")) == ("summaries.add", "t") and table is calls:
                continue  # one range has one summary; see further()
            tried += 1
            told = f"{call.verb}({field}={kind})"
            given = {**call.given, field: value}
            for name in ("id", "key", "external_id", "memory_id"):
                if name in given and name != field:
                    given[name] = f"t19-{call.verb}-{number}"
            before = store._engine.execute(count)
            try:
                written = call.act(**given)
            except WilkError as error:
                if isinstance(error, BackendError):
                    wrong.append(f"{told}: {str(error)[:100]}")
                elif not any(name in str(error) for name in (field, *NAMED.get(field, ()))):
                    wrong.append(f"{told} does not name the field: {str(error)[:100]}")
                if store._engine.execute(count) != before and call.verb not in MAKES_FIRST:
                    wrong.append(f"{told} was refused and left a row")
                continue
            except Exception as error:
                wrong.append(f"{told}: {type(error).__name__}: {str(error)[:100]}")
                continue
            if not holds(call.read(written), value):
                wrong.append(f"{told} is another value now")
    assert not wrong, f"{len(wrong)} of {tried}:\n" + "\n".join(wrong)
    assert tried > 150


@pytest.mark.storeless
@pytest.mark.parametrize("levels", [300, 1_000, 100_000])
def test_depth_is_refused_by_its_path_and_never_by_the_stack(levels: int) -> None:
    with pytest.raises(wilk.NotStorable, match=r"^a\.0\.0\..*deeper than 200"):
        codec.dumps({"a": nested(levels)})
    with pytest.raises(wilk.NotStorable, match="deeper"):
        codec.canonical(nested(levels))


class TestPoisonedRows:
    """Values that somebody wrote past wilk, or that a damaged file holds."""

    pytestmark = pytest.mark.sqlite

    @pytest.fixture
    def poisoned(self, store: wilk.Store, session: str) -> wilk.Store:
        for number in range(5):
            store.messages.append(session, "user", f"wolf {number}", id=f"m{number}", metadata={"n": number})
        run = store._engine.execute
        with store.transaction():
            run("UPDATE messages SET metadata = '{broken', parts = 'no' WHERE id = 'm1'")
            run("UPDATE messages SET metadata = '[1]', created_at = 'yesterday' WHERE id = 'm2'")
            run("UPDATE messages SET text = x'77ff', parts = '{}' WHERE id = 'm3'")
        return store

    def test_come_back_marked(self, poisoned: wilk.Store) -> None:
        one = poisoned.messages.get("m1")
        assert one.metadata == {"$unreadable": "{broken"}
        assert one.parts == [{"$unreadable": "no"}]
        two = poisoned.messages.get("m2")
        assert two.metadata == {"$unreadable": "[1]"}
        assert two.created_at.year == 1970
        three = poisoned.messages.get("m3")
        assert (three.text, three.parts) == ("w\\xff", [{"$unreadable": "{}"}])

    def test_hide_no_other_row(self, poisoned: wilk.Store, session: str) -> None:
        ids = [f"m{number}" for number in range(5)]
        assert [one.id for one in poisoned.messages.page(session)] == ids
        assert [one.id for one in poisoned.messages.last(session, 5)] == ids
        assert {hit.message.id for hit in poisoned.messages.search("wolf")} >= {"m0", "m1", "m2", "m4"}
        assert {found.id for found in poisoned.search("wolf")} >= {"m0", "m4"}
        assert poisoned.contexts.build(session, max_tokens=1000).items

    @pytest.mark.parametrize(
        ("table", "columns", "read"),
        [
            ("sessions", ("metadata", "active_agents"), lambda store: store.sessions.list()),
            ("memories", ("data", "sources", "metadata"), lambda store: store.memories.list()),
            ("documents", ("data", "metadata"), lambda store: store.documents.list()),
            ("interactions", ("tags", "planned_actions", "metadata"), lambda store: store.interactions.list()),
            ("patterns", ("sequence", "metadata"), lambda store: store.patterns.list()),
            ("preferences", ("value",), lambda store: store.preferences.list(user="ada")),
            ("facts", ("object", "metadata"), lambda store: store.facts.list()),
            ("pins", ("metadata",), lambda store: store.pins.list("long")),
            ("tool_calls", ("arguments", "result"), lambda store: store.tool_calls.list("talk")),
            ("system_state", ("data",), lambda store: store.state.list()),
            ("users", ("metadata",), lambda store: store.users.list()),
            ("agents", ("definition",), lambda store: store.agents.list()),
            ("archive", ("data",), lambda store: store.archive.list()),
            ("vectors", ("metadata",), lambda store: store.vectors.search("own", [1.0, 0.0])),
        ],
    )  # fmt: skip
    def test_of_any_kind_are_listed_among_the_others(
        self, store: wilk.Store, table: str, columns: tuple[str, ...], read: Callable[[wilk.Store], Any]
    ) -> None:
        from .moving import fill

        fill(store)
        whole = len(read(store))
        assert whole
        with store.transaction():
            for column in columns:
                store._engine.execute(f"UPDATE {table} SET {column} = '{{broken'")
        found = read(store)
        assert len(found) == whole
        assert "{broken" in repr(list(found))

    def test_in_the_archive_are_not_restored_and_told_by_number(
        self, store: wilk.Store, session: str
    ) -> None:
        store.sessions.remove(session)
        with store.transaction():
            store._engine.execute("UPDATE archive SET data = '{broken'")
        with pytest.raises(wilk.Invalid, match="archive entry 1 holds no row"):
            store.archive.restore(session=session)
