"""The strategies that ship: discard, summarize, hybrid. They come in as any plugin's would.

The shares of hybrid are the Wilk seed's: memory 20 %, critical messages 30 %, a buffer of 5 %.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from wilk.context import rules
from wilk.context.packing import Packing
from wilk.context.units import Candidate
from wilk.contracts import Strategy
from wilk.hookspecs import hookimpl

SUMMARIES = 0.20
CRITICAL = 0.30
BUFFER = 0.05
_MISSES = 8
"""After so many in a row that do not fit, the smaller ones behind them are not looked for."""


@hookimpl
def register_strategies() -> Iterator[Strategy]:
    yield Strategy("discard", discard, "the newest turns that fit; older ones are left out")
    yield Strategy("summarize", summarize, "summaries in a fifth of the budget, then the newest turns")
    yield Strategy("hybrid", hybrid, "summaries, the newest turns, and older ones that matter")


def discard(packing: Packing) -> None:
    """Fill with the newest turns, without a gap."""
    _newest(packing)


def summarize(packing: Packing) -> None:
    """Fill a fifth with summaries, the rest with the newest turns, what is left with summaries."""
    _summaries(packing, within=SUMMARIES)
    _newest(packing)
    _summaries(packing, within=None)


def hybrid(packing: Packing) -> None:
    """Share the budget among summaries, the newest turns and older ones that matter.

    What one of them does not use goes to the newest turns, and then to more summaries.
    """
    _summaries(packing, within=SUMMARIES, spare=BUFFER)
    _newest(packing, within=1 - SUMMARIES - CRITICAL - BUFFER, spare=BUFFER)
    _some(packing, packing.relevant(), rules.RELEVANT, within=CRITICAL / 2)
    _some(packing, packing.important(), rules.IMPORTANT, within=CRITICAL)
    _newest(packing, spare=BUFFER)
    _summaries(packing, within=None, spare=BUFFER)


def _newest(packing: Packing, *, within: float | None = None, spare: float = 0.0) -> None:
    for unit in packing.recent():
        if not packing.take(unit, rules.RECENT, within=within, spare=spare):
            return


def _summaries(packing: Packing, *, within: float | None, spare: float = 0.0) -> None:
    for summary in packing.summaries:
        if packing.has(summary.first, summary.last):
            packing.leave(summary, rules.IN_FULL)
        else:
            packing.take(summary, rules.SUMMARY, within=within, spare=spare)


def _some(packing: Packing, candidates: Iterable[Candidate], rule: str, *, within: float) -> None:
    misses = 0
    for candidate in candidates:
        misses = 0 if packing.take(candidate, rule, within=within, spare=BUFFER) else misses + 1
        if misses == _MISSES:
            return
