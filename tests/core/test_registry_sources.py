"""The sources that ship hold the contract of sources."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote

import pytest

import wilk
from wilk.contracts import RegistrySource
from wilk.registries.folder import open_folder
from wilk.registries.http import open_index
from wilk.testing import RegistrySuite

from .packaging import Shelf, agent, package, settings
from .test_registry_http import serving

pytestmark = pytest.mark.storeless


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


@pytest.mark.parametrize("name", ["a#b", "a?b", "a?", "a#"])
def test_a_url_of_a_folder_names_all_of_it(tmp_path: Path, name: str) -> None:
    (tmp_path / name).mkdir()
    with pytest.raises(wilk.BackendError, match="write %3F for"):
        open_folder(f"file://{tmp_path}/{name}", wilk.Settings())
    assert open_folder(f"file://{quote(str(tmp_path / name))}", wilk.Settings()).index() == []


@pytest.mark.parametrize(
    ("address", "told"),
    [
        ("https://ada:secret@example.org/x", "https://example.org/x"),
        ("https://ada:se/secret@example.org/x", "https://example.org/x"),
        ("https://ada:se#secret@example.org/x", "https://example.org/x"),
        ("https://ada:se?secret@example.org/x", "https://example.org/x"),
        ("https://ada:s@secret@example.org/x", "https://example.org/x"),
        ("https://example.org/index.json?sig=secret", "https://example.org/index.json"),
        ("https://example.org/x#secret", "https://example.org/x"),
        ("https://example.org:8080/@scope/x", "https://example.org:8080/@scope/x"),
        ("https://[::1]:8080/@scope/x", "https://[::1]:8080/@scope/x"),
        ("/srv/a@b?c", "/srv/a@b?c"),
    ],
)
def test_addresses_are_shown_without_what_is_secret(home: Path, address: str, told: str) -> None:
    settings(home, main=address)
    with wilk.open_store(home=home) as store:
        assert [source.address for source in store.registry.sources()] == [told]
