"""``wilk cache``."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import pytest

import wilk as package

from .conftest import Result
from .test_start_up import HEAVY, modules_after

Run = Callable[..., Result]


@pytest.fixture
def filled(home: Path) -> None:
    """Two caches with entries, hits and misses."""
    with package.open_store() as store:
        responses = store.cache("responses")
        responses.set("user:1", "hello", tags=["a"])
        responses.set("user:2", "hello", tags=["b"])
        responses.set("gone", "hello", ttl="0.001s")
        responses.get("user:1")
        responses.get("none")
        store.cache("mine").set("key", [1])
    time.sleep(0.002)


def test_stats_show_each_cache(good: Run, filled: None) -> None:
    lines = good("cache", "stats").out.splitlines()
    assert lines[0].split() == [
        "CACHE",
        "ENTRIES",
        "SIZE",
        "LIMIT",
        "HITS",
        "MISSES",
        "HIT",
        "RATE",
        "EVICTIONS",
    ]
    assert lines[1].split()[:2] == ["mine", "1"]
    assert lines[2].split() == ["responses", "3", "646", "B", "50.0", "MB", "1", "1", "50%", "0"]


def test_stats_of_one_as_json(good: Run, filled: None) -> None:
    (found,) = good("cache", "stats", "responses", "--json").json
    assert (found["entries"], found["hits"], found["misses"], found["evictions"]) == (3, 1, 1, 0)


def test_stats_without_caches_say_so(good: Run) -> None:
    assert "no caches yet" in good("cache", "stats").out
    assert good("cache", "stats", "--json").json == []


def test_a_store_that_is_only_read_leaves_the_caches_on_disk_alone(
    good: Run, wilk: Run, filled: None
) -> None:
    assert "in memory" in good("cache", "stats", "--readonly").out
    for arguments in (["stats", "responses"], ["clear"], ["clear", "responses"], ["clear", "--expired"]):
        failed = wilk("cache", *arguments, "--readonly")
        assert (failed.code, failed.out) == (1, "")
        assert "leaves those on disk alone" in failed.err
    assert good("cache", "stats", "responses", "--json").json[0]["entries"] == 3


def test_clear_empties_all_or_one(good: Run, filled: None) -> None:
    assert good("cache", "clear", "mine").out == "removed 1 entry\n"
    assert good("cache", "clear", "--json").json == {"removed": 3}
    assert [one["entries"] for one in good("cache", "stats", "--json").json] == [0, 0]


@pytest.mark.parametrize(
    ("option", "count"), [(["--prefix", "user:"], 2), (["--tag", "b"], 1), (["--expired"], 1)]
)
@pytest.mark.parametrize("name", [[], ["responses"]])
def test_clear_takes_a_prefix_a_tag_or_what_has_expired(
    good: Run, filled: None, name: list[str], option: list[str], count: int
) -> None:
    assert good("cache", "clear", *name, *option, "--json").json == {"removed": count}


def test_clear_takes_one_of_them(wilk: Run, filled: None) -> None:
    result = wilk("cache", "clear", "--prefix", "a", "--expired")
    assert result.code == 2
    assert "say one of" in result.err


@pytest.mark.parametrize("verb", ["stats", "clear"])
def test_an_unknown_cache_is_an_error_and_is_not_made(wilk: Run, filled: None, verb: str, home: Path) -> None:
    result = wilk("cache", verb, "respones")
    assert result.code == 1
    assert "no cache 'respones'; `wilk cache stats` shows" in result.err
    assert not (home / "cache" / "respones.db").exists()


@pytest.mark.sqlite
def test_stats_import_nothing_heavy(good: Run, filled: None) -> None:
    assert modules_after("cache", "stats") & {*HEAVY, "peewee"} == set()


def test_a_bad_policy_is_told_with_its_file(wilk: Run, home: Path) -> None:
    home.mkdir()
    (home / "config.yaml").write_text("caches:\n  responses: {ttl: 30}\n")
    result = wilk("cache", "stats")
    assert result.code == 1
    assert "config.yaml: caches: responses: ttl 30" in result.err
