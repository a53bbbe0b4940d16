"""Many records in one transaction: all of them, or none."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any, TypeVar

from wilk.engine import Engine
from wilk.errors import Conflict, Invalid
from wilk.services import checks

_R = TypeVar("_R")


def added(engine: Engine, add: Callable[..., _R], name: str, items: Iterable[Any], *first: Any) -> list[_R]:
    """Call a verb for each item, an object with what the verb takes by the same names; return the results.

    ``first`` are arguments that all have in common. An error names the item by its place, from 0.
    """
    wanted = checks.sequence(name, items)
    code: Any = getattr(add, "__func__", add)
    code = code.__code__
    known = code.co_varnames[1 + len(first) : code.co_argcount + code.co_kwonlyargcount]
    needed = known[: code.co_argcount - 1 - len(first)]
    done = []
    with engine.transaction():
        for place, item in enumerate(wanted):
            where = f"{name}.{place}"
            if not isinstance(item, Mapping):
                raise Invalid(f"{where} {item!r}: an object is wanted, such as {{{needed[0]!r}: …}}")
            if strange := [key for key in item if key not in known]:
                raise Invalid(f"{where}: there is no {strange[0]!r}; there is {', '.join(known)}")
            if missing := [key for key in needed if key not in item]:
                raise Invalid(f"{where}: {missing[0]} is missing")
            try:
                done.append(add(*first, **item))
            except (Invalid, Conflict) as error:
                error.args = (f"{where}: {error}", *error.args[1:])
                raise
    return done
