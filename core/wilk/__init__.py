"""wilk keeps what AI agents know: agents and prompts as YAML files, sessions and messages.

The public names, and nothing else. They are imported on first use, so that ``import wilk``
costs next to nothing.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from wilk.aio import AsyncStore as AsyncStore
    from wilk.aio import open_async_store as open_async_store
    from wilk.aio.caches import AsyncResponseCache as AsyncResponseCache
    from wilk.caches.decorating import cached as cached
    from wilk.caches.responses import ResponseCache as ResponseCache
    from wilk.care.recovering import recover as recover
    from wilk.clock import Clock as Clock
    from wilk.contracts import API_VERSION as API_VERSION
    from wilk.contracts import Archive as Archive
    from wilk.contracts import ArchiveStorage as ArchiveStorage
    from wilk.contracts import Backend as Backend
    from wilk.contracts import Bus as Bus
    from wilk.contracts import BusKind as BusKind
    from wilk.contracts import CachePolicy as CachePolicy
    from wilk.contracts import CacheStorage as CacheStorage
    from wilk.contracts import CacheTier as CacheTier
    from wilk.contracts import Choice as Choice
    from wilk.contracts import Command as Command
    from wilk.contracts import DefinitionKind as DefinitionKind
    from wilk.contracts import Documents as Documents
    from wilk.contracts import Embedder as Embedder
    from wilk.contracts import Embedding as Embedding
    from wilk.contracts import Exporter as Exporter
    from wilk.contracts import Importer as Importer
    from wilk.contracts import Incoming as Incoming
    from wilk.contracts import IncomingCall as IncomingCall
    from wilk.contracts import IncomingDefinition as IncomingDefinition
    from wilk.contracts import IncomingGroup as IncomingGroup
    from wilk.contracts import IncomingMessage as IncomingMessage
    from wilk.contracts import IncomingRecord as IncomingRecord
    from wilk.contracts import IncomingSession as IncomingSession
    from wilk.contracts import IncomingUser as IncomingUser
    from wilk.contracts import IncomingVector as IncomingVector
    from wilk.contracts import ModelSet as ModelSet
    from wilk.contracts import Nearest as Nearest
    from wilk.contracts import Opened as Opened
    from wilk.contracts import Problem as Problem
    from wilk.contracts import Reading as Reading
    from wilk.contracts import Registry as Registry
    from wilk.contracts import RegistrySource as RegistrySource
    from wilk.contracts import SourceKind as SourceKind
    from wilk.contracts import SpaceRows as SpaceRows
    from wilk.contracts import Strategy as Strategy
    from wilk.contracts import Tokenizer as Tokenizer
    from wilk.contracts import Tool as Tool
    from wilk.contracts import ToolContext as ToolContext
    from wilk.contracts import VectorIndex as VectorIndex
    from wilk.contracts import Writing as Writing
    from wilk.errors import BackendError as BackendError
    from wilk.errors import Busy as Busy
    from wilk.errors import Closed as Closed
    from wilk.errors import Conflict as Conflict
    from wilk.errors import Invalid as Invalid
    from wilk.errors import InvalidDefinition as InvalidDefinition
    from wilk.errors import MoveFailed as MoveFailed
    from wilk.errors import NotFound as NotFound
    from wilk.errors import NotStorable as NotStorable
    from wilk.errors import OverBudget as OverBudget
    from wilk.errors import PluginError as PluginError
    from wilk.errors import Protected as Protected
    from wilk.errors import ReadOnly as ReadOnly
    from wilk.errors import Rejected as Rejected
    from wilk.errors import SchemaError as SchemaError
    from wilk.errors import SettingsError as SettingsError
    from wilk.errors import ToolFailed as ToolFailed
    from wilk.errors import ToolsMissing as ToolsMissing
    from wilk.errors import WilkError as WilkError
    from wilk.hookspecs import hookimpl as hookimpl
    from wilk.host import Host as Host
    from wilk.models.base import JsonField as JsonField
    from wilk.models.base import Model as Model
    from wilk.models.base import TimeField as TimeField
    from wilk.settings import Settings as Settings
    from wilk.store import Store as Store
    from wilk.store import open_store as open_store
    from wilk.transfer.reading.sources import Source as Source

__version__ = "0.1.0"

_HOMES = {
    "wilk.aio": ("AsyncStore", "open_async_store"),
    "wilk.aio.caches": ("AsyncResponseCache",),
    "wilk.caches.decorating": ("cached",),
    "wilk.caches.responses": ("ResponseCache",),
    "wilk.care.recovering": ("recover",),
    "wilk.clock": ("Clock",),
    "wilk.contracts": (
        "API_VERSION",
        "Archive",
        "ArchiveStorage",
        "Backend",
        "Bus",
        "BusKind",
        "CachePolicy",
        "CacheStorage",
        "CacheTier",
        "Command",
        "Choice",
        "Exporter",
        "Importer",
        "Incoming",
        "IncomingCall",
        "IncomingDefinition",
        "IncomingGroup",
        "IncomingMessage",
        "IncomingRecord",
        "IncomingSession",
        "IncomingUser",
        "IncomingVector",
        "DefinitionKind",
        "Documents",
        "Embedder",
        "Embedding",
        "ModelSet",
        "Nearest",
        "Opened",
        "Problem",
        "Reading",
        "Registry",
        "RegistrySource",
        "SourceKind",
        "SpaceRows",
        "Strategy",
        "Tokenizer",
        "Tool",
        "ToolContext",
        "VectorIndex",
        "Writing",
    ),
    "wilk.errors": (
        "BackendError",
        "Busy",
        "Closed",
        "Conflict",
        "Invalid",
        "InvalidDefinition",
        "MoveFailed",
        "NotFound",
        "NotStorable",
        "OverBudget",
        "PluginError",
        "Protected",
        "ReadOnly",
        "Rejected",
        "SchemaError",
        "SettingsError",
        "ToolFailed",
        "ToolsMissing",
        "WilkError",
    ),
    "wilk.hookspecs": ("hookimpl",),
    "wilk.host": ("Host",),
    "wilk.models.base": ("JsonField", "Model", "TimeField"),
    "wilk.settings": ("Settings",),
    "wilk.store": ("Store", "open_store"),
    "wilk.transfer.reading.sources": ("Source",),
}
_HOME = {name: module for module, names in _HOMES.items() for name in names}

__all__ = sorted(_HOME)


def __getattr__(name: str) -> Any:
    try:
        module = _HOME[name]
    except KeyError:
        raise AttributeError(f"module 'wilk' has no attribute {name!r}") from None
    value = globals()[name] = getattr(import_module(module), name)
    return value


def __dir__() -> list[str]:
    return sorted([*globals(), *_HOME])
