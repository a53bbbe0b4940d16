"""Texts as vectors by a model in this process. Its weights are loaded once, with the first text."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from wilk import BackendError
from wilk_local.loading import loaded
from wilk_local.options import MODELS

if TYPE_CHECKING:
    from numpy import float32
    from numpy.typing import NDArray

    from wilk_local.loading import Model

LONGEST = 2000
"""Characters of a text that are taken in; more cost time and memory, and blur the vector."""


class Local:
    """An open model; any thread may use it, several at once."""

    longest = LONGEST

    def __init__(self, name: str, model: str, threads: int) -> None:
        self.model = model
        self.batch = MODELS[name].batch
        self._name = name
        self._threads = threads
        self._lock = threading.Lock()
        self._loaded: Model | None = None

    def embed(self, texts: Sequence[str], *, query: bool = False) -> NDArray[float32]:
        """Return a vector of length 1 per text. Characters that no model knows count as spaces."""
        if not texts:
            return np.empty((0, MODELS[self._name].dimension), dtype=np.float32)
        vectors = self._model().encode([_sound(text) for text in texts], query)
        if vectors.shape != (len(texts), MODELS[self._name].dimension) or not np.isfinite(vectors).all():
            raise BackendError(f"the model {self.model!r} failed: it gives no sound vectors")
        return vectors

    def close(self) -> None:
        """Let go of the weights; they leave memory with the last one that uses them."""
        with self._lock:
            self._loaded = None

    def _model(self) -> Model:
        with self._lock:
            if self._loaded is None:
                self._loaded = loaded(self._name, self._threads)
            return self._loaded


def _sound(text: str) -> str:
    """What can be handed to a model: C ends a text at NUL, and a lone surrogate has no bytes."""
    cut = text[:LONGEST]
    if "\0" in cut:
        cut = cut.replace("\0", " ")
    if not cut.isascii():
        cut = cut.encode("utf-8", "replace").decode()
    return cut
