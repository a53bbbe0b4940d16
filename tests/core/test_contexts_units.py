"""Units: calls and results of every provider's shape stay together, or stay out together."""

from __future__ import annotations

from typing import Any

import pytest

from wilk.context.units import Candidate, Units, check, extra_of, links
from wilk.records.context import ContextItem

pytestmark = pytest.mark.storeless


def item(sequence: int, role: str = "user", *parts: Any, tokens: int = 10, **extra: Any) -> ContextItem:
    return ContextItem(
        "message", f"m{sequence}", sequence, sequence, role, f"text {sequence}", list(parts) or None,
        extra or None, "", 0.5, tokens,
    )  # fmt: skip


def use(id: str) -> dict[str, Any]:
    return {"type": "tool_use", "id": id, "name": "search", "input": {}}


def result(id: str) -> dict[str, Any]:
    return {"type": "tool_result", "tool_use_id": id, "content": "found"}


def grouped(
    *items: ContextItem, room: int = 1000, newest: bool = True
) -> tuple[list[list[int]], dict[int, str]]:
    """The units, newest first, as lists of sequences; and what was rejected, by sequence."""
    rejected: dict[int, str] = {}
    found = Units(
        reversed(items),
        lambda: room,
        lambda one, rule: rejected.update({one.first or 0: rule}),
        newest=newest,
    )
    return [[one.first or 0 for one in unit.items] for unit in found], rejected


@pytest.mark.parametrize(
    ("call", "answer"),
    [
        ({"type": "tool_use", "id": "a"}, {"type": "tool_result", "tool_use_id": "a"}),
        ({"type": "function_call", "id": "fc", "call_id": "a"}, {"type": "function_call_output", "call_id": "a"}),
        ({"type": "tool_call", "id": "a"}, {"type": "tool_result", "tool_call_id": "a"}),
        ({"type": "tool_call", "tool_call": {"id": "a", "name": "x"}}, {"type": "tool_result", "call_id": "a"}),
        ({"type": "tool-call", "toolCallId": "a"}, {"type": "tool-result", "toolCallId": "a"}),
    ],
)  # fmt: skip
def test_a_call_and_its_result_have_one_id_in_every_shape(call: Any, answer: Any) -> None:
    assert links(item(1, "assistant", call)).calls == {"a"}
    assert links(item(2, "tool", answer)).results == {"a"}


def test_openai_keeps_them_beside_the_content() -> None:
    made = extra_of({"tool_calls": [{"id": "a", "type": "function"}, {"id": "b"}], "other": 1}) or {}
    assert links(item(1, "assistant", **made)).calls == {"a", "b"}
    assert links(item(2, "tool", tool_call_id="a")).results == {"a"}


def test_a_call_that_holds_its_answer_is_answered() -> None:
    call = {"type": "tool_call", "tool_call": {"id": "a", "output": "found"}}
    assert links(item(1, "assistant", call)) == (frozenset("a"), frozenset("a"))


@pytest.mark.parametrize("part", ["text", 3, None, {"type": "tool_use"}, {"type": None}, {"id": "a"}, ["x"]])
def test_other_parts_are_no_links(part: Any) -> None:
    assert not any(links(item(1, "assistant", part)))


def test_plain_messages_are_units_of_their_own() -> None:
    assert grouped(item(1), item(2), item(3)) == ([[3], [2], [1]], {})


def test_a_call_and_its_results_are_one_unit() -> None:
    units, rejected = grouped(
        item(1), item(2, "assistant", use("a"), use("b")), item(3, "tool", result("a")),
        item(4, "tool", result("b")), item(5, "assistant"),
    )  # fmt: skip
    assert (units, rejected) == ([[5], [2, 3, 4], [1]], {})


def test_what_lies_between_a_call_and_its_result_belongs_to_the_unit() -> None:
    units, _ = grouped(item(1, "assistant", use("a")), item(2), item(3, "user", result("a")), item(4))
    assert units == [[4], [1, 2, 3]]


def test_an_id_that_is_used_again_belongs_to_the_nearest_call() -> None:
    units, _ = grouped(
        item(1, "assistant", use("0")), item(2, "tool", result("0")),
        item(3, "assistant", use("0")), item(4, "tool", result("0")),
    )  # fmt: skip
    assert units == [[3, 4], [1, 2]]


def test_an_id_that_is_used_again_without_an_answer_is_no_sound_unit() -> None:
    done = {"type": "tool_call", "tool_call": {"id": "1", "output": "found"}}
    units, rejected = grouped(
        item(1, "assistant", use("0")), item(2, "assistant", done), item(3, "assistant", use("1")),
        item(4, "user", result("0")), item(5),
    )  # fmt: skip
    assert (units, rejected) == ([[5]], dict.fromkeys((1, 2, 3, 4), "call_unanswered"))


def test_a_tool_message_without_an_id_belongs_to_what_it_follows() -> None:
    assert grouped(item(1), item(2, "assistant"), item(3, "tool"), item(4, "tool"))[0] == [[2, 3, 4], [1]]


def test_a_result_without_its_call_is_left_out_and_the_others_are_not() -> None:
    units, rejected = grouped(item(1), item(2, "tool", result("gone")), item(3))
    assert (units, rejected) == ([[3], [1]], {2: "orphan_result"})


def test_a_tool_message_that_follows_nothing_is_left_out() -> None:
    assert grouped(item(1, "tool"), item(2)) == ([[2]], {1: "orphan_result"})


def test_a_call_that_was_never_answered_is_left_out() -> None:
    units, rejected = grouped(item(1), item(2, "assistant", use("a")), item(3))
    assert (units, rejected) == ([[3], [1]], {2: "call_unanswered"})


def test_a_call_in_the_newest_unit_may_be_open() -> None:
    assert grouped(item(1), item(2, "assistant", use("a"))) == ([[2], [1]], {})
    units, _ = grouped(item(1, "assistant", use("a"), use("b")), item(2, "tool", result("a")))
    assert units == [[1, 2]]


def test_results_too_long_for_the_room_are_given_as_incomplete() -> None:
    items = [item(1), item(2, "assistant", use("a")), item(3, "tool", result("a"), tokens=500), item(4)]
    rejected: list[int] = []
    units = list(Units(reversed(items), lambda: 100, lambda one, _: rejected.append(one.first or 0)))
    assert [(unit.first, unit.complete) for unit in units] == [(4, True), (3, False), (1, True)]
    assert rejected == [2]


def test_an_orphan_does_not_hide_what_is_older_than_the_room() -> None:
    items = [item(n) for n in range(1, 50)] + [item(50, "tool", result("gone")), item(51)]
    units, rejected = grouped(*items, room=100)
    assert (units[:3], rejected) == ([[51], [49], [48]], {50: "orphan_result"})


def test_no_more_is_read_than_the_room_for_a_call_that_is_not_there() -> None:
    read: list[int] = []

    def items() -> Any:
        for n in range(1000, 0, -1):
            read.append(n)
            yield item(n, "tool", result("gone")) if n == 999 else item(n)

    units = iter(Units(items(), lambda: 100, lambda *_: None))
    assert [next(units).first, next(units).first] == [1000, 998]
    assert len(read) <= 12


def test_calls_whose_result_was_dropped_are_dropped_as_well() -> None:
    # The call holds the orphan's place in two exchanges, so both go.
    units, rejected = grouped(
        item(1), item(2, "user", result("gone"), use("b")), item(3, "tool", result("b")), item(4)
    )
    assert (units, set(rejected)) == ([[4], [1]], {2, 3})


def test_a_candidate_tells_its_range_its_weight_and_its_cost() -> None:
    unit = Candidate((item(3), item(4)._replace(score=0.9)))
    assert (unit.kind, unit.first, unit.last, unit.score, unit.tokens) == ("message", 3, 4, 0.9, 20)
    assert unit.text == "text 3\ntext 4"


class TestTheCheck:
    def test_passes_whole_units(self) -> None:
        check([item(1, "assistant", use("a")), item(2, "tool", result("a")), item(3)], 3)

    def test_finds_a_result_without_its_call(self) -> None:
        with pytest.raises(AssertionError, match="message 2: result of 'a' without its call"):
            check([item(2, "tool", result("a")), item(3)], 3)

    def test_finds_a_call_without_its_result(self) -> None:
        with pytest.raises(AssertionError, match="message 1: call 'a' without its result"):
            check([item(1, "assistant", use("a")), item(3)], 3)

    def test_lets_the_newest_turn_wait_for_its_result(self) -> None:
        check([item(1), item(3, "assistant", use("a"))], 3)
