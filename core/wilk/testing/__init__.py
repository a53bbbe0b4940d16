"""Conformance suites: pytest classes that the author of a plugin subclasses. They need pytest."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from wilk.testing.archive import ArchiveSuite
    from wilk.testing.archive_faults import ArchiveFaults
    from wilk.testing.backend import BackendSuite
    from wilk.testing.backend_faults import BackendFaults
    from wilk.testing.cache import CacheSuite
    from wilk.testing.cache_faults import CacheFaults
    from wilk.testing.embedder import EmbedderSuite
    from wilk.testing.registry import RegistrySuite
    from wilk.testing.vector_faults import VectorIndexFaults
    from wilk.testing.vector_index import VectorIndexSuite

# Each is imported when it is asked for: a run of pytest that has no suite in it pays for none.
_MODULES = {
    "ArchiveFaults": "archive_faults",
    "ArchiveSuite": "archive",
    "BackendFaults": "backend_faults",
    "BackendSuite": "backend",
    "CacheFaults": "cache_faults",
    "CacheSuite": "cache",
    "EmbedderSuite": "embedder",
    "RegistrySuite": "registry",
    "VectorIndexFaults": "vector_faults",
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
