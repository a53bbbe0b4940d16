"""``wilk search``: what was said and kept, with the hits marked."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from .conftest import Result
from .test_start_up import modules_after

Run = Callable[..., Result]


@pytest.fixture
def session(good: Run) -> str:
    """The id of a session, which is the current one, with a message and a pin."""
    id: str = good("sessions", "new", "talk", "--use", "--json").json["id"]
    good("messages", "add", "user", "A grey wolf howls at night")
    good("pins", "add", "Never feed the wolf")
    return id


def test_finds_messages_and_what_was_kept(good: Run, session: str) -> None:
    shown = good("search", "wolf").out
    assert "A grey wolf howls at night" in shown
    assert "Never feed the wolf" in shown
    assert f"session {session}" in shown


def test_gives_json_with_marks_and_reasons(good: Run, session: str) -> None:
    found = good("search", "wolf night", "--json").json
    assert [one["kind"] for one in found] == ["message", "pin"]
    first = found[0]
    assert [first["snippet"][begin:end] for begin, end in first["marks"]] == ["wolf", "night"]
    assert first["reasons"][0]["by"] == "text"
    assert first["record"]["role"] == "user"


def test_marks_hits_in_bold_on_a_terminal_and_not_in_a_pipe(
    good: Run, session: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert "\x1b" not in good("search", "wolf").out
    monkeypatch.setenv("FORCE_COLOR", "1")
    assert "A grey \x1b[1mwolf\x1b[0m howls" in good("search", "wolf").out


def test_explains_the_score(good: Run, session: str) -> None:
    shown = good("search", "wolf", "--kind", "pin", "--explain").out
    assert "score 0.01639" in shown
    assert "+ 0.01639  words: BM25" in shown
    assert "place 1" in shown


def test_looks_at_kinds_sessions_and_users(good: Run, session: str) -> None:
    good("users", "save", "ann", "--name", "Ann")
    other = good("sessions", "new", "other", "--user", "ann", "--json").json["id"]
    good("messages", "add", "user", "another wolf", "-s", other)

    def sessions(*options: str) -> set[str]:
        return {one["session_id"] for one in good("search", "wolf", "--json", *options).json}

    assert sessions() == {session, other}
    assert sessions("--session", "talk") == {session}
    assert sessions("-s", other[:13]) <= {session, other}
    assert sessions("--user", "ann") == {other}
    kinds = {one["kind"] for one in good("search", "wolf", "--kind", "pin", "--kind", "fact", "--json").json}
    assert kinds == {"pin"}
    assert len(good("search", "wolf", "--limit", "1", "--json").json) == 1


@pytest.mark.parametrize("command", [["search"], ["messages", "search"]])
def test_takes_several_words_without_quotes(good: Run, session: str, command: list[str]) -> None:
    assert good(*command, "wolf", "night").out == good(*command, "wolf night").out != "nothing was found\n"


@pytest.mark.parametrize("command", [["search"], ["messages", "search"], ["tool-calls", "list"]])
def test_help_says_that_all_sessions_are_meant(good: Run, command: list[str]) -> None:
    shown = " ".join(good(*command, "--help").out.split())
    assert "(all sessions)" in shown
    assert "(the current session)" not in shown


def test_reads_the_text_from_standard_input(good: Run, session: str) -> None:
    assert "grey wolf" in good("search", "-", stdin="wolf\nnight\n").out


def test_says_when_nothing_was_found(good: Run, session: str) -> None:
    assert good("search", "bear").out == "nothing was found\n"
    assert good("search", "bear", "--json").json == []
    assert good("search", '"', "--quiet").out == ""


@pytest.mark.parametrize("text", ['"', "a OR", "NEAR(x)", "*", "狼", "🐺", "%", "'; DROP TABLE messages"])
def test_takes_any_text(good: Run, session: str, text: str) -> None:
    good("search", text)


def test_an_unknown_kind_and_an_unknown_session_are_told(wilk: Run, session: str) -> None:
    result = wilk("search", "wolf", "--kind", "wolves")
    assert (result.code, result.out) == (1, "")
    assert "kinds 'wolves': one of message, memory, pin, document" in result.err
    result = wilk("search", "wolf", "-s", "nowhere")
    assert result.code == 1
    assert "no session 'nowhere'" in result.err


def test_what_would_move_the_cursor_is_shown_as_an_escape(good: Run, session: str) -> None:
    good("messages", "add", "user", "evil \x1b[2J wolf")
    assert "\x1b[2J" not in good("search", "evil").out


def test_a_readonly_store_is_searched(good: Run, session: str) -> None:
    assert "wolf" in good("search", "wolf", "--readonly").out


@pytest.mark.sqlite
def test_without_an_embedder_nothing_of_vectors_is_imported(good: Run, session: str) -> None:
    modules = modules_after("search", "wolf")
    assert not modules & {"numpy", "wilk.services.vectors.nearest"}
    assert "asyncio" not in modules or "psycopg" in modules  # Peewee imports the drivers that it finds
