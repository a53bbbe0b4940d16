"""What contexts read of a store: floors, messages, summaries, by statements compiled once."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator, Sequence
from typing import Any

from wilk import codec, models
from wilk.context import rules
from wilk.context.assembly import note
from wilk.context.packing import OVERHEAD, cost
from wilk.context.summarizer import heading
from wilk.context.units import extra_of, links
from wilk.engine import Engine, Rows
from wilk.models.statements import param
from wilk.records.context import ContextItem
from wilk.records.conversation import Message, Session
from wilk.services.conversation.message_rows import text_of
from wilk.services.conversation.messages import Messages

_SYSTEM_ROLES = ("system", "developer")
_FOUND = 32
"""How many messages of a full-text search are looked at."""


class Reading:
    """One session's messages, summaries and floors, read within one snapshot."""

    def __init__(
        self,
        engine: Engine,
        messages: Callable[[], Messages],
        session: Session,
        count: Callable[[str], int],
        *,
        budget: int,
        query: str | None,
    ) -> None:
        self._engine = engine
        self._messages = messages
        self._session = session
        self._count = count
        self._budget = budget
        self._query = query
        self._start = 0
        self._open: list[Generator[tuple[Any, ...], None, None]] = []

    # -- floors ---------------------------------------------------------------------------

    def floors(self, system: str | None) -> list[ContextItem]:
        """System prompt, leading system messages, working memory and pins, in this order."""
        prompt = self._prompt(system)
        return [*([] if prompt is None else [prompt]), *self._leading(), *self._blocks(), *self._pins()]

    @property
    def start(self) -> int:
        """The sequence of the last leading system message; known once the floors are."""
        return self._start

    def _prompt(self, system: str | None) -> ContextItem | None:
        session = self._session
        if system is not None:
            return note("system", None, system, rules.SYSTEM_ARGUMENT, self._count) if system else None
        if session.persona_id is not None:
            for (text,) in self._fetch("contexts.persona", (session.persona_id,)):
                if text:
                    return note("system", session.persona_id, text, rules.SYSTEM_PERSONA, self._count)
        for agent in session.active_agents[:1]:
            for (kept,) in self._fetch("contexts.agent", (agent,)):
                prompts = (codec.kept(kept, dict) if kept else {}).get("prompts") or {}
                if text := prompts.get("system"):
                    return note("system", agent, text, rules.SYSTEM_AGENT, self._count)
        return None

    def _leading(self) -> list[ContextItem]:
        """System messages before all others; they are floors, so more than the budget is not read."""
        found: list[ContextItem] = []
        left = self._budget
        for row in self._walk("contexts.leading", (self._session.id, self._limit)):
            item = self._item(row)
            if item.first != len(found) + 1 or item.role not in _SYSTEM_ROLES or any(links(item)) or left < 0:
                break
            left -= item.tokens
            found.append(item._replace(kind="system", rule=rules.LEADING))
        self._start = len(found)
        return found

    def _blocks(self) -> Iterator[ContextItem]:
        session = self._session
        owners = [("session", session.id), *(("agent", agent) for agent in session.active_agents)]
        if session.user_id is not None:
            owners.append(("user", session.user_id))
        for owner in (*owners, ("store", "")):
            for id, label, value, description in self._fetch("contexts.blocks", owner):
                if value:
                    about = f"{label}: {description}" if description else label
                    text = f"Working memory ({about}):\n{value}"
                    yield note("block", id, text, rules.BLOCK, self._count)

    def _pins(self) -> Iterator[ContextItem]:
        for id, kind, content, importance in self._fetch("contexts.pins", (self._session.id,)):
            text = f"Pinned ({kind}): {content}"
            yield note("pin", id, text, rules.PIN, self._count, score=importance)

    # -- what a packing asks for --------------------------------------------------------------

    def recent(self, before: int) -> Iterator[ContextItem]:
        """Messages before a sequence, the newest first."""
        values = (self._session.id, self._start, before, self._limit)
        return map(self._item, self._walk("contexts.recent", values))

    def important(self, before: int) -> Iterator[ContextItem]:
        """Messages of importance 0.8 and above before a sequence, the most important first."""
        values = (self._session.id, self._start, before, self._limit)
        return map(self._item, self._walk("contexts.important", values))

    def relevant(self) -> Iterator[ContextItem]:
        """Messages of the session that the query finds, the best first."""
        hits = self._messages().search(self._query or "", session=self._session.id, limit=_FOUND)
        return map(self._found, (hit.message for hit in hits))

    def window(self, first: int, last: int) -> list[ContextItem]:
        """All messages from one sequence to another, the newest first."""
        rows = self._fetch("contexts.window", (self._session.id, first, last))
        return list(map(self._item, rows))

    def summaries(self) -> list[ContextItem]:
        """The most important summaries: no more than may matter at this budget."""
        limit = 32 + self._budget // 100
        rows = self._fetch("contexts.summaries", (self._session.id, limit))
        return [
            note(
                "summary", id, heading(first, last) + text, "", self._count,
                first=first, last=last, score=importance,
            )
            for id, first, last, text, importance in rows
        ]  # fmt: skip

    def close(self) -> None:
        """Stop reading."""
        for rows in self._open:
            rows.close()

    # -- rows -----------------------------------------------------------------------------

    @property
    def _limit(self) -> int:
        """How many messages a budget can hold at most, and as many that cannot be sent."""
        return 2 * (self._budget // OVERHEAD) + 2

    def _fetch(self, name: str, parameters: Sequence[Any]) -> Rows:
        return self._engine.fetch(name, STATEMENTS[name], parameters)

    def _walk(self, name: str, parameters: Sequence[Any]) -> Iterator[tuple[Any, ...]]:
        rows = self._engine.walk(name, STATEMENTS[name], parameters)
        self._open.append(rows)
        return rows

    def _item(self, row: Sequence[Any]) -> ContextItem:
        id, sequence, role, text, original, parts, importance, metadata = row
        return self._message(
            id,
            sequence,
            role,
            (text if type(text) is str else text_of(text))
            if original is None
            else codec.original_text(original),
            None if parts is None else codec.kept(parts, list),
            importance,
            codec.kept(metadata, dict) if metadata else {},
        )

    def _found(self, one: Message) -> ContextItem:
        return self._message(
            one.id, one.sequence, one.role, one.text, one.parts, one.importance, one.metadata
        )

    def _message(
        self, id: str, sequence: int, role: str, text: str, parts: Any, importance: float, metadata: Any
    ) -> ContextItem:
        extra = extra_of(metadata)
        tokens = cost(text, parts, extra, self._count)
        return ContextItem(
            "message", id, sequence, sequence, role, text, parts, extra, "", importance, tokens
        )


# -- statements, compiled once per store ---------------------------------------------------


def _select() -> Any:
    message = models.Message
    return message.select(
        message.id, message.sequence, message.role, message.text, message.original, message.parts,
        message.importance, message.metadata,
    )  # fmt: skip


def _leading() -> Any:
    message = models.Message
    query = _select().where(message.session == param("session"))
    return query.order_by(message.sequence).limit(param("limit"))


def _between() -> Any:
    message = models.Message
    return _select().where(
        message.session == param("session"),
        message.sequence > param("after"),
        message.sequence < param("before"),
    )


def _recent() -> Any:
    return _between().order_by(models.Message.sequence.desc()).limit(param("limit"))


def _important() -> Any:
    from peewee import SQL  # with Peewee; see wilk.models

    message = models.Message
    # The bound stands in the SQL: a planner takes the partial index for the very condition it has.
    query = _between().where(message.importance >= SQL("0.8"))
    return query.order_by(message.importance.desc(), message.sequence.desc()).limit(param("limit"))


def _window() -> Any:
    message = models.Message
    query = _select().where(
        message.session == param("session"),
        message.sequence >= param("first"),
        message.sequence <= param("last"),
    )
    return query.order_by(message.sequence.desc())


def _summaries() -> Any:
    one = models.Summary
    query = one.select(one.id, one.first_sequence, one.last_sequence, one.text, one.importance)
    query = query.where(one.session == param("session"))
    return query.order_by(one.importance.desc(), one.first_sequence.desc()).limit(param("limit"))


def _pins() -> Any:
    pin = models.Pin
    query = pin.select(pin.id, pin.type, pin.content, pin.importance).where(pin.session == param("session"))
    return query.order_by(pin.importance.desc(), pin.created_at.desc(), pin.id.desc())


def _blocks() -> Any:
    block = models.Block
    query = block.select(block.id, block.label, block.value, block.description)
    return query.where(block.owner_kind == param("owner_kind"), block.owner_id == param("owner_id")).order_by(
        block.label
    )


def _persona() -> Any:
    persona = models.Persona
    return persona.select(persona.prompt).where(persona.id == param("id"), persona.archived_at.is_null())


def _agent() -> Any:
    agent = models.Agent
    return agent.select(agent.definition).where(agent.id == param("id"), agent.archived_at.is_null())


def _counted(model: Any) -> Any:
    from peewee import fn  # with Peewee; see wilk.models

    return model.select(fn.COUNT(model._meta.primary_key))


def _in_session(model: Callable[[], Any]) -> Callable[[], Any]:
    return lambda: _counted(model()).where(model().session == param("session"))


def _archived() -> Any:
    from peewee import SQL  # with Peewee; see wilk.models

    entry = models.ArchiveEntry
    return _counted(entry).where(
        entry.session_id == param("session"), entry.kind == SQL("'message'"), entry.restored_at.is_null()
    )


COUNTS: dict[str, Callable[[], Any]] = {
    "messages": _in_session(lambda: models.Message),
    "archived": _archived,
    "summaries": _in_session(lambda: models.Summary),
    "pins": _in_session(lambda: models.Pin),
    "manifests": _in_session(lambda: models.Manifest),
}
"""How many of what a session has, by the name of the count."""

STATEMENTS: dict[str, Callable[[], Any]] = {
    "contexts.leading": _leading,
    "contexts.recent": _recent,
    "contexts.important": _important,
    "contexts.window": _window,
    "contexts.summaries": _summaries,
    "contexts.pins": _pins,
    "contexts.blocks": _blocks,
    "contexts.persona": _persona,
    "contexts.agent": _agent,
}
"""What a build may run, by name."""
