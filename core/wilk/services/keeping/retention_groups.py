"""Which messages stay although a rule of retention takes them: a tool call goes with its results, or stays.

What a rule takes of a session ends somewhere in its sequence. When that would part a call from its
result, the rule takes less: it ends before the call.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from wilk import models
from wilk.engine import Engine, Rows
from wilk.services.memory import cuts

_AROUND = 64
"""How many messages on each side of an end are looked at: a call and its results lie close together."""


def staying(engine: Engine, taken: Any) -> list[int]:
    """The keys of those of the ``taken`` messages, a condition, that have to stay."""
    from peewee import fn  # with Peewee; see wilk.models

    message: Any = models.Message
    ends = message.select(message.session, fn.MAX(message.sequence)).where(taken).group_by(message.session)
    found: list[int] = []
    for session, end in engine.select(ends):
        after = engine.select(_rows((message.session == session) & (message.sequence > end)))
        if after and _linked(after):
            before = _rows((message.session == session) & (message.sequence <= end), newest=True, taken=taken)
            found += _cut(engine.select(before)[::-1], after)
    return found


def _linked(rows: Rows) -> bool:
    """Whether any of these messages answers a call."""
    return any(line.links.results or line.role == "tool" for line in map(_line, rows))


def _cut(before: Rows, after: Rows) -> list[int]:
    """The keys of the last rows of ``before`` that belong to the first of ``after``."""
    lines = [_line(row) for row in (*before, *after)]
    last = len(before) - 1
    place = max((one for one in cuts.places(lines, 0, open_ended=False) if one <= last), default=-1)
    return [row[0] for row in before[place + 1 :]]


def _line(row: Sequence[Any]) -> cuts.Line:
    return cuts.Line.of(row[1:])


def _rows(condition: Any, *, newest: bool = False, taken: Any = None) -> Any:
    message: Any = models.Message
    query = message.select(
        message.pk, message.sequence, message.role, message.tokens, message.parts, message.metadata
    ).where(condition)
    if taken is not None:
        query = query.where(taken)
    order = message.sequence.desc() if newest else message.sequence
    return query.order_by(order).limit(_AROUND)
