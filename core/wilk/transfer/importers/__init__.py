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
    from wilk.store import Store
    from wilk.transfer.landing.report import Report
    from wilk.transfer.reading.sources import Source

_TIMEZONE = {"timezone": "the zone of times that have none, such as Europe/Vienna; by default UTC"}

_SHIPPED: dict[str, tuple[str, dict[str, str]]] = {
    "json": (
        "wilk's own JSON Lines, as `wilk export json` writes them",
        {"replace": "yes: write over rows that differ; the earlier ones go into the archive"},
    ),
    "librechat": (
        "LibreChat: mongoexport, mongodump, mongodb://…, or its own files of conversations",
        {
            "temporary": "include: conversations that have expired come over too; by default not",
            "files-dir": "the folder of uploaded files, to note where each is, with its hash",
        },
    ),
    "llm": (
        "logs.db of simonw/llm, with templates, aliases and embeddings beside it",
        {
            **_TIMEZONE,
            "attachments": "keep attachments of up to so many bytes; by default 5000000, 0 for none",
        },
    ),
    "openai-agents": ("SQLite sessions of the OpenAI Agents SDK", _TIMEZONE),
    "connectome": ("a storage folder or an SQLite database of Connectome", _TIMEZONE),
    "kalito": ("kalito.db: sessions, personas, summaries and pins of Kalito", _TIMEZONE),
    "chatai": ("chaite.db of chatai: conversations, memories and its knowledge graph", {}),
    "bicamrl": ("bicameral.db of bicamrl: interactions, patterns, feedback and world models", _TIMEZONE),
    "wilk": ("the folder ~/.wilk, or wilk.db, as the Wilk seed lays them out", _TIMEZONE),
    "typingcloud": ("JSON of Typingcloud, TypingMind's cloud", {}),
    "chatgpt": ("ChatGPT's data export: the ZIP, its folder, or conversations.json", {}),
    "claude": ("Claude.ai's data export: its ZIPs, their folder, or conversations.json", {}),
    "claude-code": ("transcripts of Claude Code: .jsonl files, or ~/.claude/projects", {}),
    "open-webui": ("Open WebUI's exported chats", {}),
    "chatbotui": ("ChatbotUI's export, version 4 and before", {}),
    "letta": ("Letta's agent files (.af), of today and v1", {}),
}
"""By name: what it reads, and its options."""

_ROWS = ("json",)
"""Those that write rows by themselves."""

_MODULES = {"wilk": "wilk_seed"}


@hookimpl
def register_importers() -> Iterator[Importer]:
    for name, (summary, options) in _SHIPPED.items():
        module = f"wilk.transfer.importers.{_MODULES.get(name, name.replace('-', '_'))}"
        read, recognize = partial(_read, module), partial(_recognize, module)
        land = partial(_land, module) if name in _ROWS else None
        yield Importer(name, read, recognize, summary, options, land)


def _read(module: str, source: Source, reading: Reading) -> Iterable[Incoming]:
    read: Callable[[Source, Reading], Iterable[Incoming]] = import_module(module).read
    return read(source, reading)


def _recognize(module: str, source: Source) -> str | None:
    recognize: Callable[[Source], str | None] = import_module(module).recognize
    return recognize(source)


def _land(module: str, store: Store, source: Source, report: Report, user: str | None) -> None:
    import_module(module).land(store, source, report, user)
