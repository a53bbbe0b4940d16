"""``wilk interactions``, ``patterns``, ``feedback``, ``preferences``, ``world-models``, ``consolidation``."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

import wilk as package

from .conftest import Result

Run = Callable[..., Result]


def lines(result: Result) -> list[str]:
    return [" ".join(line.split()) for line in result.out.splitlines()]


class TestInteractions:
    def test_are_added_listed_and_shown(self, good: Run) -> None:
        told = good(
            "interactions", "add", "How?", "--id", "i", "--user", "u", "--success", "yes", "--confidence", "0.9",
            "--feedback-type", "approval", "--feedback", "good", "--tag", "a", "--tag", "b", "--metadata", '{"x": 1}',
        )  # fmt: skip
        assert told.out == "kept interaction i\n"
        (found,) = good("interactions", "list", "--user", "u", "--tag", "b", "--json").json
        assert (found["success"], found["tags"], found["metadata"]) == (True, ["a", "b"], {"x": 1})
        assert lines(good("interactions", "list"))[0] == "ID TIME USER SUCCESS FEEDBACK QUERY"
        assert lines(good("interactions", "list"))[1].endswith("u yes approval How?")
        assert good("interactions", "show", "i", "--json").json["actions"] == []

    def test_are_shown_with_their_actions(self, good: Run, store: package.Store) -> None:
        store.interactions.add(
            "hi", id="i", actions=[{"action_type": "read", "target": "a.py", "error": "no"}]
        )
        assert lines(good("interactions", "show", "i"))[-1] == "1 read a.py completed no"

    def test_are_searched(self, good: Run) -> None:
        good("interactions", "add", "read a file")
        good("interactions", "add", "write a file")
        assert [one["user_query"] for one in good("interactions", "search", "FILE read", "--json").json] == [
            "read a file"
        ]
        assert good("interactions", "search", "%").out == "no interactions\n"

    def test_tell_all_that_carries_their_id(self, good: Run, store: package.Store, session: str) -> None:
        store.interactions.add("hi", id="i")
        store.messages.append(session, "user", "said", interaction="i")
        store.feedback.add("correct", "wrong", interaction="i")
        assert [line.split()[0] for line in lines(good("interactions", "related", "i"))] == [
            "WHAT", "interaction", "message", "feedback",
        ]  # fmt: skip
        assert good("interactions", "related", "x").out == "nothing carries this id\n"

    def test_go_into_the_archive_by_age_or_by_id(self, good: Run, store: package.Store) -> None:
        store.interactions.add("old", created_at="2020-01-01T00:00:00Z")
        store.interactions.add("new", id="new")
        told = good("interactions", "archive", "--before", "2021-01-01T00:00:00Z", "--reason", "old", "--yes")
        assert told.out == "moved 1 interactions into the archive\n"
        good("interactions", "remove", "new", "--yes")
        assert [entry.reason for entry in store.archive.list(kind="interaction")] == ["removed", "old"]

    @pytest.mark.parametrize(
        ("arguments", "said"),
        [
            (("add", "x", "--confidence", "2"), "confidence 2.0: a number from 0.0 to 1.0"),
            (("add", "x", "--feedback-type", "y"), "feedback_type 'y': one of approval"),
            (("list", "--since", "soon"), "since 'soon': an aware datetime or ISO 8601 text"),
            (("show", "x"), "no interaction 'x'"),
        ],
    )
    def test_errors_say_what_is_wrong(self, wilk: Run, arguments: tuple[str, ...], said: str) -> None:
        result = wilk("interactions", *arguments)
        assert (result.code, result.out) == (1, "")
        assert said in result.err
        assert "Traceback" not in result.err


class TestPatterns:
    def test_are_listed_shown_promoted_and_removed(self, good: Run, store: package.Store) -> None:
        store.patterns.add("ship", id="p", confidence=0.9, frequency=3)
        store.patterns.add("other", id="q", pattern_type="x", confidence=0.2)
        assert lines(good("patterns", "list", "--min-confidence", "0.5"))[1].startswith(
            "p ship workflow 3 0.90 "
        )
        assert good("patterns", "list", "--type", "x", "--json").json[0]["id"] == "q"
        assert good("patterns", "show", "p", "--json").json["frequency"] == 3
        good("patterns", "promote", "p")
        good("patterns", "remove", "q", "--yes")
        assert good("patterns", "list").out == "no patterns\n"
        assert [entry.reason for entry in store.archive.list()] == ["removed", "promoted_to_semantic"]


class TestFeedback:
    def test_is_added_listed_applied_and_removed(self, good: Run) -> None:
        id = good("-q", "feedback", "add", "correct", "use tabs", "--interaction", "i").out.strip()
        assert good("feedback", "list", "--applied", "no", "--interaction", "i", "--json").json[0]["id"] == id
        assert good("feedback", "applied", id).out == f"feedback {id} is applied\n"
        assert lines(good("feedback", "list"))[1].endswith("yes use tabs")
        assert good("feedback", "show", id, "--json").json["applied"] is True
        good("feedback", "remove", id, "--yes")
        assert good("feedback", "list").out == "no feedback\n"


class TestPreferences:
    def test_are_set_as_json_or_text(self, good: Run) -> None:
        good("preferences", "set", "tabs", "true")
        good("preferences", "set", "theme", "dark mode", "--user", "u")
        found = good("preferences", "list", "--user", "u", "--json").json
        assert [(one["key"], one["value"], one["user_id"]) for one in found] == [
            ("tabs", True, None), ("theme", "dark mode", "u"),
        ]  # fmt: skip
        assert [one["key"] for one in good("preferences", "list", "--json").json] == ["tabs"]
        assert lines(good("preferences", "list"))[1] == "general tabs yes everybody 0.50"

    def test_are_removed_from_the_right_owner(self, good: Run, wilk: Run) -> None:
        good("preferences", "set", "k", "1")
        good("preferences", "set", "k", "2", "--user", "u")
        good("preferences", "remove", "k", "--user", "u", "--yes")
        assert [one["value"] for one in good("preferences", "list", "--user", "u", "--json").json] == [1]
        assert "no preference 'k'" in wilk("preferences", "remove", "k", "--user", "u", "--yes").err


class TestWorldModels:
    def test_are_listed_and_shown(self, good: Run, store: package.Store) -> None:
        store.world_models.save(
            "coding", id="w", session="s", domain_confidence=0.8, entities=[{"id": "a", "type": "file"}],
            relations=[{"source_id": "a", "target_id": "a", "type": "imports"}],
        )  # fmt: skip
        assert lines(good("world-models", "list", "--active", "--session", "s"))[1].startswith(
            "w coding 0.80 1 1 yes "
        )
        assert good("world-models", "list", "--domain", "cooking").out == "no world models\n"
        assert good("world-models", "list", "--domain", "coding", "--session", "t").out == "no world models\n"
        shown = lines(good("world-models", "show", "w"))
        assert "a file 0.50" in shown
        assert "a imports a 0.50 1" in shown
        assert good("world-models", "show", "w", "--json").json["domain"] == "coding"

    def test_go_back_to_a_snapshot(self, good: Run, store: package.Store) -> None:
        store.world_models.save("coding", id="w")
        snapshot = good("-q", "world-models", "snapshot", "w", "--event", "before").out.strip()
        store.world_models.update("w", domain="cooking")
        good("world-models", "restore", "w", snapshot)
        assert store.world_models.get("w").domain == "coding"
        assert [one["trigger_event"] for one in good("world-models", "snapshots", "w", "--json").json] == [
            f"restored {snapshot}", "before",
        ]  # fmt: skip
        assert len(lines(good("world-models", "snapshots"))) == 3

    def test_are_deactivated_and_removed(self, good: Run, store: package.Store) -> None:
        store.world_models.save("coding", id="w")
        good("world-models", "deactivate", "w")
        assert good("world-models", "list", "--active").out == "no world models\n"
        good("world-models", "remove", "w", "--yes")
        assert good("world-models", "snapshots").out == "no snapshots\n"
        assert [entry.kind for entry in store.archive.list()] == ["world_model"]


class TestConsolidation:
    @pytest.fixture
    def filled(self, store: package.Store) -> package.Store:
        for number in range(4):
            store.interactions.add(
                f"question {number}", user="u", actions=[{"action_type": "read"}, {"action_type": "edit"}]
            )
        return store

    def test_a_plan_changes_nothing(self, good: Run, filled: package.Store) -> None:
        expected = ["MEMORY USER AGENT WAITING NEEDED HELD DUE", "working u 4 2 0 2"]
        assert lines(good("consolidation", "plan", "--interactions", "2")) == expected
        assert lines(good("consolidation", "run", "--dry-run", "--interactions", "2")) == expected
        assert good("consolidation", "plan", "--interactions", "2", "--json").json[0]["due"] == 2
        assert good("consolidation", "plan", "--user", "v").out == "nothing waits\n"
        assert len(filled.interactions.list()) == 4

    def test_a_run_tells_what_it_made(self, good: Run, filled: package.Store) -> None:
        told = lines(good("consolidation", "run", "--interactions", "2", "--working", "2"))
        assert told[0] == "archived 4 interactions and 2 memories"
        assert [line.rsplit(" ", 1)[0] for line in told[1:]] == [
            "made working memory", "made working memory", "made episodic memory", "saw pattern",
        ]  # fmt: skip
        assert (
            good("consolidation", "run").out == "nothing is due; `wilk consolidation plan` tells what waits\n"
        )

    def test_a_run_as_json_gives_the_ids(self, good: Run, filled: package.Store) -> None:
        (id,) = good("consolidation", "run", "--interactions", "4", "--json").json["working"]
        assert lines(good("consolidation", "sources", id))[1].endswith("question 0")
        assert len(good("consolidation", "sources", id, "--json").json) == 4
        assert good("consolidation", "sources", "x").out == "nothing in the archive was made into this\n"

    def test_statistics_count_each_step(self, good: Run, filled: package.Store) -> None:
        good("consolidation", "run", "--interactions", "3")
        shown = lines(good("consolidation", "statistics"))
        assert shown[1:4] == ["interactions 1", "working 1", "episodic 0"]
        assert "archived, consolidated_to_working 3" in shown
        assert good("consolidation", "statistics", "--json").json["patterns"] == 1

    def test_bad_numbers_are_refused(self, wilk: Run, home: Path) -> None:
        assert wilk("consolidation", "run", "--interactions", "0").code == 2
        result = wilk("consolidation", "run", "--min-confidence", "7")
        assert (result.code, "min_confidence 7.0: a number from 0.0 to 1.0" in result.err) == (1, True)
