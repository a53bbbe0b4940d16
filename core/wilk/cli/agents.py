"""``wilk agents``."""

from __future__ import annotations

from typing import TYPE_CHECKING

from wilk.cli import rendering
from wilk.cli.definitions import verbs
from wilk.cli.kinds import Kind
from wilk.cli.output import Styled, moment
from wilk.cli.parsing import Verb, days

if TYPE_CHECKING:
    from wilk.cli.context import Context
    from wilk.cli.parsing import Parser

KIND = Kind(
    "agents",
    "an agent",
    (("NAME", "name"), ("VERSION", "version"), ("MODEL", "model"), ("CATEGORY", "category")),
)


def commands() -> dict[str, Verb]:
    """The verbs."""
    return {
        **verbs(KIND),
        "render": rendering.verb(KIND),
        "usage": Verb(_usage, "count messages and tokens per agent, the busiest first", _usage_arguments),
    }


def _usage_arguments(parser: Parser) -> None:
    parser.add_argument("--days", type=days, default=30.0, metavar="N", help="over the last N days (30)")


def _usage(context: Context) -> None:
    usage, out = context.store.messages.usage(days=context.arguments.days), context.out
    if out.json:
        out.document(usage)
        return
    if not usage:
        out.note(f"no agent said anything in the last {context.arguments.days:g} days")
        return
    rows = [
        [
            Styled(one.agent_id, "cyan"),
            str(one.messages),
            str(one.tokens),
            f"{one.average_tokens:.0f}",
            moment(one.first_at),
            moment(one.last_at),
        ]
        for one in usage
    ]
    out.table(["AGENT", "MESSAGES", "TOKENS", "ON AVERAGE", "FIRST", "LAST"], rows, right=[1, 2, 3])
