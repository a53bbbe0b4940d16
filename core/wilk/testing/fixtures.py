"""Fixtures for the tests of whoever uses wilk: a ``store`` in memory, and no store that stays open.

pytest loads this by its entry point. It imports nothing of wilk until a fixture is asked for, and a
project's own fixture of the same name goes before the one here.
"""

from __future__ import annotations

import sys
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import pytest

if TYPE_CHECKING:
    from wilk import AsyncStore, Clock, Store

_PACKAGE = str(Path(__file__).parent.parent)
_BETWEEN = ("asyncio", "concurrent", "contextlib.py", "functools.py", "threading.py", "runpy.py")


class StoreLeftOpen(pytest.PytestWarning):
    """A test opened a store and did not close it. It has been closed now."""


class StoreFactory(Protocol):
    """Opens stores; see the fixture ``wilk_store_factory``."""

    def __call__(
        self,
        *plugins: object,
        on_disk: bool = False,
        installed: bool = False,
        clock: Clock | None = None,
        **settings: Any,
    ) -> Store:
        """Open a store."""


@pytest.fixture
def wilk_plugins() -> Sequence[object]:
    """Plugins of every store that the fixtures open; override it in a ``conftest.py``."""
    return ()


@pytest.fixture
def wilk_settings() -> Mapping[str, Any]:
    """Settings of every store that the fixtures open; override it in a ``conftest.py``."""
    return {}


@pytest.fixture
def wilk_stores() -> Iterator[None]:
    """Close what the test opened and left open, sync and async, with a warning that tells the line."""
    watch = _Watch()
    with watch:
        yield
    for where in watch.close():
        warnings.warn(StoreLeftOpen(f"a store was left open; it was opened at {where}"), stacklevel=1)


@pytest.fixture
def wilk_store_factory(
    wilk_stores: None,  # noqa: ARG001 (is set up before, and ends after)
    wilk_plugins: Sequence[object],
    wilk_settings: Mapping[str, Any],
    request: pytest.FixtureRequest,
) -> Iterator[StoreFactory]:
    """Opens stores, each new and empty, and closes them after the test.

    ``wilk_store_factory(plugin, …, on_disk=True, installed=True, timeout=1)``: in memory, or ``on_disk`` with
    a home folder below ``tmp_path``; with wilk's own plugins and those given, or all that are ``installed``.
    Neither ``config.yaml`` nor ``WILK_*`` variables are read: settings are given by name.
    """
    opened: list[Store] = []

    def open_one(
        *plugins: object,
        on_disk: bool = False,
        installed: bool = False,
        clock: Clock | None = None,
        **settings: Any,
    ) -> Store:
        from wilk import Host, Settings, open_store
        from wilk.addressing import address
        from wilk.settings import check

        chosen = check({**wilk_settings, **settings}, "wilk_store_factory")
        home: Path | None = None
        if on_disk:
            home = request.getfixturevalue("tmp_path") / f"wilk-{len(opened) + 1}"
            home.mkdir(mode=0o700)
        place = ":memory:" if home is None else str(home / "wilk.db")
        chosen.setdefault("url", address("sqlite", db_path=place))
        host = Host(
            *wilk_plugins,
            *plugins,
            disabled=() if installed else _installed_beside(),
            prefer=chosen.get("choose"),
        )
        opened.append(open_store(settings=Settings(home=home, **chosen), host=host, clock=clock))
        return opened[-1]

    yield open_one
    for store in reversed(opened):
        store.close()


@pytest.fixture
def store(wilk_store_factory: StoreFactory) -> Store:
    """A new store in memory, which is closed after the test."""
    return wilk_store_factory()


@pytest.fixture
def async_store(wilk_store_factory: StoreFactory) -> Iterator[AsyncStore]:
    """A new store in memory whose verbs are awaited; closed after the test, on whatever loop it ran."""
    from wilk import AsyncStore

    opened = AsyncStore(wilk_store_factory())
    yield opened
    opened._workers.end()


class _Watch:
    """Notes every store that is opened in its block, and where."""

    def __init__(self) -> None:
        self._opened: list[tuple[Any, str]] = []
        self._undo: list[Callable[[], None]] = []

    def __enter__(self) -> None:
        from wilk import AsyncStore, Store

        self._note(Store)
        self._note(AsyncStore)

    def __exit__(self, *failure: object) -> None:
        for undo in reversed(self._undo):
            undo()

    def _note(self, kind: type[Any]) -> None:
        original, opened = kind.__init__, self._opened

        @wraps(original)
        def noted(store: Any, *args: Any, **options: Any) -> None:
            original(store, *args, **options)
            opened.append((store, _line()))

        kind.__init__ = noted
        self._undo.append(lambda: setattr(kind, "__init__", original))

    def close(self) -> list[str]:
        """Close what is open, the last first; return where it was opened."""
        left = []
        for store, where in reversed(self._opened):
            workers = getattr(store, "_workers", None)
            if workers is not None and not workers.closed:
                left.append(where)
                workers.end()
        for store, where in reversed(self._opened):
            if not hasattr(store, "_workers") and not store.closed:
                left.append(where)
                store.close()
        return left


def _line() -> str:
    """The line, outside of wilk and of what runs coroutines, that is being run."""
    frame = sys._getframe(1)
    while frame is not None:
        file = frame.f_code.co_filename
        parts = Path(file).parts
        if not file.startswith(_PACKAGE) and not any(part in parts for part in _BETWEEN):
            return f"{file}:{frame.f_lineno}"
        frame = frame.f_back  # type: ignore[assignment]
    return "an unknown line"


def _installed_beside() -> set[str]:
    """The distributions beside wilk that have plugins."""
    from wilk.discovery import Index

    return {entry.distribution for entry in Index().entries if entry.distribution != "wilk"}
