"""Takes lines of shell apart, and compares the commands in them with rules such as ``rm -rf``."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator, Sequence
from fnmatch import fnmatchcase
from typing import NamedTuple

_MAX_LINES = 500
"""How many lines within a line are looked at; what holds more is refused, so that no line takes long."""

_KEYWORDS = frozenset(
    {"if", "then", "elif", "else", "fi", "for", "while", "until", "do", "done", "case", "esac", "select"}
    | {"function", "coproc", "{", "}", "[[", "!", "repeat", "foreach"}
)

_RENAMERS = frozenset({"alias", "unalias", "hash", "enable"})
"""After these a name may mean another program, and nothing that follows can be told."""

_SHELLS = frozenset(
    {"sh", "bash", "rbash", "dash", "zsh", "ksh", "mksh", "ash", "fish", "csh", "tcsh", "eval"}
)
"""These run what they are given as lines of shell."""

_LINES = frozenset(
    {"su", "runuser", "watch", "trap", "ssh", "entr", "mapfile", "readarray", "compgen", "complete"}
    | {"tmux", "screen", "hyperfine", "unbuffer"}
)
"""These start a line of shell that stands somewhere among their arguments, or all of them joined."""

_LINES_BY_FLAG = {name: re.compile(r"-\w*[cS]|--[cs]") for name in ("env", "flock", "script")}
"""These do so when they have such a flag, and are starters otherwise."""

_STARTERS = frozenset(
    {"sudo", "doas", "pkexec", "gosu", "env", "nohup", "time", "nice", "ionice", "chrt", "taskset", "stdbuf"}
    | {"setsid", "timeout", "gtimeout", "chroot", "unshare", "nsenter", "xargs", "find", "fd", "script"}
    | {"strace", "ltrace", "flock", "command", "exec", "builtin", "busybox", "toybox", "noglob", "nocorrect"}
    | {"setarch", "prlimit", "systemd-run", "fakeroot", "chronic", "caffeinate", "xvfb-run", "valgrind"}
)
"""Programs after which another command stands, somewhere among their arguments."""

_EVALUATORS = frozenset(
    {"let", "declare", "typeset", "local", "export", "readonly", "unset", "read", "test", "printf"}
)
"""Builtins that run a substitution in the index of an array although it is quoted."""

_XARGS_TAKES = frozenset({"-E", "-I", "-J", "-L", "-P", "-R", "-S", "-a", "-d", "-n", "-s"})
_FIND_EXEC = frozenset({"-exec", "-execdir", "-ok", "-okdir"})

_LONG = {"recursive": "r", "force": "f"}
"""Long options that are written short as often."""

_ASSIGNMENT = re.compile(r"\w+\+?=")
_OPERATORS = re.compile(r"[;&|<>(){}$`]")


class _Uncertain(Exception):
    """Why a line cannot be told for certain."""


class Form(NamedTuple):
    """A command that a line runs or may run."""

    words: tuple[str, ...]
    wild: bool = False
    """Whether its name has wildcards, so that it may be any program they match."""
    open: bool = False
    """Whether it gets further arguments that do not stand in the line."""


class Reading(NamedTuple):
    """What a line runs: its commands, and these again among the forms with those that they start."""

    commands: list[tuple[str, ...]]
    forms: list[Form]


class _Word(NamedTuple):
    """A word without its quotation marks; ``wild`` when it has wildcards outside of them."""

    text: str
    wild: bool


def commands_of(line: str) -> Reading | str:
    """Split a line into its commands, or tell why that cannot be done for certain."""
    try:
        commands = _split(line)
        if not commands:
            return "there is no command in it"
        return Reading([_texts(command) for command in commands], list(_forms(commands)))
    except _Uncertain as reason:
        return str(reason)


def _forms(commands: list[list[_Word]]) -> Iterator[Form]:
    """The forms of commands, and of those in the lines that they give to shells, however deep."""
    waiting: list[str] = []
    seen: set[str] = set()
    while True:
        for command in commands:
            for form in _started(_named(command)):
                yield form
                for line in _inner(form.words):
                    if line not in seen:
                        seen.add(line)
                        waiting.append(line)
                    if len(seen) > _MAX_LINES:
                        raise _Uncertain("too many commands may stand within it")
        if not waiting:
            return
        commands = _split(waiting.pop())


def _named(words: list[_Word]) -> list[_Word]:
    """A command without the assignments before its name, which must be a plain name."""
    while words and _ASSIGNMENT.match(words[0].text):
        words = words[1:]
    if not words:
        return words
    name = words[0].text
    if name in _KEYWORDS:
        raise _Uncertain(f"{name!r} is a keyword of the shell")
    if re.search(r"[*?\[~]", name):
        raise _Uncertain(f"the name of the command {name!r} is a pattern")
    return words


def _started(words: list[_Word]) -> Iterator[Form]:
    """A command itself, and each that it may start: what follows ``sudo`` is one from any word on."""
    texts = _texts(words)
    yield Form(texts)
    if not texts or _base(texts[0]) not in _STARTERS:
        return
    for i in range(1, len(texts)):
        yield Form(texts[i:], wild=words[i].wild)
    for i, text in enumerate(texts):
        if _base(text) == "xargs":
            yield _fed(texts[i:])
        elif text in _FIND_EXEC and "{}" in "".join(texts[i + 1 : i + 2]):
            raise _Uncertain(f"what {text!r} is to run cannot be told for certain")
        elif text == "-delete":
            yield Form(("rm", "-rf", *texts))


def _fed(words: tuple[str, ...]) -> Form:
    """What ``xargs`` starts, whose arguments come from elsewhere, and so must not name a program."""
    i, mark = 1, "{}"
    while i < len(words) and re.match(r"-|\d+$", words[i]):
        if words[i].startswith(("-I", "-J", "--replace=")):
            mark = words[i].partition("=")[2] or words[i][2:] or "".join(words[i + 1 : i + 2])
        elif words[i].startswith("-i") and len(words[i]) > 2:
            mark = words[i][2:]
        i += 2 if words[i] in _XARGS_TAKES else 1
    started = words[i:]
    name = _base(started[0]) if started else "echo"
    if (mark and mark in name) or name in _SHELLS | _LINES | _STARTERS:
        raise _Uncertain("what 'xargs' is to run cannot be told for certain")
    return Form(started or ("echo",), open=True)


def _inner(words: tuple[str, ...]) -> Iterator[str]:
    """The lines of shell that a command may run, when it is one of those that do."""
    name = _base(words[0]) if words else ""
    if name in _RENAMERS or name == "parallel":
        raise _Uncertain(f"what {name!r} leads to cannot be told for certain")
    if name in _EVALUATORS and re.search(r"\$[({]|`", " ".join(words)):
        raise _Uncertain("substitutions cannot be told for certain")
    if name in _SHELLS and all(_is_flag(word) or word in ("--", "-", "/dev/stdin") for word in words[1:]):
        raise _Uncertain(f"what {words[0]!r} reads and runs cannot be told for certain")
    flag = _LINES_BY_FLAG.get(name)
    if name in _SHELLS | _LINES or (flag and any(map(flag.match, words[1:]))):
        for i in range(1, len(words)):
            yield words[i]
            yield " ".join(words[i:])
            for attached in _attached(words[i]):
                yield " ".join((attached, *words[i + 1 :]))


def _attached(word: str) -> Iterator[str]:
    """What an option may have as its argument in the same word: ``-c'ls'``, ``--command=ls``."""
    ends = "[cCsS=]" if _is_flag(word) and not word.startswith("--") else "="
    for end in re.finditer(ends, word.split(maxsplit=1)[0] if word.strip() else ""):
        yield word.lstrip()[end.end() :]


def _texts(words: list[_Word]) -> tuple[str, ...]:
    return tuple(word.text for word in words)


def _split(line: str) -> list[list[_Word]]:
    """The words of each command in a line, as a POSIX shell splits it, where that is certain."""
    commands: list[list[_Word]] = [[]]
    text: str | None = None  # of the word that is being read; "" when it is empty but quoted
    wild = False
    quote = ""
    chars = iter(range(len(line)))
    for i in chars:
        char = line[i]
        if char < " " and char not in "\t\n":
            raise _Uncertain("there is a control character in it")
        if char == quote:
            quote = ""
        elif quote == "'":
            text = (text or "") + char
        elif char == "\\":
            follows = line[i + 1 : i + 2]
            if follows in ("", "\n") or follows < " ":
                raise _Uncertain("a backslash stands at the end of a line")
            # Between double quotes, a backslash stays unless it stands before one of these.
            text = (text or "") + (char if quote and follows not in '$`"\\' else "") + follows
            next(chars)
        elif char in "$`":
            raise _Uncertain("variables and substitutions cannot be told for certain")
        elif quote:
            text = (text or "") + char
        elif char in "'\"":
            quote, text = char, text or ""
        elif char in " \t\n;&|":
            if text is not None:
                commands[-1].append(_Word(text, wild))
                text, wild = None, False
            if char not in " \t":
                commands.append([])
        else:
            _check_unquoted(line, i, text is None)
            wild = wild or char in "*?["
            text = (text or "") + char
    if quote:
        raise _Uncertain("a quotation mark is not closed")
    if text is not None:
        commands[-1].append(_Word(text, wild))
    return [command for command in commands if command]


def _check_unquoted(line: str, i: int, begins: bool) -> None:
    """Refuse the characters that mean more than themselves; ``begins`` at the beginning of a word."""
    char = line[i]
    if char in "<>":
        raise _Uncertain("redirections are not allowed")
    if char in "()":
        raise _Uncertain("groups and subshells are not allowed")
    if char == "#" and begins:
        raise _Uncertain("comments cannot be told for certain")
    if char == "{" and not re.match(r"\{[\w^~/-]*\}", line[i:]):  # these are not expanded: {}, @{1}, ^{/x}
        raise _Uncertain("braces cannot be told for certain")


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

    def blocks(self, form: Form) -> bool:
        """Whether a command is the program of the rule with at least its words and flags.

        More is blocked rather than less: flags count in any order and spelling, what a flag takes
        as its argument counts as a word, and what does not stand in the line counts as all of them.
        """
        words = form.words
        if not self.words or not words or not self._names(form):
            return False
        if form.open:
            return True
        wanted = [word for word in self.words[1:] if not _is_flag(word) and word != "*"]
        rest = iter(word for word in words[1:] if not _is_flag(word))
        return all(any(fnmatchcase(word, one) for word in rest) for one in wanted) and _flags(
            self.words
        ) <= _flags(words)

    def _names(self, form: Form) -> bool:
        name, rule = _base(form.words[0]), _base(self.words[0])
        return fnmatchcase(name, rule) or (form.wild and fnmatchcase(rule, name))

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
