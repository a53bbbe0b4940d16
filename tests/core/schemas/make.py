"""Makes the kept database of the newest schema: ``python tests/core/schemas/make.py``, once per release.

``NNNN_name.db`` holds rows of every table, ``NNNN_name.json`` what the verbs read from them then.
Files of released schemas are never made again: they stand for the databases that people have.
"""

from __future__ import annotations

import json
import shutil
import sqlite3
import tempfile
from array import array
from contextlib import closing
from datetime import datetime
from pathlib import Path
from typing import Any

import wilk
from wilk import models
from wilk.care.tombstones import Tombstones
from wilk.migrations import runner
from wilk.services.vectors import spaces

FOLDER = Path(__file__).parent


class _Ticking:
    """A clock that goes on by a second with each look at it."""

    def __init__(self) -> None:
        self.now = 1_767_225_600_000_000  # 2026-01-01

    def __call__(self) -> int:
        self.now += 1_000_000
        return self.now


def fill(store: wilk.Store) -> None:
    """Write rows of every table, with the odd values that a later schema must not lose."""
    coder: dict[str, Any] = {
        "name": "Coder",
        "version": "1.0.0",
        "description": "writes code",
        "category": "development",
        "author": "team@example.org",
        "model": {"provider": "openai", "name": "gpt-4", "parameters": {"temperature": 0.1}},
        "prompts": {"system": "You write code."},
        "metadata": {"tags": ["a", "ü", "狼"]},
    }
    store.agents.save("coder", coder)
    store.agents.save("coder", {**coder, "version": "1.1.0"})
    store.agents.save("gone", {"name": "Gone"})
    store.agents.remove("gone")
    store.prompts.save("review", {"name": "Review", "user_template": "Review {code}."})
    store.personas.save(
        "wolf", {"name": "Wolf", "prompt": "You are a wolf.", "category": "play", "default": True}
    )
    store.presets.save("calm", {"name": "Calm", "model": "gpt-4", "parameters": {"temperature": 0.2}})
    store.definitions.save("mcp-servers", {"mcpServers": {"files": {"command": "serve"}}})
    store.users.save("ada", name="Ada", email="ada@example.org", external_id="e-1", metadata={"n": 2**70})
    store.groups.save("team", name="Team", external_id="e-2")
    store.groups.add("team", "ada", role="owner")
    store.sessions.create(
        id="talk", name="talk", user="ada", group="team", persona="wolf", agents=["coder"], saved=True,
        working_directory="/work", recap="so far", metadata={"nan": float("inf")},
    )  # fmt: skip
    store.messages.append("talk", "user", "What is a wolf?", id="m1", key="k1")
    store.messages.append(
        "talk", "critic", "a\0b \ud800", id="m2",
        parts=[{"$wilk": 1}], agent="coder", model="gpt-4", tokens=7,
        importance=0.25, interaction="i1", parent="m1", metadata={"a": [1, None]},
    )  # fmt: skip
    call = store.tool_calls.start("talk", "search", {"q": "wolf"}, message="m2", call_id="c1", agent="coder")
    store.tool_calls.finish(call.id, result={"hits": [1, 2]})
    store.tool_calls.start("talk", "open")
    store.sessions.fork("talk", at=1, name="fork")
    store.sessions.create(id="removed")
    store.messages.append("removed", "user", "archived", id="m3")
    store.sessions.remove("removed", reason="tidied")
    fill_memory(store)
    fill_learning(store)
    fill_search(store)
    fill_care(store)


def fill_memory(store: wilk.Store) -> None:
    """Rows of the memory and Connectome families."""
    store.sessions.create(id="long", context_strategy="discard", max_tokens=200)
    for number in range(12):
        store.messages.append("long", "user", f"What is {number} times {number}?", id=f"q{number}", tokens=9)
        store.messages.append("long", "assistant", f"It is {number * number}, because it is so.", tokens=9)
    store.pins.add("long", "Numbers are squared", type="concept", source="q3", importance=0.9)
    store.blocks.set("mood", "curious", session="long", max_tokens=20)
    store.facts.correct(store.facts.add("ada", "likes", "wolves", user="ada").id, object=["wolves", "bears"])
    store.memory.compact("long", keep_messages=6)
    store.contexts.build("long", manifest=True)
    store.documents.save("doc", {"z": 1, "a": [None, "ü"]}, title="Title", user="ada")
    store.raw_messages.save("doc", [{"role": "user", "content": "raw " * 40}] * 6)
    store.chunks.divide("doc", chunk_tokens=50, tail_tokens=10)
    store.chunks.save_info("doc", {"size": 50})
    store.memories.save_sequence("doc", "mem_1", {"sequence": [1, 2, 3]})
    store.memories.add("Ada likes wolves", user="ada", sources=["q1"])
    store.reasoning.add("coder", {"agent_response": "42", "tool_calls": []})
    store.state.set("timeline_state_x", {"at": 3})
    store._cache_entries.set("responses", "k", {"v": 1})


def fill_search(store: wilk.Store) -> None:
    """Rows of the search and registry families, and a large output of a tool."""
    store.vectors.add("own", "a/1", [1.0, 0.5], metadata={"lang": "en", "deep": {"n": 1}}, model="m")
    store.vectors.add("own", "gone", [0.0, 1.0], model="m")
    store.vectors.remove("own", "gone", reason="tidied")
    store.index.update()
    with store.transaction():
        kept = spaces.make(
            store._engine, "pin", model="bag", dimension=2, distance="cosine", kind="pin", embedder="bag"
        )
        data = array("f", [0.0, 1.0]).tobytes()
        entry = spaces.Entry(store.pins.list("long")[0].id, 0, data, {}, "hash")
        spaces.write(store._engine, store._archiver, kept, [entry])
    store._following.begin()
    store.pins.add("long", "still to be embedded")
    large = store.tool_calls.start("long", "read", {"path": "large"})
    store.tool_calls.finish(large.id, result={"text": "line\n" * 10_000})
    engine = store._engine
    package = models.RegistryPackage.insert(
        source="team", name="reviewer", version="1.2.0", tags=["code"], downloads=3, rating=4.5,
        location="reviewer.zip", checksum="0" * 64, metadata={"new": True}, cached_at=1, expires_at=2,
    )  # fmt: skip
    installation = models.Installation.insert(
        id="reviewer", source="team", package="reviewer", version="1.2.0", checksum="0" * 64,
        files={"agent.yaml": "1" * 64}, installed_at=1, updated_at=2,
    )  # fmt: skip
    with store.transaction():
        engine.run(package)
        engine.run(installation)


def fill_learning(store: wilk.Store) -> None:
    """Rows of the learning family."""
    asked = store.interactions.add("How far is it?", id="i1", user="ada", tags=["way"], success=True)
    store.interactions.act(asked.id, "search", target="map", result={"km": 3})
    store.patterns.add("looks at the map first", pattern_type="workflow", sequence=["search"], frequency=3)
    store.feedback.mark_applied(store.feedback.add("correction", "in miles", interaction="i1").id)
    store.preferences.set("units", "miles", user="ada", category="display")
    world = store.world_models.save("ways", entities=[{"id": "e1", "type": "town"}], domain_confidence=0.5)
    store.world_models.snapshot(world.id, trigger_event="found")


def fill_care(store: wilk.Store) -> None:
    """Rows of the families of transfer and care."""
    store.branches.add(
        "talk", "assistant", "a\0b \ud800", parent="m1", id="b1", parts=[{"$wilk": 1}], metadata={"n": 1}
    )
    store.memories.add("wol\0f", user="ada")
    store.interactions.add("How far\0?", id="i2")
    engine = store._engine
    run = models.ImportRun.insert(
        id="run", importer="notes", source="notes.txt", status="interrupted", started_at=1
    )
    record = models.ImportedRecord.insert(
        importer="notes", kind="sessions", key="talk", target_id="talk", content_hash="0" * 64, run_id="run",
        created_at=1, updated_at=2,
    )  # fmt: skip
    forgotten = models.Forgotten.insert(kind="user", hash="1" * 64, certificate_id="c", forgotten_at=3)
    certificate = models.Certificate.insert(id="c", report={"rows": 2}, created_at=3)
    repair = models.Repair.insert(
        id="r", batch="rs", finding="counts", kind="sessions", record_id="talk", before={"message_count": 7},
        after={"message_count": 2}, summary="it did not count right", created_at=4,
    )  # fmt: skip
    with store.transaction():
        for insert in (run, record, forgotten, certificate, repair):
            engine.run(insert)


def everything(store: wilk.Store) -> Any:
    """Read all rows back through the verbs, as JSON has them."""
    sessions = sorted(store.sessions.list(limit=1000), key=lambda session: session.created_at)
    definitions = [*store.agents.list(archived=True), *store.prompts.list(), *store.personas.list(),
                   *store.presets.list(), *store.definitions.list("mcp-servers")]  # fmt: skip
    return _plain(
        {
            "definitions": definitions,
            "history": store.agents.history("coder"),
            "files": store.definitions.files(),
            "users": store.users.list(),
            "groups": store.groups.list(),
            "members": store.groups.members("team"),
            "sessions": sessions,
            "messages": [store.messages.page(session.id) for session in sessions],
            "tool_calls": [store.tool_calls.list(session.id) for session in sessions],
            "usage": store.messages.usage(days=100_000),
            "found": sorted(hit.message.id for hit in store.messages.search("WOLF", session="talk")),
            "archive": store.archive.list(limit=1000),
        }
        | _later_families(store)
        | _search_families(store)
        | _care_families(store)
    )


def _later_families(store: wilk.Store) -> dict[str, Any]:
    if store.sessions.find("long") is None:
        return {}  # a database of the first schema
    manifest = store.contexts.manifests("long")[0]
    return {
        "memory": [store.pins.list("long"), store.blocks.list(session="long"), store.summaries.list("long"),
                   store.facts.history("ada", "likes"), manifest, store.contexts.messages_of(manifest.id)],
        "connectome": [store.documents.list(), store.raw_messages.list("doc"), store.chunks.list("doc"),
                       store.chunks.info("doc"), store.memories.list(), store.reasoning.recent("coder"),
                       store.state.list(), store._cache_entries.get("responses", "k")],
        "learning": [store.interactions.list(), store.interactions.actions("i1"), store.patterns.list(),
                     store.feedback.list(), store.preferences.list(), store.world_models.by_domain("ways"),
                     store.world_models.snapshots(store.world_models.by_domain("ways")[0].id)],
    }  # fmt: skip


def _search_families(store: wilk.Store) -> dict[str, Any]:
    if not any(one.name == "own" for one in store.vectors.collections()):
        return {}  # a database of an earlier schema
    calls = store.tool_calls.list("long", name="read")
    return {
        "vectors": [store.vectors.collections(), store.vectors.get("own", "a/1"),
                    store.vectors.search("own", [1.0, 0.0], where={"deep.n": 1})],
        "search": [(one.kind, one.id) for one in store.search("times")],
        "index": store.index.status(),
        "tools": [calls, len(store.tool_calls.result(calls[0].id)["text"])],
        "registry": store.registry.installed(),
    }  # fmt: skip


def _care_families(store: wilk.Store) -> dict[str, Any]:
    if store.branches.find("b1") is None:
        return {}  # a database of an earlier schema
    return {
        "branches": [store.branches.list("talk"), store.branches.messages("talk", "b1")],
        "transfer": store.imports.list(),
        "care": [store.doctor.repairs(), Tombstones(store._engine).any()],
    }


def _plain(value: Any) -> Any:
    if hasattr(value, "_asdict"):
        return _plain(value._asdict())
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    return value.isoformat() if isinstance(value, datetime) else value


def make(home: Path, target: Path) -> None:
    """Make the database and its reading at ``target`` (with the suffixes .db and .json).

    It is moved to where it lies, so that it holds the notes of a move too.
    """
    with wilk.open_store(home=home, clock=wilk.Clock(_Ticking())) as store:
        fill(store)
        store.settle()
        moved = home / "moved.db"
        store.move(f"sqlite:///{moved}")
    moved.replace(home / "wilk.db")
    with wilk.open_store(home=home, clock=wilk.Clock(_Ticking())) as store:
        target.with_suffix(".json").write_text(json.dumps(everything(store), indent=1) + "\n")
    with closing(sqlite3.connect(home / "wilk.db", isolation_level=None)) as connection:
        # Small pages, because most tables hold a row or two.
        for statement in ("journal_mode = delete", "page_size = 512"):
            connection.execute(f"PRAGMA {statement}")
        connection.execute("VACUUM")
        connection.execute("PRAGMA journal_mode = wal")
    shutil.copy(home / "wilk.db", target.with_suffix(".db"))


if __name__ == "__main__":
    newest = max(file.stem for file in runner.FOLDER.glob("[0-9]*.py"))
    with tempfile.TemporaryDirectory() as folder:
        make(Path(folder) / "home", FOLDER / newest)
    print(f"made {newest}")
