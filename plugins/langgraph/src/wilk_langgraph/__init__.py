"""LangGraph's SQLite checkpoints and store, for wilk's imports."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

from wilk import Importer, hookimpl

if TYPE_CHECKING:
    from wilk import Incoming, Reading, Source


@hookimpl
def register_importers() -> Iterator[Importer]:
    yield Importer(
        "langgraph",
        _read,
        _recognize,
        "SQLite checkpoints and store of LangGraph",
        {"history": "yes: read every checkpoint of a thread, not only the newest"},
    )


def _read(source: Source, reading: Reading) -> Iterable[Incoming]:
    from wilk_langgraph.reading import read

    return read(source, reading)


def _recognize(source: Source) -> str | None:
    from wilk_langgraph.databases import recognize

    return recognize(source)
