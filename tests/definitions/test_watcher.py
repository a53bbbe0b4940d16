"""The watcher over a real store: signals, folders that go and come, failures, limits, ends."""

from __future__ import annotations

import ctypes
import errno
import logging
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Collection, Iterator
from itertools import count
from pathlib import Path
from typing import Any

import pytest

import wilk
from wilk.definitions import signals
from wilk.definitions.quiet import BOUND
from wilk.records.definitions import SyncReport

from . import editors
from .watching import Following, agent_text, until, write_agent

LINUX = pytest.mark.skipif(sys.platform != "linux", reason="inotify is Linux's")


@pytest.fixture
def home(tmp_path: Path) -> Path:
    folder = tmp_path / "home"
    write_agent(folder, "reviewer")
    return folder


@pytest.fixture
def following(home: Path, tmp_path: Path) -> Iterator[Following]:
    """The database lies outside of the home folder, so that this can go away alone."""
    with wilk.open_store(f"sqlite:///{tmp_path}/wilk.db", home=home) as store:
        yield Following(store)


def save(following: Following, description: str, id: str = "reviewer") -> None:
    write_agent(following.home, id, description)
    following.until_described(id, description)


# -- beginning ----------------------------------------------------------------------------


def test_importing_wilk_and_opening_a_store_imports_no_watchdog(home: Path) -> None:
    program = (
        f"import sys, wilk; wilk.open_store(home={str(home)!r}).close(); sys.exit('watchdog' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", program], timeout=60).returncode == 0


def test_what_is_there_at_the_start_is_synced_when_watch_returns(following: Following) -> None:
    with following.store.watch():
        assert following.description("reviewer") == "first"


def test_a_store_without_a_home_folder_cannot_be_watched(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("WILK_HOME", raising=False)
    with wilk.open_store(f"sqlite:///{tmp_path}/x.db") as store, pytest.raises(wilk.WilkError, match="home"):
        store.watch()


def test_starting_twice_is_starting_once(following: Following) -> None:
    watcher = following.watch()
    before = threading.active_count()
    watcher.start()
    assert threading.active_count() == before
    assert following.calls == []


@LINUX
def test_inotify_is_used_where_it_is_to_be_had(following: Following) -> None:
    assert following.watch().mode == "inotify"


# -- following ----------------------------------------------------------------------------


def test_a_new_agent_in_a_new_folder_is_seen(following: Following) -> None:
    following.watch()
    save(following, "new", "tester")
    save(following, "edited", "tester")
    assert following.revision("tester") == 2


def test_the_first_prompt_is_seen_although_its_folder_is_new(following: Following) -> None:
    following.watch()
    (following.home / "prompts").mkdir()
    (following.home / "prompts/audit.yaml").write_text("name: audit\nsystem: look\n")
    until(lambda: following.alive("prompts") == {"audit"})


def test_a_file_right_in_the_home_folder_is_seen(following: Following) -> None:
    following.watch()
    (following.home / "mcp-servers.json").write_text('{"mcpServers": {"files": {"command": "serve"}}}')
    until(lambda: following.alive("mcp-servers"))


def test_a_deleted_agent_is_archived(following: Following) -> None:
    following.watch()
    shutil.rmtree(following.home / "agents/reviewer")
    until(lambda: not following.alive())
    assert following.failures == []


def test_a_renamed_agent_is_one_batch(following: Following) -> None:
    """The name stays, so that the new agent can only have it once the old one has left."""
    following.watch()
    (following.home / "agents/reviewer").rename(following.home / "agents/critic")
    until(lambda: following.alive() == {"critic"})
    assert following.calls_in_all() == 1
    assert following.failures == []


def test_a_burst_of_saves_ends_with_the_last(following: Following) -> None:
    following.watch()
    for number in range(200):
        write_agent(following.home, "reviewer", f"save {number}")
    following.until_described("reviewer", "save 199")
    following.still()
    assert following.description("reviewer") == "save 199"
    assert following.failures == []


@pytest.mark.slow
def test_saves_without_end_are_synced_at_the_bound(following: Following) -> None:
    following.watch()
    done = threading.Event()

    def write() -> None:
        for number in count():
            if done.is_set():
                break
            write_agent(following.home, "reviewer", f"save {number}")
            time.sleep(0.01)

    writer = threading.Thread(target=write)
    writer.start()
    try:
        following.until_called()
        assert writer.is_alive()
    finally:
        done.set()
        writer.join()


@pytest.mark.slow
def test_a_file_that_is_never_closed_is_read_at_the_bound(following: Following) -> None:
    following.watch()
    with open(following.home / "agents/reviewer/agent.yaml", "w") as file:
        file.write(agent_text("reviewer", "open"))
        file.flush()
        begun = time.monotonic()
        following.until_described("reviewer", "open")
        assert time.monotonic() - begun > BOUND / 2  # it was waited for


def test_a_broken_file_is_one_failure_and_keeps_the_last_good_row(following: Following) -> None:
    following.watch()
    path = write_agent(following.home, "reviewer")
    path.write_text("name: [\n")
    until(lambda: following.failures)
    following.still()
    assert [failure.id for failure in following.failures] == ["reviewer"]
    assert following.description("reviewer") == "first"


def test_a_broken_file_heals_at_the_next_good_save(following: Following) -> None:
    following.watch()
    (following.home / "agents/reviewer/agent.yaml").write_text("name: [\n")
    until(lambda: following.failures)
    save(following, "healed")
    following.still()
    assert following.revision("reviewer") == 2
    assert len(following.failures) == 1


def test_a_file_that_is_broken_for_a_moment_is_no_failure(following: Following) -> None:
    following.watch()
    path = following.home / "agents/reviewer/agent.yaml"
    path.write_text("name: [\n")
    time.sleep(0.07)  # longer than quiet: it has been looked at once
    save(following, "whole")
    following.still()
    assert following.failures == []
    assert following.revision("reviewer") == 2


def test_a_file_that_is_gone_for_a_moment_is_not_archived(following: Following) -> None:
    following.watch()
    path = following.home / "agents/reviewer/agent.yaml"
    path.unlink()
    time.sleep(0.07)
    save(following, "back")
    following.still()
    assert [change.action for report in following.reports for change in report.changes] == ["updated"]


def test_what_the_store_writes_starts_no_sync(home: Path) -> None:
    with wilk.open_store(home=home) as store:
        following = Following(store)
        following.watch()
        session = store.sessions.create(name="talk")
        for number in range(50):
            store.messages.append(session.id, "user", f"message {number}")
        following.still()
        assert following.calls == []


def test_a_definition_that_the_store_saves_is_one_revision(following: Following) -> None:
    following.watch()
    agent = following.store.catalog.get("agents", "reviewer")
    following.store.catalog.save("agents", "reviewer", {**agent.definition, "description": "by the store"})
    following.still()
    assert following.revision("reviewer") == 2
    assert following.reports == []


@pytest.mark.skipif(sys.platform == "win32", reason="links need a privilege there")
@pytest.mark.parametrize("link", ["agents", "agents/reviewer"])
def test_a_folder_that_is_a_link_is_followed(link: str, following: Following, tmp_path: Path) -> None:
    real = tmp_path / "elsewhere"
    (following.home / link).rename(real)
    (following.home / link).symlink_to(real)
    following.watch()
    save(following, "through the link")


# -- crowds -------------------------------------------------------------------------------


def git(home: Path, *arguments: str) -> None:
    command = ["git", "-c", "user.name=x", "-c", "user.email=x@y", "-c", "gc.auto=0", *arguments]
    subprocess.run(command, cwd=home, check=True, capture_output=True, timeout=120)


@pytest.fixture
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """For a machine so busy that other programs stand still for longer than the quiet time."""
    monkeypatch.setenv("WILK_WATCH_QUIET", "0.2")


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("git") is None, reason="git is not installed")
def test_a_checkout_of_a_thousand_agents_is_one_batch(patient: None, following: Following) -> None:
    home = following.home
    git(home, "init", "-b", "small")
    git(home, "add", "agents")
    git(home, "commit", "-m", "one agent")
    git(home, "checkout", "-b", "large")
    write_agent(home, "reviewer", "changed")
    for number in range(1000):
        write_agent(home, f"agent-{number}")
    git(home, "add", "agents")
    git(home, "commit", "-m", "a thousand agents")
    git(home, "checkout", "small")
    following.watch()
    git(home, "checkout", "large")
    until(lambda: len(following.alive()) == 1001)
    assert following.calls_in_all() == 1
    assert following.description("reviewer") == "changed"
    assert following.failures == []
    following.calls.clear()
    git(home, "checkout", "small")
    until(lambda: following.alive() == {"reviewer"})
    assert following.calls_in_all() == 1


@pytest.mark.slow
def test_ten_thousand_agents_are_watched(following: Following) -> None:
    for number in range(10_000):
        write_agent(following.home, f"agent-{number}")
    following.watch()
    save(following, "one of many", "agent-7777")
    assert following.calls_in_all() == 1


# -- folders that go and come -------------------------------------------------------------


def test_agents_that_vanish_are_archived_and_restored_when_they_return(following: Following) -> None:
    following.watch()
    agents, kept = following.home / "agents", following.home / "kept"
    agents.rename(kept)
    until(lambda: not following.alive())
    kept.rename(agents)
    until(lambda: following.alive())
    save(following, "watched again")
    assert following.failures == []


def test_a_folder_removed_and_written_anew_is_followed(following: Following) -> None:
    following.watch()
    for number in range(3):
        shutil.rmtree(following.home / "agents")
        save(following, f"anew {number}")


def test_nothing_is_archived_while_the_home_folder_is_missing(following: Following) -> None:
    watcher = following.watch()
    home, kept = following.home, following.home.with_name("kept")
    home.rename(kept)
    until(lambda: watcher.mode == "waiting")
    following.still()
    assert following.calls == []
    assert following.alive() == {"reviewer"}
    kept.rename(home)
    until(lambda: watcher.mode != "waiting")
    save(following, "watched again")
    assert following.revision("reviewer") == 2


def test_a_home_folder_removed_and_made_anew_is_followed(following: Following) -> None:
    following.watch()
    shutil.rmtree(following.home)
    save(following, "anew")


# -- limits and polling -------------------------------------------------------------------


def refuse(monkeypatch: pytest.MonkeyPatch, function: str, error: int, *, after: int = 0) -> None:
    """Let the system call fail as it does at its limit, from a number of calls on."""
    from watchdog.observers import inotify_c

    real = getattr(inotify_c, function)
    calls = count()

    def refusing(*arguments: Any) -> Any:
        if next(calls) < after:
            return real(*arguments)
        ctypes.set_errno(error)
        return -1

    monkeypatch.setattr(inotify_c, function, refusing)


@pytest.fixture
def often(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WILK_WATCH_POLLING_INTERVAL", "0.05")


@pytest.fixture(params=["polling", "native"])
def mode(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch, often: None) -> str:
    """The ways besides inotify: by polling, and by watchdog's observer as on other systems."""
    if request.param == "polling":
        monkeypatch.setenv("WILK_WATCH_POLLING", "always")
    else:
        monkeypatch.setattr(signals, "_native", signals.ObserverSource)
    return str(request.param)


def test_other_modes_see_saves_new_agents_renames_and_deletions(mode: str, following: Following) -> None:
    assert following.watch().mode == mode
    save(following, "second")
    save(following, "new", "tester")
    (following.home / "agents/tester").rename(following.home / "agents/critic")
    until(lambda: following.alive() == {"reviewer", "critic"})
    shutil.rmtree(following.home / "agents/critic")
    until(lambda: following.alive() == {"reviewer"})
    assert following.revision("reviewer") == 2
    assert following.failures == []


def test_other_modes_survive_folders_that_go_and_come(mode: str, following: Following) -> None:
    following.watch()
    shutil.rmtree(following.home / "agents")
    until(lambda: not following.alive())
    save(following, "back")
    shutil.rmtree(following.home)
    save(following, "home again")


LIMITS = [
    ("inotify_init", errno.EMFILE, 0),
    ("inotify_add_watch", errno.ENOSPC, 0),
    ("inotify_add_watch", errno.ENOSPC, 2),
]


@LINUX
@pytest.mark.parametrize(
    ("function", "error", "after"), LIMITS, ids=["instances", "watches", "watches below"]
)
def test_at_a_limit_of_inotify_polling_takes_over(
    function: str,
    error: int,
    after: int,
    often: None,
    following: Following,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    refuse(monkeypatch, function, error, after=after)
    assert following.watch().mode == "polling"
    assert "fs.inotify.max_user_watches" in caplog.text
    save(following, "polled")


@LINUX
def test_at_a_limit_that_comes_later_polling_takes_over(
    often: None, following: Following, monkeypatch: pytest.MonkeyPatch
) -> None:
    watcher = following.watch()
    assert watcher.mode == "inotify"
    refuse(monkeypatch, "inotify_add_watch", errno.ENOSPC)
    save(following, "new", "tester")
    until(lambda: watcher.mode == "polling")
    save(following, "polled", "tester")


@LINUX
def test_without_polling_a_limit_is_an_error_that_tells_the_way_out(
    following: Following, monkeypatch: pytest.MonkeyPatch
) -> None:
    refuse(monkeypatch, "inotify_add_watch", errno.ENOSPC)
    watcher = wilk.definitions.watcher.Watcher(following.store.catalog, polling="never")
    before = threading.active_count()
    with pytest.raises(wilk.BackendError, match="max_user_watches"):
        watcher.start()
    assert threading.active_count() == before


def test_a_file_system_without_signals_is_polled(
    following: Following, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    monkeypatch.setattr(signals, "file_system", lambda path: "nfs4")
    assert following.watch().mode == "polling"
    assert "nfs4" in caplog.text


@LINUX
def test_the_file_system_of_a_path_is_found() -> None:
    assert signals.file_system("/proc/self") == "proc"
    assert signals.file_system("/sys/kernel") == "sysfs"


@LINUX
@pytest.mark.slow
def test_after_an_overflow_of_inotifys_queue_everything_is_read(
    following: Following, caplog: pytest.LogCaptureFixture
) -> None:
    write_agent(following.home, "tester")
    watcher = following.watch()
    size = int(Path("/proc/sys/fs/inotify/max_queued_events").read_text())
    with watcher._changed:  # whoever takes the signals has to wait
        for number in range(size // 2):
            write_agent(following.home, "reviewer", f"save {number}")
            write_agent(following.home, "tester", f"save {number}")
    following.until_described("reviewer", f"save {number}")
    following.until_described("tester", f"save {number}")
    until(lambda: None in following.calls, "a full sync")
    assert "ran over" in caplog.text
    save(following, "watched again")


# -- failures -----------------------------------------------------------------------------


class Failing:
    """Stands before ``catalog.sync`` and fails a number of times."""

    def __init__(self, following: Following, monkeypatch: pytest.MonkeyPatch, *errors: Exception) -> None:
        self.errors = list(errors)
        self._sync = following.store.catalog.sync
        monkeypatch.setattr(following.store.catalog, "sync", self)

    def __call__(self, paths: Collection[Path] | None = None) -> SyncReport:
        if self.errors:
            raise self.errors.pop(0)
        return self._sync(paths)


@pytest.mark.parametrize("error", [wilk.Busy("held"), wilk.BackendError("disk"), ZeroDivisionError()])
def test_a_sync_that_fails_is_tried_again(
    error: Exception, following: Following, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    following.watch()
    Failing(following, monkeypatch, error, error)
    save(following, "third time")
    assert caplog.text.count("trying again") == 2
    assert following.revision("reviewer") == 2


def test_a_first_sync_that_fails_raises_and_leaves_no_thread(
    following: Following, monkeypatch: pytest.MonkeyPatch
) -> None:
    Failing(following, monkeypatch, wilk.Busy("held"))
    before = threading.active_count()
    with pytest.raises(wilk.Busy):
        following.store.watch()
    assert threading.active_count() == before


def test_an_on_report_that_fails_is_logged_and_called_again(
    following: Following, caplog: pytest.LogCaptureFixture
) -> None:
    heard = []

    def on_report(report: SyncReport) -> None:
        heard.append(report)
        raise ZeroDivisionError

    following.store.watch(on_report)
    save(following, "second")
    save(following, "third")
    until(lambda: len(heard) == 3)
    assert "on_report failed" in caplog.text


# -- ending -------------------------------------------------------------------------------


def test_stopping_leaves_no_thread(following: Following) -> None:
    before = threading.active_count()
    watcher = following.watch()
    save(following, "second")
    watcher.stop()
    watcher.stop()
    assert watcher.mode == "stopped"
    assert threading.active_count() == before


def test_stopping_syncs_what_has_been_noticed(following: Following) -> None:
    watcher = following.watch()
    path = write_agent(following.home, "reviewer", "at the end")
    until(lambda: watcher._pending or following.calls)
    watcher.stop()
    assert following.description("reviewer") == "at the end"
    path.write_text(agent_text("reviewer", "too late"))
    following.still()
    assert following.description("reviewer") == "at the end"


def test_a_stopped_watcher_may_be_started_again(following: Following) -> None:
    watcher = following.watch()
    watcher.stop()
    write_agent(following.home, "reviewer", "meanwhile")
    with watcher:
        assert following.description("reviewer") == "meanwhile"
        save(following, "again")


def test_closing_the_store_stops_its_watcher(home: Path) -> None:
    before = threading.active_count()
    store = wilk.open_store(home=home)
    watcher = store.watch()
    store.close()
    assert watcher.join(0)
    assert threading.active_count() == before


def test_a_watcher_may_be_stopped_by_what_hears_its_report(following: Following) -> None:
    watcher = following.watch()
    watcher._on_report = lambda report: watcher.stop()
    write_agent(following.home, "reviewer", "second")
    assert watcher.join(20)


def test_waiting_for_a_watcher_ends_at_its_time_limit(following: Following) -> None:
    assert not following.watch().join(0.01)


# -- two processes ------------------------------------------------------------------------

FOLLOWER = """
import sys, wilk
with wilk.open_store(sys.argv[1], home=sys.argv[2]) as store, store.watch():
    print("ready", flush=True)
    sys.stdin.read()
"""


def test_two_processes_that_watch_one_folder_make_one_revision_of_a_save(
    following: Following, tmp_path: Path
) -> None:
    url = f"sqlite:///{tmp_path}/wilk.db"
    command = [sys.executable, "-c", FOLLOWER, url, str(following.home)]
    other = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert other.stdin
    assert other.stdout
    try:
        path = following.home / "agents/reviewer/agent.yaml"
        assert other.stdout.readline() == "ready\n"
        following.watch()
        for number in range(10):
            # In one step: either process may still be reading when the next save comes.
            editors.gedit(path, agent_text("reviewer", f"save {number}"))
            following.until_described("reviewer", f"save {number}")
        following.still()
        assert following.revision("reviewer") == 11
        assert following.failures == []
    finally:
        other.stdin.close()
        assert other.wait(20) == 0
        other.stdout.close()
