"""Branches: what a conversation has beside its visible branch, as regenerating and editing leave it.

A session's messages are its visible branch. Those of other branches lie in a table of their own, each once,
and name the message that they follow. A message without a parent follows the one before it.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any

from wilk import models
from wilk.engine import Engine
from wilk.errors import Conflict, NotFound, WilkError
from wilk.records.conversation import Branch, BranchMessage, Session
from wilk.services.conversation.branch_rows import BranchRows
from wilk.services.conversation.message_rows import message as as_message
from wilk.services.keeping.archiver import Archiver

if TYPE_CHECKING:
    from wilk.records.conversation import Message
    from wilk.services.conversation.messages import Messages
    from wilk.services.conversation.sessions import Sessions
    from wilk.services.conversation.transcript import Transcript

logger = logging.getLogger("wilk.conversation")

_SOME = 400
_SHOWN = "another branch is shown"
_BESIDE = ("interaction_id", "idempotency_key", "origin_id")
"""What a visible message has and one of a branch does not."""


class Branches:
    """The branches of a store's sessions."""

    def __init__(
        self,
        engine: Engine,
        archiver: Archiver,
        transcript: Transcript,
        rows: BranchRows,
        messages: Callable[[], Messages],
        sessions: Callable[[], Sessions],
    ) -> None:
        self._engine = engine
        self._archiver = archiver
        self._transcript = transcript
        self._rows = rows
        self._messages = messages
        self._sessions = sessions

    def list(self, session_id: str) -> Sequence[Branch]:
        """List the branches of a session, the latest first; raises NotFound."""
        self._sessions().get(session_id)
        rows = {row.id: row for row in self._all(session_id)}
        followed = {row.parent_id for row in rows.values()}
        found = []
        for id, leaf in rows.items():
            if id in followed:
                continue
            way = [leaf]
            while way[-1].parent_id in rows:
                way.append(rows[way[-1].parent_id or ""])
            first = way[-1]
            found.append(
                Branch(id, session_id, first.parent_id, len(way), first.role, first.text, leaf.created_at)
            )
        return sorted(found, key=lambda one: (one.created_at, one.leaf_id), reverse=True)

    def get(self, id: str) -> BranchMessage:
        """Return a message of a branch; raises NotFound."""
        found = self.find(id)
        if found is None:
            raise NotFound("branch message", id)
        return found

    def find(self, id: str) -> BranchMessage | None:
        """Return a message of a branch, or None."""
        one = models.BranchMessage
        return next(iter(self._rows.select(one.id == id)), None)

    def messages(self, session_id: str, leaf: str) -> Sequence[Message | BranchMessage]:
        """Return the messages on the way from the root to a message, oldest first; raises NotFound."""
        with self._engine.snapshot():
            way, fork = self._way(session_id, leaf)
            shown = [] if not fork else self._transcript.between(session_id, 1, fork)
            return [*map(as_message, shown), *way]

    def add(
        self,
        session_id: str,
        role: str,
        text: str = "",
        *,
        parent: str | None,
        parts: Sequence[Any] | None = None,
        agent: str | None = None,
        model: str | None = None,
        tokens: int | None = None,
        importance: float | None = None,
        id: str | None = None,
        metadata: Mapping[str, Any] | None = None,
        created_at: datetime | None = None,
    ) -> BranchMessage:
        """Write a message beside the visible branch, such as another answer to the same question.

        ``parent`` is the message of the session that it follows, None for a beginning of its own. Raises
        NotFound for an unknown session or parent, and Conflict for an ``id`` that is taken.
        """
        given = {
            "id": id, "role": role, "text": text, "parts": parts, "parent": parent, "agent": agent,
            "model": model, "tokens": tokens, "importance": importance, "metadata": metadata,
            "created_at": created_at,
        }  # fmt: skip
        with self._engine.transaction():
            self._sessions().get(session_id)
            if parent is not None and parent not in self._rows.kept(session_id, [parent]):
                raise NotFound("message", parent, f"a message of session {session_id!r} is wanted")
            if id is not None and self._rows.owners([id]):
                raise Conflict(f"there is a message {id!r} already")
            self._rows.extend(session_id, [given])
            return self.get(str(given["id"]))

    def fork(self, session_id: str, leaf: str, *, name: str | None = None) -> Session:
        """Begin a new session with a copy of the messages on the way to ``leaf``.

        Copies name their origin. Raises NotFound.
        """
        with self._engine.transaction():
            way, fork = self._way(session_id, leaf)
            forked = self._sessions().fork(session_id, at=fork, name=name)
            before = next(iter(self._transcript.newest(forked.id, 1)), None)
            parent = None if before is None else before[0]
            copies = []
            for one in way:
                id = self._engine.clock.new_id()
                copies.append({**_given(one), "id": id, "parent": parent})
                parent = id
            if copies:
                self._messages().extend(forked.id, copies)
                message: Any = models.Message
                for copy, one in zip(copies, way, strict=True):
                    self._engine.run(
                        message.update({message.origin_id: one.id}).where(message.id == copy["id"])
                    )
            return self._sessions().get(forked.id)

    def show(self, session_id: str, leaf: str) -> Session:
        """Make another branch the visible one, and what is visible behind the fork a branch.

        Messages keep their ids; those that come in get sequences of their own. Does nothing where ``leaf`` is
        visible. Raises NotFound, and Conflict where a summary stands for messages behind the fork.
        """
        with self._engine.transaction():
            way, fork = self._way(session_id, leaf)
            if not way:
                return self._sessions().get(session_id)
            summary: Any = models.Summary
            over = summary.select(summary.id).where(
                summary.session == session_id, summary.last_sequence > fork
            )
            if rows := self._engine.select(over.limit(1)):
                raise Conflict(
                    f"summary {rows[0][0]!r} stands for messages behind the fork; undo it first "
                    "(`wilk memory uncompact`), or fork the branch into a session of its own"
                )
            hidden = self._hidden(session_id, fork)
            message: Any = models.Message
            one: Any = models.BranchMessage
            ids = [row.id for row in way]
            if hidden:
                self._archiver.remove(
                    "message", (message.session == session_id) & (message.sequence > fork), reason=_SHOWN
                )
            for start in range(0, len(ids), _SOME):
                self._archiver.remove("branch_message", one.id.in_(ids[start : start + _SOME]), reason=_SHOWN)
            self._rows.extend(session_id, hidden)
            self._messages().extend(session_id, [_given(row) for row in way])
            for start in range(0, len(ids), _SOME):
                self._reclaim(session_id, ids[start : start + _SOME])
            return self._sessions().get(session_id)

    def _reclaim(self, session_id: str, ids: Sequence[str]) -> None:
        """Give messages that were visible before what branches have no place for, as the archive has it."""
        entry, message = models.ArchiveEntry, models.Message
        query = entry.select(entry.record_id, entry.data, entry.place).where(
            entry.kind == "message", entry.record_id.in_(ids), entry.session_id == session_id,
            entry.reason == _SHOWN,
        )  # fmt: skip
        rows = self._engine.select(query.order_by(entry.pk))
        try:
            kept = self._archiver.read([(data, place) for _, data, place in rows])
        except WilkError as error:  # an archive outside that cannot be read now
            logger.warning("session %s: keys of messages could not be read: %s", session_id, error)
            return
        before = {id: row for (id, *_), row in zip(rows, kept, strict=True)}  # the latest of each
        keys = {row.get("idempotency_key") for row in before.values()} - {None}
        taken = {
            key
            for (key,) in self._engine.select(
                message.select(message.idempotency_key).where(
                    message.session == session_id, message.idempotency_key.in_(sorted(keys))
                )
            )
        }
        for id, row in before.items():
            given = {name: row.get(name) for name in _BESIDE if row.get(name) is not None}
            if given.get("idempotency_key") in taken:
                del given["idempotency_key"]
            if given:
                values: Mapping[Any, Any] = {getattr(message, name): value for name, value in given.items()}
                self._engine.run(message.update(values).where(message.id == id))

    # -- reading --------------------------------------------------------------------------

    def _way(self, session_id: str, leaf: str) -> tuple[Sequence[BranchMessage], int]:
        """The branch messages on the way to a leaf, and the sequence of the visible one before them."""
        rows = {row.id: row for row in self._all(session_id)}
        way = []
        at: str | None = leaf
        while at is not None and at in rows:
            way.append(rows.pop(at))
            at = way[-1].parent_id
        if at is None:
            return way[::-1], 0
        row = self._transcript.find(at)
        if row is None or row[1] != session_id:
            raise NotFound("message", at, f"a message of session {session_id!r} is wanted")
        return way[::-1], int(row[2])

    def _hidden(self, session_id: str, after: int) -> Sequence[dict[str, Any]]:
        """The visible messages behind a sequence, as branch messages."""
        found = []
        before = self._transcript.newest(session_id, 1, after + 1)
        parent = before[0][0] if before else None
        while rows := self._transcript.following(session_id, after, _SOME):
            for row in rows:
                message = as_message(row)
                found.append({**_given(message), "parent": message.parent_id or parent})
                parent, after = message.id, message.sequence
        return found

    def _all(self, session_id: str) -> Sequence[BranchMessage]:
        one = models.BranchMessage
        return self._rows.select(one.session == session_id)


def _given(one: Message | BranchMessage) -> dict[str, Any]:
    """A message as verbs take it."""
    return {
        "id": one.id, "role": one.role, "text": one.text, "parts": one.parts, "parent": one.parent_id,
        "agent": one.agent_id, "model": one.model, "tokens": one.tokens, "importance": one.importance,
        "metadata": one.metadata, "created_at": one.created_at,
    }  # fmt: skip
