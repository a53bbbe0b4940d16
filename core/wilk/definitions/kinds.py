"""The kinds of definitions that ship: agents, prompts, personas, presets, MCP servers, settings.

They come in through the same entry point as a plugin's kinds. A kind says where its files lie,
what they may hold, and which columns of its table follow from them.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from wilk.contracts import DefinitionKind, Problem
from wilk.definitions import redaction, templates
from wilk.definitions.schema import (
    Anything,
    Flag,
    Integer,
    ListOf,
    MapOf,
    Nothing,
    Number,
    OneOf,
    Path,
    Section,
    Text,
    did_you_mean,
    in_kind,
    in_words,
)
from wilk.hookspecs import hookimpl

if TYPE_CHECKING:
    from wilk.models.base import Model


@hookimpl
def register_definition_kinds() -> Iterator[DefinitionKind]:
    """Offer the kinds that ship."""
    yield DefinitionKind(
        name="agents",
        pattern="agents/{id}/agent.yaml",
        schema=AGENT,
        redact=redaction.hide,
        summary="agents, with their tools/ and workflows/ beside them",
        model=lambda: _model("Agent"),
        columns=_agent_columns,
    )
    yield DefinitionKind(
        name="prompts",
        pattern="prompts/{id}.yaml",
        schema=PROMPT,
        redact=redaction.hide_prompt,
        summary="prompts with variables",
        model=lambda: _model("Prompt"),
        columns=_prompt_columns,
    )
    yield DefinitionKind(
        name="personas",
        pattern="personas/{id}.yaml",
        schema=PERSONA,
        redact=redaction.hide,
        summary="personas: a prompt with the settings of its model, one default per category",
        model=lambda: _model("Persona"),
        columns=_persona_columns,
    )
    yield DefinitionKind(
        name="presets",
        pattern="presets/{id}.yaml",
        schema=PRESET,
        redact=redaction.hide,
        summary="presets: a model with its parameters under one name",
        model=lambda: _model("Preset"),
        columns=_preset_columns,
    )
    yield DefinitionKind(
        name="mcp-servers",
        pattern="mcp-servers.json",
        schema=MCP_SERVERS,
        summary="MCP servers; what env and headers hold stays in the file",
        redact=redaction.hide_servers,
    )
    yield DefinitionKind(
        name="config",
        pattern="config.yaml",
        schema=_Config(),
        summary="settings",
        redact=redaction.hide,
    )


_TEXT = Text()
_TEXTS = ListOf(_TEXT)
_TEXT_OR_TEXTS = OneOf((_TEXT, _TEXTS), "text or a list of text")

_PARAMETERS: dict[str, Any] = {
    "temperature": Number(0, 2),
    "max_tokens": Integer(1),
    "top_p": Number(0, 1),
    "top_k": Integer(0),
    "presence_penalty": Number(-2, 2),
    "frequency_penalty": Number(-2, 2),
    "repeat_penalty": Number(0),
    "seed": Integer(),
    "stop": _TEXT_OR_TEXTS,
}
"""Parameters of models that mean the same everywhere; others are kept as they are."""

_CAMEL = {
    "maxTokens": "max_tokens",
    "topP": "top_p",
    "topK": "top_k",
    "stopSequences": "stop_sequences",
    "repeatPenalty": "repeat_penalty",
    "presencePenalty": "presence_penalty",
    "frequencyPenalty": "frequency_penalty",
}
"""Kalito's and LibreChat's names, and wilk's."""

_MODEL = Section(optional={"provider": _TEXT, "name": _TEXT, "parameters": Section(optional=_PARAMETERS)})

AGENT = Section(
    required={"name": Text(filled=True)},
    optional={
        "version": _TEXT,
        "description": _TEXT,
        "category": _TEXT,
        "author": _TEXT,
        "model": _MODEL,
        "tools": _TEXTS,
        "permissions": Section(
            optional={
                "filesystem": Section(optional={"read": _TEXTS, "write": _TEXTS}),
                "shell": Section(optional={"allowed": _TEXTS, "blocked": _TEXTS}),
            }
        ),
        "prompts": Section(optional={"system": _TEXT, "user_template": _TEXT}),
        "memory": Section(
            optional={
                "project_context": Flag(),
                "conversation_history": Flag(),
                "max_context_tokens": Integer(1),
            }
        ),
        "metadata": Section(
            optional={"tags": _TEXTS, "documentation": _TEXT, "tests": _TEXT_OR_TEXTS, "license": _TEXT}
        ),
    },
)
"""The agent format of the Wilk seed, in full."""


def _needs_one_of(*names: str) -> Any:
    def rule(value: Mapping[str, Any], path: Path) -> Iterator[Problem]:
        if not any(value.get(name) for name in names):
            yield Problem(path, f"one of the fields {', '.join(names)} is needed")

    return rule


def _not_both(first: str, second: str) -> Any:
    def rule(value: Mapping[str, Any], path: Path) -> Iterator[Problem]:
        if value.get(first) is not None and value.get(second) is not None:
            yield Problem((*path, second), f"this is another name of {first}, which is there too; keep one")

    return rule


_VARIABLE = Section(optional={"description": _TEXT, "default": Anything(), "required": Flag()})

PROMPT = Section(
    optional={
        "name": Text(filled=True),
        "version": _TEXT,
        "description": _TEXT,
        "category": _TEXT,
        "author": _TEXT,
        "system": _TEXT,
        "user_template": _TEXT,
        "template": _TEXT,
        "variables": OneOf(
            (
                MapOf(
                    OneOf(
                        (_VARIABLE, _TEXT, Nothing()), "a mapping (description, default, required), or a text"
                    )
                ),
                ListOf(
                    OneOf(
                        (_TEXT, Section(required={"name": Text(filled=True)}, optional=_VARIABLE.optional)),
                        "a name, or a mapping with a name",
                    )
                ),
            ),
            "names with descriptions, or a list of names",
        ),
        "tags": _TEXTS,
        "metadata": Section(),
    },
    rules=(_needs_one_of("system", "user_template", "template"), _not_both("user_template", "template")),
)

_PERSONA_SETTINGS: dict[str, Any] = {
    "temperature": _PARAMETERS["temperature"],
    "max_tokens": _PARAMETERS["max_tokens"],
    "top_p": _PARAMETERS["top_p"],
    "repeat_penalty": _PARAMETERS["repeat_penalty"],
    "stop_sequences": _TEXT_OR_TEXTS,
}

PERSONA = Section(
    required={"name": Text(filled=True), "prompt": Text(filled=True)},
    optional={
        "description": _TEXT,
        "icon": _TEXT,
        "category": Text(filled=True),
        "default_model": _TEXT,
        "suggested_models": _TEXTS,
        "default": Flag(),
        "is_default": OneOf((Flag(), Integer(0, 1)), "true or false"),
        "metadata": Section(),
        **_PERSONA_SETTINGS,
        **{camel: _PERSONA_SETTINGS[name] for camel, name in _CAMEL.items() if name in _PERSONA_SETTINGS},
    },
    rules=(
        _not_both("default", "is_default"),
        *(_not_both(name, camel) for camel, name in _CAMEL.items() if name in _PERSONA_SETTINGS),
    ),
)
"""Kalito's personas; its names with capitals (``maxTokens``) are taken as well as wilk's."""

_PRESET_PARAMETERS = {
    **_PARAMETERS,
    **{camel: _PARAMETERS[name] for camel, name in _CAMEL.items() if name in _PARAMETERS},
}

PRESET = Section(
    optional={
        "name": Text(filled=True),
        "title": Text(filled=True),
        "description": _TEXT,
        "provider": _TEXT,
        "endpoint": _TEXT,
        "model": OneOf((_TEXT, _MODEL), "the name of a model, or a mapping (provider, name, parameters)"),
        "parameters": Section(optional=_PRESET_PARAMETERS),
        "metadata": Section(),
        **_PRESET_PARAMETERS,
    },
    rules=(_needs_one_of("model", "parameters"),),
)

_SECRET = Text(secret=True)
_SERVER = Section(
    optional={
        "command": Text(filled=True, secret=True),
        "args": ListOf(_SECRET, secret=True),
        "env": MapOf(_SECRET, secret=True),
        "cwd": _SECRET,
        "url": _SECRET,
        "headers": MapOf(_SECRET, secret=True),
        "transport": _SECRET,
        "type": _SECRET,
        "disabled": Flag(secret=True),
        "timeout": Number(0, secret=True),
    },
    rules=(_needs_one_of("command", "url"),),
    secret=True,
)
_SERVERS = MapOf(_SERVER, secret=True)

MCP_SERVERS = Section(
    optional={"mcpServers": _SERVERS, "servers": _SERVERS},
    rules=(_not_both("mcpServers", "servers"),),
    secret=True,
)
"""``mcp-servers.json`` as Claude and ChatAI write it (``mcpServers``), or with plain ``servers``."""


_MAY_HOLD_SECRETS = ("url", "plugins", "registries")


class _Config:
    """Takes what the settings take."""

    def check(self, value: Any, path: Path = ()) -> Iterator[Problem]:
        from wilk.settings import SETTINGS

        known = {setting.name: setting for setting in SETTINGS}
        if not isinstance(value, Mapping):
            yield Problem(path, f"expected settings, found {in_kind(value)}")
            return
        for name, item in value.items():
            setting = known.get(name)
            if setting is None:
                hint = did_you_mean(name, known) or f"; known: {', '.join(sorted(known))}"
                yield Problem((*path, name), f"there is no such setting{hint}")
            elif item is not None:
                try:
                    setting.take(item)
                except (ValueError, TypeError):
                    found = in_kind(item) if name in _MAY_HOLD_SECRETS else in_words(item)
                    yield Problem((*path, name), f"expected {setting.expected}, found {found}")


def _model(name: str) -> type[Model]:
    from wilk.models import definitions

    model: type[Model] = getattr(definitions, name)
    return model


def _agent_columns(id: str, definition: Mapping[str, Any]) -> dict[str, Any]:
    model = definition.get("model") or {}
    return {
        "description": definition.get("description"),
        "category": definition.get("category"),
        "version": definition.get("version"),
        "author": definition.get("author"),
        "provider": model.get("provider"),
        "model": model.get("name"),
        "is_installed": True,
        "install_path": f"agents/{id}",
    }


def _prompt_columns(_id: str, definition: Mapping[str, Any]) -> dict[str, Any]:
    template = definition.get("user_template") or definition.get("template")
    return {
        "description": definition.get("description"),
        "category": definition.get("category"),
        "version": definition.get("version"),
        "system": definition.get("system"),
        "user_template": template,
        "variables": templates.variables(template),
    }


def _persona_columns(_id: str, definition: Mapping[str, Any]) -> dict[str, Any]:
    settings = {_CAMEL.get(name, name): value for name, value in definition.items() if value is not None}
    stop = settings.get("stop_sequences", [])
    return {
        "prompt": definition["prompt"],
        "description": settings.get("description"),
        "icon": settings.get("icon"),
        "category": settings.get("category", "general"),
        "default_model": settings.get("default_model"),
        "suggested_models": settings.get("suggested_models", []),
        "temperature": settings.get("temperature"),
        "max_tokens": settings.get("max_tokens"),
        "top_p": settings.get("top_p"),
        "repeat_penalty": settings.get("repeat_penalty"),
        "stop_sequences": [stop] if isinstance(stop, str) else stop,
        "is_default": bool(settings.get("default", settings.get("is_default", False))),
    }


def _preset_columns(_id: str, definition: Mapping[str, Any]) -> dict[str, Any]:
    model = definition.get("model")
    nested = model if isinstance(model, Mapping) else {"name": model}
    given = {name: definition[name] for name in _PRESET_PARAMETERS if definition.get(name) is not None}
    parameters = {**(nested.get("parameters") or {}), **(definition.get("parameters") or {}), **given}
    return {
        "description": definition.get("description"),
        "provider": definition.get("provider") or definition.get("endpoint") or nested.get("provider"),
        "model": nested.get("name"),
        "parameters": {_CAMEL.get(name, name): value for name, value in parameters.items()},
    }
