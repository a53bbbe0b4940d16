"""The registry: sources are asked and remembered, packages installed, updated and removed; edits are kept."""

from __future__ import annotations

import logging
import os
import shutil
from collections.abc import Callable, Coroutine, Iterator
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest

import wilk
from wilk.archives.locking import locked
from wilk.records.registry import Package
from wilk.registries.folder import Folder
from wilk.services.registry.entries import entries, newer

from .packaging import FILES, Shelf, agent, files_of, package, settings, zipped

Run = Callable[[Coroutine[Any, Any, Any]], Any]


@pytest.fixture
def shelf(tmp_path: Path) -> Shelf:
    """A folder that the source ``main`` names, with one package."""
    shelf = Shelf(tmp_path / "shelf")
    shelf.put(
        package(), category="development", tags=["code"], downloads=10, rating=4.5, description="reads diffs"
    )
    return shelf


@pytest.fixture
def shop(home: Path, shelf: Shelf, clock: wilk.Clock, _new_database: Path) -> Iterator[wilk.Store]:
    """A store that knows the source, at a time that stands still."""
    settings(home, main=shelf.root)
    shutil.copy(_new_database, home / "wilk.db")
    with wilk.open_store(home=home, clock=clock) as store:
        store.sync()
        yield store


def names(packages: Any) -> list[str]:
    return [package.name for package in packages]


def folder(store: wilk.Store, id: str = "reviewer") -> Path:
    assert store.home is not None
    return store.home / "agents" / id


def refreshed(store: wilk.Store) -> wilk.Store:
    store.registry.refresh(force=True)
    return store


class TestSearching:
    @pytest.fixture(autouse=True)
    def _more(self, shelf: Shelf) -> None:
        shelf.put(b"x", "tester", downloads=99, rating=3.0, tags=["code", "Tests"], category="development")
        shelf.put(
            b"x",
            "poet",
            downloads=5,
            rating=5.0,
            description="writes ÖDEN",
            author="Ada",
            updated="2026-02-01",
        )

    def test_gives_what_a_source_offers_by_downloads(self, shop: wilk.Store) -> None:
        assert names(shop.registry.search()) == ["tester", "reviewer", "poet"]

    def test_a_package_has_what_its_source_says_of_it(self, shop: wilk.Store) -> None:
        (found,) = shop.registry.search("reviewer")
        assert isinstance(found, Package)
        assert (found.source, found.version, found.category, found.tags, found.downloads, found.rating) == (
            "main", "1.0.0", "development", ["code"], 10, 4.5,
        )  # fmt: skip

    @pytest.mark.parametrize(
        ("sort", "order"),
        [
            ("rating", ["poet", "reviewer", "tester"]),
            ("name", ["poet", "reviewer", "tester"]),
            ("updated", ["poet", "reviewer", "tester"]),
        ],
    )
    def test_sorts(self, shop: wilk.Store, sort: str, order: list[str]) -> None:
        assert names(shop.registry.search(sort=sort)) == order

    @pytest.mark.parametrize("text", ["öden", "ada", "writes öden", "POET"])
    def test_finds_words_in_whatever_is_said_of_a_package(self, shop: wilk.Store, text: str) -> None:
        assert names(shop.registry.search(text)) == ["poet"]

    @pytest.mark.parametrize("text", ["%", "_", "'", "öden diffs"])
    def test_takes_text_as_it_is(self, shop: wilk.Store, text: str) -> None:
        assert names(shop.registry.search(text)) == []

    def test_narrows_by_category_and_all_tags(self, shop: wilk.Store) -> None:
        assert names(shop.registry.search(category="development")) == ["tester", "reviewer"]
        assert names(shop.registry.search(tags=["code"])) == ["tester", "reviewer"]
        assert names(shop.registry.search(tags=["code", "tests"])) == ["tester"]

    def test_gives_at_most_as_many_as_are_wanted(self, shop: wilk.Store) -> None:
        assert names(shop.registry.search(limit=2)) == ["tester", "reviewer"]

    @pytest.mark.parametrize("bad", [{"sort": "price"}, {"limit": -1}, {"tags": "code"}, {"text": 5}])
    def test_refuses_what_makes_no_sense(self, shop: wilk.Store, bad: dict[str, Any]) -> None:
        with pytest.raises(wilk.Invalid, match=next(iter(bad))):
            shop.registry.search(**bad)

    def test_of_a_source_that_is_not_there_says_which_are(self, shop: wilk.Store) -> None:
        with pytest.raises(wilk.NotFound, match="there is main"):
            shop.registry.search(source="mine")

    def test_without_sources_finds_nothing(self, store: wilk.Store) -> None:
        assert store.registry.search() == []
        with pytest.raises(wilk.NotFound, match="names no source"):
            store.registry.get("reviewer")


class TestRemembering:
    def test_asks_again_only_when_an_hour_has_passed(self, shop: wilk.Store, shelf: Shelf, now: Any) -> None:
        shop.registry.search()
        shelf.put(b"x", "tester")
        now.pass_by(seconds=3599)
        assert names(shop.registry.search()) == ["reviewer"]
        now.pass_by(seconds=1)
        assert names(shop.registry.search()) == ["reviewer", "tester"]

    def test_remembers_as_long_as_the_setting_says(
        self, home: Path, shelf: Shelf, clock: wilk.Clock, now: Any
    ) -> None:
        settings(home, main=shelf.root)
        config = (home / "config.yaml").read_text()
        (home / "config.yaml").write_text(config[:-1] + ', "caches": {"registry": {"ttl": "2d"}}}')
        with wilk.open_store(home=home, clock=clock) as store:
            store.registry.search()
            shelf.put(b"x", "tester")
            now.pass_by(days=1.9)
            assert names(store.registry.search()) == ["reviewer"]
            now.pass_by(days=0.1)
            assert names(store.registry.search()) == ["reviewer", "tester"]

    def test_refresh_asks_at_once_when_forced(self, shop: wilk.Store, shelf: Shelf) -> None:
        shop.registry.search()
        shelf.put(b"x", "tester")
        assert shop.registry.refresh() == []
        (done,) = shop.registry.refresh(force=True)
        assert (done.source, done.packages, done.error) == ("main", 2, None)

    def test_forgets_what_is_offered_no_more(self, shop: wilk.Store, shelf: Shelf) -> None:
        shelf.put(b"x", "tester")
        shop.registry.search()
        shelf.entries = shelf.entries[1:]
        shelf.write()
        (shelf.root / "reviewer-1.0.0.zip").unlink()
        assert names(refreshed(shop).registry.search()) == ["tester"]

    def test_uses_what_it_knows_of_a_source_that_is_away(
        self, shop: wilk.Store, shelf: Shelf, now: Any, caplog: pytest.LogCaptureFixture
    ) -> None:
        shop.registry.search()
        shutil.rmtree(shelf.root)
        now.pass_by(days=3)
        assert names(shop.registry.search()) == ["reviewer"]
        assert "source main cannot be asked" in caplog.text

    def test_never_says_that_nothing_is_there_when_it_could_not_ask(
        self, shop: wilk.Store, shelf: Shelf
    ) -> None:
        shutil.rmtree(shelf.root)
        with pytest.raises(wilk.BackendError, match="'main' cannot be asked"):
            shop.registry.search()
        with pytest.raises(wilk.BackendError, match="'main' cannot be asked"):
            shop.registry.get("reviewer")

    def test_one_source_that_is_away_keeps_no_other_from_being_searched(
        self, home: Path, shelf: Shelf, tmp_path: Path
    ) -> None:
        settings(home, main=shelf.root, gone=tmp_path / "gone")
        with wilk.open_store(home=home) as store:
            assert names(store.registry.search()) == ["reviewer"]
            assert [one.error is None for one in store.registry.refresh(force=True)] == [True, False]

    def test_a_source_that_is_taken_out_of_the_settings_is_searched_no_more(
        self, home: Path, shop: wilk.Store
    ) -> None:
        shop.registry.search()
        settings(home)
        with wilk.open_store(home=home) as store:
            assert store.registry.search() == []

    def test_a_store_that_is_only_read_uses_what_is_known(
        self, home: Path, shop: wilk.Store, now: Any
    ) -> None:
        shop.registry.search()
        now.pass_by(days=3)
        with wilk.open_store(home=home, readonly=True) as store:
            assert names(store.registry.search()) == ["reviewer"]
            with pytest.raises(wilk.ReadOnly):
                store.registry.refresh()
            with pytest.raises(wilk.ReadOnly):
                store.registry.install("reviewer")

    def test_within_a_transaction_nothing_is_asked(self, shop: wilk.Store, shelf: Shelf, now: Any) -> None:
        shop.registry.search()
        shelf.put(b"x", "tester")
        now.pass_by(days=1)
        with shop.transaction():
            assert names(shop.registry.search()) == ["reviewer"]

    def test_sources_tell_what_is_known_of_them(self, shop: wilk.Store, shelf: Shelf) -> None:
        (before,) = shop.registry.sources()
        assert (before.name, before.address, before.packages, before.cached_at) == (
            "main",
            str(shelf.root),
            0,
            None,
        )
        shop.registry.search()
        (after,) = shop.registry.sources()
        assert (after.packages, after.cached_at is not None) == (1, True)

    @pytest.mark.parametrize(
        ("registries", "said"),
        [
            ({"main": 5}, "an address is wanted"),
            ({"a/b": "x"}, "source id"),
        ],
    )
    def test_a_bad_setting_is_told(self, home: Path, registries: dict[str, Any], said: str) -> None:
        with (
            wilk.open_store(
                settings=wilk.Settings(home=home, url=f"sqlite:///{home}/x.db", registries=registries)
            ) as store,
            pytest.raises(wilk.SettingsError, match=said),
        ):
            store.registry.refresh()

    def test_an_address_that_nobody_opens_is_told(self, home: Path) -> None:
        settings(home, main="ftp://example.org")
        with wilk.open_store(home=home) as store:
            (done,) = store.registry.refresh()
            assert "no plugin offers the registry 'ftp'" in str(done.error)


class TestWhatSourcesSay:
    GOOD = {"name": "a", "version": "1", "location": "a.zip", "checksum": "ab" * 32}

    @pytest.mark.parametrize(
        "change",
        [
            {"name": None}, {"name": "a/b"}, {"name": ".."}, {"name": ""}, {"name": 5}, {"version": None},
            {"version": 1}, {"location": ""}, {"checksum": "ab"}, {"checksum": None}, {"checksum": "zz" * 32},
            {"rating": 6}, {"rating": "good"}, {"rating": float("nan")}, {"downloads": -1}, {"downloads": 1.5},
            {"tags": "code"}, {"tags": [1]}, {"size": -1}, {"description": 5}, {"author": "a\0b"},
        ],
    )  # fmt: skip
    def test_a_wrong_entry_is_left_out_and_told_and_the_others_stay(self, change: dict[str, Any]) -> None:
        found = entries([{**self.GOOD, **change}, {**self.GOOD, "name": "b"}])
        assert names(found.packages) == ["b"]
        assert len(found.left_out) == 1

    def test_what_cannot_be_kept_is_left_out(self) -> None:
        deep: Any = []
        for _ in range(500):
            deep = [deep]
        found = entries([{**self.GOOD, "more": deep}, {**self.GOOD, "name": "b"}])
        assert names(found.packages) == ["b"]

    @pytest.mark.parametrize("entry", [None, 5, "a", [], {}])
    def test_what_is_no_entry_is_left_out(self, entry: Any) -> None:
        assert len(entries([entry]).left_out) == 1

    def test_what_else_is_said_is_kept(self) -> None:
        (one,) = entries([{**self.GOOD, "homepage": "https://example.org"}]).packages
        assert one.metadata == {"homepage": "https://example.org"}

    def test_the_newest_of_several_versions_is_the_package(self) -> None:
        found = entries([{**self.GOOD, "version": version} for version in ("1.9", "1.10", "1.10-rc.1")])
        assert found.packages[0].version == "1.10"
        assert [one["version"] for one in found.packages[0].metadata["versions"]] == ["1.10-rc.1", "1.9"]

    @pytest.mark.parametrize(
        ("one", "other"),
        [
            ("1.10", "1.9"), ("2", "1.99.99"), ("1.0.1", "1.0"), ("1.0", "1.0-rc.1"), ("1.0-rc.2", "1.0-rc.1"),
            ("1.0b1", "1.0a5"), ("v2.0", "v1.0"), ("1.0.1+build", "1.0.0+other"), ("1.0", "1.0.0-alpha"),
            ("2026.2.1", "2026.1.31"), ("1.1-rc.1", "1.0"),
        ],
    )  # fmt: skip
    def test_versions_are_compared_as_people_do(self, one: str, other: str) -> None:
        assert newer(one, other)
        assert not newer(other, one)

    @pytest.mark.parametrize(("one", "other"), [("1.0", "1.0.0"), ("v1", "1"), ("1.0+a", "1.0+b")])
    def test_versions_that_are_one(self, one: str, other: str) -> None:
        assert not newer(one, other)
        assert not newer(other, one)


class TestInstalling:
    def test_writes_the_files_and_the_rows(self, shop: wilk.Store) -> None:
        installed = shop.registry.install("reviewer")
        assert files_of(folder(shop)) == {"agent.yaml": agent(), **FILES}
        found = shop.agents.get("reviewer")
        assert (found.name, found.version, found.is_installed, found.install_path) == (
            "Reviewer", "1.0.0", True, "agents/reviewer",
        )  # fmt: skip
        assert (installed.source, installed.package, installed.version) == ("main", "reviewer", "1.0.0")
        assert installed.files == {
            path: sha256(text.encode()).hexdigest() for path, text in files_of(folder(shop)).items()
        }
        assert [one.name for one in shop.agents.tools("reviewer")] == ["diff.py"]

    def test_is_no_change_to_the_next_sync(self, shop: wilk.Store) -> None:
        shop.registry.install("reviewer")
        assert shop.sync().changes == ()
        assert [one.number for one in shop.agents.history("reviewer")] == [1]

    def test_tells_of_python_files(self, shop: wilk.Store) -> None:
        assert shop.registry.install("reviewer").code == ["tools/diff.py"]

    def test_leaves_files_that_are_private(self, shop: wilk.Store) -> None:
        shop.registry.install("reviewer")
        assert {file.stat().st_mode & 0o777 for file in folder(shop).rglob("*") if file.is_file()} == {0o600}

    def test_keeps_secrets_out_of_the_database(self, shop: wilk.Store, shelf: Shelf, home: Path) -> None:
        secret = "metadata: {api_key: sk-0123456789}\n"
        shelf.put(package(definition=agent() + secret))
        shop.registry.install("reviewer")
        shelf.put(package("2.0.0", definition=agent("2.0.0") + secret), version="2.0.0")
        refreshed(shop).registry.update("reviewer")
        assert "sk-0123456789" in files_of(folder(shop))["agent.yaml"]
        shop.close()
        assert b"sk-0123456789" not in b"".join(file.read_bytes() for file in home.glob("wilk.db*"))

    def test_leaves_nothing_else_behind(self, shop: wilk.Store) -> None:
        shop.registry.install("reviewer")
        assert {path.name for path in folder(shop).parent.iterdir()} == {"reviewer"}

    def test_takes_another_id(self, shop: wilk.Store) -> None:
        shop.registry.install("reviewer", id="mine")
        assert [one.id for one in shop.agents.list()] == ["mine"]
        assert [one.package for one in shop.registry.installed()] == ["reviewer"]

    def test_takes_an_older_version(self, shop: wilk.Store, shelf: Shelf) -> None:
        shelf.put(package("2.0.0"), version="2.0.0")
        assert shop.registry.get("reviewer").versions == ["2.0.0", "1.0.0"]
        shop.registry.install("reviewer", version="1.0.0")
        assert shop.agents.get("reviewer").version == "1.0.0"
        with pytest.raises(wilk.NotFound, match=r"there is 2\.0\.0, 1\.0\.0"):
            shop.registry.install("reviewer", id="other", version="3")

    def test_refuses_content_that_is_not_what_its_source_said(self, shop: wilk.Store, shelf: Shelf) -> None:
        shop.registry.search()
        (shelf.root / "reviewer-1.0.0.zip").write_bytes(package("1.0.0", {}))
        self.refuses(shop, wilk.Invalid, "SHA-256")

    @pytest.mark.parametrize(
        ("data", "said"),
        [
            (b"no archive", "no sound ZIP"),
            (zipped({"agent.yaml": agent(), "../evil.py": "x"}), "leads out"),
            (zipped({"agent.yaml": "name: [unfinished"}), "agent.yaml"),
            (zipped({"agent.yaml": "description: an agent without a name\n"}), "name"),
            (zipped({"agent.yaml": "name: A\nmodel: {parameters: {temperature: 9}}\n"}), "temperature"),
        ],
    )
    def test_refuses_what_is_no_sound_package(
        self, shop: wilk.Store, shelf: Shelf, data: bytes, said: str
    ) -> None:
        shelf.put(data)
        self.refuses(shop, wilk.Invalid, said)

    def test_refuses_a_location_that_leaves_the_folder(self, shop: wilk.Store, shelf: Shelf) -> None:
        (shelf.root.parent / "outside.zip").write_bytes(package())
        shelf.entries[0]["location"] = "../outside.zip"
        shelf.write()
        self.refuses(shop, wilk.BackendError, "leads out")

    def test_refuses_the_place_of_an_agent_that_was_not_installed(self, shop: wilk.Store) -> None:
        shop.agents.save("reviewer", {"name": "My own"})
        before = files_of(folder(shop))
        with pytest.raises(wilk.Conflict, match="was not installed"):
            shop.registry.install("reviewer")
        assert files_of(folder(shop)) == before
        assert shop.registry.installed() == []

    def test_refuses_a_name_that_another_agent_has(self, shop: wilk.Store) -> None:
        shop.agents.save("mine", {"name": "Reviewer"})
        self.refuses(shop, wilk.Conflict, "has the name 'Reviewer' already")

    def test_refuses_what_a_plugin_rejects(
        self, home: Path, shelf: Shelf, plugged: Callable[..., wilk.Store]
    ) -> None:
        class Guard:
            @wilk.hookimpl
            def before_save(self, kind: str, record: Any) -> None:
                if kind == "agent":
                    raise wilk.Rejected("no agents today")

        settings(home, main=shelf.root)
        self.refuses(plugged(Guard()), wilk.Rejected, "no agents today")

    def test_refuses_to_write_over_files_that_lie_there(self, shop: wilk.Store) -> None:
        (folder(shop) / "tools").mkdir(parents=True)
        (folder(shop) / "tools" / "diff.py").write_text("mine")
        with pytest.raises(wilk.Conflict, match=r"holds tools/diff\.py already"):
            shop.registry.install("reviewer")
        assert files_of(folder(shop)) == {"tools/diff.py": "mine"}

    @pytest.mark.parametrize("make", [Path.mkdir, os.mkfifo])
    def test_refuses_what_lies_where_a_file_is_to_be(
        self, shop: wilk.Store, make: Callable[[Path], None]
    ) -> None:
        folder(shop).mkdir(parents=True)
        make(folder(shop) / "README.md")
        with pytest.raises(wilk.Invalid, match=r"README\.md is no file"):
            shop.registry.install("reviewer")

    def test_refuses_a_folder_that_is_a_link_to_elsewhere(self, shop: wilk.Store, tmp_path: Path) -> None:
        (tmp_path / "elsewhere").mkdir()
        folder(shop).parent.mkdir()
        folder(shop).symlink_to(tmp_path / "elsewhere")
        with pytest.raises(wilk.Invalid, match="leads out"):
            shop.registry.install("reviewer")
        assert files_of(tmp_path / "elsewhere") == {}

    def test_refuses_to_install_twice(self, shop: wilk.Store) -> None:
        shop.registry.install("reviewer")
        with pytest.raises(wilk.Conflict, match=r"is installed \(main/reviewer 1\.0\.0\); update it"):
            shop.registry.install("reviewer")

    def test_installs_again_what_was_removed_by_hand(self, shop: wilk.Store) -> None:
        shop.registry.install("reviewer")
        shutil.rmtree(folder(shop))
        shop.sync()
        shop.registry.install("reviewer")
        assert files_of(folder(shop)) == {"agent.yaml": agent(), **FILES}
        assert shop.agents.get("reviewer").is_installed

    @pytest.mark.parametrize("id", ["../evil", "a/b", "", ".hidden", "con"])
    def test_refuses_an_id_that_leaves_the_folder(self, shop: wilk.Store, id: str) -> None:
        with pytest.raises(wilk.Invalid, match="id"):
            shop.registry.install("reviewer", id=id)

    def test_needs_a_home_folder(self, shelf: Shelf, tmp_path: Path) -> None:
        url = f"sqlite:///{tmp_path}/x.db"
        with wilk.open_store(settings=wilk.Settings(url=url, registries={"main": str(shelf.root)})) as store:
            assert names(store.registry.search()) == ["reviewer"]
            with pytest.raises(wilk.SettingsError, match="no home folder"):
                store.registry.install("reviewer")
            assert store.registry.installed() == []

    def test_is_not_for_transactions(self, shop: wilk.Store) -> None:
        shop.registry.search()
        with shop.transaction(), pytest.raises(wilk.Invalid, match="outside of a transaction"):
            shop.registry.install("reviewer")

    def test_a_name_in_two_sources_is_chosen_by_source(
        self, home: Path, shelf: Shelf, tmp_path: Path
    ) -> None:
        Shelf(tmp_path / "other").put(package("3.0.0"), version="3.0.0")
        settings(home, main=shelf.root, team=tmp_path / "other")
        with wilk.open_store(home=home) as store:
            with pytest.raises(wilk.Conflict, match="main/reviewer or team/reviewer"):
                store.registry.get("reviewer")
            assert store.registry.install("team/reviewer").version == "3.0.0"

    def test_tells_plugins(self, home: Path, shelf: Shelf, plugged: Callable[..., wilk.Store]) -> None:
        heard: list[tuple[str, str]] = []

        class Ear:
            @wilk.hookimpl
            def after_save(self, kind: str, record: Any) -> None:
                heard.append((kind, record.id))

            @wilk.hookimpl
            def after_delete(self, kind: str, record: Any) -> None:
                heard.append((f"no {kind}", record.id))

        settings(home, main=shelf.root)
        store = plugged(Ear())
        store.registry.install("reviewer")
        store.registry.remove("reviewer")
        assert heard == [
            (word + kind, "reviewer") for word in ("", "no ") for kind in ("agent", "installation")
        ]

    def refuses(self, store: wilk.Store, error: type[Exception], said: str) -> None:
        """Nothing is written when installing fails."""
        store.sync()
        with pytest.raises(error, match=said):
            store.registry.install("reviewer")
        assert not folder(store).exists()
        assert store.registry.installed() == []
        assert store.agents.find("reviewer") is None
        assert store.sync().changes == ()


class TestUpdating:
    @pytest.fixture(autouse=True)
    def _installed(self, shop: wilk.Store) -> None:
        shop.registry.install("reviewer")

    def newer(
        self, shop: wilk.Store, shelf: Shelf, files: Any = FILES, definition: str | None = None
    ) -> None:
        shelf.put(package("2.0.0", files, definition), version="2.0.0")
        refreshed(shop)

    def edit(self, shop: wilk.Store, path: str, *change: str) -> None:
        file = folder(shop) / path
        text = file.read_text()
        assert change[0] in text
        file.write_text(text.replace(*change))

    def test_replaces_what_was_not_changed_here(self, shop: wilk.Store, shelf: Shelf) -> None:
        self.newer(shop, shelf, {"tools/diff.py": "new", "tools/more.py": "more"})
        (done,) = shop.registry.update()
        assert files_of(folder(shop)) == {
            "agent.yaml": agent("2.0.0"), "tools/diff.py": "new", "tools/more.py": "more",
        }  # fmt: skip
        assert dict(done.files) == {
            "README.md": "removed", "agent.yaml": "replaced", "tools/diff.py": "replaced", "tools/more.py": "added",
        }  # fmt: skip
        assert (done.before, done.version, done.changed) == ("1.0.0", "2.0.0", True)
        assert shop.agents.get("reviewer").version == "2.0.0"
        assert shop.sync().changes == ()
        assert [one.number for one in shop.agents.history("reviewer")] == [1, 2]

    def test_without_anything_newer_changes_nothing(self, shop: wilk.Store) -> None:
        self.edit(shop, "README.md", "Reviewer", "Mine")
        before = files_of(folder(shop))
        assert [one.changed for one in shop.registry.update()] == [False]
        assert files_of(folder(shop)) == before

    def test_keeps_a_file_that_was_changed_here_alone(self, shop: wilk.Store, shelf: Shelf) -> None:
        self.edit(shop, "README.md", "Reviewer", "Mine")
        (folder(shop) / "tools" / "own.py").write_text("own")
        self.newer(shop, shelf, {**FILES, "tools/diff.py": "new"})
        shop.registry.update("reviewer")
        assert files_of(folder(shop)) == {
            "agent.yaml": agent("2.0.0"), "README.md": "# Mine\n", "tools/diff.py": "new", "tools/own.py": "own",
        }  # fmt: skip
        assert [one.edited for one in shop.registry.installed()] == [["README.md"]]

    def test_a_file_that_was_removed_here_does_not_come_back(self, shop: wilk.Store, shelf: Shelf) -> None:
        (folder(shop) / "README.md").unlink()
        self.newer(shop, shelf)
        shop.registry.update()
        assert set(files_of(folder(shop))) == {"agent.yaml", "tools/diff.py"}
        assert [one.missing for one in shop.registry.installed()] == [["README.md"]]

    def test_merges_the_definition_by_fields_and_keeps_comments(self, shop: wilk.Store, shelf: Shelf) -> None:
        self.edit(shop, "agent.yaml", "temperature: 0.1", "temperature: 0.7  # I like it warm")
        self.newer(shop, shelf, definition=agent("2.0.0").replace("reads diffs", "reads all"))
        (done,) = shop.registry.update()
        assert dict(done.files) == {"agent.yaml": "merged"}
        assert files_of(folder(shop))["agent.yaml"] == agent("2.0.0").replace(
            "reads diffs", "reads all"
        ).replace("temperature: 0.1", "temperature: 0.7  # I like it warm")
        found = shop.agents.get("reviewer")
        assert (found.version, found.description) == ("2.0.0", "reads all")
        assert found.definition["model"]["parameters"]["temperature"] == 0.7

    def test_merges_again_by_what_came_last(self, shop: wilk.Store, shelf: Shelf) -> None:
        self.test_merges_the_definition_by_fields_and_keeps_comments(shop, shelf)
        shelf.put(package("3.0.0", definition=agent("3.0.0").replace("gpt-4", "gpt-5")), version="3.0.0")
        refreshed(shop).registry.update()
        found = shop.agents.get("reviewer").definition
        assert (found["version"], found["model"]["name"]) == ("3.0.0", "gpt-5")
        assert found["model"]["parameters"]["temperature"] == 0.7

    @pytest.fixture
    def clash(self, shop: wilk.Store, shelf: Shelf) -> dict[str, str]:
        """Both sides changed the same field and the same file; gives the files as they are here."""
        self.edit(shop, "agent.yaml", "name: gpt-4", "name: mine")
        self.edit(shop, "agent.yaml", "temperature: 0.1", "temperature: 0.7")
        self.edit(shop, "README.md", "Reviewer", "Mine")
        self.newer(
            shop, shelf, {**FILES, "README.md": "# Theirs\n"}, agent("2.0.0").replace("gpt-4", "gpt-5")
        )
        return files_of(folder(shop))

    def test_says_that_it_cannot_and_writes_nothing(self, shop: wilk.Store, clash: dict[str, str]) -> None:
        with pytest.raises(wilk.Conflict) as caught:
            shop.registry.update("reviewer")
        assert "agent.yaml: both changed model.name\n" in str(caught.value)
        assert "README.md: changed here, changed in the package\n" in str(caught.value)
        assert "mine" not in str(caught.value).replace("reviewer", "")
        assert files_of(folder(shop)) == clash
        assert [one.version for one in shop.registry.installed()] == ["1.0.0"]

    def test_of_all_tells_of_those_that_cannot_and_does_the_others(
        self, shop: wilk.Store, shelf: Shelf, clash: dict[str, str]
    ) -> None:
        shelf.put(zipped({"agent.yaml": "name: Other\n"}), "other")
        refreshed(shop).registry.install("other")
        shelf.put(zipped({"agent.yaml": "name: Other\nversion: '2'\n"}), "other", "2.0")
        refreshed(shop)
        other, reviewer = shop.registry.update()
        assert (other.version, other.error) == ("2.0", None)
        assert "both changed model.name" in str(reviewer.error)
        assert files_of(folder(shop)) == clash

    def test_keeps_the_local_side_when_told(self, shop: wilk.Store, clash: dict[str, str]) -> None:
        (done,) = shop.registry.update("reviewer", keep="local")
        assert dict(done.files) == {"README.md": "kept", "agent.yaml": "merged"}
        now = files_of(folder(shop))
        assert now["README.md"] == clash["README.md"]
        assert now["agent.yaml"] == clash["agent.yaml"].replace("version: 1.0.0", "version: 2.0.0")
        assert [one.changed for one in shop.registry.update()] == [False]

    def test_takes_the_package_when_told_and_saves_the_local_side(
        self, shop: wilk.Store, clash: dict[str, str]
    ) -> None:
        (done,) = shop.registry.update("reviewer", keep="package")
        now = files_of(folder(shop))
        assert dict(done.saved) == {"README.md": "README.md.local", "agent.yaml": "agent.yaml.local"}
        assert {path: now[beside] for path, beside in done.saved.items()} == {
            path: clash[path] for path in done.saved
        }
        assert now["README.md"] == "# Theirs\n"
        model = shop.agents.get("reviewer").definition["model"]
        assert (model["name"], model["parameters"]["temperature"]) == ("gpt-5", 0.7)

    def test_never_saves_over_what_was_saved_before(self, shop: wilk.Store, clash: dict[str, str]) -> None:
        (folder(shop) / "README.md.local").write_text("older")
        (done,) = shop.registry.update("reviewer", keep="package")
        assert done.saved["README.md"] == "README.md.2.local"
        assert files_of(folder(shop))["README.md.local"] == "older"

    def test_a_file_of_ones_own_is_not_written_over(self, shop: wilk.Store, shelf: Shelf) -> None:
        (folder(shop) / "tools" / "more.py").write_text("mine")
        self.newer(shop, shelf, {**FILES, "tools/more.py": "theirs"})
        with pytest.raises(wilk.Conflict, match=r"tools/more\.py: a file of your own has this name"):
            shop.registry.update("reviewer")

    @pytest.mark.parametrize(
        ("here", "there"),
        [("changed", "removed"), ("removed", "changed")],
    )
    def test_a_file_that_one_side_removed_and_the_other_changed_is_a_conflict(
        self, shop: wilk.Store, shelf: Shelf, here: str, there: str
    ) -> None:
        file = folder(shop) / "README.md"
        file.write_text("mine") if here == "changed" else file.unlink()
        changed = {"tools/diff.py": FILES["tools/diff.py"], "README.md": "theirs"}
        self.newer(shop, shelf, {k: v for k, v in changed.items() if k != "README.md" or there == "changed"})
        with pytest.raises(wilk.Conflict, match=f"README.md: {here} here, {there} in the package"):
            shop.registry.update("reviewer")
        shop.registry.update("reviewer", keep="package")
        assert files_of(folder(shop)).get("README.md") == (None if there == "removed" else "theirs")
        assert (folder(shop) / "README.md.local").exists() is (here == "changed")

    def test_a_definition_that_is_broken_here_is_a_conflict(self, shop: wilk.Store, shelf: Shelf) -> None:
        (folder(shop) / "agent.yaml").write_text("name: [unfinished")
        self.newer(shop, shelf)
        with pytest.raises(wilk.Conflict, match="cannot be merged"):
            shop.registry.update("reviewer")
        shop.registry.update("reviewer", keep="package")
        assert files_of(folder(shop))["agent.yaml"] == agent("2.0.0")
        assert files_of(folder(shop))["agent.yaml.local"] == "name: [unfinished"

    def test_goes_back_only_when_a_version_is_named(self, shop: wilk.Store, shelf: Shelf) -> None:
        self.newer(shop, shelf)
        shop.registry.update()
        shelf.entries = [one for one in shelf.entries if one["version"] == "1.0.0"]
        (shelf.root / "reviewer-2.0.0.zip").unlink()
        shelf.write()
        assert [one.changed for one in refreshed(shop).registry.update()] == [False]
        (done,) = shop.registry.update("reviewer", version="1.0.0")
        assert (done.before, done.version) == ("2.0.0", "1.0.0")
        assert files_of(folder(shop)) == {"agent.yaml": agent(), **FILES}

    def test_takes_other_content_of_the_same_version(self, shop: wilk.Store, shelf: Shelf) -> None:
        shelf.put(package("1.0.0", {"README.md": "# Better\n"}))
        (done,) = refreshed(shop).registry.update()
        assert done.changed
        assert files_of(folder(shop)) == {"agent.yaml": agent(), "README.md": "# Better\n"}

    def test_a_definition_may_change_its_ending(self, shop: wilk.Store, shelf: Shelf) -> None:
        shelf.put(zipped({"agent.yml": agent("2.0.0")}), version="2.0.0")
        refreshed(shop).registry.update()
        assert files_of(folder(shop)) == {"agent.yml": agent("2.0.0")}
        shop.sync()
        assert shop.agents.get("reviewer").version == "2.0.0"

    @pytest.mark.parametrize("theirs", ["agent.yml", "agent.yaml"])
    @pytest.mark.parametrize("mine", ["agent.yml", "agent.yaml"])
    def test_a_definition_that_was_edited_stays_one_file_whatever_its_ending(
        self, shop: wilk.Store, shelf: Shelf, mine: str, theirs: str
    ) -> None:
        file = folder(shop) / "agent.yaml"
        file.write_text(file.read_text() + "# mine\n")
        file.rename(folder(shop) / mine)
        shelf.put(zipped({theirs: agent("2.0.0"), **FILES}), version="2.0.0")
        refreshed(shop).registry.update("reviewer")
        assert files_of(folder(shop)) == {mine: agent("2.0.0") + "# mine\n", **FILES}
        shop.sync()
        assert shop.agents.get("reviewer").version == "2.0.0"
        assert [one.edited for one in shop.registry.installed()] == [[mine]]

    def test_a_folder_in_place_of_a_file_is_an_edit(self, shop: wilk.Store, shelf: Shelf) -> None:
        (folder(shop) / "README.md").unlink()
        (folder(shop) / "README.md").mkdir()
        assert [one.edited for one in shop.registry.installed()] == [["README.md"]]
        with pytest.raises(wilk.Protected, match="README.md"):
            shop.registry.remove("reviewer")
        shop.registry.remove("reviewer", force=True)
        assert [path.name for path in folder(shop).iterdir()] == ["README.md"]

    def test_a_source_that_is_slow_keeps_nobody_away(
        self, shop: wilk.Store, shelf: Shelf, home: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        fetch = Folder.fetch

        def slow(self: Folder, location: str, longest: int) -> bytes:
            with locked(home / ".registry.lock", 0.0):  # or another process holds it: Busy
                return fetch(self, location, longest)

        monkeypatch.setattr(Folder, "fetch", slow)
        shop.registry.remove("reviewer")
        shop.registry.install("reviewer")
        self.newer(shop, shelf)
        assert [one.changed for one in shop.registry.update()] == [True]

    def test_what_another_process_did_while_the_package_came_counts(
        self, shop: wilk.Store, shelf: Shelf, home: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        self.newer(shop, shelf)
        fetch = Folder.fetch

        def overtaken(self: Folder, location: str, longest: int) -> bytes:
            monkeypatch.setattr(Folder, "fetch", fetch)
            with wilk.open_store(home=home) as other:
                assert [one.changed for one in other.registry.update()] == [True]
            return fetch(self, location, longest)

        monkeypatch.setattr(Folder, "fetch", overtaken)
        (done,) = shop.registry.update("reviewer")
        assert (done.changed, done.version) == (False, "2.0.0")

    def test_refuses_a_package_that_is_broken_and_stays_as_it_is(
        self, shop: wilk.Store, shelf: Shelf
    ) -> None:
        before = files_of(folder(shop))
        shelf.put(zipped({"agent.yaml": "name: 5\n"}), version="2.0.0")
        with pytest.raises(wilk.InvalidDefinition):
            refreshed(shop).registry.update("reviewer")
        assert files_of(folder(shop)) == before

    def test_puts_everything_back_when_a_file_cannot_be_written(
        self, shop: wilk.Store, shelf: Shelf, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        before = files_of(folder(shop))
        self.newer(shop, shelf, {"README.md": "new", "tools/diff.py": "new"})
        replace = Path.replace

        def failing(self: Path, target: Path) -> Path:
            if target.name == "diff.py":
                raise OSError(28, "No space left on device")
            return replace(self, target)

        monkeypatch.setattr(Path, "replace", failing)
        with pytest.raises(wilk.Invalid, match="No space left"):
            shop.registry.update("reviewer")
        monkeypatch.undo()
        assert files_of(folder(shop)) == before
        assert shop.agents.get("reviewer").version == "1.0.0"
        assert shop.sync().changes == ()
        assert {path.name for path in folder(shop).parent.iterdir()} == {"reviewer"}
        shop.registry.update("reviewer")
        assert files_of(folder(shop))["tools/diff.py"] == "new"

    def test_of_what_is_gone_says_so(self, shop: wilk.Store, shelf: Shelf) -> None:
        with pytest.raises(wilk.NotFound, match="installed agent 'nobody'"):
            shop.registry.update("nobody")
        shop.agents.remove("reviewer")
        with pytest.raises(wilk.NotFound, match="its definition is gone"):
            shop.registry.update("reviewer")

    @pytest.mark.parametrize("bad", [{"keep": "both"}, {"version": "2"}])
    def test_refuses_what_makes_no_sense(self, shop: wilk.Store, bad: dict[str, Any]) -> None:
        with pytest.raises(wilk.Invalid, match=next(iter(bad))):
            shop.registry.update(**bad)


class TestRemoving:
    @pytest.fixture(autouse=True)
    def _installed(self, shop: wilk.Store) -> None:
        shop.registry.install("reviewer")

    def test_takes_the_files_and_archives_the_rows(self, shop: wilk.Store) -> None:
        shop.registry.remove("reviewer", reason="not needed")
        assert not folder(shop).exists()
        assert shop.agents.find("reviewer") is None
        (archived,) = shop.agents.list(archived=True)
        assert archived.is_installed is False
        assert [(one.kind, one.record_id, one.reason) for one in shop.archive.list()] == [
            ("installation", "reviewer", "not needed")
        ]
        assert shop.registry.installed() == []
        assert shop.sync().changes == ()

    def test_leaves_what_the_package_did_not_bring(self, shop: wilk.Store) -> None:
        (folder(shop) / "tools" / "own.py").write_text("own")
        shop.registry.remove("reviewer")
        assert files_of(folder(shop)) == {"tools/own.py": "own"}

    def test_refuses_when_files_were_edited(self, shop: wilk.Store) -> None:
        (folder(shop) / "README.md").write_text("mine")
        before = files_of(folder(shop))
        with pytest.raises(wilk.Protected, match=r"README\.md"):
            shop.registry.remove("reviewer")
        assert files_of(folder(shop)) == before

    def test_loses_no_edit_when_forced(self, shop: wilk.Store) -> None:
        (folder(shop) / "README.md").write_text("mine")
        (folder(shop) / "agent.yaml").write_text(agent() + "author: me\n")
        shop.registry.remove("reviewer", force=True)
        assert files_of(folder(shop)) == {"README.md": "mine", "agent.yaml.local": agent() + "author: me\n"}
        assert shop.agents.find("reviewer") is None

    def test_of_an_agent_that_was_not_installed_says_so(self, shop: wilk.Store) -> None:
        shop.agents.save("mine", {"name": "Mine"})
        with pytest.raises(wilk.NotFound, match="installed agent 'mine'"):
            shop.registry.remove("mine")

    def test_tidies_up_after_an_agent_that_was_removed_by_hand(self, shop: wilk.Store) -> None:
        shop.agents.remove("reviewer")
        shop.registry.remove("reviewer")
        assert not folder(shop).exists()
        assert shop.registry.installed() == []

    def test_can_be_installed_again(self, shop: wilk.Store) -> None:
        shop.registry.remove("reviewer")
        shop.registry.install("reviewer")
        assert shop.agents.get("reviewer").is_installed


class TestPlainFolders:
    """A folder without an index is a source as well: its agents and archives are packages."""

    @pytest.fixture
    def team(self, home: Path, tmp_path: Path) -> Iterator[tuple[wilk.Store, Path]]:
        root = tmp_path / "team"
        (root / "reviewer" / "tools").mkdir(parents=True)
        (root / "reviewer" / "agent.yaml").write_text(agent() + "metadata: {tags: [code]}\n")
        (root / "reviewer" / "tools" / "diff.py").write_text("x")
        settings(home, team="../team")
        with wilk.open_store(home=home) as store:
            yield store, root

    def test_an_agents_folder_is_a_package(self, team: tuple[wilk.Store, Path]) -> None:
        store, _ = team
        (found,) = store.registry.search()
        assert (found.name, found.version, found.category, found.tags) == (
            "reviewer",
            "1.0.0",
            "development",
            ["code"],
        )
        store.registry.install("reviewer")
        assert set(files_of(folder(store))) == {"agent.yaml", "tools/diff.py"}

    def test_a_change_of_it_is_an_update_whatever_its_version(self, team: tuple[wilk.Store, Path]) -> None:
        store, root = team
        store.registry.install("reviewer")
        (root / "reviewer" / "tools" / "diff.py").write_text("better")
        refreshed(store).registry.update()
        assert files_of(folder(store))["tools/diff.py"] == "better"

    def test_a_change_that_was_not_seen_yet_is_not_taken_for_what_was(
        self, team: tuple[wilk.Store, Path]
    ) -> None:
        store, root = team
        store.registry.search()
        (root / "reviewer" / "tools" / "diff.py").write_text("better")
        with pytest.raises(wilk.Invalid, match="Refresh the registry"):
            store.registry.install("reviewer")

    def test_archives_beside_each_other_are_versions(self, team: tuple[wilk.Store, Path]) -> None:
        store, root = team
        (root / "poet-1.0.0.zip").write_bytes(package("1.0.0"))
        (root / "poet-1.1.0.zip").write_bytes(package("1.1.0"))
        assert store.registry.get("poet").versions == ["1.1.0", "1.0.0"]

    def test_what_is_no_package_is_left_out_and_told(
        self, team: tuple[wilk.Store, Path], caplog: pytest.LogCaptureFixture
    ) -> None:
        store, root = team
        (root / "broken.zip").write_bytes(b"x")
        (root / "notes.txt").write_text("x")
        (root / "empty").mkdir()
        assert names(store.registry.search()) == ["reviewer"]
        assert "broken.zip is left out" in caplog.text

    def test_a_file_url_is_a_folder(self, home: Path, team: tuple[wilk.Store, Path]) -> None:
        settings(home, team=team[1].as_uri())
        with wilk.open_store(home=home) as store:
            assert names(store.registry.search()) == ["reviewer"]

    def test_what_one_packs_another_installs(self, team: tuple[wilk.Store, Path], tmp_path: Path) -> None:
        store, root = team
        store.agents.save("poet", {"name": "Poet", "version": "0.3.0"})
        file = store.registry.pack("poet", root)
        assert file == root / "poet-0.3.0.zip"
        assert store.registry.pack("poet", root) == file
        settings(tmp_path / "their", team=root)
        with wilk.open_store(home=tmp_path / "their") as their:
            their.registry.install("poet")
            assert their.agents.get("poet").version == "0.3.0"

    def test_packing_gives_no_secret_away(self, team: tuple[wilk.Store, Path]) -> None:
        store, root = team
        store.agents.save("poet", {"name": "Poet", "version": "1", "metadata": {"api_key": "sk-1234567890"}})
        with pytest.raises(wilk.Invalid, match="secrets") as caught:
            store.registry.pack("poet", root)
        assert "sk-1234" not in str(caught.value)

    def test_packing_writes_over_no_other_package(self, team: tuple[wilk.Store, Path]) -> None:
        store, root = team
        store.agents.save("poet", {"name": "Poet", "version": "1"})
        (root / "poet-1.zip").write_bytes(b"another")
        with pytest.raises(wilk.Conflict, match="another version"):
            store.registry.pack("poet", root)


class TestPlugins:
    def test_bring_sources_of_their_own(self, home: Path, plugged: Callable[..., wilk.Store]) -> None:
        closed = []

        class Drawer:
            """Offers one package that it keeps in memory."""

            def index(self) -> list[dict[str, Any]]:
                data = package()
                return [
                    {
                        "name": "reviewer",
                        "version": "1",
                        "location": "x",
                        "checksum": sha256(data).hexdigest(),
                    }
                ]

            def fetch(self, location: str, longest: int) -> bytes:
                return package()

            def close(self) -> None:
                closed.append(True)

        class Plugin:
            @wilk.hookimpl
            def register_registries(self) -> Iterator[wilk.Registry]:
                yield wilk.Registry("drawer", lambda address, settings: Drawer(), "a drawer")

        settings(home, mine="drawer://top")
        store = plugged(Plugin())
        store.registry.install("reviewer")
        assert store.agents.get("reviewer").version == "1.0.0"
        assert closed == [True, True]

    def test_that_fail_are_told_and_break_nothing(
        self, home: Path, shelf: Shelf, plugged: Callable[..., wilk.Store], caplog: pytest.LogCaptureFixture
    ) -> None:
        class Plugin:
            @wilk.hookimpl
            def register_registries(self) -> Iterator[wilk.Registry]:
                yield wilk.Registry("drawer", lambda address, settings: 1 / 0, "a drawer")  # type: ignore[arg-type,return-value]

        settings(home, mine="drawer://top", main=shelf.root)
        caplog.set_level(logging.CRITICAL, "wilk.registry")
        assert names(plugged(Plugin()).registry.search()) == ["reviewer"]


def test_a_store_that_is_awaited_has_the_same_verbs(run: Run, home: Path, shelf: Shelf) -> None:
    settings(home, main=shelf.root)

    async def scenario() -> list[str]:
        async with wilk.open_async_store(home=home) as store:
            await store.registry.search("diffs")
            await store.registry.install("reviewer")
            with pytest.raises(wilk.Invalid, match="outside of a transaction"):
                async with store.transaction():
                    await store.registry.update()
            return [one.id for one in await store.registry.installed()]

    assert run(scenario()) == ["reviewer"]
