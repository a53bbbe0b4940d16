"""What all nouns of the async face share: how a verb becomes one that is awaited."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from functools import update_wrapper
from typing import Any, Concatenate, ParamSpec, TypeVar

from wilk.aio.workers import Workers

_P = ParamSpec("_P")
_R = TypeVar("_R")
_S = TypeVar("_S")


class Noun:
    """A noun of the store whose verbs are awaited."""

    def __init__(self, workers: Workers, verbs: Callable[[], Any]) -> None:
        self._workers = workers
        self._verbs = verbs


def reading(verb: Callable[Concatenate[_S, _P], _R]) -> Callable[Concatenate[Noun, _P], Awaitable[_R]]:
    """The awaited form of a verb that only reads."""

    async def awaited(noun: Noun, /, *args: _P.args, **options: _P.kwargs) -> _R:
        return await noun._workers.read(lambda: verb(noun._verbs(), *args, **options))

    update_wrapper(awaited, verb)
    return awaited


def writing(verb: Callable[Concatenate[_S, _P], _R]) -> Callable[Concatenate[Noun, _P], Awaitable[_R]]:
    """The awaited form of a verb that writes."""

    async def awaited(noun: Noun, /, *args: _P.args, **options: _P.kwargs) -> _R:
        return await noun._workers.write(lambda: verb(noun._verbs(), *args, **options))

    update_wrapper(awaited, verb)
    return awaited


def adding(verb: Callable[Concatenate[_S, _P], _R]) -> Callable[Concatenate[Noun, _P], Awaitable[_R]]:
    """The awaited form of a verb that adds to the end of what its first argument names: of the same one
    in the order of asking, also where the backend lets several write at once."""

    async def awaited(noun: Noun, /, *args: _P.args, **options: _P.kwargs) -> _R:
        place = args[0] if args else next(iter(options.values()), None)
        return await noun._workers.write(lambda: verb(noun._verbs(), *args, **options), place=place)

    update_wrapper(awaited, verb)
    return awaited


def aside(verb: Callable[Concatenate[_S, _P], _R]) -> Callable[Concatenate[Noun, _P], Awaitable[_R]]:
    """The awaited form of a verb that may take long, such as one that asks a server."""

    async def awaited(noun: Noun, /, *args: _P.args, **options: _P.kwargs) -> _R:
        return await noun._workers.aside(lambda: verb(noun._verbs(), *args, **options))

    update_wrapper(awaited, verb)
    return awaited
