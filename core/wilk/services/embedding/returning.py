"""Vectors that come back from the archive with their records, and what else is derived of these."""

from __future__ import annotations

from base64 import b64decode
from collections import Counter
from collections.abc import Sequence
from typing import Any, TypeVar

from wilk import codec, models
from wilk.engine import Engine
from wilk.services.embedding.following import Following
from wilk.services.embedding.passages import KINDS, model_of
from wilk.services.vectors.spaces import advance, tag

_E = TypeVar("_E")


class Returning:
    """One act of restoring, as far as search is concerned. Runs in its transaction."""

    def __init__(self, engine: Engine, following: Following) -> None:
        self._engine = engine
        self._following = following
        self._records: dict[str, list[str]] = {}
        self._states: dict[int, str] = {}

    def vectors(
        self, entries: Sequence[_E], rows: Sequence[dict[str, Any]]
    ) -> tuple[list[_E], list[dict[str, Any]]]:
        """Choose the vectors that have a place to come back to, and give them new numbers.

        A record's vector stays in the archive when its model is not in use any more, when the record is not
        there, or has another one by now: whatever is wanting is made again.
        """
        there = self._there(rows)
        chosen: list[_E] = []
        fitting: list[dict[str, Any]] = []
        for entry, row in zip(entries, rows, strict=True):
            space = row["space_id"]
            if not self._open(space, row["kind"]):
                continue
            if row["kind"] is not None and not self._wanted(row, there):
                continue
            fitting.append({**row, "data": b64decode(row["data"])})
            chosen.append(entry)
        counts = Counter(row["space_id"] for row in fitting)
        given = {space: advance(self._engine, space, n) - n for space, n in counts.items()}
        for row in fitting:
            given[row["space_id"]] += 1
            row["number"] = given[row["space_id"]]
        return chosen, fitting

    def add(self, kind: str, rows: Sequence[dict[str, Any]]) -> None:
        """Note rows that were written."""
        if kind == "vector":
            for row in rows:
                if row["metadata"]:
                    tag(self._engine, row["space_id"], [(row["number"], codec.loads(row["metadata"]))])
        elif kind in KINDS:
            self._records.setdefault(kind, []).extend(row["id"] for row in rows)

    def finish(self) -> None:
        """Make what is derived of the records, once all of them are there."""
        for kind, ids in self._records.items():
            self._following.returned(kind, ids)

    def _there(self, rows: Sequence[dict[str, Any]]) -> set[tuple[Any, ...]]:
        """Which records of vectors there are, and which of the vectors."""
        found: set[tuple[Any, ...]] = set()
        vector: Any = models.Vector
        for kind in {row["kind"] for row in rows} - {None}:
            ids = sorted({row["record_id"] for row in rows if row["kind"] == kind})
            model = model_of(kind)
            found.update(
                (kind, id) for (id,) in self._engine.select(model.select(model.id).where(model.id.in_(ids)))
            )
            query = vector.select(vector.space, vector.record_id, vector.part)
            found.update(self._engine.select(query.where(vector.kind == kind, vector.record_id.in_(ids))))
        return found

    @staticmethod
    def _wanted(row: dict[str, Any], there: set[tuple[Any, ...]]) -> bool:
        """Whether a vector's record is there without it."""
        present = (row["space_id"], row["record_id"], row["part"]) in there
        return (row["kind"], row["record_id"]) in there and not present

    def _open(self, space: int, kind: str | None) -> bool:
        """Whether vectors can come back to a space; one that was dropped by name is opened again."""
        if space not in self._states:
            one: Any = models.VectorSpace
            rows = self._engine.select(one.select(one.state, one.collection).where(one.id == space))
            state, collection = rows[0] if rows else ("missing", "")
            if state == "dropped" and kind is None:
                others = one.select(one.id).where(one.collection == collection, one.state == "active")
                if not self._engine.select(others):
                    self._engine.run(one.update({one.state: "active"}).where(one.id == space))
                    state = "active"
            self._states[space] = state
        return self._states[space] in ("active", "building")
