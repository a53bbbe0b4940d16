"""``wilk facts``: what holds, since when, and since when it was known."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any

from wilk.cli import kept
from wilk.cli.output import Styled, moment, word
from wilk.cli.parsing import Verb, completed, mapping
from wilk.errors import WilkError

if TYPE_CHECKING:
    from wilk.cli.context import Context
    from wilk.cli.parsing import Parser
    from wilk.records.memory import Fact

_TIME = "such as 2026-01-31 or 2026-01-31T12:00:00Z; without a zone the local one is meant"


def commands() -> dict[str, Verb]:
    """The verbs."""
    return {
        "list": Verb(_list, "list what holds", _list_arguments),
        "add": Verb(_add, "record a fact", _add_arguments),
        "retract": Verb(_retract, "stop believing a fact; it stays in the history", _retract_arguments),
        "history": Verb(_history, "list every version of what was recorded", _history_arguments),
    }


def _user_argument(parser: Parser, help: str) -> None:
    completed(parser.add_argument("--user", metavar="ID", help=help), "users")


def _list_arguments(parser: Parser) -> None:
    parser.add_argument("subject", metavar="SUBJECT", nargs="?", help="facts about one subject")
    parser.add_argument("--predicate", metavar="TEXT", help="facts of one kind, such as 'lives in'")
    _user_argument(parser, "a user's facts alone")
    parser.add_argument("--valid-at", type=_time, metavar="TIME", help=f"what held then (now), {_TIME}")
    parser.add_argument("--known-at", type=_time, metavar="TIME", help="as the store believed then (now)")
    kept.limit_argument(parser)


def _add_arguments(parser: Parser) -> None:
    parser.add_argument("subject", metavar="SUBJECT", help="what it is about")
    parser.add_argument("predicate", metavar="PREDICATE", help="such as 'lives in'")
    parser.add_argument(
        "object", metavar="OBJECT", help='a text, or JSON: 5 is a number, \'"5"\' a text, {"a": 1} an object'
    )
    parser.add_argument("--from", dest="valid_from", type=_time, metavar="TIME", help=f"since when, {_TIME}")
    parser.add_argument("--to", dest="valid_to", type=_time, metavar="TIME", help="until just before when")
    parser.add_argument("--confidence", type=float, default=1.0, metavar="X", help="0.0 to 1.0 (1.0)")
    _user_argument(parser, "the user whose fact it is")
    parser.add_argument("--source", metavar="ID", help="the message that it comes from")
    parser.add_argument("--metadata", type=mapping, metavar="JSON", help="more about it, as a JSON object")


def _retract_arguments(parser: Parser) -> None:
    parser.add_argument("id", metavar="ID", help="its id")


def _history_arguments(parser: Parser) -> None:
    parser.add_argument("subject", metavar="SUBJECT", help="what they are about")
    parser.add_argument("predicate", metavar="PREDICATE", nargs="?", help="facts of one kind")
    _user_argument(parser, "a user's facts alone")
    kept.limit_argument(parser)


def _time(text: str) -> datetime:
    """A time for ``type=``."""
    try:
        return datetime.fromisoformat(text).astimezone()
    except (ValueError, OverflowError, OSError):
        raise argparse.ArgumentTypeError(f"{text!r} is not a time, {_TIME}") from None


def _object(text: str) -> Any:
    """JSON where it is JSON, else the text itself."""
    from wilk import codec

    try:
        return codec.parse(text)
    except WilkError:
        return text


def _user(context: Context) -> dict[str, Any]:
    return {} if context.arguments.user is None else {"user": context.arguments.user}


def _list(context: Context) -> None:
    arguments = context.arguments
    facts = context.store.facts.list(
        arguments.subject,
        predicate=arguments.predicate,
        valid_at=arguments.valid_at,
        known_at=arguments.known_at,
        limit=arguments.limit,
        **_user(context),
    )
    _show(context, facts)


def _history(context: Context) -> None:
    arguments = context.arguments
    facts = context.store.facts.history(
        arguments.subject, arguments.predicate, limit=arguments.limit, **_user(context)
    )
    _show(context, facts, history=True)


def _add(context: Context) -> None:
    arguments = context.arguments
    fact = context.store.facts.add(
        arguments.subject,
        arguments.predicate,
        _object(arguments.object),
        valid_from=arguments.valid_from,
        valid_to=arguments.valid_to,
        confidence=arguments.confidence,
        user=arguments.user,
        source=arguments.source,
        metadata=arguments.metadata,
    )
    context.out.result(fact, f"recorded fact {fact.id}", id=fact.id)


def _retract(context: Context) -> None:
    fact = context.store.facts.retract(context.arguments.id)
    context.out.result(fact, f"retracted fact {fact.id}", id=fact.id)


def _show(context: Context, facts: Sequence[Fact], *, history: bool = False) -> None:
    out = context.out
    if out.json:
        out.document(facts)
        return
    if not facts:
        out.note("no facts")
        return
    headings = ["ID", "SUBJECT", "PREDICATE", "OBJECT", "FROM", "TO"]
    rows = [
        [
            Styled(fact.id, "cyan"),
            fact.subject,
            fact.predicate,
            word(fact.object),
            _moment(fact.valid_from),
            _moment(fact.valid_to),
            *([_moment(fact.recorded_at), _moment(fact.retracted_at)] if history else []),
        ]
        for fact in facts
    ]
    out.table(headings + (["RECORDED", "RETRACTED"] if history else []), rows, whole=[0])


def _moment(time: datetime | None) -> str:
    return "" if time is None else moment(time)
