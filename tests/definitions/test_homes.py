"""Home folders of several machines over one database: each remembers its own files."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

import wilk
from wilk.definitions.homes import home_id

PROMPT = {"name": "Greeting", "system": "hello"}
ONE = Path("prompts/greeting.yaml")


@pytest.fixture
def homes(tmp_path: Path) -> tuple[Path, Path]:
    homes = tmp_path / "a", tmp_path / "b"
    for home in homes:
        home.mkdir(mode=0o700)
    return homes


def system(home: Path) -> str | None:
    """What the prompt says to whoever opens the store on a machine, after a sync."""
    with wilk.open_store(home=home) as store:
        store.sync()
        found = store.prompts.find("greeting")
        return None if found is None else found.system


def revisions(home: Path) -> int:
    with wilk.open_store(home=home) as store:
        return len(store.prompts.history("greeting"))


@pytest.mark.parametrize("backend", ["postgresql"], indirect=True)
class TestOverOneServer:
    @pytest.fixture(autouse=True)
    def saved(self, homes: tuple[Path, Path], backend: str) -> None:
        with wilk.open_store(home=homes[0]) as store:
            store.prompts.save("greeting", PROMPT)

    def test_a_machine_without_the_file_archives_nothing(self, homes: tuple[Path, Path]) -> None:
        assert [system(home) for home in (homes[1], *homes)] == ["hello"] * 3

    def test_the_same_file_on_both_is_no_change(self, homes: tuple[Path, Path]) -> None:
        shutil.copytree(homes[0] / "prompts", homes[1] / "prompts")
        assert [system(home) for home in (homes[1], *homes)] == ["hello"] * 3
        assert revisions(homes[0]) == 1

    def test_files_that_differ_do_not_take_turns(self, homes: tuple[Path, Path]) -> None:
        shutil.copytree(homes[0] / "prompts", homes[1] / "prompts")
        system(homes[1])
        (homes[1] / ONE).write_text((homes[1] / ONE).read_text().replace("hello", "good morning"))
        assert [system(home) for home in (homes[1], *homes)] == ["good morning"] * 3
        assert revisions(homes[0]) == 2

    def test_a_file_that_is_removed_where_it_was_is_archived_for_all(self, homes: tuple[Path, Path]) -> None:
        shutil.copytree(homes[0] / "prompts", homes[1] / "prompts")
        system(homes[1])
        (homes[0] / ONE).unlink()
        assert [system(home) for home in (*homes, *homes)] == [None] * 4

    def test_each_lists_its_own_files(self, homes: tuple[Path, Path]) -> None:
        listed = []
        for home in homes:
            with wilk.open_store(home=home) as store:
                store.sync()
                listed.append([file.path for file in store.definitions.files("prompts")])
        assert listed == [[ONE.as_posix()], []]

    def test_a_database_that_is_moved_into_a_file_has_no_files_of_other_machines(
        self, homes: tuple[Path, Path], tmp_path: Path
    ) -> None:
        with wilk.open_store(home=homes[0]) as store:
            store.move(f"sqlite:///{tmp_path}/moved.db")
        with wilk.open_store(f"sqlite:///{tmp_path}/moved.db", home=homes[1]) as store:
            assert store.sync().changes == ()
            assert store.prompts.get("greeting").system == "hello"


def test_a_home_folder_keeps_its_id(homes: tuple[Path, Path]) -> None:
    assert home_id(homes[0]) == home_id(homes[0]) != home_id(homes[1])


def test_a_copy_of_a_home_folder_is_another_one(homes: tuple[Path, Path], tmp_path: Path) -> None:
    first = home_id(homes[0])
    shutil.copytree(homes[0], tmp_path / "copy")
    assert home_id(tmp_path / "copy") not in (first, home_id(homes[1]))
    assert home_id(homes[0]) == first
