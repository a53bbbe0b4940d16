"""Checks of arguments: what is wrong is named, and no more of it is shown than its beginning."""

from __future__ import annotations

from typing import Any

import pytest

import wilk
from wilk.services import checks

pytestmark = pytest.mark.storeless


@pytest.mark.parametrize(
    "value",
    ["x" * 5000 + "\0", {"text": "x" * 5000}, ["x" * 5000], b"x" * 5000],
    ids=lambda v: type(v).__name__,
)
def test_an_error_shows_no_more_than_the_beginning_of_a_value(value: Any) -> None:
    with pytest.raises(wilk.Invalid, match="^content .*xxxx") as caught:
        checks.filled("content", value)
    assert len(str(caught.value)) < 200


@pytest.mark.parametrize("value", [(1, 2), {1: "a", 2: "b"}.keys(), iter([1, 2]), range(1, 3)])
def test_a_list_is_whatever_can_be_walked_through(value: Any) -> None:
    assert checks.sequence("ids", value) == [1, 2]


@pytest.mark.parametrize("value", ["ab", b"ab", {"a": 1}, 5, None])
def test_a_text_an_object_and_a_number_are_no_lists(value: Any) -> None:
    with pytest.raises(wilk.Invalid, match="^ids .*: a list is wanted$"):
        checks.sequence("ids", value)
