"""``wilk tokens count``: how many tokens a text has, exactly and by wilk's heuristic."""

from __future__ import annotations

import json
import sys
from argparse import ArgumentParser, Namespace
from pathlib import Path

from wilk import Invalid, NotFound
from wilk.tokens import estimate


def configure(parser: ArgumentParser) -> None:
    """Add the verb ``count``. That ``--json`` is there is wilk's doing."""
    verbs = parser.add_subparsers(dest="verb", required=True, metavar="VERB")
    verb = verbs.add_parser("count", help="count the tokens of a file or of standard input")
    verb.add_argument("file", nargs="?", default="-", metavar="FILE", help="a UTF-8 text; - is stdin")
    verb.add_argument("--model", metavar="MODEL", help="the model whose tokens are counted")


def run(arguments: Namespace) -> int:
    """Count, and show both counts. No store is opened."""
    from wilk_tokens.counting import count, encoding_of

    text = _read(arguments.file)
    exact, heuristic = count(text, arguments.model), estimate(text)
    encoding = encoding_of(arguments.model)
    if getattr(arguments, "json", False):
        found = {"model": arguments.model, "encoding": encoding, "exact": exact, "heuristic": heuristic}
        print(json.dumps(found, indent=2))
    else:
        off = f" ({(heuristic - exact) / exact:+.0%})" if exact else ""
        print(f"exact      {exact:>10}  {encoding}\nheuristic  {heuristic:>10}  a token per four bytes{off}")
    return 0


def _read(file: str) -> str:
    try:
        data = sys.stdin.buffer.read() if file == "-" else Path(file).read_bytes()
    except FileNotFoundError:
        raise NotFound("file", file) from None
    except OSError as error:
        raise Invalid(f"{file} cannot be read: {error.strerror}") from error
    # What is not UTF-8 is counted as the replacement characters that it would be sent as.
    return data.decode("utf-8", "replace")
