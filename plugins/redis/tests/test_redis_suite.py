"""The contract of cache tiers, against real servers."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.servers.valkey import ValkeyServer

from wilk import CacheTier, Settings
from wilk.testing import CacheSuite
from wilk_redis import register_caches


class TestRedisTier(CacheSuite):
    @pytest.fixture
    def tier(self) -> CacheTier:
        return next(register_caches())

    @pytest.fixture
    def settings(self, tmp_path: Path, server: ValkeyServer) -> Settings:
        url = f"sqlite:///{tmp_path}/home/wilk.db"
        return Settings(
            home=tmp_path / "home",
            url=url,
            disabled_plugins=("wilk-audit", "wilk-tokens"),
            plugins={"redis": {"url": server.url, "timeout": 5}},
        )
