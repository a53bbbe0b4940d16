"""Fields of LibreChat's documents that are of another kind than they should be: nothing breaks, all is kept."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from tests.core.librechat.documents import everything

from wilk.transfer.importers.librechat import agents, files, messages, people, prompts
from wilk.transfer.importers.librechat.fields import same
from wilk.transfer.reading.ejson import ObjectId

pytestmark = pytest.mark.storeless

VALUES: tuple[Any, ...] = (
    None, "", "x", 5, -1.5, True, float("nan"), [], {}, [None], [5, {"a": [1]}], {"a": None}, {"$oid": 5},
    "a\0b", "half \ud83d", ObjectId("65b000000000000000000001"), 10**400,
)  # fmt: skip


def nothing(*_: object) -> None:
    pass


READERS: dict[str, Callable[[dict[str, Any]], object]] = {
    "agents": lambda one: agents.agent(one, nothing, nothing),
    "presets": lambda one: prompts.preset(one, nothing),
    "promptgroups": lambda one: prompts.prompt("g", one, everything()["prompts"], nothing, nothing),
    "prompts": lambda one: prompts.prompt("g", everything()["promptgroups"][0], [one], nothing, nothing),
    "users": lambda one: people.user(one, nothing),
    "groups": lambda one: people.group(one, nothing),
    "memoryentries": lambda one: people.memory(one, nothing),
    "files": lambda one: files.document("files", one, nothing, nothing),
    "actions": lambda one: files.document("actions", one, nothing, nothing),
    "toolcalls": lambda one: files.tool_call(one, "s", nothing),
    "messages": lambda one: (
        messages.place_of(one), messages.parent_of(one), messages.is_shown(one),
        messages.incoming(one, messages.key_of(one), None, conversation="c-1", user=None, agent=str, lost=nothing),
    ),
}  # fmt: skip


def variants(name: str) -> Iterator[dict[str, Any]]:
    for document in everything()[name]:
        for field in document:
            for value in VALUES:
                yield {**document, field: value}


@pytest.mark.parametrize("name", READERS)
def test_a_field_of_any_other_kind_breaks_nothing(name: str) -> None:
    for document in variants(name):
        try:
            READERS[name](document)
        except KeyError as error:
            assert error.args[0] in ("id", "_id", "presetId", "messageId")  # noqa: PT017 what names it is not there


def test_an_agent_with_any_field_of_another_kind_comes_back_as_it_was() -> None:
    for document in variants("agents"):
        if not isinstance(document["id"], str) or not document["id"]:
            continue
        clean = {**document, "_id": document["_id"]}
        item = agents.agent(clean, nothing, nothing)
        made = agents.document(item.definition, item.id, [*item.versions, item.definition], item.id)
        assert same({**made, "x": 1}, {**document, "x": 1}), [
            (name, made.get(name), document.get(name))
            for name in {*made, *document}
            if not same(made.get(name), document.get(name))
        ]


def test_a_preset_with_any_field_of_another_kind_comes_back_as_it_was() -> None:
    for document in variants("presets"):
        if not isinstance(document["presetId"], str) or not document["presetId"]:
            continue
        item = prompts.preset(document, nothing)
        assert same(prompts.preset_document(item.id, item.definition), document)
