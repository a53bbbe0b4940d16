"""The rows of branches: writing many, whose ids they are, what has changed in their source.

What takes conversations over works with these; people's verbs are in ``branches.py``.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

from wilk import clock, codec, models
from wilk.engine import Engine
from wilk.events import Events
from wilk.models.statements import padded, param, places
from wilk.records.conversation import BranchMessage
from wilk.services.checks import identifier
from wilk.services.conversation.message_rows import COLUMNS
from wilk.services.keeping.archiver import Archiver

if TYPE_CHECKING:
    from wilk.services.conversation.messages import Messages
    from wilk.services.conversation.transcript import Transcript

_SOME = 400
_NAMES = (
    "id", "session_id", "parent_id", "role", "text", "original", "parts", "agent_id", "model", "tokens",
    "importance", "metadata", "created_at",
)  # fmt: skip
_CHANGING = ("role", "text", "original", "parts", "agent_id", "model", "metadata")
"""What of a message may be another in its source by now."""


class BranchRows:
    """The branch messages of a store, as rows and records."""

    def __init__(
        self,
        engine: Engine,
        events: Events,
        archiver: Archiver,
        transcript: Transcript,
        messages: Callable[[], Messages],
    ) -> None:
        self._engine = engine
        self._events = events
        self._archiver = archiver
        self._transcript = transcript
        self._messages = messages

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
                    self._events.saving("branch_message", self.select(models.BranchMessage.id == row[0])[0])

    def owners(self, ids: Collection[str]) -> dict[str, str]:
        """The sessions that have messages of these ids, in the archive too."""
        found: dict[str, str] = {}
        for some in padded([*ids], _SOME):
            size = len(some)
            archived = self._engine.fetch(
                f"branches.owners.archived.{size}", partial(_archived, size), ("message", *some)
            )
            found.update(archived)
            for name, model in (("messages", models.Message), ("branches", models.BranchMessage)):
                build = partial(_owners, model, size)
                found.update(self._engine.fetch(f"branches.owners.{name}.{size}", build, some))
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

    def select(self, condition: Any) -> list[BranchMessage]:
        """The branch messages that meet a condition, in the order in which they were written."""
        one = models.BranchMessage
        fields = [one._meta.columns[name] for name in _NAMES]
        rows = self._engine.select(one.select(*fields).where(condition).order_by(one.pk))
        return [_record(row) for row in rows]

    def _row(self, session_id: str, message: Mapping[str, Any]) -> Sequence[Any]:
        """A message, as :meth:`Messages.append` takes it, in the order of ``_NAMES``; checked as there."""
        made = self._messages()._row_of(
            session_id, 1, {**message, "id": identifier("id", message["id"])}, False
        )
        row = dict(zip(COLUMNS, made, strict=True))
        return [row[name] for name in _NAMES]


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


def _owners(model: Any, size: int) -> Any:
    return model.select(model.id, model.session).where(model.id.in_(places(size)))


def _archived(size: int) -> Any:
    entry = models.ArchiveEntry
    return entry.select(entry.record_id, entry.session_id).where(
        entry.kind == param("kind"), entry.record_id.in_(places(size)), entry.restored_at.is_null(),
        entry.session_id.is_null(False),
    )  # fmt: skip


def _insert() -> Any:
    one = models.BranchMessage
    return one.insert({one._meta.columns[name]: param(name) for name in _NAMES})
