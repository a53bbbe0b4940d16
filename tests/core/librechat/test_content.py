"""Content of LibreChat's messages: parts, calls of tools and their outputs, in every shape they have."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tests.core.librechat.documents import ANNA, CANARY, conversation, message, oid, tool_part

import wilk
from wilk.records.transfer import MigrationResult
from wilk.transfer.importers.librechat import content as contents

pytestmark = pytest.mark.sqlite
Take = Callable[..., MigrationResult]


def said(take: Take, store: wilk.Store, *content: Any, **more: Any) -> list[Any]:
    take({"conversations": [conversation()], "messages": [message("a1", content=[*content], **more)]})
    return [*store.messages.last("c-1", 100)]


def back(*content: Any) -> list[Any]:
    """Content that was split and joined again."""
    made = contents.steps(content, "a1", lambda _: None)
    results = {call.part["id"]: call.output for step in made for call in step.calls if call.answered}
    return contents.joined([part for step in made for part in step.parts], results)


def test_text_is_text_whether_it_is_wrapped_or_not(take: Take, store: wilk.Store) -> None:
    wrapped = {"type": "text", "text": {"value": "two", "annotations": []}}
    (one,) = said(take, store, {"type": "text", "text": "one"}, wrapped)
    assert one.text == "one\ntwo"
    assert [part["text"] for part in one.parts] == ["one", "two"]


def test_a_call_and_its_output_are_two_messages(take: Take, store: wilk.Store) -> None:
    found = said(take, store, tool_part(output="2"), {"type": "text", "text": "It is 2."})
    assert [(one.id, one.role, one.text) for one in found] == [
        ("a1", "assistant", ""), ("a1.2", "tool", "2"), ("a1.3", "assistant", "It is 2."),
    ]  # fmt: skip
    call = {name: found[0].parts[0][name] for name in ("type", "id", "name", "arguments")}
    assert call == {
        "type": "tool_call", "id": "call_1", "name": "execute_code", "arguments": {"code": "1+1"},
    }  # fmt: skip
    assert found[1].parts == [{"type": "tool_result", "tool_call_id": "call_1", "content": "2"}]


def test_an_output_of_parts_is_said_by_their_text(take: Take, store: wilk.Store) -> None:
    output = [
        {"type": "text", "text": "two"},
        {"type": "image", "url": "x"},
        {"type": "text", "text": "or three"},
    ]
    answer = said(take, store, tool_part(output=output))[1]
    assert (answer.role, answer.text) == ("tool", "two\nor three")
    assert answer.parts[0]["content"] == output


def test_what_follows_a_split_message_follows_the_last_of_its_parts(take: Take, store: wilk.Store) -> None:
    take(
        {
            "messages": [
                message("a1", content=[tool_part(output="2")]),
                message("u2", "a1", "Thanks", minute=11),
            ]
        }
    )
    assert [one.id for one in store.messages.last("c-1")] == ["a1", "a1.2", "u2"]


def test_calls_in_a_row_are_asked_at_once(take: Take, store: wilk.Store) -> None:
    found = said(take, store, tool_part("x", output="1"), tool_part("y", output="2"))
    assert [one.role for one in found] == ["assistant", "tool", "tool"]
    assert [part["id"] for part in found[0].parts] == ["x", "y"]


def test_the_context_of_a_session_takes_the_calls_with_their_results(take: Take, store: wilk.Store) -> None:
    said(take, store, tool_part(output="2"), {"type": "text", "text": "It is 2."})
    context = store.contexts.build("c-1", max_tokens=4000)
    assert [one.role for one in context.items] == ["assistant", "tool", "assistant"]


def test_calls_stand_in_the_log_of_tool_calls(take: Take, store: wilk.Store) -> None:
    said(take, store, tool_part(output="2"))
    (call,) = store.tool_calls.list("c-1")
    assert (call.name, call.arguments, call.result, call.status) == (
        "execute_code",
        {"code": "1+1"},
        "2",
        "ok",
    )


def test_a_call_without_an_output_has_no_result(take: Take, store: wilk.Store) -> None:
    found = said(take, store, tool_part())
    assert [one.role for one in found] == ["assistant"]
    assert store.tool_calls.list("c-1")[0].status == "running"


@pytest.mark.parametrize(
    ("args", "arguments"),
    [
        ('{"a":1}', {"a": 1}),
        ({"a": 1}, {"a": 1}),
        ('{"a": 1', '{"a": 1'),
        ("", ""),
        ("[1]", "[1]"),
        (None, None),
    ],
)
def test_arguments_are_an_object_where_they_can_be(args: Any, arguments: Any) -> None:
    (step,) = contents.steps([tool_part(args=args)], "a1", lambda _: None)
    assert step.calls[0].part.get("arguments") == arguments


def test_the_shape_of_assistants_is_a_call_too(take: Take, store: wilk.Store) -> None:
    function = {"name": "sum", "arguments": '{"a":1}', "output": "3"}
    part = {"type": "tool_call", "tool_call": {"id": "f1", "type": "function", "function": function}}
    found = said(take, store, part)
    assert [one.role for one in found] == ["assistant", "tool"]
    assert found[0].parts[0]["name"] == "sum"
    assert found[1].text == "3"


def test_an_image_without_its_file_stays_what_it_is(take: Take, store: wilk.Store) -> None:
    image = {"type": "image_file", "image_file": {"file_id": "gone", "filepath": "/images/gone.png"}}
    (one,) = said(take, store, {"type": "text", "text": "See"}, image)
    assert one.parts[1] == image


def test_the_link_to_log_in_that_a_call_may_hold_is_left_out(take: Take, store: wilk.Store) -> None:
    part = tool_part(auth=f"https://example.com/?state={CANARY}")
    result = take({"messages": [message("a1", content=[part])]})
    assert result.lost_fields == {"messages.content.tool_call.auth": 1}
    assert CANARY not in repr(store.messages.get("a1"))


@pytest.mark.parametrize(
    "content",
    [
        [{"type": "text", "text": "a"}],
        [{"type": "text", "text": {"value": "a", "annotations": [1]}, "tool_call_ids": ["x"]}],
        [{"type": "text"}, {"type": "text", "text": None}],
        [{"type": "think", "think": "hm"}, tool_part(output="2"), {"type": "text", "text": "b"}],
        [tool_part(args='{"a": 1}', output="2")],
        [tool_part(args={"a": 1}, output={"rows": [1]})],
        [tool_part(args='{"a": 1', expires_at=5)],
        [tool_part(args=None)],
        [tool_part("x", output="1"), tool_part("y", output=""), {"type": "text", "text": ""}],
        [{**tool_part(), "agentId": "agent_x"}],
        [{"type": "tool_call", "tool_call": {"name": "n", "args": ""}}],
        [{"type": "tool_call", "tool_call": {"id": None, "name": None, "args": "{}"}}],
        [{"type": "tool_call", "tool_call": {"id": "f", "type": "function",
                                             "function": {"name": "s", "arguments": "{}", "output": None}}}],
        [{"type": "tool_call", "tool_call": {"id": "c", "type": "code_interpreter",
                                             "code_interpreter": {"input": "1", "outputs": [{"logs": "1"}]}}}],
        [{"type": "tool_call", "tool_call": {"id": "r", "type": "retrieval", "retrieval": {}}}],
        [{"type": "tool_call", "tool_call": None}, {"type": "tool_call"}],
        [{"type": "image_url", "image_url": {"url": "data:,"}}, {"type": "error", "error": "no"}],
        ["bare", 5, None],
    ],
)  # fmt: skip
def test_content_that_is_split_and_joined_is_what_it_was(content: list[Any]) -> None:
    expected = [
        {**one, "tool_call": {name: item for name, item in one["tool_call"].items()
                              if (name, item) != ("output", None)}}
        if isinstance(one, dict) and isinstance(one.get("tool_call"), dict) else one
        for one in content
    ]  # fmt: skip
    made = back(*content)
    for one in made:
        if isinstance(one, dict) and isinstance(
            function := (one.get("tool_call") or {}).get("function"), dict
        ):
            function.setdefault("output", None)
    assert made == expected


def file(path: str, **more: Any) -> dict[str, Any]:
    return {"_id": oid(7), "user": ANNA, "file_id": "f", "filename": "notes.txt", "filepath": path, **more}


def content_of(take: Take, store: wilk.Store, path: str, **options: str) -> Any:
    take({"files": [file(path)]}, **options)
    return store.documents.get("librechat/files/f").metadata["content"]


def test_a_file_is_missing_until_its_folder_is_given(take: Take, store: wilk.Store) -> None:
    assert content_of(take, store, "/uploads/u/notes.txt") == {"state": "missing"}


def test_a_file_is_found_in_the_folder_with_its_hash(take: Take, store: wilk.Store, tmp_path: Path) -> None:
    (tmp_path / "files/u").mkdir(parents=True)
    (tmp_path / "files/u/notes.txt").write_bytes(b"notes")
    found = content_of(take, store, "/uploads/u/notes.txt", files_dir=str(tmp_path / "files"))
    assert found["state"] == "found"
    assert (found["path"], found["bytes"]) == ("u/notes.txt", 5)
    assert found["sha256"].startswith("ab5aa970")


@pytest.mark.parametrize("path", ["/uploads/../../secret.txt", "..\\secret.txt", "../secret.txt"])
def test_a_path_that_leads_out_is_refused(take: Take, store: wilk.Store, tmp_path: Path, path: str) -> None:
    (tmp_path / "files").mkdir()
    (tmp_path / "secret.txt").write_bytes(b"secret")
    assert content_of(take, store, path, files_dir=str(tmp_path / "files")) == {"state": "refused"}


def test_a_link_out_of_the_folder_is_not_followed(take: Take, store: wilk.Store, tmp_path: Path) -> None:
    (tmp_path / "files").mkdir()
    (tmp_path / "secret.txt").write_bytes(b"secret")
    (tmp_path / "files/notes.txt").symlink_to(tmp_path / "secret.txt")
    assert content_of(take, store, "/notes.txt", files_dir=str(tmp_path / "files")) == {"state": "missing"}
