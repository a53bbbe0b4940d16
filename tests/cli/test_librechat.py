"""``wilk import librechat`` and ``wilk export librechat``: what they print and write."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from tests.core.librechat import documents

from .conftest import Result

Run = Callable[..., Result]


@pytest.fixture
def dump(tmp_path: Path) -> Path:
    return documents.write(tmp_path / "dump", documents.everything())


def test_an_import_prints_no_secret_and_tells_what_was_left_out(good: Run, dump: Path) -> None:
    result = good("import", "librechat", str(dump))
    assert "users.password" in result.out
    assert documents.CANARY not in result.out + result.err


def test_auto_recognises_it(good: Run, dump: Path) -> None:
    good("import", "auto", str(dump))
    assert "A first talk" in good("sessions", "list").out


def test_a_conversation_is_exported_as_librechats_own_file(good: Run, dump: Path, tmp_path: Path) -> None:
    good("import", "librechat", str(dump))
    good("export", "librechat", str(tmp_path / "talk.json"), "--session", "c-1")
    assert len(json.loads((tmp_path / "talk.json").read_text())["messages"]) == 3


def test_everything_is_exported_as_a_folder(good: Run, dump: Path, tmp_path: Path) -> None:
    good("import", "librechat", str(dump))
    good("export", "librechat", str(tmp_path / "back"))
    assert {"agents.json", "messages.json", "users.json"} <= {
        one.name for one in (tmp_path / "back").iterdir()
    }


def test_an_option_that_is_wrong_says_what_is_wanted(wilk: Run, dump: Path) -> None:
    result = wilk("import", "librechat", str(dump), "--option", "temporary=perhaps")
    assert "skip, include" in result.err
