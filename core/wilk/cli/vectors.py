"""``wilk vectors``: collections of vectors."""

from __future__ import annotations

from typing import TYPE_CHECKING

from wilk.cli import kept
from wilk.cli.output import Styled, moment
from wilk.cli.parsing import Verb

if TYPE_CHECKING:
    from wilk.cli.context import Context
    from wilk.cli.parsing import Parser


def commands() -> dict[str, Verb]:
    """The verbs."""
    return {
        "list": Verb(_list, "list the collections, with their models and how much is in them"),
        "drop": Verb(_drop, "move all vectors of a collection into the archive", _drop_arguments),
    }


def _drop_arguments(parser: Parser) -> None:
    parser.add_argument("collection", metavar="NAME", help="the collection")
    kept.remove_arguments(parser)


def _list(context: Context) -> None:
    out = context.out
    collections = context.store.vectors.collections()
    if out.json:
        out.document(collections)
    elif not collections:
        out.note("no collections; store.vectors.add makes one, and so does an embedder")
    else:
        rows = [
            [
                Styled(one.name, "cyan"),
                one.model or "-",
                str(one.dimension),
                one.distance,
                str(one.count),
                one.state,
                moment(one.updated_at),
            ]
            for one in collections
        ]
        out.table(
            ["NAME", "MODEL", "DIMENSION", "DISTANCE", "VECTORS", "STATE", "UPDATED"],
            rows,
            right=[2, 4],
            whole=[0],
        )


def _drop(context: Context) -> int:
    name, out = context.arguments.collection, context.out
    vectors = context.store.vectors
    vectors.collection(name)
    what = f"all vectors of {name}"
    if not context.confirmed(f"Move {what} into the archive?"):
        out.note("nothing was changed")
        return 1
    count = vectors.drop(name, reason=context.arguments.reason)
    out.result({"collection": name, "vectors": count}, f"moved {what} into the archive: {count}")
    return 0
