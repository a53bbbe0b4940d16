"""The SQL by which the page about PostgreSQL parts messages by their session keeps the store whole."""

import re
from pathlib import Path

import psycopg
import pytest

import wilk
from wilk import Conflict

PAGE = Path(__file__).parents[3] / "docs" / "postgres.md"


def the_sql() -> str:
    blocks = re.findall(r"```sql\n(.*?)```", PAGE.read_text(), re.DOTALL)
    (found,) = (block for block in blocks if "PARTITION" in block)
    return str(found)


@pytest.fixture
def parted(url: str) -> str:
    """A database with messages, parted afterwards."""
    with wilk.open_store(url) as store:
        for session in ("old", "older"):
            store.sessions.create(id=session)
            store.messages.extend(session, [{"role": "user", "text": f"a wolf, {n}"} for n in range(20)])
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(the_sql().encode())
    return url


def test_what_was_there_is_there(parted: str) -> None:
    with wilk.open_store(parted) as store:
        assert [m.text for m in store.messages.page("old")] == [f"a wolf, {n}" for n in range(20)]
        assert len(store.messages.search("wolf", limit=100)) == 40


def test_messages_lie_in_several_parts(parted: str) -> None:
    with wilk.open_store(parted) as store:
        for n in range(12):
            store.sessions.create(id=f"s{n}")
            store.messages.append(f"s{n}", "user", "a fox")
        parts = store._engine.execute("SELECT DISTINCT tableoid FROM messages")
        assert (len(parts), len(store.messages.search("fox"))) == (4, 12)


def test_sessions_go_on_leave_and_come_back(parted: str) -> None:
    with wilk.open_store(parted) as store:
        assert store.messages.append("old", "user", "again", key="k").sequence == 21
        assert store.messages.append("old", "user", "again", key="k").sequence == 21
        before = store.messages.page("old", limit=100)
        store.sessions.remove("old")
        assert len(store.messages.search("wolf", limit=100)) == 20
        store.archive.restore(session="old")
        assert store.messages.page("old", limit=100) == before
        assert store.messages.get(before[3].id) == before[3]


def test_an_id_is_unique_within_its_session_alone(parted: str) -> None:
    with wilk.open_store(parted) as store:
        store.messages.append("old", "user", id="mine")
        with pytest.raises(Conflict):
            store.messages.append("old", "user", id="mine")
        store.messages.append("older", "user", id="mine")
