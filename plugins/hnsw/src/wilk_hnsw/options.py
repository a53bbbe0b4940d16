"""The plugin's section of ``config.yaml``, checked."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

from wilk import SettingsError

_RANGES = {
    "connectivity": (4, 128),
    "expansion_add": (8, 10_000),
    "expansion_search": (1, 10_000),
    "threads": (0, 1024),
}


@dataclass(frozen=True)
class Options:
    """How the graph is built and searched.

    ``connectivity`` is how many neighbours a vector gets on each level (twice as many on the lowest),
    ``expansion_add`` and ``expansion_search`` how many candidates are kept while one is added or
    searched; ``threads`` build the graph (0: half of the processors).
    """

    connectivity: int = 16
    expansion_add: int = 128
    expansion_search: int = 128
    threads: int = 0


def options_of(section: Any) -> Options:
    """Check the section; raises SettingsError for the first fault in it."""
    if section is None:
        return Options()
    if not isinstance(section, Mapping):
        raise SettingsError(f"plugins.hnsw: {section!r} is not a mapping")
    known = [one.name for one in fields(Options)]
    for name, value in section.items():
        if name not in known:
            raise SettingsError(f"plugins.hnsw: there is no {name!r}; known: {', '.join(known)}")
        least, most = _RANGES[name]
        if value is None:
            continue
        if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= most:
            raise SettingsError(
                f"plugins.hnsw.{name}: {value!r} is not a whole number from {least} to {most}"
            )
    return Options(**{name: value for name, value in section.items() if value is not None})
