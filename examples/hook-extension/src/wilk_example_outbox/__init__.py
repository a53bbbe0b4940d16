"""A wilk plugin that tells other programs what was said and what was changed.

Each message that is saved and each definition that is taken over becomes one line of JSON in
``outbox.jsonl`` in the home folder. Whoever wants to know follows that file.
"""

from __future__ import annotations

import json
import os
from argparse import ArgumentParser, Namespace
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from wilk import Command, Store, hookimpl


@hookimpl
def after_save(store: Store, kind: str, record: Any) -> None:
    """Called once a record is committed; what fails here is logged, and the record stays."""
    if kind == "message":
        tell(store, "message", session=record.session_id, role=record.role, words=len(record.text.split()))


@hookimpl
def definition_synced(store: Store, change: Any) -> None:
    """Called once a definition file was taken over."""
    tell(store, "definition", kind=change.kind, id=change.id, action=change.action)


@hookimpl
def register_commands() -> Iterator[Command]:
    """``wilk outbox``."""
    yield Command("outbox", "what other programs were told", configure, show)


def tell(store: Store, event: str, **fields: Any) -> None:
    """Append one line; a line in append mode is written whole, whoever else writes."""
    if store.home is not None:
        line = json.dumps({"event": event, **fields}) + "\n"
        file = outbox(store)
        file.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        with open(file, "a", encoding="utf-8", opener=private) as opened:
            opened.write(line)


def private(path: str, flags: int) -> int:
    """Open a file that is its owner's alone, as all that lies in a home folder is."""
    return os.open(path, flags, 0o600)


def outbox(store: Store) -> Path:
    """Where the lines go: ``plugins: {outbox: {file: ...}}`` in config.yaml, or outbox.jsonl."""
    named = store.settings.plugins.get("outbox", {}).get("file", "outbox.jsonl")
    return Path(store.home or ".") / named


def configure(parser: ArgumentParser) -> None:
    parser.add_argument("--last", type=int, default=10, help="how many lines (10)")


def show(arguments: Namespace, store: Callable[[], Store]) -> int:
    file = outbox(store())
    lines = file.read_text(encoding="utf-8").splitlines() if file.exists() else []
    print(*lines[-arguments.last :], sep="\n")
    return 0
