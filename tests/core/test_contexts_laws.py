"""Laws of contexts, on random sessions: the budget holds, groups are whole, equal states give equal
bytes, and a receipt replays the same whatever happens afterwards."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import wilk
from wilk import hookimpl, models
from wilk.context.units import links
from wilk.host import Host
from wilk.records.context import Context

from .test_contexts import block, pin, summary


class Odd:
    """Tokenizers that nobody would write: the laws must not lean on what is usual."""

    @hookimpl
    def register_tokenizers(self) -> Any:
        yield wilk.Tokenizer("letters", lambda text, model: len(text))
        yield wilk.Tokenizer("nothing", lambda text, model: 0)
        yield wilk.Tokenizer("prime", lambda text, model: (len(text) * 7919) % 101)
        yield wilk.Tokenizer("squares", lambda text, model: math.isqrt(len(text)) ** 2 * 3)


TOKENIZERS = ("letters", "nothing", "prime", "squares", "heuristic")
STRATEGIES = ("discard", "summarize", "hybrid")
PLAIN = ("user", "assistant", "system", "developer", "critic")


def call(id: str, shape: int) -> dict[str, Any]:
    if shape == 0:
        return {"role": "assistant", "parts": [{"type": "tool_use", "id": id, "input": {}}]}
    if shape == 1:
        return {"role": "assistant", "metadata": {"tool_calls": [{"id": id}]}}
    return {"role": "assistant", "parts": [{"type": "tool_call", "tool_call": {"id": id}}]}


def answer(id: str, shape: int) -> dict[str, Any]:
    if shape == 1:
        return {"role": "tool", "metadata": {"tool_call_id": id}}
    return {"role": "tool", "parts": [{"type": "tool_result", "tool_use_id": id}]}


@st.composite
def messages(draw: st.DrawFn) -> list[dict[str, Any]]:
    """Turns, tool exchanges with what comes between, lost results, calls that were never answered."""
    found: list[dict[str, Any]] = []
    for number in range(draw(st.integers(0, 14))):
        kind = draw(st.sampled_from(["plain", "plain", "exchange", "parallel", "orphan", "open", "bare"]))
        id, shape = draw(st.sampled_from([f"c{number}", "c0"])), draw(st.integers(0, 2))
        between = {"role": "user"}
        if kind == "plain":
            found.append({"role": draw(st.sampled_from(PLAIN))})
        elif kind == "exchange":
            found += [
                call(id, shape),
                *[dict(between) for _ in range(draw(st.integers(0, 2)))],
                answer(id, shape),
            ]
        elif kind == "parallel":
            found += [call(f"{id}x", 0), call(f"{id}y", 0), answer(f"{id}y", 0), answer(f"{id}x", 0)]
        elif kind == "orphan":
            found.append(answer(id, shape))
        elif kind == "open":
            found.append(call(id, shape))
        else:
            found += [{"role": "assistant"}, {"role": "tool"}]
    for number, message in enumerate(found):
        message["text"] = f"m{number} " + "x" * draw(st.integers(0, 60))
        message["importance"] = draw(st.sampled_from([0.1, 0.5, 0.8, 1.0]))
    return found


@st.composite
def worlds(draw: st.DrawFn) -> dict[str, Any]:
    texts = draw(messages())
    ends = sorted(draw(st.sets(st.integers(1, max(1, len(texts))), max_size=4)))
    return {
        "messages": texts,
        "pins": draw(st.lists(st.tuples(st.text(max_size=8), st.sampled_from([0.2, 0.5, 0.9])), max_size=3)),
        "blocks": draw(st.lists(st.text(max_size=8), max_size=2)),
        "summaries": [
            (first + 1, last, "s" * draw(st.integers(0, 40)), draw(st.sampled_from([0.2, 0.5, 0.9])))
            for first, last in zip([0, *ends], ends, strict=False)
        ],
        "compacted": draw(st.integers(0, len(texts))),
        "budget": draw(st.one_of(st.integers(30, 3000), st.integers(150, 700), st.integers(150, 400))),
        "strategy": draw(st.sampled_from(STRATEGIES)),
        "query": draw(st.sampled_from([None, "m3", "m1 m2", "x"])),
        "system": draw(st.sampled_from([None, "", "be brief"])),
    }


@pytest.fixture(scope="module")
def stores(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, wilk.Store]]:
    """A store for each tokenizer, all in one database: opening is what would take the time."""
    folder = tmp_path_factory.mktemp("laws")
    opened = {}
    for name in TOKENIZERS:
        chosen = wilk.Settings(url=f"sqlite:///{folder}/laws.db", tokenizer=name)
        opened[name] = wilk.open_store(
            settings=chosen, host=Host(Odd(), disabled=["wilk-audit", "wilk-tokens"])
        )
    yield opened
    for store in opened.values():
        store.close()


def made(store: wilk.Store, world: dict[str, Any]) -> str:
    """The session of a world."""
    session = store.sessions.create().id
    store.messages.extend(session, world["messages"])
    for content, importance in world["pins"]:
        pin(store, session, content, importance)
    for number, value in enumerate(world["blocks"]):
        block(store, "session", session, str(number), value)
    for first, last, text, importance in world["summaries"]:
        summary(store, session, first, last, text, importance)
    archive(store, session, world["compacted"] // 2)
    return session


def archive(store: wilk.Store, session: str, upto: int) -> None:
    condition = (models.Message.session == session) & (models.Message.sequence <= upto)
    with store.transaction():
        store._archiver.remove("message", condition, reason="consolidated_to_working")


def built(store: wilk.Store, session: str, world: dict[str, Any], **options: Any) -> Context | None:
    """The context, or None where the floors alone are too much."""
    try:
        return store.contexts.build(
            session, max_tokens=world["budget"], strategy=world["strategy"], query=world["query"],
            system=world["system"], **options,
        )  # fmt: skip
    except wilk.OverBudget:
        return None


def cost(store: wilk.Store, message: dict[str, Any]) -> int:
    """What a message takes, counted from what is sent."""
    from wilk import codec

    tokens = 4 + store.count_tokens(message["content"], model="gpt-4")
    if message.get("parts"):
        tokens += store.count_tokens(codec.canonical(message["parts"]).decode())
    if extra := {name: message[name] for name in ("tool_calls", "tool_call_id") if name in message}:
        tokens += store.count_tokens(codec.canonical(extra).decode())
    return tokens


@pytest.mark.slow
@settings(max_examples=300)
@given(worlds(), st.sampled_from(TOKENIZERS))
def test_the_budget_holds_and_groups_are_whole(stores: Any, world: dict[str, Any], tokenizer: str) -> None:
    store = stores[tokenizer]
    session = made(store, world)
    context = built(store, session, world)
    if context is None:
        return
    assert (
        sum(cost(store, message) for message in context.messages) == context.total_tokens <= world["budget"]
    )
    live = {message.sequence: message for message in store.messages.page(session, limit=1000)}
    archived = range(1, world["compacted"] // 2 + 1)
    sent = [item for item in context.items if item.kind == "message"]
    places = [item.first for item in sent]
    assert places == sorted(set(places))
    assert not set(places) & set(archived)
    called: set[str] = set()
    answered = {id for item in sent for id in links(item).results}
    newest = min((item.first or 0 for item in sent if item.rule == "newest"), default=0)
    for item in sent:
        assert item.text == live[item.first or 0].text
        called |= links(item).calls
        assert links(item).results <= called
        if (item.first or 0) < newest:
            assert links(item).calls <= answered
        if item.role == "tool" and not any(links(item)):  # it comes right behind what it belongs to
            assert (item.first or 0) - 1 in places


@settings(max_examples=60)
@given(worlds())
def test_everything_is_accounted_for_once(stores: Any, world: dict[str, Any]) -> None:
    store = stores["letters"]
    session = made(store, world)
    context = built(store, session, world)
    if context is None:
        return
    spans = [
        (one.first, one.last)
        for one in (*context.items, *context.left_out)
        if one.kind in ("message", "system") and one.first is not None
    ]
    places = sorted(place for first, last in spans for place in range(first, last + 1))
    assert places == list(range(1, context.last_sequence + 1))


@settings(max_examples=60)
@given(worlds(), st.sampled_from(TOKENIZERS))
def test_one_state_gives_the_same_bytes(stores: Any, world: dict[str, Any], tokenizer: str) -> None:
    store = stores[tokenizer]
    session = made(store, world)
    first = built(store, session, world)
    assert first == built(store, session, world)
    kept = built(store, session, world, manifest=True)
    assert (first is None) == (kept is None)
    if first is not None and kept is not None:
        assert first.data == kept.data == store.contexts.replay(kept.manifest)
        assert store.contexts.reopen(kept.manifest) == kept


@settings(max_examples=25)
@given(worlds(), st.lists(st.sampled_from(["pin", "archive", "append", "remove"]), max_size=4))
def test_a_receipt_replays_the_same_whatever_happens(
    stores: Any, world: dict[str, Any], deeds: list[str]
) -> None:
    store = stores["letters"]
    session = made(store, world)
    context = built(store, session, world, manifest=True)
    if context is None:
        return
    for deed in deeds:
        if store.sessions.find(session) is None:
            break
        if deed == "pin":
            with store.transaction():
                query = models.Pin.update({models.Pin.content: "changed"}).where(
                    models.Pin.session == session
                )
                store._engine.run(query)
        elif deed == "archive":
            archive(store, session, context.last_sequence)
        elif deed == "append":
            store.messages.append(session, "user", "more")
        else:
            store.sessions.remove(session)
        assert store.contexts.replay(context.manifest) == context.data
