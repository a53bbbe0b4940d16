"""The spool: groups come out whole, whatever the order in which their records came in."""

from __future__ import annotations

import random
import stat
import tempfile
import tracemalloc
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

import wilk
from wilk.transfer.reading.spool import Spool
from wilk.transfer.trees import tree

pytestmark = pytest.mark.storeless
BEGIN = datetime(2024, 1, 1, tzinfo=UTC)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    return tmp_path


def test_groups_come_in_the_order_of_their_first_record_and_nodes_in_theirs(folder: Path) -> None:
    with Spool() as spool:
        spool.add("b", "2", "1", BEGIN, {"n": 2})
        spool.add("a", "x", None, 7, "payload")
        spool.add("b", "1", None, BEGIN - timedelta(microseconds=1), [1])
        assert list(spool.groups()) == ["b", "a"]
        nodes = list(spool.nodes("b"))
        assert [(one.key, one.parent) for one in nodes] == [("2", "1"), ("1", None)]
        assert nodes[0].moment - nodes[1].moment == 1
        assert [one.moment for one in spool.nodes("a")] == [7]
        assert list(spool.nodes("nothing")) == []
        assert len(spool) == 3


def test_payloads_come_in_the_order_asked_for_as_often_as_asked(folder: Path) -> None:
    with Spool() as spool:
        for number in range(5000):
            spool.add(
                f"g{number % 7}", f"k{number}", None, number, {"at": BEGIN, "n": number, "t": "\ud800\0"}
            )
        keys = [node.key for node in spool.nodes("g3")][::-1]
        first, again = (list(spool.payloads("g3", keys)) for _ in range(2))
        assert first == again
        assert [one["n"] for one in first] == [number for number in range(5000) if number % 7 == 3][::-1]
        assert first[0]["at"] == BEGIN
        assert first[0]["t"] == "\ud800\0"


def test_a_key_that_comes_twice_gives_its_first_payload_and_the_other_besides(folder: Path) -> None:
    with Spool() as spool:
        spool.add("g", "k", None, None, "first")
        spool.add("h", "k", None, None, "in another group")
        spool.add("g", "k", None, None, "second")
        assert list(spool.payloads("g", ["k"])) == ["first"]
        assert list(spool.repeated("g")) == [("k", "second")]
        assert list(spool.repeated("h")) == []
        assert tree(spool.nodes("g")).repeated == ["k"]


def test_keys_of_any_text_come_back(folder: Path) -> None:
    keys = ["", "\0", "\ud800", "🐺", "a" * 10_000]
    with Spool() as spool:
        for key in keys:
            spool.add(key, key, key, None, key)
        assert list(spool.groups()) == keys
        assert [next(spool.payloads(key, [key])) for key in keys] == keys
        assert [node.parent for key in keys for node in spool.nodes(key)] == keys


def test_records_can_be_added_after_reading(folder: Path) -> None:
    with Spool() as spool:
        spool.add("g", "1", None, None, 1)
        assert list(spool.groups()) == ["g"]
        spool.add("g", "2", "1", None, 2)
        assert list(spool.payloads("g", ["2", "1"])) == [2, 1]


def test_groups_are_gone_through_while_others_are_read(folder: Path) -> None:
    with Spool() as spool:
        for number in range(300):
            spool.add(str(number % 100), str(number), None, number, number)
        found = [
            sum(spool.payloads(group, [node.key for node in spool.nodes(group)])) for group in spool.groups()
        ]
        assert found == [number * 3 + 300 for number in range(100)]


def test_nobody_else_can_look_into_it_and_it_is_gone_afterwards(folder: Path) -> None:
    with Spool() as spool:
        spool.add("g", "k", None, None, "secret")
        (made,) = folder.iterdir()
        assert stat.S_IMODE(made.stat().st_mode) == 0o700
    assert list(folder.iterdir()) == []
    with pytest.raises(ZeroDivisionError), Spool():
        _ = 1 / 0
    assert list(folder.iterdir()) == []


def test_a_disk_that_is_full_is_an_error_that_says_what_to_do(folder: Path) -> None:
    with Spool() as spool:
        spool._db.execute("PRAGMA max_page_count = 20")
        with pytest.raises(wilk.BackendError, match="make room there, or set TMPDIR"):
            for number in range(100_000):
                spool.add("g", str(number), None, None, "wolf" * 100)
    assert list(folder.iterdir()) == []


@pytest.mark.slow
def test_many_records_take_little_memory(folder: Path) -> None:
    order = list(range(4_000))
    random.Random(7).shuffle(order)
    payload: dict[str, Any] = {"text": "wolf " * 20, "at": BEGIN}
    with Spool() as spool:
        tracemalloc.start()
        try:
            for step in range(50):
                for group in order:
                    spool.add(f"c{group}", f"m{step}", f"m{step - 1}" if step else None, step, payload)
            total = 0
            for number, group in enumerate(spool.groups()):
                if number % 100 == 0:
                    found = tree(spool.nodes(group))
                    total += sum(1 for _ in spool.payloads(group, found.order))
            peak = tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()
    assert total == 40 * 50
    assert peak < 16 * 2**20
