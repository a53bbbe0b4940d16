"""Writes definition files: what a person wrote in them stays, and what is written reads back equal."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from wilk import codec
from wilk.contracts import SchemaNode
from wilk.definitions import dumping, patching, reader
from wilk.definitions.places import Place
from wilk.errors import Invalid, InvalidDefinition
from wilk.files import write_atomic


def rendered(file: Path, path: str, definition: Mapping[str, Any], schema: SchemaNode) -> bytes:
    """The bytes that a file is to hold, by its old ones if there are any.

    ``path`` is how errors name the file. Each way of writing is tried until one reads back as the
    very definition; comments of an existing file are kept, or Invalid is raised.
    """
    try:
        before = file.read_bytes()
    except FileNotFoundError:
        before = b""
    except OSError as error:
        raise Invalid(f"{path} cannot be read, so it is not written either: {error.strerror}") from error
    wanted = codec.canonical(definition)
    ways = _json(definition) if path.endswith(".json") else _yaml(before, definition, schema, path)
    for text in ways:
        data = text.encode("utf-8", "surrogatepass")
        with suppress(InvalidDefinition):
            if codec.canonical(reader.parse(data, path)) == wanted:
                return data
    if before and patching.has_comments(before.decode("utf-8-sig", "replace")):
        hint = "" if _editor() else "install wilk[edit], which can do more, or "
        raise Invalid(
            f"{path}: this change cannot be made without losing comments; {hint}edit the file by hand"
        )
    raise Invalid(f"{path}: this definition cannot be written so that it reads back the same")


def write(file: Path, data: bytes) -> None:
    """Replace a file so that a reader sees the old bytes or the new, never a mixture."""
    try:
        write_atomic(file, data)
    except OSError as error:
        raise Invalid(f"{file} cannot be written: {error.strerror}") from error


def remove(file: Path, place: Place) -> None:
    """Remove a file, and the folder that was its own when nothing else is left in it."""
    try:
        file.unlink(missing_ok=True)
    except OSError as error:
        raise Invalid(f"{file} cannot be removed: {error.strerror}") from error
    if place.tail.startswith("/"):
        with suppress(OSError):
            file.parent.rmdir()


def _json(definition: Mapping[str, Any]) -> Iterator[str]:
    yield codec.pretty(definition) + "\n"


def _yaml(before: bytes, definition: Mapping[str, Any], schema: SchemaNode, path: str) -> Iterator[str]:
    try:
        held = reader.parse_yaml(before, path)
        text = before.decode("utf-8-sig")
    except InvalidDefinition as error:
        if before.strip():
            raise Invalid(
                f"{path} is broken, and writing would lose what is in it; mend or remove it: {error}"
            ) from error
        held, text = {}, ""
    if held and codec.canonical(held) == codec.canonical(definition):
        yield text
    if text:
        edit = _editor()
        if edit is not None:
            with suppress(ValueError, LookupError):  # to YAML 1.2 some keys are numbers
                yield edit(text, held, definition)
        with suppress(patching.NotPossible):
            yield patching.patch(text, held, definition)
        if patching.has_comments(text):
            return
    ordered = dumping.in_order_of(definition, held) if held else dumping.in_order(definition, schema)
    yield dumping.dump(ordered)
    yield dumping.dump(ordered, blocks=False)


def _editor() -> Callable[[str, Mapping[str, Any], Mapping[str, Any]], str] | None:
    """The editor that keeps every byte it need not touch, where yaml-edit is installed."""
    try:
        from wilk.definitions.editing import edit
    except ImportError:
        return None
    return edit
