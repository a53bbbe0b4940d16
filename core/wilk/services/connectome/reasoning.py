"""Reasoning chains: what an agent was told, thought, called and answered, turn by turn."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from wilk import codec, models
from wilk.engine import Engine
from wilk.errors import NotFound
from wilk.events import Events
from wilk.models.statements import param
from wilk.records.connectome import ReasoningChain
from wilk.records.decoding import decoder
from wilk.services.checks import identifier, optional
from wilk.services.checks import limit as limits
from wilk.services.connectome.said import text_of
from wilk.services.keeping.archiver import Archiver

_NAMES = ("name", "tool_name", "tool")
_CALL_IDS = ("id", "call_id", "tool_call_id", "tool_use_id")
_RESULTS = ("result", "content", "output")
_decoded = decoder(ReasoningChain)


class Reasoning:
    """The reasoning chains of a store's agents, in the order in which they were added."""

    def __init__(self, engine: Engine, events: Events, archiver: Archiver) -> None:
        self._engine = engine
        self._events = events
        self._archiver = archiver

    def add(self, agent_id: str, data: Any, *, session: str | None = None) -> ReasoningChain:
        """Keep a chain of an agent as it came."""
        engine = self._engine
        text = codec.dumps(data, "data")
        row = [
            engine.clock.new_id(), identifier("agent_id", agent_id), optional("session", session), text,
            engine.clock.now(),
        ]  # fmt: skip
        with engine.transaction():
            engine.execute(engine.statement("reasoning.insert", _insert).sql, row)
            chain = _decoded([row])[0]
            self._events.saving("reasoning_chain", chain)
            return chain

    def recent(self, agent_id: str, n: int | None = None) -> Sequence[ReasoningChain]:
        """Return the most recent ``n`` chains of an agent, the oldest of them first; all without ``n``."""
        if n is None:
            return _decoded(self._engine.fetch("reasoning.all", _all, (agent_id,)))
        rows = self._engine.fetch("reasoning.recent", _recent, (agent_id, limits(n)))
        return _decoded(reversed(rows))

    def render(self, agent_id: str, n: int | None = 10) -> list[dict[str, str]]:
        """Make messages for a model, ``{"role": …, "content": …}``, of an agent's most recent chains.

        A chain gives what the agent was told (``context_received``), what it thought, answered and
        called (``reasoning_notes``, ``agent_response``, ``tool_calls``), and what came of the calls
        (``tool_results``). A call whose result is not known is left out, and so is a result without
        its call.
        """
        return [message for chain in self.recent(agent_id, n) for message in _rendered(chain.data)]

    def get(self, id: str) -> ReasoningChain:
        """Return the chain; raises NotFound."""
        chain = self.find(id)
        if chain is None:
            raise NotFound("reasoning chain", id)
        return chain

    def find(self, id: str) -> ReasoningChain | None:
        """Return the chain, or None."""
        query = models.ReasoningChain.select(*_fields()).where(models.ReasoningChain.id == id)
        return next(iter(_decoded(self._engine.select(query))), None)

    def list(
        self, *, agent: str | None = None, session: str | None = None, limit: int = 100
    ) -> Sequence[ReasoningChain]:
        """List chains, the latest first."""
        chain = models.ReasoningChain
        query = chain.select(*_fields()).order_by(chain.pk.desc()).limit(limits(limit))
        if agent is not None:
            query = query.where(chain.agent_id == agent)
        if session is not None:
            query = query.where(chain.session_id == session)
        return _decoded(self._engine.select(query))

    def remove(self, id: str, *, reason: str = "removed") -> ReasoningChain:
        """Archive and remove a chain; return it. Raises NotFound."""
        with self._engine.transaction():
            chain = self.get(id)
            self._archiver.remove("reasoning_chain", models.ReasoningChain.id == id, reason=reason)
            self._events.deleted("reasoning_chain", chain)
            return chain


def _rendered(data: Any) -> list[dict[str, str]]:
    if not isinstance(data, Mapping):
        said = text_of(data)
        return [{"role": "assistant", "content": said}] if said else []
    pairs = _paired(_items(data.get("tool_calls")), _items(data.get("tool_results")))
    answered = [
        _shown(data.get("reasoning_notes")),
        _shown(data.get("agent_response")),
        *(
            f"[called {name}({_shown(_first(call, ('arguments', 'parameters', 'input')))})]"
            for name, call, _ in pairs
        ),
    ]
    results = [f"[{name} gave {_shown(_result(result))}]" for name, _, result in pairs]
    messages = (
        ("user", [_shown(data.get("context_received"))]),
        ("assistant", answered),
        ("user", results),
    )
    return [
        {"role": role, "content": "\n\n".join(filter(None, parts))} for role, parts in messages if any(parts)
    ]


def _paired(calls: Sequence[Any], results: Sequence[Any]) -> list[tuple[str, Any, Any]]:
    """Calls with their results: by id where both have one, else by their place among the others."""
    by_id = {id: result for result in results if (id := _first(result, _CALL_IDS[1:] + _CALL_IDS[:1]))}
    unnamed = iter([result for result in results if not _first(result, _CALL_IDS)])
    pairs = []
    for call in calls:
        id = _first(call, _CALL_IDS)
        found = by_id.get(id) if id and id in by_id else next(unnamed, None)
        if found is not None:
            pairs.append((_name(call), call, found))
    return pairs


def _items(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [] if value is None else [value]


def _first(value: Any, keys: Sequence[str]) -> Any:
    if isinstance(value, Mapping):
        return next((value[key] for key in keys if value.get(key) is not None), None)
    return None


def _name(call: Any) -> str:
    function = call.get("function") if isinstance(call, Mapping) else None
    return str(_first(call, _NAMES) or _first(function, _NAMES) or _shown(call))


def _result(result: Any) -> Any:
    found = _first(result, _RESULTS)
    return result if found is None else found


def _shown(value: Any) -> str:
    """Text as it is, anything else as JSON."""
    if value is None:
        return ""
    return codec.storable_text(value if isinstance(value, str) else codec.dumps(value))[0]


def _insert() -> Any:
    return models.ReasoningChain.insert({field: param(field.name) for field in _fields()})


def _all() -> Any:
    chain = models.ReasoningChain
    return chain.select(*_fields()).where(chain.agent_id == param("agent")).order_by(chain.pk)


def _recent() -> Any:
    chain = models.ReasoningChain
    chosen = chain.select(*_fields()).where(chain.agent_id == param("agent"))
    return chosen.order_by(chain.pk.desc()).limit(param("limit"))


def _fields() -> list[Any]:
    return models.fields_of(models.ReasoningChain, ReasoningChain)
