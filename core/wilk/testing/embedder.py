"""What every embedder must do: the contract behind ``register_embedders``.

::

    class TestMine(EmbedderSuite):
        @pytest.fixture
        def embedder(self):
            return Embedder("mine", open_mine)

``embedder.open`` must give the same vectors for the same texts each time. A model behind a network is
tested with whatever stands in its place, as long as that answers by the text that it is asked for.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from wilk.contracts import Embedder, Embedding
from wilk.errors import WilkError
from wilk.hookspecs import hookimpl
from wilk.host import Host
from wilk.settings import Settings
from wilk.store import open_store
from wilk.testing.faults.recording import Graded, Seen, fault

if TYPE_CHECKING:
    from numpy import float32
    from numpy.typing import NDArray

TEXTS = (
    "The invoice of the printing house is still open.",
    "Tomatoes are planted outside after the last frost.",
    "Error 23505 in migration 0042_add_tenant",
    "def parse(text): return text.split()",
)
ODD = {
    "empty": "",
    "spaces": " \t\n ",
    "NUL": "before \0 after",
    "only NUL": "\0",
    "a lone surrogate": "half \ud83d of a character",
    "emoji": "\U0001f43a\U0001f469\u200d\U0001f52c",
    "no known script": "\U00012000\U00012001 \ue000",
    "right to left": "\u0645\u0631\u062d\u0628\u0627 \u202e",
    "a long word": "a" * 5_000,
    "100,000 characters": "one word after another " * 4_348,
}
CLOSE = 1e-4
"""Numbers of one text may differ by rounding with what stands beside it in a batch, and by no more."""


class EmbedderSuite(Graded):
    """Subclass it with a fixture ``embedder``."""

    kind = "embedder"
    faults = ("contract", "lock storm", "hostile text")

    def offer(self, request: pytest.FixtureRequest) -> Any:
        return request.getfixturevalue("embedder")

    @pytest.fixture
    def embedder(self) -> Embedder:
        raise NotImplementedError("give a wilk.Embedder")

    @pytest.fixture
    def section(self) -> dict[str, Any]:
        """The plugin's settings: its sections of ``plugins`` in config.yaml, by the plugin's name."""
        return {}

    @pytest.fixture
    def settings(self, tmp_path: Path, section: dict[str, Any]) -> Settings:
        """What the embedder is opened with."""
        url = f"sqlite:///{tmp_path}/wilk.db"
        return Settings(url=url, plugins=section, disabled_plugins=("wilk-audit", "wilk-tokens"))

    @pytest.fixture
    def embedding(self, embedder: Embedder, settings: Settings) -> Iterator[Embedding]:
        opened = embedder.open(settings, None)
        yield opened
        opened.close()

    def test_it_says_what_wilk_must_know(self, embedding: Embedding) -> None:
        assert isinstance(embedding.model, str)
        assert embedding.model.strip() == embedding.model != ""
        assert embedding.batch >= 1
        assert embedding.longest >= 100, "that is less than a sentence"

    def test_there_is_a_vector_for_each_text(self, embedding: Embedding) -> None:
        import numpy as np

        for count in (1, len(TEXTS)):
            vectors = embedding.embed(TEXTS[:count])
            assert vectors.shape == (count, vectors.shape[1])
            assert vectors.dtype == np.float32
            assert np.isfinite(vectors).all()

    def test_no_texts_have_no_vectors(self, embedding: Embedding) -> None:
        assert len(embedding.embed([])) == 0

    def test_more_texts_than_a_batch_are_taken(self, embedding: Embedding) -> None:
        texts = [f"{text} {n}" for n in range(embedding.batch // len(TEXTS) + 1) for text in TEXTS]
        vectors = embedding.embed(texts)
        assert len(vectors) == len(texts)
        _same(vectors[-1:], embedding.embed(texts[-1:]))

    def test_the_same_text_has_the_same_vector(
        self, embedding: Embedding, embedder: Embedder, settings: Settings
    ) -> None:
        vectors = embedding.embed(TEXTS)
        _same(vectors, embedding.embed(TEXTS))
        another = embedder.open(settings, None)
        try:
            assert another.model == embedding.model
            _same(vectors, another.embed(TEXTS))
        finally:
            another.close()

    def test_vectors_come_in_the_order_of_the_texts(self, embedding: Embedding) -> None:
        vectors = embedding.embed(TEXTS)
        _same(vectors[::-1], embedding.embed(TEXTS[::-1]))
        for text, vector in zip(TEXTS, vectors, strict=True):
            _same(vector[None], embedding.embed([text]))

    def test_other_texts_have_other_vectors(self, embedding: Embedding) -> None:
        first, second, *_ = embedding.embed(TEXTS)
        assert abs(first - second).max() > CLOSE

    def test_queries_have_vectors_of_the_same_dimension(self, embedding: Embedding) -> None:
        assert embedding.embed(TEXTS[:1], query=True).shape == embedding.embed(TEXTS[:1]).shape

    def test_all_vectors_are_of_one_dimension(self, embedding: Embedding, seen: Seen) -> None:
        dimension = embedding.embed(TEXTS[:1]).shape[1]
        for name, text in {"another text": TEXTS[1], **ODD}.items():
            seen.tried()
            other = embedding.embed([text]).shape[1]
            if other != dimension:
                seen.found(
                    "changed", f"the vector of {name}, of dimension {other}", f"after one of {dimension}"
                )
        seen.check()

    @fault("hostile text")
    @pytest.mark.parametrize("name", ODD)
    def test_any_text_has_a_vector(self, embedding: Embedding, name: str) -> None:
        import numpy as np

        vectors = embedding.embed([TEXTS[0], ODD[name], TEXTS[1]])
        assert vectors.shape[0] == 3
        assert np.isfinite(vectors).all()
        _same(vectors[[0, 2]], embedding.embed(TEXTS[:2]))

    @fault("lock storm")
    def test_several_threads_may_use_it(self, embedding: Embedding) -> None:
        wanted, failures = embedding.embed(TEXTS), []

        def work() -> None:
            try:
                for _ in range(3):
                    _same(wanted, embedding.embed(TEXTS))
            except BaseException as error:
                failures.append(error)

        threads = [threading.Thread(target=work) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert not failures

    def test_a_model_is_opened_by_its_id(
        self, embedding: Embedding, embedder: Embedder, settings: Settings
    ) -> None:
        again = embedder.open(settings, embedding.model)
        try:
            assert again.model == embedding.model
            _same(again.embed(TEXTS), embedding.embed(TEXTS))
        finally:
            again.close()

    def test_an_id_that_it_does_not_know_is_refused_or_kept(
        self, embedder: Embedder, settings: Settings
    ) -> None:
        """Opening another model under the id that was asked for would mix vectors that do not go together."""
        try:
            opened = embedder.open(settings, "no-such-model@0")
        except WilkError:
            return
        assert opened.model == "no-such-model@0"
        opened.close()

    def test_closing_twice_does_nothing(self, embedder: Embedder, settings: Settings) -> None:
        opened = embedder.open(settings, None)
        opened.embed(TEXTS[:1])
        opened.close()
        opened.close()

    def test_a_store_finds_by_it(self, embedder: Embedder, settings: Settings) -> None:
        class Plugin:
            @hookimpl
            def register_embedders(self) -> Iterator[Embedder]:
                yield embedder

        chosen = replace(settings, embedder=embedder.name, choose={f"embedders.{embedder.name}": "mine"})
        host = Host(disabled=settings.disabled_plugins, prefer=chosen.choose)
        host.register(Plugin(), "mine")
        with open_store(settings=chosen, host=host) as store:
            session = store.sessions.create(id="s").id
            store.messages.extend(session, [{"role": "user", "text": text} for text in TEXTS])
            assert store.settle()
            found = store.search(TEXTS[1])
            assert found[0].record.text == TEXTS[1]
            assert any(reason.by == "vector" for reason in found[0].reasons)


def _same(one: NDArray[float32], other: NDArray[float32]) -> None:
    assert one.shape == other.shape
    assert abs(one - other).max() < CLOSE
