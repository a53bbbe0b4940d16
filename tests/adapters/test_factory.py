"""Connectome's factory over wilk: types, options, variables, and classes that are registered."""

from __future__ import annotations

import json
from collections.abc import Callable, Coroutine, Iterator
from pathlib import Path
from typing import Any

import pytest

import wilk
from wilk.adapters import connectome
from wilk.adapters.connectome import ConnectomeStorage, StorageFactory, StorageInterface

Run = Callable[[Coroutine[Any, Any, Any]], Any]

pytestmark = pytest.mark.sqlite


@pytest.fixture(autouse=True)
def _in_a_folder_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Relative places lie in the test's folder, and what is registered is forgotten."""
    monkeypatch.chdir(tmp_path)
    before = dict(StorageFactory._registered)
    yield
    StorageFactory._registered.clear()
    StorageFactory._registered.update(before)


async def kept(storage: Any) -> dict[str, Any]:
    """Keep a conversation, and give the statistics."""
    await storage.initialize()
    try:
        await storage.store_conversation("conv_001", {"b": 1, "a": [2]})
        assert await storage.load_conversation("conv_001") == {"b": 1, "a": [2]}
        assert (await storage.health_check())["status"] == "healthy"
        found: dict[str, Any] = await storage.get_storage_stats()
        return found
    finally:
        await storage.shutdown()


class InMemory(StorageInterface):
    """A storage of somebody's own."""


for _name in StorageInterface.__abstractmethods__:

    async def _nothing(self: Any, *_: Any) -> Any:
        return None

    setattr(InMemory, _name, _nothing)
InMemory.__abstractmethods__ = frozenset()  # type: ignore[attr-defined]


class TestTypes:
    def test_file_keeps_a_folder_that_people_can_read(self, run: Run, tmp_path: Path) -> None:
        config = {"base_dir": "./my_storage", "create_backups": True, "pretty_print_json": True}
        stats = run(kept(StorageFactory.create_storage("file", config)))
        file = tmp_path / "my_storage" / "conversations" / "conv_001" / "current.json"
        assert {"b": 1, "a": [2]}.items() <= json.loads(file.read_text()).items()
        assert "\n" in file.read_text().strip()
        assert (stats["storage_type"], stats["conversation_count"]) == ("files", 1)
        assert stats["total_bytes"] > 0

    def test_sqlite_keeps_one_file(self, run: Run, tmp_path: Path) -> None:
        stats = run(
            kept(
                StorageFactory.create_storage(
                    "sqlite", {"db_path": "./my_database.db", "enable_wal_mode": True}
                )
            )
        )
        assert stats["database_path"] == str(tmp_path / "my_database.db")
        assert stats["storage_type"] == "sqlite"

    def test_of_a_backend_of_wilk_takes_its_url(self, run: Run, postgres: Any) -> None:
        with postgres.database("migrated") as url:
            stats = run(kept(StorageFactory.create_storage("postgresql", {"url": url})))
        assert stats["storage_type"] == "postgresql"
        assert stats["total_bytes"] > 100_000

    def test_are_listed_with_a_line_about_each(self) -> None:
        found = connectome.get_available_backends()
        assert {"file", "sqlite", "postgresql"} <= found.keys()
        assert "files" not in found
        assert all(found.values())

    def test_that_are_unknown_tell_which_there_are(self) -> None:
        with pytest.raises(wilk.SettingsError, match="no storage of type 'mongo'; there is .*file"):
            StorageFactory.create_storage("mongo", {})

    def test_of_a_backend_want_a_url_of_their_own(self) -> None:
        with pytest.raises(wilk.SettingsError, match="wants a url that begins so"):
            StorageFactory.create_storage("postgresql", {})
        with pytest.raises(wilk.SettingsError, match="'sqlite' is another one"):
            StorageFactory.create_storage("postgresql", {"url": "sqlite:///x"})

    @pytest.mark.parametrize(
        ("kind", "config", "said"),
        [
            ("file", {"db_path": "x"}, "unknown option db_path; known: base_dir"),
            ("file", {"max_backup_files": -1}, "max_backup_files -1"),
            ("file", {"create_backups": "yes"}, "create_backups 'yes': True or False"),
            ("file", {"base_dir": 5}, "base_dir 5: a path"),
            ("sqlite", {"base_dir": "x"}, "unknown option base_dir"),
        ],
    )
    def test_refuse_options_that_do_not_fit(self, kind: str, config: dict[str, Any], said: str) -> None:
        with pytest.raises(wilk.SettingsError, match=said):
            StorageFactory.create_storage(kind, config)

    def test_keep_as_many_earlier_versions_as_is_said(self, run: Run, tmp_path: Path) -> None:
        async def scenario(storage: Any) -> None:
            await storage.initialize()
            for number in range(6):
                await storage.store_conversation("c", {"n": number})
            await storage.shutdown()

        run(scenario(connectome.create_file_storage("kept", max_backup_files=2)))
        run(scenario(connectome.create_file_storage("none", create_backups=False)))
        assert len(list((tmp_path / "kept" / "backups").rglob("*.json"))) == 2
        assert not list(tmp_path.glob("none/backups/**/*.json"))


class TestDefaults:
    def test_of_files_lie_in_storage_data(self, run: Run, tmp_path: Path) -> None:
        run(kept(StorageFactory.create_default_file_storage()))
        assert (tmp_path / "storage_data" / "conversations" / "conv_001").is_dir()

    def test_of_sqlite_lie_in_storage_data(self, run: Run, tmp_path: Path) -> None:
        run(kept(StorageFactory.create_default_sqlite_storage()))
        assert (tmp_path / "storage_data" / "connectome.db").exists()

    def test_give_way_to_a_place(self, run: Run, tmp_path: Path) -> None:
        run(kept(StorageFactory.create_default_sqlite_storage("x/y.db")))
        run(kept(StorageFactory.create_default_file_storage("tree")))
        assert (tmp_path / "x" / "y.db").exists()
        assert (tmp_path / "tree").is_dir()

    def test_of_the_functions_are_the_same(self, run: Run, tmp_path: Path) -> None:
        run(kept(connectome.create_storage()))
        run(kept(connectome.create_storage("sqlite", db_path="z.db")))
        assert (tmp_path / "storage_data" / "conversations").is_dir()
        assert (tmp_path / "z.db").exists()


class TestVariables:
    @pytest.mark.parametrize("prefix", ["WILK", "CONNECTOME"])
    def test_choose_the_storage(
        self, run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, prefix: str
    ) -> None:
        monkeypatch.setenv(f"{prefix}_STORAGE_TYPE", "sqlite")
        monkeypatch.setenv(f"{prefix}_STORAGE_DB_PATH", "./production.db")
        monkeypatch.setenv(f"{prefix}_STORAGE_WAL_MODE", "false")
        storage = connectome.create_storage_from_env()
        assert storage.config == {"db_path": "./production.db", "enable_wal_mode": False}
        run(kept(storage))
        assert (tmp_path / "production.db").exists()

    def test_without_any_mean_files(self, run: Run, tmp_path: Path) -> None:
        run(kept(connectome.create_storage_from_env()))
        assert (tmp_path / "storage_data" / "conversations").is_dir()

    def test_with_a_database_alone_mean_sqlite(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("CONNECTOME_STORAGE_DB_PATH", "x.db")
        assert connectome.create_storage_from_env().config == {"db_path": "x.db"}

    def test_with_bad_values_are_named(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("CONNECTOME_STORAGE_MAX_BACKUPS", "many")
        with pytest.raises(wilk.SettingsError, match="CONNECTOME_STORAGE_MAX_BACKUPS: 'many'"):
            StorageFactory.create_from_env_config()

    def test_may_name_a_class_that_was_registered(self, monkeypatch: pytest.MonkeyPatch) -> None:
        StorageFactory.register_backend("mine", InMemory)
        monkeypatch.setenv("CONNECTOME_STORAGE_TYPE", "mine")
        assert type(connectome.create_storage_from_env()) is InMemory


class TestRegistering:
    def test_adds_a_type(self) -> None:
        StorageFactory.register_backend("mine", InMemory)
        storage = StorageFactory.create_storage("mine", {"size": 5})
        assert storage.config == {"size": 5}
        assert connectome.get_available_backends()["mine"] == "A storage of somebody's own."

    def test_takes_a_class_over_another_interface(self, run: Run) -> None:
        class Wilk(ConnectomeStorage):
            """Wilk's own."""

        StorageFactory.register_backend("wilk", Wilk)
        assert (
            run(kept(StorageFactory.create_storage("wilk", {"db_path": ":memory:"})))["storage_type"]
            == "sqlite"
        )

    def test_refuses_what_lacks_a_method_and_names_it(self) -> None:
        class Half:
            async def initialize(self) -> bool:
                return True

        with pytest.raises(
            wilk.SettingsError, match=r"Half is no storage: it lacks async .*store_conversation"
        ):
            StorageFactory.register_backend("half", Half)

    def test_an_interface_that_is_not_filled_makes_no_storage(self) -> None:
        with pytest.raises(TypeError, match="abstract"):
            StorageInterface({})  # type: ignore[abstract]
