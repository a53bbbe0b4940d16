"""``wilk index``: how far passages and vectors of records are, and making them."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import TYPE_CHECKING

from wilk.cli.output import Styled, is_terminal
from wilk.cli.parsing import Verb

if TYPE_CHECKING:
    from wilk.cli.context import Context
    from wilk.cli.parsing import Parser
    from wilk.records.search import IndexStatus

_STYLES = {"active": "green", "building": "yellow", "none": "dim"}


def commands() -> dict[str, Verb]:
    """The verbs."""
    return {
        "status": Verb(_status, "show how far the vectors of each kind of records are"),
        "update": Verb(_update, "make what is missing of the index now"),
        "rebuild": Verb(_rebuild, "make the index anew, beside the one that is searched", _rebuild_arguments),
    }


def _rebuild_arguments(parser: Parser) -> None:
    parser.add_argument(
        "kinds", metavar="KIND", nargs="*", help="message, memory, pin, document, summary, fact, … (all)"
    )


def _status(context: Context) -> None:
    _show(context, context.store.index.status())


def _update(context: Context) -> None:
    index, out = context.store.index, context.out
    done = index.update(progress=_progress(context))
    if out.json:
        out.document(index.status())
    elif context.settings.embedder == "none":
        out.note("texts are indexed; no vectors are made, because the setting embedder is none")
    else:
        out.note(f"{done} records looked at" if done else "nothing waits")


def _rebuild(context: Context) -> None:
    kinds = context.arguments.kinds or None
    _show(context, context.store.index.rebuild(kinds, progress=_progress(context)))


def _show(context: Context, found: list[IndexStatus]) -> None:
    out = context.out
    if out.json:
        out.document(found)
        return
    rows = [
        [
            one.kind,
            Styled(one.state, _STYLES.get(one.state, "")),
            str(one.records),
            str(one.embedded),
            str(one.pending),
            str(one.failed),
            one.model or "",
            one.searched_by or "",
        ]
        for one in found
    ]
    out.table(
        ["KIND", "STATE", "RECORDS", "EMBEDDED", "PENDING", "FAILED", "MODEL", "INDEX"],
        rows,
        right=[2, 3, 4, 5],
    )
    for one in found:
        if one.error is not None:
            out.line(Styled(f"{one.kind}: {one.error}", "red"))
    for reason in sorted({one.searched_by_reason for one in found if one.searched_by_reason is not None}):
        out.note(f"vectors are compared by this process: {reason}")
    waiting = sum(one.pending - one.failed for one in found)
    if context.settings.embedder == "none":
        out.note("no vectors are made: the setting embedder is none")
    elif waiting:
        out.note(
            f"{waiting} records wait for the next search, or for a process that stays open; "
            "`wilk index update` makes their vectors now"
        )


def _progress(context: Context) -> Callable[[int, int], None] | None:
    """Tells on one line of the terminal how far it is; nothing where nobody watches."""
    if context.out.quiet or not is_terminal(sys.stderr):
        return None

    def tell(done: int, of: int) -> None:
        end = "\n" if done >= of else ""
        sys.stderr.write(f"\r{done} of {of} records{end}")
        sys.stderr.flush()

    return tell
