"""What plugins hand over: frozen dataclasses, and the small Protocols behind them, a module per kind.

Everything here is import-light: a plugin module may import it at its top and still load in a
few milliseconds. Functions are handed over unbound and called when something asks for them. A kind's
module is imported when one of its names is first asked for.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from wilk.contracts.archives import Archive as Archive
    from wilk.contracts.archives import ArchiveStorage as ArchiveStorage
    from wilk.contracts.backends import Backend as Backend
    from wilk.contracts.backends import Bus as Bus
    from wilk.contracts.backends import BusKind as BusKind
    from wilk.contracts.backends import Erasing as Erasing
    from wilk.contracts.backends import FullText as FullText
    from wilk.contracts.backends import Opened as Opened
    from wilk.contracts.backends import Pool as Pool
    from wilk.contracts.caches import CachePolicy as CachePolicy
    from wilk.contracts.caches import CacheStorage as CacheStorage
    from wilk.contracts.caches import CacheTier as CacheTier
    from wilk.contracts.definitions import DefinitionKind as DefinitionKind
    from wilk.contracts.definitions import Problem as Problem
    from wilk.contracts.definitions import SchemaNode as SchemaNode
    from wilk.contracts.embedders import Embedder as Embedder
    from wilk.contracts.embedders import Embedding as Embedding
    from wilk.contracts.extensions import Command as Command
    from wilk.contracts.extensions import ModelSet as ModelSet
    from wilk.contracts.extensions import Strategy as Strategy
    from wilk.contracts.extensions import Tokenizer as Tokenizer
    from wilk.contracts.figures import EngineState as EngineState
    from wilk.contracts.figures import Figures as Figures
    from wilk.contracts.figures import Lock as Lock
    from wilk.contracts.figures import PoolFigures as PoolFigures
    from wilk.contracts.figures import Replica as Replica
    from wilk.contracts.figures import Sizes as Sizes
    from wilk.contracts.figures import TableSize as TableSize
    from wilk.contracts.maintenance import Maintaining as Maintaining
    from wilk.contracts.maintenance import Outcome as Outcome
    from wilk.contracts.maintenance import Step as Step
    from wilk.contracts.registries import Registry as Registry
    from wilk.contracts.registries import RegistrySource as RegistrySource
    from wilk.contracts.tools import Tool as Tool
    from wilk.contracts.tools import ToolContext as ToolContext
    from wilk.contracts.transfer import Choice as Choice
    from wilk.contracts.transfer import Documents as Documents
    from wilk.contracts.transfer import Exporter as Exporter
    from wilk.contracts.transfer import Importer as Importer
    from wilk.contracts.transfer import Incoming as Incoming
    from wilk.contracts.transfer import IncomingCall as IncomingCall
    from wilk.contracts.transfer import IncomingDefinition as IncomingDefinition
    from wilk.contracts.transfer import IncomingGroup as IncomingGroup
    from wilk.contracts.transfer import IncomingMessage as IncomingMessage
    from wilk.contracts.transfer import IncomingRecord as IncomingRecord
    from wilk.contracts.transfer import IncomingSession as IncomingSession
    from wilk.contracts.transfer import IncomingUser as IncomingUser
    from wilk.contracts.transfer import IncomingVector as IncomingVector
    from wilk.contracts.transfer import Reading as Reading
    from wilk.contracts.transfer import SourceKind as SourceKind
    from wilk.contracts.transfer import Writing as Writing
    from wilk.contracts.vectors import Nearest as Nearest
    from wilk.contracts.vectors import SpaceRows as SpaceRows
    from wilk.contracts.vectors import VectorIndex as VectorIndex

API_VERSION = (1, 0)
"""Major and minor of this contract. A plugin module may declare ``wilk_api = (1, 0)``."""

_FAMILIES = {
    "archives": ("ArchiveStorage", "Archive"),
    "backends": ("Bus", "BusKind", "Erasing", "FullText", "Pool", "Opened", "Backend"),
    "caches": ("CachePolicy", "CacheStorage", "CacheTier"),
    "definitions": ("DefinitionKind", "Problem", "SchemaNode"),
    "embedders": ("Embedding", "Embedder"),
    "extensions": ("Tokenizer", "Strategy", "Command", "ModelSet"),
    "maintenance": ("Maintaining", "Outcome", "Step"),
    "figures": ("EngineState", "Figures", "Lock", "PoolFigures", "Replica", "Sizes", "TableSize"),
    "registries": ("RegistrySource", "Registry"),
    "tools": ("Tool", "ToolContext"),
    "transfer": (
        "Choice",
        "Documents",
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
        "Reading",
        "SourceKind",
        "Writing",
    ),
    "vectors": ("SpaceRows", "Nearest", "VectorIndex"),
}
_FAMILY = {name: family for family, names in _FAMILIES.items() for name in names}


def __getattr__(name: str) -> Any:
    if name not in _FAMILY:
        raise AttributeError(f"module 'wilk.contracts' has no attribute {name!r}")
    value = globals()[name] = getattr(import_module(f"wilk.contracts.{_FAMILY[name]}"), name)
    return value
