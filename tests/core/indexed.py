"""What the search index must hold, worked out from the records themselves."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any
from zlib import crc32

from tests.embedding import Bag, bag
from tests.engines import ask

import wilk
from wilk import models, settings
from wilk.host import Host
from wilk.records.search import IndexStatus
from wilk.services.embedding.passages import KINDS, SOURCES, of_message, passages

WAIT = 20.0
Key = tuple[str, str, int]


def opened(home: Path, plugin: Bag, **changes: Any) -> wilk.Store:
    """A store whose embedder is that of the plugin."""
    chosen = replace(settings.load(home=home), embedder="bag", **changes)
    return wilk.open_store(settings=chosen, host=Host(plugin, disabled=chosen.disabled_plugins))


def said(store: wilk.Store) -> dict[Key, str]:
    """The text of every part of every record that is searched."""
    found: dict[Key, str] = {}
    engine = store._engine
    for id, role, text in engine.execute("SELECT id, role, text FROM messages"):
        found.update({("message", id, part): piece for part, piece in enumerate(of_message(role, text))})
    for kind, source in SOURCES.items():
        model: Any = source.model()
        query = model.select(*models.fields_of(model, source.record))
        for record in (source.record(*row) for row in engine.rows(query)):
            pieces = passages(source.text(record))
            found.update({(kind, record.id, part): piece for part, piece in enumerate(pieces)})
    return found


def check_passages(store: wilk.Store) -> None:
    """The passages are those of the records, and no others."""
    rows = store._engine.execute("SELECT kind, record_id, part, text FROM passages")
    there = {(kind, id, part): text for kind, id, part, text in rows}
    assert len(there) == len(rows)
    assert there == {key: text for key, text in said(store).items() if key[0] != "message"}
    check_full_text(store)


def check_full_text(store: wilk.Store) -> None:
    """The engine's index answers for exactly the rows that are there."""
    for table in ("passages", "messages"):
        if store.settings.url.startswith("postgresql:"):
            others = "WHERE words IS DISTINCT FROM wilk_words(text)"
            assert not store._engine.execute(
                f"SELECT pk FROM {table}_words FULL JOIN {table} USING (pk) {others}"
            )
        elif store.settings.url.startswith("sqlite:"):
            store._engine.execute(f"INSERT INTO {table}_fts({table}_fts, rank) VALUES ('integrity-check', 1)")


def check_vectors(store: wilk.Store, plugin: Bag, *, model: str | None = None) -> None:
    """Every record has the vectors of what it says, by one model, once each, and nothing waits."""
    engine = store._engine
    assert engine.execute("SELECT kind, record_id, error FROM pending_vectors") == []
    spaces = engine.execute(
        "SELECT id, kind, model, count, dimension FROM vector_spaces "
        "WHERE kind IS NOT NULL AND state IN ('active', 'building')"
    )
    if said(store) or spaces:
        assert sorted(kind for _, kind, *_ in spaces) == sorted(KINDS), spaces
    assert engine.execute("SELECT id FROM vector_spaces WHERE cursor IS NOT NULL OR state = 'retired'") == []
    seed = crc32((model or plugin.model).encode())
    expected = {key: bag(text, plugin.dimension, seed).tobytes() for key, text in said(store).items()}
    there: dict[Key, bytes] = {}
    for id, kind, by, count, dimension in spaces:
        assert (by, dimension) == (model or plugin.model, plugin.dimension)
        rows = ask(
            store, "SELECT kind, record_id, part, data FROM vectors WHERE space_id = ? ORDER BY number", (id,)
        )
        assert count == len(rows), kind
        there.update({(kind, record, part): data for _, record, part, data in rows})
        assert {row[0] for row in rows} <= {kind}
    assert there.keys() == expected.keys()
    assert there == expected
    assert engine.execute("SELECT count(*) FROM vectors WHERE kind IS NOT NULL") == [(len(expected),)]


def indexed_kinds(store: wilk.Store) -> dict[str, tuple[int, str | None]]:
    """By which rules each kind's passages were made, and how far that is."""
    rows = store._engine.execute("SELECT kind, version, cursor FROM indexed_kinds")
    return {kind: (version, cursor) for kind, version, cursor in rows}


def status(store: wilk.Store, kind: str = "message") -> IndexStatus:
    return next(one for one in store.index.status() if one.kind == kind)


def pending(store: wilk.Store) -> list[tuple[Any, ...]]:
    return store._engine.execute("SELECT kind, record_id FROM pending_vectors ORDER BY pk")


def until(true: Callable[[], object]) -> None:
    deadline = time.monotonic() + WAIT
    while not true():
        assert time.monotonic() < deadline, "it did not come to that"
        time.sleep(0.01)


class Gate:
    """Lets a test stand between an embedder and its call."""

    def __init__(self, plugin: Bag) -> None:
        self.reached, self.open = threading.Event(), threading.Event()
        plugin.before = self._pass

    def _pass(self) -> None:
        self.reached.set()
        assert self.open.wait(WAIT)
