"""Fusing ranked lists: shares add up, one list keeps its order, weak entries count little."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wilk.services.search.fusing import Entry, K, fused

pytestmark = pytest.mark.storeless


def entries(ids: str, *weights: float) -> list[Entry]:
    return [
        Entry(("message", id), 1.0, weights[place] if place < len(weights) else 1.0)
        for place, id in enumerate(ids)
    ]


def order(**lists: list[Entry]) -> str:
    return "".join(one.key[1] for one in fused(lists))


def test_one_list_keeps_its_order() -> None:
    assert order(text=entries("cab")) == "cab"


def test_what_stands_in_both_lists_comes_before_what_stands_in_one() -> None:
    assert order(text=entries("ab"), vector=entries("cb")) == "bca"


def test_a_score_is_the_sum_of_its_shares_and_each_share_is_weight_over_sixty_and_rank() -> None:
    (one,) = fused({"text": entries("a"), "vector": entries("a", 0.5)})
    assert [(reason.by, reason.rank, reason.share) for reason in one.reasons] == [
        ("text", 1, 1 / (K + 1)),
        ("vector", 1, 0.5 / (K + 1)),
    ]
    assert one.score == 1 / (K + 1) + 0.5 / (K + 1)


def test_a_weak_neighbour_does_not_push_out_a_strong_hit() -> None:
    assert order(text=entries("a"), vector=entries("bcd", 0.2, 0.1, 0.1)) == "abcd"


def test_an_entry_without_weight_is_no_reason() -> None:
    assert order(text=entries("a"), vector=entries("b", 0.0)) == "a"


def test_of_equal_ones_the_greater_id_comes_first() -> None:
    assert order(text=entries("a"), vector=entries("b")) == "ba"


@given(
    ids=st.lists(st.integers(), unique=True, max_size=30),
    weights=st.lists(st.floats(0.01, 1), min_size=30, max_size=30),
)
def test_one_list_keeps_its_order_whatever_its_weights(ids: list[int], weights: list[float]) -> None:
    keys = [("message", str(id)) for id in ids]
    found = fused({"text": [Entry(key, 0.0, w) for key, w in zip(keys, weights, strict=False)]})
    assert [one.key for one in found] == keys
