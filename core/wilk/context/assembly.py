"""Assembly: floors first, then what the strategy takes, then a check of the whole."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from wilk.context import rules
from wilk.context.packing import Packing, cost
from wilk.context.units import check
from wilk.contracts import Strategy
from wilk.errors import OverBudget, PluginError, WilkError
from wilk.records.context import ContextItem, LeftOut

_PARTS = {"system": "system prompt", "block": "working memory", "pin": "pins", "message": "newest turn"}


def note(
    kind: str,
    id: str | None,
    text: str,
    rule: str,
    count: Callable[[str], int],
    *,
    first: int | None = None,
    last: int | None = None,
    score: float | None = None,
) -> ContextItem:
    """A system message that wilk writes: a block, a pin, a summary, the system prompt."""
    return ContextItem(
        kind, id, first, last, "system", text, None, None, rule, score, cost(text, None, None, count)
    )


def assemble(
    packing: Packing, floors: Sequence[ContextItem], strategy: Strategy
) -> tuple[list[ContextItem], list[LeftOut]]:
    """Fill a packing and return what is in, in order, and what stays out.

    Raises OverBudget when the floors alone do not fit, and PluginError when the strategy fails.
    """
    packing.force(floors)
    newest = packing.newest()
    if newest is not None:
        packing.force([item._replace(rule=rules.NEWEST) for item in newest.items])
    if packing.remaining < 0:
        raise OverBudget(_too_much(packing.budget, [*floors, *(newest.items if newest else ())]))
    try:
        strategy.fill(packing)
    except WilkError:
        raise
    except Exception as error:
        raise PluginError(
            f"the strategy {strategy.name!r} failed: {type(error).__name__}: {error}; "
            "build with another one, or mend its plugin"
        ) from error
    items, left_out = packing.finished()
    check(items, newest.first if newest else packing.session.last_sequence + 1)
    return items, left_out


def _too_much(budget: int, items: Sequence[ContextItem]) -> str:
    parts: dict[str, int] = {}
    for item in items:
        parts[item.kind] = parts.get(item.kind, 0) + item.tokens
    told = ", ".join(f"{_PARTS[kind]} {tokens:,}" for kind, tokens in parts.items())
    return (
        f"what the context must hold takes {sum(parts.values()):,} tokens and max_tokens is {budget:,}: "
        f"{told}; raise max_tokens, or shorten what is too long"
    )
