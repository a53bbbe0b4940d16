"""Arguments: argparse with options that may stand anywhere, verbs, and errors that help."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import cache
from typing import TYPE_CHECKING, Any, NamedTuple, NoReturn

from wilk.cli.output import terminal_width
from wilk.errors import WilkError

if TYPE_CHECKING:
    from wilk.cli.context import Context

Run = Callable[["Context"], int | None]


class UsageError(WilkError):
    """The command was not understood; the program ends with 2."""


class Formatter(argparse.RawDescriptionHelpFormatter):
    """Help as wide as the terminal. Given a width, argparse need not import shutil to find one."""

    def __init__(self, prog: str) -> None:
        super().__init__(prog, max_help_position=30, width=_help_width())

    def add_usage(
        self,
        usage: str | None,
        actions: Iterable[argparse.Action],
        groups: Iterable[Any],
        prefix: str | None = None,
    ) -> None:
        """Leave the common options out of the usage line: they would be most of it."""
        own = [action for action in actions if action not in common()._actions and action.dest != "help"]
        super().add_usage(usage, own, groups, prefix)


class Parser(argparse.ArgumentParser):
    """A parser whose errors are :class:`UsageError`, and which knows what was meant by a misspelling."""

    def __init__(self, *, prog: str, summary: str = "") -> None:
        super().__init__(
            prog=prog,
            description=(summary[:1].upper() + summary[1:]) or None,
            formatter_class=Formatter,
            allow_abbrev=False,
            parents=[common()],
        )
        self._mixed = False

    def parse_known_args(self, args: Any = None, namespace: Any = None) -> Any:
        """Options may stand between arguments, also where some of these can be left out."""
        found, rest = super().parse_known_args(args, namespace)
        if not rest or self._mixed or namespace is not None or self._subparsers is not None:
            return found, rest
        if any(word.startswith("-") for word in rest):
            return found, rest
        self._mixed = True  # what is called next calls this again
        try:
            return self.parse_known_intermixed_args(args)
        finally:
            self._mixed = False

    def error(self, message: str) -> NoReturn:
        raise UsageError(f"{message}\n{self.format_usage().rstrip()}\n`{self.prog} --help` tells more")

    def _check_value(self, action: argparse.Action, value: Any) -> None:
        choices = action.choices
        if choices is not None and value not in choices:
            known = list(choices)
            raise UsageError(f"there is no {action.dest} {value!r}; {suggestion(str(value), known)}")


class Verb(NamedTuple):
    """A verb of a noun, or a noun that needs none: what it does, and what it takes."""

    run: Run
    summary: str
    arguments: Callable[[Parser], None] | None = None


def suggestion(word: str, known: Sequence[str]) -> str:
    """What may have been meant by a word, or all that there is."""
    from difflib import get_close_matches

    close = get_close_matches(word, known, 1)
    return f"did you mean {close[0]!r}?" if close else f"there is {', '.join(known)}"


def completed(action: argparse.Action, noun: str) -> None:
    """Let the shell complete an argument with the ids of a noun's records; see ``completion.py``."""
    action.takes_id_of = noun  # type: ignore[attr-defined]


def count(text: str) -> int:
    """A whole number from 1, for ``type=``."""
    if not text.isdecimal() or not 0 < int(text) < 2**31:
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number from 1")
    return int(text)


def days(text: str) -> float:
    """A number of days above 0, for ``type=``."""
    try:
        number = float(text)
    except ValueError:
        number = 0.0
    if not 0 < number < 1_000_000:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number of days")
    return number


def mapping(text: str) -> Mapping[str, Any]:
    """A JSON object, for ``type=``."""
    from wilk import codec

    try:
        value = codec.parse(text)
    except WilkError as error:
        raise argparse.ArgumentTypeError(f"not JSON: {error}") from error
    if not isinstance(value, dict):
        raise argparse.ArgumentTypeError('not a JSON object, such as {"key": "value"}')
    return value


@cache
def _help_width() -> int:
    return min(terminal_width(), 100) - 2


@cache
def common() -> argparse.ArgumentParser:
    """The options that every command takes, before the noun or after it."""
    common = argparse.ArgumentParser(
        prog="", add_help=False, argument_default=argparse.SUPPRESS, formatter_class=Formatter
    )
    group = common.add_argument_group("options of every command")
    group.add_argument("--home", metavar="DIR", help="the home folder (WILK_HOME, else ~/.wilk)")
    group.add_argument("--url", metavar="URL", help="the database, such as sqlite:///x.db (WILK_URL)")
    group.add_argument("--json", action="store_true", help="give JSON")
    group.add_argument("--readonly", action="store_true", help="change nothing")
    group.add_argument("-q", "--quiet", action="store_true", help="do not tell what was done")
    group.add_argument("-v", "--verbose", action="count", help="log to stderr; -vv with every statement")
    return common
