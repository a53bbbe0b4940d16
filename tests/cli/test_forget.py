"""``wilk forget``: what it shows, asks and certifies."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

import wilk as library

from .conftest import Result

Run = Callable[..., Result]

SECRET = "the canary of Anna sings in the morning"


@pytest.fixture
def anna(home: Path) -> str:
    """A user with a session, and the id of the session."""
    with library.open_store(home=home) as store:
        store.users.save("anna-0001", name="Anna")
        session = store.sessions.create(user="anna-0001", name="Talk").id
        store.messages.append(session, "user", SECRET)
        store.sessions.create(name="Nobody's")
    return session


def test_a_dry_run_shows_what_would_go_and_changes_nothing(wilk: Run, anna: str, home: Path) -> None:
    found = wilk("forget", "--user", "anna-0001", "--dry-run")
    assert found.code == 0
    rows = {
        tuple(line.split()[:3]): line.split()[3]
        for line in found.out.splitlines()
        if line.startswith("the database")
    }
    assert rows["the", "database", "messages"] == "1"
    assert rows["the", "database", "users"] == "1"
    assert found.out.splitlines()[-1] == "nothing was changed"
    with library.open_store(home=home) as store:
        assert store.messages.last(anna, 1)[0].text == SECRET


def test_a_plan_as_json(wilk: Run, anna: str) -> None:
    plan = wilk("forget", "--session", anna, "--dry-run", "--json").json
    assert plan["rows"] == {"messages": 1, "sessions": 1}
    assert (plan["kind"], plan["id"]) == ("session", anna)


def test_it_asks_where_nobody_said_yes(wilk: Run, anna: str) -> None:
    found = wilk("forget", "--user", "anna-0001")
    assert found.code == 2
    assert "Nothing brings it back. Say so with --yes" in found.err
    assert wilk("users", "list", "--json").json


def test_a_user_goes_with_a_certificate(wilk: Run, anna: str, tmp_path: Path) -> None:
    file = tmp_path / "certificate.json"
    found = wilk("forget", "--user", "anna-0001", "--yes", "--certificate", str(file))
    assert found.code == 0
    assert "files with" in found.out
    assert "was found" in found.out
    report = json.loads(file.read_text())
    assert report["status"] == "finished"
    assert report["rows"] == {"messages": 1, "sessions": 1, "users": 1}
    assert "anna-0001" not in file.read_text()
    assert wilk("users", "list", "--json").json == []
    assert [one["name"] for one in wilk("sessions", "list", "--json").json] == ["Nobody's"]
    assert wilk("forget", "--user", "anna-0001", "--yes").code == 1


def test_certificates_are_listed_shown_and_verified(wilk: Run, anna: str) -> None:
    report = wilk("forget", "--user", "anna-0001", "--yes", "--json").json
    (line,) = wilk("forget", "certificates").out.splitlines()[1:]
    assert line.split()[0] == report["id"]
    assert line.endswith("nothing left")
    assert wilk("forget", "show", report["id"], "--json").json == report
    assert report["hash"] in wilk("forget", "show", report["id"]).out
    verified = wilk("forget", "verify", report["id"])
    assert (verified.code, verified.out.splitlines()[0]) == (0, "as it was issued")


def test_what_is_left_ends_with_1(wilk: Run, anna: str, home: Path) -> None:
    home.mkdir(exist_ok=True)
    (home / "notes.txt").write_text(SECRET)
    found = wilk("forget", "--session", anna, "--yes")
    assert found.code == 1
    assert "notes.txt: 1 in its bytes" in found.out


@pytest.mark.sqlite
def test_any_text_is_searched(wilk: Run, anna: str) -> None:
    found = wilk("forget", "search", SECRET)
    assert found.code == 1
    assert "wilk.db" in found.out
    assert wilk("forget", "search", "what nobody ever said").code == 0


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        ([], "name what to forget"),
        (["--user", "a", "--session", "b"], "one of them"),
        (["show", "x", "--user", "a"], "do not go with"),
        (["show"], "name one certificate"),
        (["search"], "give at least one text"),
        (["--user", "a", "--yes", "--certificate", "/nowhere/at/all.json"], "no such folder"),
    ],
)
def test_what_it_does_not_understand(wilk: Run, anna: str, arguments: list[str], told: str) -> None:
    found = wilk("forget", *arguments)
    assert found.code == 2
    assert told in found.err


def test_who_is_not_there(wilk: Run, anna: str) -> None:
    found = wilk("forget", "--user", "bert", "--yes")
    assert found.code == 1
    assert "no user 'bert'" in found.err
