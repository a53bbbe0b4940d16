"""``wilk pins``, ``wilk blocks`` and ``wilk facts``."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator

import pytest

from .conftest import Result

Run = Callable[..., Result]


@pytest.fixture
def session(good: Run) -> str:
    """The id of a session, which is the current one."""
    good("users", "save", "ann", "--name", "Ann")
    id: str = good("sessions", "new", "talk", "--use", "--user", "ann", "--json").json["id"]
    return id


@pytest.fixture
def in_warsaw(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("TZ", "Europe/Warsaw")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


class TestPins:
    def test_are_added_listed_edited_and_removed(self, good: Run, session: str) -> None:
        pin = good("pins", "add", "No force-push", "--type", "code", "--json").json
        assert (pin["session_id"], pin["importance"], pin["type"]) == (session, 0.8, "code")
        assert "No force-push" in good("pins", "list").out
        changed = good("pins", "edit", pin["id"], "--importance", "0.9", "--content", "Never", "--json").json
        assert (changed["importance"], changed["content"], changed["type"]) == (0.9, "Never", "code")
        good("pins", "remove", pin["id"], "--yes", "--reason", "outdated")
        assert good("pins", "list", "--json").json == []
        assert good("archive", "list", "--kind", "pin", "--json").json[0]["reason"] == "outdated"

    def test_of_one_type_are_listed(self, good: Run, session: str) -> None:
        good("pins", "add", "a", "-s", session[:13], "--type", "auto")
        good("pins", "add", "b", "-s", "talk")
        found = good("pins", "list", "talk", "--type", "auto", "--json").json
        assert [(pin["content"], pin["importance"]) for pin in found] == [("a", 0.7)]

    def test_may_come_from_standard_input(self, good: Run, session: str) -> None:
        pin = good("pins", "add", "--json", stdin="two\nlines\n").json
        assert pin["content"] == "two\nlines"

    def test_name_their_source(self, good: Run, wilk: Run, session: str) -> None:
        message = good("messages", "add", "user", "hello", "--json").json["id"]
        assert good("pins", "add", "x", "--source", message, "--json").json["source_message_id"] == message
        result = wilk("pins", "add", "x", "--source", "m")
        assert (result.code, result.err) == (
            1,
            f"wilk: error: no message 'm'; a message of session {session!r} is wanted\n",
        )

    def test_an_unknown_type_is_an_error(self, wilk: Run, session: str) -> None:
        code, _, err = wilk("pins", "add", "x", "--type", "legal")
        assert code == 1
        assert "one of user, manual" in err
        assert "pin_types" in err

    def test_an_edit_without_a_change_is_not_understood(self, wilk: Run, session: str) -> None:
        result = wilk("pins", "edit", "x")
        assert result.code == 2
        assert "--importance" in result.err

    def test_a_session_without_any_says_so(self, good: Run, session: str) -> None:
        assert "no pins" in good("pins", "list").out


class TestBlocks:
    def test_are_set_shown_listed_and_removed(self, good: Run, session: str) -> None:
        good("blocks", "set", "human", "Likes tea", "--user", "ann", "--description", "who")
        block = good("blocks", "show", "human", "--user", "ann", "--json").json
        assert (block["owner_kind"], block["owner_id"], block["value"]) == ("user", "ann", "Likes tea")
        assert "Likes tea" in good("blocks", "show", "human", "--user", "ann").out
        assert "user ann" in good("blocks", "list", "--user", "ann").out
        good("blocks", "remove", "human", "--user", "ann", "--yes")
        assert good("blocks", "list", "--user", "ann", "--json").json == []

    def test_that_concern_a_session_are_listed(self, good: Run, session: str) -> None:
        good("blocks", "set", "rules", "Be kind")
        good("blocks", "set", "human", "Ann", "--user", "ann")
        good("blocks", "set", "plan", "-", "-s", "talk", stdin="first\nsecond\n")
        found = good("blocks", "list", "--for", "talk", "--json").json
        assert [(block["label"], block["value"]) for block in found] == [
            ("rules", "Be kind"),
            ("human", "Ann"),
            ("plan", "first\nsecond"),
        ]
        assert [block["label"] for block in good("blocks", "list", "--json").json] == ["rules"]

    def test_setting_again_changes_what_is_given(self, good: Run) -> None:
        good("blocks", "set", "rules", "Be kind", "--max-tokens", "9")
        block = good("blocks", "set", "rules", "--description", "how", "--json").json
        assert (block["value"], block["max_tokens"], block["description"]) == ("Be kind", 9, "how")

    def test_read_only_ones_refuse_until_they_are_writable(self, good: Run, wilk: Run) -> None:
        good("blocks", "set", "rules", "Be kind", "--read-only")
        result = wilk("blocks", "set", "rules", "x")
        assert result.code == 1
        assert "read-only" in result.err
        assert good("blocks", "set", "rules", "x", "--writable", "--json").json["value"] == "x"

    def test_one_over_its_limit_is_refused_with_the_numbers(self, wilk: Run) -> None:
        result = wilk("blocks", "set", "rules", "word " * 50, "--max-tokens", "10")
        assert result.code == 1
        assert "over its limit of 10" in result.err

    def test_have_one_owner(self, wilk: Run) -> None:
        assert wilk("blocks", "set", "rules", "x", "--user", "a", "--agent", "b").code == 2


class TestFacts:
    def test_are_added_listed_and_retracted(self, good: Run) -> None:
        fact = good(
            "facts", "add", "Ann", "lives in", "Oslo", "--from", "2026-01-31T12:00:00Z", "--json"
        ).json
        assert (fact["object"], fact["valid_from"]) == ("Oslo", "2026-01-31T12:00:00+00:00")
        assert "Oslo" in good("facts", "list", "Ann").out
        good("facts", "retract", fact["id"])
        assert good("facts", "list", "--json").json == []
        (version,) = good("facts", "history", "Ann", "--json").json
        assert version["retracted_at"] is not None

    @pytest.mark.parametrize(
        ("given", "kept"),
        [("5", 5), ('"5"', "5"), ('{"a": [null]}', {"a": [None]}), ("Oslo, Norway", "Oslo, Norway")],
    )
    def test_objects_are_json_or_else_text(self, good: Run, given: str, kept: object) -> None:
        assert good("facts", "add", "a", "b", given, "--json").json["object"] == kept

    def test_are_asked_as_of_two_times(self, good: Run) -> None:
        good("facts", "add", "Ann", "lives in", "Gdansk", "--to", "2026-02-01T00:00:00Z")
        good("facts", "add", "Ann", "lives in", "Oslo", "--from", "2026-02-01T00:00:00Z")
        at = ("--valid-at", "2026-01-31T23:59:59Z")
        assert [fact["object"] for fact in good("facts", "list", "Ann", *at, "--json").json] == ["Gdansk"]
        before = good("facts", "list", "Ann", "--known-at", "2020-01-01T00:00:00Z", "--json")
        assert before.json == []

    @pytest.mark.skipif(os.name == "nt", reason="the zone of a process cannot be set there")
    def test_a_time_without_a_zone_is_a_local_one(self, good: Run, in_warsaw: None) -> None:
        fact = good("facts", "add", "a", "b", "c", "--from", "2026-07-01", "--json").json
        assert fact["valid_from"] == "2026-06-30T22:00:00+00:00"

    def test_a_time_that_is_none_is_not_understood(self, wilk: Run) -> None:
        result = wilk("facts", "list", "--valid-at", "yesterday")
        assert result.code == 2
        assert "'yesterday' is not a time" in result.err

    def test_of_a_user_are_apart(self, good: Run, session: str) -> None:
        good("facts", "add", "team", "is", "ours", "--user", "ann")
        good("facts", "add", "team", "is", "all's")
        assert [fact["object"] for fact in good("facts", "list", "--user", "ann", "--json").json] == ["ours"]

    def test_a_history_shows_when_each_version_was_known(self, good: Run) -> None:
        fact = good("facts", "add", "Ann", "lives in", "Oslo", "--json").json
        good("facts", "retract", fact["id"])
        out = good("facts", "history", "Ann", "lives in").out
        assert "RECORDED" in out
        assert "RETRACTED" in out

    def test_an_interval_that_ends_before_it_begins_is_an_error(self, wilk: Run) -> None:
        result = wilk("facts", "add", "a", "b", "c", "--from", "2026-02-01T00Z", "--to", "2026-01-01T00Z")
        assert result.code == 1
        assert "valid_to 2026-01-01T00:00:00+00:00: a time after valid_from" in result.err


def test_an_unknown_pin_is_told_with_the_way_to_those_there_are(wilk: Run) -> None:
    result = wilk("pins", "remove", "nope", "--yes")
    assert result.code == 1
    assert result.err == "wilk: error: no pin 'nope'; `wilk pins list` shows the ones there are\n"
