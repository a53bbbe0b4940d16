"""``wilk archive`` and ``wilk retention``."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from .conftest import Result

Run = Callable[..., Result]


@pytest.fixture
def gone(good: Run) -> str:
    """The id of a session that was removed, with a message in it."""
    id: str = good("sessions", "new", "talk", "--json").json["id"]
    good("messages", "add", "user", "hello there", "--session", id)
    good("sessions", "remove", id, "--yes", "--reason", "tidy")
    return id


def test_list_shows_entries_with_their_numbers(good: Run, gone: str) -> None:
    lines = good("archive", "list").out.splitlines()
    assert lines[0].split()[:3] == ["ENTRY", "KIND", "ID"]
    assert lines[1].split()[:2] == ["2", "session"]
    assert "hello there" in lines[2]


def test_list_tells_what_there_is_when_a_file_of_it_is_gone(
    good: Run, wilk: Run, gone: str, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WILK_ARCHIVE", "jsonl")
    assert good("archive", "flush").out
    (home / "archive" / "000001.jsonl.gz").unlink()
    found = wilk("archive", "list")
    assert found.code == 0
    assert found.out.splitlines()[1].split()[:2] == ["2", "session"]
    assert "000001.jsonl.gz is missing" in found.err
    assert wilk("archive", "show", "2").code == 1


def test_list_takes_filters(good: Run, gone: str) -> None:
    def found(*options: str) -> list[str]:
        return [entry["kind"] for entry in good("archive", "list", "--json", *options).json]

    assert found("--kind", "message") == ["message"]
    assert found("--record", gone) == ["session"]
    assert found("--session", gone, "--limit", "1") == ["session"]
    assert found("--after", "2") == ["message"]
    assert found("--reason", "other") == found("--restored") == found("--interaction", "i") == []
    assert found("--days", "1") == ["session", "message"]
    batch = good("archive", "show", "1", "--json").json["batch"]
    assert found("--batch", batch) == ["session", "message"]


def test_show_gives_the_columns(good: Run, gone: str) -> None:
    shown = good("archive", "show", "1")
    assert "hello there" in shown.out
    assert good("archive", "show", "1", "--json").json["data"]["text"] == "hello there"


def test_show_of_an_unknown_entry_says_where_to_look(wilk: Run) -> None:
    result = wilk("archive", "show", "9")
    assert result.code == 1
    assert "no archive entry '9'; `wilk archive list`" in result.err


def test_restore_brings_a_session_back(good: Run, gone: str) -> None:
    assert "restored 1 × session, 1 × message" in good("archive", "restore", "--session", gone).out
    assert "hello there" in good("messages", "list", "--session", gone).out
    assert good("archive", "list", "--json").json == []


def test_restore_takes_entries_a_batch_or_a_record(good: Run, gone: str) -> None:
    assert good("archive", "restore", "2", "1", "--json").json == {"session": 1, "message": 1}
    good("sessions", "remove", gone, "--yes")
    batch = good("archive", "list", "--json").json[0]["batch"]
    assert good("archive", "restore", "--batch", batch, "--json").json == {"session": 1, "message": 1}
    good("sessions", "remove", gone, "--yes")
    assert good("archive", "restore", "--kind", "session", "--record", gone, "--json").json["message"] == 1


@pytest.mark.parametrize("options", [[], ["--kind", "user"], ["--record", "x"], ["1", "--session", "x"]])
def test_restore_without_saying_what_is_misuse(wilk: Run, options: list[str]) -> None:
    result = wilk("archive", "restore", *options)
    assert result.code == 2
    assert "say what to restore" in result.err


def test_restore_of_what_is_back_is_an_error(wilk: Run, gone: str) -> None:
    assert wilk("archive", "restore", "--session", gone).code == 0
    result = wilk("archive", "restore", "--session", gone)
    assert result.code == 1
    assert "is restored already" in result.err


def test_stats_count_by_reason(good: Run, gone: str) -> None:
    assert good("archive", "stats").out.splitlines()[1].split()[:3] == ["tidy", "message", "1"]
    assert {one["kind"]: one["records"] for one in good("archive", "stats", "--json").json} == {
        "message": 1, "session": 1,
    }  # fmt: skip


def test_flush_hands_over(good: Run, gone: str, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert "nothing waits" in good("archive", "flush").out
    monkeypatch.setenv("WILK_ARCHIVE", "jsonl")
    good("archive", "list")  # opening the store hands over what lies in the table
    assert good("archive", "flush", "--json").json == {"handed_over": 0}
    assert (home / "archive" / "000001.jsonl.gz").exists()
    assert "hello there" in good("archive", "list").out


RULES = '{"session": {"count": 0}}'


@pytest.fixture
def talk(good: Run) -> str:
    id: str = good("sessions", "new", "talk", "--json").json["id"]
    good("messages", "add", "user", "hello there", "--session", id)
    return id


def test_a_plan_shows_what_would_go_and_changes_nothing(good: Run, talk: str) -> None:
    shown = good("retention", "plan", "--rules", RULES).out
    assert shown.splitlines()[1].split()[:6] == ["session", "count", "0", "1", "1", "message"]
    assert good("archive", "list", "--json").json == []
    (step,) = good("retention", "plan", "--rules", RULES, "--json").json["steps"]
    assert (step["records"], step["also"]) == (1, {"message": 1})


def test_a_run_asks_first(wilk: Run, talk: str) -> None:
    result = wilk("retention", "run", "--rules", RULES)
    assert result.code == 2
    assert "Move 2 rows" in result.err
    assert "--yes" in result.err


def test_a_run_moves_into_the_archive(good: Run, talk: str) -> None:
    good("retention", "run", "--rules", RULES, "--yes")
    assert {entry["reason"] for entry in good("archive", "list", "--json").json} == {"retention: count 0"}


def test_a_run_with_nothing_to_do_asks_nothing(good: Run) -> None:
    assert good("retention", "run", "--rules", RULES).out.splitlines()[1].split()[:4] == [
        "session",
        "count",
        "0",
        "0",
    ]


def test_without_rules_it_says_where_they_go(good: Run) -> None:
    assert "set retention in config.yaml" in good("retention", "plan").out


def test_bad_rules_are_an_error(wilk: Run) -> None:
    result = wilk("retention", "plan", "--rules", '{"sesion": {}}')
    assert result.code == 1
    assert "'sesion' is no kind" in result.err
