"""The index of one space: the graph and what waits for it, files, and rows that are other ones."""

import json
import logging
import os
import threading
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from wilk.testing.vector_index import Given, clustered
from wilk_hnsw import files
from wilk_hnsw import index as index_module
from wilk_hnsw.graph import Graph
from wilk_hnsw.guard import Guard
from wilk_hnsw.index import Hnsw, open_index
from wilk_hnsw.options import Options

SIZE = 3000


def filled(rows: Given, vectors: Any, *, work: bool = True, options: Options | None = None) -> Hnsw:
    opened = open_index(rows, options or Options())
    opened.add(rows.put(vectors, rows.given + 1), vectors)
    while work and opened.work():
        pass
    return opened


def recall(opened: Hnsw, rows: Given, queries: Any, among: Any = None) -> float:
    """The share of what is found that is no farther than the tenth nearest."""
    from wilk.vectors.distances import distances

    near = wanted = 0
    for query in queries:
        true = np.array(rows.nearest(query, 10, among), np.int64)
        found = opened.search(query, 10, among)[0]
        assert len(found) == len(set(found.tolist())) == len(true)
        farthest = distances(rows.distance, rows.rows(true)[1], query).max()
        near += int((distances(rows.distance, rows.rows(found)[1], query) <= farthest + 1e-5).sum())
        wanted += len(true)
    return near / wanted


@pytest.fixture
def rows(tmp_path: Path) -> Given:
    return Given(folder=tmp_path / "indexes" / "t")


# -- what is found ---------------------------------------------------------------------------


@pytest.mark.parametrize("distance", ["cosine", "dot", "euclidean"])
def test_equal_vectors_and_zeros_hide_no_others(distance: str) -> None:
    rows, vectors = Given(distance=distance), clustered(SIZE)
    vectors[::2] = vectors[1]
    vectors[5::50] = 0
    opened = filled(rows, vectors)
    assert opened.waiting == 0
    assert recall(opened, rows, clustered(60, seed=2)) >= 0.95
    assert recall(opened, rows, vectors[1:2]) == 1.0


@pytest.mark.parametrize("share", [0.02, 0.3, 0.9])
def test_a_filter_costs_no_recall(share: float, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("wilk_hnsw.graph._FEW", 200)  # so that the graph is searched with a filter
    rows = Given()
    opened = filled(rows, clustered(SIZE))
    among = np.sort(np.random.default_rng(3).permutation(SIZE)[: int(share * SIZE)] + 1)
    assert recall(opened, rows, clustered(40, seed=2), among) >= 0.95


def test_a_filter_that_leaves_only_what_is_far_away_finds_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("wilk_hnsw.graph._FEW", 200)
    rows, vectors = Given(), clustered(SIZE)
    opened = filled(rows, vectors)
    query = vectors[7]
    among = np.sort(np.array(rows.nearest(query, SIZE)[SIZE // 2 :], np.int64))
    assert recall(opened, rows, [query], among) == 1.0


def test_half_a_graph_finds_what_is_in_it_and_what_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(index_module, "_PIECE", 0.0)
    rows, vectors = Given(), clustered(SIZE)
    opened = filled(rows, vectors, work=False)
    parts = [(opened.waiting, recall(opened, rows, clustered(5, seed=2)))]
    while opened.work():
        opened.add(rows.put(clustered(1, seed=opened.last), opened.last + 1), clustered(1, seed=opened.last))
        assert opened.search(vectors[-1], 1, None)[0].tolist() == [SIZE]
        parts.append((opened.waiting, recall(opened, rows, clustered(5, seed=2))))
        if len(parts) > 40:
            monkeypatch.setattr(index_module, "_PIECE", 1.0)
    assert parts[0] == (SIZE, 1.0)
    assert len({waiting for waiting, _ in parts}) > 10
    assert min(found for _, found in parts) >= 0.9
    assert opened.waiting == 0


def test_few_vectors_need_no_graph() -> None:
    opened = filled(Given(), clustered(999))
    assert opened.waiting == 999


def test_the_answer_to_a_zero_vector_is_the_first_numbers() -> None:
    rows = Given()
    opened = filled(rows, clustered(SIZE))
    opened.remove(np.array([2], np.int64))
    numbers, found = opened.search(np.zeros(24, np.float32), 3, None)
    assert (numbers.tolist(), found.tolist()) == ([1, 3, 4], [1.0, 1.0, 1.0])


@pytest.mark.parametrize("scale", [1e-30, 1e-20, 1e25])
def test_the_length_of_vectors_does_not_matter_to_cosine(scale: float) -> None:
    rows, vectors = Given(), clustered(SIZE)
    opened = filled(rows, (vectors * scale).astype(np.float32))
    assert opened.search((vectors[7] * scale).astype(np.float32), 1, None)[0].tolist() == [8]


@settings(max_examples=25)
@given(st.data())
def test_whatever_is_done_the_answer_holds_all_that_is_there_and_nothing_else(data: st.DataObject) -> None:
    four = st.lists(st.integers(-2, 2), min_size=4, max_size=4)
    rows = Given(dimension=4)
    opened = open_index(rows, Options())
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(index_module, "_SMALL", 5)
        for _ in range(data.draw(st.integers(1, 12))):
            match data.draw(st.sampled_from(["add", "remove", "work"])):
                case "add":
                    values = data.draw(
                        st.lists(
                            st.lists(st.integers(-2, 2), min_size=4, max_size=4), min_size=1, max_size=30
                        )
                    )
                    vectors = np.array(values, np.float32)
                    opened.add(rows.put(vectors, rows.given + 1), vectors)
                case "remove":
                    gone = sorted(data.draw(st.sets(st.integers(1, rows.given + 2))))
                    opened.remove(np.array(gone, np.int64))
                    rows.held = {number: one for number, one in rows.held.items() if number not in gone}
                case "work":
                    opened.work()
        query = np.array(data.draw(four), np.float32)
        among = None
        if data.draw(st.booleans()):
            among = np.array(sorted(data.draw(st.sets(st.integers(1, rows.given + 2)))), np.int64)
        there = set(rows.held) if among is None else set(rows.held) & set(among.tolist())
        for k in (1, 3, 500):
            numbers = opened.search(query, k, among)[0].tolist()
            assert set(numbers) <= there
            assert len(numbers) == len(set(numbers)) == min(k, len(there))
        assert len(opened) == len(rows.held)


# -- files -----------------------------------------------------------------------------------


def test_a_saved_graph_is_opened_without_building_anything(
    rows: Given, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened = filled(rows, clustered(SIZE))
    opened.save()
    opened.close()
    added: list[int] = []
    monkeypatch.setattr(Graph, "add", lambda *_: added.append(1))
    again = open_index(rows, Options())
    assert (again.last, len(again), again.waiting, again.work()) == (SIZE, SIZE, 0, False)
    assert recall(again, rows, clustered(40, seed=2)) >= 0.95
    assert added == []


def test_an_opened_graph_is_added_to_in_memory_and_saved_anew(rows: Given) -> None:
    filled(rows, clustered(SIZE)).save()
    again = open_index(rows, Options())
    vectors = clustered(1200, seed=6)
    vectors[:10] = clustered(SIZE)[:10]  # equal to some that lie in the file
    again.add(rows.put(vectors, SIZE + 1), vectors)
    while again.work():
        pass
    assert recall(again, rows, np.concatenate([clustered(40, seed=2), vectors[:10]])) >= 0.95
    again.save()
    assert (open_index(rows, Options()).last, len(list(files_in(rows, "faiss")))) == (SIZE + 1200, 1)


def test_a_few_new_vectors_do_not_read_a_mapped_graph_into_memory(rows: Given) -> None:
    filled(rows, clustered(SIZE)).save()
    again = open_index(rows, Options())
    again.add(rows.put(clustered(50, seed=6), SIZE + 1), clustered(50, seed=6))
    assert again.work() is False
    assert again.search(clustered(50, seed=6)[3], 1, None)[0].tolist() == [SIZE + 4]


def test_a_graph_whose_file_was_replaced_goes_on_from_what_it_has(rows: Given) -> None:
    filled(rows, clustered(SIZE)).save()
    again = open_index(rows, Options())
    for path in files_in(rows, "*"):
        path.unlink()
    again.add(rows.put(clustered(1200, seed=6), SIZE + 1), clustered(1200, seed=6))
    while again.work():
        pass
    assert len(again) == SIZE + 1200
    assert recall(again, rows, clustered(40, seed=2)) >= 0.95


def test_what_waits_is_not_saved_and_waits_again(rows: Given, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(index_module, "_PIECE", 0.0)
    opened = filled(rows, clustered(SIZE), work=False)
    opened.remove(np.array([4], np.int64))
    while opened.waiting > 1500:
        opened.work()
    opened.save()
    again = open_index(rows, Options())
    assert again.last == len(again) + 1 == SIZE - opened.waiting
    assert 4 not in again.search(clustered(SIZE)[3], 500, None)[0].tolist()


def test_little_that_is_new_is_not_written(rows: Given) -> None:
    opened = filled(rows, clustered(SIZE))
    opened.save()
    before = [path.name for path in files_in(rows, "*")]
    opened.add(rows.put(clustered(100, seed=6), SIZE + 1), clustered(100, seed=6))
    opened.work()
    opened.save()
    assert [path.name for path in files_in(rows, "*")] == before


def test_another_process_that_came_farther_is_not_overwritten(rows: Given) -> None:
    quick, slow = open_index(rows, Options()), open_index(rows, Options())
    vectors = clustered(SIZE)
    numbers = rows.put(vectors)
    for opened, count in ((quick, SIZE), (slow, 2000)):
        opened.add(numbers[:count], vectors[:count])
        while opened.work():
            pass
        opened.save()
    assert open_index(rows, Options()).last == SIZE


def test_files_of_the_graphs_before_and_of_killed_processes_are_removed(rows: Given) -> None:
    assert rows.folder is not None
    opened = filled(rows, clustered(SIZE))
    opened.save()
    old, young = rows.folder / "aaaaaaaaaaaa.faiss", rows.folder / "bbbbbbbbbbbb.npz"
    for path in (old, young):
        path.write_bytes(b"cut of")
    os.utime(old, (time.time() - 7200,) * 2)
    first = {path.name for path in files_in(rows, "faiss")}
    opened.add(rows.put(clustered(1200, seed=6), SIZE + 1), clustered(1200, seed=6))
    while opened.work():
        pass
    opened.save()
    left = {path.name for path in files_in(rows, "*")}
    assert young.name in left
    assert not first & left
    assert len(left) == 4


def test_files_are_readable_by_their_owner_alone(rows: Given) -> None:
    filled(rows, clustered(SIZE)).save()
    assert rows.folder is not None
    assert {path.stat().st_mode & 0o077 for path in (rows.folder, *files_in(rows, "*"))} == {0}


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"connectivity": 8}, "another connectivity"),
        ({"expansion_add": 64}, "another expansion_add"),
        ({"expansion_search": 16}, None),
        ({"threads": 2}, None),
    ],
)
def test_settings_that_change_the_graph_make_it_anew(
    rows: Given, caplog: pytest.LogCaptureFixture, change: dict[str, int], reason: str | None
) -> None:
    caplog.set_level(logging.INFO, "wilk.hnsw")
    filled(rows, clustered(SIZE)).save()
    again = open_index(rows, Options(**change))
    assert again.last == (0 if reason else SIZE)
    assert caplog.messages == (
        [f"the index of 'given' is built anew: it was made with {reason}"] if reason else []
    )


@pytest.mark.parametrize(
    ("harm", "reason"),
    [
        ("given", "the database is older than it"),
        ("content", "the database has other vectors under its numbers"),
        ("rows", "of 3000 vectors in it at most 1500 are left"),
        ("header", "its header is damaged"),
        ("list", "its header is damaged"),
        ("missing", "a file of it is missing"),
        ("byte", "is damaged"),
    ],
)
def test_what_does_not_fit_is_told_and_built_anew(
    rows: Given, caplog: pytest.LogCaptureFixture, harm: str, reason: str
) -> None:
    assert rows.folder is not None
    caplog.set_level(logging.INFO, "wilk.hnsw")
    filled(rows, clustered(SIZE)).save()
    graph = files_in(rows, "faiss")[0]
    match harm:
        case "given":
            rows.given = SIZE - 1
            del rows.held[SIZE]
        case "content":
            rows.put(clustered(100, seed=5), SIZE - 99)
        case "rows":
            rows.held = {number: one for number, one in rows.held.items() if number % 2}
        case "header":
            (rows.folder / files.HEADER).write_text("{")
        case "list":
            header = json.loads((rows.folder / files.HEADER).read_text())
            (rows.folder / files.HEADER).write_text(json.dumps({**header, "files": ["a"]}))
        case "missing":
            graph.unlink()
        case "byte":
            data = bytearray(graph.read_bytes())
            data[200] ^= 1
            graph.write_bytes(bytes(data))
    again = open_index(rows, Options())
    assert (again.last, len(again)) == (0, 0)
    assert len(caplog.messages) == 1
    assert reason in caplog.messages[0]
    numbers, vectors = rows.after(0, SIZE)
    again.add(numbers, vectors)
    while again.work():
        pass
    again.save()  # even where the files that are of no use say that they came farther
    caplog.clear()
    assert open_index(rows, Options()).last == again.last
    assert caplog.messages == []


def test_vectors_that_were_removed_since_do_not_make_an_index_unfit(rows: Given) -> None:
    filled(rows, clustered(SIZE)).save()
    for number in range(SIZE - 200, SIZE + 1):
        del rows.held[number]
    assert open_index(rows, Options()).last == SIZE


def test_a_graph_of_which_much_is_gone_is_begun_anew(rows: Given) -> None:
    opened = filled(rows, clustered(SIZE))
    opened.save()
    gone = np.arange(1, 1801, dtype=np.int64)
    opened.remove(gone)
    for number in gone.tolist():
        del rows.held[number]
    while opened.work():
        pass
    assert (len(opened), opened.waiting, int(opened._graph.index.ntotal)) == (1200, 0, 1200)
    assert recall(opened, rows, clustered(40, seed=2)) >= 0.95
    opened.save()
    assert len(open_index(rows, Options())) == 1200


def test_a_full_disk_is_an_error_of_the_system_and_leaves_the_earlier_files(
    rows: Given, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened = filled(rows, clustered(SIZE))
    opened.save()
    before = files_in(rows, "*")

    def full(*_: Any) -> None:
        raise RuntimeError("write error in somewhere: No space left on device")

    monkeypatch.setattr("faiss.write_index", full)
    opened.add(rows.put(clustered(1200, seed=6), SIZE + 1), clustered(1200, seed=6))
    while opened.work():
        pass
    with pytest.raises(OSError, match="No space left"):
        opened.save()
    assert files_in(rows, "*") == before


def test_a_closed_index_neither_works_nor_writes(rows: Given) -> None:
    opened = filled(rows, clustered(SIZE))
    opened.close()
    opened.save()
    assert opened.work() is False
    assert rows.folder is not None
    assert not rows.folder.exists()


# -- threads ---------------------------------------------------------------------------------


def test_searches_go_on_while_the_graph_is_built_and_saved(rows: Given) -> None:
    vectors = clustered(SIZE)
    opened = filled(rows, vectors, work=False)
    failures: list[BaseException] = []
    done = threading.Event()
    counts = [0, 0, 0]

    def search(at: int) -> None:
        try:
            while not done.is_set():
                assert opened.search(vectors[at * 7], 1, None)[0].tolist() == [at * 7 + 1]
                counts[at] += 1
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=search, args=(at,)) for at in range(3)]
    for thread in threads:
        thread.start()
    while opened.work():
        pass
    opened.save()
    done.set()
    for thread in threads:
        thread.join()
    assert failures == []
    assert min(counts) > 0


def test_readers_share_and_a_writer_is_alone_and_both_get_in() -> None:
    guard, inside, wrong = Guard(), {"r": 0, "w": 0}, []
    until = time.monotonic() + 0.3
    counts = dict.fromkeys(range(6), 0)

    def read(at: int) -> None:
        while time.monotonic() < until:
            with guard.reading():
                inside["r"] += 1
                wrong.extend(["read"] * inside["w"])
                inside["r"] -= 1
            counts[at] += 1

    def write(at: int) -> None:
        while time.monotonic() < until:
            with guard.writing():
                inside["w"] += 1
                time.sleep(0.001)
                wrong.extend(["write"] * (inside["w"] - 1))
                inside["w"] -= 1
            counts[at] += 1

    threads = [threading.Thread(target=read if at < 4 else write, args=(at,)) for at in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []
    assert min(counts.values()) > 1


def files_in(rows: Given, ending: str) -> list[Path]:
    assert rows.folder is not None
    return sorted(rows.folder.glob(f"*.{ending}"))
