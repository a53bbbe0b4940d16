"""Compiles the statements of the reading verbs from the models, for SQLite, once for all.

``python tools/freeze_statements.py`` writes ``core/wilk/backends/sqlite_statements.json``; with
``--check`` it says whether that file is what the models give. A verb whose statement is in the file
runs without Peewee being imported, which is most of what a reading command would spend.
"""

import json
import sys
from contextlib import suppress
from pathlib import Path

import wilk
from wilk.definitions.tables import Files
from wilk.services.embedding.following import stale
from wilk.services.memory.context_reading import STATEMENTS

FILE = Path(wilk.__file__).parent / "backends" / "sqlite_statements.json"


def compiled() -> str:
    """The statements that the verbs below compile, as JSON: name → SQL and parameter names."""
    with wilk.open_store("sqlite:///:memory:") as store:
        engine = store._engine
        engine._prepared = None
        engine._statements.clear()
        session = store.sessions.create().id
        message = store.messages.append(session, "user", "hello", key="k")
        store.messages.last(session)
        store.messages.page(session)
        store.messages.page(session, before=1)
        store.messages.get(message.id)
        store.messages.count(session)
        store.sessions.get(session)
        store.tool_calls.list(session)
        store.sessions.list()
        store.pins.list(session)
        with suppress(wilk.NotFound):
            store.pins.list("x", type="auto")
        store.pins.find("x")
        store.blocks.find("x")
        store.blocks.for_session(session)
        store.facts.find("x")
        for people in (store.users, store.groups):
            people.list()
            people.find("x")
        store.archive.list()
        store.archive.statistics()
        store._outbox._waiting(0)
        with suppress(wilk.NotFound):
            store.archive.get(0)
        store.sessions.recent()
        for kept in (store.documents, store.memories, store.state):
            kept.find("x")
        store.documents.ids()
        for listed in (store.documents, store.memories, store.facts, store.interactions, store.patterns):
            listed.list()
        store.raw_messages.list("x")
        store.raw_messages.list("x", limit=1)
        store.chunks.list("x")
        store.chunks.info("x")
        store.reasoning.recent("x")
        store.reasoning.recent("x", 1)
        for records in (store.agents, store.prompts, store.personas, store.presets):
            records.list()
            records.find("x")
            with suppress(wilk.NotFound):
                records.history("x")
        store.registry.search()
        store.registry.search(category="x")
        store.registry.installed()
        with suppress(wilk.NotFound):
            store.registry.get("x")
        store.registry._installations.find("x")
        store.definitions.find("mcp-servers")
        store.definitions.list("mcp-servers")
        stale(engine)
        store._indexing.building.open_spaces()
        store._indexing.building.unfinished()
        store._indexing.queue.is_empty()
        store._indexing.queue.counts()
        store.vectors.collections()
        store.vectors.extend("c", [("x", [1.0]), ("y", [2.0])])
        store.vectors.search("c", [1.0])
        store.vectors.find("c", "x")
        store.summaries.list(session)
        store.summaries.find("x")
        store.memory.status(session)
        store.messages.extend(session, [{"role": "user", "text": "hello"}] * 3)
        store.memory.compact(session, keep_messages=1)
        store.messages.page(session)
        store.messages.page(session, before=2)
        store.messages.get(message.id)
        store.contexts.build(session)
        for name, build in STATEMENTS.items():
            engine.statement(name, build)
        store.contexts.stats(session)
        store.contexts.manifests(session)
        with suppress(wilk.NotFound):
            store.contexts.manifest("x")
        files = Files(engine)
        files.states()
        files.broken()
        files.list(None)
        statements = {name: [one.sql, list(one.names)] for name, one in sorted(engine._statements.items())}
    lines = [f"  {json.dumps(name)}: {json.dumps(statement)}" for name, statement in statements.items()]
    return "{\n" + ",\n".join(lines) + "\n}\n"


def main() -> int:
    text = compiled()
    if "--check" in sys.argv:
        current = FILE.read_text() == text
        print("current" if current else f"{FILE.name} is not what the models give; run this without --check")
        return 0 if current else 1
    FILE.write_text(text)
    print(f"wrote {FILE.name}: {text.count(chr(10)) - 2} statements")
    return 0


if __name__ == "__main__":
    sys.exit(main())
