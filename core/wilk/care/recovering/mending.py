"""Makes rows fit to be written that were not found whole: what is lost of them is left out, and said."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from typing import Any

from wilk import codec
from wilk.care.recovering.layouts import Column, Layout
from wilk.care.recovering.pages import LOST, BadText, Cut

MARK = "recovered"
"""The key of a row's metadata that tells which of its values were lost or changed."""

_OLDEST = 10**14
"""Microseconds until 1973: no row is as old."""


class Unmendable(ValueError):
    """A row of which so much is lost that it is none any more."""


def mended(layout: Layout, values: Sequence[Any]) -> tuple[list[Any], list[str]]:
    """A row as it can be written, and what was done to it, a sentence for each column.

    Raises Unmendable for one that has lost its key.
    """
    row = list(values)
    done = []
    referring = {parent.column for parent in layout.parents}
    for place, column in enumerate(layout.columns):
        value = row[place]
        if value is None or isinstance(value, (int, float)):
            continue
        if isinstance(value, str):
            if column.name in layout.json and not _is_json(value):
                row[place] = None
                done.append(f"{column.name}: it is no JSON")
            elif "\0" in value and not column.key:  # wilk keeps no text with it: another page's bytes
                row[place] = value.replace("\0", "\ufffd")
                done.append(f"{column.name}: NUL stands in it, and was replaced")
            continue
        if isinstance(value, bytes) and not isinstance(value, BadText) and column.name not in layout.json:
            continue
        if column.key or (column.name in referring and column.filled):
            raise Unmendable(f"{column.name} is damaged, by which it is known")
        row[place], why = _instead(column, value, json=column.name in layout.json)
        done.append(f"{column.name}: {why}")
        if row[place] is LOST:
            row[place] = _made_up(layout, column, row)
    if done:
        _mark(layout, row, done)
    return row, done


def looks_right(layout: Layout, row: Sequence[Any]) -> bool:
    """Whether a row of the right shape also says what rows of that table say: JSON where JSON is wanted,
    times of this age where times are."""
    for column, value in zip(layout.columns, row, strict=True):
        if column.name in layout.json and isinstance(value, str) and not _is_json(value):
            return False
        if column.name.endswith("_at") and isinstance(value, int) and value < _OLDEST:
            return False
    return True


def shown(layout: Layout | None, values: Sequence[Any]) -> dict[str, Any]:
    """A row as JSON that loses nothing: bytes are written in base64."""
    names = [f"column {n}" for n in range(1, len(values) + 1)]
    if layout is not None and len(layout.columns) == len(values):
        names = [column.name for column in layout.columns]
    return {name: _shown(value) for name, value in zip(names, values, strict=True) if value is not LOST}


def _shown(value: Any) -> Any:
    if isinstance(value, Cut):
        return {"cut": _shown(BadText(value.data))}
    if isinstance(value, bytes):
        return {"base64": base64.b64encode(value).decode()}
    return value


def _is_json(text: str) -> bool:
    try:
        codec.loads(text)
    except (ValueError, RecursionError):
        return False
    return True


def _instead(column: Column, value: Any, *, json: bool) -> tuple[Any, str]:
    """What takes the place of a value that cannot be written."""
    if json:
        return None, "it is lost" if value is LOST else "it is cut off, or no JSON"
    if isinstance(value, BadText):
        return value.decode("utf-8", "replace"), "it is not UTF-8; what is no text in it was replaced"
    if isinstance(value, Cut):
        if not value.text:
            raise Unmendable(f"the end of {column.name} is lost")
        return value.data.decode("utf-8", "ignore"), "its end is lost"
    if column.filled and column.declared == "BLOB":
        raise Unmendable(f"{column.name} is lost")
    return (LOST if column.filled else None), "it is lost"


def _made_up(layout: Layout, column: Column, row: Sequence[Any]) -> Any:
    """A value for a column that must have one."""
    if column.default is not None:
        return column.default
    if column.name.endswith("_at"):
        return _time_of(layout, row)
    return {"text": "", "real": 0.0}.get(column.kind, 0)


def _time_of(layout: Layout, row: Sequence[Any]) -> int:
    """When a row was made, as its id tells (UUIDv7: 48 bits of milliseconds), in microseconds."""
    for column, value in zip(layout.columns, row, strict=True):
        if column.name == "id" and isinstance(value, str):
            digits = value.replace("-", "")
            if len(digits) == 32 and digits[12] == "7":
                try:
                    return int(digits[:12], 16) * 1000
                except ValueError:
                    break
    return 0


def _mark(layout: Layout, row: list[Any], done: list[str]) -> None:
    for place, column in enumerate(layout.columns):
        if column.name == "metadata" and column.name in layout.json:
            held = codec.loads(row[place]) if isinstance(row[place], str) else {}
            if isinstance(held, dict):
                row[place] = codec.dumps({**held, MARK: done})
