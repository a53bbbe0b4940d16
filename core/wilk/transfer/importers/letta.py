"""Letta's agent files (``.af``): today's, with lists of agents, blocks and tools, and v1, one agent alone.

Ids in a file are local (``agent-0``), so that the file's name tells agents of different files apart. Values
of environment variables and whatever is named like a secret stay out. Fields that are not known are kept in
the metadata under ``letta``.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime
from typing import TYPE_CHECKING, Any

from wilk.contracts import (
    Incoming,
    IncomingDefinition,
    IncomingRecord,
    IncomingSession,
)
from wilk.errors import Invalid
from wilk.transfer.importers.letta_messages import messages_of
from wilk.transfer.reading import foreign
from wilk.transfer.reading.outlines import outline

if TYPE_CHECKING:
    from wilk.contracts import Reading
    from wilk.transfer.reading.sources import Source, SourceFile

NAME = "letta"
WANTED = "an agent file of Letta (.af), an object with agents, blocks and tools, or of v1 with core_memory"
_LOOKED_AT = 100
_LISTS = ("blocks", "groups", "files", "sources", "tools", "mcp_servers", "skills")
_CHARACTERS_PER_TOKEN = 4
_LEAST_TOKENS = 500
_IN_AGENT = (
    "id", "name", "description", "system", "messages", "in_context_message_ids", "in_context_message_indices",
    "tools", "core_memory", "tool_exec_environment_variables", "tags",
)  # fmt: skip


def recognize(source: Source) -> str | None:
    found = _files(source, _LOOKED_AT)
    return f"Letta agent file{'s' if len(found) > 1 else ''}, {len(found)}" if found else None


def read(source: Source, reading: Reading) -> Iterable[Incoming]:
    files = _files(source)
    if not files:
        raise Invalid(f"{source.text} is no agent file of Letta: it is {source.describe()}. Wanted: {WANTED}")
    course = foreign.Course(reading, files)
    for file in files:
        failed = lambda place, error: reading.fail("agents", place, error)  # noqa: E731
        for item in course.elements(file, failed):
            if isinstance(item, dict):
                yield from _AgentFile(file, item, reading).records()


def _files(source: Source, most: int | None = None) -> list[SourceFile]:
    if source.url is not None:
        return []
    files = source.find("*.af", "*.json") or ([source.only] if source.only is not None else [])
    return [file for file in files[:most] if _is_one(outline(file))]


def _is_one(paths: Mapping[str, str]) -> bool:
    many = paths.get("agents") == "array" and paths.get("blocks") == "array" and paths.get("tools") == "array"
    one = "agent_type" in paths and (
        paths.get("core_memory") == "array" or "in_context_message_indices" in paths
    )
    return many or one


class _AgentFile:
    """What one file holds."""

    def __init__(self, file: SourceFile, item: Mapping[str, Any], reading: Reading) -> None:
        self._file = file.name
        stem = file.name.rsplit("/", 1)[-1]
        for suffix in (".json", ".af"):
            stem = stem.removesuffix(suffix)
        self._stem = foreign.key(stem)
        self._item = item
        self._reading = reading
        self._lists = {name: self._by_id(name) for name in _LISTS}

    def records(self) -> Iterator[Incoming]:
        item = self._item
        if not isinstance(item.get("agents"), list):
            yield from self._agent(item, 0, v1=True)
            return
        for name in _LISTS:
            if name == "blocks":
                continue
            for id, one in self._lists[name].items():
                yield self._document(name, id, one)
        attached: set[str] = set()
        for number, agent in enumerate(item["agents"]):
            if isinstance(agent, dict):
                attached |= {one for one in foreign.listed(agent.get("block_ids")) if isinstance(one, str)}
                yield from self._agent(agent, number)
            else:
                self._reading.fail("agents", f"{self._file}:agents[{number}]", "it is no object")
        for id, block in self._lists["blocks"].items():
            if id not in attached:
                yield self._document("blocks", id, block)
        if more := foreign.rest(item, "agents", *_LISTS):
            yield self._document("file", "whole", more)

    # -- an agent -------------------------------------------------------------------------

    def _agent(self, agent: Mapping[str, Any], number: int, *, v1: bool = False) -> Iterator[Incoming]:
        key = foreign.key(
            f"{self._stem}:{foreign.key(agent.get('id'), number)}" if not v1 else f"{self._stem}:agent"
        )
        name = foreign.name(agent.get("name")) or key
        at = foreign.moment(agent.get("created_at")) or foreign.moment(self._item.get("created_at"))
        definition = foreign.definition(self._definition(agent, name, key), self._reading, key)
        yield IncomingDefinition("agents", key, name, definition)
        blocks = agent.get("core_memory") if v1 else [
            self._lists["blocks"].get(id, id) for id in foreign.listed(agent.get("block_ids"))
        ]  # fmt: skip
        labels: set[str] = set()
        for place, block in enumerate(foreign.listed(blocks)):
            if isinstance(block, dict):
                yield self._block(key, block, place, at, labels)
            else:
                self._reading.fail("block", f"{key}.block_ids[{place}]", "there is no such block in the file")
        if v1:
            for place, tool in enumerate(foreign.listed(agent.get("tools"))):
                if isinstance(tool, dict):
                    yield self._document("tools", foreign.key(tool.get("name"), place), tool)
        said = foreign.listed(agent.get("messages"))
        within = agent.get("in_context_message_indices" if v1 else "in_context_message_ids")
        messages = messages_of(key, said, within, self._reading, NAME)
        if not messages:
            return
        own: dict[str, Any] = {"agent": agent.get("id"), "file": self._file}
        yield IncomingSession(
            f"{key}:messages",
            messages,
            name=name,
            agents=(key,),
            model=_model(agent)[1],
            metadata={NAME: foreign.apart(own)},
            created_at=next((one.created_at for one in messages if one.created_at), at),
            updated_at=next((one.created_at for one in reversed(messages) if one.created_at), None),
        )

    def _definition(self, agent: Mapping[str, Any], name: str, key: str) -> dict[str, Any]:
        provider, model = _model(agent)
        config = foreign.mapping(agent.get("llm_config"))
        own = foreign.rest(agent, *_IN_AGENT)
        if agent.get("tool_exec_environment_variables"):
            self._reading.lost("agents.tool_exec_environment_variables")
        tools = []
        for one in foreign.listed(agent.get("tool_ids")):
            known = self._lists["tools"].get(one, {}) if isinstance(one, str) else {}
            tools.append(foreign.name(known.get("name")) or foreign.name(one))
        tools += [
            foreign.name(one.get("name"))
            for one in foreign.listed(agent.get("tools"))
            if isinstance(one, dict)
        ]
        parameters: dict[str, Any] = {}
        temperature, most = config.get("temperature"), config.get("max_tokens")
        if (
            isinstance(temperature, (int, float))
            and not isinstance(temperature, bool)
            and 0 <= temperature <= 2
        ):
            parameters["temperature"] = temperature
        if foreign.whole(most):
            parameters["max_tokens"] = most
        tags = [
            told
            for one in foreign.listed(agent.get("tags"))
            if (told := foreign.name(foreign.mapping(one).get("tag")) or foreign.name(one))
        ]
        if any(isinstance(one, dict) and one.keys() - {"tag"} for one in foreign.listed(agent.get("tags"))):
            own["tags"] = agent["tags"]
        found: dict[str, Any] = {
            "name": name,
            "model": {"provider": provider, "name": model, "parameters": parameters},
            "tools": [one for one in dict.fromkeys(tools) if one],
            "metadata": {"tags": tags, NAME: foreign.apart({"key": key, **self._public(own, "agents")})},
        }
        found["model"] = {name: value for name, value in found["model"].items() if value}
        if foreign.text(agent.get("description")):
            found["description"] = agent["description"]
        if foreign.text(agent.get("system")):
            found["prompts"] = {"system": agent["system"]}
        return {field: value for field, value in found.items() if value}

    def _block(
        self, agent: str, block: Mapping[str, Any], place: int, at: datetime | None, labels: set[str]
    ) -> IncomingRecord:
        label = foreign.name(block.get("label")) or f"block-{place}"
        if label in labels:  # they are unique here
            self._reading.warn("blocks of one agent with the same label got a number", agent)
            label = f"{label}-{place}"
        labels.add(label)
        value = foreign.text(block.get("value"))
        limit = foreign.whole(block.get("limit")) or 0
        own = foreign.rest(block, "label", "value", "description", "read_only", "created_at", "updated_at")
        times = {
            name: time
            for name in ("created_at", "updated_at")
            if (time := foreign.moment(block.get(name)) or at) is not None
        }
        values = {
            "owner_kind": "agent",
            "owner_id": agent,
            "label": label[:200],
            "value": value,
            "description": foreign.name(block.get("description")),
            "max_tokens": max(limit // _CHARACTERS_PER_TOKEN, len(value) // 2, 1 if limit else _LEAST_TOKENS),
            "read_only": block.get("read_only") is True,
            "metadata": {NAME: foreign.apart(self._public(own, "blocks"))},
            **times,
        }
        key = foreign.key(f"{agent}:{foreign.key(block.get('id'), label)}")
        return IncomingRecord("block", key, values, {"owner_id": "agents"})

    # -- everything else ------------------------------------------------------------------

    def _document(self, kind: str, id: str, one: Mapping[str, Any]) -> IncomingRecord:
        title = next((told for field in ("name", "file_name", "label", "server_name", "description")
                      if (told := foreign.name(one.get(field)))), None)  # fmt: skip
        values = {
            "kind": f"letta-{kind.removesuffix('s')}",
            "title": title,
            "data": foreign.kept(self._public(one, kind)),
            "metadata": {NAME: {"file": self._file}},
        }
        if (
            at := foreign.moment(one.get("created_at")) or foreign.moment(self._item.get("created_at"))
        ) is not None:
            values["created_at"] = at
        return IncomingRecord("document", foreign.key(f"{self._stem}:{kind}:{id}"), values)

    def _by_id(self, name: str) -> dict[str, Mapping[str, Any]]:
        found: dict[str, Mapping[str, Any]] = {}
        if not isinstance(self._item.get("agents"), list):
            return found
        for number, one in enumerate(foreign.listed(self._item.get(name))):
            if isinstance(one, dict):
                found.setdefault(foreign.key(one.get("id"), name, number), one)
            else:
                self._reading.fail("document", f"{self._file}:{name}[{number}]", "it is no object")
        return found

    def _public(self, fields: Mapping[str, Any], path: str) -> dict[str, Any]:
        """Fields without secrets; what is left out is told by its path."""
        from wilk.definitions.redaction import names_secret

        found: dict[str, Any] = {}
        for name, value in fields.items():
            here = f"{path}.{name}"
            hidden = name in ("env", "headers", "custom_headers", "tool_exec_environment_variables")
            if value and (hidden or names_secret(name)) and not isinstance(value, (bool, int)):
                self._reading.lost(here)
            elif isinstance(value, dict):
                found[name] = self._public(value, here) if _shallow(value) else foreign.kept(value)
            elif isinstance(value, list):
                found[name] = [
                    self._public(one, f"{here}[]")
                    if isinstance(one, dict) and _shallow(one)
                    else foreign.kept(one)
                    for one in value
                ]
            else:
                found[name] = value
        return found


def _shallow(value: Mapping[str, Any]) -> bool:
    """Whether a value can be kept at all: what is deeper is set aside whole."""
    return foreign.kept(value) is value


def _model(agent: Mapping[str, Any]) -> tuple[str | None, str | None]:
    """The provider and the model of an agent."""
    config = foreign.mapping(agent.get("llm_config"))
    provider = foreign.name(config.get("provider_name")) or foreign.name(config.get("model_endpoint_type"))
    handle = foreign.name(agent.get("model")) or ""
    model = foreign.name(config.get("model")) or handle.rpartition("/")[2] or None
    return provider or handle.rpartition("/")[0] or None, model
