"""``wilk patterns``: what was seen again and again."""

from __future__ import annotations

from typing import TYPE_CHECKING

from wilk.cli import kept
from wilk.cli.output import Styled, moment
from wilk.cli.parsing import Verb, completed

if TYPE_CHECKING:
    from wilk.cli.context import Context
    from wilk.cli.parsing import Parser


def commands() -> dict[str, Verb]:
    """The verbs."""
    return {
        "list": Verb(_list, "list patterns, the surest first", _list_arguments),
        "show": Verb(_show, "show a pattern", _one),
        "promote": Verb(_promote, "move a pattern that became lasting knowledge into the archive", _one),
        "remove": Verb(_remove, "move a pattern into the archive", _remove_arguments),
    }


def _list_arguments(parser: Parser) -> None:
    parser.add_argument("--type", help="those of a type, such as action_sequence")
    parser.add_argument(
        "--min-confidence", type=float, default=0.0, metavar="X", help="at least so sure, 0.0 to 1.0 (0.0)"
    )
    kept.limit_argument(parser)


def _one(parser: Parser) -> None:
    completed(parser.add_argument("id", metavar="ID", help="its id"), "patterns")


def _remove_arguments(parser: Parser) -> None:
    _one(parser)
    kept.remove_arguments(parser)


def _list(context: Context) -> None:
    arguments, out = context.arguments, context.out
    found = context.store.patterns.list(
        pattern_type=arguments.type, min_confidence=arguments.min_confidence, limit=arguments.limit
    )
    if out.json:
        out.document(found)
    elif not found:
        out.note("no patterns")
    else:
        rows = [
            [
                Styled(one.id, "cyan"),
                one.name,
                one.pattern_type,
                str(one.frequency),
                f"{one.confidence:.2f}",
                moment(one.updated_at),
            ]
            for one in found
        ]
        out.table(["ID", "NAME", "TYPE", "SEEN", "CONFIDENCE", "LAST"], rows, right=[3, 4], whole=[0])


def _show(context: Context) -> None:
    pattern = context.store.patterns.get(context.arguments.id)
    if context.out.json:
        context.out.document(pattern)
    else:
        context.out.fields(pattern._asdict().items())


def _promote(context: Context) -> None:
    pattern = context.store.patterns.promote(context.arguments.id)
    context.out.result(pattern, f"moved pattern {pattern.id} into the archive, as promoted", id=pattern.id)


def _remove(context: Context) -> int:
    patterns = context.store.patterns
    one = patterns.get(context.arguments.id)
    return kept.remove(context, f"pattern {one.id} ({one.name})", one, patterns.remove, one.id)
