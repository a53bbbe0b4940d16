"""``wilk context``: what would be sent, why, and the receipts of what was."""

from __future__ import annotations

import io
import json
from collections.abc import Callable

import pytest

from wilk.cli.contexts import _bar, _joined
from wilk.cli.output import Output
from wilk.records.context import Context, ContextItem, LeftOut

from .conftest import Result, spawn

Run = Callable[..., Result]


@pytest.fixture
def talk(good: Run) -> str:
    """The id of a current session with five messages, of five tokens each (four of them overhead)."""
    id: str = good("sessions", "new", "talk", "--use", "--strategy", "discard", "--json").json["id"]
    for number in range(1, 6):
        good("messages", "add", "user", f"m{number}")
    return id


def kept(good: Run, *options: str) -> str:
    """The id of a manifest of the current session's context."""
    good("context", "show", "--keep", *options)
    id: str = good("context", "manifests", "--json").json[0]["id"]
    return id


def test_show_gives_the_messages_in_order(good: Run, talk: str) -> None:
    lines = good("context", "show", "--max-tokens", "10").out.splitlines()
    assert lines == [
        "user message 4, 5 tokens",
        "    m4",
        "user message 5, 5 tokens",
        "    m5",
        "10 of 10 tokens, strategy discard, counted by heuristic",
    ]


def test_show_gives_json_that_a_model_takes(good: Run, talk: str) -> None:
    assert good("context", "show", talk, "--max-tokens", "13", "--system", "hi", "--json").json == [
        {"role": "system", "content": "hi"},
        {"role": "user", "content": "m5"},
    ]


def test_explain_tells_items_rules_and_the_budget(good: Run, talk: str) -> None:
    lines = good("context", "explain", "--max-tokens", "20", "--system", "hi").out.splitlines()
    assert lines == [
        "20 of 20 tokens, strategy discard, counted by heuristic",
        f"[{'s' * 15}{'m' * 45}]",
        "s system          5   25%",
        "m message        15   75%",
        ". free            0    0%",
        "",
        "IN       MESSAGES  RULE             SCORE  TOKENS  TEXT",
        "system             system_argument              5  hi",
        "message  3         recent            0.60       5  m3",
        "message  4         recent            0.60       5  m4",
        "message  5         newest            0.60       5  m5",
        "",
        "OUT      MESSAGES  RULE         SCORE  TOKENS",
        "message  1-2       not_reached",
        "",
        "RULE             MEANS",
        "system_argument  the system prompt that was given",
        "recent           among the newest that fit",
        "newest           the turn to answer",
        "not_reached      older than what the budget reached",
    ]


class Terminal(io.StringIO):
    """Something that a person looks at."""

    encoding = "utf-8"

    def isatty(self) -> bool:
        return True


def bar(monkeypatch: pytest.MonkeyPatch, stream: io.StringIO, **environment: str) -> list[str]:
    """The bar of a context that fills its budget with a pin and messages, and the lines below it."""
    for name in ("NO_COLOR", "FORCE_COLOR", "TERM", "COLUMNS"):
        monkeypatch.delenv(name, raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    items = [
        ContextItem(kind, kind, None, None, "user", "x", None, None, "newest", 0.5, tokens)
        for kind, tokens in (("pin", 17), ("summary", 17), ("message", 7))
    ]
    _bar(Output(stream), Context("s", "discard", "heuristic", None, 41, 41, 1, items, [], None))
    return stream.getvalue().splitlines()


def test_the_budget_is_a_coloured_bar_on_a_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    lines = bar(monkeypatch, Terminal())
    blocks = "\x1b[34m{}\x1b[0m\x1b[32m{}\x1b[0m\x1b[1m{}\x1b[0m"
    assert lines[0] == blocks.format("█" * 24, "█" * 25, "█" * 11)
    assert lines[-1].startswith("░")


@pytest.mark.parametrize("stream", [io.StringIO, Terminal])
def test_the_bar_is_of_letters_that_are_explained_where_there_are_no_colours(
    monkeypatch: pytest.MonkeyPatch, stream: type[io.StringIO]
) -> None:
    lines = bar(monkeypatch, stream(), NO_COLOR="1")
    assert lines == [
        "[" + "p" * 24 + "z" * 25 + "m" * 11 + "]",
        "p pin            17   41%",
        "z summary        17   41%",
        "m message         7   17%",
        ". free            0    0%",
    ]


def test_the_bar_fits_a_narrow_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    assert len(bar(monkeypatch, Terminal(), NO_COLOR="1", COLUMNS="40")[0]) == 40


def test_neighbours_that_one_rule_left_out_are_one_line() -> None:
    out = [
        LeftOut("summary", "a", 1, 4, 4, "no_room", 0.7, 60),
        LeftOut("summary", "b", 5, 9, 5, "no_room", 0.7, 61),
        LeftOut("summary", "c", 11, 12, 2, "no_room", 0.7, 62),
        LeftOut("message", None, 13, 14, 2, "no_room", 0.5, None),
    ]
    assert [(one.first, one.last, one.messages, one.tokens) for one in _joined(out)] == [
        (1, 9, 9, 121), (11, 12, 2, 62), (13, 14, 2, None),
    ]  # fmt: skip


def test_explain_gives_json_with_what_the_rules_say(good: Run, talk: str) -> None:
    explained = good("context", "explain", "--max-tokens", "10", "--json").json
    assert [item["first"] for item in explained["items"]] == [4, 5]
    assert explained["rules"]["newest"] == "the turn to answer"
    assert explained["tokens_by_kind"] == {"message": 10}
    assert explained["left_out"][0]["rule"] == "not_reached"


def test_explain_of_a_manifest_tells_what_was(good: Run, wilk: Run, talk: str) -> None:
    id = kept(good, "--max-tokens", "10")
    good("messages", "add", "user", "later")
    assert [
        item["first"] for item in good("context", "explain", "--manifest", id, "--json").json["items"]
    ] == [4, 5]
    refused = wilk("context", "explain", talk, "--manifest", id)
    assert (refused.code, refused.err) == (
        2, "wilk: error: --manifest explains what was kept; leave out session\n",
    )  # fmt: skip


def test_stats_count_and_show_what_takes_the_budget(good: Run, talk: str) -> None:
    kept(good)
    told = good("context", "stats").out
    assert "5 messages (5 tokens)" in told
    assert "message  25 tokens (0%)" in told
    assert good("context", "stats", "--json").json["manifests"] == 1


def test_manifests_are_listed_the_latest_first(good: Run, talk: str) -> None:
    ids = [kept(good), kept(good)]
    assert [one["id"] for one in good("context", "manifests", "--json").json] == ids[::-1]
    lines = good("context", "manifests", "--limit", "1").out.splitlines()
    assert lines[1].startswith(ids[1])
    assert len(lines) == 2


def test_without_manifests_it_says_how_to_keep_one(good: Run, talk: str) -> None:
    assert "context show --keep" in good("context", "manifests").out


def test_replay_gives_the_bytes_also_when_the_session_is_gone(good: Run, talk: str) -> None:
    id = kept(good, "--max-tokens", "5")
    good("sessions", "remove", talk, "--yes")
    assert spawn("context", "replay", id).out == '[{"content":"m5","role":"user"}]'


def test_diff_says_in_words_what_went_and_came(good: Run, talk: str) -> None:
    a = kept(good, "--max-tokens", "10")
    good("messages", "add", "user", "m6")
    b = kept(good, "--max-tokens", "10")
    assert good("context", "diff", a, b).out.splitlines() == [
        "the session had 5 messages, then 6",
        "message 4 (user: m4) was in A and is not in B: left out by rule not_reached: "
        "older than what the budget reached",
        "message 6 (user: m6) is in B and was not in A: it was written since",
        "1 items are the same",
    ]
    assert good("context", "diff", a, b, "--json").json["gone"][0]["first"] == 4


def test_remove_archives_a_manifest(good: Run, talk: str) -> None:
    id = kept(good)
    assert good("context", "remove", id).out == f"archived manifest {id}\n"
    assert good("archive", "list", "--kind", "manifest", "--json").json[0]["record_id"] == id


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["show", "--max-tokens", "1"], "what the context must hold takes 5 tokens and max_tokens is 1"),
        (["show", "--strategy", "x"], "no plugin offers the strategy 'x'"),
        (["show", "nobody"], "no session 'nobody'"),
        (["replay", "x"], "no manifest 'x'"),
        (["diff", "x", "y"], "no manifest 'x'"),
    ],
)
def test_what_cannot_be_is_an_error_without_a_traceback(
    wilk: Run, talk: str, arguments: list[str], said: str
) -> None:
    result = wilk("context", *arguments)
    assert (result.code, result.out) == (1, "")
    assert said in result.err
    assert "Traceback" not in result.err


def test_control_characters_of_messages_do_not_reach_the_terminal(good: Run, talk: str) -> None:
    good("messages", "add", "user", "\x1b[31mred")
    for verb in ("show", "explain"):
        assert "\x1b" not in good("context", verb).out
    assert json.loads(good("context", "show", "--json").out)[-1]["content"] == "\x1b[31mred"


def test_a_readonly_store_shows_and_keeps_nothing(good: Run, wilk: Run, talk: str) -> None:
    assert "m5" in good("context", "show", "--readonly").out
    assert wilk("context", "show", "--readonly", "--keep").code == 1
