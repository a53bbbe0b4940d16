"""A backend that is given odd texts and numbers, in every field of every verb that keeps one."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping
from typing import Any, NamedTuple

from wilk.errors import BackendError, WilkError
from wilk.store import Store
from wilk.testing.faults.backend_fixtures import BackendFixtures
from wilk.testing.faults.recording import Seen, fault

TEXTS = {
    "NUL": "NUL \0 inside",
    "a lone surrogate": "half \ud83d of a character",
    "right to left": "\u202e\u0645\u0631\u062d\u0628\u0627 \u200f and back",
    "SQL and formats": "it's; DROP TABLE messages; -- %s %(x)s {} ? :x $1 \\ \" `",
    "marks and emoji": "e\u0301 \u00e9 \U0001f43a \ufeff \U0001f469\u200d\U0001f52c",
    "white space": " \r\n\t\u00a0 x \n",
    "long": "long " * 20_000,
    "nothing": "",
}
NUMBERS = {"2**63 - 1": 2**63 - 1, "-2**63": -(2**63), "2**63": 2**63, "2**64": 2**64}
Given = Mapping[str, Any]


class Call(NamedTuple):
    """A verb, what it is given when all is well, and how what it wrote is read again.

    Of what is given, every text, number and JSON value is exchanged in turn. ``but`` names what the verb's
    own documentation says it takes otherwise, on every backend.
    """

    verb: str
    act: Callable[..., Any]
    given: Given
    read: Callable[..., Any]
    but: Collection[str] = ()


def calls(store: Store, tag: str) -> Iterator[Call]:
    """Every verb that keeps a text. What it needs is made before."""
    s, g, u = (f"{tag}-{name}" for name in ("session", "group", "user"))
    store.users.save(u, name="U")
    store.groups.save(g, name="G")
    store.sessions.create(id=s)
    for _ in range(3):
        m = store.messages.append(s, "user", "m", tokens=1).id
    pin = store.pins.add(s, "pin").id
    data = {"data": {"n": 1}}
    meta = {"metadata": {"n": 1}}

    def by_id(noun: str) -> Callable[..., Any]:
        return lambda record: getattr(store, noun).get(record.id)

    user = {"id": "a", "name": "A", "email": "e", "external_id": "x", **meta}
    yield Call("users.save", store.users.save, user, by_id("users"))
    yield Call(
        "groups.save",
        store.groups.save,
        {"id": "a", "name": "A", "external_id": "x", **meta},
        by_id("groups"),
    )
    yield Call("groups.add", lambda role: store.groups.add(g, u, role=role), {"role": "r"},
               lambda _: store.groups.members(g)[0])  # fmt: skip
    session = {
        "name": "n",
        "working_directory": "/w",
        "recap": "r",
        "context_file": "c",
        "model": "m",
        **meta,
    }
    yield Call("sessions.create", store.sessions.create, {"id": "a", "max_tokens": 9, **session},
               by_id("sessions"), ["model of nothing"])  # fmt: skip
    yield Call("sessions.update", lambda **new: store.sessions.update(s, **new), session, by_id("sessions"))
    message = {"role": "user", "text": "t", "agent": "a", "model": "m", "interaction": "i", "key": "k",
               "parent": "p", "id": "a", "tokens": 1, "parts": [1], **meta}  # fmt: skip
    yield Call("messages.append", lambda **new: store.messages.append(s, **new), message, by_id("messages"))
    yield Call(
        "messages.extend", lambda **new: store.messages.extend(s, [new])[0], message, by_id("messages")
    )
    yield Call("pins.add", lambda **new: store.pins.add(s, **new), {"content": "c", "type": "user", **meta},
               by_id("pins"))  # fmt: skip
    yield Call(
        "pins.update", lambda **new: store.pins.update(pin, **new), {"content": "c", **meta}, by_id("pins")
    )
    yield Call("blocks.set", lambda **new: store.blocks.set(session=s, **new),
               {"label": "l", "value": "v", "description": "d", "max_tokens": 10**6, **meta},
               lambda block: store.blocks.get(block.label, session=s))  # fmt: skip
    yield Call("facts.add", store.facts.add,
               {"subject": "s", "predicate": "p", "object": "o", "source": m, "interaction": "i", **meta},
               by_id("facts"))  # fmt: skip
    yield Call("summaries.add", lambda **new: store.summaries.add(s, last=3, **new),
               {"text": "t", "method": "m", **meta}, lambda _: store.summaries.list(s)[-1])  # fmt: skip
    yield Call("memories.add", store.memories.add,
               {"content": "c", "kind": "note", "conversation": "c", "memory_id": "m", "agent": "a",
                "iteration": 1, "interaction": "i", **data, **meta}, by_id("memories"))  # fmt: skip
    yield Call("memories.add", store.memories.add, {"content": "c"}, by_id("memories"))
    yield Call("tool_calls.start", lambda **new: store.tool_calls.start(s, **new),
               {"name": "n", "arguments": {"n": 1}, "call_id": "c", "agent": "a", **meta},
               by_id("tool_calls"))  # fmt: skip
    yield Call("tool_calls.finish",
               lambda **new: store.tool_calls.finish(store.tool_calls.start(s, "n", message=m).id, **new),
               {"result": {"n": 1}}, by_id("tool_calls"), ["result of long"])  # fmt: skip
    yield Call("documents.save", store.documents.save, {"id": "a", "kind": "k", "title": "t", **data, **meta},
               by_id("documents"))  # fmt: skip
    yield Call("raw_messages.append", lambda **new: store.raw_messages.append(s, **new),
               {"message": {"n": 1}}, lambda _: store.raw_messages.list(s)[-1])  # fmt: skip
    yield Call("reasoning.add", store.reasoning.add, {"agent_id": "a", **data}, by_id("reasoning"))
    yield Call(
        "state.set", store.state.set, {"key": f"{tag}-key", **data}, lambda state: store.state.get(state.key)
    )
    yield Call("interactions.add", store.interactions.add,
               {"user_query": "q", "id": "a", "agent": "a", "ai_interpretation": "i", "active_role": "r",
                "user_feedback": "f", "tokens_used": 1, "query_context": {"n": 1}, **meta},
               by_id("interactions"))  # fmt: skip
    yield Call("patterns.add", store.patterns.add,
               {"name": "n", "id": "a", "pattern_type": "t", "description": "d", "frequency": 1, **meta},
               by_id("patterns"))  # fmt: skip
    yield Call("feedback.add", store.feedback.add, {"type": "t", "message": "m", "context": {"n": 1}},
               by_id("feedback"))  # fmt: skip
    yield Call("preferences.set", store.preferences.set,
               {"key": f"{tag}-key", "value": {"n": 1}, "category": "c", "source": "s"},
               lambda one: store.preferences.get(one.key, category=one.category))  # fmt: skip
    yield Call("world_models.save", store.world_models.save,
               {"domain": "d", "id": "a", "interaction_count": 1, **meta}, by_id("world_models"))  # fmt: skip
    yield Call("agents.save", lambda id, **new: store.agents.save(id, new),
               {"id": "a", "name": "A", "description": "d", "author": "x"}, by_id("agents"))  # fmt: skip


class ToldBackend(BackendFixtures):
    """What is odd comes back as it was, or is refused and leaves nothing."""

    @fault("hostile text", slow=True)
    def test_odd_texts_come_back_or_are_refused(
        self, opens: Callable[..., Store], tag: str, seen: Seen
    ) -> None:
        store = opens(compaction="manual")  # nothing else is to write meanwhile
        tables = self._tables(store)
        for call in calls(store, tag):
            for number, (field, kind, value) in enumerate(_odd(call.given)):
                if f"{field} of {kind}" in call.but:
                    continue
                during = f"{call.verb} with {field} of {kind}"
                given = {**call.given, field: value}
                for name in ("id", "key", "external_id", "memory_id"):
                    if name in given and name != field:
                        given[name] = f"{tag}-{call.verb}-{number}"
                self._try(store, call, given, field, during, tables, seen)
        seen.check()

    def _try(
        self, store: Store, call: Call, given: Given, field: str, during: str, tables: str, seen: Seen
    ) -> None:
        seen.tried()
        value = given[field]
        before = store._engine.execute(tables)
        try:
            written = call.act(**given)
        except WilkError as error:
            if isinstance(error, BackendError):
                seen.found("unclear", str(error)[:200], during)
            if store._engine.execute(tables) != before:
                seen.found("half", "a row", f"{during}, which was refused: {str(error)[:200]}")
            return
        except Exception as error:
            seen.found("unclear", f"{type(error).__name__}: {error}"[:200], during)
            return
        try:
            read = call.read(written)
        except Exception as error:
            seen.found("lost", f"what was written ({type(error).__name__}: {error})"[:200], during)
            return
        if not _holds(read, value):
            seen.found("changed", f"{ascii(value)[:60]} is {ascii(getattr(read, field, read))[:60]}", during)
        elif read != written:
            seen.found("changed", "what is read, which is not what was returned", during)

    def _tables(self, store: Store) -> str:
        """SQL that counts the rows of all tables."""
        with store.reading():
            names = [name for name in store._engine.database.get_tables() if "_fts" not in name]
        return "SELECT " + ", ".join(f'(SELECT count(*) FROM "{name}")' for name in names)  # noqa: S608 (own names)


def _odd(given: Given) -> Iterator[tuple[str, str, Any]]:
    """What to put into each field: texts, numbers, or both in JSON."""
    for field, value in given.items():
        if isinstance(value, str):
            for kind, text in TEXTS.items():
                yield field, kind, text
        elif isinstance(value, int):
            for kind, number in NUMBERS.items():
                yield field, kind, number
        else:
            for kind, text in TEXTS.items():
                odd = {"value": text, text: [NUMBERS["2**64"], -1.5, None]}
                yield field, kind, odd if isinstance(value, Mapping) else [odd]


def _holds(record: Any, value: Any) -> bool:
    """Whether a field of a record is just that value, and of its type."""
    values = record if isinstance(record, tuple) else vars(record).values()
    return any(one == value and type(one) is type(value) for one in values) or any(
        isinstance(one, Mapping) and value in one.values() for one in values
    )
