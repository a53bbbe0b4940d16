"""``wilk maintain``: what it does and prints."""

from __future__ import annotations

import random
from collections.abc import Callable
from pathlib import Path

import pytest
from tests.core.damage import build, overwrite, pages_of

from .conftest import Result

pytestmark = pytest.mark.sqlite


@pytest.fixture
def file(tmp_path: Path) -> Path:
    file = tmp_path / "wilk.db"
    build(file, sessions=6, messages=30)
    return file


def test_every_step_is_told_with_what_came_of_it(good: Callable[..., Result], file: Path) -> None:
    said = good("maintain", "--url", f"sqlite:///{file}").out
    for name in ("integrity", "foreign-keys", "full-text", "analyze", "checkpoint", "blobs"):
        assert name in said
    assert "before," in said


def test_quick_leaves_the_long_steps_out(good: Callable[..., Result], file: Path) -> None:
    said = good("maintain", "--quick", "--url", f"sqlite:///{file}").out
    assert "integrity" in said
    assert "reindex" not in said


def test_named_steps_are_done_alone(good: Callable[..., Result], file: Path) -> None:
    found = good(
        "maintain", "--only", "compact", "--only", "checkpoint", "--json", "--url", f"sqlite:///{file}"
    ).json
    assert [one["step"] for one in found["steps"]] == ["compact", "checkpoint"]
    assert found["result"] == "ok"


def test_a_step_that_there_is_none_of_is_an_error(wilk: Callable[..., Result], file: Path) -> None:
    result = wilk("maintain", "--only", "polish", "--url", f"sqlite:///{file}")
    assert result.code == 1
    assert "'polish'" in result.err


def test_damage_is_told_by_the_exit_code(wilk: Callable[..., Result], file: Path) -> None:
    overwrite(file, pages_of(file, "name = 'messages' AND pagetype = 'leaf'")[:1], random.Random(1))
    result = wilk("maintain", "--quick", "--url", f"sqlite:///{file}")
    assert result.code == 1
    assert "wilk recover" in " ".join(result.out.split())


def test_the_steps_can_be_listed(good: Callable[..., Result], file: Path) -> None:
    said = good("maintain", "--list", "--url", f"sqlite:///{file}").out
    assert "compact" in said
    assert "named" in said
