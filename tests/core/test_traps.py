"""The traps in the seeds: each statement as it stood loses something, and wilk's verb does not.

The SQL is the seeds' own, on a real file. T8–T13 and T17–T21 belong to parts that are tested elsewhere.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.engines import ask

import wilk
from wilk.services.memory.importance import score

# The Wilk seed's tables.
WILK_AGENTS = """
CREATE TABLE agents (
    id TEXT PRIMARY KEY,
    name TEXT NOT NULL UNIQUE,
    description TEXT,
    category TEXT,
    version TEXT,
    is_installed BOOLEAN DEFAULT 1,
    install_path TEXT,
    created_at DATETIME DEFAULT CURRENT_TIMESTAMP,
    updated_at DATETIME DEFAULT CURRENT_TIMESTAMP
)"""
WILK_MESSAGES = """
CREATE TABLE messages (
    id TEXT PRIMARY KEY,
    session_id TEXT REFERENCES sessions(id),
    role TEXT CHECK (role IN ('user', 'assistant', 'system')),
    content TEXT,
    agent_id TEXT,
    tokens_used INTEGER DEFAULT 0,
    created_at DATETIME DEFAULT CURRENT_TIMESTAMP,
    metadata JSON
)"""
WILK_SAVE_AGENT = """
INSERT OR REPLACE INTO agents
(id, name, description, category, version, is_installed, install_path, updated_at)
VALUES (?, ?, ?, ?, ?, ?, ?, CURRENT_TIMESTAMP)"""
WILK_SAVE_MESSAGE = """
INSERT INTO messages (id, session_id, role, content, agent_id, tokens_used, metadata)
VALUES (?, ?, ?, ?, ?, ?, ?)"""
WILK_GET_MESSAGES = "SELECT * FROM messages WHERE session_id = ? ORDER BY created_at ASC"
# The Wilk seed writes a session so; the Kalito seed's table has the cascade.
KALITO_SAVE_SESSION = "INSERT OR REPLACE INTO sessions (id, name, model) VALUES (?, ?, ?)"

# The Kalito seed's tables.
KALITO_SESSIONS = """
CREATE TABLE sessions (
  id TEXT PRIMARY KEY,
  name TEXT,
  model TEXT,
  recap TEXT,
  persona_id TEXT,
  created_at TEXT,
  updated_at TEXT,
  saved INTEGER DEFAULT 0
)"""
KALITO_MESSAGES = """
CREATE TABLE messages (
  id INTEGER PRIMARY KEY AUTOINCREMENT,
  session_id TEXT NOT NULL,
  role TEXT,
  text TEXT,
  model_id TEXT,
  token_usage INTEGER,
  importance_score REAL DEFAULT 0.5,
  created_at TEXT,
  FOREIGN KEY (session_id) REFERENCES sessions(id) ON DELETE CASCADE
)"""
KALITO_SUMMARIES = """
CREATE TABLE conversation_summaries (
  id TEXT PRIMARY KEY,
  session_id TEXT NOT NULL,
  summary TEXT NOT NULL,
  message_count INTEGER NOT NULL,
  start_message_id TEXT,
  end_message_id TEXT,
  importance_score REAL DEFAULT 0.7,
  created_at TEXT DEFAULT CURRENT_TIMESTAMP,
  FOREIGN KEY (session_id) REFERENCES sessions(id) ON DELETE CASCADE
)"""
KALITO_PERSONAS = """
CREATE TABLE personas (
  id TEXT PRIMARY KEY,
  name TEXT NOT NULL,
  prompt TEXT NOT NULL,
  is_default INTEGER DEFAULT 0
)"""
KALITO_TRIGGER = """
CREATE TRIGGER trg_no_delete_default_persona
BEFORE DELETE ON personas
FOR EACH ROW
WHEN OLD.is_default = 1
BEGIN
  SELECT RAISE(ABORT, 'Cannot delete default persona');
END"""


@pytest.fixture
def seed(tmp_path: Path) -> Iterator[sqlite3.Connection]:
    """A SQLite file as a seed opens it."""
    with closing(sqlite3.connect(tmp_path / "seed.db", isolation_level=None)) as connection:
        connection.execute("PRAGMA foreign_keys = ON")
        yield connection


def count(connection: sqlite3.Connection, table: str) -> int:
    found: int = connection.execute(f"SELECT COUNT(*) FROM {table}").fetchone()[0]
    return found


class TestT1SavingASessionAgain:
    def test_deletes_its_messages_in_the_seed(self, seed: sqlite3.Connection) -> None:
        seed.execute(KALITO_SESSIONS)
        seed.execute(KALITO_MESSAGES)
        seed.execute(KALITO_SAVE_SESSION, ("s", "first name", "m"))
        seed.execute("INSERT INTO messages (session_id, role, text) VALUES ('s', 'user', 'hello')")
        seed.execute(KALITO_SAVE_SESSION, ("s", "second name", "m"))
        assert count(seed, "messages") == 0

    def test_keeps_its_messages_here(self, store: wilk.Store, session: str) -> None:
        store.messages.append(session, "user", "hello")
        store.sessions.save(session)
        store.sessions.update(session, name="second name")
        assert [message.text for message in store.messages.last(session)] == ["hello"]

    def test_a_user_saved_again_keeps_sessions_and_memberships(self, store: wilk.Store) -> None:
        store.users.save("u", name="Ada")
        store.groups.save("g", name="Team")
        store.groups.add("g", "u")
        mine = store.sessions.create(user="u", group="g").id
        store.users.save("u", name="Ada Lovelace")
        store.groups.save("g", name="The team")
        assert [one.id for one in store.sessions.list(user="u", group="g")] == [mine]
        assert [one.user_id for one in store.groups.members("g")] == ["u"]


class TestT2ANameThatIsTaken:
    def test_deletes_the_other_agent_in_the_seed(self, seed: sqlite3.Connection) -> None:
        seed.execute(WILK_AGENTS)
        seed.execute(WILK_SAVE_AGENT, ("a", "reviewer", None, None, None, 1, None))
        seed.execute(WILK_SAVE_AGENT, ("b", "reviewer", None, None, None, 1, None))
        assert seed.execute("SELECT id FROM agents").fetchall() == [("b",)]

    def test_is_a_conflict_here(self, store: wilk.Store) -> None:
        store.agents.save("a", {"name": "reviewer"})
        with pytest.raises(wilk.Conflict, match="reviewer"):
            store.agents.save("b", {"name": "reviewer"})
        assert [agent.id for agent in store.agents.list()] == ["a"]


class TestT3TheDefaultPersona:
    def test_is_replaced_past_the_delete_trigger_in_the_seed(self, seed: sqlite3.Connection) -> None:
        seed.execute(KALITO_PERSONAS)
        seed.execute(KALITO_TRIGGER)
        seed.execute("INSERT INTO personas (id, name, prompt, is_default) VALUES ('p', 'P', 'precious', 1)")
        with pytest.raises(sqlite3.IntegrityError):
            seed.execute("DELETE FROM personas WHERE id = 'p'")
        seed.execute("INSERT OR REPLACE INTO personas (id, name, prompt) VALUES ('p', 'Q', 'other')")
        assert seed.execute("SELECT prompt, is_default FROM personas").fetchall() == [("other", 0)]

    def test_is_protected_here(self, store: wilk.Store) -> None:
        store.personas.save("p", {"name": "P", "prompt": "precious", "category": "work", "default": True})
        with pytest.raises(wilk.Protected):
            store.personas.remove("p")
        assert store.personas.get("p").is_default

    def test_keeps_its_former_text_when_it_is_saved_again(self, store: wilk.Store) -> None:
        store.personas.save("p", {"name": "P", "prompt": "precious", "category": "work", "default": True})
        store.personas.save("p", {"name": "P", "prompt": "other", "category": "work", "default": True})
        kept = [revision.definition["prompt"] for revision in store.personas.history("p")]
        assert sorted(kept) == ["other", "precious"]


class TestT4TheSameSecond:
    def test_loses_the_order_in_the_seed(self, seed: sqlite3.Connection) -> None:
        seed.execute("CREATE TABLE sessions (id TEXT PRIMARY KEY)")
        seed.execute(WILK_MESSAGES)
        seed.execute("CREATE INDEX idx_messages_created ON messages(created_at)")
        seed.execute("INSERT INTO sessions VALUES ('s')")
        # Both lie in one second: the schema has nothing else to order them by, and SQLite is free to
        # give them by their key.
        seed.execute("BEGIN")
        for id in ("2", "1"):
            seed.execute(WILK_SAVE_MESSAGE, (id, "s", "user", f"text {id}", None, 0, "{}"))
        seed.execute("COMMIT")
        seed.execute("UPDATE messages SET created_at = '2026-01-01 00:00:00'")
        assert seed.execute("SELECT COUNT(DISTINCT created_at) FROM messages").fetchone() == (1,)
        ids = [row[0] for row in seed.execute(WILK_GET_MESSAGES + ", id ASC", ("s",))]
        assert ids == ["1", "2"]

    def test_keeps_the_order_here_while_the_clock_stands(self, timed: wilk.Store) -> None:
        session = timed.sessions.create().id
        texts = [f"text {number}" for number in range(30)]
        for text in texts:
            timed.messages.append(session, "user", text)
        assert [message.text for message in timed.messages.last(session)] == texts

    def test_keeps_the_order_here_when_the_clock_goes_back(self, timed: wilk.Store, now: Any) -> None:
        session = timed.sessions.create().id
        for number in range(10):
            timed.messages.append(session, "user", str(number))
            now.pass_by(seconds=-60)
        found = timed.messages.page(session)
        assert [message.text for message in found] == [str(number) for number in range(10)]
        assert [message.id for message in found] == sorted(message.id for message in found)

    def test_keeps_the_order_here_whatever_created_at_says(self, store: wilk.Store, session: str) -> None:
        day = datetime(2020, 1, 1, tzinfo=UTC)
        for number in range(5):
            store.messages.append(session, "user", str(number), created_at=day - timedelta(days=number))
        assert [message.text for message in store.messages.last(session)] == list("01234")


class TestT5RangesOfMessages:
    def test_over_text_ids_miss_most_in_the_seed(self, seed: sqlite3.Connection) -> None:
        seed.execute(KALITO_SESSIONS)
        seed.execute(KALITO_MESSAGES)
        seed.execute(KALITO_SUMMARIES)
        seed.execute("INSERT INTO sessions (id) VALUES ('s')")
        for number in range(1, 13):
            seed.execute(
                "INSERT INTO messages (session_id, role, text) VALUES ('s', 'user', ?)", (str(number),)
            )
        seed.execute("INSERT INTO conversation_summaries VALUES ('c', 's', 'sum', 9, '2', '10', 0.7, NULL)")
        covered = seed.execute(
            "SELECT COUNT(*) FROM messages JOIN conversation_summaries AS c USING (session_id) "
            "WHERE CAST(messages.id AS TEXT) BETWEEN c.start_message_id AND c.end_message_id"
        ).fetchone()
        assert covered == (0,), "of the nine messages from 2 to 10"

    def test_over_the_sequence_hold_all_here(self, store: wilk.Store, session: str) -> None:
        store.messages.extend(session, [{"role": "user", "text": str(number)} for number in range(1, 13)])
        found = store.messages.page(session, after=1, limit=9)
        assert [message.text for message in found] == [str(number) for number in range(2, 11)]


class TestT6TheLastMessages:
    def test_are_the_oldest_in_the_seed(self, seed: sqlite3.Connection) -> None:
        seed.execute("CREATE TABLE sessions (id TEXT PRIMARY KEY)")
        seed.execute(WILK_MESSAGES)
        seed.execute("INSERT INTO sessions VALUES ('s')")
        for number in range(5):
            seed.execute(WILK_SAVE_MESSAGE, (str(number), "s", "user", str(number), None, 0, "{}"))
            seed.execute(
                "UPDATE messages SET created_at = ? WHERE id = ?", (f"2026-01-0{number + 1}", number)
            )
        rows = seed.execute(WILK_GET_MESSAGES + " LIMIT ?", ("s", 2)).fetchall()
        assert [row[3] for row in rows] == ["0", "1"]

    def test_are_the_newest_here_in_reading_order(self, store: wilk.Store, session: str) -> None:
        for number in range(5):
            store.messages.append(session, "user", str(number))
        assert [message.text for message in store.messages.last(session, 2)] == ["3", "4"]


class TestT7Roles:
    @pytest.mark.parametrize("role", ["tool", "developer", "critic"])
    def test_beyond_three_are_refused_by_the_seed(self, seed: sqlite3.Connection, role: str) -> None:
        seed.execute("CREATE TABLE sessions (id TEXT PRIMARY KEY)")
        seed.execute(WILK_MESSAGES)
        seed.execute("INSERT INTO sessions VALUES ('s')")
        with pytest.raises(sqlite3.IntegrityError, match="CHECK"):
            seed.execute(WILK_SAVE_MESSAGE, ("1", "s", role, "text", None, 0, "{}"))

    @given(
        role=st.text(
            st.characters(exclude_categories=["Cs"], exclude_characters="\0"), min_size=1, max_size=64
        )
    )
    def test_of_any_name_are_kept_here(self, store: wilk.Store, role: str) -> None:
        session = store.sessions.create().id
        message = store.messages.append(session, role, "text")
        assert store.messages.get(message.id).role == role


class TestT14RemovingASession:
    def test_takes_its_messages_with_it_in_the_seed(self, seed: sqlite3.Connection) -> None:
        seed.execute(KALITO_SESSIONS)
        seed.execute(KALITO_MESSAGES)
        seed.execute(KALITO_SUMMARIES)
        seed.execute("INSERT INTO sessions (id) VALUES ('s')")
        seed.execute("INSERT INTO messages (session_id, role, text) VALUES ('s', 'user', 'hello')")
        seed.execute("DELETE FROM sessions WHERE id = 's'")
        assert count(seed, "messages") == 0

    def test_archives_every_row_here(self, store: wilk.Store, session: str) -> None:
        asked = store.messages.append(session, "user", "hello", metadata={"a": [1]})
        call = store.tool_calls.start(session, "search", {"q": 1}, message=asked.id)
        store.sessions.remove(session, reason="tidied")
        kept = {(entry.kind, entry.record_id) for entry in store.archive.list(session=session)}
        assert kept == {("message", asked.id), ("tool_call", call.id), ("session", session)}
        (entry,) = store.archive.list(kind="session")
        assert (entry.record_id, entry.reason) == (session, "tidied")

    def test_archives_more_messages_than_one_batch_here(self, store: wilk.Store, session: str) -> None:
        store.messages.extend(session, [{"role": "user", "text": str(number)} for number in range(1203)])
        store.sessions.remove(session)
        kept = store.archive.list(kind="message", limit=5000)
        assert sorted(int(entry.data["text"]) for entry in kept) == list(range(1203))

    def test_the_tables_refuse_a_delete_that_was_not_archived(self, store: wilk.Store, session: str) -> None:
        store.messages.append(session, "user", "hello")
        with pytest.raises(wilk.Conflict):
            ask(store, "DELETE FROM sessions WHERE id = ?", (session,))
        assert store.messages.count(session) == 1


class TestT15Importance:
    def test_has_two_defaults_in_the_seed(self, seed: sqlite3.Connection) -> None:
        seed.execute(KALITO_SESSIONS)
        seed.execute(KALITO_MESSAGES)
        seed.execute("INSERT INTO sessions (id) VALUES ('s')")
        seed.execute("INSERT INTO messages (session_id, role, text) VALUES ('s', 'user', 'hello')")
        table = {"user": 0.6, "assistant": 0.5}  # "Importance Scoring Guidelines"
        assert seed.execute("SELECT importance_score FROM messages").fetchone()[0] != table["user"]

    @pytest.mark.parametrize(
        ("role", "text", "importance"),
        [
            ("user", "hello", 0.6),
            ("user", "What is this?", 0.8),
            ("user", "```python\npass\n```", 0.7),
            ("user", "Why does this fail?\n```python\npass\n```", 0.9),
            ("assistant", "hello", 0.5),
            ("assistant", "This is fixed now.", 0.8),
            ("assistant", "It fails because of the lock.", 0.7),
            ("assistant", "It is fixed, because the lock is gone.", 1.0),
            ("system", "What is this?", 0.5),
            ("tool", "fixed because", 0.5),
            ("critic", "hello", 0.5),
        ],
    )
    def test_is_what_the_table_says_here(
        self, store: wilk.Store, session: str, role: str, text: str, importance: float
    ) -> None:
        assert store.messages.append(session, role, text).importance == importance

    @given(st.text(), st.sampled_from(["user", "assistant", "system"]))
    def test_lies_between_0_and_1_for_any_text(self, role: str, text: str) -> None:
        assert 0.0 <= score(role, text) <= 1.0

    @pytest.mark.parametrize("importance", [-0.1, 1.1, float("nan"), True, "0.5"])
    def test_given_out_of_range_is_refused_with_the_range(
        self, store: wilk.Store, session: str, importance: float
    ) -> None:
        with pytest.raises(wilk.Invalid, match=r"importance .*0\.0 to 1\.0"):
            store.messages.append(session, "user", "hello", importance=importance)
