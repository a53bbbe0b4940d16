"""``wilk documents``, ``memories``, ``reasoning`` and ``state``: what is kept as JSON."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from .conftest import Result

Run = Callable[..., Result]
CHAIN = json.dumps(
    {
        "context_received": "hello",
        "tool_calls": [{"id": "1", "name": "f"}],
        "tool_results": [{"id": "1", "result": 5}],
    }
)


class TestDocuments:
    def test_a_file_is_kept_listed_and_given_back(self, good: Run, tmp_path: Path) -> None:
        file = tmp_path / "chat.json"
        file.write_text('{"z": 1, "chatTitle": "Slow login", "a": [null]}')
        good("documents", "save", "c", str(file), "--user", "ann")
        assert list(good("documents", "show", "c").json) == ["z", "chatTitle", "a"]
        listed = good("documents", "list")
        assert "Slow login" in listed.out
        assert good("documents", "list", "--user", "ann", "--json").json[0]["kind"] == "conversation"
        assert good("documents", "list", "--kind", "note", "--json").json == []

    def test_stdin_is_kept(self, good: Run) -> None:
        assert good("-q", "documents", "save", "c", stdin='{"a": 1}').out == "c\n"
        assert good("documents", "show", "c", "--json").json["data"] == {"a": 1}

    def test_saving_again_leaves_what_is_not_given(self, good: Run) -> None:
        good("documents", "save", "c", "--title", "T", "--kind", "note", stdin="1")
        document = good("documents", "save", "c", "--json", stdin="2").json
        assert (document["title"], document["kind"], document["data"]) == ("T", "note", 2)

    @pytest.mark.parametrize("data", ["{", '{"a": 1, "a": 2}', "NaN", ""])
    def test_broken_json_is_refused(self, wilk: Run, data: str) -> None:
        code, out, err = wilk("documents", "save", "c", stdin=data)
        assert (code, out) == (1, "")
        assert "Traceback" not in err

    def test_a_file_that_is_not_there_is_named(self, wilk: Run) -> None:
        code, _, err = wilk("documents", "save", "c", "nowhere.json")
        assert code == 1
        assert "nowhere.json" in err

    def test_removing_asks_and_archives(self, good: Run, wilk: Run) -> None:
        good("documents", "save", "c", stdin="1")
        assert wilk("documents", "remove", "c").code == 2
        good("documents", "remove", "c", "--yes", "--reason", "old")
        assert good("archive", "list", "--json").json[0]["reason"] == "old"
        assert wilk("documents", "show", "c").code == 1


class TestMemories:
    def test_are_added_listed_shown_and_removed(self, good: Run) -> None:
        good("memories", "add", "the login was slow", "--agent", "a", "--importance", "0.9")
        id = good(
            "-q", "memories", "add", "another", "--kind", "semantic", "--metadata", '{"a": 1}'
        ).out.strip()
        assert "the login was slow" in good("memories", "list").out
        assert [one["id"] for one in good("memories", "list", "--kind", "semantic", "--json").json] == [id]
        assert good("memories", "list", "--oldest", "--json").json[0]["agent_id"] == "a"
        assert "semantic" in good("memories", "show", id).out
        good("memories", "remove", id, "--yes")
        assert len(good("memories", "list", "--json").json) == 1

    def test_an_importance_out_of_range_is_refused(self, wilk: Run) -> None:
        code, _, err = wilk("memories", "add", "x", "--importance", "2")
        assert code == 1
        assert "importance" in err


class TestReasoning:
    def test_chains_are_added_listed_rendered_and_removed(self, good: Run) -> None:
        id = good("-q", "reasoning", "add", "a", CHAIN).out.strip()
        good("reasoning", "add", "b", stdin="{}")
        assert [one["id"] for one in good("reasoning", "list", "--agent", "a", "--json").json] == [id]
        assert "hello" in good("reasoning", "list").out
        assert good("reasoning", "show", id).json == json.loads(CHAIN)
        assert "[f gave 5]" in good("reasoning", "render", "a").out
        assert good("reasoning", "render", "a", "--json").json[0] == {"role": "user", "content": "hello"}
        good("reasoning", "remove", id, "--yes")
        assert good("reasoning", "render", "a", "--json").json == []


class TestState:
    def test_is_set_listed_shown_and_removed(self, good: Run) -> None:
        good("state", "set", "timeline_a", '{"z": 1, "a": 2}')
        good("state", "set", "registry", stdin="[1]")
        assert list(good("state", "show", "timeline_a").json) == ["z", "a"]
        assert [one["key"] for one in good("state", "list", "--prefix", "timeline_", "--json").json] == [
            "timeline_a"
        ]
        assert "registry" in good("state", "list").out
        good("state", "remove", "registry", "--yes")
        assert [one["key"] for one in good("state", "list", "--json").json] == ["timeline_a"]

    def test_what_is_not_there_is_told(self, wilk: Run) -> None:
        assert wilk("state", "show", "x").err.count("no state 'x'") == 1


@pytest.mark.parametrize("noun", ["documents", "memories", "reasoning", "state"])
def test_an_empty_store_says_so(good: Run, noun: str) -> None:
    assert good(noun, "list").out.startswith("no ")
