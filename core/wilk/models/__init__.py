"""The Peewee models: the one schema, a module per family, over ``base``.

Their names can be taken from here (``from wilk import models``, then ``models.Message``). A family
is imported when one of its models is first asked for, and Peewee with it: verbs whose statements
are compiled beforehand run without either.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from wilk.models.care import Certificate as Certificate
    from wilk.models.care import Forgotten as Forgotten
    from wilk.models.care import Repair as Repair
    from wilk.models.connectome import CacheEntry as CacheEntry
    from wilk.models.connectome import Chunk as Chunk
    from wilk.models.connectome import ChunkInfo as ChunkInfo
    from wilk.models.connectome import Document as Document
    from wilk.models.connectome import Memory as Memory
    from wilk.models.connectome import RawMessage as RawMessage
    from wilk.models.connectome import ReasoningChain as ReasoningChain
    from wilk.models.connectome import SystemState as SystemState
    from wilk.models.conversation import ArchiveEntry as ArchiveEntry
    from wilk.models.conversation import BranchMessage as BranchMessage
    from wilk.models.conversation import Message as Message
    from wilk.models.conversation import Session as Session
    from wilk.models.conversation import ToolCall as ToolCall
    from wilk.models.definitions import Agent as Agent
    from wilk.models.definitions import Definition as Definition
    from wilk.models.definitions import DefinitionFile as DefinitionFile
    from wilk.models.definitions import Persona as Persona
    from wilk.models.definitions import Preset as Preset
    from wilk.models.definitions import Prompt as Prompt
    from wilk.models.definitions import Revision as Revision
    from wilk.models.learning import Action as Action
    from wilk.models.learning import Feedback as Feedback
    from wilk.models.learning import Interaction as Interaction
    from wilk.models.learning import Pattern as Pattern
    from wilk.models.learning import Preference as Preference
    from wilk.models.learning import WorldModel as WorldModel
    from wilk.models.learning import WorldModelSnapshot as WorldModelSnapshot
    from wilk.models.memory import Blob as Blob
    from wilk.models.memory import Block as Block
    from wilk.models.memory import Fact as Fact
    from wilk.models.memory import Manifest as Manifest
    from wilk.models.memory import Pin as Pin
    from wilk.models.memory import Summary as Summary
    from wilk.models.people import Group as Group
    from wilk.models.people import Membership as Membership
    from wilk.models.people import User as User
    from wilk.models.registry import Installation as Installation
    from wilk.models.registry import RegistryPackage as RegistryPackage
    from wilk.models.search import IndexedKind as IndexedKind
    from wilk.models.search import Passage as Passage
    from wilk.models.search import Pending as Pending
    from wilk.models.search import Vector as Vector
    from wilk.models.search import VectorSpace as VectorSpace
    from wilk.models.search import VectorTag as VectorTag
    from wilk.models.transfer import ImportedRecord as ImportedRecord
    from wilk.models.transfer import ImportRun as ImportRun
    from wilk.models.transfer import Move as Move

_FAMILIES = {
    "care": ("Certificate", "Forgotten", "Repair"),
    "conversation": ("ArchiveEntry", "BranchMessage", "Message", "Session", "ToolCall"),
    "definitions": ("Agent", "Definition", "DefinitionFile", "Persona", "Preset", "Prompt", "Revision"),
    "connectome": (
        "CacheEntry",
        "Chunk",
        "ChunkInfo",
        "Document",
        "Memory",
        "RawMessage",
        "ReasoningChain",
        "SystemState",
    ),
    "learning": (
        "Action",
        "Feedback",
        "Interaction",
        "Pattern",
        "Preference",
        "WorldModel",
        "WorldModelSnapshot",
    ),
    "memory": ("Blob", "Block", "Fact", "Manifest", "Pin", "Summary"),
    "people": ("Group", "Membership", "User"),
    "registry": ("Installation", "RegistryPackage"),
    "search": ("IndexedKind", "Passage", "Pending", "Vector", "VectorSpace", "VectorTag"),
    "transfer": ("ImportRun", "ImportedRecord", "Move"),
}
_FAMILY = {name: family for family, names in _FAMILIES.items() for name in names}


def every() -> list[Any]:
    """All models, family by family."""
    return [getattr(import_module(f"wilk.models.{family}"), name) for name, family in _FAMILY.items()]


def fields_of(model: Any, record: Any) -> list[Any]:
    """The model's fields in the order of a record's attributes."""
    return [getattr(model, name) for name in record._fields]


def __getattr__(name: str) -> Any:
    if name not in _FAMILY:
        raise AttributeError(f"module 'wilk.models' has no attribute {name!r}")
    value = globals()[name] = getattr(import_module(f"wilk.models.{_FAMILY[name]}"), name)
    return value
