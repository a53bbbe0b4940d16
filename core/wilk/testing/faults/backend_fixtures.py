"""What every test of a backend stands on: the URL that a subclass gives, and stores that are open on it."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping
from importlib import import_module
from typing import Any

import pytest

from wilk.contracts import Backend
from wilk.host import Host
from wilk.settings import Settings
from wilk.store import Store, open_store
from wilk.testing.faults.recording import Graded


class BackendFixtures(Graded):
    """Fixtures over the one that a subclass gives: ``url``, a place where no database is yet."""

    kind = "backend"
    without: Collection[str] = ()

    @pytest.fixture
    def url(self) -> str:
        """Where the database is to be; a subclass says it."""
        raise NotImplementedError("a subclass of BackendSuite has a fixture `url`")

    @pytest.fixture
    def settings(self) -> Mapping[str, Any]:
        """Settings that the backend needs, beside the URL."""
        return {}

    @pytest.fixture
    def host(self) -> Host:
        """The host, with what is installed and the modules that the class names."""
        return Host(*map(import_module, self.modules))

    @pytest.fixture
    def backend(self, host: Host, url: str) -> Backend:
        """The backend of the URL's scheme."""
        return host.backend(url.partition("://")[0])

    @pytest.fixture
    def opens(self, url: str, settings: Mapping[str, Any], host: Host) -> Iterator[Callable[..., Store]]:
        """Opens the store, and closes it after the test."""
        stores = []

        def opened(**options: Any) -> Store:
            store = open_store(settings=Settings(url=url, **{**settings, **options}), host=host)
            stores.append(store)
            return store

        yield opened
        for store in stores:
            store.close()

    @pytest.fixture
    def store(self, opens: Callable[..., Store]) -> Store:
        """The open store."""
        return opens()

    @pytest.fixture
    def session(self, store: Store) -> str:
        """The id of a session without messages."""
        return store.sessions.create().id

    @pytest.fixture
    def has(self, backend: Backend) -> Callable[[str], bool]:
        """Whether a capability is promised."""
        return lambda capability: capability in backend.capabilities and capability not in self.without

    def offer(self, request: pytest.FixtureRequest) -> Any:
        return request.getfixturevalue("backend")
