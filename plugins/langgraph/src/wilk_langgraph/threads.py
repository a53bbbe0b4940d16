"""Threads of LangGraph as sessions: the messages of their newest checkpoints, or of all of them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any, NamedTuple

from wilk import IncomingMessage, IncomingSession, Reading
from wilk_langgraph.databases import WRITES, Database, Row
from wilk_langgraph.decoding import Decoder, Unreadable
from wilk_langgraph.messages import Said, incoming, is_removal, said

_CHANNEL = "messages"
_INTERNAL = ("__", "branch:")
_HEADS = "checkpoint_id, parent_checkpoint_id"
_OF_THREAD = "FROM checkpoints WHERE thread_id IS ? AND checkpoint_ns = ''"


class Found(NamedTuple):
    """A message of a checkpoint, whether it is gone by now, and when it was first seen."""

    value: Any
    removed: bool = False
    moment: datetime | None = None


class Node(NamedTuple):
    """A message in the tree of a thread."""

    said: Said
    parent: str | None
    removed: bool
    moment: datetime | None


class Checkpoint(NamedTuple):
    """A checkpoint that could be read: its state, when it was made, and how it came about."""

    id: str
    state: Mapping[str, Any]
    versions: Mapping[str, Any]
    made_at: str | None
    metadata: Any


class Threads:
    """Reads the threads of a database."""

    def __init__(self, database: Database, reading: Reading, *, history: bool) -> None:
        self._database = database
        self._reading = reading
        self._history = history
        self._decoder = Decoder(lambda: reading.lost("SecretStr"))

    def sessions(self) -> Iterator[IncomingSession]:
        """The threads, one after the other."""
        of = self._database.count("checkpoints")
        done = 0
        query = "SELECT thread_id, count(*) AS number, sum(checkpoint_ns <> '') AS inner FROM checkpoints"
        for row in list(self._database.rows(f"{query} GROUP BY thread_id ORDER BY thread_id")):
            if row["inner"]:
                self._reading.lost("checkpoints of subgraphs", row["inner"])
            if row["thread_id"] is not None:
                yield from self._thread(str(row["thread_id"]))
            done += row["number"]
            self._reading.at(done, of)

    def _thread(self, thread: str) -> Iterator[IncomingSession]:
        parents = {
            row["checkpoint_id"]: row["parent_checkpoint_id"]
            for row in self._database.rows(f"SELECT {_HEADS} {_OF_THREAD} ORDER BY checkpoint_id", thread)
        }
        if not parents:
            return
        inner = set(parents.values())
        ends = [id for id in reversed(parents) if id not in inner] or [max(parents)]
        first = self._checkpoint(thread, min(parents), quiet=True)
        # Messages have no times of their own. That of the thread's beginning does not change.
        tree = _Tree(thread, _moment(first.made_at) if first else None)
        newest: Checkpoint | None = None
        for end in ends:
            found = self._readable(thread, end, parents)
            if found is None:
                continue
            if newest is None:
                newest = found
            tree.add(self._messages(thread, found, parents), visible=found is newest)
        if newest is None:
            self._reading.fail("sessions", thread, "none of its checkpoints could be read")
            return
        yield self._session(thread, min(parents), newest, first, tree, len(parents))

    def _session(
        self,
        thread: str,
        began: str,
        newest: Checkpoint,
        first: Checkpoint | None,
        tree: _Tree,
        number: int,
    ) -> IncomingSession:
        state = {
            name: value
            for name, value in newest.state.items()
            if name != tree.channel and not name.startswith(_INTERNAL)
        }
        about: dict[str, Any] = {
            "checkpoint_id": newest.id,
            "checkpoints": number,
            "metadata": newest.metadata,
        }
        if state:
            about["state"] = state
        if waiting := self._waiting(thread, newest.id):
            about["writes"] = waiting
        return IncomingSession(
            # Names of threads are the program's own, and those of two databases may be alike.
            key=f"{thread}@{began}",
            id=thread,
            messages=tree,
            leaf=tree.leaf,
            metadata={"langgraph": about},
            created_at=_moment(first.made_at) if first else None,
            updated_at=_moment(newest.made_at),
        )

    # -- checkpoints ----------------------------------------------------------------------

    def _readable(self, thread: str, end: str, parents: Mapping[str, str | None]) -> Checkpoint | None:
        """The newest checkpoint of a chain that can be read."""
        at: str | None = end
        seen = set()
        while at is not None and at not in seen:
            seen.add(at)
            if (found := self._checkpoint(thread, at)) is not None:
                return found
            at = parents.get(at)
        return None

    def _checkpoint(self, thread: str, id: str, *, quiet: bool = False) -> Checkpoint | None:
        query = f"SELECT * {_OF_THREAD} AND checkpoint_id = ?"
        row = next(self._database.rows(query, thread, id), None)
        if row is None:
            return None
        try:
            found = self._decoder.value(row["type"], row["checkpoint"])
        except Unreadable as error:
            if not quiet:
                self._reading.fail("checkpoints", f"{thread}/{id}", str(error))
            return None
        if not isinstance(found, dict) or not isinstance(found.get("channel_values"), dict):
            if not quiet:
                self._reading.fail("checkpoints", f"{thread}/{id}", "it has no channel_values")
            return None
        versions = found.get("channel_versions")
        made_at = found.get("ts")
        return Checkpoint(
            id,
            found["channel_values"],
            versions if isinstance(versions, dict) else {},
            made_at if isinstance(made_at, str) else None,
            self._metadata(row),
        )

    def _metadata(self, row: Row) -> Any:
        if row.get("metadata") is None:
            return None
        for kind in ("json", row["type"]):
            try:
                return self._decoder.value(kind, row["metadata"])
            except Unreadable:
                continue
        self._reading.lost("checkpoints.metadata")
        return None

    def _messages(
        self, thread: str, end: Checkpoint, parents: Mapping[str, str | None]
    ) -> tuple[str, list[Found]]:
        """The channel of messages, and what is in it."""
        channel, values = _channel(end)
        if values is None and _CHANNEL in end.versions:
            values = self._replayed(thread, end, parents)
        if not self._history:
            return channel, [Found(value) for value in values or []]
        folded: dict[Any, Found] = {}
        for checkpoint in self._chain(thread, end.id, parents):
            moment = _moment(checkpoint.made_at)
            for key, value in _keyed(_channel(checkpoint)[1]):
                known = folded.get(key)
                folded[key] = Found(value, True, moment if known is None else known.moment)
        moment = _moment(end.made_at)
        for key, value in _keyed(values):
            known = folded.get(key)
            folded[key] = Found(value, False, moment if known is None else known.moment)
        return channel, list(folded.values())

    def _chain(self, thread: str, end: str, parents: Mapping[str, str | None]) -> Iterator[Checkpoint]:
        """The checkpoints that lead to one, the oldest first."""
        way, at = [], parents.get(end)
        while at is not None and at in parents and at not in way:
            way.append(at)
            at = parents[at]
        for id in reversed(way):
            if (found := self._checkpoint(thread, id)) is not None:
                yield found

    def _replayed(self, thread: str, end: Checkpoint, parents: Mapping[str, str | None]) -> list[Any]:
        """Messages of a channel that keeps differences: the last whole state, and the writes since."""
        way: list[str] = []
        at: str | None = end.id
        begun: list[Any] = []
        while at is not None and at in parents and at not in way:
            state = end if at == end.id else self._checkpoint(thread, at, quiet=True)
            values = None if state is None else _channel(state)[1]
            if values is not None:
                begun = values
                way.append(at)
                break
            way.append(at)
            at = parents[at]
        folded: dict[Any, Any] = dict(_keyed(begun))
        # What a checkpoint's tasks wrote is in the state of the next.
        for id in reversed(way[1:]):
            for write in self._writes(thread, id):
                if write["channel"] != _CHANNEL:
                    continue
                given = self._decoded(write)
                for value in given if isinstance(given, list) else [given]:
                    if (gone := is_removal(value)) is not None:
                        folded.pop(gone, None)
                    elif (one := said(value)) is not None:
                        folded[one.id or f"written {len(folded)}"] = value
        return list(folded.values())

    # -- writes ---------------------------------------------------------------------------

    def _writes(self, thread: str, checkpoint: str) -> Iterator[Row]:
        if not self._database.has("writes", WRITES):
            return
        query = (
            "SELECT * FROM writes WHERE thread_id IS ? AND checkpoint_ns = '' AND checkpoint_id = ? "
            "ORDER BY task_id, idx"
        )
        yield from self._database.rows(query, thread, checkpoint)

    def _decoded(self, write: Row) -> Any:
        try:
            return self._decoder.value(write["type"], write["value"])
        except Unreadable as error:
            key = f"{write['thread_id']}/{write['checkpoint_id']}/{write['task_id']}/{write['idx']}"
            self._reading.fail("writes", key, str(error))
            return None

    def _waiting(self, thread: str, checkpoint: str) -> list[dict[str, Any]]:
        """What tasks wrote after the newest checkpoint: interrupts, errors, results not yet in the state."""
        return [
            {"task_id": row["task_id"], "channel": row["channel"], "value": self._decoded(row)}
            for row in self._writes(thread, checkpoint)
        ]


class _Tree:
    """The messages of a thread: those of the newest checkpoint, and of other ends as branches."""

    def __init__(self, thread: str, began: datetime | None) -> None:
        self.channel = _CHANNEL
        self._began = began
        self.leaf: str | None = None
        self._thread = thread
        self._nodes: dict[str, Node] = {}

    def add(self, found: tuple[str, Sequence[Found]], *, visible: bool) -> None:
        """Take in the messages of one end."""
        channel, values = found
        if visible:
            self.channel = channel
        previous: str | None = None
        for number, item in enumerate(values):
            one = said(item.value)
            if one is None:
                continue
            key = one.id or f"{self._thread}:{number}"
            while key in self._nodes and self._nodes[key].parent != previous:
                key = f"{key}'"
            self._nodes.setdefault(key, Node(one, previous, item.removed, item.moment or self._began))
            previous = key
        if visible:
            self.leaf = previous

    def __iter__(self) -> Iterator[IncomingMessage]:
        results = {
            str(node.said.fields.get("tool_call_id")): node.said
            for node in self._nodes.values()
            if node.said.role == "tool"
        }
        for key, node in self._nodes.items():
            about = {"removed": True} if node.removed else {}
            yield incoming(node.said, key, node.parent, results, about, node.moment)


def _keyed(values: Iterable[Any] | None) -> Iterator[tuple[Any, Any]]:
    """Messages by their ids; those that have none by their place."""
    for number, value in enumerate(values or ()):
        one = said(value)
        yield (one.id if one is not None else None) or number, value


def _channel(checkpoint: Checkpoint) -> tuple[str, list[Any] | None]:
    """The channel that holds messages, by its name or by what is in it."""
    state = checkpoint.state
    if isinstance(found := state.get(_CHANNEL), list):
        return _CHANNEL, found
    for name, value in state.items():
        if not name.startswith(_INTERNAL) and isinstance(value, list) and _all_said(value):
            return name, value
    return _CHANNEL, None


def _all_said(values: Iterable[Any]) -> bool:
    found = [said(value) for value in values if not isinstance(value, list)]
    return bool(found) and all(one is not None for one in found)


def _moment(text: str | None) -> datetime | None:
    try:
        found = None if text is None else datetime.fromisoformat(text)
    except ValueError:
        return None
    return found if found is None or found.tzinfo is not None else None
