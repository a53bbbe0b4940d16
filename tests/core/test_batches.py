"""Many records in one transaction: all of them or none, by the verbs that are called ``extend``."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

import wilk
from wilk import hookimpl

ITEMS: dict[str, Callable[[int], dict[str, Any]]] = {
    "memories": lambda n: {"content": f"memory {n}", "importance": 0.5},
    "facts": lambda n: {"subject": "Ann", "predicate": "reads", "object": n},
    "pins": lambda n: {"content": f"pin {n}", "type": "code"},
    "interactions": lambda n: {"user_query": f"question {n}", "tags": ["x"]},
}


def verbs(store: wilk.Store, name: str) -> tuple[Callable[..., Any], Callable[..., Any], Callable[[], Any]]:
    """``add``, ``extend`` and a listing of a noun, each over the session ``s`` where there is one."""
    noun: Any = getattr(store, name)
    if name == "pins":
        return (
            lambda **given: noun.add("s", **given),
            lambda items: noun.extend("s", items),
            lambda: noun.list("s", limit=1000),
        )
    return noun.add, noun.extend, lambda: noun.list(limit=1000)


@pytest.fixture(params=ITEMS)
def kind(request: pytest.FixtureRequest, store: wilk.Store) -> str:
    store.sessions.create(id="s")
    return str(request.param)


def test_keeps_what_adding_one_by_one_does(store: wilk.Store, kind: str) -> None:
    add, extend, listed = verbs(store, kind)
    made = extend([ITEMS[kind](n) for n in range(20)])
    assert len(made) == 20
    assert sorted(one.id for one in listed()) == sorted(one.id for one in made)
    alone = add(**ITEMS[kind](0))
    same = {"id", "created_at", "updated_at", "recorded_at"}
    fields = [name for name in alone._fields if name not in same]
    assert [getattr(alone, name) for name in fields] == [getattr(made[0], name) for name in fields]


def test_of_none_keeps_none(store: wilk.Store, kind: str) -> None:
    _, extend, listed = verbs(store, kind)
    assert list(extend([])) == []
    assert list(listed()) == []


def test_with_one_that_is_bad_keeps_none_and_tells_which(store: wilk.Store, kind: str) -> None:
    _, extend, listed = verbs(store, kind)
    good = ITEMS[kind](1)
    name = next(iter(good))
    for bad, said in (
        ({**good, "colour": "red"}, f"^{kind}.2: there is no 'colour'; there is {name}"),
        ({key: value for key, value in good.items() if key != name}, f"^{kind}.2: {name} is missing"),
        ("text", f"^{kind}.2 'text': an object is wanted"),
        ({**good, name: 5}, f"^{kind}.2: "),
    ):
        with pytest.raises(wilk.Invalid, match=said):
            extend([good, good, bad])
    assert list(listed()) == []


@pytest.mark.parametrize("items", ["text", 5, {"content": "x"}, None])
def test_of_what_is_no_list_is_refused(store: wilk.Store, kind: str, items: Any) -> None:
    _, extend, _ = verbs(store, kind)
    with pytest.raises(wilk.Invalid, match=f"^{kind} "):
        extend(items)


def test_tells_listeners_of_each(plugged: Callable[..., wilk.Store], kind: str) -> None:
    heard: list[str] = []

    class Listener:
        @hookimpl
        def after_save(self, kind: str, record: Any) -> None:
            heard.append(kind)

    store = plugged(Listener())
    _, extend, _ = verbs(store, kind)
    extend([ITEMS[kind](n) for n in range(3)])
    assert len(set(heard)) == 1
    assert len(heard) == 3


def test_that_a_plugin_refuses_keeps_none(plugged: Callable[..., wilk.Store], kind: str) -> None:
    class Refuses:
        seen = 0

        @hookimpl
        def before_save(self, record: Any) -> None:
            Refuses.seen += 1
            if Refuses.seen == 3:
                raise wilk.Rejected("not the third")

    store = plugged(Refuses())
    _, extend, listed = verbs(store, kind)
    with pytest.raises(wilk.Rejected, match="not the third"):
        extend([ITEMS[kind](n) for n in range(5)])
    assert list(listed()) == []


def test_names_the_one_whose_id_is_taken(store: wilk.Store) -> None:
    store.interactions.add("first", id="one")
    with pytest.raises(wilk.Conflict, match=r"^interactions.1: "):
        store.interactions.extend([{"user_query": "x"}, {"user_query": "again", "id": "one"}])
    assert len(store.interactions.list()) == 1


def test_takes_items_as_they_come(store: wilk.Store) -> None:
    assert len(store.memories.extend({"content": str(n)} for n in range(5))) == 5
