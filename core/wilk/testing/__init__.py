"""Conformance suites: pytest classes that the author of a plugin subclasses. They need pytest."""

import pytest

pytest.register_assert_rewrite("wilk.testing.backend")

from wilk.testing.backend import BackendSuite  # noqa: E402 (after its assertions are made to explain)

__all__ = ["BackendSuite"]
