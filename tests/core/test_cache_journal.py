"""What changed in a cache while its tier was away is known to the next process, whatever became of this."""

from __future__ import annotations

from pathlib import Path

import pytest

from wilk.caches import journal
from wilk.caches.journal import Journal


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "away" / "x.changes"


def test_another_process_finds_what_this_one_noted(file: Path) -> None:
    one = Journal(file)
    for change in (["key"], ["ü \0"], ["p:", None], [None, "tag"], ["key"]):
        one.add(change)
    assert Journal(file).take() == [["key"], ["ü \0"], ["p:", None], [None, "tag"]]


def test_what_was_taken_is_there_until_it_is_done(file: Path) -> None:
    Journal(file).add(["key"])
    assert Journal(file).take() == [["key"]]
    second = Journal(file)
    assert second.take() == [["key"]]
    second.done()
    assert Journal(file).take() == []


def test_what_is_noted_meanwhile_waits_for_the_next_time(file: Path) -> None:
    one = Journal(file)
    one.add(["first"])
    assert one.take() == [["first"]]
    one.add(["second"])
    one.add(["first"])
    one.done()
    assert bool(one)
    assert one.take() == [["second"], ["first"]]


def test_of_very_many_there_is_left_that_all_changed(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(journal, "_MOST", 10)
    one = Journal(file)
    for number in range(11):
        one.add([str(number)])
    assert one.take() == [[None, None]]


def test_a_line_that_was_cut_off_and_other_text_are_passed_over(file: Path) -> None:
    Journal(file).add(["key"])
    with file.open("ab") as more:
        more.write(b'[1]\n{"a": 1}\n[null]\n["a","b","c"]\n\xff\n["cut o')
    assert Journal(file).take() == [["key"]]


def test_without_a_file_it_is_kept_in_memory() -> None:
    one = Journal(None)
    one.add(["key"])
    assert one.take() == [["key"]]
    one.done()
    assert not one
