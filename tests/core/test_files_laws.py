"""Laws of the tree: what a file says is the row, whatever it holds, and no id leads out of the folder."""

from __future__ import annotations

import sqlite3
from pathlib import Path, PurePosixPath
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from tests.core.test_files_rebuilding import forget_index, rows

import wilk
from wilk import codec
from wilk.backends.files.layout import PLACEMENTS, Place, decoded, encoded, place_of
from wilk.backends.files.reading import read
from wilk.backends.files.rows import Table, quoted
from wilk.host import Host

TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=30)
HARD = st.sampled_from(
    ["", ".", "..", "../../etc/passwd", "/etc", "a/b", "a\\b", "CON", "con.txt", "NUL", "Ab", "aB", "a.", " a",
     "a ", "%41", "%", "%%", "e\u0301", "\u00e9", "\0", "\n", "\u202e", "~root", "-rf", "_storage_metadata",
     "$wilk", "x" * 500, "x" * 499 + "y", "🐺" * 60, "a{0}b", "{n}", "'; DROP TABLE sessions; --"]
)  # fmt: skip
NAMES = HARD | TEXTS
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=10) | NAMES,
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.text(max_size=5) | st.just("$wilk"), inner, max_size=3)
    ),
    max_leaves=8,
)


# -- names --------------------------------------------------------------------------------


@given(NAMES)
def test_a_name_stays_one_part_of_a_path(name: str) -> None:
    part = encoded(name)
    assert PurePosixPath(part).parts == (part,)
    assert part not in (".", "..")
    assert len(part) <= 150
    assert part.isascii()
    assert not part.startswith((".", "~"))


@given(NAMES)
def test_a_name_comes_back_unless_it_is_very_long(name: str) -> None:
    assert decoded(encoded(name)) in (name, None)
    assert decoded(encoded(name)) == name or len(name.encode()) > 30


@given(NAMES, NAMES)
@example("Ab", "aB")
@example("x" * 500, "x" * 499 + "y")
@example("\u00e9", "e\u0301")
def test_two_names_never_share_a_file_on_any_system(one: str, other: str) -> None:
    assert (encoded(one).casefold() == encoded(other).casefold()) == (one == other)


@given(st.sampled_from(PLACEMENTS), st.lists(NAMES, min_size=3, max_size=3), st.integers(2, 10**9))
def test_a_path_tells_its_place(one: Any, names: list[str], first: int) -> None:
    group = names[: len(one.group)]
    for number in (None, first) if one.further else (None,):
        path = one.path_of(group) if number is None else one.path_of(group, number)
        found = place_of(path)
        assert found is not None
        assert (found.placement.table, found.names) == (one.table, tuple(map(encoded, group)))
        assert number is None or found.first == number


# -- rows ---------------------------------------------------------------------------------

DOCUMENTS = Table(
    "documents",
    [(n, *column) for n, column in enumerate([
        ("id", "TEXT", 1, None, 1), ("kind", "TEXT", 1, None, 0), ("title", "TEXT", 0, None, 0),
        ("data", "TEXT", 0, None, 0), ("content_hash", "TEXT", 1, None, 0), ("metadata", "TEXT", 0, None, 0),
        ("created_at", "INTEGER", 1, None, 0),
    ])],
)  # fmt: skip
OTHERS = Table(
    "others",
    [(n, *column) for n, column in enumerate([
        ("n", "INTEGER", 1, None, 1), ("text", "TEXT", 0, None, 0), ("whole", "INTEGER", 0, None, 0),
        ("real", "REAL", 0, None, 0), ("bytes", "BLOB", 0, None, 0), ("seen_at", "INTEGER", 0, None, 0),
        ("odd", "", 0, None, 0),
    ])],
)  # fmt: skip
WHOLE = st.integers(-(2**63), 2**63 - 1)
VALUES = st.none() | TEXTS | WHOLE | st.floats(allow_nan=False) | st.binary(max_size=20)


def _same(table: Table, values: tuple[Any, ...], place: Place) -> None:
    row = table.written(values)
    for indent in (True, False):
        text = codec.file_text([row] if place.placement.order else row, indent=indent)
        found = read(text, place, table, now=0)
        assert found.problems == []
        assert [tuple(map(repr, one.values)) for one in found.rows] == [tuple(map(repr, values))]
        assert found.rows[0].extras == {}


@settings(max_examples=300)
@given(NAMES, NAMES, st.none() | NAMES, JSON, st.none() | JSON, st.integers(-(10**17), 3 * 10**17))
@example("a", "b", None, {"_storage_metadata": {"id": "mine"}}, None, 0)
@example("a", "b", None, {"$wilk": ["json", "null"]}, None, 0)
@example("a", "b", None, {}, {}, 0)
@example("a", "b", None, None, None, 0)
def test_a_document_is_what_its_file_says(
    id: str, kind: str, title: str | None, data: Any, metadata: Any, created: int
) -> None:
    values = (
        id,
        kind,
        title,
        codec.dumps(data),
        "hash",
        None if metadata is None else codec.dumps(metadata),
        created,
    )
    place = place_of(DOCUMENTS.placement.path_of([id]))
    assert place is not None
    _same(DOCUMENTS, values, place)


@settings(max_examples=300)
@given(
    st.text(max_size=40)
    | st.sampled_from(
        [
            '{"a": 1}',
            '{"a":1,"a":2}',
            "1e3",
            "[1.0 ]",
            '{"$wilk":["x"]}',
            "18446744073709551616",
            "nul",
            '"\\u0000"',
            '{"$wilk":["json","1"]}',
        ]
    )
)
def test_a_json_column_keeps_any_text_exactly(text: str) -> None:
    if any("\ud800" <= c <= "\udfff" for c in text):
        text = "plain"
    assert codec.lifted(codec.parse(codec.file_text(codec.embedded(text), indent=True))) == text


@settings(max_examples=300)
@given(st.tuples(WHOLE, VALUES, VALUES, VALUES, VALUES, VALUES, VALUES))
def test_a_row_of_any_values_is_what_its_file_says(values: tuple[Any, ...]) -> None:
    _same(OTHERS, values, Place(OTHERS.placement, (), -(2**63)))


def test_sqlite_gives_back_what_a_file_said() -> None:
    """Values go through the table as well: no affinity changes what has been read."""
    connection = sqlite3.connect(":memory:")
    connection.execute(
        "CREATE TABLE others (n INTEGER PRIMARY KEY, text TEXT, whole INTEGER, real REAL, bytes BLOB, seen_at INTEGER, odd)"
    )
    before = [
        (1, "7", 7, 1.0, b"7", 10**15, "7"),
        (2, "", -(2**63), -0.0, b"", -1, 2.5),
        (3, None, None, None, None, None, b"x"),
    ]
    connection.executemany("INSERT INTO others VALUES (?,?,?,?,?,?,?)", before)
    held = connection.execute(f"SELECT * FROM {quoted('others')}").fetchall()
    text = codec.file_text([OTHERS.written(row) for row in held], indent=True)
    found = read(text, Place(OTHERS.placement, (), -(2**63)), OTHERS, now=0)
    connection.execute("DELETE FROM others")
    connection.executemany("INSERT INTO others VALUES (?,?,?,?,?,?,?)", [one.values for one in found.rows])
    assert list(map(repr, connection.execute("SELECT * FROM others"))) == list(map(repr, held))
    connection.close()


@pytest.mark.slow
@settings(max_examples=15)
@given(
    st.lists(st.tuples(NAMES.filter(bool), JSON), max_size=6),
    st.lists(
        st.tuples(st.text(max_size=30), st.dictionaries(st.text(max_size=5), JSON, max_size=2)), max_size=6
    ),
)
def test_a_store_of_hostile_ids_and_values_comes_back_from_its_tree(
    documents: list[tuple[str, Any]], messages: list[tuple[str, Any]]
) -> None:
    def opened(folder: Path) -> wilk.Store:
        return wilk.open_store(f"files:///{folder}/tree", host=Host(disabled=("wilk-audit",)))

    with TemporaryDirectory() as name:
        folder = Path(name)
        with opened(folder) as store:
            session = store.sessions.create(id="Talk/..").id
            for id, data in documents:
                try:
                    store.documents.save(id, data)
                except wilk.Invalid:
                    continue
            store.messages.extend(
                session, [{"role": "user", "text": text, "metadata": data} for text, data in messages]
            )
            before = rows(store)
        assert [path.name for path in folder.iterdir()] == ["tree"]
        forget_index(folder / "tree")
        with opened(folder) as store:
            assert rows(store) == before
