"""What an embedder hands over: a model that turns texts into vectors."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from numpy import float32
    from numpy.typing import NDArray

    from wilk.settings import Settings


class Embedding(Protocol):
    """An open model that turns texts into vectors. Several threads may use one at once."""

    model: str
    """The id that is kept with each vector: of this model, with those settings that change its vectors."""
    batch: int
    """How many texts are handed over at once."""
    longest: int
    """Characters of a text that are taken in; longer ones are parted before."""

    def embed(self, texts: Sequence[str], *, query: bool = False) -> NDArray[float32]:
        """Return a vector per text, all of one dimension; ``query`` for what is searched with.

        Raises BackendError for what may work later, and Invalid when the texts are refused.
        """

    def close(self) -> None:
        """Let go of connections and memory.

        A store that closes waits for ``embed`` some seconds, then closes the model meanwhile: what goes on
        over a network is to end then, in BackendError. Texts that come afterwards open it again.
        """


@dataclass(frozen=True, eq=False)
class Embedder:
    """Turns texts into vectors, offered by ``register_embedders`` and chosen by the setting ``embedder``.

    ``open(settings, model)`` opens the model of that id, or the configured one for None; it raises
    SettingsError or BackendError when that model is not to be had.
    """

    name: str
    open: Callable[[Settings, str | None], Embedding]
    summary: str = ""
