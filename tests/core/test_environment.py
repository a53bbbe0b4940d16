"""Where a store lies by variables and by arguments: which goes before which, and what is refused."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import pytest

import wilk
from wilk import settings


@pytest.fixture(autouse=True)
def _no_url(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("WILK_URL", raising=False)


def variables(monkeypatch: pytest.MonkeyPatch, **values: str) -> None:
    """Set variables: ``W_X`` is ``WILK_STORAGE_X``, ``C_X`` is ``CONNECTOME_STORAGE_X``."""
    prefixes = {"W": "WILK_STORAGE", "C": "CONNECTOME_STORAGE"}
    for name, value in values.items():
        first, _, rest = name.partition("_")
        monkeypatch.setenv(f"{prefixes[first]}_{rest}", value)


@pytest.mark.sqlite
class TestVariables:
    def test_place_a_database(self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
        variables(monkeypatch, W_TYPE="sqlite", W_DB_PATH=str(tmp_path / "a?b%.db"))
        with wilk.open_store() as store:
            store.sessions.create(id="s")
        assert (tmp_path / "a?b%.db").exists()

    def test_place_a_folder_of_files(self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
        variables(monkeypatch, C_TYPE="file", C_BASE_DIR=str(tmp_path / "tree"))
        with wilk.open_store() as store:
            store.documents.save("c", {"a": 1})
        assert (tmp_path / "tree" / "conversations" / "c" / "current.json").exists()

    @pytest.mark.parametrize(
        ("given", "options"),
        [
            ({}, ""),
            ({"W_PRETTY_JSON": "False"}, "?pretty=0"),
            ({"C_MAX_BACKUPS": "9"}, "?backups=9"),
            ({"W_CREATE_BACKUPS": "no", "W_MAX_BACKUPS": "9"}, "?backups=0"),
            ({"W_CREATE_BACKUPS": "yes", "W_PRETTY_JSON": "1"}, ""),
        ],
    )
    def test_say_how_files_are_kept(
        self, monkeypatch: pytest.MonkeyPatch, given: dict[str, str], options: str
    ) -> None:
        variables(monkeypatch, W_BASE_DIR="/srv/tree", **given)
        assert settings.load().url == f"files:////srv/tree{options}"

    def test_give_settings_of_sqlite(self, monkeypatch: pytest.MonkeyPatch) -> None:
        variables(monkeypatch, C_TIMEOUT="2.5", W_WAL_MODE="false")
        found = settings.load()
        assert (found.timeout, found.journal_mode) == (2.5, "delete")
        assert found.origins["timeout"] == "CONNECTOME_STORAGE_TIMEOUT"
        assert found.url.endswith("/home/wilk.db")

    def test_without_a_place_mean_the_home_folder(self, monkeypatch: pytest.MonkeyPatch, home: Path) -> None:
        variables(monkeypatch, W_TYPE="sqlite")
        assert settings.load().url == f"sqlite:///{home}/wilk.db"
        variables(monkeypatch, W_TYPE="files")
        assert settings.load().url == f"files:///{home}/data"

    def test_of_wilk_go_before_those_of_connectome_and_that_is_told(
        self, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
    ) -> None:
        variables(monkeypatch, W_DB_PATH="/one.db", C_DB_PATH="/other.db")
        with caplog.at_level(logging.WARNING, "wilk"):
            assert settings.load().url == "sqlite:////one.db"
        assert caplog.messages == [
            "WILK_STORAGE_DB_PATH=/one.db and CONNECTOME_STORAGE_DB_PATH=/other.db; the first one holds"
        ]

    def test_that_agree_are_nothing_to_tell(
        self, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
    ) -> None:
        variables(monkeypatch, W_DB_PATH="/one.db", C_DB_PATH="/one.db", W_WAL_MODE="true", C_WAL_MODE="1")
        assert settings.load().url == "sqlite:////one.db"
        assert caplog.messages == []

    def test_that_are_empty_are_not_set(self, monkeypatch: pytest.MonkeyPatch) -> None:
        variables(monkeypatch, W_DB_PATH="", C_DB_PATH="/other.db", W_TIMEOUT=" ")
        found = settings.load()
        assert (found.url, found.timeout) == ("sqlite:////other.db", 30.0)

    @pytest.mark.parametrize(
        ("name", "value"),
        [
            ("W_TYPE", "redis"),
            ("C_TYPE", "redis"),
            ("W_CREATE_BACKUPS", "maybe"),
            ("W_PRETTY_JSON", "2"),
            ("C_WAL_MODE", "wal"),
            ("W_TIMEOUT", "soon"),
            ("W_TIMEOUT", "-1"),
            ("W_TIMEOUT", "nan"),
            ("W_MAX_BACKUPS", "-1"),
            ("C_MAX_BACKUPS", "2.5"),
            ("W_MAX_BACKUPS", "٣"),
        ],
    )
    def test_with_bad_values_are_named(
        self, monkeypatch: pytest.MonkeyPatch, name: str, value: str, home: Path
    ) -> None:
        variables(monkeypatch, **{name: value})
        full = {"W": "WILK", "C": "CONNECTOME"}[name[0]] + "_STORAGE" + name[1:]
        with pytest.raises(wilk.SettingsError, match=f"^{full}: "):
            wilk.open_store()
        assert not home.exists()

    def test_with_a_bad_value_are_named_though_another_goes_before(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        variables(monkeypatch, W_TIMEOUT="5", C_TIMEOUT="soon")
        with pytest.raises(wilk.SettingsError, match="CONNECTOME_STORAGE_TIMEOUT"):
            settings.load()

    def test_that_are_misspelled_are_named(self, monkeypatch: pytest.MonkeyPatch) -> None:
        variables(monkeypatch, W_DBPATH="x")
        with pytest.raises(
            wilk.SettingsError, match="WILK_STORAGE_DBPATH; did you mean WILK_STORAGE_DB_PATH"
        ):
            settings.load()

    def test_that_name_two_places_want_a_type(self, monkeypatch: pytest.MonkeyPatch) -> None:
        variables(monkeypatch, W_DB_PATH="/a.db", C_BASE_DIR="/b")
        with pytest.raises(wilk.SettingsError, match="CONNECTOME_STORAGE_BASE_DIR and WILK_STORAGE_DB_PATH"):
            settings.load()
        variables(monkeypatch, C_TYPE="file")
        assert settings.load().url == "files:////b"


@pytest.mark.sqlite
class TestOrder:
    """Arguments, WILK_URL and the like, WILK_STORAGE_*, CONNECTOME_STORAGE_*, config.yaml, defaults."""

    def test_config_goes_before_the_default(self, home: Path) -> None:
        home.mkdir()
        (home / "config.yaml").write_text("url: sqlite:////config.db\ntimeout: 7\n")
        found = settings.load()
        assert (found.url, found.timeout) == ("sqlite:////config.db", 7.0)

    def test_storage_variables_go_before_config(self, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.test_config_goes_before_the_default(home)
        variables(monkeypatch, C_DB_PATH="/storage.db", C_TIMEOUT="6")
        found = settings.load()
        assert (found.url, found.timeout) == ("sqlite:////storage.db", 6.0)

    def test_wilk_url_goes_before_storage_variables(self, monkeypatch: pytest.MonkeyPatch) -> None:
        variables(monkeypatch, W_DB_PATH="/storage.db", W_BASE_DIR="/b", W_TIMEOUT="6", W_WAL_MODE="0")
        monkeypatch.setenv("WILK_URL", "sqlite:////url.db")
        monkeypatch.setenv("WILK_TIMEOUT", "5")
        monkeypatch.setenv("WILK_JOURNAL_MODE", "wal")
        found = settings.load()
        assert (found.url, found.timeout, found.journal_mode) == ("sqlite:////url.db", 5.0, "wal")
        assert found.origins["url"] == "WILK_URL"

    def test_arguments_go_before_all(self, monkeypatch: pytest.MonkeyPatch) -> None:
        variables(monkeypatch, W_DB_PATH="/storage.db", W_BASE_DIR="/b")
        monkeypatch.setenv("WILK_URL", "sqlite:////url.db")
        assert settings.load(url="sqlite:///:memory:").url == "sqlite:///:memory:"
        with wilk.open_store(backend="sqlite", db_path=":memory:") as store:
            assert store.settings.url == "sqlite:///:memory:"


@pytest.mark.sqlite
class TestArguments:
    def test_open_a_database(self, tmp_path: Path) -> None:
        options: dict[str, Any] = {"timeout": 2, "journal_mode": "delete"}
        with wilk.open_store(backend="sqlite", db_path=tmp_path / "x.db", options=options) as store:
            assert store.health().wal_bytes == 0
            assert store._engine.timeout == 2.0

    @pytest.mark.parametrize("name", ["file", "files"])
    def test_open_a_folder(self, name: str, tmp_path: Path) -> None:
        with wilk.open_store(backend=name, base_dir=tmp_path / "tree", options={"pretty": False}) as store:
            store.documents.save("c", {"a": [1]})
        text = (tmp_path / "tree" / "conversations" / "c" / "current.json").read_text()
        assert "\n  " not in text

    def test_open_what_lies_on_a_server(self, postgres: Any) -> None:
        options = {
            "host": "127.0.0.1",
            "port": postgres.port,
            "user": "wilk",
            "dbname": "migrated",
            "pool_size": 3,
        }
        with wilk.open_store(backend="postgresql", options=options) as store:
            pool = store.health().pool
        assert pool is not None
        assert pool.largest == 3

    def test_open_a_store_that_is_awaited(self, tmp_path: Path, run: Any) -> None:
        async def scenario() -> None:
            async with wilk.open_async_store(backend="sqlite", db_path=tmp_path / "x.db") as store:
                await store.sessions.create()

        run(scenario())
        assert (tmp_path / "x.db").exists()

    @pytest.mark.parametrize(
        ("given", "said"),
        [
            ({"backend": "sqlite"}, "wants db_path"),
            ({"backend": "files"}, "wants base_dir"),
            (
                {"backend": "files", "db_path": "x"},
                "db_path is not for the backend 'files'; it takes base_dir",
            ),
            ({"backend": "postgresql", "db_path": "x"}, "db_path is not for the backend 'postgresql'"),
            ({"backend": "sqlite", "db_path": 5}, "db_path 5: a path is wanted"),
            ({"backend": "sqlite", "db_path": ""}, "db_path '': a path is wanted"),
            ({"backend": "sqlite", "db_path": "x", "options": {"timout": 1}}, "timout"),
            ({"backend": "sqlite", "db_path": "x", "options": {"timeout": [1]}}, "options: timeout"),
            ({"backend": "sqlite", "db_path": "x", "options": "timeout=1"}, "options 'timeout=1'"),
            ({"backend": 5}, "backend 5: a name is wanted"),
            ({"db_path": "x"}, "wants backend= as well"),
            ({"url": "sqlite:///x", "backend": "sqlite"}, "not both"),
            ({"backend": "sqlite", "db_path": "x", "settings": wilk.Settings(url="sqlite:///y")}, "not both"),
        ],
    )
    def test_that_do_not_fit_are_told(
        self, given: dict[str, Any], said: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
    ) -> None:
        monkeypatch.chdir(tmp_path)
        with pytest.raises(wilk.SettingsError, match=said):
            wilk.open_store(**given)
        assert not (tmp_path / "x").exists()

    def test_of_a_backend_that_nobody_has_tell_which_there_are(self) -> None:
        with pytest.raises(wilk.PluginError, match="no plugin offers the backend 'nope'; there is .*sqlite"):
            wilk.open_store(backend="nope")


class Memory:
    """A backend that no package brings."""

    @wilk.hookimpl
    def register_backends(self) -> Any:
        from wilk.backends.sqlite import open_sqlite

        yield wilk.Backend("mine", lambda url, settings: open_sqlite("sqlite:///:memory:", settings))


@pytest.mark.sqlite
class TestABackendWithoutAPackage:
    def test_is_registered_with_a_host(self) -> None:
        host = wilk.Host()
        host.register(Memory())
        with wilk.open_store("mine://", host=host) as store:
            store.sessions.create(id="s")
            assert store.sessions.get("s").id == "s"

    def test_is_registered_beside_what_was_asked_before(self) -> None:
        host = wilk.Host()
        with pytest.raises(wilk.PluginError, match="'mine'"):
            host.backend("mine")
        host.register(Memory())
        with wilk.open_store(backend="mine", host=host) as store:
            assert store.health().status == "ok"

    def test_is_unknown_to_other_hosts(self) -> None:
        wilk.Host().register(Memory())
        with pytest.raises(wilk.PluginError, match="no plugin offers the backend 'mine'"):
            wilk.open_store("mine://")
