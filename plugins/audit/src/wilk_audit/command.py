"""``wilk audit``: the newest entries of the journal."""

from __future__ import annotations

import json
from argparse import ArgumentParser, ArgumentTypeError, Namespace
from typing import TYPE_CHECKING

from wilk_audit.journal import entries

if TYPE_CHECKING:
    from wilk import Store


def configure(parser: ArgumentParser) -> None:
    """Add the arguments. That ``--json`` is there is wilk's doing."""
    parser.add_argument("--kind", metavar="KIND", help="only of this kind, such as message or agents")
    parser.add_argument("--last", metavar="N", type=_count, default=20, help="how many (20)")


def run(arguments: Namespace, store: Store) -> int:
    """Show the entries, the latest first."""
    found = entries(store, kind=arguments.kind, last=arguments.last)
    if getattr(arguments, "json", False):
        shown = [{**entry._asdict(), "moment": entry.moment.isoformat()} for entry in found]
        print(json.dumps(shown, indent=2))
        return 0
    for entry in found:
        moment = f"{entry.moment.astimezone():%Y-%m-%d %H:%M:%S}"
        what = "/".join(filter(None, (entry.kind, entry.record_id)))
        line = "  ".join(filter(None, (moment, entry.actor, f"{entry.event:7}", what, entry.summary)))
        print("".join(c if c.isprintable() else ascii(c)[1:-1] for c in line).rstrip())
    return 0


def _count(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise ArgumentTypeError(f"{text!r} is not a whole number from 1")
    return int(text)
