"""Schemas of definitions, put together from small nodes; each finds every problem of a value.

::

    Section(
        required={"name": Text()},
        optional={"temperature": Number(0, 2), "tags": ListOf(Text()), "mode": Choice("fast", "slow")},
    )

Errors are stored and shown around. Of what stands under a telling name (``api_key``), or where a
node has ``secret=True``, they say what it is (``a text``) and not what it says.

Unknown keys are kept, because files outlive the programs that read them; one that looks like a
known key misspelled is a warning.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from sys import float_info
from typing import Any

from wilk.contracts import Problem, SchemaNode
from wilk.definitions.redaction import names_secret

Path = tuple[str | int, ...]
EXPECTED_TEXT = "expected text"
"""How the message for a value that should be text begins: the reader adds what the file says,
because ``version: 1.10`` is the number 1.1 by the time that a schema sees it."""


@dataclass(frozen=True)
class Anything:
    """Takes every value."""

    def check(self, value: Any, path: Path = ()) -> Iterator[Problem]:  # noqa: ARG002
        return iter(())


@dataclass(frozen=True)
class Nothing:
    """Takes a key without a value."""

    secret: bool = False

    def check(self, value: Any, path: Path = ()) -> Iterator[Problem]:
        if value is not None:
            yield Problem(path, f"expected nothing, found {_found(value, path, self.secret)}")


@dataclass(frozen=True)
class Text:
    """Takes text; with ``filled``, only text that is not blank."""

    filled: bool = False
    secret: bool = False

    def check(self, value: Any, path: Path = ()) -> Iterator[Problem]:
        if not isinstance(value, str):
            secret = self.secret or _is_secret(path)
            yield Problem(path, EXPECTED_TEXT if secret else f"{EXPECTED_TEXT}, found {in_words(value)}")
        elif "\0" in value:
            yield Problem(path, "NUL characters cannot be kept here; take them out")
        elif self.filled and not value.strip():
            yield Problem(path, "this field is blank; write something")


@dataclass(frozen=True)
class Number:
    """Takes a finite number from ``least`` to ``most``."""

    least: float = -math.inf
    most: float = math.inf
    secret: bool = False

    def check(self, value: Any, path: Path = ()) -> Iterator[Problem]:
        is_number = isinstance(value, (int, float)) and not isinstance(value, bool)
        if not (is_number and abs(value) <= float_info.max and self.least <= value <= self.most):
            yield Problem(
                path,
                f"expected a number{_range(self.least, self.most)}, found {_found(value, path, self.secret)}",
            )


@dataclass(frozen=True)
class Integer:
    """Takes a whole number from ``least`` to ``most``."""

    least: float = -(2**63)
    most: float = 2**63 - 1
    secret: bool = False

    def check(self, value: Any, path: Path = ()) -> Iterator[Problem]:
        is_whole = isinstance(value, int) and not isinstance(value, bool)
        if not (is_whole and self.least <= value <= self.most):
            limits = _range(
                self.least if self.least > -(2**63) else -math.inf,
                self.most if self.most < 2**63 - 1 else math.inf,
            )
            yield Problem(path, f"expected a whole number{limits}, found {_found(value, path, self.secret)}")


@dataclass(frozen=True)
class Flag:
    """Takes true or false."""

    secret: bool = False

    def check(self, value: Any, path: Path = ()) -> Iterator[Problem]:
        if not isinstance(value, bool):
            yield Problem(path, f"expected true or false, found {_found(value, path, self.secret)}")


class Choice:
    """Takes one of some values."""

    def __init__(self, *values: str, secret: bool = False) -> None:
        self.values = values
        self.secret = secret

    def check(self, value: Any, path: Path = ()) -> Iterator[Problem]:
        if value not in self.values:
            hint = did_you_mean(value, self.values)
            yield Problem(
                path, f"expected {' or '.join(self.values)}, found {_found(value, path, self.secret)}{hint}"
            )


@dataclass(frozen=True)
class ListOf:
    """Takes a list whose items all fit ``item``."""

    item: SchemaNode
    secret: bool = False

    def check(self, value: Any, path: Path = ()) -> Iterator[Problem]:
        if not isinstance(value, (list, tuple)):
            yield Problem(path, f"expected a list, found {_found(value, path, self.secret)}")
            return
        for position, item in enumerate(value):
            yield from self.item.check(item, (*path, position))


@dataclass(frozen=True)
class MapOf:
    """Takes a mapping of any keys whose values all fit ``value``."""

    value: SchemaNode
    secret: bool = False

    def check(self, value: Any, path: Path = ()) -> Iterator[Problem]:
        if not isinstance(value, Mapping):
            yield Problem(path, f"expected a mapping, found {_found(value, path, self.secret)}")
            return
        for key, item in value.items():
            yield from self.value.check(item, (*path, key))


@dataclass(frozen=True)
class OneOf:
    """Takes what fits one of several nodes; ``expected`` says it in words, for the error."""

    nodes: tuple[SchemaNode, ...]
    expected: str
    secret: bool = False

    def check(self, value: Any, path: Path = ()) -> Iterator[Problem]:
        if any(not any(node.check(value, path)) for node in self.nodes):
            return
        for node, kind in zip(self.nodes, map(_shape, self.nodes), strict=True):
            # Of a mapping or a list that is nearly right, the one thing that is wrong is told.
            if kind is not None and isinstance(value, kind):
                yield from node.check(value, path)
                return
        yield Problem(path, f"expected {self.expected}, found {_found(value, path, self.secret)}")


@dataclass(frozen=True)
class Section:
    """Takes a mapping with these fields. An optional one may also be empty (null).

    ``rules`` look at the whole mapping once its fields are sound.
    """

    required: Mapping[str, SchemaNode] = field(default_factory=dict)
    optional: Mapping[str, SchemaNode] = field(default_factory=dict)
    rules: tuple[Callable[[Mapping[str, Any], Path], Iterator[Problem]], ...] = ()
    secret: bool = False

    def check(self, value: Any, path: Path = ()) -> Iterator[Problem]:
        if not isinstance(value, Mapping):
            yield Problem(path, f"expected a mapping, found {_found(value, path, self.secret)}")
            return
        sound = True
        for key, item in value.items():
            node = self.required.get(key) or self.optional.get(key)
            if node is None:
                known = [name for name in (*self.required, *self.optional) if name not in value]
                if hint := did_you_mean(key, known):
                    yield Problem((*path, key), f"no known field{hint}", warning=True)
            elif item is not None or key in self.required:
                for problem in node.check(item, (*path, key)):
                    sound = sound and problem.warning
                    yield problem
        for key in self.required:
            if key not in value:
                sound = False
                yield Problem((*path, key), "this field is missing")
        if sound:
            for rule in self.rules:
                yield from rule(value, path)


def in_words(value: Any) -> str:
    """Say what a value is, for errors: ``the number 3``, ``true``, ``a list``."""
    if value is None:
        return "nothing"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, (int, float)):
        return f"the number {value}"
    if isinstance(value, str):
        return f"the text {value if len(value) <= 40 else value[:39] + '…'!r}"
    if isinstance(value, (list, tuple)):
        return "a list"
    if isinstance(value, Mapping):
        return "a mapping"
    return f"a value of type {type(value).__name__}"


def in_kind(value: Any) -> str:
    """Say what kind of value it is and nothing of what it says: ``a number``, ``a text``."""
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        return "a number"
    return "a text" if isinstance(value, str) else in_words(value)


def _is_secret(path: Path) -> bool:
    return any(map(names_secret, path))


def _found(value: Any, path: Path, secret: bool) -> str:
    return in_kind(value) if secret or _is_secret(path) else in_words(value)


def _range(least: float, most: float) -> str:
    if math.isinf(least) and math.isinf(most):
        return ""
    if math.isinf(most):
        return f" from {least:g}"
    if math.isinf(least):
        return f" up to {most:g}"
    return f" from {least:g} to {most:g}"


def did_you_mean(value: Any, known: Iterable[str]) -> str:
    """The end of an error message for a word that is much like a known one, else nothing."""
    if not isinstance(value, str):
        return ""
    from difflib import get_close_matches

    close = get_close_matches(value, known, 1, 0.75)
    return f"; did you mean {close[0]!r}?" if close else ""


def _shape(node: SchemaNode) -> type[Any] | tuple[type[Any], ...] | None:
    """The Python type that a node of lists or mappings takes."""
    if isinstance(node, (Section, MapOf)):
        return Mapping
    return (list, tuple) if isinstance(node, ListOf) else None
