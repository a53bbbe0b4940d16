"""Buses by plugins, and what becomes of those that fail."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

import wilk


class Wire:
    """A bus of a plugin that does as it is told."""

    def __init__(self, *, opens: bool = True) -> None:
        self.opens = opens
        self.told: list[tuple[str, str]] = []
        self.closed = 0

    @wilk.hookimpl
    def register_buses(self) -> Any:
        yield wilk.BusKind("wire", self.open, "a wire")

    def open(self, url: str, settings: wilk.Settings, folder: Any) -> Any:
        if not self.opens:
            raise wilk.SettingsError("bus: the wire has two ends, name both")
        self.folder = folder
        return self

    def publish(self, topic: str, text: str) -> None:
        self.told.append((topic, text))

    def subscribe(self, listener: Callable[[str, str], None]) -> None:
        self.listener = listener

    def close(self) -> None:
        self.closed += 1
        raise OSError("the wire is torn")


@pytest.fixture
def wired(monkeypatch: pytest.MonkeyPatch, plugged: Callable[..., wilk.Store]) -> Callable[..., wilk.Store]:
    monkeypatch.setenv("WILK_BUS", "wire://there")
    return plugged


def test_it_is_given_the_folder_and_every_change(wired: Callable[..., wilk.Store]) -> None:
    wire = Wire()
    store = wired(wire)
    store.cache("x").set("key", 1)
    assert store.home is not None
    assert wire.folder == store.home / "cache"
    assert [topic for topic, _ in wire.told] == ["cache"]
    with pytest.raises(OSError, match="torn"):
        store.close()
    assert wire.closed == 1
    with pytest.raises(wilk.Closed):
        store.sessions.create()


def test_one_that_cannot_be_opened_says_why_where_it_is_needed(wired: Callable[..., wilk.Store]) -> None:
    store = wired(Wire(opens=False))
    with pytest.raises(wilk.SettingsError, match="name both"):
        store.cache("x")
    assert store.prompts.save("p", {"name": "P", "system": "s"}).revision == 1


def test_an_offer_of_another_kind_is_refused(home: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    class Wrong:
        @wilk.hookimpl
        def register_buses(self) -> Any:
            yield "wire"

    monkeypatch.setenv("WILK_BUS", "wire://there")
    with pytest.raises(wilk.PluginError, match="no plugin offers the bus 'wire'"):
        wilk.open_store(home=home, host=wilk.Host(Wrong()))
