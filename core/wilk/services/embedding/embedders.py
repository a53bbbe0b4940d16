"""The embedding models of one store: the one that the settings name, and those that spaces still have."""

from __future__ import annotations

import logging
import os
import threading
import time
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from wilk.errors import BackendError, Invalid, WilkError
from wilk.services.embedding.passages import parted

if TYPE_CHECKING:
    from wilk.contracts import Embedder, Embedding
    from wilk.services.vectors.spaces import Space
    from wilk.settings import Settings

logger = logging.getLogger("wilk.embedding")

_TRY_AGAIN = 60.0  # seconds after which a model that could not be opened is tried again


class Embedders:
    """Opens models when they are first needed, and keeps them open. Several threads may ask at once."""

    def __init__(self, settings: Settings, find: Callable[[str], Embedder]) -> None:
        self._settings = settings
        self._find = find
        self._begin()

    def _begin(self) -> None:
        self._pid = os.getpid()
        self._lock = threading.Lock()
        self._chosen: Embedding | None = None
        self._others: dict[tuple[str, str], Embedding] = {}
        self._missing: dict[tuple[str, str], float] = {}

    @property
    def name(self) -> str:
        """The embedder of the settings; ``none`` for none."""
        return self._settings.embedder

    def check(self) -> None:
        """Raise PluginError when the settings name an embedder that is not installed."""
        if self.name != "none":
            self._find(self.name)

    def chosen(self) -> Embedding:
        """The model that the settings name; raises SettingsError, PluginError or BackendError."""
        self._forked()
        with self._lock:
            if self._chosen is None:
                self._chosen = self._open(self.name, None)
                self._missing.pop((self.name, ""), None)
            return self._chosen

    @property
    def opened(self) -> bool:
        """Whether the model that the settings name is open already."""
        return self._chosen is not None and self._pid == os.getpid()

    def of(self, space: Space) -> Embedding | None:
        """The model of a space, or None when it is not to be had: told once, and tried again later."""
        embedder = space.embedder or self.name
        if embedder == self.name and not self._waits((embedder, "")):
            try:
                if (chosen := self.chosen()).model == space.model:
                    return chosen
            except WilkError:  # where the configured one is not there, the space's own may be
                self._missing[embedder, ""] = time.monotonic()
        key = (embedder, space.model)
        self._forked()
        with self._lock:
            if key in self._others:
                return self._others[key]
            if self._waits(key):
                return None
            try:
                opened = self._open(embedder, space.model)
                if opened.model != space.model:
                    opened.close()
                    raise BackendError(f"the embedder gives {opened.model!r} instead")
            except WilkError as error:
                if key not in self._missing:
                    logger.warning(
                        "the model %r of embedder %r is not to be had: %s", space.model, embedder, error
                    )
                self._missing[key] = time.monotonic()
                return None
            self._others[key] = opened
            self._missing.pop(key, None)
            return opened

    def _waits(self, key: tuple[str, str]) -> bool:
        """Whether a model could not be opened a moment ago."""
        tried = self._missing.get(key)
        return tried is not None and time.monotonic() < tried + _TRY_AGAIN

    def _open(self, embedder: str, model: str | None) -> Embedding:
        try:
            opened = self._find(embedder).open(self._settings, model)
            sizes = opened.batch, opened.longest
            if not isinstance(opened.model, str) or not all(isinstance(one, int) for one in sizes):
                raise TypeError(f"model {opened.model!r}, batch {sizes[0]!r}, longest {sizes[1]!r}")
            return opened
        except WilkError:
            raise
        except Exception as error:
            named = "its model" if model is None else f"the model {model!r}"
            raise BackendError(
                f"the embedder {embedder!r} failed to open {named}: {type(error).__name__}: {error}"
            ) from error

    def close(self) -> None:
        """Close every model. What is asked for afterwards is opened again."""
        if self._pid != os.getpid():
            return
        with self._lock:
            opened = [*self._others.values(), *([] if self._chosen is None else [self._chosen])]
            self._others, self._chosen = {}, None
        for one in opened:
            try:
                one.close()
            except Exception as error:  # of the plugin's, whatever it is: the others are let go of as well
                logger.warning("a model of the embedder cannot be closed: %s", error)

    def _forked(self) -> None:
        """In a forked child: leave the parent's models and their connections alone."""
        if self._pid != os.getpid():
            self._begin()


class Refused(str):
    """Why a model does not take a text."""

    __slots__ = ()


def embed(
    embedding: Embedding,
    texts: Sequence[str],
    *,
    query: bool = False,
    pause: Callable[[], object] = lambda: None,
) -> list[bytes | Refused]:
    """Turn texts into vectors, float32 little-endian, by the batches of a model.

    A text that is longer than the model takes in gives the mean of its pieces' vectors, weighted by their
    lengths. ``pause`` is called before each call of the model. Raises BackendError for what may work later;
    an error of another kind is a fault of the embedder, and comes as one.
    """
    import numpy as np

    longest, batch = max(1, embedding.longest), max(1, embedding.batch)
    pieces = [(place, piece) for place, text in enumerate(texts) for piece in _pieces(text, longest)]
    found: list[Any] = []
    for start in range(0, len(pieces), batch):
        pause()
        found += _vectors(embedding, [piece for _, piece in pieces[start : start + batch]], query)
    of: list[list[Any]] = [[] for _ in texts]
    weights: list[list[int]] = [[] for _ in texts]
    for (place, piece), vector in zip(pieces, found, strict=True):
        of[place].append(vector)
        weights[place].append(len(piece))
    made: list[bytes | Refused] = []
    for vectors, lengths in zip(of, weights, strict=True):
        refused = next((one for one in vectors if isinstance(one, Refused)), None)
        if refused is not None:
            made.append(refused)
            continue
        one = vectors[0] if len(vectors) == 1 else np.average(vectors, axis=0, weights=lengths)
        made.append(np.ascontiguousarray(one, dtype="<f4").tobytes())
    return made


def _pieces(text: str, longest: int) -> list[str]:
    return [text] if len(text) <= longest else parted(text, longest) or [text[:longest]]


def _vectors(embedding: Embedding, texts: Sequence[str], query: bool) -> list[Any]:
    """A vector for each text, or why it is refused: a batch that is refused is parted until it is known whose
    fault that is."""
    try:
        return _checked(embedding, texts, query)
    except Invalid as error:
        if len(texts) == 1:
            return [Refused(str(error))]
    middle = len(texts) // 2
    return [*_vectors(embedding, texts[:middle], query), *_vectors(embedding, texts[middle:], query)]


def _checked(embedding: Embedding, texts: Sequence[str], query: bool) -> list[Any]:
    import numpy as np

    try:
        answer = embedding.embed(texts, query=query)
        vectors = np.asarray(answer, dtype=np.float32)
    except WilkError:
        raise
    except Exception as error:
        raise BackendError(
            f"the embedder of {embedding.model!r} failed: {type(error).__name__}: {error}"
        ) from error
    if vectors.ndim != 2 or len(vectors) != len(texts) or not vectors.shape[1]:
        raise BackendError(
            f"the embedder of {embedding.model!r} gives an array of {vectors.shape} for {len(texts)} texts"
        )
    if not np.isfinite(vectors).all():
        raise BackendError(f"the embedder of {embedding.model!r} gives vectors that are not finite")
    return list(vectors)
