"""``wilk memory`` and ``wilk summaries``."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from .conftest import Result

Run = Callable[..., Result]


@pytest.fixture
def talk(good: Run) -> str:
    """The id of a current session with a prompt and ten messages."""
    id: str = good("sessions", "new", "talk", "--use", "--json").json["id"]
    good("messages", "add", "system", "You are a wolf.")
    for n in range(10):
        good("messages", "add", "user", f"The river number {n} runs past the old mill in the valley.")
    return id


class TestMemory:
    def test_compacting_tells_what_was_archived(self, good: Run, talk: str) -> None:
        told = good("memory", "compact", "--keep-messages", "4").out
        assert told == f"summarized messages up to 7 of session {talk}; 6 of 11 are archived\n"

    def test_compacting_without_need_says_so(self, good: Run, talk: str) -> None:
        assert good("memory", "compact").out == f"session {talk} has nothing to compact\n"
        assert good("memory", "compact", "--json").json is None

    def test_compacting_may_leave_the_messages(self, good: Run, talk: str) -> None:
        told = good("memory", "compact", talk, "--last", "5", "--no-archive").out
        assert told == f"summarized messages up to 5 of session {talk}\n"
        assert good("memory", "status", "--json").json["live_messages"] == 11

    def test_status_tells_how_the_session_stands(self, good: Run, talk: str) -> None:
        good("memory", "compact", "--keep-messages", "4")
        shown = good("memory", "status").out
        assert "5 messages" in shown
        assert "up to message 7" in shown
        assert "not due" in shown
        assert good("memory", "status", "--json").json["compacted_messages"] == 6

    def test_uncompacting_brings_all_back(self, good: Run, talk: str) -> None:
        good("memory", "compact", "--keep-messages", "4")
        assert good("memory", "uncompact").out == f"brought back messages 1 to 7 of session {talk}\n"
        assert good("memory", "status", "--json").json["live_messages"] == 11
        assert good("memory", "uncompact").out == f"session {talk} has nothing that is compacted\n"

    def test_rescoring_tells_how_many_changed(self, good: Run, talk: str) -> None:
        good("messages", "add", "user", "Why?", "--importance", "0.1")
        assert good("memory", "rescore").out == "changed the importance of 1 messages\n"

    def test_messages_are_listed_as_before(self, good: Run, talk: str) -> None:
        before = good("messages", "list", "--json").json
        good("memory", "compact", "--keep-messages", "1")
        assert good("messages", "list", "--json").json == before

    def test_a_command_that_exceeds_the_budget_compacts_before_it_ends(self, good: Run) -> None:
        good("sessions", "new", "small", "--use", "--max-tokens", "40")
        for n in range(5):
            good("messages", "add", "user", f"The river number {n} runs past the old mill in the valley.")
        assert good("memory", "status", "--json").json["compacted_messages"] > 0

    @pytest.mark.parametrize("verb", ["compact", "uncompact", "status", "rescore"])
    def test_an_unknown_session_is_an_error(self, wilk: Run, good: Run, verb: str) -> None:
        good("sessions", "new")
        result = wilk("memory", verb, "nowhere")
        assert result.code == 1
        assert "no session 'nowhere'" in result.err


class TestSessionsShow:
    def test_says_which_messages_are_compacted(self, good: Run, talk: str) -> None:
        assert "compacted" not in good("sessions", "show").out
        good("memory", "compact", "--keep-messages", "4")
        assert "messages 1 to 7 are compacted" in good("sessions", "show").out
        assert good("sessions", "show", "--json").json["summaries"][0]["last_sequence"] == 7


class TestSummaries:
    def test_a_given_text_is_kept(self, good: Run, talk: str) -> None:
        id = good("summaries", "add", "4", "Rivers and mills.", "--method", "me", "--json").json["id"]
        shown = good("summaries", "show", id).out
        assert "Rivers and mills." in shown
        assert good("summaries", "show", id, "--json").json["method"] == "me"

    def test_a_text_is_read_from_stdin(self, good: Run, talk: str) -> None:
        assert good("summaries", "add", "4", "-", "--json", stdin="Rivers.").json["text"] == "Rivers."

    def test_without_text_one_is_made(self, good: Run, talk: str) -> None:
        assert good("summaries", "add", "8", "--json").json["method"] == "extractive"

    def test_they_are_listed_with_their_ranges(self, good: Run, talk: str) -> None:
        assert good("summaries", "list").out == f"session {talk} has no summaries\n"
        good("summaries", "add", "4", "one")
        good("memory", "compact", "--last", "6")
        lines = good("summaries", "list").out.splitlines()
        assert "1-4" in lines[1]
        assert "archived" in lines[1]
        assert "5-6" in lines[2]

    def test_a_removed_one_lies_in_the_archive(self, good: Run, talk: str) -> None:
        id = good("summaries", "add", "4", "one", "--json").json["id"]
        good("summaries", "remove", id, "--yes")
        assert good("archive", "list", "--kind", "summary", "--json").json[0]["record_id"] == id

    def test_one_whose_messages_are_archived_stays(self, good: Run, wilk: Run, talk: str) -> None:
        id = good("memory", "compact", "--last", "6", "--json").json["id"]
        result = wilk("summaries", "remove", id, "--yes")
        assert result.code == 1
        assert "uncompact" in result.err

    def test_a_wrong_end_is_an_error_that_says_which_is_wanted(self, wilk: Run, talk: str) -> None:
        result = wilk("summaries", "add", "40")
        assert result.code == 1
        assert "from 1 to 11" in result.err
