"""The index of a store on files: thrown away, it comes back from the tree as it was."""

from __future__ import annotations

import importlib.util
import json
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.core.everything import fill, keys

import wilk
from wilk.backends.files.layout import BY_TABLE, DERIVED, FLAGS, TIMES, place_of
from wilk.contracts import ModelSet
from wilk.host import Host
from wilk.services.keeping.kinds import KINDS

Opens = Callable[..., wilk.Store]


@pytest.fixture
def base(tmp_path: Path) -> Path:
    return tmp_path / "tree"


@pytest.fixture
def opens(base: Path) -> Iterator[Opens]:
    stores: list[wilk.Store] = []

    def opened(options: str = "", **more: Any) -> wilk.Store:
        stores.append(
            wilk.open_store(f"files:///{base}{options}", host=Host(disabled=("wilk-audit",)), **more)
        )
        return stores[-1]

    yield opened
    for store in stores:
        store.close()


def rows(store: wilk.Store) -> dict[str, list[tuple[Any, ...]]]:
    """All rows of all tables but the derived ones, with the migrations that were applied."""
    names = store._engine.execute(
        "SELECT name FROM main.sqlite_master WHERE type = 'table' AND name NOT LIKE '%\\_fts%' ESCAPE '\\'"
    )
    return {
        name: sorted(store._engine.execute(f'SELECT * FROM main."{name}"'), key=repr)
        for (name,) in names
        if name not in DERIVED
    }


def texts(base: Path) -> dict[str, bytes]:
    """The files of a tree."""
    return {
        file.relative_to(base).as_posix(): file.read_bytes()
        for file in base.rglob("*.json")
        if not file.relative_to(base).as_posix().startswith((".index", ".journal", "backups"))
    }


def forget_index(base: Path) -> None:
    shutil.rmtree(base / ".index")


def test_every_table_has_its_place_in_the_tree(opens: Opens) -> None:
    names = opens()._engine.execute(
        "SELECT name FROM main.sqlite_master WHERE type = 'table' AND name NOT LIKE '%\\_fts%' ESCAPE '\\' "
        "AND name NOT LIKE '%\\_migrations' ESCAPE '\\'"
    )
    assert {name for (name,) in names} == BY_TABLE.keys() | DERIVED


def test_columns_are_written_as_what_the_models_say_they_are() -> None:
    import peewee

    from wilk import models
    from wilk.models.base import JsonField, TimeField

    wrong = []
    for names in models._FAMILIES.values():
        for model in [getattr(models, name) for name in names]:
            place = BY_TABLE.get(model._meta.table_name)
            for field in model._meta.sorted_fields if place else ():
                column = field.column_name
                found = (place.is_json(column), column in FLAGS, bool(TIMES.match(column)))
                wanted = (
                    isinstance(field, JsonField),
                    isinstance(field, peewee.BooleanField),
                    isinstance(field, TimeField),
                )
                if found != wanted:
                    wrong.append((place.table, column))
    assert wrong == []


@pytest.mark.parametrize("options", ["", "?pretty=0"])
def test_an_index_that_was_thrown_away_comes_back_as_it_was(options: str, opens: Opens, base: Path) -> None:
    store = opens(options)
    fill(store)
    before = rows(store)
    store.close()
    forget_index(base)
    assert rows(opens(options)) == before


def test_opening_writes_no_file_that_says_the_same(opens: Opens, base: Path) -> None:
    store = opens()
    fill(store)
    store.close()
    before = texts(base)
    forget_index(base)
    opens()
    assert texts(base) == before


def test_every_row_lies_in_a_file(opens: Opens, base: Path) -> None:
    fill(opens())
    places = {place.placement.table for path in texts(base) if (place := place_of(path))}
    assert {model._meta.table_name for kind in KINDS.values() if (model := kind.model())} <= places


def test_archived_records_come_back_after_the_index_was_thrown_away(opens: Opens, base: Path) -> None:
    store = opens()
    fill(store)
    before = {name: rows(store)[name] for name in ("sessions", "messages", "pins", "tool_calls")}
    store.sessions.remove("session-0")
    store.close()
    forget_index(base)
    store = opens()
    store.archive.restore(session="session-0")
    assert {name: rows(store)[name] for name in before} == before


def test_what_was_restored_lies_in_files_again(opens: Opens, base: Path) -> None:
    store = opens()
    fill(store)
    before = {path for path in texts(base) if path.startswith("sessions/")}
    store.sessions.remove("session-0")
    assert {path for path in texts(base) if path.startswith("sessions/session-0")} == set()
    store.archive.restore(session="session-0")
    assert {path for path in texts(base) if path.startswith("sessions/")} == before


def test_numbers_go_on_where_they_were(opens: Opens, base: Path) -> None:
    store = opens()
    store.sessions.create(id="s")
    store.messages.extend("s", [{"role": "user", "text": str(n)} for n in range(250)])
    store.close()
    forget_index(base)
    store = opens()
    assert store.messages.append("s", "user", "next").sequence == 251
    assert sorted(path for path in texts(base) if "messages" in path) == [
        f"sessions/s/messages/{first:06d}.json" for first in (1, 101, 201)
    ]


def test_what_was_seen_of_files_has_the_journal_of_the_index(opens: Opens, base: Path) -> None:
    """With another one, a commit waits for the disk and for readers where it need not."""
    for _ in range(2):
        with opens() as store:
            modes = [store._engine.execute(f"PRAGMA {name}.journal_mode") for name in ("main", "tree")]
            assert modes == [[("wal",)], [("wal",)]]
        forget_index(base)


def test_a_table_without_rowids_is_built_again(opens: Opens, base: Path) -> None:
    opens().close()
    kept = json.loads((base / "schema.json").read_text())
    kept["schema"]["plugged"] = (
        "CREATE TABLE plugged (name TEXT NOT NULL PRIMARY KEY, session_id TEXT REFERENCES sessions(id)) "
        "WITHOUT ROWID"
    )
    (base / "schema.json").write_text(json.dumps(kept))
    (base / "tables/plugged").mkdir(parents=True)
    (base / "tables/plugged/x.json").write_text('{"name": "x", "session_id": "nobody"}')
    forget_index(base)
    with opens() as store:
        assert store._engine.execute("SELECT * FROM plugged") == [("x", "nobody")]


def test_search_finds_what_it_found(opens: Opens, base: Path) -> None:
    store = opens()
    store.sessions.create(id="s")
    store.messages.append("s", "user", "a grey wolf")
    store.pins.add("s", "wolves are shy")
    store.documents.save("d", {"text": "the wolf of the north"})
    before = {(found.kind, found.id) for found in store.search("wolf wolves")} | {
        (found.kind, found.id) for found in store.search("wolf")
    }
    store.close()
    forget_index(base)
    store = opens()
    after = {(found.kind, found.id) for found in store.search("wolf wolves")} | {
        (found.kind, found.id) for found in store.search("wolf")
    }
    assert after == before
    assert len(before) == 3


MIGRATION = """
def up(migrator, db):
    db.execute_sql('CREATE TABLE mine_notes (slug TEXT PRIMARY KEY, body TEXT, size INTEGER, seen_at INTEGER)')
    db.execute_sql('CREATE TABLE mine_pairs (a TEXT, b INTEGER, data BLOB, PRIMARY KEY (a, b)) WITHOUT ROWID')
    db.execute_sql('CREATE TABLE mine_log (n INTEGER PRIMARY KEY, real REAL, odd)')
    db.execute_sql('CREATE TABLE mine_loose (text TEXT)')
"""

MINE = {
    "mine_notes": [
        ("A/b", '{"a": 1}', None, 1_800_000_000_000_001),
        ("a/b", "[1]", 2**63 - 1, 7),
        ("", "null", -1, -5),
    ],
    "mine_pairs": [("x", 1, b"\x00\xff"), ("x", 2, None), ("../x", -(2**63), b"")],
    "mine_log": [(5, float("inf"), b"odd"), (9, -0.0, "text"), (12, 1e300, 3.5), (13, None, 4)],
    "mine_loose": [("one",), ("two",), ("one",), (None,)],
}


class Mine:
    """A plugin with tables of every shape."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(exist_ok=True)
        (folder / "0001_mine.py").write_text(MIGRATION)
        self.folder = folder

    @wilk.hookimpl
    def register_models(self) -> Iterator[ModelSet]:
        yield ModelSet("mine", tuple, self.folder)


def test_rows_of_plugins_lie_in_the_tree(base: Path, tmp_path: Path) -> None:
    def opened() -> wilk.Store:
        return wilk.open_store(f"files:///{base}", host=Host(Mine(tmp_path / "migrations")))

    with opened() as store, store.transaction():
        for table, some in MINE.items():
            store._engine.execute_many(f"INSERT INTO {table} VALUES ({', '.join('?' * len(some[0]))})", some)
        store._engine.execute("DELETE FROM mine_loose WHERE text = 'two'")
    with opened() as store:
        before = rows(store)
    assert before["mine_notes"] == sorted(MINE["mine_notes"], key=repr)
    assert "tables/mine_loose/rows.json" in texts(base)
    forget_index(base)
    with opened() as store:
        assert rows(store) == before


def test_an_older_schema_is_built_and_then_migrated(opens: Opens, base: Path, tmp_path: Path) -> None:
    """The tree tells at which migration it is; an index that is built again goes on from there."""
    import json

    store = opens()
    store.sessions.create(id="s", name="kept")
    store.close()
    forget_index(base)
    file = base / "schema.json"
    kept = json.loads(file.read_text())
    last = kept["migrations"]["wilk_migrations"].pop()
    assert last[1]
    later = _tables_of(last[1])
    kept["schema"] = {
        name: sql.replace(', "original" TEXT)', ")") if name in ("memories", "interactions") else sql
        for name, sql in kept["schema"].items()
        if not any(f'"{table}"' in sql for table in later)
    }
    file.write_text(json.dumps(kept))
    store = opens()
    assert store.sessions.get("s").name == "kept"
    assert json.loads(file.read_text())["migrations"]["wilk_migrations"][-1][1] == last[1]


def _tables_of(migration: str) -> set[str]:
    from wilk.migrations.runner import FOLDER

    spec = importlib.util.spec_from_file_location(migration, FOLDER / f"{migration}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return {model._meta.table_name for model in module.TABLES}


def test_a_lost_file_of_the_index_loses_nothing(opens: Opens, base: Path) -> None:
    store = opens()
    fill(store)
    before = rows(store)
    store.close()
    (base / ".index" / "tree.db").unlink()
    assert rows(opens()) == before


def test_keys_of_all_kinds_are_the_same(opens: Opens, base: Path) -> None:
    store = opens()
    before = fill(store)
    store.close()
    forget_index(base)
    store = opens()
    assert {name: keys(store, name) for name in KINDS} == before


def test_an_append_writes_two_small_files_however_long_the_session_is(
    opens: Opens, base: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from wilk.backends.files.journal import Staging

    written: list[tuple[str, int]] = []
    put = Staging.put

    def counted(staging: Staging, path: str, data: bytes, **more: Any) -> Any:
        written.append((path, len(data)))
        return put(staging, path, data, **more)

    monkeypatch.setenv("WILK_COMPACTION", "summarize")
    store = opens()
    store.sessions.create(id="s", max_tokens=10_000_000)
    store.messages.extend("s", [{"role": "user", "text": "x" * 1000} for _ in range(1000)])
    monkeypatch.setattr(Staging, "put", counted)
    for _ in range(110):
        written.clear()
        store.messages.append("s", "user", "y" * 1000)
        assert len(written) == 2
        assert sum(size for _, size in written) < 140_000


def test_long_rows_close_a_file_early(opens: Opens, base: Path) -> None:
    store = opens()
    store.sessions.create(id="s", max_tokens=10_000_000)
    for _ in range(5):
        store.messages.append("s", "user", "x" * 100_000)
    assert len(list((base / "sessions/s/messages").iterdir())) == 3


def test_a_changed_row_in_the_middle_rewrites_its_own_file_alone(opens: Opens, base: Path) -> None:
    store = opens()
    store.sessions.create(id="s")
    store.messages.extend("s", [{"role": "user", "text": str(n)} for n in range(350)])
    before = texts(base)
    with store.transaction():
        store._engine.execute("UPDATE messages SET importance = 1.0 WHERE sequence = 150")
    after = texts(base)
    assert [path for path in after if after[path] != before.get(path)] == ["sessions/s/messages/000101.json"]


def test_compact_files_have_a_row_to_a_line(opens: Opens, base: Path) -> None:
    store = opens("?pretty=0")
    store.sessions.create(id="s")
    store.messages.extend("s", [{"role": "user", "text": "two\nlines"} for _ in range(3)])
    assert len((base / "sessions/s/messages/000001.json").read_text().splitlines()) == 5


def test_a_backup_holds_the_whole_tree(opens: Opens, base: Path, tmp_path: Path) -> None:
    import zipfile

    from wilk.backends.files import open_files

    store = opens()
    fill(store)
    before = rows(store)
    backup = open_files(f"files:///{base}", store.settings).backup
    assert backup is not None
    copy = backup("now")
    assert copy is not None
    with zipfile.ZipFile(copy) as archive:
        archive.extractall(tmp_path / "copy")
    with wilk.open_store(f"files:///{tmp_path}/copy", host=Host(disabled=("wilk-audit",))) as restored:
        assert rows(restored) == before


def test_a_store_without_an_index_cannot_be_opened_to_be_read(base: Path) -> None:
    with pytest.raises(wilk.NotFound, match="open it without readonly once"):
        wilk.open_store(f"files:///{base}", readonly=True)
    assert not base.exists()


def test_caches_do_not_lie_in_the_index(base: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("WILK_HOME")
    with wilk.open_store(f"files:///{base}") as store:
        store.cache("responses").set("a", 1)
    forget_index(base)
    with wilk.open_store(f"files:///{base}") as store:
        assert store.cache("responses").get("a") == 1


def test_a_row_that_moves_leaves_its_former_file(opens: Opens, base: Path) -> None:
    store = opens()
    for id in ("a", "b"):
        store.sessions.create(id=id)
    pin = store.pins.add("a", "kept").id
    store.messages.append("a", "user", "kept")
    with store.transaction():
        store._engine.execute("UPDATE pins SET session_id = 'b'")
        store._engine.execute("UPDATE messages SET session_id = 'b'")
    assert sorted(path for path in texts(base) if pin in path or "messages" in path) == [
        "sessions/b/messages/000001.json",
        f"sessions/b/pins/{pin}.json",
    ]
