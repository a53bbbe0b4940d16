"""The index of wilk-hnsw against the library under it: the same graph settings, vectors and queries."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmarks.measuring import Report, Run, interleaved, timed

if TYPE_CHECKING:
    from numpy import float32
    from numpy.typing import NDArray

DIMENSION, K, QUERIES = 384, 10, 200


def measure(folder: Path, *, quick: bool = False, kept: Path | None = None) -> Report:
    """Compare searches one at a time in the built graph, and in the same one opened from its files."""
    import faiss
    import numpy as np

    from wilk.testing.vector_index import Given
    from wilk_hnsw.index import open_index
    from wilk_hnsw.options import Options

    count = 20_000 if quick else 100_000
    report = Report(
        "hnsw", f"{count:,} vectors × {DIMENSION}, clustered, the nearest {K}, one query at a time"
    )
    vectors, queries = _drawn(count)
    options = Options()
    rows = Given(DIMENSION, "cosine", folder / "indexes" / "t")
    numbers = rows.put(vectors)
    index = open_index(rows, options)
    started = time.perf_counter()
    for start in range(0, count, 4096):
        index.add(numbers[start : start + 4096], vectors[start : start + 4096])
    while index.work():
        pass
    built = time.perf_counter() - started
    index.save()
    started = time.perf_counter()
    opened = open_index(rows, options)
    reopened = time.perf_counter() - started

    threads = faiss.omp_get_max_threads()
    faiss.omp_set_num_threads(index.threads)
    library: Any = faiss.IndexHNSWFlat(DIMENSION, options.connectivity, faiss.METRIC_INNER_PRODUCT)
    library.hnsw.efConstruction, library.hnsw.efSearch = options.expansion_add, options.expansion_search
    length = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    started = time.perf_counter()
    library.add(length)
    own = time.perf_counter() - started
    faiss.omp_set_num_threads(threads)

    contestants: dict[str, Run] = {
        "faiss alone": _searching(lambda query: library.search(query[None], K), queries),
        "wilk-hnsw, built": _searching(lambda query: index.search(query, K, None), queries),
        "wilk-hnsw, opened from its files": _searching(lambda query: opened.search(query, K, None), queries),
    }
    samples = interleaved(contestants, 7 if quick else 15)
    for name, sample in samples.items():
        report.figure(name, sample, "µs")
    for name in list(contestants)[1:]:
        report.compare(f"speed: {name} ÷ faiss alone", samples["faiss alone"], samples[name], at_least=0.8)
    true = [np.argpartition(-(length @ query), K)[:K] + 1 for query in queries]
    for name, search in (
        ("faiss alone", lambda query: library.search(query[None], K)[1][0] + 1),
        ("wilk-hnsw, built", lambda query: index.search(query, K, None)[0]),
        ("wilk-hnsw, opened from its files", lambda query: opened.search(query, K, None)[0]),
    ):
        hits = sum(
            len(np.intersect1d(search(query), wanted)) for query, wanted in zip(queries, true, strict=True)
        )
        report.figure(f"recall@{K}: {name}", [hits / (K * len(queries))], "")
    for name, seconds in (("faiss alone", own), ("wilk-hnsw", built)):
        report.figure(f"building: {name}, {index.threads} thread(s)", [seconds], "s")
    report.figure("opening from files", [reopened], "ms")
    return report


def _drawn(count: int) -> tuple[NDArray[float32], NDArray[float32]]:
    """Vectors around one center for every hundred of them, and queries from the same centers."""
    import numpy as np

    chance = np.random.default_rng(0)
    centers = chance.standard_normal((count // 100, DIMENSION)).astype(np.float32)

    def draw(n: int) -> NDArray[float32]:
        near = 0.6 * chance.standard_normal((n, DIMENSION))
        drawn: NDArray[float32] = (centers[chance.integers(0, len(centers), n)] + near).astype(np.float32)
        return drawn

    vectors, queries = draw(count), draw(QUERIES)
    return vectors, queries / np.linalg.norm(queries, axis=1, keepdims=True)


def _searching(search: Any, queries: NDArray[float32]) -> Run:
    return lambda: timed(lambda: [search(query) for query in queries], len(queries))
