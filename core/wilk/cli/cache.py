"""``wilk cache``: how caches fare, and emptying them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from wilk.amounts import written_size
from wilk.cli.output import Styled
from wilk.cli.parsing import UsageError, Verb
from wilk.errors import NotFound, ReadOnly

if TYPE_CHECKING:
    from wilk.cli.context import Context
    from wilk.cli.parsing import Parser

_IN_MEMORY = "a store that is only read keeps its caches in memory, and leaves those on disk alone"


def commands() -> dict[str, Verb]:
    """The verbs."""
    return {
        "stats": Verb(_stats, "show entries, bytes, hits, misses and evictions of caches", _stats_arguments),
        "clear": Verb(_clear, "empty caches: what was in them is computed again", _clear_arguments),
    }


def _stats_arguments(parser: Parser) -> None:
    parser.add_argument("namespace", metavar="NAME", nargs="?", help="one cache (all)")


def _clear_arguments(parser: Parser) -> None:
    parser.add_argument("namespace", metavar="NAME", nargs="?", help="one cache (all)")
    parser.add_argument("--prefix", metavar="TEXT", help="what is under keys that begin so")
    parser.add_argument("--tag", metavar="TAG", help="what has this tag")
    parser.add_argument(
        "--expired", action="store_true", help="what has expired, which goes by itself as well"
    )


def _known(context: Context) -> str | None:
    namespace: str | None = context.arguments.namespace
    caches = context.store._caches
    if namespace is not None and namespace not in caches.namespaces():
        hint = _IN_MEMORY if context.settings.readonly else "`wilk cache stats` shows the ones there are"
        raise NotFound("cache", namespace, hint)
    return namespace


def _stats(context: Context) -> None:
    found, out = context.store._caches.statistics(_known(context)), context.out
    if out.json:
        out.document(found)
        return
    if not found:
        out.note(_IN_MEMORY if context.settings.readonly else "there are no caches yet")
        return
    rows = []
    for one in found:
        reads = one.hits + one.misses
        rows.append(
            [
                Styled(one.namespace, "cyan"),
                str(one.entries),
                written_size(one.bytes),
                written_size(one.max_bytes),
                str(one.hits),
                str(one.misses),
                f"{one.hits / reads:.0%}" if reads else "-",
                str(one.evictions),
            ]
        )
    headings = ["CACHE", "ENTRIES", "SIZE", "LIMIT", "HITS", "MISSES", "HIT RATE", "EVICTIONS"]
    out.table(headings, rows, right=range(1, 8))


def _clear(context: Context) -> None:
    arguments, out = context.arguments, context.out
    if context.settings.readonly:
        raise ReadOnly(_IN_MEMORY)
    if arguments.expired + (arguments.prefix is not None) + (arguments.tag is not None) > 1:
        raise UsageError("say one of --prefix, --tag and --expired")
    namespace, caches = _known(context), context.store._caches
    if arguments.expired:
        removed = caches.sweep() if namespace is None else caches.get(namespace).sweep()
    else:
        removed = caches.clear(namespace, prefix=arguments.prefix, tag=arguments.tag)
    if out.json:
        out.document({"removed": removed})
    else:
        out.note(f"removed {removed} entries" if removed != 1 else "removed 1 entry")
