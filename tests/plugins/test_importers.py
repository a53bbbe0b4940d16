"""Importers and exporters of plugins: found by name, and imported when they are asked for."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

import wilk
from wilk import Choice, Exporter, Importer, IncomingUser, Writing, hookimpl

from .distributions import Site

PLUGIN = """
from wilk import Exporter, Importer, IncomingUser, hookimpl

@hookimpl
def register_importers():
    yield Importer("notes", lambda source, reading: [IncomingUser("ada", "Ada")], lambda source: "notes", "notes")

@hookimpl
def register_exporters():
    yield Exporter("notes", lambda store, target, choice, writing: target.write_text("notes"), ".txt", "notes")
"""


def test_an_installed_one_is_found_by_its_name(site: Site) -> None:
    site.add("notes", PLUGIN)
    done = site.python(
        "import wilk\n"
        "with wilk.open_store('sqlite:///:memory:') as store:\n"
        "    result = store.imports.run('notes', '.')\n"
        "    store.exports.run('notes', 'notes.txt')\n"
        "    tell([result.created, store.users.get('ada').name, open('notes.txt').read()])\n"
    )
    assert done == [1, "Ada", "notes"]


class Halves:
    """An exporter that breaks in the middle."""

    @hookimpl
    def register_exporters(self) -> Iterator[Exporter]:
        def write(store: wilk.Store, target: Path, choice: Choice, writing: Writing) -> None:
            target.write_text("half")
            raise wilk.WilkError("the pen broke")

        yield Exporter("half", write)


def test_an_export_that_breaks_leaves_what_was_there(tmp_path: Path) -> None:
    target = tmp_path / "kept.txt"
    target.write_text("before")
    store = wilk.open_store("sqlite:///:memory:", host=wilk.Host(Halves()))
    with store, pytest.raises(wilk.WilkError, match="the pen broke"):
        store.exports.run("half", target, replace=True)
    assert {file.name: file.read_text() for file in tmp_path.iterdir() if file.is_file()} == {
        "kept.txt": "before"
    }


def test_two_of_one_name_are_a_clash() -> None:
    class Other:
        @hookimpl
        def register_importers(self) -> Iterator[Importer]:
            yield Importer("librechat", lambda source, reading: [IncomingUser("x", "X")], lambda source: None)

    store = wilk.open_store("sqlite:///:memory:", host=wilk.Host(Other()))
    with store, pytest.raises(wilk.PluginError, match="librechat"):
        store.imports.run("librechat", ".")
