"""Sessions that the OpenAI Agents SDK keeps in SQLite, whatever their tables are called.

A message is one item of the Responses API. The advanced sessions' branches become branches here.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from wilk.contracts import Incoming, IncomingMessage, IncomingSession
from wilk.transfer.importers import openai_items as items
from wilk.transfer.reading.columns import Again, Values
from wilk.transfer.reading.tables import Groups, Row, Tables, chosen, opened, recognized, rest

if TYPE_CHECKING:
    from wilk.contracts import Reading
    from wilk.transfer.reading.sources import Source

_MESSAGES = ("id", "session_id", "message_data")
_SESSIONS = ("session_id", "created_at", "updated_at")
_STRUCTURE = ("session_id", "message_id", "branch_id", "sequence_number")
_USAGE = ("session_id", "branch_id", "user_turn_number", "total_tokens")
_NEAR = 100
"""How many items behind a call its output is looked for."""
_ADVANCED = ("message_structure", "turn_usage", "branch_reservations", "session_clear_generations")


def recognize(source: Source) -> str | None:
    """Tell sessions of the SDK by the columns of their tables."""
    return recognized(source, _fits, lambda tables: f"sessions of the OpenAI Agents SDK in {_named(tables)}")


def read(source: Source, reading: Reading) -> Iterator[Incoming]:
    """Yield each session with its items, in the order in which they were added."""
    wanted = "a database with messages (session_id, message_data) and sessions of the OpenAI Agents SDK is"
    for file in chosen(source, _fits, wanted):
        with opened(source, file) as tables:
            pairs = _pairs(tables)
            reading_of = {name for pair in pairs for name in pair}
            tables.tell_others(reading, {*reading_of, *_ADVANCED})
            values = Values(reading)
            for sessions, messages in pairs:
                prefix = "" if len(pairs) == 1 or messages == "agent_messages" else f"{messages}/"
                yield from _Sessions(tables, sessions, messages, prefix, values).records()


def _fits(tables: Tables) -> bool:
    return bool(_pairs(tables))


def _named(tables: Tables) -> str:
    return ", ".join(messages for _, messages in _pairs(tables))


def _pairs(tables: Tables) -> list[tuple[str, str]]:
    """Tables of sessions and of their messages. A table of messages names its sessions by a foreign key;
    without one the only table of sessions is meant, or the one of a like name."""
    sessions = [name for name in tables.fitting(*_SESSIONS) if len(tables.columns[name]) == 3]
    found = []
    for messages in tables.fitting(*_MESSAGES):
        named = [name for name in tables.references(messages) if name in sessions]
        alike = sorted(sessions, key=lambda name: -_common(name, messages))
        if named or alike:
            found.append(((named or alike)[0], messages))
    return found


def _common(one: str, other: str) -> int:
    return next(
        (n for n, pair in enumerate(zip(one, other, strict=False)) if pair[0] != pair[1]),
        min(len(one), len(other)),
    )


class _Sessions:
    """Reads the sessions of one pair of tables."""

    def __init__(self, tables: Tables, sessions: str, messages: str, prefix: str, values: Values) -> None:
        self._tables = tables
        self._sessions = sessions
        self._table = messages
        self._prefix = prefix
        self._values = values
        self._messages = tables.grouped(messages, "session_id", "id")
        self._structure = self._beside("message_structure", _STRUCTURE, "branch_id, sequence_number, id")
        self._usage = self._beside("turn_usage", _USAGE, "branch_id, user_turn_number")

    def records(self) -> Iterator[Incoming]:
        """The sessions, the older first."""
        of, seen = self._tables.count(self._sessions), set()
        for done, row in enumerate(self._tables.rows(self._sessions, order="created_at, rowid"), 1):
            seen.add(row["session_id"])
            yield self._session(row)
            self._values.reading.at(done, of)
        for id in self._messages.values():
            if id not in seen and id is not None:
                self._values.reading.warn("messages whose session is gone got a session of their own")
                yield self._session({"session_id": id})

    def _beside(self, table: str, columns: tuple[str, ...], order: str) -> Groups | None:
        if not self._tables.has(table, *columns):
            return None
        # Several pairs may share one database; the structure belongs to the one that it refers to.
        named = self._tables.references(table)
        mine = {self._sessions, self._table}
        return self._tables.grouped(table, "session_id", order) if not named or mine & set(named) else None

    def _session(self, row: Row) -> IncomingSession:
        values, id = self._values, row["session_id"]
        tree = _Tree(self._structure.of(id)) if self._structure else None

        def made(values: Values) -> Iterator[IncomingMessage]:
            previous: Any = None
            gone: dict[Any, Any] = {}
            for item in self._in_order(id, tree):
                number = item["id"]
                parent = previous if tree is None or number not in tree.parents else tree.parents[number]
                while parent in gone:
                    parent = gone[parent]
                message = items.message(item, self._key(id, number), values, self._answer)
                if message is None:
                    gone[number] = parent
                    continue
                yield items.behind(message, None if parent is None else self._key(id, parent))
                previous = number

        usage = [rest(one, "id", "session_id") for one in self._usage.of(id)] if self._usage else []
        return IncomingSession(
            # Names of sessions are the program's own, and those of two databases may be alike.
            key=f"{self._prefix}{id}" + (f"@{row['created_at']}" if row.get("created_at") else ""),
            id=f"{self._prefix}{id}",
            messages=Again(values, made),
            leaf=None if tree is None or tree.leaf is None else self._key(id, tree.leaf),
            metadata={
                "openai-agents": {
                    "timezone": values.zone,
                    **rest(row, "session_id", "created_at", "updated_at"),
                    **({"turn_usage": usage} if usage else {}),
                    **({"branches": tree.branches} if tree and len(tree.branches) > 1 else {}),
                }
            },
            created_at=values.time(row.get("created_at"), f"{self._sessions}.created_at"),
            updated_at=values.time(row.get("updated_at"), f"{self._sessions}.updated_at"),
        )

    def _answer(self, row: Row, call: str) -> Any:
        """The output of a call, which is among the items behind it; None when it is not."""
        rows = self._tables.rows(
            self._table,
            where="session_id = ? AND id > ?",
            given=(row["session_id"], row["id"]),
            order=f"id LIMIT {_NEAR}",
        )
        for later in rows:
            if (output := items.output_of(later, call)) is not None:
                return output
        return None

    def _in_order(self, id: Any, tree: _Tree | None) -> Iterator[Row]:
        """Items by their ids; with branches, parents first."""
        if tree is None or tree.in_order:
            yield from self._messages.of(id)
            return
        rows = {row["id"]: row for row in self._messages.of(id)}
        for number in [*tree.parents, *(one for one in rows if one not in tree.parents)]:
            if number in rows:
                yield rows[number]

    def _key(self, session: Any, item: Any) -> str:
        return f"{self._prefix}{session}:{item}"


class _Tree:
    """The branches of one session as a tree: what the branches share is there once."""

    def __init__(self, rows: Iterator[Row]) -> None:
        self.parents: dict[Any, Any] = {}
        self.branches: dict[str, list[Any]] = {}
        for row in rows:
            self.branches.setdefault(str(row["branch_id"]), []).append(row["message_id"])
        main = self.branches.get("main") or next(iter(self.branches.values()), [])
        for branch in [main, *(one for one in self.branches.values() if one is not main)]:
            previous = None
            for id in branch:
                self.parents.setdefault(id, previous)
                previous = id
        self.leaf = main[-1] if main else None
        self.branches = {name: [found[0], found[-1]] for name, found in self.branches.items()}
        self.in_order = all(
            parent is None or (type(parent) is type(id) and parent < id)
            for id, parent in self.parents.items()
        )
