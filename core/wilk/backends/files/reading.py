"""Reading: a file of the tree becomes rows, or a list of what is wrong with it and on which line."""

from __future__ import annotations

import json
import re
from typing import Any, NamedTuple

from wilk import codec
from wilk.backends.files.layout import Place, decoded, encoded
from wilk.backends.files.rows import Problem, Row, Table
from wilk.errors import Invalid

_SPACE = re.compile(r"[ \t\r\n]*")


class Content(NamedTuple):
    """What a file holds: rows, or what is wrong with it. ``filled``: keys were missing that could be made up,
    so that the file is to be written anew."""

    rows: list[Row]
    problems: list[str]
    filled: bool


def read(data: bytes, place: Place, table: Table, *, now: int) -> Content:
    """The rows of a file. ``now`` stands for times that a person has left out."""
    try:
        value = codec.parse(data)
    except Invalid as error:
        return Content([], [str(error)], False)
    problems: list[Problem] = []
    rows: list[Row] = []
    listed = place.placement.order is not None
    if listed and not isinstance(value, list):
        problems.append(Problem(None, None, "a list of rows is wanted"))
    else:
        for number, one in enumerate(value if listed else [value]):
            found = len(problems)
            row = table.read(one, number if listed else None, problems)
            if len(problems) == found:
                rows.append(_completed(row, place, table, number if listed else None, problems, now))
    if problems:
        text = data.decode("utf-8-sig")
        return Content([], [f"line {_line(text, one)}: {one.text}" for one in problems], False)
    return Content(rows, [], any(row.missing for row in rows))


def _completed(
    row: Row, place: Place, table: Table, number: int | None, problems: list[Problem], now: int
) -> Row:
    """A row with what a person may leave out: what the path says, times, hashes, numbers of the engine's."""
    values = list(row.values)
    for name in row.missing:
        value = _made_up(name, values, place, table, now)
        if value is None and name != table.counted:
            problems.append(Problem(number, None, f"the key {name!r} is missing"))
        values[table.place[name]] = value
    if table.name == "documents" and "content_hash" in row.missing:
        _title(values, table)
    group = table.group_of(values)
    if not any(problem.row == number for problem in problems) and place.names != tuple(
        encoded(str(value)) for value in group if not (value is None and place.placement.nowhere)
    ):
        wanted = place.placement.path_of(group, place.first)
        problems.append(Problem(number, place.placement.group[0], f"what says this belongs into {wanted}"))
    return row._replace(values=tuple(values))


def _made_up(name: str, values: list[Any], place: Place, table: Table, now: int) -> Any:
    columns = {column.name: column for column in table.columns}
    if name in place.placement.group and columns[name].kind == "text":
        there = place.placement.group.index(name)
        return decoded(place.names[there]) if there < len(place.names) else None
    if columns[name].kind == "time":
        return now
    if name == "content_hash" and "data" in table.place:
        data = values[table.place["data"]]
        return None if data is None else codec.text_hash(data)
    if name == "kind" and table.name == "documents":
        return "conversation"
    return None


def _title(values: list[Any], table: Table) -> None:
    """Give a document that the store has not written the title that the verbs would give it."""
    from wilk.services.connectome.documents import title_of

    data = values[table.place["data"]]
    if values[table.place["title"]] is None and data is not None:
        values[table.place["title"]] = title_of(codec.parse(data))


def _line(text: str, problem: Problem) -> int:
    """The line of what is wrong."""
    begin, end = 0, len(text)
    if problem.row is not None:
        begin, end = _span(text, problem.row)
    if problem.column is not None:
        found = re.compile(re.escape(json.dumps(problem.column)) + r"\s*:").search(text, begin, end)
        begin = found.start() if found else begin
    return text.count("\n", 0, begin) + 1


def _span(text: str, number: int) -> tuple[int, int]:
    """Where a value of the list that a text is begins and ends."""
    decoder = json.JSONDecoder()
    place = text.index("[") + 1
    for _ in range(number + 1):
        begin = _SPACE.match(text, place).end()  # type: ignore[union-attr]
        _, end = decoder.raw_decode(text, begin)
        place = _SPACE.match(text, end).end() + 1  # type: ignore[union-attr]
    return begin, end
