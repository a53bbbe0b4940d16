"""``wilk search``: find what was said and kept, by words and by meaning."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from wilk.cli.choosing import chosen_session, session_argument
from wilk.cli.messages import read_stdin
from wilk.cli.output import Styled, moment
from wilk.cli.parsing import Verb, completed, count

if TYPE_CHECKING:
    from wilk.cli.context import Context
    from wilk.cli.output import Output
    from wilk.cli.parsing import Parser
    from wilk.records.search import Found, Reason

_MOMENT = 3.0


def commands() -> Verb:
    """The command, which has no verbs."""
    return Verb(_search, "find what was said and kept, by words and by meaning", _arguments)


def _arguments(parser: Parser) -> None:
    parser.add_argument("text", metavar="TEXT", nargs="+", help="any text; - reads it from stdin")
    parser.add_argument(
        "--kind",
        action="append",
        metavar="KIND",
        help="message, memory, pin, document, summary, fact, interaction or pattern; may be given several "
        "times (the first six)",
    )
    session_argument(parser, option=True, default="all sessions")
    completed(parser.add_argument("--user", metavar="ID", help="what belongs to one user"), "users")
    parser.add_argument("--limit", type=count, default=10, metavar="N", help="at most N (10)")
    parser.add_argument("--explain", action="store_true", help="show what each score is made of")


def _search(context: Context) -> None:
    arguments, out = context.arguments, context.out
    text = read_stdin() if arguments.text == ["-"] else " ".join(arguments.text)
    session = chosen_session(context, arguments.session).id if arguments.session else None
    if context.settings.embedder != "none":
        context.store.settle(_MOMENT)  # what commands before this one wrote gets its vectors first
    found = context.store.search(
        text, kinds=arguments.kind, session=session, user=arguments.user, limit=arguments.limit
    )
    if out.json:
        out.document(found)
        return
    if not found:
        out.note("nothing was found")
    for number, one in enumerate(found):
        if number:
            out.line()
        _show(out, one, explain=arguments.explain)


def _show(out: Output, found: Found, *, explain: bool) -> None:
    """Show what was found: a line about it, then the place in it, and with ``explain`` why."""
    about: list[str] = [Styled(found.kind, "green"), Styled(found.id, "cyan")]
    if found.kind == "message":
        about.append(f"{found.record.role}, number {found.record.sequence}")
    if found.session_id is not None:
        about.append(f"session {found.session_id}")
    if found.created_at is not None:
        about.append(Styled(moment(found.created_at), "dim"))
    out.line(*about)
    out.pieces(_marked(found), indent="    ")
    if explain:
        out.line(Styled(f"score {found.score:.5f}", "dim"), indent="    ")
        for reason in found.reasons:
            out.line(Styled(_told(reason), "dim"), indent="      ")


def _marked(found: Found) -> Iterator[str]:
    """A snippet in pieces, those that were hit in bold."""
    place = 0
    for begin, end in found.marks:
        yield found.snippet[place:begin]
        yield Styled(found.snippet[begin:end], "bold")
        place = end
    yield found.snippet[place:]


def _told(reason: Reason) -> str:
    what = {"text": "words: BM25", "vector": "meaning: cosine"}.get(reason.by, reason.by)
    return f"+ {reason.share:.5f}  {what} {reason.value:.3f}, place {reason.rank}"
