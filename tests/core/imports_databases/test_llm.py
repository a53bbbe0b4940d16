"""logs.db of llm: both generations, threads that share what they begin with, and what lies beside it."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.core.imports_databases import databases
from tests.core.imports_databases.databases import Kept

import wilk
from wilk import Invalid


def llm_folder(tmp_path: Path) -> Path:
    """The folder that llm keeps all of it in."""
    folder = tmp_path / "io.datasette.llm"
    (folder / "templates").mkdir(parents=True)
    databases.llm(folder / "logs.db")
    databases.llm_embeddings(folder / "embeddings.db")
    (folder / "aliases.json").write_text('{"quick": "mock-small"}')
    (folder / "keys.json").write_text('{"openai": "canary-key"}')
    (folder / "templates" / "steps.yaml").write_text(
        "system: Be $manner\nprompt: |\n  ${count} steps for $input, $$5, as {json}\nmodel: mock\ndefaults:\n  manner: kind\n"
    )
    (folder / "templates" / "only-model.yaml").write_text("model: mock\noptions:\n  temperature: 0.2\n")
    (folder / "templates" / "broken.yaml").write_text("prompt: [\n")
    return folder


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return llm_folder(tmp_path)


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory, _new_database: Path) -> Iterator[Kept]:
    folder = tmp_path_factory.mktemp("llm")
    with databases.kept("llm", folder, _new_database, llm_folder(folder)) as found:
        yield found


def said(store: wilk.Store, session: str) -> list[tuple[str, str]]:
    return [(message.role, message.text) for message in store.messages.last(session, 50)]


def test_a_thread_is_walked_from_its_tip(kept: Kept) -> None:
    assert said(kept.store, "t1") == [
        ("system", "Be short"),
        ("user", "Where?"),
        ("assistant", "Here."),
        ("user", "One and Two"),
        ("assistant", ""),
        ("tool", ""),
        ("assistant", "At 08:15."),
    ]


def test_a_fork_has_what_it_shares_with_messages_of_its_own(kept: Kept) -> None:
    assert said(kept.store, "t2")[1:] == [
        ("user", "Where?"), ("assistant", "Here."), ("user", "Or there?"), ("assistant", "There."),
    ]  # fmt: skip
    first = {message.id for message in kept.store.messages.last("t1", 50)}
    assert not first & {message.id for message in kept.store.messages.last("t2", 50)}
    assert kept.store.sessions.get("t2").metadata["llm"]["forked_from"] == "t1"


def test_a_turn_off_the_way_to_the_tip_is_a_branch(kept: Kept) -> None:
    (branch,) = kept.store.branches.list("t1")
    assert [one.text for one in kept.store.branches.messages("t1", branch.leaf_id)][-2:] == [
        "Retry",
        "Retried",
    ]


def test_a_turn_tells_model_tokens_options_schema_and_tools(kept: Kept) -> None:
    last = kept.store.messages.last("t1", 1)[0]
    assert (last.model, last.tokens) == ("mock", 5)
    turn = last.metadata["llm"]["turn"]
    assert (turn["resolved_model"], turn["options"], turn["schema"]) == (
        "mock-2", {"temperature": 0.1}, {"type": "object"},
    )  # fmt: skip
    assert turn["tools"][0]["name"] == "ferry"
    assert last.created_at.isoformat() == "2025-07-01T10:00:00+00:00"


def test_calls_and_results_are_parts_and_in_the_log(kept: Kept) -> None:
    call, answer = kept.store.messages.last("t1", 3)[:2]
    assert call.parts == [{"type": "tool_call", "id": "c1", "name": "ferry", "arguments": {"d": 1}}]
    assert answer.parts == [
        {"type": "tool_result", "tool_call_id": "c1", "content": "08:15", "name": "ferry"}
    ]
    (logged,) = kept.store.tool_calls.list("t1")
    assert (logged.name, logged.arguments, logged.result, logged.status) == ("ferry", {"d": 1}, "08:15", "ok")


def test_an_attachment_is_a_document_that_its_part_names(kept: Kept) -> None:
    part = (kept.store.messages.last("t1", 4)[0].parts or [])[1]
    assert (part["type"], part["media_type"]) == ("image", "image/png")
    document = kept.store.documents.get(part["document"])
    assert base64.b64decode(document.data["base64"]) == b"\x89PNG bytes"


def test_an_attachment_beyond_the_limit_is_told_of(store: wilk.Store, folder: Path) -> None:
    result = store.imports.run("llm", folder, options={"attachments": "4"})
    assert result.lost_fields["attachments.content"] == 1
    assert "base64" not in store.documents.get("attachment:pic").data
    with pytest.raises(Invalid, match="attachments 'many'"):
        store.imports.run("llm", folder, options={"attachments": "many"})


def test_the_older_generation_says_its_system_prompt_once(kept: Kept) -> None:
    assert said(kept.store, "old1") == [
        ("system", "Old system"),
        ("user", "Two\nPrompt one"),
        ("assistant", ""),
        ("tool", "boom"),
        ("assistant", "Done"),
    ]
    (logged,) = kept.store.tool_calls.list("old1")
    assert (logged.status, logged.error) == ("error", "ValueError: boom")
    assert (kept.store.messages.last("old1", 1)[0].parts or [])[0] == {"type": "reasoning", "text": "Thought"}


def test_a_response_of_no_conversation_is_a_session(kept: Kept) -> None:
    assert said(kept.store, "o3") == [("user", "Alone"), ("assistant", "Indeed")]


def test_what_both_generations_hold_comes_once(kept: Kept) -> None:
    assert {session.id for session in kept.store.sessions.list()} == {"t1", "t2", "old1", "o3"}


def test_templates_become_prompts_with_variables(kept: Kept) -> None:
    prompt = kept.store.prompts.get("steps")
    given = {"count": 3, "input": "tea"}
    rendered = kept.store.prompts.render("steps", **given)
    assert prompt.user_template == "{count} steps for {input}, $5, as {{json}}\n"
    assert prompt.system == "Be {manner}"
    assert prompt.definition["variables"]["manner"] == {"default": "kind"}
    assert rendered == "3 steps for tea, $5, as {json}\n"


def test_aliases_and_templates_of_a_model_become_presets(kept: Kept) -> None:
    assert kept.store.presets.get("quick").model == "mock-small"
    assert kept.store.presets.get("only-model").parameters == {"temperature": 0.2}


def test_a_broken_template_is_reported_and_keys_are_never_read(kept: Kept) -> None:
    assert "broken" in {one.id for one in kept.result.errors}
    assert kept.result.skipped == {"keys of providers are never read": 1}
    assert not any(b"canary-key" in path.read_bytes() for path in kept.home.rglob("*") if path.is_file())


def test_embeddings_become_vectors_that_are_found(kept: Kept) -> None:
    vector = kept.store.vectors.get("phrases", "hello")
    assert list(vector.values) == [0.25, -1.5, 2.0]
    assert vector.metadata == {"lang": "en", "content": "Hello", "updated": 1_700_000_000}
    assert kept.store.vectors.collection("phrases").model == "mini"
    assert [hit.id for hit in kept.store.vectors.search("phrases", [0.25, -1.5, 2.0])] == ["hello"]
    assert [(one.kind, one.id) for one in kept.result.errors if one.kind == "vectors"] == [
        ("vectors", "phrases/cut")
    ]


def test_a_collection_with_the_name_of_a_kind_gets_another(kept: Kept) -> None:
    assert list(kept.store.vectors.get("llm-memory", "m").values) == [1.0, 0.0]


def test_other_tables_are_counted(kept: Kept) -> None:
    assert kept.result.lost_fields["table bookmarks"] == 2


def test_a_thread_whose_messages_are_gone_comes_as_far_as_it_is_there(
    store: wilk.Store, folder: Path
) -> None:
    databases.change(folder / "logs.db", "DELETE FROM messages WHERE hash = 'b2:u2'")
    result = store.imports.run("llm", folder / "logs.db")
    assert [role for role, _ in said(store, "t1")] == ["assistant", "tool", "assistant"]
    assert any("not in the database" in warning for warning in result.warnings)


def test_messages_in_a_circle_do_not_hang(store: wilk.Store, folder: Path) -> None:
    databases.change(folder / "logs.db", "UPDATE messages SET parent_hash = 'b2:a2' WHERE hash = 'b2:s'")
    assert store.imports.run("llm", folder / "logs.db").status == "finished"


def test_older_responses_of_a_thread_that_goes_on_stay_beside_it(store: wilk.Store, folder: Path) -> None:
    databases.change(folder / "logs.db", "UPDATE responses SET conversation_id = 't1' WHERE id = 'o3'")
    store.imports.run("llm", folder / "logs.db")
    assert said(store, "t1:responses") == [("user", "Alone"), ("assistant", "Indeed")]
    again = store.imports.run("llm", folder / "logs.db")
    assert (again.created, again.updated) == (0, 0)
