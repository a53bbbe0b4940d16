"""The contract of backends holds on every server that is installed."""

from collections.abc import Callable

import pytest
from tests.servers.sessions import end, serving

import wilk
from wilk.testing import BackendSuite


class TestPostgres(BackendSuite):
    @pytest.fixture
    def url(self, empty: str) -> str:
        return empty

    @pytest.fixture
    def drop(self, url: str) -> Callable[[wilk.Store], None]:
        """The server ends the connection."""
        return lambda store: end(url, serving(store))


def test_a_store_may_be_opened_by_the_other_name_of_the_scheme(url: str) -> None:
    with wilk.open_store(url.replace("postgresql://", "postgres://")) as store:
        assert store.sessions.create(id="s").id == "s"


def test_two_schemas_of_a_database_are_two_stores(empty: str) -> None:
    with (
        wilk.open_store(f"{empty}?schema=one") as one,
        wilk.open_store(f"{empty}?schema=an%20%22other%22") as other,
    ):
        one.sessions.create(id="s", name="one's")
        assert other.sessions.find("s") is None
        assert other.sessions.create(id="s", name="other's").name == "other's"
