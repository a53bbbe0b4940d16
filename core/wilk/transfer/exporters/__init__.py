"""The exporters that ship, by name. Each is imported when it first writes."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from importlib import import_module
from typing import TYPE_CHECKING

from wilk.contracts import Exporter
from wilk.hookspecs import hookimpl

if TYPE_CHECKING:
    from pathlib import Path

    from wilk.contracts import Choice, Writing
    from wilk.store import Store

_SHIPPED: dict[str, tuple[str, str]] = {
    "json": (".jsonl", "all of the store as JSON Lines, from which `wilk import json` makes the same store"),
    "chatgpt": (".json", "conversations.json, as ChatGPT's data export has it"),
    "librechat": (
        "",
        "LibreChat's collections as a folder for mongoimport, or one conversation as its own file",
    ),
    "markdown": ("", "a folder with a file per conversation, for people to read"),
}
"""By name: the suffix of the file (empty: a folder), and what is written."""


@hookimpl
def register_exporters() -> Iterator[Exporter]:
    for name, (suffix, summary) in _SHIPPED.items():
        module = f"wilk.transfer.exporters.{name.replace('-', '_')}"
        yield Exporter(name, partial(_write, module), suffix, summary)


def _write(module: str, store: Store, target: Path, choice: Choice, writing: Writing) -> None:
    write: Callable[[Store, Path, Choice, Writing], None] = import_module(module).write
    write(store, target, choice, writing)
