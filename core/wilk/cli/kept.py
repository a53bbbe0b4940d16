"""What the commands for things kept as JSON share: reading it, and moving a record into the archive."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

from wilk.cli.output import is_terminal
from wilk.cli.parsing import UsageError, count
from wilk.errors import Invalid, NotFound

if TYPE_CHECKING:
    from collections.abc import Callable

    from wilk.cli.context import Context
    from wilk.cli.parsing import Parser


def limit_argument(parser: Parser) -> None:
    """Add how many are shown."""
    parser.add_argument("--limit", type=count, default=100, metavar="N", help="at most N (100)")


def remove_arguments(parser: Parser) -> None:
    """Add what every removal takes."""
    parser.add_argument("--reason", default="removed", help="why; the archive keeps it")
    parser.add_argument("-y", "--yes", action="store_true", help="do not ask")


def remove(context: Context, what: str, record: Any, removing: Callable[..., Any], key: str) -> int:
    """Move a record into the archive, once that is confirmed."""
    if not context.confirmed(f"Move {what} into the archive?"):
        context.out.note("nothing was changed")
        return 1
    removing(key, reason=context.arguments.reason)
    context.out.result(record, f"moved {what} into the archive")
    return 0


def read_json(text: str | None, *, file: str | None = None) -> Any:
    """The JSON of an argument, a file, or stdin where neither is given or either is ``-``."""
    from wilk import codec

    if text is not None and text != "-":
        return codec.parse(text)
    if file is not None and file != "-":
        try:
            with open(file, "rb") as opened:
                data = opened.read()
        except FileNotFoundError as error:
            raise NotFound("file", file) from error
        except OSError as error:
            raise Invalid(f"{file} cannot be read: {error.strerror}") from error
        return codec.parse(data)
    if is_terminal(sys.stdin):
        raise UsageError("JSON is wanted, or JSON on stdin")
    return codec.parse(sys.stdin.buffer.read())
