"""Conformance suites: pytest classes that the author of a plugin subclasses. They need pytest."""

import pytest

pytest.register_assert_rewrite(
    "wilk.testing.archive",
    "wilk.testing.backend",
    "wilk.testing.cache",
    "wilk.testing.embedder",
    "wilk.testing.registry",
    "wilk.testing.vector_index",
)

from wilk.testing.archive import ArchiveSuite  # noqa: E402 (after its assertions are made to explain)
from wilk.testing.backend import BackendSuite  # noqa: E402 (dito)
from wilk.testing.cache import CacheSuite  # noqa: E402 (dito)
from wilk.testing.embedder import EmbedderSuite  # noqa: E402 (dito)
from wilk.testing.registry import RegistrySuite  # noqa: E402 (dito)
from wilk.testing.vector_index import VectorIndexSuite  # noqa: E402 (dito)

__all__ = ["ArchiveSuite", "BackendSuite", "CacheSuite", "EmbedderSuite", "RegistrySuite", "VectorIndexSuite"]
