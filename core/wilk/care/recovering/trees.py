"""The trees of a database: what hangs on each table's root, where branches are missing, what is free.

A page belongs to one owner. What no tree reaches and is not free hung on a page that was lost.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

from wilk.care.recovering.image import Image
from wilk.care.recovering.pages import (
    INDEX_INTERIOR,
    INDEX_LEAF,
    TABLE_INTERIOR,
    TABLE_LEAF,
    Page,
    Unread,
    cell,
    parse,
    payload,
    record,
)

_LOWEST, _HIGHEST = -(1 << 63) - 1, (1 << 63) - 1
_DEEPEST = 40


class Gap(NamedTuple):
    """Rows whose numbers are above ``low`` and at most ``high`` hung on a page that is lost."""

    low: int
    high: int


class Leaf(NamedTuple):
    """A page of rows: its number, the bounds of theirs, and how many it has."""

    number: int
    low: int
    high: int
    rows: int


class Row(NamedTuple):
    """A record that was read: its number, its values, and whether all of it is there."""

    number: int
    values: list[Any]
    whole: bool


class Pages:
    """Who owns which page of an image."""

    def __init__(self, image: Image) -> None:
        self.image = image
        self.owner: dict[int, int] = {}
        self.free: set[int] = set()
        self.free_is_known = False
        if image.vacuum:
            self._claim_maps()
        lock = (1 << 30) // image.size + 1
        if lock <= image.count:
            self.owner[lock] = 0

    def claim(self, number: int, owner: int) -> bool:
        """Give a page to an owner; False when it has one, or is free."""
        if number in self.owner or number in self.free:
            return False
        self.owner[number] = owner
        return True

    def _claim_maps(self) -> None:
        """With auto_vacuum, every so many pages one tells of the pages behind it."""
        step = self.image.usable // 5 + 1
        for number in range(2, self.image.count + 1, step):
            self.owner[number] = 0

    # -- free pages -----------------------------------------------------------------------

    def read_free(self) -> None:
        """Follow the list of free pages from the header."""
        image = self.image
        number, seen = image.free_head, 0
        found: set[int] = set()
        sound = image.sound_header
        while number:
            trunk = self._trunk(number)
            if trunk is None or number in found:
                sound = False
                break
            found.add(number)
            number, leaves = trunk
            found.update(leaves)
        seen = len(found)
        self.free = found
        self.free_is_known = sound and seen == image.free_count

    def find_free(self) -> None:
        """Find pieces of a list of free pages that is broken: pages that can be nothing else."""
        following = set()
        for number in range(2, self.image.count + 1):
            if number in self.owner or number in self.free:
                continue
            trunk = self._trunk(number)
            if trunk is not None and trunk[1] and not any(leaf in self.owner for leaf in trunk[1]):
                self.free.add(number)
                self.free.update(trunk[1])
                following.add(trunk[0])
        if not self.image.sound_header:
            self.free_is_known = following <= self.free | {0}

    def _trunk(self, number: int) -> tuple[int, list[int]] | None:
        """The next piece of the list, and the free pages that this one names."""
        image = self.image
        data = image.page(number)
        if data is None:
            return None
        following, count = struct.unpack_from(">II", data)
        if following > image.count or count > image.usable // 4 - 2 or following == number:
            return None
        leaves = list(struct.unpack_from(f">{count}I", data, 8))
        if len(set(leaves)) != len(leaves) or any(not 2 <= leaf <= image.count for leaf in leaves):
            return None
        return following, leaves

    # -- tables -----------------------------------------------------------------------------

    def table(
        self, root: int, low: int = _LOWEST, high: int = _HIGHEST, *, holds: Callable[[Page, int, int], bool]
    ) -> tuple[list[Leaf], list[Gap]]:
        """The leaves of a table's tree and what is missing of it. ``holds`` tells whether a page can be one
        of this table's."""
        leaves: list[Leaf] = []
        gaps: list[Gap] = []
        waiting = [(root, low, high, 0)]
        while waiting:
            number, low, high, depth = waiting.pop()
            page = parse(self.image, number) if depth < _DEEPEST else None
            if page is not None and page.kind == TABLE_LEAF and holds(page, low, high):
                if self.claim(number, root):
                    leaves.append(Leaf(number, low, high, len(page.cells)))
                    continue
            elif page is not None and page.kind == TABLE_INTERIOR and self.claim(number, root):
                children, lost = self._children(page, low, high)
                gaps += lost
                waiting += [(child, least, most, depth + 1) for child, least, most in reversed(children)]
                continue
            gaps.append(Gap(low, high))
        return leaves, gaps

    def _children(self, page: Page, low: int, high: int) -> tuple[list[tuple[int, int, int]], list[Gap]]:
        """The children of an inner page with their bounds, and where a damaged cell leaves none."""
        children, gaps, hole = [], [], False
        for place in page.cells:
            try:
                found = cell(self.image, page, place)
                if not low <= found.rowid <= high:
                    raise Unread("out of order")
            except Unread:
                hole = True
                continue
            if hole:
                gaps.append(Gap(low, found.rowid))
                hole = False
            children.append((found.child, low, found.rowid))
            low = found.rowid
        if hole:
            gaps.append(Gap(low, high))
        children.append((page.right, low, high))
        return children, gaps

    def rows(self, leaf: Leaf) -> Iterator[Row | int | None]:
        """The rows of a leaf. The number alone of a row whose record is damaged; None where even that is."""
        low, page = leaf.low, parse(self.image, leaf.number)
        if page is None:
            return
        for place in page.cells:
            try:
                found = cell(self.image, page, place)
                if not low < found.rowid <= leaf.high:
                    raise Unread("out of order")
            except Unread:
                yield None
                continue
            try:
                data, whole = payload(self.image, found, self.owner)
                values = record(data, found.size, self.image.encoding)
            except Unread:
                yield found.rowid
                continue
            low = found.rowid
            yield Row(found.rowid, values, whole)

    # -- indexes ------------------------------------------------------------------------------

    def entries(self, root: int) -> tuple[list[list[Any]], bool]:
        """The entries of an index in their order, and whether all of it could be read; also the rows of a
        table WITHOUT ROWID."""
        entries: list[list[Any]] = []
        sound = True
        waiting: list[tuple[int, int] | list[Any]] = [(root, 0)]
        while waiting:
            step = waiting.pop()
            if isinstance(step, list):
                entries.append(step)
                continue
            number, depth = step
            page = parse(self.image, number) if depth < _DEEPEST else None
            if page is None or page.kind not in (INDEX_INTERIOR, INDEX_LEAF) or not self.claim(number, root):
                sound = False
                continue
            steps: list[tuple[int, int] | list[Any]] = []
            for place in page.cells:
                try:
                    found = cell(self.image, page, place)
                    if found.child:
                        steps.append((found.child, depth + 1))
                    data, whole = payload(self.image, found, self.owner)
                    if not whole:
                        raise Unread("its end is lost")
                    steps.append(record(data, found.size, self.image.encoding))
                except Unread:
                    sound = False
            if page.right:
                steps.append((page.right, depth + 1))
            waiting += reversed(steps)
        return entries, sound

    # -- what is left -------------------------------------------------------------------------

    def orphans(self) -> list[list[Leaf]]:
        """Leaves of tables that nothing reaches, those together that hang on one page."""
        alone: dict[int, list[int]] = {}
        for number in range(1, self.image.count + 1):
            if number in self.owner or number in self.free:
                continue
            page = parse(self.image, number)
            if page is not None and page.kind in (TABLE_LEAF, TABLE_INTERIOR) and page.cells:
                inner = page.kind == TABLE_INTERIOR
                below = self._children(page, _LOWEST, _HIGHEST)[0] if inner else []
                alone[number] = [child for child, *_ in below]
        children = {child for below in alone.values() for child in below}
        groups = []
        tops = [number for number in alone if number not in children]
        for number in [*tops, *alone]:  # a circle has no top
            if number not in self.owner and number in alone:
                leaves, _ = self.table(number, holds=lambda page, *_: page.number in alone)
                if leaves:
                    groups.append(leaves)
        return groups
