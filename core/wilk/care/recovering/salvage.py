"""Finds the rows of a damaged database: by the trees of its tables, then by pages that no tree reaches.

A row on such a page is one of the table's when an index still names it. Where the indexes are damaged as
well, it is taken if the list of free pages is known, so that no row comes back that was removed.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from itertools import pairwise
from typing import Any, NamedTuple

from wilk.care.recovering.image import Image
from wilk.care.recovering.layouts import Column, Known, Layout, is_derived, layouts
from wilk.care.recovering.mending import looks_right
from wilk.care.recovering.pages import LOST, TABLE_LEAF, BadText, Cut, Page, Unread, cell, parse, record
from wilk.care.recovering.trees import Gap, Leaf, Pages, Row

_LOOKED_AT = 8
_EVERYTHING = Gap(-(1 << 63) - 1, (1 << 63) - 1)
_NAMES = 20

_MASTER = Layout(
    "sqlite_master",
    [
        Column("type", "text", "TEXT", filled=True, default=None, key=0),
        Column("name", "text", "TEXT", filled=True, default=None, key=0),
        Column("tbl_name", "text", "TEXT", filled=True, default=None, key=0),
        Column("rootpage", "integer", "INT", filled=False, default=None, key=0),
        Column("sql", "text", "TEXT", filled=False, default=None, key=0),
    ],
    [],
    [],
    rowless=False,
)


class Object(NamedTuple):
    """A row of the database's own list of what it has."""

    type: str
    name: str
    table: str
    root: int
    sql: str | None


class Taken(NamedTuple):
    """A row as it was found. ``values`` may be lost, cut, or no text; see pages.py."""

    number: int
    values: list[Any]
    whole: bool


class Entries(NamedTuple):
    """The entries of one index by the number of their row, and whether all of them could be read."""

    columns: tuple[str | None, ...]
    rows: dict[int, list[Any]]
    unique: bool
    sound: bool


class Found:
    """What is left of one table. ``lost``: rows that are known to be gone; ``known``: whether there can be no
    others; ``names``: of the first ones, as an index has them."""

    def __init__(self, layout: Layout, root: int) -> None:
        self.layout = layout
        self.root = root
        self.leaves: list[Leaf] = []
        self.gaps: list[Gap] = []
        self.orphans: list[tuple[Leaf, set[int]]] = []
        self.scavenged = 0
        self.lost = 0
        self.known = True
        self.names: list[str] = []
        self.doubtful = False  # its tree says that it is empty, an index that it is not

    @property
    def name(self) -> str:
        return self.layout.name


class Aside(NamedTuple):
    """A row that was found and is not taken, and why."""

    table: str
    number: int
    why: str
    values: list[Any]


class Salvage:
    """What is left of a database. ``known``: the tables that today's wilk and its plugins have, for those of
    which nothing is said any more."""

    def __init__(self, image: Image, known: Known) -> None:
        self.image = image
        self.known = known
        self.pages = Pages(image)
        self.pages.read_free()
        self.objects = self._objects()
        self.schema_is_whole = not self._schema_gaps
        self.layouts = self._layouts(known)
        roots = {one.name: one.root for one in self.objects if one.type == "table"}
        self.tables = {name: Found(layout, roots.get(name, 0)) for name, layout in self.layouts.items()}
        self.aside: list[Aside] = []
        self._indexes: dict[str, list[Entries]] = {}
        self._known_keys: dict[tuple[str, str], set[Any]] = {}
        self._rowless: dict[str, tuple[list[list[Any]], bool]] = {}
        self._walk()
        self._scavenge()

    @property
    def faults(self) -> int:
        """How many branches are missing."""
        return len(self._schema_gaps) + sum(len(one.gaps) for one in self.tables.values())

    # -- schema -----------------------------------------------------------------------------

    def _objects(self) -> list[Object]:
        leaves, self._schema_gaps = self.pages.table(1, holds=partial(self._holds, _MASTER))
        if self._schema_gaps:
            self.pages.owner.setdefault(1, 1)
            leaves = [*leaves, *self._lost_schema()]
        found: dict[tuple[str, str], Object] = {}
        for leaf in leaves:
            for row in self.pages.rows(leaf):
                values = _MASTER.row(row.number, row.values) if isinstance(row, Row) and row.whole else None
                if values is None or any(isinstance(value, BadText) for value in values):
                    continue
                one = Object(*values)
                if one.type in ("table", "index", "trigger", "view"):
                    found.setdefault((one.type, one.name), one)
        return list(found.values())

    def _lost_schema(self) -> list[Leaf]:
        """Pages of the schema that nothing reaches any more."""
        leaves = []
        for number in range(2, self.image.count + 1):
            if number in self.pages.free:
                continue
            page = parse(self.image, number)
            if page is None or page.kind != TABLE_LEAF or not page.cells:
                continue
            if self._is_schema(page) and self.pages.claim(number, 1):
                leaves.append(Leaf(number, *_EVERYTHING, len(page.cells)))
        return leaves

    def _is_schema(self, page: Page) -> bool:
        rows = list(self._heads(page))
        return bool(rows) and all(
            len(values) == 5
            and values[0] in ("table", "index", "trigger", "view")
            and isinstance(values[3], int)
            and _MASTER.row(number, values) is not None
            for number, values in rows
        )

    def _layouts(self, known: Known) -> dict[str, Layout]:
        tables = [one for one in self.objects if one.type == "table" and one.sql]
        virtual = [one.name for one in tables if (one.sql or "").upper().startswith("CREATE VIRTUAL")]
        virtual += known.virtual
        wanted = [one for one in tables if not is_derived(one.name, virtual) and one.name not in virtual]
        names = {one.name for one in wanted}
        indexes = [one for one in self.objects if one.type == "index" and one.sql and one.table in names]
        found = layouts([one.sql or "" for one in (*wanted, *indexes)], known.json)
        if self._schema_gaps:
            for name, layout in known.layouts.items():
                found.setdefault(name, layout)
        return found

    # -- trees --------------------------------------------------------------------------------

    def _walk(self) -> None:
        for found in self.tables.values():
            layout = found.layout
            if not found.root:
                found.gaps = [_EVERYTHING]
            elif layout.rowless:
                entries, sound = self.pages.entries(found.root)
                self._rowless[found.name] = entries, sound
                found.known = sound
            else:
                found.leaves, found.gaps = self.pages.table(found.root, holds=partial(self._holds, layout))
                if not found.gaps and not any(leaf.rows for leaf in found.leaves):
                    self._check_empty(found)

    def _check_empty(self, found: Found) -> None:
        """A table whose root has no rows is not empty if an index names some, or is
        damaged too: another page may have come there."""
        if any(entries.rows or not entries.sound for entries in self._entries(found)):
            found.leaves, found.gaps, found.doubtful = [], [_EVERYTHING], True

    def _holds(self, layout: Layout, page: Page, low: int, high: int) -> bool:
        """Whether a page can be one of a table's: most of the first rows look like its rows."""
        if not page.cells:
            return (low, high) == _EVERYTHING
        rows = list(self._heads(page, most=_LOOKED_AT))
        fitting = sum(
            low < number <= high and layout.row(number, values) is not None for number, values in rows
        )
        return fitting * 2 > len(rows)

    def _heads(self, page: Page | None, most: int | None = None) -> Iterator[tuple[int, list[Any]]]:
        """The rows of a page, as far as they lie in it."""
        if page is None:
            return
        for place in page.cells[:most]:
            try:
                one = cell(self.image, page, place)
                yield one.rowid, record(one.local, one.size, self.image.encoding)
            except Unread:
                continue

    # -- pages that no tree reaches -----------------------------------------------------------

    def _scavenge(self) -> None:
        torn = [one for one in self.tables.values() if one.gaps and not one.layout.rowless]
        if not self.pages.free_is_known:
            for one in self.tables.values():
                self._entries(one)  # what has an owner is not taken for a piece of the list of free pages
            self.pages.find_free()
        if torn:
            numbers = {one.name: self._numbers(one) for one in torn}
            for group in self.pages.orphans():
                self._assign(group, torn, numbers)
        for found in self.tables.values():
            self._count_lost(found)

    def _page(self, leaf: Leaf) -> Page:
        page = parse(self.image, leaf.number)
        assert page is not None  # noqa: S101 (it was one when it was put there)
        return page

    def _numbers(self, found: Found) -> set[int]:
        """The numbers of all rows that the tree reaches."""
        numbers = set()
        for leaf in found.leaves:
            page = self._page(leaf)
            for place in page.cells:
                try:
                    numbers.add(cell(self.image, page, place).rowid)
                except Unread:
                    continue
        return numbers

    def _assign(self, group: list[Leaf], torn: list[Found], numbers: dict[str, set[int]]) -> None:
        """Give a group of pages to the table that it hung on, and take what was one of its rows."""
        rows = [(leaf, list(self._heads(self._page(leaf)))) for leaf in group]
        best: list[tuple[tuple[int, ...], Found]] = []
        for found in torn:
            layout = found.layout
            fitting = total = named = likely = exact = 0
            for _, some in rows:
                for number, values in some:
                    total += 1
                    row = layout.row(number, values)
                    if row is None or not any(gap.low < number <= gap.high for gap in found.gaps):
                        continue
                    fitting += 1
                    exact += len(values) == len(layout.columns)
                    named += self._is_named(found, number, row)
                    likely += looks_right(layout, row) + self._has_parents(layout, row)
            if not total or fitting * 2 <= total:
                continue
            decided = any(entries.sound for entries in self._entries(found))
            if named or not decided or self.pages.free_is_known:
                best.append(((named, likely, exact), found))
        best.sort(key=lambda one: one[0], reverse=True)
        if not best:
            return  # removed long ago, or no page of any table
        points, found = best[0]
        equal = sorted(one.name for others, one in best if others == points)
        if len(equal) > 1:
            self._put_aside(rows, found, f"it may be one of {' or '.join(equal)}")
        else:
            self._take(rows, found, numbers[found.name])

    def _has_parents(self, layout: Layout, row: list[Any]) -> int:
        """Whether what a row refers to is there: 1 or 0, and -1 where it should be and is not."""
        values = {column.name: value for column, value in zip(layout.columns, row, strict=True)}
        found = 0
        for parent in layout.parents:
            value = values[parent.column]
            if value is None or not isinstance(value, (str, int)) or parent.table not in self.tables:
                continue
            if value in self._keys(parent.table, parent.referred):
                found = 1
            elif not self.tables[parent.table].gaps:
                return -1
        return found

    def _keys(self, table: str, column: str) -> set[Any]:
        """What rows of a table that its tree reaches can be referred to by."""
        known = self._known_keys.get((table, column))
        if known is None:
            found = self.tables[table]
            place = next((n for n, one in enumerate(found.layout.columns) if one.name == column), None)
            rows = (one for leaf in found.leaves for one in self._of_leaf(found.layout, leaf, None))
            values = (one.values[place] for one in rows if place is not None and isinstance(one, Taken))
            known = {value for value in values if isinstance(value, (str, int))}
            self._known_keys[table, column] = known
        return known

    def _take(
        self, rows: list[tuple[Leaf, list[tuple[int, list[Any]]]]], found: Found, there: set[int]
    ) -> None:
        decided = any(entries.sound for entries in self._entries(found))
        for leaf, some in rows:
            taken = set()
            for number, values in some:
                row = found.layout.row(number, values)
                if row is None or number in there:
                    continue
                if self._is_named(found, number, row) or (not decided and self.pages.free_is_known):
                    taken.add(number)
                elif not decided or self.pages.free_is_known:
                    why = "it may have been removed: nothing says that it was not"
                    self.aside.append(Aside(found.name, number, why, row))
            if taken:
                found.orphans.append((leaf, taken))

    def _put_aside(
        self, rows: list[tuple[Leaf, list[tuple[int, list[Any]]]]], found: Found, why: str
    ) -> None:
        for _, some in rows:
            for number, values in some:
                row = found.layout.row(number, values)
                self.aside.append(Aside(found.name, number, why, values if row is None else row))

    # -- indexes --------------------------------------------------------------------------------

    def _entries(self, found: Found) -> list[Entries]:
        """The indexes of a table that name every row."""
        known = self._indexes.get(found.name)
        if known is not None:
            return known
        roots = {one.name: one.root for one in self.objects if one.type == "index"}
        known = []
        for index in found.layout.indexes:
            if found.layout.rowless or not roots.get(index.name):
                continue
            entries, sound = self.pages.entries(roots[index.name])
            rows = {}
            for entry in entries:
                if found.layout.has_entry(index, entry):
                    rows[entry[-1]] = entry[:-1]
                else:
                    sound = False
            # A page of another place breaks the order, or names rows twice.
            if len(rows) != len(entries) or (index.rising and not _rises(entries)):
                sound = False
            if index.whole:
                known.append(Entries(index.columns, rows, index.unique, sound))
        self._indexes[found.name] = known
        return known

    def _is_named(self, found: Found, number: int, row: list[Any]) -> bool:
        """Whether an index has this very row."""
        places = {column.name: n for n, column in enumerate(found.layout.columns)}
        for entries in self._entries(found):
            keys = entries.rows.get(number)
            if keys is not None and all(
                column is None or row[places[column]] is LOST or _same(row[places[column]], key)
                for column, key in zip(entries.columns, keys, strict=True)
            ):
                return True
        return False

    def _count_lost(self, found: Found) -> None:
        """Count what indexes name and no page has."""
        if found.layout.rowless:
            return
        found.scavenged = len({number for _, numbers in found.orphans for number in numbers})
        unknown = 0
        if found.doubtful and not found.orphans:
            found.known = False  # it may be that another page lies in the place of the index
            return
        if not found.gaps:
            for leaf in found.leaves:
                page = self._page(leaf)
                for place in page.cells:
                    try:
                        one = cell(self.image, page, place)
                        record(one.local, one.size, self.image.encoding)
                    except Unread:
                        unknown += 1
            if not unknown:
                return
        there = {row.number for row in self.rows(found) if isinstance(row, Taken)}
        entries = self._entries(found)
        named: set[int] = set()
        for index in entries:
            named |= index.rows.keys()
        gone = named - there
        found.known = any(index.sound for index in entries)
        found.lost = len(gone) if found.known else max(len(gone), unknown)
        for index in sorted(entries, key=lambda index: len(index.columns)):
            if index.unique:
                keys = [index.rows[number] for number in sorted(gone) if number in index.rows]
                found.names = ["/".join(map(str, key)) for key in keys[:_NAMES]]
                break

    # -- rows -----------------------------------------------------------------------------------

    def rows(self, found: Found) -> Iterator[Taken | Aside]:
        """The rows of a table, as they were found, and records that lie among them and are none."""
        layout = found.layout
        if layout.rowless:
            for n, values in enumerate(self._rowless.get(found.name, ([], True))[0]):
                row = layout.row(n, values)
                if row is not None:
                    yield Taken(n, row, whole=True)
            return
        for leaf in found.leaves:
            yield from self._of_leaf(layout, leaf, None)
        # Two pages may have the same row, such as an earlier state of a page that came in another's place.
        done: set[int] = set()
        for whole in (True, False):
            for leaf, numbers in found.orphans:
                for one in self._of_leaf(layout, leaf, numbers - done):
                    if isinstance(one, Aside) or one.whole is whole:
                        done.add(one.number)
                        yield one

    def _of_leaf(self, layout: Layout, leaf: Leaf, numbers: set[int] | None) -> Iterator[Taken | Aside]:
        for one in self.pages.rows(leaf):
            if not isinstance(one, Row) or (numbers is not None and one.number not in numbers):
                continue
            values = layout.row(one.number, one.values)
            if values is None:
                yield Aside(layout.name, one.number, "it is no row of this table", one.values)
            else:
                yield Taken(one.number, values, one.whole)


def _rises(entries: list[list[Any]]) -> bool:
    keys = ([_rank(value) for value in entry] for entry in entries)
    return all(before < after for before, after in pairwise(keys))


def _rank(value: Any) -> tuple[int, Any]:
    """What SQLite sorts values of all types by: nothing, numbers, text by its bytes, bytes."""
    if value is None:
        return 0, 0
    if isinstance(value, (int, float)):
        return 1, value
    return (2, value.encode()) if isinstance(value, str) else (3, value)


def _same(value: Any, key: Any) -> bool:
    if isinstance(value, Cut):
        return True
    return type(value) is type(key) and bool(value == key)
