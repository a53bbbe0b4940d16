"""What a kind of definition files hands over, and what its schema finds."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from peewee import Model


@dataclass(frozen=True, eq=False)
class DefinitionKind:
    """A kind of definition file, offered by ``register_definition_kinds``.

    ``pattern`` is its place under the home folder: ``prompts/{id}.yaml`` gives a record per
    file, named by ``{id}``; a pattern without ``{id}`` is one file, whose record has the kind's
    name as id. ``schema`` checks the parsed file and finds every problem in it; ``columns``
    turns it into the fields of ``model`` beyond those that all definitions have; without a model
    the record lives in the common table. ``redact`` takes out what must not be copied from the
    file into the database (keys, passwords).
    """

    name: str
    pattern: str
    schema: SchemaNode
    summary: str = ""
    model: Callable[[], type[Model]] | None = None
    columns: Callable[[str, Mapping[str, Any]], dict[str, Any]] = field(default=lambda _id, _definition: {})
    redact: Callable[[Mapping[str, Any]], Mapping[str, Any]] = field(default=lambda definition: definition)

    def __post_init__(self) -> None:
        before, mark, tail = self.pattern.partition("{id}")
        if mark and ((before and not before.endswith("/")) or not tail.startswith((".", "/"))):
            raise ValueError(
                f"definition kind {self.name!r}: pattern {self.pattern!r} is none of FOLDER/{{id}}.yaml, "
                "FOLDER/{id}/FILE.yaml and FILE.yaml"
            )


@dataclass(frozen=True, eq=False)
class Problem:
    """One fault of a value: where (a path of keys and positions) and what was expected.

    A ``warning`` does not make the definition unusable: an unknown key that looks misspelled.
    """

    path: tuple[str | int, ...]
    message: str
    warning: bool = False


class SchemaNode(Protocol):
    """Checks one value of a definition; nodes are put together into schemas."""

    def check(self, value: Any, path: tuple[str | int, ...] = ()) -> Iterable[Problem]:
        """Give every problem of the value and of what lies below it."""
