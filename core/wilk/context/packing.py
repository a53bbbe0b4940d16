"""Packing: what a strategy sees and does while a context is filled. It keeps the budget."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import pairwise
from typing import TYPE_CHECKING, Any, Protocol

from wilk import codec
from wilk.context import rules
from wilk.context.budget import OVERHEAD as OVERHEAD
from wilk.context.units import Candidate, Units, links
from wilk.errors import Invalid
from wilk.records.context import ContextItem, LeftOut

if TYPE_CHECKING:
    from wilk.records.conversation import Session

REACH = 8
"""How many messages before and after one that is not walked to belong to its unit at most."""


class Source(Protocol):
    """Where a packing's messages and summaries come from; all of one state of the store."""

    def recent(self, before: int) -> Iterator[ContextItem]:
        """Messages before a sequence, the newest first, read one by one as they are asked for."""

    def important(self, before: int) -> Iterator[ContextItem]:
        """Messages of importance 0.8 and above before a sequence, the most important first."""

    def relevant(self) -> Iterator[ContextItem]:
        """Messages that the query finds, the best first."""

    def window(self, first: int, last: int) -> list[ContextItem]:
        """All messages from one sequence to another, the newest first."""

    def summaries(self) -> list[ContextItem]:
        """The most important summaries, among equals the latest, first."""


class Packing:
    """A context that is being filled. The floors are in when a strategy gets it.

    ``budget`` is the most that the context may hold, ``remaining`` what is left of it, both in
    tokens; ``session`` the session's record; ``query`` what the caller asked for, or None.
    """

    def __init__(
        self, source: Source, session: Session, *, budget: int, query: str | None, start: int
    ) -> None:
        self.session = session
        self.budget = budget
        self.query = query
        self._source = source
        self._start = start  # the sequence of the last leading system message
        self._used = 0
        self._by_rule: dict[str, int] = {}
        self._known: dict[tuple[str, str | None], ContextItem] = {}
        self._taken: dict[tuple[str, str | None], ContextItem] = {}
        self._left: dict[tuple[str, str | None], str] = {}
        self._ranges: list[tuple[int, int]] = []
        self._units: list[Candidate] = []
        self._grouping = Units(self._walk(), self._room, self._reject)
        self._grouped = iter(self._grouping)
        self._summaries: list[Candidate] | None = None
        self._filling = False

    # -- what there is --------------------------------------------------------------------

    @property
    def remaining(self) -> int:
        return self.budget - self._used

    def recent(self) -> Iterator[Candidate]:
        """Units of messages, the newest first, that are not in and that no summary in the context
        stands for. They are read as they are asked for, so stop at the first that is too much.

        Each call begins at the newest again.
        """
        place = 0
        while True:
            while place < len(self._units):
                unit = self._units[place]
                place += 1
                if not self._is_in(unit) and not self._is_summarized(unit):
                    yield unit
            if self._next() is None:
                return

    def important(self) -> Iterator[Candidate]:
        """Units with a message of importance 0.8 and above, older than what :meth:`recent` has given
        and was taken, the most important first."""
        taken = [item.first or 0 for item in self._taken.values() if item.rule in _NEW]
        for item in self._source.important(min(taken, default=self.session.last_sequence + 1)):
            yield from self._unit_of(item)

    def relevant(self) -> Iterator[Candidate]:
        """Units with a message that the query finds, the best first; nothing without a query."""
        if self.query:
            for item in self._source.relevant():
                yield from self._unit_of(item)

    @property
    def summaries(self) -> Sequence[Candidate]:
        """Summaries that are not in, the most important first, among equals the latest."""
        if self._summaries is None:
            self._summaries = [Candidate((self._know(item),)) for item in self._source.summaries()]
        return [one for one in self._summaries if not self._is_in(one)]

    def has(self, first: int, last: int) -> bool:
        """Whether a message of that part of the session is in the context."""
        return any(
            first <= (item.first or 0) <= last for item in self._taken.values() if item.kind == "message"
        )

    # -- what to do with it ---------------------------------------------------------------

    def take(
        self, candidate: Candidate, rule: str, *, within: float | None = None, spare: float = 0.0
    ) -> bool:
        """Put a candidate in, whole, and return True; or return False, when it does not fit or is in.

        ``within``: all that is taken by this rule stays within that share of the budget.
        ``spare``: the share of the budget that must be left free.
        """
        if not isinstance(rule, str) or not rule:
            raise Invalid(f"rule {rule!r}: a word or sentence that says why is wanted")
        own = [self._own(item) for item in candidate.items]
        new = [item for item in own if _key(item) not in self._taken]
        if not new:
            return False
        cost = sum(item.tokens for item in new)
        fits = cost <= self.remaining - int(max(0.0, spare) * self.budget)
        if fits and within is not None:
            fits = self._by_rule.get(rule, 0) + cost <= int(within * self.budget)
        if not fits or not candidate.complete:
            for item in new:
                self._left[_key(item)] = rules.NO_ROOM
            return False
        for item in new:
            self._put(item, rule)
        return True

    def leave(self, candidate: Candidate, rule: str) -> None:
        """Note why a candidate stays out; it may still be taken later."""
        for item in candidate.items:
            self._left[_key(self._own(item))] = rule

    # -- for whoever assembles the context ---------------------------------------------------

    def force(self, items: Sequence[ContextItem]) -> None:
        """Put floors in, whatever they cost."""
        for item in items:
            self._put(self._know(item), item.rule)

    def newest(self) -> Candidate | None:
        """The newest unit that can be sent, or None; asked for once, before anything else."""
        unit = self._next()
        self._filling = True
        return unit

    def finished(self) -> tuple[list[ContextItem], list[LeftOut]]:
        """What went in, in order, and what stayed out."""
        # Floors keep the order in which they came.
        items = sorted(
            self._taken.values(),
            key=lambda item: (_ORDER[item.kind], (item.first or 0) if _ORDER[item.kind] > 2 else 0),
        )
        out = [
            LeftOut(
                item.kind, item.id, item.first, item.last, 1 if item.kind == "message" else 0,
                self._why(key, item), item.score, item.tokens,
            )
            for key, item in self._known.items()
            if key not in self._taken
        ]  # fmt: skip
        out += self._gaps()
        return items, sorted(out, key=lambda one: (_ORDER[one.kind], one.first or 0, one.id or ""))

    # -- within ---------------------------------------------------------------------------

    def _next(self) -> Candidate | None:
        if self._filling and self.remaining < OVERHEAD and not self._grouping.span:
            return None  # nothing could be taken, so nothing need be read
        unit = next(self._grouped, None)
        if unit is not None:
            self._units.append(unit)
        return unit

    def _room(self) -> int:
        # The turn to answer is a floor: the whole budget is its bound, and what it exceeds is told.
        return self.remaining if self._filling else self.budget

    def _walk(self) -> Iterator[ContextItem]:
        """Messages, the newest first; where no unit is open, ranges of summaries are skipped."""
        before = self.session.last_sequence + 1
        while True:
            skipped = None
            for item in self._source.recent(before):
                if not self._grouping.span and (skipped := self._range_of(item.first or 0)) is not None:
                    break
                yield self._know(item)
            if skipped is None:
                return
            before = skipped[0]

    def _unit_of(self, item: ContextItem) -> Iterator[Candidate]:
        """The unit that a message belongs to, unless it is in."""
        if _key(item) in self._taken or (item.first or 0) <= self._start:
            return
        if item.role == "user" and not any(links(item)):
            yield Candidate((self._know(item),))
            return
        sequence = item.first or 0
        around = self._source.window(max(self._start + 1, sequence - REACH), sequence + REACH)
        total = sum(one.tokens for one in around)
        for unit in Units(around, lambda: total, lambda _item, _rule: None, newest=False):
            if unit.first <= sequence <= unit.last and any(one.id == item.id for one in unit.items):
                yield Candidate(tuple(map(self._know, unit.items)), unit.complete)
                return
        self._left.setdefault(_key(self._know(item)), rules.ORPHAN_RESULT)

    def _know(self, item: ContextItem) -> ContextItem:
        return self._known.setdefault(_key(item), item)

    def _own(self, item: ContextItem) -> ContextItem:
        """The item as it was offered: what a strategy makes itself has no known cost."""
        found = self._known.get(_key(item))
        if found is None:
            raise Invalid(f"{item.kind} {item.id!r} was not offered by this packing")
        return found

    def _put(self, item: ContextItem, rule: str) -> None:
        self._taken[_key(item)] = item._replace(rule=rule)
        self._used += item.tokens
        self._by_rule[rule] = self._by_rule.get(rule, 0) + item.tokens
        if item.kind == "summary":
            self._ranges.append((item.first or 0, item.last or 0))

    def _reject(self, item: ContextItem, rule: str) -> None:
        self._left[_key(item)] = rule

    def _is_in(self, candidate: Candidate) -> bool:
        return all(_key(item) in self._taken for item in candidate.items)

    def _range_of(self, sequence: int) -> tuple[int, int] | None:
        return next((one for one in self._ranges if one[0] <= sequence <= one[1]), None)

    def _is_summarized(self, unit: Candidate) -> bool:
        return all(self._range_of(item.first or 0) for item in unit.items)

    def _why(self, key: tuple[str, str | None], item: ContextItem) -> str:
        if item.kind == "message" and self._range_of(item.first or 0):
            return rules.SUMMARIZED
        return self._left.get(key, rules.NOT_CHOSEN)

    def _gaps(self) -> Iterator[LeftOut]:
        """The runs of messages that were not looked at one by one."""
        looked = {item.first or 0 for item in self._known.values() if item.kind in ("message", "system")}
        marks = sorted(looked | {0, self.session.last_sequence + 1})
        for before, after in pairwise(marks):
            first = before + 1
            for start, end in sorted(self._ranges):
                if start < after and end >= first:
                    if first < start:
                        yield _run(first, start - 1, rules.NOT_REACHED)
                    yield _run(max(first, start), min(end, after - 1), rules.SUMMARIZED)
                    first = end + 1
            if first < after:
                yield _run(first, after - 1, rules.NOT_REACHED)


_ORDER = {"system": 0, "block": 1, "pin": 2, "summary": 3, "message": 4}
_NEW = frozenset({rules.NEWEST, rules.RECENT})


def _key(item: ContextItem) -> tuple[str, str | None]:
    return item.kind, item.id


def _run(first: int, last: int, rule: str) -> LeftOut:
    return LeftOut("message", None, first, last, last - first + 1, rule, None, None)


def cost(
    text: str, parts: Sequence[Any] | None, extra: Mapping[str, Any] | None, count: Callable[[str], int]
) -> int:
    """What a message takes of a budget: its text, its parts and calls as JSON, and the overhead."""
    tokens = OVERHEAD + count(text)
    for value in (parts, extra):
        if value:
            tokens += count(codec.canonical(value).decode())
    return tokens
