"""Sessions: conversations and their settings, forks, and which one is current."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from wilk import clock, codec, files, models
from wilk.contracts import Strategy
from wilk.engine import Engine
from wilk.errors import Conflict, Invalid, NotFound, ReadOnly
from wilk.events import Events
from wilk.models.statements import param
from wilk.records.conversation import Session
from wilk.records.decoding import decoder
from wilk.services import checks
from wilk.services.arguments import UNSET, Unset
from wilk.services.checks import days_ago
from wilk.services.checks import limit as limits
from wilk.services.conversation.message_rows import COLUMNS, columns
from wilk.services.conversation.transcript import Transcript
from wilk.services.keeping.archiver import Archiver
from wilk.settings import STRATEGIES, Settings

STATUSES = ("active", "paused", "completed", "archived")
_decoded = decoder(Session)
_COPY_CHUNK = 1000


class Sessions:
    """The conversations of a store."""

    def __init__(
        self,
        engine: Engine,
        events: Events,
        settings: Settings,
        archiver: Archiver,
        strategies: Callable[[], Sequence[Strategy]],
        transcript: Transcript,
    ) -> None:
        self._engine = engine
        self._events = events
        self._settings = settings
        self._archiver = archiver
        self._strategies = strategies
        self._transcript = transcript

    def create(
        self,
        *,
        id: str | None = None,
        name: str | None = None,
        working_directory: str | Path | None = None,
        agents: Sequence[str] = (),
        persona: str | None = None,
        model: str | None = None,
        context_strategy: str | None = None,
        max_tokens: int | None = None,
        recap: str | None = None,
        context_file: str | Path | None = None,
        user: str | None = None,
        group: str | None = None,
        saved: bool = False,
        metadata: Mapping[str, Any] | None = None,
    ) -> Session:
        """Begin a session; what is not given comes from the persona, then from the settings.

        Raises NotFound for an unknown persona, user or group, and Conflict for an id that is taken.
        """
        with self._engine.transaction():
            preferred = self._check_references(persona, user, group)
            now = clock.to_datetime(self._engine.clock.now())
            session = Session(
                id=self._engine.clock.new_id() if id is None else _checked_id(id),
                name=name,
                status="active",
                saved=saved,
                working_directory=_path("working_directory", working_directory),
                active_agents=_names(agents),
                persona_id=persona,
                model=model or preferred or self._settings.default_model,
                context_strategy=self._strategy(context_strategy or self._settings.context_strategy),
                max_tokens=_budget(self._settings.max_tokens if max_tokens is None else max_tokens),
                recap=recap,
                context_file=_path("context_file", context_file),
                user_id=user,
                group_id=group,
                fork_of=None,
                fork_sequence=None,
                last_sequence=0,
                message_count=0,
                token_count=0,
                metadata=dict(metadata or {}),
                created_at=now,
                updated_at=now,
            )
            self._insert(session)
            self._events.saving("session", session)
            return session

    def get(self, id: str) -> Session:
        """Return the session; raises NotFound."""
        session = self.find(id)
        if session is None:
            raise NotFound("session", id)
        return session

    def find(self, id: str) -> Session | None:
        """Return the session, or None."""
        rows = self._engine.fetch("sessions.find", _find, (id,))
        return next(iter(_decoded(rows)), None)

    def list(
        self,
        *,
        user: str | None = None,
        group: str | None = None,
        saved: bool | None = None,
        status: str | None = None,
        limit: int = 50,
        after: str | None = None,
    ) -> Sequence[Session]:
        """List sessions, the latest activity first; ``after`` is the last id of the page before."""
        if all(given is None for given in (user, group, saved, status, after)):
            return _decoded(self._engine.fetch("sessions.list", _list, (limits(limit),)))
        query = _select()
        if user is not None:
            query = query.where(models.Session.user == user)
        if group is not None:
            query = query.where(models.Session.group == group)
        if saved is not None:
            query = query.where(models.Session.saved == saved)
        if status is not None:
            query = query.where(models.Session.status == _status(status))
        if after is not None:
            last = self.get(after)
            query = query.where(
                (models.Session.updated_at < last.updated_at)
                | ((models.Session.updated_at == last.updated_at) & (models.Session.id < after))
            )
        return _decoded(self._engine.select(_latest_first(query).limit(limits(limit))))

    def recent(self, *, days: float = 7, limit: int = 10, user: str | None = None) -> Sequence[Session]:
        """List the sessions of the last days with their message counts, the latest activity first."""
        since = days_ago(self._engine.clock.now(), days)
        if user is None:
            return _decoded(self._engine.fetch("sessions.recent", _recent, (since, limits(limit))))
        query = _select().where(models.Session.updated_at > since, models.Session.user == user)
        return _decoded(self._engine.select(_latest_first(query).limit(limits(limit))))

    def update(
        self,
        id: str,
        *,
        name: str | Unset | None = UNSET,
        status: str | Unset = UNSET,
        working_directory: str | Path | Unset | None = UNSET,
        agents: Sequence[str] | Unset = UNSET,
        persona: str | Unset | None = UNSET,
        model: str | Unset = UNSET,
        context_strategy: str | Unset = UNSET,
        max_tokens: int | Unset = UNSET,
        recap: str | Unset | None = UNSET,
        context_file: str | Path | Unset | None = UNSET,
        user: str | Unset | None = UNSET,
        group: str | Unset | None = UNSET,
        saved: bool | Unset = UNSET,
        metadata: Mapping[str, Any] | Unset = UNSET,
    ) -> Session:
        """Change the given fields of a session, and no other. Messages are not touched (trap T1)."""
        with self._engine.transaction():
            self.get(id)
            self._check_references(
                None if persona is UNSET else persona,
                None if user is UNSET else user,
                None if group is UNSET else group,
            )
            values: dict[Any, Any] = {}
            if name is not UNSET:
                values[models.Session.name] = checks.text("name", name)
            if status is not UNSET:
                values[models.Session.status] = _status(status)
            if working_directory is not UNSET:
                values[models.Session.working_directory] = _path("working_directory", working_directory)
            if agents is not UNSET:
                values[models.Session.active_agents] = _names(agents)
            if persona is not UNSET:
                values[models.Session.persona] = persona
            if model is not UNSET:
                if not isinstance(model, str) or not model:
                    raise Invalid(f"model {checks.shown(model)}: a name is wanted")
                values[models.Session.model] = checks.text("model", model)
            if context_strategy is not UNSET:
                values[models.Session.context_strategy] = self._strategy(context_strategy)
            if max_tokens is not UNSET:
                values[models.Session.max_tokens] = _budget(max_tokens)
            if recap is not UNSET:
                values[models.Session.recap] = checks.text("recap", recap)
            if context_file is not UNSET:
                values[models.Session.context_file] = _path("context_file", context_file)
            if user is not UNSET:
                values[models.Session.user] = user
            if group is not UNSET:
                values[models.Session.group] = group
            if saved is not UNSET:
                values[models.Session.saved] = saved
            if metadata is not UNSET:
                values[models.Session.metadata] = dict(metadata)
            values[models.Session.updated_at] = self._engine.clock.now()
            self._engine.run(models.Session.update(values).where(models.Session.id == id))
            session = self.get(id)
            self._events.saving("session", session)
            return session

    def save(self, id: str, *, saved: bool = True) -> Session:
        """Keep a session for good; with ``saved=False`` make it temporary again."""
        return self.update(id, saved=saved)

    def fork(self, id: str, *, at: int | None = None, name: str | None = None) -> Session:
        """Begin a new session with a copy of another's messages, up to sequence ``at`` (or all).

        Copies keep their sequence and name their origin; tool calls and pins of copied messages come
        along, and so do pins of no message and working memory. What a summary stands for is copied as
        the messages that it was made from; summaries are not.
        """
        with self._engine.transaction():
            source = self.get(id)
            at = source.last_sequence if at is None else at
            if not 0 <= at <= source.last_sequence:
                raise Invalid(f"at {at!r}: session {id!r} has messages up to {source.last_sequence}")
            now = clock.to_datetime(self._engine.clock.now())
            fork = source._replace(
                id=self._engine.clock.new_id(),
                name=name if name is not None else source.name,
                status="active",
                fork_of=id,
                fork_sequence=at,
                last_sequence=at,
                message_count=0,
                token_count=0,
                created_at=now,
                updated_at=now,
            )
            self._insert(fork)
            copied, tokens = self._copy_messages(id, fork.id, at)
            self._archiver.count_messages(fork.id, copied, tokens)
            fork = self.get(fork.id)
            self._events.saving("session", fork)
            return fork

    def remove(self, id: str, *, reason: str = "removed") -> Session:
        """Archive a session with its messages and tool calls, and remove them; return its last state.

        The archiver does what a cascade would do, so nothing is lost (trap T14).
        """
        with self._engine.transaction():
            session = self.get(id)
            self._archiver.remove("session", models.Session.id == id, reason=reason)
            self._events.deleted("session", session)
            return session

    def use(self, id: str) -> Session:
        """Make a session the current one of this home folder (``sessions/current.json``)."""
        if self._engine.readonly:
            raise ReadOnly("the store was opened with readonly; open it without to choose a session")
        session = self.get(id)
        data = codec.pretty({"session": session.id, "name": session.name}) + "\n"
        files.write_atomic(self._current_file(), data.encode())
        return session

    def current(self) -> Session | None:
        """Return the current session of this home folder, or None when there is none any more."""
        try:
            data = self._current_file().read_bytes()
        except FileNotFoundError:
            return None
        try:
            kept = codec.parse(data)
        except Invalid as error:
            raise Invalid(f"{self._current_file()}: {error}; choose a session again") from error
        id = kept.get("session") if isinstance(kept, dict) else None
        return self.find(id) if isinstance(id, str) else None

    def _current_file(self) -> Path:
        if self._settings.home is None:
            raise Invalid(
                "this store has no home folder, so no session is current; open it with home=DIR (--home DIR)"
            )
        return self._settings.home / "sessions" / "current.json"

    def _strategy(self, name: str) -> str:
        """Check the name of a strategy; plugins are asked only for one that does not ship."""
        if name not in STRATEGIES:
            known = [*STRATEGIES, *(one.name for one in self._strategies() if one.name not in STRATEGIES)]
            if name not in known:
                raise Invalid(f"context_strategy {checks.shown(name)}: one of {', '.join(known)} is wanted")
        return name

    def _insert(self, session: Session) -> None:
        for name in _TEXTS:
            checks.text(name, getattr(session, name))
        values = [
            field.db_value(value)
            for field, value in zip(models.fields_of(models.Session, Session), session, strict=True)
        ]
        try:
            self._engine.execute(self._engine.statement("sessions.insert", _insert).sql, values)
        except Conflict as error:
            raise Conflict(f"there is a session {session.id!r} already") from error

    def _check_references(self, persona: str | None, user: str | None, group: str | None) -> str | None:
        """Raise NotFound for what does not exist; return the model that the persona prefers."""
        if user is not None:
            _check_exists(self._engine, models.User, "user", user)
        if group is not None:
            _check_exists(self._engine, models.Group, "group", group)
        if persona is None:
            return None
        row = self._engine.row(
            models.Persona.select(models.Persona.default_model).where(
                models.Persona.id == persona, models.Persona.archived_at.is_null()
            )
        )
        if row is None:
            raise NotFound("persona", persona, "`wilk personas list` shows the ones there are")
        model: str | None = row[0]
        return model

    def _copy_messages(self, source: str, target: str, at: int) -> tuple[int, int]:
        """Copy messages and what hangs on them, with new ids; return how many, and their tokens."""
        new_ids: dict[str, str] = {}
        insert = self._engine.statement(
            "messages.copy",
            lambda: models.Message.insert({column: param(column.name) for column in columns()}),
        )
        last = tokens = 0
        while rows := self._transcript.following(source, last, _COPY_CHUNK):
            copies = []
            for row in rows:
                values = dict(zip(COLUMNS, row, strict=True))
                last = values["sequence"]
                if last > at:
                    break
                tokens += values["tokens"]
                new_ids[values["id"]] = new_id = self._engine.clock.new_id()
                parent = values["parent_id"]
                values |= {
                    "id": new_id,
                    "session_id": target,
                    "origin_id": values["id"],
                    "parent_id": new_ids.get(parent, parent),
                }
                copies.append([values[name] for name in COLUMNS])
            self._engine.insert_many(insert, copies)
            self._events.following.queue("message", [row[0] for row in copies])
            if last >= at:
                break
        self._copy_tool_calls(source, target, new_ids)
        self._copy_pins(source, target, new_ids)
        self._copy_blocks(source, target)
        return len(new_ids), tokens

    def _copy_pins(self, source: str, target: str, new_ids: Mapping[str, str]) -> None:
        fields = models.Pin._meta.sorted_fields
        for row in self._engine.select(models.Pin.select(*fields).where(models.Pin.session == source)):
            values = dict(zip([field.name for field in fields], row, strict=True))
            origin = values["source_message_id"]
            if origin is None or origin in new_ids:
                copied = self._copy(models.Pin, values, session=target, source_message_id=new_ids.get(origin))
                self._events.following.rebuild("pin", [copied])

    def _copy_blocks(self, source: str, target: str) -> None:
        block, fields = models.Block, models.Block._meta.sorted_fields
        query = block.select(*fields).where(block.owner_kind == "session", block.owner_id == source)
        for row in self._engine.select(query):
            values = dict(zip([field.name for field in fields], row, strict=True))
            self._copy(block, values, owner_id=target)

    def _copy(self, model: Any, values: Mapping[str, Any], **changed: Any) -> str:
        """Insert a row, as the engine holds it, once more under a new id, which is returned."""
        names = list(values)
        insert = self._engine.statement(
            f"{model._meta.table_name}.copy",
            lambda: model.insert({getattr(model, name): param(name) for name in names}),
        )
        copied = {**values, **changed, "id": self._engine.clock.new_id()}
        self._engine.execute(insert.sql, [copied[name] for name in insert.names])
        return str(copied["id"])

    def _copy_tool_calls(self, source: str, target: str, new_ids: Mapping[str, str]) -> None:
        fields = models.ToolCall._meta.sorted_fields
        names = [field.name for field in fields]
        rows = self._engine.rows(
            models.ToolCall.select(*fields).where(
                models.ToolCall.session == source, models.ToolCall.message_id.is_null(False)
            )
        )
        for row in rows:
            values = dict(zip(names, row, strict=True))
            if values["message_id"] in new_ids:
                values |= {
                    "id": self._engine.clock.new_id(),
                    "session": target,
                    "message_id": new_ids[values["message_id"]],
                }
                self._engine.run(models.ToolCall.insert(values))


def _select() -> Any:
    return models.Session.select(*models.fields_of(models.Session, Session))


def _latest_first(query: Any) -> Any:
    return query.order_by(models.Session.updated_at.desc(), models.Session.id.desc())


def _find() -> Any:
    return _select().where(models.Session.id == param("id"))


def _list() -> Any:
    return _latest_first(_select()).limit(param("limit"))


def _recent() -> Any:
    return _latest_first(_select().where(models.Session.updated_at > param("since"))).limit(param("limit"))


def _check_exists(engine: Engine, model: type[models.User] | type[models.Group], kind: str, id: str) -> None:
    if not engine.fetch(f"{kind}s.exists", partial(_exists, model), (id,)):
        raise NotFound(kind, id, f"save it first with store.{kind}s.save({id!r}, name=...)")


def _exists(model: type[models.User] | type[models.Group]) -> Any:
    return model.select(model.id).where(model.id == param("id"))


def _insert() -> Any:
    fields = models.fields_of(models.Session, Session)
    return models.Session.insert({field: param(field.name) for field in fields})


_TEXTS = ("name", "working_directory", "recap", "context_file", "model")


def _checked_id(id: str) -> str:
    if not isinstance(id, str) or not 0 < len(id) <= 200:
        raise Invalid(f"session id {checks.shown(id)}: a text of 1 to 200 characters is wanted")
    return checks.identifier("session id", id, longest=200)


def _path(name: str, value: str | Path | None) -> str | None:
    return checks.text(name, os.fspath(value) if isinstance(value, os.PathLike) else value)


def _names(agents: Sequence[str]) -> list[str]:
    if isinstance(agents, str) or not all(isinstance(agent, str) for agent in agents):
        raise Invalid(f"agents {checks.shown(agents)}: a list of agent ids is wanted")
    return list(agents)


def _status(name: str) -> str:
    if name not in STATUSES:
        raise Invalid(f"status {checks.shown(name)}: one of {', '.join(STATUSES)} is wanted")
    return name


def _budget(tokens: int) -> int:
    if isinstance(tokens, bool) or not isinstance(tokens, int) or tokens < 1:
        raise Invalid(f"max_tokens {checks.shown(tokens)}: a whole number from 1 is wanted")
    return tokens
