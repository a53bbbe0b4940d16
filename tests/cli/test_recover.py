"""``wilk recover``: what it writes and prints."""

from __future__ import annotations

import random
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from tests.core.damage import build, overwrite, pages_of

import wilk as library

from .conftest import Result

pytestmark = pytest.mark.sqlite


@pytest.fixture(scope="module")
def original(tmp_path_factory: pytest.TempPathFactory) -> Path:
    file = tmp_path_factory.mktemp("original") / "wilk.db"
    build(file, sessions=6, messages=30)
    return file


@pytest.fixture
def damaged(original: Path, tmp_path: Path) -> Path:
    return Path(shutil.copy(original, tmp_path / "damaged.db"))


def test_what_was_recovered_and_lost_is_told_by_table(
    good: Callable[..., Result], original: Path, damaged: Path, tmp_path: Path
) -> None:
    overwrite(damaged, pages_of(original, "name = 'facts' AND pagetype = 'leaf'")[:1], random.Random(1))
    said = good("recover", str(damaged), str(tmp_path / "new.db")).out
    assert "rows recovered" in said
    assert "rows are lost" in said
    assert "facts" in said
    with library.open_store(f"sqlite:///{tmp_path / 'new.db'}") as store:
        assert store.sessions.list()


def test_a_healthy_file_is_said_to_be_so(good: Callable[..., Result], damaged: Path, tmp_path: Path) -> None:
    assert good("recover", str(damaged), str(tmp_path / "new.db")).out.startswith("healthy")


def test_programs_get_all_counts(
    good: Callable[..., Result], original: Path, damaged: Path, tmp_path: Path
) -> None:
    overwrite(damaged, pages_of(original, "name = 'facts' AND pagetype = 'leaf'")[:1], random.Random(1))
    found = good("recover", str(damaged), str(tmp_path / "new.db"), "--json").json
    facts = next(one for one in found["tables"] if one["table"] == "facts")
    assert (found["healthy"], found["exact"]) == (False, True)
    assert facts["lost"] == found["lost"] > 0


def test_a_new_file_that_is_there_is_an_error(wilk: Callable[..., Result], damaged: Path) -> None:
    result = wilk("recover", str(damaged), str(damaged))
    assert result.code == 1
    assert "is there already" in result.err


@pytest.mark.parametrize(
    ("given", "said"),
    [("postgresql://u@h/db", "pg_dump"), ("sqlite:///x.db", "name the file itself")],
)
def test_urls_are_told_another_way(
    wilk: Callable[..., Result], tmp_path: Path, given: str, said: str
) -> None:
    result = wilk("recover", given, str(tmp_path / "new.db"))
    assert result.code == 2
    assert said in result.err
