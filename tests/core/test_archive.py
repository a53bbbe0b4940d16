"""The archive as it is read: lists, pages, single entries, counts."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import pytest

import wilk
from wilk.clock import to_datetime
from wilk.services.keeping.kinds import KINDS

from .everything import fill, keys


@pytest.fixture
def removed(timed: wilk.Store, now: Any) -> wilk.Store:
    """A store from which two users and a session went, a day apart."""
    for name in ("ann", "bob"):
        timed.users.save(name, name=name.title())
        timed.users.remove(name, reason="left")
        now.pass_by(days=1)
    timed.sessions.create(id="talk")
    timed.messages.append("talk", "user", "hello", interaction="i", key="k", tokens=1)
    timed.sessions.remove("talk")
    return timed


@pytest.mark.parametrize(
    ("options", "found"),
    [
        ({}, ["talk", "MESSAGE", "bob", "ann"]),
        ({"kind": "user"}, ["bob", "ann"]),
        ({"reason": "removed"}, ["talk", "MESSAGE"]),
        ({"session": "talk"}, ["talk", "MESSAGE"]),
        ({"record": "ann"}, ["ann"]),
        ({"interaction": "i"}, ["MESSAGE"]),
        ({"kind": "user", "limit": 1}, ["bob"]),
        ({"after": 2}, ["ann"]),
        ({"restored": True}, []),
        ({"limit": 0}, []),
    ],
)
def test_a_list_holds_what_was_asked_for(removed: wilk.Store, options: Any, found: list[str]) -> None:
    listed = [
        entry.record_id if entry.kind != "message" else "MESSAGE" for entry in removed.archive.list(**options)
    ]
    assert listed == found


def test_a_list_by_time_takes_what_left_since_and_before(removed: wilk.Store) -> None:
    bob = removed.archive.get(2).archived_at
    assert [entry.record_id for entry in removed.archive.list(since=bob, kind="user")] == ["bob"]
    assert [entry.record_id for entry in removed.archive.list(before=bob)] == ["ann"]


@pytest.mark.parametrize("value", [datetime(2026, 1, 1), "2026-01-01", 5])
def test_a_time_without_a_zone_is_refused(store: wilk.Store, value: Any) -> None:
    with pytest.raises(wilk.Invalid, match="since"):
        store.archive.list(since=value)


def test_a_count_takes_the_same_options(removed: wilk.Store) -> None:
    assert (
        removed.archive.count(),
        removed.archive.count(kind="user"),
        removed.archive.count(session="x"),
    ) == (4, 2, 0)


def test_pages_hold_every_entry_once(store: wilk.Store) -> None:
    fill(store)
    store._archiver.remove("session", KINDS["session"].model()._meta.primary_key.is_null(False), reason="x")
    found: list[int] = []
    while page := store.archive.list(limit=7, after=found[-1] if found else None):
        found += [entry.id for entry in page]
    assert found == list(range(store.archive.count(), 0, -1))


def test_an_entry_holds_the_row_and_what_is_known_of_it(removed: wilk.Store) -> None:
    (entry,) = removed.archive.list(kind="message")
    assert entry.data["text"] == "hello"
    assert (entry.session_id, entry.interaction_id, entry.position) == ("talk", "i", 1)
    assert to_datetime(entry.data["created_at"]) == entry.archived_at
    assert entry.batch == removed.archive.list(kind="session")[0].batch
    assert (entry.size or 0) > 100
    assert removed.archive.get(entry.id) == entry


def test_an_entry_that_is_not_there(store: wilk.Store) -> None:
    with pytest.raises(wilk.NotFound, match="no archive entry '7'"):
        store.archive.get(7)


def test_statistics_count_by_reason_and_kind_what_is_not_restored(removed: wilk.Store) -> None:
    removed.archive.restore(kind="user", record="ann")
    found = removed.archive.statistics()
    assert [one[:3] for one in found] == [
        ("left", "user", 1),
        ("removed", "message", 1),
        ("removed", "session", 1),
    ]
    assert [one.size for one in found] == [
        removed.archive.list(kind=kind)[0].size for kind in ("user", "message", "session")
    ]


def test_working_memory_of_a_session_is_listed_with_it(store: wilk.Store) -> None:
    fill(store)
    store.sessions.remove("session-0")
    assert store.archive.count(session="session-0", kind="block") == 1


@pytest.mark.parametrize("name", sorted(KINDS))
def test_the_id_of_an_entry_is_that_of_the_record(store: wilk.Store, name: str) -> None:
    fill(store)
    wanted = {"/".join(map(str, key)) for key in keys(store, name)}
    if name in ("user", "group"):
        store._archiver.remove(
            "session", KINDS["session"].model()._meta.primary_key.is_null(False), reason="x"
        )
    column = getattr(KINDS[name].model(), KINDS[name].created)
    store._archiver.remove(name, column.is_null(False), reason="x")
    assert {entry.record_id for entry in store.archive.list(kind=name)} == wanted


@pytest.mark.parametrize("reason", ["", " ", None, 5])
def test_a_removal_needs_a_reason(store: wilk.Store, session: str, reason: Any) -> None:
    with pytest.raises(wilk.Invalid, match="say why"):
        store.sessions.remove(session, reason=reason)


def test_the_archiver_reads_rows_in_the_order_that_was_asked_for(removed: wilk.Store) -> None:
    pairs = removed._engine.execute("SELECT data, place FROM archive ORDER BY pk DESC")
    rows = removed._archiver.read([*pairs, (None, None)])
    assert [row.get("id") if "role" not in row else row["role"] for row in rows] == [
        "talk",
        "user",
        "bob",
        "ann",
        None,
    ]
