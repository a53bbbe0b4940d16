"""``wilk sessions``, ``messages`` and ``tool-calls``."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import pytest

import wilk as package

from .conftest import Result

Run = Callable[..., Result]


@pytest.fixture
def talk(good: Run) -> str:
    """The id of a current session with three messages."""
    id: str = good("sessions", "new", "talk", "--use", "--json").json["id"]
    good("messages", "add", "user", "How do I read a file?")
    good("messages", "add", "assistant", "You can use open().", "--agent", "helper")
    good("messages", "add", "user", "Thanks")
    return id


def test_a_new_session_is_told_by_its_id(good: Run) -> None:
    told = good("sessions", "new", "talk").out
    assert told == f"began session {good('sessions', 'list', '--json').json[0]['id']}\n"


def test_quiet_gives_the_id_alone(good: Run) -> None:
    id = good("-q", "sessions", "new").out.strip()
    assert good("sessions", "show", id, "--json").json["session"]["id"] == id


def test_what_is_given_is_kept(good: Run) -> None:
    good("users", "save", "ann", "--name", "Ann")
    session = good(
        "sessions", "new", "talk", "--id", "mine", "--agent", "a", "--agent", "b", "--model", "m",
        "--strategy", "hybrid", "--max-tokens", "99", "--user", "ann", "--metadata", '{"k": [1]}', "--saved",
        "--json",
    ).json  # fmt: skip
    assert session["id"] == "mine"
    assert session["active_agents"] == ["a", "b"]
    assert (session["model"], session["context_strategy"], session["max_tokens"]) == ("m", "hybrid", 99)
    assert (session["user_id"], session["metadata"], session["saved"]) == ("ann", {"k": [1]}, True)


def test_an_id_that_is_taken_is_a_conflict(good: Run, wilk: Run) -> None:
    good("sessions", "new", "--id", "mine")
    assert wilk("sessions", "new", "--id", "mine").code == 1


def test_a_session_that_could_not_become_current_was_not_made(wilk: Run, good: Run, tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/x.db"
    package_home = {"WILK_HOME": ""}
    with pytest.MonkeyPatch.context() as patch:
        for name, value in package_home.items():
            patch.setenv(name, value)
        assert wilk("--url", url, "sessions", "new", "talk", "--use").code == 1
        assert good("--url", url, "sessions", "list", "--json").json == []


def test_times_in_json_are_utc(good: Run) -> None:
    assert good("sessions", "new", "--json").json["created_at"].endswith("+00:00")


def test_show_without_an_id_shows_the_current_session(good: Run, talk: str) -> None:
    shown = good("sessions", "show").out
    assert talk in shown
    assert "How do I read a file?" in shown
    assert "importance 0.8" in shown


def test_show_tells_how_many_messages_come_before(good: Run, talk: str) -> None:
    assert "and 2 before" in good("sessions", "show", "--last", "1").out


def test_a_session_is_found_by_name_and_by_the_beginning_of_its_id(good: Run, talk: str) -> None:
    assert good("sessions", "show", "talk", "--json").json["session"]["id"] == talk
    assert good("sessions", "show", talk[:12], "--json").json["session"]["id"] == talk


def test_a_name_that_two_sessions_have_is_not_guessed(good: Run, wilk: Run, talk: str) -> None:
    good("sessions", "new", "talk")
    code, _, err = wilk("sessions", "show", "talk")
    assert code == 1
    assert "any of 2 sessions" in err


def test_lists_are_narrowed(good: Run, talk: str) -> None:
    good("sessions", "new", "kept", "--saved")
    assert [one["name"] for one in good("sessions", "list", "--saved", "--json").json] == ["kept"]
    assert [one["name"] for one in good("sessions", "list", "--temporary", "--json").json] == ["talk"]
    assert len(good("sessions", "list", "--limit", "1", "--json").json) == 1


def test_days_narrow_a_list(good: Run, home: Path, talk: str) -> None:
    with package.open_store(clock=package.Clock(lambda: 1_000_000_000_000_000)) as store:
        store.sessions.create(name="old")
    assert [one["name"] for one in good("sessions", "list", "--days", "1", "--json").json] == ["talk"]


def test_the_current_session_is_marked(good: Run, talk: str) -> None:
    assert "current, temporary" in good("sessions", "list").out


def test_a_broken_note_of_the_current_session_does_not_spoil_the_list(
    good: Run, home: Path, talk: str
) -> None:
    (home / "sessions" / "current.json").write_text("{")
    assert talk in good("sessions", "list").out


def test_save_keeps_and_lets_go(good: Run, talk: str) -> None:
    assert good("sessions", "save", "--json").json["saved"] is True
    assert good("sessions", "save", talk, "--temporary", "--json").json["saved"] is False


def test_fork_copies_up_to_a_message(good: Run, talk: str) -> None:
    fork = good("sessions", "fork", talk, "--at", "2", "--name", "other", "--json").json
    assert (fork["fork_of"], fork["message_count"], fork["name"]) == (talk, 2, "other")


def test_remove_archives_and_says_so(good: Run, talk: str) -> None:
    assert "archive" in good("sessions", "remove", talk, "--yes", "--reason", "tidy").out
    assert good("sessions", "list", "--json").json == []
    assert {entry["kind"] for entry in good("archive", "list", "--json").json} == {"session", "message"}
    counts = {one["kind"]: one["records"] for one in good("archive", "stats", "--json").json}
    assert counts == {"message": 3, "session": 1}


def test_remove_asks_where_it_can_and_refuses_where_it_cannot(wilk: Run, good: Run, talk: str) -> None:
    code, _, err = wilk("sessions", "remove", talk)
    assert code == 2
    assert "--yes" in err
    assert len(good("sessions", "list", "--json").json) == 1


# -- messages --


@pytest.mark.parametrize("text", [(), ("-",)])
def test_text_comes_from_stdin(good: Run, talk: str, text: tuple[str, ...]) -> None:
    message = good("messages", "add", "user", *text, "--json", stdin="one\ntwo\n\n").json
    assert message["text"] == "one\ntwo\n"


def test_stdin_that_is_not_utf8_is_refused(wilk: Run, talk: str) -> None:
    code, _, err = wilk("messages", "add", "user", stdin=b"\xff\xfe")
    assert code == 1
    assert "not UTF-8 at byte 0" in err


def test_text_that_looks_like_an_option_goes_behind_two_dashes(good: Run, talk: str) -> None:
    assert (
        good("messages", "add", "--json", "--", "user", "--not-an-option").json["text"] == "--not-an-option"
    )


def test_a_key_makes_a_retry_harmless(good: Run, talk: str) -> None:
    first = good("messages", "add", "user", "once", "--key", "k", "--json").json
    assert good("messages", "add", "user", "once", "--key", "k", "--json").json["id"] == first["id"]
    assert len(good("messages", "list", "--json").json) == 4


def test_messages_go_to_the_session_that_is_named(good: Run, talk: str) -> None:
    other = good("sessions", "new", "other", "--json").json["id"]
    good("messages", "add", "user", "there", "--session", "other")
    assert [one["text"] for one in good("messages", "list", "-s", other, "--json").json] == ["there"]


def test_lists_of_messages_are_paged(good: Run, talk: str) -> None:
    def numbers(*options: str) -> list[int]:
        return [one["sequence"] for one in good("messages", "list", *options, "--json").json]

    assert numbers("--last", "2") == [2, 3]
    assert numbers("--after", "1") == [2, 3]
    assert numbers("--before", "3", "--limit", "1") == [2]


def test_one_message_is_shown(good: Run, talk: str) -> None:
    id = good("messages", "list", "--last", "1", "--json").json[0]["id"]
    assert "Thanks" in good("messages", "show", id).out


def test_search_finds_by_words(good: Run, talk: str) -> None:
    assert "You can use open()." in good("messages", "search", "use open").out
    assert [hit["message"]["sequence"] for hit in good("messages", "search", "use open", "--json").json] == [
        2
    ]
    assert good("messages", "search", "nowhere").out == "nothing was found\n"


def test_control_characters_of_a_message_do_not_reach_the_terminal(good: Run, talk: str) -> None:
    good("messages", "add", "user", "\x1b[31mred\x1b[0m \x07 \u202eturned")
    for arguments in (("messages", "list"), ("messages", "search", "turned"), ("sessions", "show")):
        shown = good(*arguments).out
        assert "\\x1b[31mred" in shown
        assert not set(shown) & {"\x1b", "\x07", "\u202e"}


def test_usage_counts_by_agent(good: Run, talk: str) -> None:
    assert [(one["agent_id"], one["messages"]) for one in good("agents", "usage", "--json").json] == [
        ("helper", 1)
    ]
    assert "helper" in good("agents", "usage").out


def test_tool_calls_are_listed_and_shown(good: Run, talk: str) -> None:
    with package.open_store() as store:
        call = store.tool_calls.start(talk, "search", {"path": "x.py"})
        store.tool_calls.finish(call.id, error="not found")
    assert "path: x.py" in good("tool-calls", "list", "-s", "talk").out
    assert good("tool-calls", "show", call.id, "--json").json["error"] == "not found"
    assert "search (path: x.py) error" in " ".join(good("sessions", "show").out.split())


@pytest.mark.skipif(sys.platform == "win32", reason="the time zone comes from a variable")
def test_people_see_their_own_time_zone(good: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    import time

    with package.open_store(clock=package.Clock(lambda: 1_800_000_000_000_000)) as store:
        store.sessions.create(name="talk")
    monkeypatch.setenv("TZ", "Asia/Tokyo")
    time.tzset()
    try:
        assert "2027-01-15 17:00" in good("sessions", "list").out
    finally:
        monkeypatch.delenv("TZ")
        time.tzset()


def test_set_changes_what_is_given_and_nothing_else(good: Run) -> None:
    good("sessions", "new", "Old", "--id", "s", "--model", "m1", "--directory", "/src")
    good("users", "save", "anna", "--name", "Anna")
    good("sessions", "set", "s", "--name", "New", "--status", "paused", "--user", "anna", "--directory", "")
    session = good("sessions", "show", "s", "--json").json["session"]
    assert (session["name"], session["status"], session["user_id"]) == ("New", "paused", "anna")
    assert (session["model"], session["working_directory"]) == ("m1", None)
