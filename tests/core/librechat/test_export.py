"""Back to LibreChat: what came from there comes out as it was, and what was made here as it takes it."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
from tests.core.librechat import documents
from tests.core.librechat.conftest import rows
from tests.core.librechat.documents import (
    ANNA,
    BELA,
    action,
    agent,
    conversation,
    everything,
    message,
    oid,
    tool_part,
    user,
)

import wilk
from wilk.records.transfer import MigrationResult
from wilk.transfer.reading.ejson import ObjectId, encode_relaxed

pytestmark = pytest.mark.sqlite
Take = Callable[..., MigrationResult]
Open = Callable[[str], wilk.Store]

DROPPED = {
    "users": {"password", "totpSecret", "pendingTotpSecret", "backupCodes", "pendingBackupCodes", "refreshToken"},
}  # fmt: skip
REMADE = {"conversations": {"messages"}, "actions": {"metadata"}}


def read(folder: Path) -> dict[str, list[dict[str, Any]]]:
    return {
        path.stem: [json.loads(line) for line in path.read_bytes().splitlines()]
        for path in sorted(folder.iterdir())
    }


def there_and_back(store: wilk.Store, take: Take, source: Mapping[str, Any], folder: Path) -> dict[str, Any]:
    assert take(source).failed == 0
    store.exports.run("librechat", folder)
    return read(folder)


def by_id(found: list[dict[str, Any]]) -> dict[str, dict[str, Any]]:
    return {json.dumps(one.get("_id")): one for one in found}


def fields() -> list[tuple[str, int, str]]:
    return [
        (name, number, field)
        for name, found in everything().items()
        for number, one in enumerate(found)
        for field in one
        if name != "keys" and field not in DROPPED.get(name, ()) and field not in REMADE.get(name, ())
    ]


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[dict[str, Any]]]:
    folder = tmp_path_factory.mktemp("exported")
    with wilk.open_store(home=folder / "home") as store:
        store.imports.run("librechat", documents.write(folder / "dump", everything()))
        store.exports.run("librechat", folder / "out")
    return read(folder / "out")


@pytest.mark.parametrize("name", sorted({name for name, _, _ in fields()}))
def test_every_field_comes_out_as_it_went_in(name: str, exported: dict[str, list[dict[str, Any]]]) -> None:
    there = by_id(exported[name])
    for collection, number, field in fields():
        if collection != name:
            continue
        document = encode_relaxed(everything()[name][number])
        if name == "files" and field == "filepath" and number == 1:
            assert there[json.dumps(document["_id"])][field].endswith("X-Amz-Signature=$REMOVED&w=2")
            continue
        found = there[json.dumps(document["_id"])]
        assert field in found, field
        assert found[field] == document[field], field


def test_no_field_comes_out_that_did_not_go_in(exported: dict[str, list[dict[str, Any]]]) -> None:
    for name, found in exported.items():
        there = by_id(encode_relaxed(everything()[name]))
        for one in found:
            assert one.keys() <= there[json.dumps(one["_id"])].keys()


def test_the_list_of_a_conversations_messages_is_made_anew(
    exported: dict[str, list[dict[str, Any]]],
) -> None:
    made = exported["conversations"][0]["messages"]
    wanted = [one["_id"] for one in exported["messages"] if one["conversationId"] == "c-1"]
    assert sorted(map(str, made)) == sorted(map(str, wanted))


def test_import_export_import_is_a_fixed_point(
    take: Take, store: wilk.Store, another: Open, tmp_path: Path
) -> None:
    source = everything()
    source["conversations"][0]["messages"] = [one["_id"] for one in source["messages"][:3]]
    take(source)
    store.exports.run("librechat", tmp_path / "out")
    second = another("second")
    result = second.imports.run("librechat", tmp_path / "out")
    assert (result.failed, result.lost_fields) == (0, {})
    assert rows(second) == rows(store)
    second.exports.run("librechat", tmp_path / "again")
    assert read(tmp_path / "again") == read(tmp_path / "out")


def test_what_was_exported_and_is_taken_again_changes_nothing(
    take: Take, store: wilk.Store, tmp_path: Path
) -> None:
    take(everything())
    before = rows(store)
    store.exports.run("librechat", tmp_path / "out")
    store.imports.run("librechat", tmp_path / "out")
    assert rows(store) == before


def test_the_report_of_what_was_lost_lists_the_secrets_and_nothing_else(take: Take) -> None:
    lost = take(everything()).lost_fields
    assert set(lost) == {
        *(f"users.{name}" for name in DROPPED["users"]),
        "actions.metadata.api_key", "actions.metadata.oauth_client_id",
        "actions.metadata.oauth_client_secret", "actions.metadata.unheard_of",
        "actions.metadata.auth.custom_auth_header", "actions.metadata.auth.client_secret",
        "actions.metadata.auth.authorization_url (a login or key in the address)",
        "actions.metadata.raw_spec (keys within it)",
        "files.filepath (a login or key in the address)", "keys",
    }  # fmt: skip


ODD = {
    "inf": float("inf"), "big": 2**63, "huge": 10**400, "emoji": "\U0001f600", "half": "a\ud800b",
    "nul": "a\0b", "$k": {"$oid": "x"}, "": 1, "$wilk": ["text", "x"], "n": None,
}  # fmt: skip


@pytest.mark.parametrize(
    "more",
    [
        {"tools": None}, {"tools": []}, {"tools": ["a", 5]}, {"versions": []}, {"versions": None},
        {"versions": [None]}, {"name": None}, {"name": ""}, {"name": "agent_reviewer"}, {"name": "x\0y"},
        {"name": "half \ud83d"}, {"description": None}, {"category": None}, {"authorName": "Anna"},
        {"authorName": str(ANNA)}, {"model": None}, {"provider": 5}, {"model_parameters": None},
        {"model_parameters": {"temperature": 9, "top_p": 1.0}}, {"model_parameters": ODD},
        {"instructions": "half \ud83d and \0"}, {"instructions": None}, {"tenantId": "north"},
        {"edges": [{"from": "a", "to": "b"}]}, {"support_contact": None}, {"avatar": {"filepath": "/x"}},
        {"isCollaborative": True, "projectIds": [oid(4)]}, {"odd": ODD}, {"recursion_limit": 50},
    ],
    ids=str,
)  # fmt: skip
def test_an_agent_with_odd_fields_comes_out_as_it_went_in(
    take: Take, store: wilk.Store, tmp_path: Path, more: dict[str, Any]
) -> None:
    document = agent(**more)
    made = there_and_back(store, take, {"agents": [document]}, tmp_path / "out")
    assert made["agents"] == [json.loads(json.dumps(encode_relaxed(document)))]


@pytest.mark.parametrize(
    "name", ["name", "description", "tools", "versions", "authorName", "model_parameters"]
)
def test_an_agent_without_a_field_comes_out_without_it(
    take: Take, store: wilk.Store, tmp_path: Path, name: str
) -> None:
    document = {**agent(), "authorName": "A"}
    del document[name]
    made = there_and_back(store, take, {"agents": [document]}, tmp_path / "out")
    assert made["agents"] == [encode_relaxed(document)]


def test_agents_of_one_name_or_id_come_out_as_they_went_in(
    take: Take, store: wilk.Store, tmp_path: Path, another: Open
) -> None:
    source = [agent("agent_z"), agent("agent_a", _id=oid(2)), agent("agent_z", _id=oid(3), tenantId="t")]
    made = there_and_back(store, take, {"agents": source}, tmp_path / "out")
    assert made["agents"] == encode_relaxed(source)
    second = another("second")
    second.imports.run("librechat", tmp_path / "out")
    assert rows(second) == rows(store)


@pytest.mark.parametrize(
    "more",
    [
        {"text": None}, {"text": {"value": "x"}}, {"tokenCount": None}, {"tokenCount": -1}, {"model": None},
        {"model": ""}, {"model": "agent_x"}, {"isCreatedByUser": None}, {"sender": None},
        {"parentMessageId": None}, {"parentMessageId": "gone"}, {"createdAt": "2025-01-12T10:00:00.000Z"},
        {"createdAt": None}, {"user": None}, {"content": []}, {"content": "x"}, {"content": None},
        {"content": [tool_part(output="2"), {"type": "text", "text": "b"}], "text": "kept"},
        {"content": [{"type": "text", "text": "b"}]}, {"metadata": {"a": 1}}, {"text": "half \ud83d \0"},
        {"odd": ODD}, {"quotes": ["x"], "manualSkills": []}, {"summary": "s", "summaryTokenCount": 3},
    ],
    ids=str,
)  # fmt: skip
def test_a_message_with_odd_fields_comes_out_as_it_went_in(
    take: Take, store: wilk.Store, tmp_path: Path, more: dict[str, Any]
) -> None:
    source = [message("u1", minute=1), message("a1", "u1", "t", minute=2) | more]
    made = there_and_back(store, take, {"messages": source}, tmp_path / "out")
    there = by_id(made["messages"])
    assert [there[json.dumps(encode_relaxed(one["_id"]))] for one in source] == json.loads(
        json.dumps(encode_relaxed(source))
    )


@pytest.mark.parametrize(
    "name",
    ["text", "tokenCount", "model", "isCreatedByUser", "parentMessageId", "createdAt", "user", "sender"],
)
def test_a_message_without_a_field_comes_out_without_it(
    take: Take, store: wilk.Store, tmp_path: Path, name: str
) -> None:
    document = message("a1")
    del document[name]
    made = there_and_back(store, take, {"messages": [document]}, tmp_path / "out")
    assert made["messages"] == [encode_relaxed(document)]


@pytest.mark.parametrize(
    "more",
    [
        {"title": None}, {"title": "x\0"}, {"model": None}, {"model": "agent_x"}, {"maxContextTokens": 0},
        {"maxContextTokens": None}, {"isArchived": True}, {"agent_id": "agent_unknown"}, {"user": None},
        {"examples": [{"a": 1}], "stop": ["x"]}, {"odd": ODD}, {"jailbreak": False, "toneStyle": "x"},
        {"tenantId": "north"}, {"updatedAt": None},
    ],
    ids=str,
)  # fmt: skip
def test_a_conversation_with_odd_fields_comes_out_as_it_went_in(
    take: Take, store: wilk.Store, tmp_path: Path, more: dict[str, Any]
) -> None:
    document = conversation(messages=[], **more)
    made = there_and_back(store, take, {"conversations": [document]}, tmp_path / "out")
    assert made["conversations"] == json.loads(json.dumps([encode_relaxed(document)]))


@pytest.mark.parametrize(
    "text", ["{{a}} {b} {{{c}}} {{d:x|y}} {{d}}", "", None, "half \ud83d", "{{ a b }}", "\n"]
)
def test_a_prompt_comes_out_letter_by_letter(
    take: Take, store: wilk.Store, tmp_path: Path, text: str | None
) -> None:
    source = everything()
    found = {"promptgroups": source["promptgroups"], "prompts": [{**source["prompts"][1], "prompt": text}]}
    made = there_and_back(store, take, found, tmp_path / "out")
    assert made["prompts"] == json.loads(json.dumps(encode_relaxed(found["prompts"])))


def test_messages_of_two_users_with_one_id_come_out_as_they_went_in(
    take: Take, store: wilk.Store, tmp_path: Path, another: Open
) -> None:
    his: dict[str, Any] = {"user": str(BELA)}
    source = {
        "users": [{"_id": ANNA, "name": "A"}, {"_id": BELA, "name": "B"}],
        "conversations": [conversation(messages=[]), conversation(messages=[], _id=oid(5), **his)],
        "messages": [message("u1"), message("a1", "u1", minute=11), message("u1", _id=oid(6), **his),
                     message("a1", "u1", _id=oid(7), minute=11, **his)],
    }  # fmt: skip
    made = there_and_back(store, take, source, tmp_path / "out")
    assert made["messages"] == encode_relaxed(source["messages"])
    second = another("second")
    second.imports.run("librechat", tmp_path / "out")
    assert rows(second) == rows(store)


def test_what_was_changed_here_comes_out_changed(take: Take, store: wilk.Store, tmp_path: Path) -> None:
    take(everything())
    definition = dict(store.agents.get("agent_reviewer").definition)
    store.agents.save("agent_reviewer", {**definition, "prompts": {"system": "Be kind."}})
    store.sessions.update("c-1", name="Renamed")
    store.messages.append("c-1", "user", "And now?")
    store.exports.run("librechat", tmp_path / "out")
    made = read(tmp_path / "out")
    first = next(one for one in made["agents"] if one["id"] == "agent_reviewer")
    assert first["instructions"] == "Be kind."
    assert first["versions"] == encode_relaxed(agent()["versions"])
    assert made["conversations"][0]["title"] == "Renamed"
    added = next(one for one in made["messages"] if one["text"] == "And now?")
    assert (added["parentMessageId"], added["isCreatedByUser"], added["sender"]) == ("a-2", True, "User")


# -- one conversation as its own file ------------------------------------------------------------


def test_one_session_is_written_as_librechats_own_file(take: Take, store: wilk.Store, tmp_path: Path) -> None:
    take(everything())
    done = store.exports.run("librechat", tmp_path / "c-2.json", sessions=["c-2"])
    file = json.loads((tmp_path / "c-2.json").read_text())
    assert done.counts == {"messages": 3, "conversations": 1}
    assert (file["conversationId"], file["title"], file["recursive"], file["branches"]) == (
        "c-2", "With an agent", False, True,
    )  # fmt: skip
    assert file["options"]["agent_id"] == "agent_reviewer"
    answer = file["messages"][1]
    assert [part["type"] for part in answer["content"]] == ["think", "tool_call", "text", "image_file"]
    assert answer["content"][1]["tool_call"]["output"] == "2"


def test_a_file_of_one_conversation_is_a_fixed_point(
    take: Take, store: wilk.Store, another: Open, tmp_path: Path
) -> None:
    take(everything())
    store.exports.run("librechat", tmp_path / "1.json", sessions=["c-2"])
    second = another("second")
    second.imports.run("librechat", tmp_path / "1.json")
    second.exports.run("librechat", tmp_path / "2.json", sessions=["c-2"])
    third = another("third")
    third.imports.run("librechat", tmp_path / "2.json")
    assert rows(third) == rows(second)
    texts = [(one.id, one.role, one.text) for one in store.messages.last("c-2")]
    assert [(one.id, one.role, one.text) for one in third.messages.last("c-2")] == texts


def test_a_file_of_one_conversation_holds_all_its_branches(
    take: Take, store: wilk.Store, tmp_path: Path
) -> None:
    take(everything())
    store.exports.run("librechat", tmp_path / "c-1.json", sessions=["c-1"])
    file = json.loads((tmp_path / "c-1.json").read_text())
    assert {one["messageId"]: one["parentMessageId"] for one in file["messages"]} == {
        "u-1": "00000000-0000-0000-0000-000000000000", "a-1": "u-1", "a-2": "u-1",
    }  # fmt: skip


# -- what was made here ----------------------------------------------------------------------------


@pytest.fixture
def own(store: wilk.Store) -> wilk.Store:
    """A store with what wilk itself makes."""
    store.users.save("me", name="Me", email="me@example.com")
    store.agents.save(
        "helper",
        {
            "name": "Helper",
            "model": {"provider": "openai", "name": "gpt-4"},
            "prompts": {"system": "Help."},
            "permissions": {"shell": {"allowed": ["ls"]}},
        },
    )
    store.prompts.save("hello", {"user_template": "Say {word}"})
    store.presets.save("calm", {"model": "gpt-4", "parameters": {"temperature": 0.1}})
    session = store.sessions.create(id="s", name="Own", user="me", agents=["helper"], saved=True)
    store.messages.append(session.id, "system", "Be brief.", id="m1")
    store.messages.append(session.id, "user", "List files", id="m2")
    call = {"type": "tool_call", "id": "t1", "name": "ls", "arguments": {"path": "."}}
    store.messages.append(session.id, "assistant", "", parts=[call], agent="helper", id="m3")
    result = {"type": "tool_result", "tool_call_id": "t1", "content": "a.txt"}
    store.messages.append(session.id, "tool", "a.txt", parts=[result], id="m4")
    store.messages.append(session.id, "assistant", "There is a.txt.", id="m5", metadata={"mine": 1})
    store.branches.add(session.id, "assistant", "Another answer", parent="m2", id="b1")
    store.memories.add("Likes lists.", user="me")
    store.pins.add(session.id, "remember")
    return store


def test_a_session_of_our_own_has_what_librechats_importer_asks_for(own: wilk.Store, tmp_path: Path) -> None:
    own.exports.run("librechat", tmp_path / "s.json", sessions=["s"])
    file = json.loads((tmp_path / "s.json").read_text())
    assert file["conversationId"] == "s"
    assert file["endpoint"] == "agents"
    ids = {one["messageId"] for one in file["messages"]}
    for one in file["messages"]:
        assert one["text"] or one["content"]
        assert isinstance(one["isCreatedByUser"], bool)
        assert one["parentMessageId"] in {*ids, "00000000-0000-0000-0000-000000000000"}
    asked = next(one for one in file["messages"] if one["messageId"] == "m3")
    assert asked["content"] == [{"type": "tool_call", "tool_call": {
        "type": "tool_call", "id": "t1", "name": "ls", "args": '{"path":"."}', "output": "a.txt"}}]  # fmt: skip


def test_a_store_of_our_own_comes_back_with_roles_and_branches(
    own: wilk.Store, another: Open, tmp_path: Path
) -> None:
    done = own.exports.run("librechat", tmp_path / "out")
    assert done.lost["pin"] == 1
    assert done.lost["agents.permissions"] == 1
    second = another("second")
    assert second.imports.run("librechat", tmp_path / "out").failed == 0
    found = [(one.role, one.text) for one in second.messages.last("s")]
    assert found == [(one.role, one.text) for one in own.messages.last("s")]
    assert [one.text for one in second.branches.list("s")] == ["Another answer"]
    assert second.messages.get("m5").metadata["mine"] == 1
    assert second.agents.get("helper").definition["prompts"]["system"] == "Help."
    assert second.prompts.render(second.prompts.list()[0].id, word="hi") == "Say hi"
    assert second.presets.get("calm").parameters == {"temperature": 0.1}
    assert second.users.list()[0].name == "Me"
    assert second.memories.list()[0].content == "Likes lists."


def test_the_choice_of_a_user_leaves_the_others_out(take: Take, store: wilk.Store, tmp_path: Path) -> None:
    take(
        {"users": [user(), user(BELA, "Bela Orth")], "conversations": [conversation()], "actions": [action()]}
    )
    store.exports.run("librechat", tmp_path / "out", user=str(BELA))
    made = read(tmp_path / "out")
    assert [one["name"] for one in made["users"]] == ["Bela Orth"]
    assert made["conversations"] == []
    assert "actions" not in made


def test_ids_are_written_as_mongoimport_takes_them(own: wilk.Store, tmp_path: Path) -> None:
    own.exports.run("librechat", tmp_path / "out")
    made = read(tmp_path / "out")
    assert all(len(ObjectId(one["_id"]["$oid"])) == 24 for one in made["users"] + made["promptgroups"])


def test_ids_that_another_importer_could_not_keep_are_none_of_librechat(
    store: wilk.Store, tmp_path: Path
) -> None:
    """There the ids of all messages differ, and a conversation has the messages that name it."""
    for id in ("one", "two"):
        store.sessions.create(id=id, metadata={"imported_id": "same"})
        store.messages.append(id, "user", "Hello", id=f"{id}-1", metadata={"imported_id": "a"})
        store.messages.append(id, "assistant", "Hello to you", id=f"{id}-2", metadata={"imported_id": "b"})
    store.exports.run("librechat", tmp_path / "out")
    made = read(tmp_path / "out")
    assert sorted(one["messageId"] for one in made["messages"]) == ["one-1", "one-2", "two-1", "two-2"]
    assert {one["conversationId"] for one in made["messages"]} == {"one", "two"}
    assert {one["conversationId"] for one in made["conversations"]} == {"one", "two"}
