"""The sources that ship hold the contract of sources."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

import wilk
from wilk.contracts import RegistrySource
from wilk.registries.folder import open_folder
from wilk.registries.http import open_index
from wilk.testing import RegistrySuite

from .packaging import Shelf, agent, package
from .test_registry_http import serving


@pytest.fixture
def shelf(tmp_path: Path) -> Shelf:
    """A folder with packages in two versions, one that no index names, and an agent's own folder."""
    shelf = Shelf(tmp_path / "shelf")
    shelf.put(package(), tags=["code"], rating=4)
    shelf.put(package("2.0.0"), version="2.0.0")
    return shelf


class TestFolder(RegistrySuite):
    @pytest.fixture
    def source(self, shelf: Shelf) -> RegistrySource:
        return open_folder(str(shelf.root), wilk.Settings())


class TestPlainFolder(RegistrySuite):
    @pytest.fixture
    def source(self, shelf: Shelf) -> RegistrySource:
        (shelf.root / "index.json").unlink()
        (shelf.root / "poet").mkdir()
        (shelf.root / "poet" / "agent.yaml").write_text(agent())
        return open_folder(shelf.root.as_uri(), wilk.Settings())


class TestIndexOverHttp(RegistrySuite):
    @pytest.fixture
    def source(self, shelf: Shelf, tmp_path: Path) -> Iterator[RegistrySource]:
        with serving(shelf.root) as server:
            yield open_index(server.url, wilk.Settings(home=tmp_path / "home"))
