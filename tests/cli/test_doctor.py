"""``wilk doctor``: what it says, when it asks, and its way back."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from .conftest import Result

Run = Callable[..., Result]

pytestmark = pytest.mark.sqlite


@pytest.fixture
def talk(good: Run) -> None:
    good("sessions", "new", "talk", "--use")
    good("messages", "add", "user", "Is there a wolf?")


def damage(home: Path) -> None:
    with closing(sqlite3.connect(home / "wilk.db")) as connection, connection:
        connection.execute("UPDATE sessions SET message_count = 77")


def test_a_store_that_is_well(talk: None, good: Run) -> None:
    assert good("doctor").out == "15 checks, and nothing to find fault with\n"
    assert good("doctor", "--json").json["well"] is True


def test_what_it_finds_and_what_it_would_do(talk: None, wilk: Run, home: Path) -> None:
    damage(home)
    found = wilk("doctor")
    assert found.code == 1
    assert "1 sessions do not count their messages or tokens right" in found.out
    assert "repair: count them anew" in found.out
    assert "`wilk doctor --repair` mends what it can" in found.out


def test_a_repair_and_its_way_back(talk: None, good: Run, wilk: Run, home: Path) -> None:
    damage(home)
    assert wilk("doctor", "--repair").code == 2  # nobody can be asked
    shown = good("doctor", "--repair", "--yes").out
    assert "1 findings mended, 1 changes" in shown
    assert good("doctor").out == "15 checks, and nothing to find fault with\n"
    batch = good("doctor", "--repairs", "--json").json[0]["batch"]
    assert f"`wilk doctor --undo {batch}`" in shown
    assert good("doctor", "--undo", batch).out == "1 changes put back as they were\n"
    assert wilk("doctor").code == 1
    assert "counts" in good("doctor", "--repairs").out
    assert good("doctor", "--repair", "--yes", "--quiet").out == ""


def test_nothing_to_repair(talk: None, good: Run) -> None:
    assert good("doctor", "--repair").out == "15 checks, and nothing to find fault with\n"
    assert good("doctor", "--repairs").out == "nothing was repaired so far\n"


def test_a_misspelt_check_is_told(talk: None, wilk: Run) -> None:
    found = wilk("doctor", "--only", "cuonts")
    assert found.code == 1
    assert "there is no check 'cuonts'; there are integrity" in found.err


def test_the_checks_there_are(good: Run) -> None:
    names = [one["name"] for one in good("doctor", "--checks", "--json").json]
    assert names[:3] == ["integrity", "schema", "poisoned"]
    assert "counts" in good("doctor", "--checks").out
