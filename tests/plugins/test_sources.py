"""Databases of plugins, from which importers read over the network."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest

import wilk
from wilk import SourceKind, hookimpl

from .distributions import Site

PLUGIN = """
from wilk import SourceKind, hookimpl

class Shelf:
    def collections(self):
        return {"users": 1}

    def read(self, name):
        yield {"_id": "1", "name": "Ada", "email": "ada@example.com", "username": "ada", "provider": "local"}

    def close(self):
        pass

@hookimpl
def register_sources():
    yield SourceKind("shelf", lambda url: Shelf(), "a shelf")
"""

PRESETS = [
    {"presetId": "p1", "title": "Brief", "endpoint": "openAI", "model": "gpt-4o", "temperature": 0.2},
    {"presetId": "p2", "title": "Long", "endpoint": "openAI", "model": "gpt-4o", "temperature": 0.9},
]


class Shelf:
    """A database that tells what is asked of it, and breaks where it is told to."""

    def __init__(self, *, breaks: bool = False) -> None:
        self.breaks = breaks
        self.opened: list[str] = []
        self.closed = 0

    @hookimpl
    def register_sources(self) -> Iterator[SourceKind]:
        yield SourceKind("mongodb", self.open, "a shelf that looks like MongoDB")

    def open(self, url: str) -> Shelf:
        self.opened.append(url)
        return self

    def collections(self) -> dict[str, int | None]:
        return {"presets": len(PRESETS)}

    def read(self, name: str) -> Iterator[dict[str, Any]]:
        yield PRESETS[0]
        if self.breaks:
            raise wilk.BackendError("the shelf fell over")
        yield PRESETS[1]

    def close(self) -> None:
        self.closed += 1


URL = "mongodb://me:canary@shelf/oak"


def store_with(plugin: object) -> wilk.Store:
    return wilk.open_store("sqlite:///:memory:", host=wilk.Host(plugin, disabled=["mongo"]))


def test_an_importer_reads_from_an_address_by_the_plugin_of_its_scheme() -> None:
    shelf = Shelf()
    with store_with(shelf) as store:
        first, second = (store.imports.run("librechat", URL) for _ in range(2))
        assert (first.created, second.created, first.failed) == (2, 0, 0)
        assert "canary" not in str(store.imports.list())
        assert "canary" not in str(first)
        assert [one.importer for one in store.imports.recognize(URL)] == ["librechat"]
    assert shelf.opened == [URL, URL]
    assert shelf.closed == 2


def test_an_import_goes_on_where_a_database_broke() -> None:
    with store_with(Shelf(breaks=True)) as store, pytest.raises(wilk.BackendError, match="fell over"):
        store.imports.run("librechat", URL)
    shelf = Shelf(breaks=True)
    with store_with(shelf) as store:
        with pytest.raises(wilk.BackendError):
            store.imports.run("librechat", URL)
        assert shelf.closed == 1
        shelf.breaks = False
        assert store.imports.run("librechat", URL).failed == 0
        assert [run.status for run in store.imports.list()] == ["finished", "failed"]


def test_an_installed_one_is_found_by_its_scheme(site: Site) -> None:
    site.add("shelf", PLUGIN)
    done = site.python(
        "import wilk\n"
        "host = wilk.Host()\n"
        "shelf = host.source_kind('shelf').open('shelf://oak')\n"
        "tell([list(shelf.read('users'))[0]['name'], [one.summary for one in host.source_kinds() if one.scheme == 'shelf']])\n"
    )
    assert done == ["Ada", ["a shelf"]]


@pytest.mark.parametrize("run", [lambda store: store.imports.run("librechat", URL)])
def test_without_a_plugin_the_error_says_what_to_install(run: Callable[[wilk.Store], object]) -> None:
    store = wilk.open_store("sqlite:///:memory:", host=wilk.Host(disabled=["mongo"]))
    with store, pytest.raises(wilk.PluginError, match="pip install wilk-mongo") as raised:
        run(store)
    assert "canary" not in str(raised.value)
