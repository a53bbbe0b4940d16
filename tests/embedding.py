"""An embedder for tests: the words of a text, hashed into a vector. It counts its calls, and fails on request."""

from __future__ import annotations

import re
import threading
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any
from zlib import crc32

import wilk
from wilk.contracts import Embedder

if TYPE_CHECKING:
    from numpy import float32
    from numpy.typing import NDArray

DIMENSION = 64


def bag(text: str, dimension: int = DIMENSION, seed: int = 0) -> NDArray[float32]:
    """The vector of a text: its words in any order, normalised."""
    import numpy as np

    vector = np.zeros(dimension, dtype=np.float32)
    for word in re.findall(r"\w+", text.lower()):
        vector[crc32(word.encode(), seed) % dimension] += 1
    length = float(np.linalg.norm(vector))
    return vector / length if length else vector


class Bag:
    """A plugin whose embedder ``bag`` gives hashed words; ``model`` is what the settings would name.

    ``error`` is raised by every call while it is set, ``refuses`` (a word) by those with a text that holds it.
    ``before`` and ``after`` are called around each call. ``texts`` are the texts of all calls but those of
    queries, ``asked`` the queries.
    """

    def __init__(
        self, model: str = "bag-1", *, dimension: int = DIMENSION, batch: int = 16, longest: int = 10_000
    ) -> None:
        self.model = model
        self.dimension = dimension
        self.batch = batch
        self.longest = longest
        self.error: Exception | None = None
        self.refuses: str | None = None
        self.missing: set[str] = set()
        self.before: Callable[[], object] = lambda: None
        self.after: Callable[[], object] = lambda: None
        self.calls: list[int] = []
        self.texts: list[str] = []
        self.asked: list[str] = []
        self.opened: list[str] = []
        self.closed: list[str] = []
        self.lock = threading.Lock()

    @wilk.hookimpl
    def register_embedders(self) -> list[Embedder]:
        return [Embedder("bag", self.open, "hashed words")]

    def open(self, settings: Any, model: str | None) -> _Opened:
        chosen = model or self.model
        if chosen in self.missing:
            raise wilk.SettingsError(f"there is no model {chosen!r}")
        self.opened.append(chosen)
        return _Opened(self, chosen)


class _Opened:
    """An open model; its id is the seed of the hash, so that models do not understand each other."""

    def __init__(self, plugin: Bag, model: str) -> None:
        self._plugin = plugin
        self.model = model
        self.batch = plugin.batch
        self.longest = plugin.longest

    def embed(self, texts: Sequence[str], *, query: bool = False) -> NDArray[float32]:
        import numpy as np

        plugin = self._plugin
        plugin.before()
        with plugin.lock:
            plugin.calls.append(len(texts))
            if plugin.error is not None:
                raise plugin.error
            if plugin.refuses is not None and any(plugin.refuses in text for text in texts):
                raise wilk.Invalid("the text is refused")
            (plugin.asked if query else plugin.texts).extend(texts)
        seed = crc32(self.model.encode())
        plugin.after()
        return np.array([bag(text, plugin.dimension, seed) for text in texts])

    def close(self) -> None:
        self._plugin.closed.append(self.model)
