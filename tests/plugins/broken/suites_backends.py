"""The suite of backends over those that are broken; test_faults.py runs it and reads the grades."""

from __future__ import annotations

from pathlib import Path

import broken_backends
import pytest

from wilk.testing import BackendSuite


class Broken(BackendSuite):
    modules = ("broken_backends",)
    kills = 16

    @pytest.fixture
    def url(self, tmp_path: Path) -> str:
        return f"{type(self).__name__.removeprefix('Test_')}:///{tmp_path}/t.db"


for name in broken_backends.BROKEN:
    globals()[f"Test_{name}"] = type(f"Test_{name}", (Broken,), {})
del Broken, BackendSuite
