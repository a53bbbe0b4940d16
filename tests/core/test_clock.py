"""Ids and times: exact, ordered, unique."""

from __future__ import annotations

import random
import uuid
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta, timezone
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wilk import Clock, clock

pytestmark = pytest.mark.storeless

offsets = st.integers(-(23 * 60 + 59), 23 * 60 + 59).map(lambda minutes: timezone(timedelta(minutes=minutes)))
moments = st.datetimes(datetime(2, 1, 1), datetime(9998, 1, 1), timezones=offsets)


@given(moment=moments)
def test_a_time_goes_to_microseconds_and_back_exactly(moment: datetime) -> None:
    back = clock.to_datetime(clock.to_microseconds(moment))
    assert (back, back.tzinfo) == (moment, UTC)


@given(microseconds=st.integers(-62_000_000_000_000_000, 253_000_000_000_000_000))
def test_microseconds_go_to_a_time_and_back_exactly(microseconds: int) -> None:
    assert clock.to_microseconds(clock.to_datetime(microseconds)) == microseconds


def test_a_time_without_a_zone_is_refused() -> None:
    with pytest.raises(ValueError, match="no time zone"):
        clock.to_microseconds(datetime(2026, 1, 1))


def test_now_is_the_time() -> None:
    before = datetime.now(UTC)
    assert (
        before - timedelta(seconds=1)
        <= clock.to_datetime(Clock().now())
        <= datetime.now(UTC) + timedelta(seconds=1)
    )


@given(microseconds=st.integers(0, 2**48 * 1000 - 1))
def test_an_id_is_a_uuid_of_version_7_and_holds_its_millisecond(microseconds: int) -> None:
    text = Clock(lambda: microseconds).new_id()
    id = uuid.UUID(text)
    assert (str(id), id.version, id.variant) == (text, 7, uuid.RFC_4122)
    assert id.int >> 80 == microseconds // 1000


@pytest.mark.parametrize("step", [1, 0, -1], ids=["goes", "stands", "goes back"])
def test_ids_of_one_clock_increase_while_it(step: int, now: Any) -> None:
    ticking = Clock(now)
    ids = []
    for _ in range(20_000):  # more than the counter has places
        now.now += step
        ids.append(ticking.new_id())
    assert all(one < next for one, next in pairwise(ids))


def test_ids_of_threads_are_unique_and_increase_in_each(clock: Clock) -> None:
    def make(_: int) -> list[str]:
        return [clock.new_id() for _ in range(2000)]

    with ThreadPoolExecutor(8) as pool:
        made = list(pool.map(make, range(8)))
    assert len({id for ids in made for id in ids}) == 16_000
    assert all(ids == sorted(ids) for ids in made)


def test_ids_do_not_depend_on_the_programs_random_seed() -> None:
    made = set()
    for _ in range(2):
        random.seed(1)
        made.add(Clock(lambda: 0).new_id())
    assert len(made) == 2


def test_ids_leave_the_programs_random_sequence_alone() -> None:
    random.seed(1)
    expected = random.random()
    random.seed(1)
    Clock().new_id()
    assert random.random() == expected
