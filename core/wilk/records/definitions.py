"""Records of the definitions family: agents, prompts, personas, presets, revisions, files."""

from collections.abc import Mapping
from datetime import datetime
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from wilk.definitions.permissions import Permissions


class Agent(NamedTuple):
    """An agent: the row that follows ``agents/<id>/agent.yaml`` (the Wilk seed's format)."""

    id: str
    name: str
    description: str | None
    category: str | None
    version: str | None
    author: str | None
    provider: str | None
    model: str | None
    is_installed: bool
    install_path: str | None
    definition: Mapping[str, Any]
    content_hash: str
    revision: int
    created_at: datetime
    updated_at: datetime
    archived_at: datetime | None

    @property
    def permissions(self) -> "Permissions":
        """What the agent may read, write and run; ``./`` in its file stands for the current directory.

        ``store.agents.permissions(id, root=…)`` takes another folder for it.
        """
        from wilk.definitions.permissions import Permissions

        return Permissions.of(self.definition)


class Prompt(NamedTuple):
    """A prompt: the row that follows ``prompts/<id>.yaml``. ``variables`` are the names in its
    ``user_template``, in order of appearance."""

    id: str
    name: str
    description: str | None
    category: str | None
    version: str | None
    system: str | None
    user_template: str | None
    variables: list[str]
    definition: Mapping[str, Any]
    content_hash: str
    revision: int
    created_at: datetime
    updated_at: datetime
    archived_at: datetime | None


class Persona(NamedTuple):
    """A persona, with all of Kalito's columns: ``temperature`` 0–2, ``top_p`` 0–1."""

    id: str
    name: str
    prompt: str
    description: str | None
    icon: str | None
    category: str | None
    default_model: str | None
    suggested_models: list[str]
    temperature: float | None
    max_tokens: int | None
    top_p: float | None
    repeat_penalty: float | None
    stop_sequences: list[str]
    is_default: bool
    definition: Mapping[str, Any]
    content_hash: str
    revision: int
    created_at: datetime
    updated_at: datetime
    archived_at: datetime | None


class Preset(NamedTuple):
    """A preset: a model with its parameters under one name (ChatAI, LibreChat)."""

    id: str
    name: str
    description: str | None
    provider: str | None
    model: str | None
    parameters: Mapping[str, Any]
    definition: Mapping[str, Any]
    content_hash: str
    revision: int
    created_at: datetime
    updated_at: datetime
    archived_at: datetime | None


class Definition(NamedTuple):
    """A definition of a kind without a table of its own: ``mcp-servers.json``, plugins' kinds."""

    kind: str
    id: str
    name: str
    definition: Mapping[str, Any]
    content_hash: str
    revision: int
    created_at: datetime
    updated_at: datetime
    archived_at: datetime | None


class Revision(NamedTuple):
    """One state that a definition had: ``number`` counts from 1; ``definition`` is the whole."""

    kind: str
    id: str
    number: int
    version: str | None
    definition: Mapping[str, Any]
    content_hash: str
    created_at: datetime


class DefinitionFile(NamedTuple):
    """What is known of one file. ``path`` is relative to the home folder; ``state`` is ``ok``,
    ``broken`` (the record keeps the last good content) or ``missing``; ``error`` tells why."""

    path: str
    kind: str
    id: str
    state: str
    error: str | None
    content_hash: str | None
    synced_at: datetime


class Change(NamedTuple):
    """What one sync did to one definition: ``action`` is ``created``, ``updated``, ``archived``
    or ``restored``; ``revision`` the number it has now, ``previous`` the one before, if any.
    ``elsewhere``: another store on the same database did it, and this one has heard of it."""

    kind: str
    id: str
    action: str
    path: str
    revision: int
    previous: int | None
    elsewhere: bool = False


class Failure(NamedTuple):
    """A definition file that could not be taken over; its record keeps the last good content."""

    kind: str
    id: str
    path: str
    problems: tuple[str, ...]


class SyncReport(NamedTuple):
    """What one sync did: counts of files seen and parsed, changes made, failures found."""

    seen: int
    parsed: int
    changes: tuple[Change, ...]
    failures: tuple[Failure, ...]
