"""Takes lines of shell apart, and compares the commands in them with rules such as ``rm -rf``."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator, Sequence
from fnmatch import fnmatchcase
from typing import NamedTuple

_MAX_DEPTH = 5
_SHELLS = frozenset({"sh", "bash", "dash", "zsh", "ksh", "ash", "fish", "eval", "su"})
_STARTERS = frozenset(
    {
        "sudo",
        "doas",
        "env",
        "nohup",
        "time",
        "nice",
        "ionice",
        "stdbuf",
        "setsid",
        "timeout",
        "chroot",
        "unshare",
    }
    | {"nsenter", "xargs", "parallel", "find", "fd", "entr", "watch", "script", "strace", "ltrace", "flock"}
    | {"command", "exec", "builtin", "busybox", "if", "then", "else", "elif", "while", "until", "do", "!"}
)
"""Programs and keywords after which another command stands, somewhere among their arguments."""

_LONG = {"recursive": "r", "force": "f"}
"""Long options that are written short as often."""

_ASSIGNMENT = re.compile(r"\w+\+?=")
_OPERATORS = re.compile(r"[;&|<>(){}$`]")


class Command(NamedTuple):
    """The words of one simple command."""

    words: tuple[str, ...]

    def forms(self, depth: int = 0) -> Iterator[tuple[str, ...]]:
        """The command itself, and the ones that it starts: behind ``sudo``, in ``sh -c``, …"""
        words = self.words
        while words and _ASSIGNMENT.match(words[0]):
            words = words[1:]
        yield words
        name = _base(words[0]) if words else ""
        if name in _STARTERS:
            for i in range(1, len(words)):
                yield from Command(words[i:]).forms(depth) if _base(words[i]) in _SHELLS else (words[i:],)
        if name in _SHELLS and depth < _MAX_DEPTH:
            for word in words[1:]:
                inner = commands_of(word)
                for command in inner if not isinstance(inner, str) else ():
                    yield from command.forms(depth + 1)


def commands_of(line: str) -> list[Command] | str:
    """Split a line into its commands, or tell why that cannot be done for certain."""
    pieces = _split(line)
    if isinstance(pieces, str):
        return pieces
    commands = []
    for piece in pieces:
        try:
            words = tuple(shlex.split(piece))
        except ValueError:
            return "a quotation mark is not closed"
        if not words:
            continue
        if re.search(r"[*?\[~]", words[0]):
            return f"the name of the command {words[0]!r} is a pattern"
        if _base(words[0]) in _SHELLS and any(isinstance(commands_of(word), str) for word in words[1:]):
            return f"what {words[0]!r} is to run cannot be told for certain"
        commands.append(Command(words))
    return commands or "there is no command in it"


def _split(line: str) -> list[str] | str:
    """Cut a line where one command ends and the next begins, outside of quotation marks."""
    pieces = [""]
    quote = ""
    i = 0
    while i < len(line):
        char = line[i]
        if char < " " and char not in "\t\n":
            return "there is a control character in it"
        if quote == "'":
            quote = "" if char == "'" else quote
        elif char == "\\":
            if line[i + 1 : i + 2] in ("", "\n"):
                return "a backslash stands at the end of a line"
            pieces[-1] += char
            i += 1
            char = line[i]
        elif char in "$`":
            return "variables and substitutions cannot be told for certain"
        elif quote:
            quote = "" if char == '"' else quote
        elif char in "'\"":
            quote = char
        elif char in "<>":
            return "redirections are not allowed"
        elif char in "()":
            return "groups and subshells are not allowed"
        elif char == "#" and (not pieces[-1] or pieces[-1][-1].isspace()):
            return "comments cannot be told for certain"
        elif char == "{" and re.match(r"\{(\s|[^\s{}]*(,|\.\.))", line[i:]):
            return "braces cannot be told for certain"
        elif char in ";&|\n":
            pieces.append("")
            i += 1
            continue
        pieces[-1] += char
        i += 1
    return "a quotation mark is not closed" if quote else pieces


class Rule(NamedTuple):
    """A rule of ``allowed`` or ``blocked``, split into words. ``text`` is the rule as written."""

    text: str
    words: tuple[str, ...]

    @classmethod
    def of(cls, text: str) -> Rule:
        try:
            return cls(text, tuple(shlex.split(text)))
        except ValueError:
            return cls(text, tuple(text.split()))

    def allows(self, words: Sequence[str]) -> bool:
        """Whether a command begins with the words of the rule. ``*`` matches within a word."""
        rule = self.words[:-1] if len(self.words) > 1 and self.words[-1] == "*" else self.words
        return bool(rule) and len(words) >= len(rule) and all(map(fnmatchcase, words, rule))

    def blocks(self, words: Sequence[str]) -> bool:
        """Whether a command is the program of the rule with at least its words and flags.

        More is blocked rather than less: flags count in any order and spelling, and what a flag
        takes as its argument counts as a word.
        """
        if not self.words or not words or not fnmatchcase(_base(words[0]), _base(self.words[0])):
            return False
        wanted = [word for word in self.words[1:] if not _is_flag(word) and word != "*"]
        rest = iter(word for word in words[1:] if not _is_flag(word))
        return all(any(fnmatchcase(word, one) for word in rest) for one in wanted) and _flags(
            self.words
        ) <= _flags(words)

    def stands_in(self, line: str) -> bool:
        """Whether a rule that is no simple command (``curl * | sh``) stands anywhere in a line."""
        return bool(_OPERATORS.search(self.text)) and fnmatchcase(_spaced(line), f"*{_spaced(self.text)}*")


def _spaced(line: str) -> str:
    """The line with one space around operators and between words."""
    return " ".join(re.sub(r"([;&|<>]+)", r" \1 ", line).split())


def _flags(words: Sequence[str]) -> set[str]:
    """The flags among the words: ``-rf`` is r and f, ``--force`` is f, ``--hard`` itself."""
    found: set[str] = set()
    for word in words[1:]:
        if word.startswith("--") and len(word) > 2:
            name = word[2:].partition("=")[0]
            found |= {short for long, short in _LONG.items() if long.startswith(name)} or {name}
        elif _is_flag(word):
            found |= set(word[1:].replace("R", "r"))
    return found


def _is_flag(word: str) -> bool:
    return len(word) > 1 and word[0] == "-" and word != "--"


def _base(word: str) -> str:
    return word.rpartition("/")[2].casefold()
