"""A backend whose processes are killed, and whose disk is full."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import pytest

from wilk.store import Store
from wilk.testing.faults.backend_fixtures import BackendFixtures
from wilk.testing.faults.kills import Killed, Opening
from wilk.testing.faults.plugins import told
from wilk.testing.faults.script import Script
from wilk.testing.faults.steps import Steps


class KilledBackend(Killed, BackendFixtures):
    """What was acknowledged is there, once, and what was not is there as a whole or not at all."""

    act = "wilk.testing.faults.script:act"

    def steps(self, tag: str) -> Steps:
        return Script(tag)

    @pytest.fixture
    def job(self, url: str, settings: Mapping[str, Any]) -> Mapping[str, Any]:
        return {"settings": {**told(settings), "url": url}}

    @pytest.fixture
    def opening(self, opens: Callable[..., Store]) -> Opening:
        return lambda _: opens()

    @pytest.fixture
    def ends_with_its_process(self, has: Callable[[str], bool]) -> str:
        return "" if has("persistent") else "it does not outlive its process"
