"""What simonw/llm keeps: logs.db of both generations, templates, aliases and embeddings."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from wilk.contracts import Incoming
from wilk.errors import Invalid
from wilk.transfer.importers.llm import beside, responses, threads
from wilk.transfer.importers.llm.contents import Contents
from wilk.transfer.reading.columns import Values
from wilk.transfer.reading.tables import Tables, matching, opened

if TYPE_CHECKING:
    from wilk.contracts import Reading
    from wilk.transfer.reading.sources import Source

_OWN = ("_llm_migrations", "_sqlite_migrations", "turn_search", "migrations")
_READ = (
    *_OWN, "threads", "turns", "messages", "parts", "part_attachments", "part_fragments", "turn_tools",
    "turn_fragments", "tool_instantiations", "attachments", "fragments", "fragment_aliases", "schemas",
    "tools", "tool_instances", "conversations", "responses", "prompt_attachments", "prompt_fragments",
    "system_fragments", "tool_responses", "tool_calls", "tool_results", "tool_results_attachments",
    "collections", "embeddings",
)  # fmt: skip


def recognize(source: Source) -> str | None:
    """Tell logs.db by its responses or threads, and embeddings.db by its collections."""
    if matching(source, _is_log):
        return "logs.db of llm"
    return "embeddings.db of llm" if matching(source, beside.has_embeddings) else None


def read(source: Source, reading: Reading) -> Iterator[Incoming]:
    """Yield templates and aliases, the conversations of each generation, and the vectors."""
    logs, embeddings = matching(source, _is_log), matching(source, beside.has_embeddings)
    if not logs and not embeddings:
        raise Invalid(
            "a logs.db with responses or threads, or an embeddings.db with collections, is wanted, and not "
            f"found: {source.text} is {source.describe()}"
        )
    values = Values(reading)
    yield from beside.definitions(source, reading)
    for file in logs:
        with opened(source, file) as tables:
            tables.tell_others(reading, _READ)
            contents = Contents(tables, values)
            yield from contents.attachments()
            yield from threads.sessions(tables, contents, values)
            yield from responses.sessions(tables, contents, values)
    for file in embeddings:
        with opened(source, file) as tables:
            if file not in logs:
                tables.tell_others(reading, _READ)
            yield from beside.vectors(tables, values)


def _is_log(tables: Tables) -> bool:
    return threads.there(tables) or responses.there(tables)
