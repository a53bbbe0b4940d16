"""Branches: what a conversation has beside its visible branch, as regenerating and editing leave it.

A session's messages are its visible branch. Those of other branches lie in a table of their own, each once,
and name the message that they follow. A message without a parent follows the one before it.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any

from wilk import clock, codec, models
from wilk.engine import Engine
from wilk.errors import Conflict, NotFound
from wilk.events import Events
from wilk.models.statements import param
from wilk.records.conversation import Branch, BranchMessage, Session
from wilk.services.checks import identifier
from wilk.services.conversation.message_rows import COLUMNS
from wilk.services.conversation.message_rows import message as as_message
from wilk.services.keeping.archiver import Archiver

if TYPE_CHECKING:
    from wilk.records.conversation import Message
    from wilk.services.conversation.messages import Messages
    from wilk.services.conversation.sessions import Sessions
    from wilk.services.conversation.transcript import Transcript

_SOME = 400
_NAMES = (
    "id", "session_id", "parent_id", "role", "text", "original", "parts", "agent_id", "model", "tokens",
    "importance", "metadata", "created_at",
)  # fmt: skip
_CHANGING = ("role", "text", "original", "parts", "agent_id", "model", "metadata")
"""What of a message may be another in its source by now."""


class Branches:
    """The branches of a store's sessions."""

    def __init__(
        self,
        engine: Engine,
        events: Events,
        archiver: Archiver,
        transcript: Transcript,
        messages: Callable[[], Messages],
        sessions: Callable[[], Sessions],
    ) -> None:
        self._engine = engine
        self._events = events
        self._archiver = archiver
        self._transcript = transcript
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
        return next(iter(self._records(one.id == id)), None)

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
            if parent is not None and parent not in self.kept(session_id, [parent]):
                raise NotFound("message", parent, f"a message of session {session_id!r} is wanted")
            if id is not None and self.owners([id]):
                raise Conflict(f"there is a message {id!r} already")
            self.extend(session_id, [given])
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
                    "(`wilk summaries remove`), or fork the branch into a session of its own"
                )
            hidden = self._hidden(session_id, fork)
            message: Any = models.Message
            one: Any = models.BranchMessage
            reason = "another branch is shown"
            ids = [row.id for row in way]
            if hidden:
                self._archiver.remove(
                    "message", (message.session == session_id) & (message.sequence > fork), reason=reason
                )
            for start in range(0, len(ids), _SOME):
                self._archiver.remove("branch_message", one.id.in_(ids[start : start + _SOME]), reason=reason)
            self.extend(session_id, hidden)
            self._messages().extend(session_id, [_given(row) for row in way])
            return self._sessions().get(session_id)

    # -- for what takes conversations over ------------------------------------------------

    def extend(self, session_id: str, messages: Iterable[dict[str, Any]]) -> None:
        """Write many messages beside the visible branch, as :meth:`add` takes them; they get ids."""
        rows = []
        for message in messages:
            message["id"] = message.get("id") or self._engine.clock.new_id()
            rows.append(self._row(session_id, message))
        if not rows:
            return
        with self._engine.transaction():
            self._engine.insert_many(self._engine.statement("branches.insert", _insert), rows)
            if self._events.watch_saves:
                for row in rows:
                    self._events.saving("branch_message", self.get(row[0]))

    def owners(self, ids: Collection[str]) -> dict[str, str]:
        """The sessions that have messages of these ids, in the archive too."""
        found: dict[str, str] = {}
        wanted = [*ids]
        message, one, entry = models.Message, models.BranchMessage, models.ArchiveEntry
        for start in range(0, len(wanted), _SOME):
            some = wanted[start : start + _SOME]
            archived = entry.select(entry.record_id, entry.session_id).where(
                entry.kind == "message", entry.record_id.in_(some), entry.restored_at.is_null(),
                entry.session_id.is_null(False),
            )  # fmt: skip
            found.update(self._engine.select(archived))
            for model in (message, one):
                found.update(
                    self._engine.select(model.select(model.id, model.session).where(model.id.in_(some)))
                )
        return found

    def kept(self, session_id: str, ids: Iterable[str]) -> set[str]:
        """Those of some ids that messages of a session have: visible ones, compacted ones, of branches."""
        wanted = [*ids]
        found: set[str] = set()
        message, one = models.Message, models.BranchMessage
        for start in range(0, len(wanted), _SOME):
            some = wanted[start : start + _SOME]
            for model in (message, one):
                query = model.select(model.id).where(model.session == session_id, model.id.in_(some))
                found.update(id for (id,) in self._engine.select(query))
        for id in set(wanted) - found:
            if (row := self._transcript.find(id)) is not None and row[1] == session_id:
                found.add(id)
        return found

    def change(self, session_id: str, values: dict[str, Any]) -> bool:
        """Put what a source says by now in the place of a message; return whether that was something else.

        The message as it was goes into the archive. One that a summary stands for stays as it is.
        """
        wanted = dict(zip(_NAMES, self._row(session_id, values), strict=True))
        for kind, model in (("message", models.Message), ("branch_message", models.BranchMessage)):
            fields = model._meta.sorted_fields
            names = [field.column_name for field in fields]
            rows = self._engine.select(model.select(*fields).where(model.id == wanted["id"]))
            if not rows:
                continue
            before = dict(zip(names, rows[0], strict=True))
            if all(before[name] == wanted[name] for name in _CHANGING):
                return False
            after = {**before, **{name: wanted[name] for name in (*_CHANGING, "tokens")}}
            self._archiver.remove(kind, model.id == wanted["id"], reason="changed in its source")
            insert = self._engine.statement(
                f"{kind}.replace",
                lambda: model.insert({field: param(field.column_name) for field in fields}),  # noqa: B023 run at once
            )
            self._engine.execute(insert.sql, [after[name] for name in insert.names])
            if kind == "message":
                self._archiver.count_messages(session_id, 1, after["tokens"])
                self._events.following.queue("message", [wanted["id"]])
            return True
        return False

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
        return self._records(one.session == session_id)

    def _records(self, condition: Any) -> Sequence[BranchMessage]:
        one = models.BranchMessage
        fields = [one._meta.columns[name] for name in _NAMES]
        rows = self._engine.select(one.select(*fields).where(condition).order_by(one.pk))
        return [_record(row) for row in rows]

    # -- writing --------------------------------------------------------------------------

    def _row(self, session_id: str, message: Mapping[str, Any]) -> Sequence[Any]:
        """A message, as :meth:`Messages.append` takes it, in the order of ``_NAMES``; checked as there."""
        made = self._messages()._row_of(
            session_id, 1, {**message, "id": identifier("id", message["id"])}, False
        )
        row = dict(zip(COLUMNS, made, strict=True))
        return [row[name] for name in _NAMES]


def _given(one: Message | BranchMessage) -> dict[str, Any]:
    """A message as verbs take it."""
    return {
        "id": one.id, "role": one.role, "text": one.text, "parts": one.parts, "parent": one.parent_id,
        "agent": one.agent_id, "model": one.model, "tokens": one.tokens, "importance": one.importance,
        "metadata": one.metadata, "created_at": one.created_at,
    }  # fmt: skip


def _record(row: Sequence[Any]) -> BranchMessage:
    values = dict(zip(_NAMES, row, strict=True))
    original = values.pop("original")
    text = values["text"] if original is None else codec.original_text(original)
    return BranchMessage(
        **{
            **values,
            "text": text,
            "parts": None if values["parts"] is None else codec.loads(values["parts"]),
            "metadata": codec.loads(values["metadata"]) if values["metadata"] else {},
            "created_at": clock.to_datetime(values["created_at"]),
        }
    )


def _insert() -> Any:
    one = models.BranchMessage
    return one.insert({one._meta.columns[name]: param(name) for name in _NAMES})
