"""One save is one revision, whatever program saves and however it does that."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

import wilk

from . import editors
from .watching import Following, agent_text, until, write_agent

pytestmark = pytest.mark.storeless


@pytest.fixture
def following(tmp_path: Path) -> Iterator[Following]:
    write_agent(tmp_path, "reviewer")
    with wilk.open_store(home=tmp_path) as store:
        found = Following(store)
        found.watch()
        yield found


@pytest.fixture
def path(following: Following) -> Path:
    return following.home / "agents/reviewer/agent.yaml"


def run(*command: str | Path, cwd: Path | None = None) -> None:
    subprocess.run(command, check=True, cwd=cwd, capture_output=True, timeout=60)


def needs(program: str) -> pytest.MarkDecorator:
    return pytest.mark.skipif(shutil.which(program) is None, reason=f"{program} is not installed")


def saved_once(following: Following, description: str = "second", revision: int = 2) -> bool:
    following.until_described("reviewer", description)
    following.still()
    assert following.failures == []
    return following.revision("reviewer") == revision


@pytest.mark.parametrize("save", editors.SAVES, ids=lambda save: save.__name__)
def test_a_save_is_one_revision(save: editors.Save, following: Following, path: Path) -> None:
    save(path, agent_text("reviewer", "second"))
    assert saved_once(following)


@pytest.mark.parametrize("save", editors.SAVES, ids=lambda save: save.__name__)
def test_three_saves_are_three_revisions(save: editors.Save, following: Following, path: Path) -> None:
    for number in (2, 3, 4):
        save(path, agent_text("reviewer", f"number {number}"))
        following.until_described("reviewer", f"number {number}")
    assert saved_once(following, "number 4", 4)


@pytest.mark.parametrize("save", [editors.vim, editors.code, editors.emacs, editors.gedit])
def test_a_save_of_a_prompt_is_one_revision(save: editors.Save, following: Following) -> None:
    """By-files lie among the definitions here, not in a folder of their own."""
    prompt = following.home / "prompts/audit.yaml"
    prompt.parent.mkdir(exist_ok=True)
    prompt.write_text('name: audit\nsystem: "first"\n')
    until(lambda: following.alive("prompts"))
    save(prompt, 'name: audit\nsystem: "second"\n')
    until(lambda: following.store.catalog.get("prompts", "audit").system == "second")
    following.still()
    assert following.failures == []
    assert following.alive("prompts") == {"audit"}
    assert following.store.catalog.get("prompts", "audit").revision == 2


@needs("vim")
@pytest.mark.parametrize("option", ["backupcopy=auto", "backupcopy=yes", "backupcopy=no"])
def test_vim_itself(option: str, following: Following, path: Path) -> None:
    command = ["vim", "--clean", "-Es", "-c", f"set {option}", "-c", "%s/first/second/", "-c", "wq"]
    run(*command, path, cwd=path.parent)
    assert saved_once(following)


@needs("sed")
def test_sed_itself(following: Following, path: Path) -> None:
    run("sed", "-i", "s/first/second/", path)
    assert saved_once(following)


@needs("rsync")
@pytest.mark.parametrize("option", ["--archive", "--inplace", "--delay-updates"])
def test_rsync_itself(option: str, following: Following, tmp_path_factory: pytest.TempPathFactory) -> None:
    other = tmp_path_factory.mktemp("other")
    write_agent(other, "reviewer", "second")
    run("rsync", "--recursive", "--checksum", option, f"{other}/agents/", f"{following.home}/agents/")
    assert saved_once(following)


def test_cp_over_the_file(following: Following, path: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    other = write_agent(tmp_path_factory.mktemp("other"), "reviewer", "second")
    run("cp", other, path)
    assert saved_once(following)


def test_mv_over_the_file(following: Following, path: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    other = write_agent(tmp_path_factory.mktemp("other"), "reviewer", "second")
    run("mv", "-f", other, path)
    assert saved_once(following)


def test_a_shell_that_prints_into_the_file(following: Following, path: Path) -> None:
    run("sh", "-c", 'printf "name: reviewer\\n" > "$0"; printf "description: second\\n" >> "$0"', path)
    assert saved_once(following)


def test_touch_makes_no_revision(following: Following, path: Path) -> None:
    run("touch", path)
    following.until_called()
    assert following.revision("reviewer") == 1
    assert following.reports == []


def test_chmod_makes_no_revision(following: Following, path: Path) -> None:
    path.chmod(0o600)
    following.until_called()
    assert following.revision("reviewer") == 1


def test_a_save_of_the_same_text_makes_no_revision(following: Following, path: Path) -> None:
    editors.vim(path, path.read_text())
    following.until_called()
    following.still()
    assert following.revision("reviewer") == 1


def test_by_files_alone_start_no_sync(following: Following, path: Path) -> None:
    for name in (".agent.yaml.swp", "4913", "agent.yaml~", "#agent.yaml#", "agent.yaml.bak", ".tmp-x1"):
        path.with_name(name).write_text("x")
        path.parent.parent.joinpath(name).write_text("x")
    path.with_name(".#agent.yaml").symlink_to("someone@host")
    following.still()
    assert following.calls == []


# -- folders ------------------------------------------------------------------------------


def test_mv_of_a_folder_out_archives_and_back_in_restores(
    following: Following, path: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    away = tmp_path_factory.mktemp("away") / "reviewer"
    run("mv", path.parent, away)
    until(lambda: not following.alive())
    run("mv", away, path.parent)
    following.until_described("reviewer", "first")
    following.still()
    assert [change.action for report in following.reports for change in report.changes] == [
        "archived",
        "restored",
    ]
    assert following.failures == []


def test_a_folder_that_was_moved_away_is_not_followed_there(
    following: Following, path: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    away = tmp_path_factory.mktemp("away") / "reviewer"
    run("mv", path.parent, away)
    until(lambda: not following.alive())
    following.still()
    following.calls.clear()
    editors.nano(away / "agent.yaml", agent_text("reviewer", "elsewhere"))
    following.still()
    assert following.calls == []


def test_rm_of_a_folder_and_its_return_keep_the_count_of_revisions(following: Following, path: Path) -> None:
    run("rm", "-rf", path.parent)
    until(lambda: not following.alive())
    write_agent(following.home, "reviewer", "second")
    assert saved_once(following)


def test_cp_of_a_folder_in_creates_one_agent(
    following: Following, tmp_path_factory: pytest.TempPathFactory
) -> None:
    other = write_agent(tmp_path_factory.mktemp("other"), "tester", "copied")
    run("cp", "-r", other.parent, following.home / "agents")
    following.until_described("tester", "copied")
    following.still()
    assert following.revision("tester") == 1
    assert following.failures == []
    editors.nano(following.home / "agents/tester/agent.yaml", agent_text("tester", "edited"))
    following.until_described("tester", "edited")
