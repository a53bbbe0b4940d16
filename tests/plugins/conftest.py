"""Fixtures for the host's tests: distributions that are really installed, in a folder of their own."""

from __future__ import annotations

from pathlib import Path

import pytest

from .distributions import Site


@pytest.fixture
def site(tmp_path: Path) -> Site:
    """A folder of installed distributions, for the processes that it runs and the hosts that it makes."""
    return Site(tmp_path / "site", tmp_path)
