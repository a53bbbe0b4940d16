"""The one place for showing: styles on a terminal, plain lines in a pipe, JSON for programs."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any, Self, TextIO

from wilk.cli import text

_STYLES = {"bold": "1", "dim": "2", "red": "31", "green": "32", "yellow": "33", "blue": "34", "cyan": "36"}
_GAP = 2
_NARROWEST = 6


class Styled(str):
    """Text with the name of the style that it has on a terminal."""

    __slots__ = ("style",)
    style: str

    def __new__(cls, text: str, style: str) -> Self:
        styled = super().__new__(cls, text)
        styled.style = style
        return styled


class Output:
    """Where a command shows what it has to say: usually the process's standard output.

    ``json``: records are shown as one JSON document. ``quiet``: what was done is not told.
    """

    def __init__(self, stream: TextIO | None = None, *, json: bool = False, quiet: bool = False) -> None:
        self.stream = sys.stdout if stream is None else stream
        self.json = json
        self.quiet = quiet
        self.terminal = is_terminal(self.stream)
        self.colored = _colored(self.terminal)

    # -- lines ----------------------------------------------------------------------------

    def line(self, *parts: str, indent: str = "") -> None:
        """Show one line; parts are put together with blanks, control characters as escapes."""
        self._write(indent + " ".join(self.paint(part) for part in parts))

    def pieces(self, parts: Iterable[str], *, indent: str = "") -> None:
        """Show one line of pieces with styles of their own, with nothing put between them."""
        self._write(indent + "".join(self.paint(part) for part in parts))

    def lines(self, content: str, *, indent: str = "", style: str = "") -> None:
        """Show text of several lines."""
        for line in text.lines(content).splitlines():
            self._write(indent + self._styled(line, style))

    def note(self, *parts: str) -> None:
        """Tell what was done; not with ``--quiet``, and not in the way of JSON."""
        if not self.quiet and not self.json:
            self.line(*parts)

    def raw(self, content: str) -> None:
        """Give a file's content: as it is in a pipe, without control characters on a terminal."""
        self.stream.write(text.lines(content) if self.terminal else content)

    # -- records --------------------------------------------------------------------------

    def table(
        self,
        headings: Sequence[str],
        rows: Iterable[Sequence[str]],
        *,
        right: Sequence[int] = (),
        whole: Sequence[int] = (),
    ) -> None:
        """Show rows under headings, aligned; columns numbered in ``right`` are flush right.

        On a terminal the widest columns are shortened until a row fits into a line; those in ``whole``
        come last, for they are ids that other commands want in full.
        """
        cells = [[(text.one_line(cell).strip(), _style(cell)) for cell in row] for row in rows]
        texts = [[shown for shown, _ in row] for row in cells]
        widths = [max(map(text.width, column)) for column in zip(headings, *texts, strict=True)]
        if self.terminal:
            least = [max(text.width(heading), _NARROWEST) for heading in headings]
            _narrow(widths, [widths[i] if i in whole else columns for i, columns in enumerate(least)])
            _narrow(widths, least)
        self._write(self._row([(heading, "bold") for heading in headings], widths, right))
        for row in cells:
            self._write(self._row(row, widths, right))

    def fields(self, pairs: Iterable[tuple[str, Any]]) -> None:
        """Show names and values, one pair a line; pairs without a value are left out."""
        shown = [(name, cell) for name, value in pairs if (cell := word(value))]
        column = max((text.width(name) for name, _ in shown), default=0)
        for name, value in shown:
            self._write(
                f"{self._styled(text.padded(name, column), 'dim')}  {self.paint(word(value))}".rstrip()
            )

    def document(self, value: Any) -> None:
        """Give a value, or records, as one JSON document: UTF-8, times in UTC."""
        from wilk import codec

        self._as_utf8()
        self._write(codec.pretty(as_json(value)))

    def json_line(self, value: Any) -> None:
        """Give a value as JSON in one line, for programs that read a stream of them."""
        from json import dumps

        self._as_utf8()
        self._write(dumps(as_json(value), ensure_ascii=False))

    def result(self, record: Any, told: str, *, id: str | None = None) -> None:
        """Tell of a record that was written: as JSON, by its id alone if quiet, or in words."""
        if self.json:
            self.document(record)
        elif not self.quiet:
            self.line(told)
        elif id is not None:
            self.line(id)

    # -- the terminal ---------------------------------------------------------------------

    def paint(self, cell: str) -> str:
        """A piece of a line, with its style where styles are shown."""
        return self._styled(text.one_line(cell), _style(cell))

    def _row(self, row: Sequence[tuple[str, str]], widths: Sequence[int], right: Sequence[int]) -> str:
        parts = []
        for i, ((shown, style), columns) in enumerate(zip(row, widths, strict=True)):
            padded = text.padded(text.shortened(shown, columns), columns, right=i in right)
            parts.append(self._styled(padded, style))
        return (" " * _GAP).join(parts).rstrip()

    def _styled(self, content: str, style: str) -> str:
        if not style or not self.colored or not content:
            return content
        return f"\x1b[{_STYLES[style]}m{content}\x1b[0m"

    def _as_utf8(self) -> None:
        """JSON is UTF-8 whatever the locale says."""
        if hasattr(self.stream, "reconfigure"):
            self.stream.reconfigure(encoding="utf-8")

    def _write(self, line: str) -> None:
        self.stream.write(line + "\n")


def word(value: Any) -> str:
    """One value for people: times in the local zone, lists with commas, ``yes`` and ``no``."""
    if value is None:
        return ""
    if isinstance(value, str):
        return value
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:g}"
    if isinstance(value, datetime):
        return moment(value)
    if isinstance(value, Mapping):
        return ", ".join(f"{key}: {word(item)}" for key, item in value.items())
    if isinstance(value, (list, tuple)):
        return ", ".join(map(word, value))
    return str(value)


def moment(time: datetime, *, seconds: bool = False) -> str:
    """A time for people, in the local zone."""
    return time.astimezone().strftime("%Y-%m-%d %H:%M:%S" if seconds else "%Y-%m-%d %H:%M")


def as_json(value: Any) -> Any:
    """Turn records into objects and times into ISO 8601, all the way down."""
    if isinstance(value, datetime):
        return value.isoformat()
    if isinstance(value, os.PathLike):
        return os.fspath(value)
    if isinstance(value, tuple) and hasattr(value, "_asdict"):
        return {name: as_json(item) for name, item in value._asdict().items()}
    if isinstance(value, Mapping):
        return {str(key): as_json(item) for key, item in value.items()}
    if isinstance(value, (list, tuple, set, frozenset)):
        return [as_json(item) for item in value]
    return value


def is_terminal(stream: Any) -> bool:
    """Whether a person may be looking at the stream."""
    try:
        return bool(stream.isatty())
    except (AttributeError, ValueError):  # none at all, or closed
        return False


def terminal_width() -> int:
    """How many columns there are; ``COLUMNS`` overrides what the terminal says."""
    if (columns := os.environ.get("COLUMNS", "")).isdecimal() and int(columns) > 0:
        return int(columns)
    for stream in (sys.__stdout__, sys.__stderr__, sys.__stdin__):
        try:
            return os.get_terminal_size(stream.fileno()).columns or 80  # type: ignore[union-attr]
        except (AttributeError, ValueError, OSError):
            continue
    return 80


def _colored(terminal: bool) -> bool:
    environment = os.environ
    if environment.get("NO_COLOR"):
        return False
    if environment.get("FORCE_COLOR"):
        return environment["FORCE_COLOR"] != "0"
    return terminal and environment.get("TERM") != "dumb"


def _style(content: str) -> str:
    return content.style if isinstance(content, Styled) else ""


def _narrow(widths: list[int], least: Sequence[int]) -> None:
    """Take columns from the widest until all fit into the terminal, but never less than ``least``."""
    over = sum(widths) + _GAP * (len(widths) - 1) - terminal_width()
    for _ in range(over):
        able = [i for i, columns in enumerate(widths) if columns > least[i]]
        if not able:
            return
        widths[max(able, key=lambda i: widths[i])] -= 1
