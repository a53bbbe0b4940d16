"""Sources of agent packages by plugins: by the scheme of an address, and whatever they hand over is checked."""

from __future__ import annotations

import io
import zipfile
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest

import wilk


class Cellar:
    """A source of a plugin: one package, kept in memory."""

    def __init__(self) -> None:
        content = io.BytesIO()
        with zipfile.ZipFile(content, "w") as archive:
            archive.writestr("agent.yaml", "name: Poet\nversion: 1.0.0\n")
        self.data = content.getvalue()
        self.entry: dict[str, Any] = {
            "name": "poet", "version": "1.0.0", "location": "poet.zip",
            "checksum": sha256(self.data).hexdigest(), "downloads": 7, "tags": ["verse"],
        }  # fmt: skip
        self.addresses: list[str] = []
        self.error: Exception | None = None
        self.closed = 0

    @wilk.hookimpl
    def register_registries(self) -> Any:
        yield wilk.Registry("cellar", self.open, "down there")

    def open(self, address: str, settings: wilk.Settings) -> Cellar:
        self.addresses.append(address)
        return self

    def index(self) -> list[dict[str, Any]]:
        if self.error is not None:
            raise self.error
        return [self.entry]

    def fetch(self, location: str, longest: int) -> bytes:
        return self.data

    def close(self) -> None:
        self.closed += 1


@pytest.fixture
def cellar(home: Path) -> Cellar:
    home.mkdir(exist_ok=True)
    (home / "config.yaml").write_text("registries: {mine: 'cellar://left/shelf'}\n")
    return Cellar()


@pytest.fixture
def store(home: Path, cellar: Cellar) -> Any:
    with wilk.open_store(home=home, host=wilk.Host(cellar)) as store:
        yield store


def test_the_scheme_of_an_address_chooses_it(store: wilk.Store, cellar: Cellar) -> None:
    (found,) = store.registry.search("poet", tags=["verse"])
    assert (found.source, found.downloads, cellar.addresses) == ("mine", 7, ["cellar://left/shelf"])
    assert cellar.closed == len(cellar.addresses)


def test_what_it_offers_can_be_installed(store: wilk.Store) -> None:
    store.registry.install("poet")
    assert store.agents.get("poet").name == "Poet"


def test_what_it_hands_over_is_checked(store: wilk.Store, cellar: Cellar) -> None:
    cellar.data += b"more"
    with pytest.raises(wilk.WilkError, match="checksum|SHA-256"):
        store.registry.install("poet")
    assert store.agents.find("poet") is None


def test_its_failure_leaves_what_was_seen_last(store: wilk.Store, cellar: Cellar) -> None:
    store.registry.search("poet")
    cellar.error = wilk.BackendError("it is dark")
    store.registry.refresh(force=True)
    assert [one.name for one in store.registry.search("poet")] == ["poet"]


def test_an_address_of_a_scheme_that_nobody_offers_is_told(home: Path, cellar: Cellar) -> None:
    with (
        wilk.open_store(home=home) as store,
        pytest.raises(wilk.WilkError, match="cellar"),
    ):
        store.registry.search("poet")


def test_one_that_is_away_does_not_hold_up_every_command(home: Path, cellar: Cellar) -> None:
    now = [1_800_000_000_000_000]
    with wilk.open_store(home=home, host=wilk.Host(cellar), clock=wilk.Clock(lambda: now[0])) as store:
        store.registry.search("poet")
        cellar.error = wilk.BackendError("it is dark")
        now[0] += 2 * 3600 * 1_000_000
        for _ in range(3):
            assert [one.name for one in store.registry.search("poet")] == ["poet"]
        assert len(cellar.addresses) == 2
        now[0] += 6 * 60 * 1_000_000
        store.registry.search("poet")
        assert len(cellar.addresses) == 3
