"""Units: a tool call and its results are one, whatever provider's shape they have.

A session is walked from its newest message to older ones. A unit is closed when the call of each of
its results has been found; then it is sound, or it is left out with a rule that says why not.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from wilk.context import rules
from wilk.records.context import ContextItem

_CALLS = frozenset({"tool_call", "tool_use", "function_call"})
_RESULTS = frozenset({"tool_result", "function_call_output"})
# OpenAI's Responses items have an id of their own beside the call's.
_CALL_KEYS = ("call_id", "tool_call_id", "toolCallId", "id")
_RESULT_KEYS = ("tool_call_id", "tool_use_id", "call_id", "toolCallId")
EXTRA = ("tool_calls", "tool_call_id")
"""What of a message's metadata is sent along, because providers pair calls and results by it."""


class Links(NamedTuple):
    """The ids of the calls that a message makes, and of those that it answers."""

    calls: frozenset[str]
    results: frozenset[str]


_NONE = Links(frozenset(), frozenset())


class Candidate(NamedTuple):
    """What a strategy takes whole or not at all: a unit of messages, or a summary.

    ``first`` and ``last`` are the sequence that it stands for, ``score`` the highest importance in
    it, ``tokens`` what it costs. One that is not ``complete`` reaches further back than the budget.
    """

    items: Sequence[ContextItem]
    complete: bool = True

    @property
    def kind(self) -> str:
        return self.items[0].kind

    @property
    def first(self) -> int:
        return self.items[0].first or 0

    @property
    def last(self) -> int:
        return self.items[-1].last or 0

    @property
    def score(self) -> float:
        return max(item.score or 0.0 for item in self.items)

    @property
    def tokens(self) -> int:
        return sum(item.tokens for item in self.items)

    @property
    def text(self) -> str:
        return "\n".join(item.text for item in self.items)


def extra_of(metadata: Mapping[str, Any]) -> dict[str, Any] | None:
    """What of a message's metadata is sent along, or None."""
    return {name: metadata[name] for name in EXTRA if metadata.get(name)} or None


def links(item: ContextItem) -> Links:
    """Find calls and results in the shapes of OpenAI, Anthropic and LibreChat."""
    if item.parts is None and item.extra is None:
        return _NONE
    calls: set[str] = set()
    results: set[str] = set()
    for part in item.parts or ():
        if isinstance(part, Mapping):
            _read(part, calls, results)
    extra = item.extra or {}
    made = extra.get("tool_calls")
    for call in made if isinstance(made, Sequence) and not isinstance(made, str) else ():
        if isinstance(call, Mapping):
            calls |= _id(call, _CALL_KEYS)
    results |= _id(extra, ("tool_call_id",))
    return Links(frozenset(calls), frozenset(results))


def _read(part: Mapping[str, Any], calls: set[str], results: set[str]) -> None:
    kind = str(part.get("type", "")).replace("-", "_")
    if kind in _RESULTS:
        results |= _id(part, _RESULT_KEYS)
    elif kind in _CALLS:
        inner = part.get("tool_call")
        call = inner if isinstance(inner, Mapping) else part
        id = _id(call, _CALL_KEYS) or _id(part, _CALL_KEYS)
        calls |= id
        if call.get("output") is not None or call.get("result") is not None:
            results |= id  # LibreChat keeps the answer within the call


def _id(source: Mapping[str, Any], keys: Sequence[str]) -> set[str]:
    for key in keys:
        value = source.get(key)
        if isinstance(value, (str, int)) and not isinstance(value, bool) and value != "":
            return {str(value)}
    return set()


class Units:
    """Groups messages, newest first, into units.

    ``room()`` tells how many tokens may still be taken: a call is not looked for further back than
    that. ``reject(item, rule)`` hears of messages that cannot be sent. ``newest``: the first unit is
    the turn to answer, whose calls may still be open.
    """

    def __init__(
        self,
        items: Iterable[ContextItem],
        room: Callable[[], int],
        reject: Callable[[ContextItem, str], None],
        *,
        newest: bool = True,
    ) -> None:
        self._items: Iterator[ContextItem] = iter(items)
        self._room = room
        self._reject = reject
        self._newest = newest
        self._again: list[ContextItem] = []  # the newest of them last
        self._lost: set[str] = set()  # calls whose results cannot be sent
        self.span: list[ContextItem] = []
        """The messages of the unit that is being put together, newest first."""

    def __iter__(self) -> Iterator[Candidate]:
        wanted: set[str] = set()
        waiting = False  # a tool message without an id waits for the message that it follows
        while True:
            item = self._again.pop() if self._again else next(self._items, None)
            if item is None:
                if not self.span:
                    return
                self._regroup(wanted, ended=True)
                wanted, waiting = set(), False
                continue
            calls, results = links(item)
            self.span.append(item)
            wanted = (wanted | results) - calls
            if item.role != "tool":
                waiting = False
            elif not calls and not results:
                waiting = True
            if not wanted and not waiting:
                unit = self._closed()
                if unit is not None:
                    yield unit
            elif sum(one.tokens for one in self.span) > self._room():
                if all(one.role == "tool" or links(one).results for one in self.span):
                    # Nothing but results, and their call would be next: too long to be sent.
                    self._lost |= wanted
                    unit = Candidate(tuple(reversed(self.span)), complete=False)
                    self.span, self._newest = [], False
                    yield unit
                else:
                    self._regroup(wanted, ended=False)
                wanted, waiting = set(), False

    def _closed(self) -> Candidate | None:
        """The unit that is put together, or None when it is not sound."""
        unit = tuple(reversed(self.span))
        self.span = []
        calls: set[str] = set()
        unanswered: set[str] = set()
        for made, results in map(links, unit):  # in order: an id may be used again after its answer
            calls |= made
            unanswered = (unanswered | made) - results
        lost = unanswered & self._lost
        self._lost -= calls
        if lost or (unanswered and not self._newest):
            for item in unit:
                self._reject(item, rules.RESULT_LEFT_OUT if lost else rules.CALL_UNANSWERED)
            return None
        self._newest = False
        return Candidate(unit)

    def _regroup(self, wanted: set[str], *, ended: bool) -> None:
        """Reject the results whose call was not found, and look at the others again."""
        span, self.span = self.span, []
        lost = set(wanted)
        bad: set[int] = set()
        grown = True
        while grown:
            grown = False
            owner: int | None = None
            for place in reversed(range(len(span))):
                calls, results = links(span[place])
                bare = span[place].role == "tool" and not calls and not results
                if span[place].role != "tool":
                    owner = place
                orphan = bare and (owner in bad or (owner is None and ended))
                if place not in bad and (orphan or (calls | results) & lost):
                    bad.add(place)
                    lost |= calls | results
                    grown = True
        for place in bad:
            self._reject(span[place], rules.ORPHAN_RESULT)
        self._lost |= lost
        self._again += [span[place] for place in reversed(range(len(span))) if place not in bad]


def check(items: Sequence[ContextItem], newest: int) -> None:
    """Hold an assembled context to the law: no result without its call, and no call before the
    turn to answer (sequence ``newest`` on) without its result. A breach is a fault of wilk's."""
    called: set[str] = set()
    open: dict[str, int] = {}
    for item in items:
        calls, results = links(item)
        for id in calls:
            open[id] = item.first or 0
        called |= calls
        if stray := results - called:
            raise AssertionError(f"message {item.first}: result of {min(stray)!r} without its call")
        for id in results:
            open.pop(id, None)
    if early := [id for id, sequence in open.items() if sequence < newest]:
        raise AssertionError(f"message {open[early[0]]}: call {early[0]!r} without its result")
