"""A database with something in every corner, ways to damage it, and what of it must come back."""

from __future__ import annotations

import random
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import wilk
from wilk.care.recovering.image import Image
from wilk.care.recovering.layouts import layouts, quoted
from wilk.care.recovering.pages import Unread, cell, parse

PAGE = 4096
NOW = 1_790_000_000_000_000

Rows = dict[str, dict[int, tuple[Any, ...]]]

LEFT_OUT = ("passages", "indexed_kinds", "pending_vectors")


def build(file: Path, *, sessions: int = 14, messages: int = 40) -> None:
    """A store with conversations, long texts, memories and vectors, and free pages full of removed rows."""
    rng = random.Random(7)
    with wilk.open_store(f"sqlite:///{file}") as store:
        users = [store.users.save(name=f"Person {n}").id for n in range(6)]
        group = store.groups.save(name="Everybody").id
        store.groups.add(group, users[0])
        made = []
        for n in range(sessions):
            session = store.sessions.create(name=f"Conversation {n}", user=users[n % 6])
            made.append(session.id)
            with store.transaction():
                for m in range(messages):
                    words = rng.randint(400, 3000) if m % 10 == 3 else rng.randint(1, 60)
                    text = f"Sentence {m} of {n}: " + " ".join(rng.choices(WORDS, k=words))
                    store.messages.append(session.id, role="user", text=text, metadata={"n": m})
                store.pins.add(session.id, f"Never forget {n}")
        with store.transaction():
            for n in range(150):
                store._engine.execute(
                    "INSERT INTO memories (id, kind, content, importance, confidence, tokens, iteration, metadata, "
                    "created_at, updated_at) VALUES (?, 'note', ?, 0.5, 1.0, 4, 0, ?, ?, ?)",
                    (
                        store._engine.clock.new_id(),
                        f"Something remembered, {n}",
                        f'{{"place":{n}}}',
                        NOW + n,
                        NOW,
                    ),
                )
                store.facts.add(f"thing {n}", "is", {"number": n})
        store.settle()
    with closing(sqlite3.connect(file)) as connection, connection:
        # What is removed by SQL leaves its pages behind as they were, full of rows.
        for session in made[2:5]:
            connection.execute("DELETE FROM messages WHERE session_id = ?", (session,))
            connection.execute(
                "UPDATE sessions SET token_count = 0, message_count = (SELECT count(*) FROM archive "
                "WHERE session_id = sessions.id AND kind = 'message') WHERE id = ?",
                (session,),
            )
        connection.execute("DELETE FROM memories WHERE pk % 10 < 4 OR pk BETWEEN 60 AND 120")
    with closing(sqlite3.connect(file)) as connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
        ((free,),) = connection.execute("PRAGMA freelist_count")
        assert free > 20
    for name in ("-wal", "-shm", ".lock"):
        file.with_name(file.name + name).unlink(missing_ok=True)


WORDS = [
    "river",
    "stone",
    "lantern",
    "über",
    "kitchen",
    "東京",
    "quiet",
    "borrowed",
    "ladder",
    "seven",
    "🙂",
    "salt",
]


def rows_of(file: Path) -> Rows:
    """Every row of a sound database, by table and number."""
    found: Rows = {}
    with closing(sqlite3.connect(f"{file.as_uri()}?mode=ro", uri=True)) as connection:
        for name in _tables(connection):
            found[name] = {
                row[0]: tuple(row[1:]) for row in connection.execute(f"SELECT rowid, * FROM {quoted(name)}")
            }
    return found


def _tables(connection: sqlite3.Connection) -> list[str]:
    rows = connection.execute("SELECT name, sql FROM sqlite_master WHERE type = 'table'").fetchall()
    return [
        name
        for name, sql in rows
        if not name.startswith("sqlite_")
        and "_fts" not in name
        and name not in LEFT_OUT
        and not name.endswith("_migrations")
    ]


def places(file: Path) -> dict[str, dict[int, set[int]]]:
    """The pages that each row of a sound database lies on, found from SQLite's own list of pages."""
    found: dict[str, dict[int, set[int]]] = {}
    image = Image(file)
    with closing(sqlite3.connect(f"{file.as_uri()}?mode=ro", uri=True)) as connection:
        for name in _tables(connection):
            mine = found[name] = {}
            pages = connection.execute(
                "SELECT pageno FROM dbstat WHERE name = ? AND pagetype = 'leaf' AND aggregate = FALSE",
                (name,),
            )
            for (number,) in pages.fetchall():
                page = parse(image, number)
                assert page is not None
                for place in page.cells:
                    try:
                        one = cell(image, page, place)
                    except Unread:
                        raise AssertionError(f"page {number} of {name}") from None
                    chain, following = {number}, one.overflow
                    while following:
                        chain.add(following)
                        data = image.page(following)
                        assert data is not None
                        following = int.from_bytes(data[:4], "big")
                    mine[one.rowid] = chain
    image.close()
    return found


def pages_of(file: Path, condition: str = "1") -> list[int]:
    """Page numbers of a sound database by a condition on ``dbstat``."""
    with closing(sqlite3.connect(f"{file.as_uri()}?mode=ro", uri=True)) as connection:
        return [
            number
            for (number,) in connection.execute(
                f"SELECT pageno FROM dbstat WHERE aggregate = FALSE AND {condition} ORDER BY pageno"
            )
        ]


def free_pages(file: Path) -> list[int]:
    """The pages that no table and no index has."""
    used = set(pages_of(file))
    return [number for number in range(1, file.stat().st_size // PAGE + 1) if number not in used]


def overwrite(file: Path, pages: Any, rng: random.Random, how: str = "random", size: int = PAGE) -> None:
    """Put random bytes, nothing, or another page of the file in the place of pages."""
    data = bytearray(file.read_bytes())
    for number in pages:
        start = (number - 1) * size
        if how == "random":
            new = rng.randbytes(size)
        elif how == "zero":
            new = bytes(size)
        else:
            other = rng.randrange(1, len(data) // size)
            new = bytes(data[other * size : (other + 1) * size])
        data[start : start + size] = new
    file.write_bytes(data)


def columns(file: Path) -> dict[str, list[str]]:
    """The columns of each table."""
    with closing(sqlite3.connect(f"{file.as_uri()}?mode=ro", uri=True)) as connection:
        sql = [row[0] for row in connection.execute("SELECT sql FROM sqlite_master WHERE type = 'table'")]
    return {name: [one.name for one in layout.columns] for name, layout in layouts(sql, {}).items()}
