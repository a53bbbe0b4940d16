"""``wilk users`` and ``wilk groups``."""

from __future__ import annotations

from collections.abc import Callable

from .conftest import Result

Run = Callable[..., Result]


def test_a_user_is_saved_shown_and_listed(good: Run) -> None:
    good("users", "save", "ann", "--name", "Ann", "--email", "ann@example.com", "--metadata", '{"a": 1}')
    assert good("users", "show", "ann", "--json").json["email"] == "ann@example.com"
    assert "Ann" in good("users", "list").out


def test_saving_again_changes_what_is_given_and_nothing_else(good: Run) -> None:
    good("users", "save", "ann", "--name", "Ann", "--email", "ann@example.com")
    user = good("users", "save", "ann", "--name", "Anna", "--json").json
    assert (user["name"], user["email"]) == ("Anna", "ann@example.com")


def test_a_user_without_an_id_gets_one(good: Run) -> None:
    id = good("-q", "users", "save", "--name", "Ann").out.strip()
    assert good("users", "show", id, "--json").json["name"] == "Ann"


def test_a_group_holds_users(good: Run) -> None:
    good("users", "save", "ann", "--name", "Ann")
    good("groups", "save", "team", "--name", "Team")
    good("groups", "add", "team", "ann", "--role", "owner")
    assert good("groups", "show", "team", "--json").json["members"][0]["role"] == "owner"
    assert "team (owner)" in good("users", "show", "ann").out
    good("groups", "drop", "team", "ann")
    assert good("groups", "show", "team", "--json").json["members"] == []


def test_removed_ones_are_archived(good: Run) -> None:
    good("users", "save", "ann", "--name", "Ann")
    good("groups", "save", "team", "--name", "Team")
    good("users", "remove", "ann", "--yes")
    good("groups", "remove", "team", "--yes")
    assert good("users", "list", "--json").json == good("groups", "list", "--json").json == []
    assert {entry["kind"] for entry in good("archive", "list", "--json").json} == {"user", "group"}


def test_a_user_with_sessions_stays(good: Run, wilk: Run) -> None:
    good("users", "save", "ann", "--name", "Ann")
    good("sessions", "new", "--user", "ann")
    code, _, err = wilk("users", "remove", "ann", "--yes")
    assert code == 1
    assert "sessions" in err
