"""The files backend keeps the contract of every backend."""

from __future__ import annotations

from pathlib import Path

import pytest

from wilk.testing import BackendSuite


class TestFiles(BackendSuite):
    @pytest.fixture
    def url(self, tmp_path: Path) -> str:
        return f"files:///{tmp_path}/store"
