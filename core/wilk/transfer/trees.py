"""Trees of messages: an order in which parents come before children, and the visible branch.

Sources name a parent by key, and are not always right: parents may be missing, name themselves, or go round
in circles. Nothing here recurses, so that a chain may be as deep as it likes.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple


class Node(NamedTuple):
    """A message of a source. ``moment`` orders siblings: anything that can be compared; None is unknown."""

    key: str
    parent: str | None
    moment: Any = None


class Tree(NamedTuple):
    """Keys with parents before children, and siblings by their moment; ``parents`` are the sound ones.

    ``leaf`` is the latest message without children. ``orphans`` had a parent that is not there, ``broken``
    were part of a circle: all of these begin a tree of their own. ``repeated`` are keys that came again.
    """

    order: Sequence[str]
    parents: dict[str, str | None]
    leaf: str | None
    orphans: Sequence[str]
    broken: Sequence[str]
    repeated: Sequence[str]


def tree(nodes: Iterable[Node]) -> Tree:
    """Put nodes in order. A node without a moment is as old as the one before it in the source."""
    parents: dict[str, str | None] = {}
    moments: dict[str, tuple[Any, int]] = {}
    repeated: list[str] = []
    last: Any = None
    for number, node in enumerate(nodes):
        if node.key in parents:
            repeated.append(node.key)
            continue
        last = node.moment if node.moment is not None else last
        parents[node.key] = node.parent
        moments[node.key] = (last, number)
    orphans = [key for key, parent in parents.items() if parent is not None and parent not in parents]
    for key in orphans:
        parents[key] = None
    broken = _broken(parents)
    for key in broken:
        parents[key] = None
    children: dict[str | None, list[str]] = {}
    for key, parent in parents.items():
        children.setdefault(parent, []).append(key)

    def place(key: str) -> tuple[bool, Any, int]:
        moment, number = moments[key]
        return (moment is not None, moment if moment is not None else 0, number)

    for siblings in children.values():
        siblings.sort(key=place)
    order: list[str] = []
    waiting = children.get(None, [])[::-1]
    while waiting:
        key = waiting.pop()
        order.append(key)
        waiting += children.get(key, [])[::-1]
    leaves = [key for key in order if key not in children]
    return Tree(order, parents, max(leaves, key=place, default=None), orphans, broken, repeated)


def path(parents: dict[str, str | None], leaf: str | None) -> list[str]:
    """The keys from the root to a leaf; of a way that goes round, up to where it would begin again."""
    found: dict[str, None] = {}
    while leaf is not None and leaf not in found:
        found[leaf] = None
        leaf = parents.get(leaf)
    return list(found)[::-1]


def _broken(parents: dict[str, str | None]) -> list[str]:
    """One node of each circle."""
    done: set[str] = set()
    found = []
    for start in parents:
        here: set[str] = set()
        key: str | None = start
        while key is not None and key not in done and key not in here:
            here.add(key)
            key = parents[key]
        if key is not None and key in here:
            found.append(key)
        done |= here
    return found
