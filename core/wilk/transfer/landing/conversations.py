"""Sessions that come in: the visible branch becomes the session, all other messages its branches.

A session that was taken over before gets what is new. A message that the source has changed since takes the
place of the one before, which goes into the archive; where another branch is the visible one by now, that
branch is shown. What people wrote here since stays.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from functools import partial
from typing import TYPE_CHECKING, Any

from wilk import codec, models
from wilk.clock import to_microseconds
from wilk.errors import Conflict, NotStorable
from wilk.models.statements import param
from wilk.transfer.landing.ids import derived, usable
from wilk.transfer.trees import path

if TYPE_CHECKING:
    from wilk.contracts import IncomingMessage, IncomingSession
    from wilk.engine import Engine
    from wilk.records.conversation import Session
    from wilk.services.conversation.branch_rows import BranchRows
    from wilk.services.conversation.branches import Branches
    from wilk.services.conversation.messages import Messages
    from wilk.services.conversation.sessions import Sessions
    from wilk.transfer.landing.definitions import Definitions
    from wilk.transfer.landing.edits import Edits
    from wilk.transfer.landing.ledger import Ledger
    from wilk.transfer.landing.people import People
    from wilk.transfer.landing.report import Report

logger = logging.getLogger("wilk.transfer")

_CHUNK = 500


class Conversations:
    """Writes sessions with their messages."""

    def __init__(
        self,
        engine: Engine,
        ledger: Ledger,
        report: Report,
        people: People,
        definitions: Definitions,
        sessions: Sessions,
        messages: Messages,
        branches: Branches,
        rows: BranchRows,
        edits: Edits,
    ) -> None:
        self._engine = engine
        self._ledger = ledger
        self._report = report
        self._people = people
        self._definitions = definitions
        self._sessions = sessions
        self._messages = messages
        self._branches = branches
        self._rows = rows
        self._edits = edits
        self._known = False
        self._tail: str | None = None  # the newest visible message
        self._aside = False  # whether something that is new became a branch

    def session(self, item: IncomingSession, target: str | None) -> str:
        """Write a session, and return its id."""
        parents: dict[str, str | None] = {}
        last = None
        for message in item.messages:
            parents[message.key] = message.parent
            last = message.key
        leaf = item.leaf if item.leaf in parents else last
        linear = item.leaf is None and not any(parents.values())  # then they follow one another
        visible = set(parents) if linear else set(path(parents, leaf))
        if target is not None and self._sessions.find(target) is None:
            raise Conflict("it was removed here since it was taken over; restore it from the archive first")
        id = target or self._create(item)
        self._known = target is not None
        newest = self._messages.last(id, 1)
        self._tail = newest[0].id if newest else None
        self._aside = False
        if target is not None and (item.name, item.created_at, item.updated_at) != (None, None, None):
            # What says nothing of itself only brings messages.
            self._update(item, id)
        elif target is not None:
            self._edits.keep()
        named: dict[str, str] = {}  # keys of messages whose id here is another
        for chunk in _chunks(_chained(item.messages) if linear and self._known else item.messages):
            self._write(id, item, chunk, visible, named)
        if leaf is not None:
            shown = named.get(leaf, leaf)
            keys = {named.get(key, key) for key in parents}
            if target is None or self._show(id, shown, keys):
                self._edits.add("leaf", shown)
        self._set_times(id, item)
        return id

    # -- the session itself ---------------------------------------------------------------

    def _create(self, item: IncomingSession) -> str:
        wanted = item.id or item.key
        if not usable(wanted) or self._sessions.find(wanted) is not None:
            wanted = derived(self._report.importer, "sessions", item.key)
        given = self._given(item)
        if wanted != (item.id or item.key):
            given["metadata"]["imported_id"] = item.id or item.key
        self._sessions.create(id=wanted, model=item.model, max_tokens=item.max_tokens, **given)
        if item.status != "active":
            self._sessions.update(wanted, status=item.status)
        made = _fields(self._sessions.get(wanted))
        self._edits.note(made, made)
        return wanted

    def _update(self, item: IncomingSession, id: str) -> None:
        coming = self._given(item) | {"status": item.status}
        coming |= {
            name: value
            for name, value in (("model", item.model), ("max_tokens", item.max_tokens))
            if value is not None
        }
        for name in ("user", "group"):
            if coming[name] is None:  # a source that does not say whose it is takes it from nobody
                del coming[name]
        kept = self._sessions.get(id)
        metadata = {**kept.metadata, **coming.pop("metadata")}
        given = self._edits.of("sessions", _fields(kept), coming)
        self._edits.note(_fields(self._sessions.update(id, metadata=metadata, **given)), given)

    def _given(self, item: IncomingSession) -> dict[str, Any]:
        agents = [self._definitions.known("agents", key) or key for key in item.agents]
        return {
            "name": None if item.name is None else codec.storable_text(item.name)[0],
            "agents": agents,
            "persona": None if item.persona is None else self._definitions.known("personas", item.persona),
            "user": self._people.known(item.user),
            "group": self._people.known_group(item.group),
            "saved": item.saved,
            "working_directory": item.working_directory,
            "recap": None if item.recap is None else codec.storable_text(item.recap)[0],
            "metadata": dict(item.metadata),
        }

    def _show(self, id: str, leaf: str, known: set[str]) -> bool:
        """Show the branch that the source shows by now, if that can be, and hide nothing of ours.

        Return False where it is to be tried again by the next run.
        """
        if leaf == self._tail:
            return True
        if self._tail is not None and self._tail not in known:
            if self._aside:
                self._report.warn("what the source has new of conversations that go on here became branches")
            return True
        if self._edits.is_as_before("leaf", leaf):
            return True  # another branch was shown here since, and the source has nothing to say to that
        try:
            self._branches.show(id, leaf)
        except Conflict as error:
            self._report.warn(
                "the visible branch of the source is another by now, and could not be shown here"
            )
            logger.info("session %s: %s", id, error)
            return False
        return True

    def _set_times(self, id: str, item: IncomingSession) -> None:
        latest = item.updated_at or item.created_at
        if latest is None:
            return
        values = {"updated_at": to_microseconds(latest), "id": id}
        if item.created_at is not None:
            values["created_at"] = to_microseconds(item.created_at)
        name = "created_at" if item.created_at is not None else "updated_at"
        statement = self._engine.statement(f"imported.times.{name}", partial(_times, name))
        self._engine.execute(statement.sql, [values[name] for name in statement.names])

    # -- its messages ---------------------------------------------------------------------

    def _write(
        self,
        session: str,
        item: IncomingSession,
        chunk: Sequence[IncomingMessage],
        visible: set[str],
        named: dict[str, str],
    ) -> None:
        """Write those of some messages that are new, and change those that have changed."""
        wanted = [message.id or message.key for message in chunk]
        owners = self._rows.owners([id for id in wanted if usable(id)])
        ids: dict[str, str] = {}
        for message in chunk:
            id = message.id or message.key
            if not usable(id) or owners.get(id, session) != session:
                id = derived(self._report.importer, item.key, message.key)
            ids[message.key] = id
            if id != message.key:
                named[message.key] = id
        there = self._rows.kept(session, ids.values()) if self._known else set()
        new: list[dict[str, Any]] = []
        aside: list[dict[str, Any]] = []
        calls: list[tuple[str, IncomingMessage]] = []
        for message in chunk:
            id = ids[message.key]
            parent = None if message.parent is None else named.get(message.parent, message.parent)
            row = self._values(message, id, parent)
            if id in there:
                if self._rows.change(session, row):
                    self._report.count("messages", "updated", read=True)
                else:
                    self._report.count("messages", "unchanged", read=True)
                continue
            # Of a session that is there, only what follows its newest message is visible at once.
            if message.key in visible and (not self._known or parent == self._tail):
                new.append(row)
                self._tail = id
            else:
                aside.append(row)
            calls.append((id, message))
            self._report.count("messages", "created", read=True)
        if new:
            self._messages.extend(session, new)
        if aside:
            self._aside = True
            self._rows.extend(session, aside)
        for id, message in calls:
            for number, call in enumerate(message.calls):
                self._log(session, id, number, call)

    def _values(self, message: IncomingMessage, id: str, parent: str | None) -> dict[str, Any]:
        renamed = {} if id == (message.id or message.key) else {"imported_id": message.key}
        role = message.role if 0 < len(message.role) <= 64 else (message.role[:64] or "user")
        return {
            "id": id,
            "role": role,
            "text": message.text,
            "parts": None if message.parts is None else [self._part(part) for part in message.parts],
            "parent": parent,
            "agent": None
            if message.agent is None
            else self._definitions.known("agents", message.agent) or message.agent,
            "model": message.model or None,
            "tokens": message.tokens,
            "importance": message.importance,
            "metadata": self._part({**message.metadata, **renamed}),
            "created_at": message.created_at,
        }

    def _part(self, part: Any) -> Any:
        """A part, or, where it cannot be kept, what tells so and has its text: the message stays."""
        try:
            codec.dumps(part)
        except NotStorable as error:
            self._report.warn("parts of messages that cannot be kept as they are were set aside as text")
            return {"type": "set_aside", "reason": str(error)[:500], "text": repr(part)[:1_000_000]}
        return part

    def _log(self, session: str, message: str, number: int, call: Any) -> None:
        """Write a tool call into the log of tool calls."""
        one = models.ToolCall
        started = call.started_at or call.finished_at
        now = self._engine.clock.now()
        values: Mapping[Any, Any] = {
            one.id: derived(self._report.importer, message, str(number), call.call_id or ""),
            one.session: session,
            one.message_id: message,
            one.call_id: call.call_id,
            one.name: codec.storable_text(call.name or "unknown")[0],
            one.arguments: self._part(call.arguments),
            one.result: self._part(call.result),
            one.status: call.status,
            one.error: call.error,
            one.metadata: {},
            one.started_at: _moment(started, now),
            one.finished_at: None if call.status == "running" else _moment(call.finished_at or started, now),
        }
        self._engine.run(one.insert(values).on_conflict("nothing"))
        self._report.count("tool_calls", "created", read=True)


def _fields(session: Session) -> dict[str, Any]:
    """What a session has of what a source can say of it, by the names that its verbs take."""
    return {
        "name": session.name, "agents": session.active_agents, "persona": session.persona_id,
        "user": session.user_id, "group": session.group_id, "saved": session.saved,
        "working_directory": session.working_directory, "recap": session.recap, "status": session.status,
        "model": session.model, "max_tokens": session.max_tokens,
    }  # fmt: skip


def _times(first: str) -> Any:
    session: Any = models.Session
    fields = dict.fromkeys((first, "updated_at"))
    return session.update({getattr(session, name): param(name) for name in fields}).where(
        session.id == param("id")
    )


def _moment(moment: datetime | None, now: int) -> int:
    return now if moment is None else to_microseconds(moment)


def _chained(messages: Iterable[IncomingMessage]) -> Iterator[IncomingMessage]:
    """Messages that name no parents, each behind the one before it."""
    before = None
    for message in messages:
        yield replace(message, parent=before)
        before = message.key


def _chunks(messages: Iterable[IncomingMessage]) -> Iterator[list[IncomingMessage]]:
    chunk: list[IncomingMessage] = []
    for message in messages:
        chunk.append(message)
        if len(chunk) == _CHUNK:
            yield chunk
            chunk = []
    if chunk:
        yield chunk
