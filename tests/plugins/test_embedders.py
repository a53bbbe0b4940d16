"""Embedders of plugins: chosen by name, closed with the store, and told of when they are not to be had."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import wilk


class Letters:
    """An embedder of a plugin: counts the letters a to h."""

    model, batch, longest = "letters", 8, 1000

    def __init__(self) -> None:
        self.asked: list[tuple[list[str], bool]] = []
        self.closed = False

    @wilk.hookimpl
    def register_embedders(self) -> Any:
        yield wilk.Embedder("letters", lambda settings, model: self, "counts letters")

    def embed(self, texts: Any, *, query: bool = False) -> Any:
        self.asked.append((list(texts), query))
        return np.array([[text.lower().count(letter) for letter in "abcdefgh"] for text in texts], np.float32)

    def close(self) -> None:
        self.closed = True


@pytest.fixture
def letters() -> Letters:
    return Letters()


def test_the_one_that_is_chosen_makes_the_vectors_of_what_is_written(
    home: Path, letters: Letters, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WILK_EMBEDDER", "letters")
    with wilk.open_store(home=home, host=wilk.Host(letters)) as store:
        session = store.sessions.create().id
        store.pins.add(session, "aaaa bbbb")
        store.pins.add(session, "hhhh gggg")
        store.settle()
        assert [one.record.content for one in store.search("hg ghh")] == ["hhhh gggg"]
        (reason,) = store.search("hg ghh")[0].reasons
        assert (reason.by, store.index.status()[2].model) == ("vector", "letters")
    assert (["aaaa bbbb", "hhhh gggg"], False) in letters.asked or (["hhhh gggg"], False) in letters.asked
    assert (["hg ghh"], True) in letters.asked
    assert letters.closed


def test_one_that_is_not_installed_is_told_of_by_its_name(
    home: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("WILK_EMBEDDER", "nobody")
    with wilk.open_store(home=home) as store:
        assert "no plugin offers the embedder 'nobody'" in caplog.text
        store.memories.add("a memory")
        with pytest.raises(wilk.PluginError, match="nobody"):
            store.index.update()


def test_two_of_one_name_are_a_clash(
    home: Path, letters: Letters, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("WILK_EMBEDDER", "letters")
    with wilk.open_store(home=home, host=wilk.Host(letters, Letters())):
        assert "choose: {embedders.letters: DISTRIBUTION}" in caplog.text
