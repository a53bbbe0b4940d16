"""Maintenance: the engine's own steps, and what lies in the store that nothing names any more."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Collection, Sequence
from typing import TYPE_CHECKING, Any

from wilk import models
from wilk.amounts import written_size
from wilk.contracts.maintenance import Maintaining, Outcome, Step
from wilk.engine import Engine
from wilk.errors import BackendError, Busy, Conflict, Invalid
from wilk.records.care import Maintained, Maintenance, TableChange
from wilk.records.transfer import Progress
from wilk.services import checks

if TYPE_CHECKING:
    from wilk.contracts.figures import Figures, Sizes

BLOBS = Step("blobs", "look for kept contents that nothing names any more")
_PAGE = 500
_HASH = re.compile(r"[0-9a-f]{64}")


class Maintainer:
    """Keeps one store well. ``backend`` is the engine's own part, None for one that has none."""

    def __init__(
        self, engine: Engine, name: str, figures: Figures | None, backend: Maintaining | None
    ) -> None:
        self._engine = engine
        self._name = name
        self._figures = figures
        self._backend = backend

    @property
    def steps(self) -> tuple[Step, ...]:
        """Everything that can be done, in its order."""
        own: Sequence[Step] = () if self._backend is None else self._backend.steps
        return (*own, BLOBS)

    def run(
        self,
        steps: Collection[str] | None,
        *,
        quick: bool,
        progress: Callable[[Progress], object] | None,
    ) -> Maintenance:
        """Do steps; see ``Store.maintain``."""
        checks.flag("quick", quick)
        chosen = self._chosen(steps, quick)
        if self._engine.in_transaction:
            raise Conflict("maintenance runs outside of transactions: end the one at hand before it")
        before = self._sizes(measure=not quick)
        done = []
        for n, step in enumerate(chosen):
            if progress is not None:
                progress(Progress("maintaining", step.name, n, len(chosen)))
            done.append(self._do(step, quick))
        after = self._sizes(measure=not quick)
        return Maintenance(
            backend=self._name,
            steps=tuple(done),
            bytes_before=None if before is None else before.total_bytes,
            bytes_after=None if after is None else after.total_bytes,
            free_before=None if before is None else before.free_bytes,
            free_after=None if after is None else after.free_bytes,
            tables=tuple(_changes(before, after)),
        )

    def _chosen(self, steps: Collection[str] | None, quick: bool) -> list[Step]:
        if steps is None:
            return [one for one in self.steps if not one.asked and (one.quick or not quick)]
        wanted = [steps] if isinstance(steps, str) else list(steps)
        names = [one.name for one in self.steps]
        if unknown := [name for name in wanted if name not in names]:
            raise Invalid(f"steps {', '.join(map(repr, unknown))}: there are {', '.join(names)}")
        return [one for one in self.steps if one.name in wanted]

    def _do(self, step: Step, quick: bool) -> Maintained:
        begun = time.monotonic()
        try:
            with self._engine.pinned():
                found = self._outcome(step, quick)
        except Busy as error:
            found = Outcome("busy", f"others kept it from being done ({error})")
        except BackendError as error:  # such as that the file is damaged: the other steps tell more
            found = Outcome("found", str(error))
        return Maintained(step.name, found.result, found.said, tuple(found.details), time.monotonic() - begun)

    def _outcome(self, step: Step, quick: bool) -> Outcome:
        if step is BLOBS:
            return unused_blobs(self._engine)
        assert self._backend is not None  # noqa: S101 (the step is one of its)
        return self._backend.run(step.name, self._engine.execute, quick=quick)

    def _sizes(self, *, measure: bool) -> Sizes | None:
        if self._figures is None:
            return None
        try:
            with self._engine.snapshot():
                return self._figures.sizes(self._engine.execute, measure=measure)
        except BackendError:  # of a damaged file, which the steps tell of
            return None


def unused_blobs(engine: Engine) -> Outcome:
    """Look for kept contents that no tool call, no context and no installation names, in the archive neither.

    They are reported and stay: what was archived outside of the database may name them.
    """
    blob: Any = models.Blob
    rows: Any = engine.select(blob.select(blob.hash, blob.size))
    sizes: dict[str, int] = dict(rows)
    if not sizes:
        return Outcome("ok", "nothing is kept apart from its record")
    with engine.snapshot():
        for text in _naming(engine):
            for hash in _HASH.findall(text):
                sizes.pop(hash, None)
            if not sizes:
                break
    if not sizes:
        return Outcome("ok", "every kept content belongs to a record")
    return Outcome(
        "ok",
        f"{len(sizes):,} kept contents ({written_size(sum(sizes.values()))}) belong to no record in the "
        "database; they stay, for what was archived outside of it may name them",
    )


def _naming(engine: Engine) -> Any:
    """The texts that may name contents, some rows at a time."""
    for model, columns in (
        (models.ToolCall, ("result_hash",)),
        (models.Manifest, ("items", "left_out", "request")),
        (models.Installation, None),
        (models.Revision, ("definition",)),
        (models.ArchiveEntry, ("data",)),
    ):
        one: Any = model
        fields = one._meta.sorted_fields if columns is None else [getattr(one, name) for name in columns]
        keys = list(one._meta.get_primary_keys())
        offset: list[Any] | None = None
        while True:
            query = one.select(*keys, *fields).order_by(*keys).limit(_PAGE)
            if offset is not None:
                query = query.where(_behind(keys, offset))
            rows = engine.select(query)
            for row in rows:
                yield " ".join(value for value in row[len(keys) :] if isinstance(value, str))
            if len(rows) < _PAGE:
                break
            offset = list(rows[-1][: len(keys)])


def _behind(keys: list[Any], values: list[Any]) -> Any:
    from peewee import Tuple  # with Peewee; see wilk.models

    return keys[0] > values[0] if len(keys) == 1 else Tuple(*keys) > Tuple(*values)


def _changes(before: Sizes | None, after: Sizes | None) -> list[TableChange]:
    if before is None or after is None:
        return []
    names = sorted({*before.tables, *after.tables})
    found = []
    for name in names:
        one, other = before.tables.get(name), after.tables.get(name)
        sizes = [0 if size is None else size.bytes + size.index_bytes for size in (one, other)]
        found.append(TableChange(name, *sizes))
    return sorted(found, key=lambda change: -change.before)
