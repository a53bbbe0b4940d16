"""Conformance suites: pytest classes that the author of a plugin subclasses. They need pytest."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from wilk.testing.archive import ArchiveSuite
    from wilk.testing.backend import BackendSuite
    from wilk.testing.cache import CacheSuite
    from wilk.testing.embedder import EmbedderSuite
    from wilk.testing.faults.archive import ArchiveFaults
    from wilk.testing.faults.backend import BackendFaults
    from wilk.testing.faults.cache import CacheFaults
    from wilk.testing.faults.vector_index import VectorIndexFaults
    from wilk.testing.registry import RegistrySuite
    from wilk.testing.vector_index import VectorIndexSuite

# Each is imported when it is asked for: a run of pytest that has no suite in it pays for none.
_MODULES = {
    "ArchiveFaults": "faults.archive",
    "ArchiveSuite": "archive",
    "BackendFaults": "faults.backend",
    "BackendSuite": "backend",
    "CacheFaults": "faults.cache",
    "CacheSuite": "cache",
    "EmbedderSuite": "embedder",
    "RegistrySuite": "registry",
    "VectorIndexFaults": "faults.vector_index",
    "VectorIndexSuite": "vector_index",
}

pytest.register_assert_rewrite(*(f"wilk.testing.{module}" for module in _MODULES.values()))

__all__ = [
    "ArchiveFaults",
    "ArchiveSuite",
    "BackendFaults",
    "BackendSuite",
    "CacheFaults",
    "CacheSuite",
    "EmbedderSuite",
    "RegistrySuite",
    "VectorIndexFaults",
    "VectorIndexSuite",
]


def __getattr__(name: str) -> Any:
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"wilk.testing.{_MODULES[name]}"), name)
