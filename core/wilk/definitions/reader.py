"""Reads definition files strictly: plain data or an error that names line, column and field.

YAML is read in one pass over libyaml's events (PyYAML's own parser where libyaml is missing).
Nothing but plain data comes out: mappings with text keys, lists, text, numbers, booleans, null.
Three readings of YAML 1.1 that people do not mean are not followed: dates and clock times stay
the text that was written, and a number with a leading zero is an error.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from json import JSONDecodeError
from typing import Any, NamedTuple

import yaml
from yaml.events import (
    AliasEvent,
    MappingEndEvent,
    MappingStartEvent,
    ScalarEvent,
    SequenceEndEvent,
    StreamEndEvent,
)

from wilk import codec
from wilk.contracts import Problem
from wilk.definitions.places import MAX_BYTES as MAX_BYTES
from wilk.definitions.redaction import names_secret
from wilk.definitions.scalars import EXPLICIT, NotPlain, plain
from wilk.definitions.schema import EXPECTED_TEXT, in_kind, in_words
from wilk.errors import Invalid, InvalidDefinition

MAX_DEPTH = 60
MAX_ALIASED = 10_000
"""How many values all aliases of one file may stand for together."""

_Loader: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_MAP = (None, "!", "tag:yaml.org,2002:map")
_SEQUENCE = (None, "!", "tag:yaml.org,2002:seq")

Path = tuple[str | int, ...]


def parse(data: bytes, where: str) -> dict[str, Any]:
    """Read the bytes of the file ``where``: JSON when its name ends so, YAML otherwise.

    Raises InvalidDefinition with ``where:line:column: field: what was expected``.
    """
    return parse_json(data, where) if where.endswith(".json") else parse_yaml(data, where)


def parse_yaml(data: bytes, where: str) -> dict[str, Any]:
    """Read a YAML mapping; see :func:`parse`."""
    text = _decoded(data, where)
    faults: list[_Fault] = []
    try:
        value = _Builder(text, faults).document()
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        said = ", ".join(part for part in (error.context, error.problem) if part)
        if (
            mark is not None
            and text.splitlines()[mark.line : mark.line + 1]
            and "\t" in text.splitlines()[mark.line]
        ):
            said += "; indent with spaces, not with tabs"
        faults.append(_Fault(mark.line if mark else 0, mark.column if mark else 0, (), said))
        value = None
    except yaml.reader.ReaderError as error:
        said = f"the character U+{error.character:04X} may not stand here; write an escape in double quotes"
        faults.append(_Fault(*_place(text, chr(error.character)), (), said))
        value = None
    if faults:
        raise InvalidDefinition([fault.at(where) for fault in faults])
    return _mapping(value, where)


def parse_json(data: bytes, where: str) -> dict[str, Any]:
    """Read a JSON object; see :func:`parse`."""
    text = _decoded(data, where)
    try:
        value = codec.parse(text)
    except Invalid as error:
        cause = error.__cause__
        if isinstance(cause, JSONDecodeError):
            raise InvalidDefinition([f"{where}:{cause.lineno}:{cause.colno}: {cause.msg}"]) from error
        raise InvalidDefinition([f"{where}: {error}"]) from error
    return _mapping(value, where)


def described(problems: Iterable[Problem], data: bytes, where: str) -> list[str]:
    """Say where in the file each problem of its schema is: ``path:line:column: field: message``."""
    find = _finder(data, where)
    return [describe(problem, where, find) for problem in problems]


class Spot(NamedTuple):
    """A place in a file: line and column from 1, and, for a scalar without quotes, its text."""

    line: int
    column: int
    plain: str | None


def nowhere(_path: Path) -> Spot | None:
    """Find no place, for what is in no file yet, or in JSON."""
    return None


def describe(problem: Problem, where: str, find: Callable[[Path], Spot | None] = nowhere) -> str:
    """Say a problem in one line, with the place that ``find`` gives for its path."""
    field = dotted(problem.path)
    message = f"{field}: {problem.message}" if field else problem.message
    spot = find(problem.path)
    if spot is None:
        return f"{where}: {message}"
    if spot.plain is not None and problem.message.startswith(EXPECTED_TEXT):
        secret = problem.message == EXPECTED_TEXT
        message += "; write it in quotes" if secret else f"; write {_quoted(spot.plain)} in quotes"
    return f"{where}:{spot.line}:{spot.column}: {message}"


def dotted(path: Path) -> str:
    """Write a path as people do: ``model.parameters.stop[0]``."""
    text = ""
    for part in path:
        text += f"[{part}]" if isinstance(part, int) else f".{part}" if text else part
    return text


class _Fault(NamedTuple):
    line: int
    column: int
    path: Path
    message: str

    def at(self, where: str) -> str:
        field = dotted(self.path)
        text = " ".join(f"{field}: {self.message}".split()) if field else " ".join(self.message.split())
        return f"{where}:{self.line + 1}:{self.column + 1}: {text}"


class _Aliased(NamedTuple):
    """An anchored value and how many values it holds, itself included."""

    value: Any
    size: int


class _Builder:
    """Builds plain data from the events of one document, gathering faults by the way."""

    def __init__(self, text: str, faults: list[_Fault]) -> None:
        self._next = _Loader(text).get_event
        self._faults = faults
        self._anchors: dict[str, _Aliased | None] = {}
        self._path: list[str | int] = []
        self._aliased = 0

    def document(self) -> Any:
        self._next()  # the start of the stream
        event = self._next()
        if isinstance(event, StreamEndEvent):
            return {}  # nothing but comments
        value = self._value(self._next())
        self._next()  # the end of the document
        event = self._next()
        if not isinstance(event, StreamEndEvent):
            self._fault(event, "a second document begins; a definition file holds one")
        return value

    def _value(self, event: Any) -> Any:
        # This runs for every value of every file: exact classes, and the usual case first.
        kind = type(event)
        if kind is ScalarEvent:
            if event.anchor is None and event.tag is None:
                if not event.implicit[0]:
                    return event.value
                try:
                    return plain(event.value)
                except NotPlain as error:
                    self._misread(event, str(error))
                    return None
            return self._marked(event)
        return self._alias(event) if kind is AliasEvent else self._collection(event)

    def _marked(self, event: Any) -> Any:
        """A scalar with a tag or an anchor."""
        value = None
        try:
            if event.tag in (None, "!"):
                value = plain(event.value) if event.implicit[0] else event.value
            elif event.tag in EXPLICIT:
                value = EXPLICIT[event.tag](event.value)
            else:
                self._misread(event, f"the tag {_short(event.tag)} is not known here; write a plain value")
        except NotPlain as error:
            self._misread(event, str(error))
        except ValueError:
            self._misread(event, f"{event.value!r} does not fit its tag {_short(event.tag)}")
        if event.anchor is not None:
            self._anchors[event.anchor] = _Aliased(value, 1)
        return value

    def _alias(self, event: Any) -> Any:
        name = event.anchor
        if name not in self._anchors:
            self._misread(event, f"the alias *{name} stands before its anchor &{name}, or there is none")
            return None
        known = self._anchors[name]
        if known is None:
            raise _stop(event, f"the alias *{name} stands inside of what it names")
        self._aliased += known.size
        if self._aliased > MAX_ALIASED:
            raise _stop(event, f"aliases stand for more than {MAX_ALIASED} values; write them out")
        return known.value

    def _collection(self, event: Any) -> Any:
        if len(self._path) >= MAX_DEPTH:
            raise _stop(event, f"nested deeper than {MAX_DEPTH} levels")
        anchor = event.anchor
        if anchor is not None:
            self._anchors[anchor] = None
        value: Any
        if type(event) is MappingStartEvent:
            if event.tag not in _MAP:
                self._fault(event, f"the tag {_short(event.tag)} is not known here; write a plain mapping")
            value = self._mapping()
        else:
            if event.tag not in _SEQUENCE:
                self._fault(event, f"the tag {_short(event.tag)} is not known here; write a plain list")
            value = self._sequence()
        if anchor is not None:
            self._anchors[anchor] = _Aliased(value, _size(value))
        return value

    def _sequence(self) -> list[Any]:
        items: list[Any] = []
        path = self._path
        path.append(0)
        event = self._next()
        while type(event) is not SequenceEndEvent:
            path[-1] = len(items)
            items.append(self._value(event))
            event = self._next()
        path.pop()
        return items

    def _mapping(self) -> dict[str, Any]:
        own: dict[str, Any] = {}
        merged: list[dict[str, Any]] = []
        path, take = self._path, self._next
        path.append("")
        event = take()
        while type(event) is not MappingEndEvent:
            if type(event) is ScalarEvent and event.implicit[0] and event.value == "<<":
                path[-1] = "<<"
                merged += self._merged(take())
            else:
                key = path[-1] = self._key(event)
                if key in own:
                    self._fault(event, "this key stands twice; keep one of them")
                own[key] = self._value(take())
            event = take()
        path.pop()
        for other in merged:
            own = {**other, **own}
        return own

    def _key(self, event: Any) -> str:
        if type(event) not in (ScalarEvent, AliasEvent):
            self._path[-1] = "?"
            self._value(event)
            self._fault(event, "the key is not text; write a word, or text in quotes")
            return "?"
        before = len(self._faults)
        key = self._value(event)
        if type(key) is str:
            return key
        written = self._path[-1] = str(event.value if type(event) is ScalarEvent else event.anchor)
        if len(self._faults) == before:
            self._fault(event, f"this key is {in_words(key)} to YAML; write {_quoted(written)} in quotes")
        return written

    def _merged(self, event: Any) -> list[dict[str, Any]]:
        value = self._value(event)
        found = value if isinstance(value, list) else [value]
        if not all(isinstance(item, dict) for item in found):
            self._fault(event, "<<: takes a mapping, or a list of mappings")
            return []
        return found

    def _misread(self, event: Any, message: str) -> None:
        """Tell of a value that cannot be read. The message holds it, so it must be no secret."""
        if any(map(names_secret, self._path)):
            message = "this value is not plain text; write it in quotes"
        self._fault(event, message)

    def _fault(self, event: Any, message: str) -> None:
        mark = event.start_mark
        self._faults.append(_Fault(mark.line, mark.column, tuple(self._path), message))


def _size(value: Any) -> int:
    if isinstance(value, dict):
        return 1 + sum(map(_size, value.values()))
    return 1 + sum(map(_size, value)) if isinstance(value, list) else 1


def _stop(event: Any, message: str) -> yaml.MarkedYAMLError:
    """The error for what cannot be read past."""
    return yaml.MarkedYAMLError(problem=message, problem_mark=event.start_mark)


def _mapping(value: Any, where: str) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise InvalidDefinition(
            [f"{where}:1:1: expected fields, such as `name: ...`, found {in_kind(value)}"]
        )
    return value


def _decoded(data: bytes, where: str) -> str:
    if len(data) > MAX_BYTES:
        raise InvalidDefinition([f"{where}: {len(data)} bytes; a definition file has at most {MAX_BYTES}"])
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        before = data[: error.start]
        line, column = before.count(b"\n") + 1, error.start - before.rfind(b"\n")
        raise InvalidDefinition([f"{where}:{line}:{column}: not UTF-8; save the file as UTF-8"]) from error
    if not text or text.isspace():
        raise InvalidDefinition([f"{where}:1:1: the file is empty; expected fields, such as `name: ...`"])
    return text


def _finder(data: bytes, where: str) -> Callable[[Path], Spot | None]:
    if where.endswith(".json"):
        return nowhere
    # The file has been read once, so it is sound and of bounded depth.
    root = yaml.compose(data.decode("utf-8-sig"), Loader=_Loader)
    return lambda path: _spot(root, path)


def _spot(node: Any, path: Path) -> Spot | None:
    """The place of a path, or of the nearest thing above it that the file has."""
    anchor = node
    for part in path:
        if isinstance(node, yaml.MappingNode):
            pairs = {key.value: (key, value) for key, value in node.value if isinstance(key, yaml.ScalarNode)}
            if part not in pairs:
                break
            anchor, node = pairs[part]
        elif isinstance(node, yaml.SequenceNode) and isinstance(part, int) and part < len(node.value):
            anchor = node = node.value[part]
        else:
            break
    else:
        if isinstance(node, yaml.ScalarNode):
            anchor = node
    if anchor is None:
        return None
    is_plain = isinstance(anchor, yaml.ScalarNode) and anchor is node and not anchor.style
    return Spot(anchor.start_mark.line + 1, anchor.start_mark.column + 1, anchor.value if is_plain else None)


def _place(text: str, sought: str) -> tuple[int, int]:
    before = text.partition(sought)[0]
    return before.count("\n"), len(before) - before.rfind("\n") - 1


def _short(tag: str | None) -> str:
    return str(tag).replace("tag:yaml.org,2002:", "!!")


def _quoted(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"
