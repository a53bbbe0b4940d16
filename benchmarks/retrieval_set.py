"""The labelled set of the retrieval benchmark, and how an answer is graded by it.

``retrieval_set.json`` holds notes and queries that were written for this benchmark, before anything was
tuned. Two hundred notes are what a team, a household or a student may note down; four hundred more are of
four patterns and differ in numbers and names alone, as much in a real store does. A query is of one kind:

- ``exact``: a name, a number, a few words as they stand in the note
- ``paraphrase``: what the note means, in other words, some in another language
- ``mixed``: a question that shares some words with the note, and with others

Fusing may be tuned on the queries of the half ``tuning``; those of the half ``reported`` tell what came of
it.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

FILE = Path(__file__).with_suffix(".json")
HALVES = ("tuning", "reported")
KINDS = ("exact", "paraphrase", "mixed")
MEASURES = ("hit@1", "hit@10", "MRR@10", "nDCG@10")
DEPTH = 10


class Query(NamedTuple):
    """What is searched; ``relevant`` grades the notes that answer it: 2 fully, 1 in part."""

    kind: str
    language: str
    text: str
    relevant: Mapping[str, int]
    half: str


class Grades(NamedTuple):
    """How good an answer is, each from 0 to 1, in the order of ``MEASURES``."""

    hit_at_1: float
    hit_at_10: float
    mrr: float
    ndcg: float


def load() -> tuple[dict[str, str], list[Query]]:
    """Return the notes by id, and the queries."""
    data = json.loads(FILE.read_text(encoding="utf-8"))
    return data["notes"], [Query(**query) for query in data["queries"]]


def graded(found: Sequence[str], relevant: Mapping[str, int]) -> Grades:
    """Grade the ids that were found, the best first."""
    first = list(found[:DEPTH])
    places = [place for place, id in enumerate(first) if id in relevant]
    gain = sum(_gain(relevant.get(id, 0), place) for place, id in enumerate(first))
    best = sum(_gain(grade, place) for place, grade in enumerate(sorted(relevant.values(), reverse=True)))
    return Grades(
        float(bool(places) and places[0] == 0),
        float(bool(places)),
        1 / (places[0] + 1) if places else 0.0,
        gain / best,
    )


def mean(grades: Sequence[Grades]) -> Grades:
    """The mean of each measure over queries."""
    return Grades(*(sum(values) / len(values) for values in zip(*grades, strict=True)))


def _gain(grade: int, place: int) -> float:
    return (2**grade - 1) / math.log2(place + 2)
