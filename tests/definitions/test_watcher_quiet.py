"""When pending changes may be taken; times are given, nothing waits."""

from __future__ import annotations

import pytest

from wilk.definitions.quiet import BOUND, CONFIRM, CROWD, CROWD_PATIENCE, Pending

QUIET = 0.05


@pytest.fixture
def pending() -> Pending:
    return Pending(QUIET)


def test_nothing_is_due_when_nothing_changed(pending: Pending) -> None:
    assert not pending
    assert pending.due() is None


def test_a_change_is_due_after_the_quiet_time(pending: Pending) -> None:
    pending.add("a", 10.0)
    assert pending.due() == 10.0 + QUIET


def test_another_change_begins_the_quiet_time_anew(pending: Pending) -> None:
    pending.add("a", 10.0)
    pending.add("b", 10.04)
    assert pending.due() == 10.04 + QUIET


def test_changes_without_end_are_due_at_the_bound(pending: Pending) -> None:
    for step in range(100):
        pending.add("a", 10.0 + step * 0.04)
    assert pending.due() == 10.0 + BOUND


def test_a_file_that_is_being_written_is_waited_for(pending: Pending) -> None:
    pending.add("a", 10.0, writing=True)
    pending.add("b", 10.0)
    assert pending.due() == 10.0 + BOUND


def test_a_file_that_was_closed_is_due_after_the_quiet_time(pending: Pending) -> None:
    pending.add("a", 10.0, writing=True)
    pending.add("a", 10.3, writing=False)
    assert pending.due() == 10.3 + QUIET


def test_a_signal_that_does_not_tell_leaves_a_file_being_written(pending: Pending) -> None:
    pending.add("a", 10.0, writing=True)
    pending.add("a", 10.1)
    assert pending.due() == 10.0 + BOUND


def test_a_crowd_must_be_quiet_for_longer(pending: Pending) -> None:
    for number in range(CROWD + 1):
        pending.add(str(number), 10.0)
    assert pending.due() == 10.0 + QUIET * CROWD_PATIENCE


def test_a_crowd_without_end_may_wait_for_longer_too(pending: Pending) -> None:
    for number in range(1000):
        pending.add(str(number), 10.0 + number * 0.1)
    assert pending.due() == 10.0 + BOUND * CROWD_PATIENCE


def test_a_batch_holds_all_changes_and_leaves_none(pending: Pending) -> None:
    pending.add("a", 10.0)
    pending.add("b", 10.0)
    assert pending.take(10.1).paths == {"a", "b"}
    assert not pending


def test_a_batch_that_is_held_comes_back_confirmed(pending: Pending) -> None:
    pending.add("a", 10.0)
    batch = pending.take(10.05)
    assert not batch.confirmed
    pending.hold(batch, 10.05)
    assert pending.due() == 10.05 + CONFIRM
    assert pending.take(10.15).confirmed


def test_a_change_while_a_batch_is_held_asks_for_another_look(pending: Pending) -> None:
    pending.add("a", 10.0)
    pending.hold(pending.take(10.05), 10.05)
    pending.add("a", 10.1)
    assert pending.due() == 10.1 + QUIET
    assert not pending.take(10.15).confirmed


def test_at_the_bound_a_batch_needs_no_second_look(pending: Pending) -> None:
    pending.add("a", 10.0)
    for step in range(1, 100):
        pending.hold(pending.take(10.0), 10.0 + step * 0.03)
        pending.add("a", 10.0 + step * 0.03)
    assert pending.take(10.0 + BOUND).confirmed


def test_a_failed_batch_is_due_at_its_time_with_what_came_since(pending: Pending) -> None:
    pending.add("a", 10.0)
    pending.retry(pending.take(10.05), 17.0)
    pending.add("b", 11.0)
    assert pending.due() == 17.0
    assert pending.take(17.0).paths == {"a", "b"}


def test_everything_stays_everything_beside_paths(pending: Pending) -> None:
    pending.add_everything(10.0)
    pending.add("a", 10.0)
    assert pending.take(11.0).everything
