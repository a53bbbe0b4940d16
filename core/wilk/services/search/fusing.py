"""Fuses ranked lists by reciprocal rank: what stands far up in several lists comes first.

Each entry adds ``weight / (60 + rank)``. Weights say how far a list is to be trusted with an entry: one that
holds half of what was asked for counts half, and a neighbour that is hardly nearer than any other record
counts little. They never rise along a list, so that one list alone keeps its order.
(Cormack, Clarke, Buettcher: Reciprocal Rank Fusion, SIGIR 2009.)
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import NamedTuple

from wilk.records.search import Reason

K = 60
"""The constant of reciprocal rank: how much the first places differ from those behind them."""

Key = tuple[str, str]
"""Kind and id of a record."""


class Entry(NamedTuple):
    """A record in one list: ``value`` is what the list is sorted by, ``weight`` 0.0–1.0."""

    key: Key
    value: float
    weight: float


class Fused(NamedTuple):
    """A record with the sum of the shares of its reasons."""

    key: Key
    score: float
    reasons: tuple[Reason, ...]


def fused(lists: Mapping[str, Iterable[Entry]]) -> list[Fused]:
    """Put lists together, the best first, of equals the newest: ids are ordered by time."""
    reasons: dict[Key, list[Reason]] = {}
    for by, entries in lists.items():
        weight = float("inf")
        for rank, entry in enumerate(entries, 1):
            weight = min(weight, entry.weight)
            if weight > 0:
                reasons.setdefault(entry.key, []).append(Reason(by, rank, entry.value, weight / (K + rank)))
    found = [
        Fused(key, sum(reason.share for reason in of_one), tuple(of_one)) for key, of_one in reasons.items()
    ]
    found.sort(key=lambda one: (one.key[1], one.key[0]), reverse=True)
    found.sort(key=lambda one: one.score, reverse=True)
    return found
