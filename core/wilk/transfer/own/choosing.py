"""What of a store is exported: all rows, or those of some sessions, or of a user, and what they refer to."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

from wilk import codec, models
from wilk.errors import Invalid

if TYPE_CHECKING:
    from wilk.contracts import Choice
    from wilk.engine import Engine

Conditions = Iterator[Any]
_CHUNK = 200

OF_THE_STORE = ("vector_spaces", "vectors")
"""Tables of the store as a whole, of which nothing goes with a choice."""


class Chosen:
    """The rows of some sessions, or of a user: by table, conditions of which each row meets at most one."""

    def __init__(self, engine: Engine, choice: Choice) -> None:
        self._engine = engine
        self.user = choice.user
        session: Any = models.Session
        if choice.sessions is not None:
            self.sessions = sorted(set(choice.sessions))
        else:
            query = session.select(session.id).where(session.user == choice.user)
            self.sessions = sorted(id for (id,) in engine.select(query))
        self._found: dict[str, list[str]] = {}
        self._users = self._of_sessions(session.user, {choice.user} if choice.user else set())
        self._groups = self._of_sessions(session.group, set())
        self.definitions = {"personas": self._of_sessions(session.persona, set()), "agents": self._agents()}
        self._ways = self._tables()

    def conditions(self, table: str) -> Conditions:
        """The conditions on the rows of a table; none for a table of which nothing is taken."""
        way = self._ways.get(table)
        if way is not None:
            yield from way()

    def _tables(self) -> dict[str, Callable[[], Conditions]]:
        m: Any = models
        sessions = self.sessions
        return {
            "users": lambda: _in(m.User.id, self._users),
            "groups": lambda: _in(m.Group.id, self._groups),
            "memberships": self._memberships,
            "agents": lambda: _in(m.Agent.id, self.definitions["agents"]),
            "personas": lambda: _in(m.Persona.id, self.definitions["personas"]),
            "revisions": self._revisions,
            "sessions": lambda: _in(m.Session.id, sessions),
            "messages": lambda: _in(m.Message.session, sessions),
            "branch_messages": lambda: _in(m.BranchMessage.session, sessions),
            "tool_calls": lambda: _in(m.ToolCall.session, sessions),
            "summaries": lambda: _in(m.Summary.session, sessions),
            "pins": lambda: _in(m.Pin.session, sessions),
            "manifests": lambda: _in(m.Manifest.session, sessions),
            "reasoning_chains": lambda: _in(m.ReasoningChain.session_id, sessions),
            "archive": lambda: _in(m.ArchiveEntry.session_id, sessions),
            "blobs": self._blobs,
            "blocks": self._blocks,
            "documents": lambda: _in(m.Document.id, self._documents()),
            "raw_messages": lambda: _in(m.RawMessage.conversation_id, self._documents()),
            "chunks": lambda: _in(m.Chunk.conversation_id, self._documents()),
            "chunk_info": lambda: _in(m.ChunkInfo.conversation_id, self._documents()),
            "facts": lambda: _in(m.Fact.id, self._theirs(m.Fact)),
            "memories": lambda: _in(m.Memory.id, self._memories()),
            "interactions": lambda: _in(m.Interaction.id, self._theirs(m.Interaction)),
            "actions": lambda: _in(m.Action.interaction, self._theirs(m.Interaction)),
            "feedback": lambda: _in(m.Feedback.interaction_id, self._theirs(m.Interaction)),
            "preferences": lambda: _in(m.Preference.user_id, [self.user] if self.user else []),
            "world_models": lambda: _in(m.WorldModel.session_id, sessions),
            "world_model_snapshots": lambda: _in(m.WorldModelSnapshot.world_model, self._worlds()),
        }

    # -- tables that take more than a list of ids -------------------------------------------

    def _memberships(self) -> Conditions:
        one: Any = models.Membership
        for condition in _in(one.user, self._users):
            for other in _in(one.group, self._groups):
                yield condition & other

    def _revisions(self) -> Conditions:
        one: Any = models.Revision
        for kind, ids in self.definitions.items():
            for condition in _in(one.id, ids):
                yield (one.kind == kind) & condition

    def _blocks(self) -> Conditions:
        one: Any = models.Block
        for kind, ids in (("session", self.sessions), ("user", [self.user] if self.user else [])):
            for condition in _in(one.owner_id, ids):
                yield (one.owner_kind == kind) & condition

    def _blobs(self) -> Conditions:
        """What contexts and large results of these sessions hold."""
        call: Any = models.ToolCall
        manifest: Any = models.Manifest
        found = set(
            self._each(
                call.result_hash, lambda some: call.session.in_(some) & call.result_hash.is_null(False)
            )
        )
        for kept in self._each(manifest.items, manifest.session.in_):
            for item in _list(kept):
                if isinstance(item, dict) and isinstance(item.get("hash"), str):
                    found.add(item["hash"])
        return _in(models.Blob.hash, sorted(found))

    # -- ids --------------------------------------------------------------------------------

    def _of_sessions(self, field: Any, ids: set[str]) -> list[str]:
        return sorted(ids | set(self._each(field, models.Session.id.in_)))

    def _agents(self) -> list[str]:
        message: Any = models.Message
        found = set(self._each(message.agent_id, message.session.in_))
        for kept in self._each(models.Session.active_agents, models.Session.id.in_):
            found.update(one for one in _list(kept) if isinstance(one, str))
        return sorted(found)

    def _each(self, field: Any, condition: Callable[[Sequence[str]], Any]) -> Iterator[Any]:
        """The different values of a field in what belongs to these sessions."""
        for some in _parts(self.sessions):
            query = field.model.select(field).where(condition(some)).distinct()
            yield from (value for (value,) in self._engine.select(query) if value is not None)

    def _documents(self) -> list[str]:
        one: Any = models.Document
        return self._ids("documents", one.id, [*_in(one.id, self.sessions), *self._mine(one)])

    def _memories(self) -> list[str]:
        one: Any = models.Memory
        of_documents = self._ids("of documents", one.id, _in(one.conversation_id, self._documents()))
        return sorted({*of_documents, *self._theirs(one)})

    def _theirs(self, model: Any) -> list[str]:
        """The ids of what is of these sessions or of this user."""
        conditions = [*_in(model.session_id, self.sessions), *self._mine(model)]
        return self._ids(model.__name__, model.id, conditions)

    def _worlds(self) -> list[str]:
        one: Any = models.WorldModel
        return self._ids("worlds", one.id, _in(one.session_id, self.sessions))

    def _mine(self, model: Any) -> list[Any]:
        return [] if self.user is None else [model.user_id == self.user]

    def _ids(self, name: str, field: Any, conditions: Iterable[Any]) -> list[str]:
        """The ids of the rows that meet a condition, read once."""
        if name not in self._found:
            found: set[str] = set()
            for condition in conditions:
                found.update(id for (id,) in self._engine.select(field.model.select(field).where(condition)))
            self._found[name] = sorted(found)
        return self._found[name]


def _list(kept: Any) -> list[Any]:
    """A list as its column holds it; of what is none, nothing."""
    try:
        found = codec.loads(kept)
    except (ValueError, TypeError, LookupError, Invalid):
        return []
    return found if isinstance(found, list) else []


def _parts(ids: Sequence[str]) -> Iterator[Sequence[str]]:
    for start in range(0, len(ids), _CHUNK):
        yield ids[start : start + _CHUNK]


def _in(field: Any, ids: Sequence[str]) -> Conditions:
    for some in _parts(ids):
        yield field.in_(some)
