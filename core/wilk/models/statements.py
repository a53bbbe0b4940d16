"""SQL compiled once from the models, for the verbs that run often.

Building a Peewee query costs several times what SQLite takes to run it. A statement is built
once per store from the same models, and then costs what the engine costs. A backend may bring
statements that were compiled beforehand (``tools/freeze_statements.py`` writes SQLite's); a test
holds them equal to what the models give.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from peewee import Database


class _Named(NamedTuple):
    """The place of a parameter in a query that is still to be compiled."""

    name: str


class Statement(NamedTuple):
    """Compiled SQL and the names of its parameters in the order in which it takes them."""

    sql: str
    names: tuple[str, ...]


def param(name: str) -> Any:
    """Stand for a value that is given when the statement runs, already in the engine's form."""
    from peewee import Value

    return Value(_Named(name), converter=False, unpack=False)


_SIZES = (4, 16, 64, 128)


def padded(values: Sequence[Any], most: int) -> Iterator[Sequence[Any]]:
    """Split values into runs of a few sizes, ``most`` the longest, the last value repeated to fill one.

    So a list of any length is asked for with few different statements, each of them compiled once.
    """
    sizes = (*(size for size in _SIZES if size < most), most)
    for start in range(0, len(values), most):
        some = list(values[start : start + most])
        size = next(size for size in sizes if size >= len(some))
        yield some + some[-1:] * (size - len(some))


def places(size: int) -> list[Any]:
    """Stand for a list of so many values, as :func:`padded` gives them."""
    return [param(f"value{number}") for number in range(size)]


def compiled(database: Database, query: Any) -> Statement:
    """Compile a Peewee query whose values are all :func:`param`.

    Raises TypeError for a literal: it would need a place in the parameters of every call.
    """
    sql, values = database.get_sql_context().parse(query)
    names = []
    for value in values:
        if not isinstance(value, _Named):
            raise TypeError(f"a compiled statement takes param(...) only, not the literal {value!r}")
        names.append(value.name)
    return Statement(sql, tuple(names))
