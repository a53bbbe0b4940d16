"""Messages: appended in order, read by sequence, found by their text.

Order is an integer sequence within the session, given in the transaction that writes the message;
it never repeats and owes nothing to the clock. The verbs that run often use statements compiled
once from the models.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime
from types import NoneType
from typing import Any

from wilk import codec, models
from wilk.clock import to_microseconds
from wilk.contracts import Tokenizer
from wilk.engine import Engine
from wilk.errors import Conflict, Invalid, NotFound
from wilk.events import Events
from wilk.models.statements import param
from wilk.records.conversation import AgentUsage, Message, SearchHit
from wilk.services import checks
from wilk.services.checks import days_ago
from wilk.services.checks import limit as limits
from wilk.services.conversation.message_rows import columns
from wilk.services.conversation.message_rows import message as as_message
from wilk.services.conversation.transcript import Transcript, held
from wilk.services.embedding.following import Following
from wilk.services.memory import importance as scoring

ROLES = ("user", "assistant", "system", "tool", "developer")
"""The roles that are known; any other is kept as it came (trap T7)."""

_IDS = 500
_LONGEST_QUERY = 5_000
"""Characters of a search that count: engines bound the size of what they compare."""

_APPENDED = frozenset(
    ["role", "text", "parts", "agent", "model", "tokens", "importance", "interaction", "key", "parent", "id",
     "metadata", "created_at"]
)  # fmt: skip


class Messages:
    """The messages of all sessions of a store."""

    def __init__(
        self,
        engine: Engine,
        events: Events,
        tokenizer: Callable[[], Tokenizer],
        transcript: Transcript,
        appended: Callable[[str, int, int, int, str], None],
        following: Following,
    ) -> None:
        self._engine = engine
        self._events = events
        self._tokenizer = tokenizer
        self._transcript = transcript
        self._appended = appended
        self._following = following
        self._count_tokens: Callable[[str, str | None], int] | None = None

    def append(
        self,
        session_id: str,
        role: str,
        text: str = "",
        *,
        parts: Sequence[Any] | None = None,
        agent: str | None = None,
        model: str | None = None,
        tokens: int | None = None,
        importance: float | None = None,
        interaction: str | None = None,
        key: str | None = None,
        parent: str | None = None,
        id: str | None = None,
        metadata: Mapping[str, Any] | None = None,
        created_at: datetime | None = None,
    ) -> Message:
        """Write one message at the end of a session.

        ``tokens`` not given is counted by the store's tokenizer, ``importance`` (0.0–1.0) by the
        table in ``services/memory/importance.py``. ``key`` makes a retry harmless: the second call with
        the same key and content returns the message of the first. Raises NotFound for an unknown
        session, Conflict for an ``id`` that is taken or a ``key`` used for other content.
        """
        row = self._row(
            session_id, role, text, parts, agent, model, tokens, importance, interaction, key, parent,
            id, metadata, created_at, self._events.watch_scores,
        )  # fmt: skip
        engine = self._engine
        with engine.transaction(beside=key is None and not self._events.watch_saves):
            if key is not None and (earlier := self._earlier(session_id, [row])):
                return earlier[key]
            if id is not None:
                self._check_ids([id])
            row[2] = self._next_sequence(session_id, 1, row[9])
            try:
                engine.execute(engine.statement("messages.insert", _insert).sql, row)
            except Conflict as error:
                raise _taken(row[0], error) from error
            message = as_message(row)
            if self._events.watch_saves:
                self._events.saving("message", message)
            if self._following.queues:
                self._following.queue("message", [message.id])
        return message

    def extend(self, session_id: str, messages: Iterable[Mapping[str, Any]]) -> list[Message]:
        """Write many messages at the end of a session in one transaction: all of them, or none.

        Each is a mapping with ``role``, ``text`` and whatever else :meth:`append` takes, by the
        same names.
        """
        engine = self._engine
        messages = list(messages)
        scored = self._events.watch_scores
        rows = [
            self._row_of(session_id, number, message, scored) for number, message in enumerate(messages, 1)
        ]
        given = {row[0] for row, message in zip(rows, messages, strict=True) if message.get("id") is not None}
        keyed = any(row[12] is not None for row in rows)
        with engine.transaction(beside=not keyed and not self._events.watch_saves):
            earlier = self._earlier(session_id, rows)
            new = _without_repeats(rows, earlier)
            if not new:
                self._check_session(session_id)
                return [earlier[row[12]] for row in rows]
            self._check_ids([row[0] for row in new if row[0] in given])
            tokens = sum(row[9] for row in new)
            first = self._next_sequence(session_id, len(new), tokens) - len(new) + 1
            for sequence, row in enumerate(new, first):
                row[2] = sequence
            try:
                engine.insert_many(engine.statement("messages.insert", _insert), new)
            except Conflict as error:
                raise Conflict(f"one of the messages has an id that is taken: {error}") from error
            written = {row[0]: as_message(row) for row in new}
            by_key = {message.idempotency_key: message for message in written.values()} | dict(earlier)
            if self._events.watch_saves:
                for message in written.values():
                    self._events.saving("message", message)
            if self._following.queues:
                self._following.queue("message", list(written))
        return [written.get(row[0]) or by_key[row[12]] for row in rows]

    def get(self, id: str) -> Message:
        """Return the message; raises NotFound."""
        message = self.find(id)
        if message is None:
            raise NotFound("message", id)
        return message

    def find(self, id: str) -> Message | None:
        """Return the message, or None."""
        row = self._transcript.find(id)
        return None if row is None else as_message(row)

    def last(self, session_id: str, n: int = 50) -> list[Message]:
        """Return the newest ``n`` messages of a session, the oldest of them first (trap T6)."""
        rows = self._transcript.newest(session_id, limits(n))
        if not rows:
            self._check_session(session_id)
        rows.reverse()
        return [as_message(row) for row in rows]

    def page(
        self, session_id: str, *, after: int | None = None, before: int | None = None, limit: int = 100
    ) -> list[Message]:
        """Return messages by sequence, oldest first: after ``after``, or the last before ``before``."""
        if after is not None and before is not None:
            raise Invalid("page takes after or before, not both")
        if before is not None:
            rows = self._transcript.newest(session_id, limits(limit), before)
            rows.reverse()
        else:
            rows = self._transcript.following(session_id, after or 0, limits(limit))
        if not rows:
            self._check_session(session_id)
        return [as_message(row) for row in rows]

    def count(self, session_id: str) -> int:
        """Count a session's messages."""
        rows = self._engine.fetch("messages.count", held, (session_id,))
        if not rows:
            raise NotFound("session", session_id)
        messages: int = rows[0][0]
        return messages

    def search(
        self, text: str, *, session: str | None = None, user: str | None = None, limit: int = 20
    ) -> list[SearchHit]:
        """Find messages that hold all words of ``text``, the best first. Any input is a valid query.

        Messages that a summary stands for are not searched.

        Words are compared without regard to case and accents. Text in scripts without spaces
        (Chinese, Japanese, Thai) and input without any word is compared as it stands.
        """
        text = codec.storable_text(text)[0][:_LONGEST_QUERY].strip()
        full_text = self._engine.full_text
        hits = full_text.matching(text, "messages") if full_text is not None else None
        if hits is not None:
            found = hits.alias("hits")
            query = models.Message.select(*columns(), found.c.rank).join(
                found, on=(found.c.pk == models.Message.pk)
            )
            query = query.order_by(found.c.rank, models.Message.pk.desc())
        elif text:
            query = models.Message.select(*columns(), 0.0).where(models.Message.text.contains(text))
            query = query.order_by(models.Message.pk.desc())
        else:
            return []
        if session is not None:
            query = query.where(models.Message.session == session)
        if user is not None:
            query = query.join(models.Session, on=(models.Session.id == models.Message.session))
            query = query.where(models.Session.user == user)
        rows = self._engine.select(query.limit(limits(limit)))
        return [SearchHit(as_message(row[:-1]), float(row[-1])) for row in rows]

    def usage(self, *, days: float = 30) -> list[AgentUsage]:
        """Count messages and tokens per agent over the last days, the busiest agent first."""
        from peewee import fn  # with Peewee; see wilk.models

        since = days_ago(self._engine.clock.now(), days)
        count = fn.COUNT(models.Message.pk)
        query = (
            models.Message.select(
                models.Message.agent_id,
                count,
                fn.SUM(models.Message.tokens).coerce(False),
                fn.AVG(models.Message.tokens).coerce(False),
                fn.MIN(models.Message.created_at),
                fn.MAX(models.Message.created_at),
            )
            .where(models.Message.agent_id.is_null(False), models.Message.created_at > since)
            .group_by(models.Message.agent_id)
            .order_by(count.desc(), models.Message.agent_id)
        )
        return [
            AgentUsage(agent, messages, int(tokens), float(average), first, last)
            for agent, messages, tokens, average, first, last in self._engine.rows(query)
        ]

    # -- one message as the engine takes it ------------------------------------------------

    def _row(
        self,
        session_id: str,
        role: str,
        text: str,
        parts: Sequence[Any] | None,
        agent: str | None,
        model: str | None,
        tokens: int | None,
        importance: float | None,
        interaction: str | None,
        key: str | None,
        parent: str | None,
        id: str | None,
        metadata: Mapping[str, Any] | None,
        created_at: datetime | None,
        scored: bool,
    ) -> list[Any]:
        """Check the values and put them in the order of ``columns()``; the sequence comes later.

        ``scored`` tells whether a plugin may score the message.
        """
        if type(role) is not str or not 0 < len(role) <= 64:
            raise Invalid(
                f"role {checks.shown(role)}: a text of 1 to 64 characters is wanted, such as "
                f"{', '.join(ROLES)}"
            )
        if not role.isalpha():
            checks.identifier("role", role)
        if not isinstance(text, str):
            raise Invalid(f"text is {type(text).__name__}, not text; structured content goes into parts=")
        if tokens is None:
            if self._count_tokens is None:
                self._count_tokens = self._tokenizer().count
            tokens = self._count_tokens(text, model)
        elif type(tokens) is not int or tokens < 0:
            raise Invalid(f"tokens {checks.shown(tokens)}: a whole number from 0 is wanted")
        for name, value in (("agent", agent), ("model", model), ("interaction", interaction), ("key", key),
                            ("parent", parent), ("id", id)):  # fmt: skip
            if value is None:
                continue
            if type(value) is not str or not value:
                raise Invalid(f"{name} {checks.shown(value)}: a text that is not empty is wanted")
            if not value.isprintable():
                checks.text(name, value)
        if metadata is not None and not isinstance(metadata, Mapping):
            raise Invalid(f"metadata {checks.shown(metadata)}: a mapping is wanted")
        if isinstance(parts, str) or not isinstance(parts, (Sequence, NoneType)):
            raise Invalid(f"parts {checks.shown(parts)}: a list is wanted")
        if importance is not None:
            importance = scoring.check(importance)
        else:
            importance = scoring.score(role, text)
            if scored:
                importance = self._events.scored(role, text, importance)
        clean, original = codec.storable_text(text)
        clock = self._engine.clock
        return [
            clock.new_id() if id is None else id,
            session_id,
            0,
            role,
            clean,
            original,
            None if parts is None else codec.dumps(parts, "parts"),
            agent,
            model,
            tokens,
            importance,
            interaction,
            key,
            parent,
            None,
            codec.dumps(metadata, "metadata") if metadata else None,
            clock.now() if created_at is None else _moment(created_at),
        ]

    def _row_of(self, session_id: str, number: int, message: Mapping[str, Any], scored: bool) -> list[Any]:
        if not isinstance(message, Mapping):
            raise Invalid(
                f"message {number} is {type(message).__name__}: a mapping with role and text is wanted"
            )
        unknown = message.keys() - _APPENDED
        if unknown or "role" not in message:
            fault = f"no {', '.join(map(repr, sorted(unknown)))}" if unknown else "a role"
            raise Invalid(f"message {number}: {fault} is wanted; it takes {', '.join(sorted(_APPENDED))}")
        get = message.get
        return self._row(
            session_id, message["role"], get("text", ""), get("parts"), get("agent"), get("model"),
            get("tokens"), get("importance"), get("interaction"), get("key"), get("parent"), get("id"),
            get("metadata"), get("created_at"), scored,
        )  # fmt: skip

    def _next_sequence(self, session_id: str, n: int, tokens: int) -> int:
        """Take the next ``n`` places of a session and return the last of them.

        The one UPDATE shows that the session exists, counts its messages, notes the activity and,
        on engines with row locks, makes writers to one session take turns.
        """
        now = self._engine.clock.now()
        rows = self._engine.fetch("sessions.advance", _advance, (n, n, tokens, now, session_id))
        if not rows:
            raise NotFound("session", session_id, "make it with store.sessions.create()")
        last, messages, live_tokens, max_tokens, strategy = rows[0]
        self._appended(session_id, messages, live_tokens, max_tokens, strategy)
        return int(last)

    def _earlier(self, session_id: str, rows: list[list[Any]]) -> dict[str, Message]:
        """The messages that were written before under the same keys; Conflict if they differ."""
        keys: dict[str, list[Any]] = {}
        for row in rows:
            if row[12] is not None and _content(keys.setdefault(row[12], row)) != _content(row):
                raise Conflict(f"the key {row[12]!r} stands twice among the messages, with other content")
        found: dict[str, Message] = {}
        for key, row in keys.items():
            for kept in self._transcript.by_key(session_id, key):
                message = as_message(kept)
                if _content(kept) != _content(row):
                    raise Conflict(
                        f"the key {key!r} was used for another message of this session, {message.id}"
                    )
                found[key] = message
        return found

    def _check_ids(self, ids: Sequence[str]) -> None:
        """Raise Conflict for an id that a message has which a summary stands for: it may come back."""
        for start in range(0, len(ids), _IDS):
            if taken := self._transcript.taken(ids[start : start + _IDS]):
                raise Conflict(f"there is a message {taken!r} already")

    def _check_session(self, session_id: str) -> None:
        self.count(session_id)


def _content(row: Sequence[Any]) -> Sequence[Any]:
    """What must be equal for a key to mean the same message: role, text, original and parts."""
    return tuple(row[3:7])


def _without_repeats(rows: list[list[Any]], earlier: Mapping[str, Message]) -> list[list[Any]]:
    """The rows to write: without keys that were written before, or that stand twice in the batch."""
    seen = set(earlier)
    new = []
    for row in rows:
        key = row[12]
        if key is None or key not in seen:
            new.append(row)
            seen.add(key)
    return new


def _taken(id: str, error: Conflict) -> Conflict:
    """What an engine says of a unique column, or of its index by our name for that."""
    taken = re.search(r"\bmessages[._]id\b", str(error))
    return Conflict(f"there is a message {id!r} already") if taken else error


def _moment(created_at: datetime) -> int:
    if not isinstance(created_at, datetime):
        raise Invalid(f"created_at {checks.shown(created_at)}: an aware datetime is wanted")
    try:
        return to_microseconds(created_at)
    except ValueError as error:
        raise Invalid(f"created_at: {error}") from error


# -- statements, compiled once per store ---------------------------------------------------


def _insert() -> Any:
    return models.Message.insert({column: param(column.name) for column in columns()})


def _advance() -> Any:
    return (
        models.Session.update(
            {
                models.Session.last_sequence: models.Session.last_sequence + param("n"),
                models.Session.message_count: models.Session.message_count + param("count"),
                models.Session.token_count: models.Session.token_count + param("tokens"),
                models.Session.updated_at: param("now"),
            }
        )
        .where(models.Session.id == param("id"))
        .returning(
            models.Session.last_sequence,
            models.Session.message_count,
            models.Session.token_count,
            models.Session.max_tokens,
            models.Session.context_strategy,
        )
    )
