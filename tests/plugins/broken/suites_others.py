"""The suites over caches, archives, indexes and embedders that are broken; test_faults.py runs them."""

from __future__ import annotations

from typing import Any

import broken_others
import pytest

from wilk import testing
from wilk.contracts import Archive, CacheTier, Embedder, VectorIndex

SUITES: dict[type, tuple[Any, str]] = {
    CacheTier: (testing.CacheSuite, "tier"),
    Archive: (testing.ArchiveSuite, "archive"),
    VectorIndex: (testing.VectorIndexSuite, "index"),
    Embedder: (testing.EmbedderSuite, "embedder"),
}


def _giving(offer: Any, fixture: str) -> Any:
    return pytest.fixture(name=fixture)(lambda self: offer)


for name, offer in broken_others.OFFERED.items():
    suite, fixture = SUITES[type(offer)]
    body = {fixture: _giving(offer, fixture), "modules": ("broken_others",)}
    globals()[f"Test_{name}"] = type(f"Test_{name}", (suite,), body)
