"""The importers that ship, by name. Each is imported when it is first asked for what it knows."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from functools import partial
from importlib import import_module
from typing import TYPE_CHECKING

from wilk.contracts import Importer
from wilk.hookspecs import hookimpl

if TYPE_CHECKING:
    from wilk.contracts import Incoming, Reading
    from wilk.transfer.reading.sources import Source

_SHIPPED: dict[str, tuple[str, dict[str, str]]] = {}
"""By name: what it reads, and its options."""


@hookimpl
def register_importers() -> Iterator[Importer]:
    for name, (summary, options) in _SHIPPED.items():
        module = f"wilk.transfer.importers.{name.replace('-', '_')}"
        read, recognize = partial(_read, module), partial(_recognize, module)
        yield Importer(name, read, recognize, summary, options)


def _read(module: str, source: Source, reading: Reading) -> Iterable[Incoming]:
    read: Callable[[Source, Reading], Iterable[Incoming]] = import_module(module).read
    return read(source, reading)


def _recognize(module: str, source: Source) -> str | None:
    recognize: Callable[[Source], str | None] = import_module(module).recognize
    return recognize(source)
