"""Stores that search by the graph: behind the verbs, in several processes, killed, and put back."""

import logging
import os
import shutil
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import wilk
import wilk_hnsw
from wilk.backends import sqlite
from wilk.definitions import kinds
from wilk.testing.vector_index import clustered
from wilk_hnsw.graph import Graph
from wilk_hnsw.options import options_of

Open = Callable[..., wilk.Store]
SIZE = 3000


def the_store(home: Path, section: str = "{}") -> wilk.Store:
    home.mkdir(exist_ok=True)
    (home / "config.yaml").write_text(f"vector_index: hnsw\nplugins: {{hnsw: {section}}}\n")
    return wilk.open_store(home=home, host=wilk.Host(wilk_hnsw, sqlite, kinds, entry_points=False))


@pytest.fixture
def home(tmp_path: Path) -> Path:
    return tmp_path / "home"


@pytest.fixture(autouse=True)
def _cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


@pytest.fixture
def added(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many vectors each addition to a graph had."""
    counts: list[int] = []
    real = Graph.add

    def counting(self: Graph, numbers: Any, vectors: Any) -> None:
        counts.append(len(numbers))
        real(self, numbers, vectors)

    monkeypatch.setattr(Graph, "add", counting)
    return counts


def test_an_update_of_the_index_builds_the_graph_to_its_end(home: Path, added: list[int]) -> None:
    with the_store(home) as store:
        store._worker.submit = lambda *_: False  # type: ignore[method-assign]  # nothing behind the verbs
        extend(store, clustered(SIZE))
        store.index.update()
        (opened,) = store._vector_indexes._opened.values()
        assert (opened.nearest.below.waiting, sum(added)) == (0, SIZE)  # type: ignore[attr-defined]
    assert list(home.glob("indexes/*/hnsw.json"))


def extend(store: wilk.Store, vectors: Any, first: int = 0) -> None:
    store.vectors.extend("c", [(f"r{n}", vector) for n, vector in enumerate(vectors, first)])


def test_the_graph_is_built_behind_saved_and_not_built_again(home: Path, added: list[int]) -> None:
    vectors = clustered(SIZE)
    with the_store(home) as store:
        extend(store, vectors)
        assert [one.id for one in store.vectors.search("c", vectors[7], 1)] == ["r7"]
        assert store.settle()
    assert sum(added) == SIZE
    added.clear()
    with the_store(home) as store:
        found = [store.vectors.search("c", vectors[n], 1)[0].id for n in range(0, SIZE, 100)]
        assert store.settle()
    assert found == [f"r{n}" for n in range(0, SIZE, 100)]
    assert added == []


def test_a_removed_vector_is_found_no_more_and_a_replaced_one_where_it_is_now(home: Path) -> None:
    vectors = clustered(SIZE)
    with the_store(home) as store:
        extend(store, vectors)
        store.vectors.search("c", vectors[7])
        assert store.settle()
        store.vectors.remove("c", [f"r{n}" for n in range(60)])
        store.vectors.add("c", "r100", -vectors[100])
        found = [one.id for n in range(60) for one in store.vectors.search("c", vectors[n], 5)]
        assert not {f"r{n}" for n in range(60)} & set(found)
        assert len(found) == 300
        assert store.vectors.search("c", -vectors[100], 1)[0].id == "r100"
        assert "r100" not in [one.id for one in store.vectors.search("c", vectors[100], 20)]


def test_it_follows_what_another_process_adds_and_removes(home: Path) -> None:
    vectors = clustered(SIZE)
    with the_store(home) as store:
        extend(store, vectors[:-10])
        store.vectors.search("c", vectors[7])
        assert store.settle()
        run(home, f"extend(store, clustered({SIZE})[-10:], {SIZE - 10}); store.vectors.remove('c', 'r7')")
        assert store.vectors.search("c", vectors[-1], 1)[0].id == f"r{SIZE - 1}"
        assert "r7" not in [one.id for one in store.vectors.search("c", vectors[7], 10)]


def test_a_database_that_was_put_back_has_its_index_made_anew(
    home: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "wilk.hnsw")
    vectors, others = clustered(SIZE), clustered(SIZE, seed=9)
    with the_store(home) as store:
        extend(store, vectors[:1500])
    backup = {path: path.read_bytes() for path in home.glob("*.db*") if path.is_file()}
    with the_store(home) as store:
        extend(store, vectors[1500:], 1500)
        store.vectors.search("c", vectors[7])
        assert store.settle()
    assert list(home.rglob("hnsw.json"))
    for path in home.glob("*.db-*"):
        path.unlink()
    for path, data in backup.items():
        path.write_bytes(data)
    with the_store(home) as store:
        extend(store, others[: SIZE - 1400], 1500)
        found = [store.vectors.search("c", others[n], 1)[0].id for n in range(0, SIZE - 1500, 50)]
    assert found == [f"r{1500 + n}" for n in range(0, SIZE - 1500, 50)]
    assert caplog.messages == [
        "the index of 'c' is built anew: the database has other vectors under its numbers"
    ]


@pytest.mark.slow
def test_killing_a_process_while_it_saves_leaves_an_index_that_is_whole_or_none(home: Path) -> None:
    vectors = clustered(SIZE)
    with the_store(home) as store:
        extend(store, vectors)
    script = """
        from wilk_hnsw import index
        store.vectors.search("c", clustered(1)[0]); store.settle()
        opened = next(iter(store._vector_indexes._opened.values())).nearest.below
        print("saving", flush=True)
        while True:
            opened._replace = True
            opened.save()
    """
    for round in range(6):
        with subprocess.Popen(command(home, script), stdout=subprocess.PIPE) as process:
            assert process.stdout is not None
            assert process.stdout.readline() == b"saving\n"
            time.sleep(0.013 * round)
            process.send_signal(signal.SIGKILL)
        with the_store(home) as store:
            assert [store.vectors.search("c", vectors[n], 1)[0].id for n in (0, 7, 2999)] == [
                "r0",
                "r7",
                "r2999",
            ]


def test_a_child_that_was_forked_searches_too(home: Path) -> None:
    vectors = clustered(SIZE)
    with the_store(home) as store:
        extend(store, vectors)
        store.vectors.search("c", vectors[7])
        assert store.settle()
        pid = os.fork()
        if not pid:
            try:
                extend(store, clustered(1200, seed=8), SIZE)
                found = store.vectors.search("c", vectors[7], 1)[0].id == "r7" and store.settle(30)
                os._exit(0 if found else 1)
            finally:
                os._exit(2)
        assert os.waitpid(pid, 0)[1] == 0


def test_a_store_that_is_only_read_writes_no_files(home: Path) -> None:
    vectors = clustered(SIZE)
    with the_store(home) as store:
        extend(store, vectors)
    shutil.rmtree(home / "indexes", ignore_errors=True)
    host = wilk.Host(wilk_hnsw, sqlite, kinds, entry_points=False)
    with wilk.open_store(home=home, host=host, readonly=True) as store:
        assert store.vectors.search("c", vectors[7], 1)[0].id == "r7"
        store.settle()
    assert not (home / "indexes").exists()


@pytest.mark.parametrize(
    ("section", "message"),
    [
        ("[1]", r"plugins\.hnsw: \[1\] is not a mapping"),
        ({"conectivity": 3}, r"plugins\.hnsw: there is no 'conectivity'; known: connectivity, "),
        ({"connectivity": 3}, r"plugins\.hnsw\.connectivity: 3 is not a whole number from 4 to 128"),
        ({"expansion_add": 1.5}, r"plugins\.hnsw\.expansion_add: 1\.5 is not a whole number from 8 to 10000"),
        ({"expansion_search": 0}, r"plugins\.hnsw\.expansion_search: 0 is not a whole number"),
        ({"threads": True}, r"plugins\.hnsw\.threads: True is not a whole number from 0 to 1024"),
    ],
)
def test_a_fault_in_the_settings_is_told(section: Any, message: str) -> None:
    with pytest.raises(wilk.SettingsError, match=message):
        options_of([1] if section == "[1]" else section)


def test_settings_reach_the_graph(home: Path) -> None:
    vectors = clustered(1200)
    with the_store(home, "{connectivity: 8, expansion_add: 40, expansion_search: 77}") as store:
        extend(store, vectors)
        store.vectors.search("c", vectors[7])
        assert store.settle()
        opened: Any = next(iter(store._vector_indexes._opened.values())).nearest.below
        graph = opened._graph
        assert (graph.index.hnsw.nb_neighbors(1), graph.index.hnsw.efConstruction) == (8, 40)
        assert graph._options.expansion_search == 77


def command(home: Path, script: str) -> list[str]:
    lines = [
        "import sys",
        "from pathlib import Path",
        f"sys.path.insert(0, {str(Path(__file__).parent)!r})",
        "from test_store import the_store, extend, clustered",
        "with the_store(Path(sys.argv[1])) as store:",
        textwrap.indent(textwrap.dedent(script), "    "),
    ]
    return [sys.executable, "-c", "\n".join(lines), str(home)]


def run(home: Path, script: str) -> None:
    subprocess.run(command(home, script), check=True)
