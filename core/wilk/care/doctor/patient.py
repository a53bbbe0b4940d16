"""What checks look at: one store, its tables row by row as the engine holds them, its folder."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any, NamedTuple

from wilk.errors import BackendError
from wilk.records.doctor import Finding
from wilk.transfer.moves.tables import Table, tables

if TYPE_CHECKING:
    from pathlib import Path

    from wilk.care.doctor.mending import Mending
    from wilk.contracts.maintenance import Outcome
    from wilk.store import Store

_PAGE = 500
SHOWN = 20
"""Records that a finding names."""


class Found(NamedTuple):
    """A finding, and what mends it: None where only a person can."""

    finding: Finding
    mend: Callable[[Mending], None] | None


class Check(NamedTuple):
    """A look at one thing. ``look(patient)`` yields what is wrong.

    Of ``rows`` a repair looks again in the transaction in which it mends; of files and of the engine itself
    it looks before that.
    """

    name: str
    summary: str
    look: Callable[[Patient], Iterable[Found]]
    rows: bool = True


class Patient:
    """One store, as checks see it."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self.engine = store._engine
        self.settings = store.settings

    @property
    def home(self) -> Path | None:
        return self.store._folder

    def maintained(self, step: str, *, quick: bool) -> Outcome | None:
        """What the engine's own maintenance says of a step; None where it has none such.

        Outside of transactions only.
        """
        make = self.store._backend.maintenance
        maintaining = None if make is None else make()
        if maintaining is None or all(one.name != step for one in maintaining.steps):
            return None
        with self.engine.pinned():
            return maintaining.run(step, self.engine.execute, quick=quick)

    @cached_property
    def tables(self) -> Sequence[Table]:
        """Every table, plugins' among them."""
        return tables(self.store.host.model_sets())

    def rows(self, table: Table) -> Iterator[dict[str, Any]]:
        """The rows of a table, column → value as the engine holds it, a page at a time."""
        model = table.model
        key = [model._meta.columns[name] for name in key_of(table)]
        after: Any = None
        while True:
            query = model.select(*table.fields).order_by(*key).limit(_PAGE)
            if after is not None:
                query = query.where(behind_key(key, after))
            names = [column.name for column in table.columns]
            try:
                page = self.engine.select(query)
            except BackendError:  # a text that the driver cannot decode
                page = self._undecoded(table, query)
            for values in page:
                yield dict(zip(names, values, strict=True))
            if len(page) < _PAGE:
                return
            after = [page[-1][place] for place in table.key_places]

    def _undecoded(self, table: Table, query: Any) -> list[tuple[Any, ...]]:
        """A page of rows in which a text is none: those are bytes."""
        import peewee

        blobs = [peewee.Cast(field, "BLOB") for field in table.fields]
        kinds = [peewee.fn.TYPEOF(field) for field in table.fields]
        width = len(table.fields)
        rows = self.engine.select(query.select(*table.fields[:0], *blobs, *kinds))
        return [tuple(map(_decoded, row[:width], row[width:])) for row in rows]

    def values(self, query: Any) -> list[Any]:
        """The first column of what a query gives."""
        return [row[0] for row in self.engine.select(query)]


def _decoded(value: bytes | None, kind: str) -> Any:
    """A value that was read as bytes, as its type has it; what is no text stays bytes."""
    if value is None or kind == "blob":
        return value
    try:
        text = value.decode()
    except UnicodeDecodeError:
        return value
    return int(text) if kind == "integer" else float(text) if kind == "real" else text


def key_of(table: Table) -> list[str]:
    """The columns of a table's primary key."""
    return [table.columns[place].name for place in table.key_places]


def shown_key(table: Table, row: Mapping[str, Any]) -> str:
    """A row's name for people: its id where it has one."""
    return str(row["id"]) if "id" in row else "/".join(str(row[name]) for name in key_of(table))


def missing(field: Any, model: Any, key: str = "id") -> Any:
    """The condition that no row of a model has what a field holds, as engines look it up by the key's
    index."""
    import peewee

    there = model.alias("there")
    return ~peewee.fn.EXISTS(there.select(peewee.SQL("1")).where(getattr(there, _named(model, key)) == field))


def _named(model: Any, column: str) -> str:
    found: str = model._meta.columns[column].name
    return found


def behind_key(key: Sequence[Any], after: Sequence[Any]) -> Any:
    """The condition on rows that come behind one in the order of a key."""
    import peewee

    return key[0] > after[0] if len(key) == 1 else peewee.Tuple(*key) > peewee.Tuple(*after)
