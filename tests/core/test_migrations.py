"""The schema's history: equal to the models, safe to run, and honest about databases that it cannot serve."""

from __future__ import annotations

import json
import re
import runpy
import shutil
import sqlite3
import stat
from collections.abc import Callable, Iterator
from contextlib import closing
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import Any

import peewee
import psycopg
import pytest
from tests.servers.postgres import PostgresServer

import wilk
from wilk import ModelSet, hookimpl
from wilk.backends.sqlite import FTS5
from wilk.host import Host
from wilk.migrations import runner
from wilk.models.base import Model, bound

pytestmark = pytest.mark.sqlite  # its file, its backups, the databases of earlier releases

SCHEMAS = Path(__file__).parent / "schemas"
RELEASED = sorted(file.stem for file in runner.FOLDER.glob("[0-9]*.py"))
MODEL_MODULES = sorted(
    file.stem for file in (runner.FOLDER.parent / "models").glob("*.py") if not file.stem.startswith("_")
)


def models() -> list[type[Model]]:
    found: list[type[Model]] = []
    for name in MODEL_MODULES:
        for value in vars(import_module(f"wilk.models.{name}")).values():
            is_table = isinstance(value, type) and issubclass(value, Model) and not value.__subclasses__()
            if is_table and value is not Model and value not in found:
                found.append(value)
    return found


def schema(file: Path) -> dict[str, Any]:
    """What a database is made of, without the wording of its CREATE statements."""
    with closing(sqlite3.connect(file)) as connection:
        rows = connection.execute("SELECT type, name, tbl_name, sql FROM sqlite_master").fetchall()
        found: dict[str, Any] = {}
        for kind, name, table, sql in rows:
            if table == runner.TABLE or name.startswith("sqlite_"):
                continue
            sql = re.sub(r"\s+", " ", sql or "")
            if kind == "table":
                ask = partial(_pragma, connection, name)
                found[f"table {name}"] = {
                    # cid, name, type, not null, default, primary key, hidden
                    "columns": sorted(column[1:] for column in ask("table_xinfo")),
                    "foreign keys": sorted(key[2:] for key in ask("foreign_key_list")),
                    "virtual": sql if sql.startswith("CREATE VIRTUAL") else None,
                    # An index that a UNIQUE column brings has no name of its own.
                    "unique": sorted(
                        tuple(column[2] for column in _pragma(connection, index[1], "index_info"))
                        for index in ask("index_list")
                        if index[2] and index[1].startswith("sqlite_")
                    ),
                }
            elif kind == "index":
                columns = _pragma(connection, name, "index_xinfo")
                unique = "UNIQUE" in sql.split("(")[0]
                where = sql.partition(" WHERE ")[2]
                found[f"index {name}"] = (table, [column[2:] for column in columns], unique, where)
            else:
                found[f"{kind} {name}"] = (table, sql)
        return found


def server_schema(connection: psycopg.Connection[Any]) -> set[tuple[Any, ...]]:
    """The columns, indexes, constraints and triggers of a PostgreSQL database, each by its table."""
    return {
        row
        for question in (
            "SELECT table_name, column_name, data_type, is_nullable, column_default, is_identity, "
            "identity_generation, collation_name FROM information_schema.columns WHERE table_schema = 'public'",
            "SELECT tablename, indexdef FROM pg_indexes WHERE schemaname = 'public'",
            "SELECT conrelid::regclass::text, pg_get_constraintdef(oid) FROM pg_constraint "
            "WHERE connamespace = 'public'::regnamespace",
            "SELECT tgrelid::regclass::text, pg_get_triggerdef(oid) FROM pg_trigger WHERE NOT tgisinternal",
        )
        for row in connection.execute(question)
    }


def _pragma(connection: sqlite3.Connection, of: str, name: str) -> list[tuple[Any, ...]]:
    return connection.execute(f"PRAGMA {name}('{of}')").fetchall()


@pytest.fixture
def migrations(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str, str], None]:
    """Add files to a copy of the migrations: what a later release would bring."""
    folder = tmp_path / "migrations"
    shutil.copytree(runner.FOLDER, folder)
    monkeypatch.setattr(runner, "FOLDER", folder)

    def add(name: str, source: str) -> None:
        (folder / f"{name}.py").write_text(source)

    return add


REBUILD = """
def up(migrator, db):
    db.execute_sql("CREATE TABLE messages_new AS SELECT * FROM messages WHERE 0")
    columns = [row[1] for row in db.execute_sql("PRAGMA table_info(messages)")]
    sql = db.execute_sql("SELECT sql FROM sqlite_master WHERE name = 'messages'").fetchone()[0]
    indexes = [row[0] for row in db.execute_sql(
        "SELECT sql FROM sqlite_master WHERE tbl_name = 'messages' AND type = 'index' AND sql IS NOT NULL")]
    db.execute_sql("DROP TABLE messages_new")
    sql = sql.replace('"messages"', '"messages_new"', 1)
    db.execute_sql(sql.replace('"metadata"', '"mood" TEXT, "metadata"'))
    names = ", ".join(columns)
    db.execute_sql(f"INSERT INTO messages_new ({names}) SELECT {names} FROM messages")
    db.execute_sql("DROP TABLE messages")
    db.execute_sql("ALTER TABLE messages_new RENAME TO messages")
    for index in indexes:
        db.execute_sql(index)
"""


def backups(home: Path) -> list[Path]:
    return sorted((home / "backups").glob("*/wilk.db")) if (home / "backups").exists() else []


class TestTheSchema:
    def test_of_all_migrations_is_that_of_the_models_on_postgresql(self, postgres: PostgresServer) -> None:
        from wilk_postgres.addresses import parsed
        from wilk_postgres.connecting import connect
        from wilk_postgres.database import attached
        from wilk_postgres.full_text import TextSearch

        with (
            postgres.database() as url,
            closing(connect(address := parsed(url, wilk.Settings(url=url)))) as connection,
        ):
            database = attached(lambda: connection, address, lambda _: None)
            token = bound.set(database)
            try:
                database.create_tables(models())
                TextSearch().install(database)
            finally:
                bound.reset(token)
            made = server_schema(connection)
        with psycopg.connect(postgres.url("migrated"), autocommit=True) as connection:
            migrated = server_schema(connection)
        assert len(made) > 400
        assert {one for one in migrated if one[0] != runner.TABLE} == made

    def test_of_all_migrations_is_that_of_the_models(
        self, store: wilk.Store, home: Path, tmp_path: Path
    ) -> None:
        made = tmp_path / "models.db"
        database = peewee.SqliteDatabase(made)
        token = bound.set(database)
        try:
            database.connect()
            database.create_tables(models())
            FTS5().install(database)
        finally:
            bound.reset(token)
            database.close()
        assert schema(home / "wilk.db") == schema(made)

    def test_is_compared_with_every_model(self) -> None:
        tables = {model._meta.table_name for model in models()}
        assert {"agents", "sessions", "messages", "tool_calls", "archive", "users", "memberships"} <= tables
        assert len(tables) == len(models())

    def test_refers_only_to_tables_and_never_cascades(self, store: wilk.Store, home: Path) -> None:
        rules = [key for table, found in schema(home / "wilk.db").items() if table.startswith("table ")
                 for key in found["foreign keys"]]  # fmt: skip
        assert rules
        assert {key[4] for key in rules} == {"RESTRICT"}

    def test_is_current_after_opening_once(self, store: wilk.Store) -> None:
        applied = store._engine.execute(f"SELECT name FROM {runner.TABLE}")
        assert [name for (name,) in applied] == sorted(file.stem for file in runner.FOLDER.glob("[0-9]*.py"))

    def test_is_not_touched_by_opening_again(self, home: Path) -> None:
        def version() -> int:
            with closing(sqlite3.connect(home / "wilk.db")) as connection:
                found: int = connection.execute("PRAGMA schema_version").fetchone()[0]
                return found

        with wilk.open_store(home=home):
            before = version()
        with wilk.open_store(home=home):
            assert version() == before


class TestReleasedDatabases:
    @pytest.fixture(params=sorted(file.stem for file in SCHEMAS.glob("*.db")))
    def released(self, request: pytest.FixtureRequest, home: Path) -> str:
        home.mkdir(mode=0o700)
        shutil.copy(SCHEMAS / f"{request.param}.db", home / "wilk.db")
        return str(request.param)

    def test_are_read_back_as_they_were(self, released: str, home: Path) -> None:
        expected = json.loads((SCHEMAS / f"{released}.json").read_text())
        everything = runpy.run_path(str(SCHEMAS / "make.py"))["everything"]
        with wilk.open_store(home=home) as store:
            found = json.loads(json.dumps(everything(store)))
        _holds(found, expected, "")

    def test_get_the_current_schema(
        self, released: str, home: Path, store_elsewhere: Callable[[], Path]
    ) -> None:
        with wilk.open_store(home=home):
            pass
        assert schema(home / "wilk.db") == schema(store_elsewhere())

    def test_can_be_written_to(self, released: str, home: Path) -> None:
        with wilk.open_store(home=home) as store:
            assert store.messages.append("talk", "user", "more").sequence == 3
            store.sessions.remove("talk")

    def test_hold_rows_of_every_table_of_their_time(self, released: str) -> None:
        with closing(sqlite3.connect(SCHEMAS / f"{released}.db")) as connection:
            tables = [
                name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")
                if not name.startswith("sqlite_") and "_fts" not in name
            ]  # fmt: skip
            empty = [name for name in tables if not connection.execute(f"SELECT 1 FROM {name}").fetchone()]
        assert (len(tables) > 10, empty) == (True, [])

    def test_of_the_newest_schema_is_kept(self) -> None:
        newest = max(file.stem for file in runner.FOLDER.glob("[0-9]*.py"))
        assert (SCHEMAS / f"{newest}.db").exists(), "run tests/core/schemas/make.py"

    @pytest.fixture
    def store_elsewhere(self, tmp_path: Path) -> Callable[[], Path]:
        def make() -> Path:
            with wilk.open_store(home=tmp_path / "elsewhere"):
                pass
            return tmp_path / "elsewhere" / "wilk.db"

        return make


def _holds(found: Any, expected: Any, path: str) -> None:
    """Whatever was read then is read now; a later schema may add fields."""
    if isinstance(expected, dict):
        assert expected.keys() <= found.keys(), path
        for key, value in expected.items():
            _holds(found[key], value, f"{path}.{key}")
    elif isinstance(expected, list):
        assert len(found) == len(expected), path
        for number, value in enumerate(expected):
            _holds(found[number], value, f"{path}.{number}")
    else:
        assert found == expected, path


class TestALaterMigration:
    @pytest.fixture(autouse=True)
    def _rows(self, home: Path) -> None:
        with wilk.open_store(home=home) as store:
            store.sessions.create(id="s")
            store.messages.extend("s", [{"role": "user", "text": f"wolf {number}"} for number in range(5)])

    def test_keeps_the_rows(self, home: Path, migrations: Callable[[str, str], None]) -> None:
        migrations("9002_mood", REBUILD)
        with wilk.open_store(home=home) as store:
            assert [message.text for message in store.messages.last("s")] == [f"wolf {n}" for n in range(5)]
            assert [row for (row,) in store._engine.execute("SELECT mood FROM messages LIMIT 1")] == [None]

    def test_makes_a_sound_backup_of_the_rows_before_it(
        self, home: Path, migrations: Callable[[str, str], None]
    ) -> None:
        migrations("9002_mood", REBUILD)
        with wilk.open_store(home=home):
            pass
        (backup,) = backups(home)
        assert "9002_mood" in backup.parent.name
        with closing(sqlite3.connect(backup)) as connection:
            assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
            assert connection.execute("SELECT COUNT(*) FROM messages").fetchone() == (5,)
            assert "mood" not in [row[1] for row in connection.execute("PRAGMA table_info(messages)")]

    def test_makes_a_private_backup(self, home: Path, migrations: Callable[[str, str], None]) -> None:
        migrations("9002_mood", REBUILD)
        with wilk.open_store(home=home):
            pass
        (backup,) = backups(home)
        modes = [stat.S_IMODE(path.stat().st_mode) for path in (backup, backup.parent)]
        assert modes == [0o600, 0o700]

    def test_backs_up_what_is_still_in_the_wal(
        self, home: Path, migrations: Callable[[str, str], None]
    ) -> None:
        """Copying the file alone would miss it (trap T8)."""
        with closing(sqlite3.connect(home / "wilk.db")) as reader:
            reader.execute("SELECT * FROM messages").fetchone()  # keeps the WAL from being removed
            with wilk.open_store(home=home) as store:
                store.messages.append("s", "user", "in the WAL")
            assert (home / "wilk.db-wal").stat().st_size > 0
            migrations("9002_more", "def up(migrator, db): db.execute_sql('CREATE TABLE more (id)')")
            with wilk.open_store(home=home):
                pass
        (backup,) = backups(home)
        with closing(sqlite3.connect(backup)) as connection:
            assert connection.execute("SELECT COUNT(*) FROM messages").fetchone() == (6,)

    def test_that_rebuilds_messages_gets_its_full_text_triggers_again(
        self, home: Path, migrations: Callable[[str, str], None]
    ) -> None:
        migrations("9002_mood", REBUILD)
        with wilk.open_store(home=home) as store:
            store.messages.append("s", "user", "new wolf")
            assert len(store.messages.search("wolf")) == 6
            store.sessions.remove("s")
            assert store.messages.search("wolf") == []
        with closing(sqlite3.connect(home / "wilk.db")) as connection:
            connection.execute("INSERT INTO messages_fts(messages_fts, rank) VALUES ('integrity-check', 1)")

    def test_runs_once(self, home: Path, migrations: Callable[[str, str], None]) -> None:
        migrations("9002_mood", REBUILD)
        for _ in range(2):
            with wilk.open_store(home=home):
                pass
        assert len(backups(home)) == 1

    @pytest.mark.parametrize(
        "failure",
        ["raise ZeroDivisionError('oops')", "db.execute_sql('DROP TABLE nothing')"],
        ids=["python", "sql"],
    )
    def test_that_fails_leaves_the_old_state_and_says_so(
        self, home: Path, migrations: Callable[[str, str], None], failure: str
    ) -> None:
        before = schema(home / "wilk.db")
        migrations("9002_bad", REBUILD + f"    {failure}\n")
        with pytest.raises(wilk.SchemaError, match="a migration in .* failed") as caught:
            wilk.open_store(home=home)
        assert caught.value.__cause__ is not None
        assert schema(home / "wilk.db") == before
        with closing(sqlite3.connect(home / "wilk.db")) as connection:
            assert connection.execute("SELECT COUNT(*) FROM messages").fetchone() == (5,)
            assert connection.execute(f"SELECT COUNT(*) FROM {runner.TABLE}").fetchone() == (len(RELEASED),)

    def test_that_failed_runs_when_it_was_mended(
        self, home: Path, migrations: Callable[[str, str], None]
    ) -> None:
        migrations("9002_mood", REBUILD + "    1 / 0\n")
        with pytest.raises(wilk.SchemaError):
            wilk.open_store(home=home)
        migrations("9002_mood", REBUILD)
        with wilk.open_store(home=home) as store:
            assert len(store.messages.search("wolf")) == 5

    def test_is_not_run_by_a_reader_who_is_told_what_to_do(
        self, home: Path, migrations: Callable[[str, str], None]
    ) -> None:
        migrations("9002_mood", REBUILD)
        with pytest.raises(wilk.SchemaError, match="open it once without readonly"):
            wilk.open_store(home=home, readonly=True)
        assert backups(home) == []


class TestDatabasesThatAreRefused:
    def test_one_of_a_newer_wilk_says_what_to_do(self, home: Path) -> None:
        with wilk.open_store(home=home):
            pass
        with closing(sqlite3.connect(home / "wilk.db")) as connection, connection:
            connection.execute(
                f"INSERT INTO {runner.TABLE} (name, applied) VALUES ('0099_future', '2030-01-01')"
            )
        with pytest.raises(
            wilk.SchemaError, match=r"newer wilk .*0099_future.*upgrade wilk, or restore the backup"
        ):
            wilk.open_store(home=home)

    def test_somebody_elses_is_left_as_it_was(self, home: Path) -> None:
        home.mkdir()
        with closing(sqlite3.connect(home / "wilk.db")) as connection, connection:
            connection.execute("CREATE TABLE photos (id)")
        with pytest.raises(wilk.SchemaError, match=r"not wilk's .photos.; name a file of its own"):
            wilk.open_store(home=home)
        assert list(schema(home / "wilk.db")) == ["table photos"]

    @pytest.mark.parametrize("content", [b"hello " * 1000, b"hello", b"SQLite format 3\0" + b"\xff" * 5000])
    def test_a_file_that_is_no_database_is_left_as_it_was(self, home: Path, content: bytes) -> None:
        home.mkdir()
        (home / "wilk.db").write_bytes(content)
        with pytest.raises((wilk.BackendError, wilk.SchemaError)):
            wilk.open_store(home=home)
        assert (home / "wilk.db").read_bytes() == content

    def test_a_folder_is_told_apart(self, home: Path) -> None:
        (home / "wilk.db").mkdir(parents=True)
        with pytest.raises(wilk.BackendError, match=r"wilk\.db cannot be opened"):
            wilk.open_store(home=home)


class TestPlugins:
    @pytest.fixture
    def plugin(self, tmp_path: Path) -> Any:
        folder = tmp_path / "notes"
        folder.mkdir()
        (folder / "0001_notes.py").write_text(
            "def up(migrator, db): db.execute_sql('CREATE TABLE notes (id TEXT PRIMARY KEY)')\n"
        )

        class Notes:
            @hookimpl
            def register_models(self) -> Iterator[ModelSet]:
                yield ModelSet("notes", lambda: (), folder)

        return Notes()

    def test_record_their_migrations_in_a_table_of_their_own(self, home: Path, plugin: Any) -> None:
        with wilk.open_store(home=home, host=Host(plugin)) as store:
            assert store._engine.execute("SELECT name FROM notes_migrations") == [("0001_notes",)]
            assert ("0001_notes",) not in store._engine.execute(f"SELECT name FROM {runner.TABLE}")
            assert store._engine.execute("SELECT * FROM notes") == []

    def test_added_later_bring_their_tables_to_an_existing_store_after_a_backup(
        self, home: Path, plugin: Any
    ) -> None:
        with wilk.open_store(home=home) as store:
            store.sessions.create(id="s")
        with wilk.open_store(home=home, host=Host(plugin)) as store:
            assert store._engine.execute("SELECT * FROM notes") == []
            assert store.sessions.get("s").id == "s"
        assert len(backups(home)) == 1

    def test_taken_away_again_leave_a_store_that_opens(self, home: Path, plugin: Any) -> None:
        with wilk.open_store(home=home, host=Host(plugin)):
            pass
        with wilk.open_store(home=home) as store:
            assert store._engine.execute("SELECT * FROM notes") == []

    def test_that_are_newer_than_installed_are_named(self, home: Path, plugin: Any) -> None:
        with wilk.open_store(home=home, host=Host(plugin)) as store:
            store._engine.execute(
                "INSERT INTO notes_migrations (name, applied) VALUES ('0009_x', '2030-01-01')"
            )
        with pytest.raises(wilk.SchemaError, match=r"newer plugin notes .*0009_x.*upgrade plugin notes"):
            wilk.open_store(home=home, host=Host(plugin))

    def test_that_fail_leave_wilks_own_schema_whole(self, home: Path, plugin: Any, tmp_path: Path) -> None:
        (tmp_path / "notes" / "9002_bad.py").write_text("def up(migrator, db): 1 / 0\n")
        with pytest.raises(wilk.SchemaError, match="notes"):
            wilk.open_store(home=home, host=Host(plugin))
        with wilk.open_store(home=home) as store:
            store.sessions.create(id="s")
            store.messages.append("s", "user", "wolf")
            assert len(store.messages.search("wolf")) == 1
