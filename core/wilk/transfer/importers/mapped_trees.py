"""Trees of messages as a mapping has them: nodes by id, which name their parent and their children.

The two may not agree. A node's parent is the one that it names, or else the one that names it as a child;
siblings are in the order of their parent's list.
"""

from __future__ import annotations

from collections.abc import Container, Mapping
from typing import Any, NamedTuple

from wilk.transfer.reading import foreign
from wilk.transfer.trees import Node, Tree, tree


class Family(NamedTuple):
    """The parent of each node, the place of each among its siblings, and how many parents were missing."""

    parents: dict[str, str | None]
    places: dict[str, int]
    missing: int

    def children(self) -> dict[str, list[str]]:
        """The children of each node that has some, in their order."""
        found: dict[str, list[str]] = {}
        for id, parent in self.parents.items():
            if parent is not None:
                found.setdefault(parent, []).append(id)
        for siblings in found.values():
            siblings.sort(key=lambda id: self.places.get(id, len(self.parents)))
        return found


def family(nodes: Mapping[str, Mapping[str, Any]], parent: str, children: str) -> Family:
    """Read the fields ``parent`` and ``children`` of nodes."""
    named: dict[str, str] = {}
    places: dict[str, int] = {}
    for id, node in nodes.items():
        for number, child in enumerate(foreign.listed(node.get(children))):
            if isinstance(child, str) and child in nodes and child != id:
                named.setdefault(child, id)
                places.setdefault(child, number)
    parents: dict[str, str | None] = {}
    missing = 0
    for id, node in nodes.items():
        above = node.get(parent)
        known = isinstance(above, str) and above in nodes
        missing += isinstance(above, str) and above != "" and not known
        parents[id] = above if known else named.get(id)
    return Family(parents, places, missing)


def above(id: str, parents: Mapping[str, str | None], wanted: Container[str]) -> str | None:
    """The nearest of the ``wanted`` nodes above one; the others are passed over."""
    seen = {id}
    at = parents[id]
    while at is not None and at not in wanted and at not in seen:
        seen.add(at)
        at = parents[at]
    return at if at is not None and at in wanted else None


def ordered(found: Family, wanted: Mapping[str, Any]) -> Tree:
    """The ``wanted`` nodes, parents before children.

    Those below a node that is passed over stand where it stood.
    """
    nodes = []
    for number, id in enumerate(wanted):
        parent = above(id, found.parents, wanted)
        way = {id: None}
        up = found.parents[id]
        while up is not None and up != parent and up not in way:
            way[up] = None
            up = found.parents[up]
        places = [found.places.get(one, len(found.parents)) for one in reversed(way)]
        nodes.append(Node(id, parent, (places, number)))
    return tree(nodes)
