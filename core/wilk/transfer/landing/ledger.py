"""What was imported before: by importer, kind and key the id here, and the hash of what it held."""

from __future__ import annotations

from typing import Any, NamedTuple

from cachetools import LRUCache

from wilk import models
from wilk.engine import Engine
from wilk.models.statements import param
from wilk.transfer.landing.ids import derived, usable


class Entry(NamedTuple):
    """What a record of the source became, and what it held when it was last taken over.

    ``made`` tells what fields were made of it (:class:`~wilk.transfer.landing.edits.Edits`).
    """

    target: str
    hash: str
    made: str = ""


class Ledger:
    """The table ``imported_records``, as far as it is about one importer."""

    def __init__(self, engine: Engine, importer: str) -> None:
        self._engine = engine
        self._importer = importer
        self._known: LRUCache[tuple[str, str], Entry] = LRUCache(50_000)

    def find(self, kind: str, key: str) -> Entry | None:
        """What became of a record, or None."""
        key = _kept(key)
        found = self._known.get((kind, key))
        if found is None:
            rows = self._engine.fetch("imported.find", _find, (self._importer, kind, key))
            if rows:
                target, kept = rows[0]
                found = self._known[kind, key] = Entry(target, *kept.split(" ", 1))
        return found

    def target(self, kind: str, key: str) -> str | None:
        """The id that a record has here, or None."""
        found = self.find(kind, key)
        return None if found is None else found.target

    def put(self, kind: str, key: str, target: str, hash: str, run: str, made: str = "") -> None:
        """Note what became of a record; in the transaction that writes it."""
        key = _kept(key)
        now = self._engine.clock.now()
        statement = self._engine.statement("imported.put", _put)
        values = {
            "importer": self._importer, "kind": kind, "key": key, "target_id": target,
            "content_hash": f"{hash} {made}" if made else hash, "run_id": run, "created_at": now,
            "updated_at": now,
        }  # fmt: skip
        self._engine.execute(statement.sql, [values[name] for name in statement.names])
        self._engine.after_commit(lambda: self._known.__setitem__((kind, key), Entry(target, hash, made)))

    def owner(self, kind: str, target: str) -> str | None:
        """The key of the record that has an id here, whichever importer brought it; None: nobody's."""
        one = models.ImportedRecord
        query = one.select(one.importer, one.key).where(one.kind == kind, one.target_id == target)
        rows = self._engine.select(query.limit(1))
        return (
            None if not rows else rows[0][1] if rows[0][0] == self._importer else f"{rows[0][0]}:{rows[0][1]}"
        )


def _kept(key: str) -> str:
    """A key as every engine keeps it: one that is too long, or of odd characters, by what derives from it."""
    return key if usable(key) else f"sha256:{derived(key)}"


def _find() -> Any:
    one = models.ImportedRecord
    return one.select(one.target_id, one.content_hash).where(
        one.importer == param("importer"), one.kind == param("kind"), one.key == param("key")
    )


def _put() -> Any:
    one = models.ImportedRecord
    fields = ("importer", "kind", "key", "target_id", "content_hash", "run_id", "created_at", "updated_at")
    return one.insert({getattr(one, name): param(name) for name in fields}).on_conflict(
        conflict_target=[one.importer, one.kind, one.key],
        preserve=[one.target_id, one.content_hash, one.run_id, one.updated_at],
    )
