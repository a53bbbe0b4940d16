"""Conformance suites: pytest classes that the author of a plugin subclasses. They need pytest."""

import pytest

pytest.register_assert_rewrite("wilk.testing.archive", "wilk.testing.backend")

from wilk.testing.archive import ArchiveSuite  # noqa: E402 (after its assertions are made to explain)
from wilk.testing.backend import BackendSuite  # noqa: E402 (dito)

__all__ = ["ArchiveSuite", "BackendSuite"]
