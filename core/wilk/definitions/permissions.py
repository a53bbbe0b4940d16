"""What an agent may read, write and run, as the ``permissions`` of its file say.

Nothing is allowed unless it is written, and what is blocked is blocked whatever else is allowed.

**Paths.** A pattern that does not begin with ``/`` or ``~`` is relative to the root. ``*`` and ``?``
stay within one name, ``[abc]`` is a set of characters, ``**`` stands for any number of folders;
``./src/**`` is what lies below ``src``, and ``src`` itself. Before it is compared, a path is made
absolute, and links and ``..`` in it are resolved, as they are in the fixed beginning of each
pattern. ``src/`` is ``src/**``; a pattern without wildcards or a ``/`` at its end is that one file or
folder, and not what lies below. A pattern that is none (``[z-a]``, ``~nobody/**``) matches nothing.

**Commands.** A line is split as a POSIX shell splits it. Every command in it must be allowed on its
own: those joined by ``;``, ``&``, ``&&``, ``||``, ``|`` and line ends. ``git`` allows ``git`` with any
arguments, ``npm test`` allows ``npm test -- x``, and neither allows ``gitfoo`` or ``npm install``.
``rm -rf`` blocks ``rm`` with at least these flags in any order and spelling (``rm -r -f``,
``rm -fr``, ``rm --recursive --force``), by any path (``/bin/rm``), behind ``sudo``, ``env X=1``,
``nohup``, ``time``, ``find -exec`` and the like, and in what a shell is given by ``sh -c '…'``,
``eval``, ``env -S``, ``watch``, ``trap`` and the like, however deep. ``xargs rm`` counts as any ``rm``,
and ``find -delete`` as ``rm -rf``.

**Promised.** A line whose words or commands cannot be told for certain is refused, whatever is
allowed: redirections, substitutions (``$(…)``, backquotes, ``<(…)``), variables, braces that expand,
comments, groups, keywords of the shell, wildcards in the name of a command, names that are changed
(``alias``), and shells that read what they run from elsewhere (``| sh``). The same goes for a line
within the line, wherever a shell is found.

**Not promised.** This is a check of a line of text before it runs, and no sandbox. An allowed program
may do what it likes, including starting others: ``git -c alias.x='!rm -rf .' x``, ``python -c``,
``make``, a script, a copy of ``rm`` by another name, what a variable like ``EDITOR`` names. Programs
that start others are known by a list, which ends somewhere. What a wildcard among the arguments
matches (a file called ``-rf``) is not looked up. A path that is allowed now may be a link to elsewhere
when it is opened. Who needs walls takes the answers here and adds a container.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

from wilk.definitions.commands import Rule, commands_of
from wilk.definitions.globs import compiled


class Permissions:
    """Answers what is allowed; ``root`` is what ``./`` stands for in patterns and in paths."""

    def __init__(
        self,
        *,
        read: Sequence[str] = (),
        write: Sequence[str] = (),
        allowed: Sequence[str] = (),
        blocked: Sequence[str] = (),
        root: str | Path | None = None,
    ) -> None:
        self.root = Path(root or ".").expanduser().resolve()
        self.read = tuple(read)
        self.write = tuple(write)
        self.allowed = tuple(allowed)
        self.blocked = tuple(blocked)

    @classmethod
    def of(cls, definition: Mapping[str, Any], *, root: str | Path | None = None) -> Permissions:
        """The permissions in an agent's definition."""
        written = definition.get("permissions") or {}
        filesystem, shell = written.get("filesystem") or {}, written.get("shell") or {}
        return cls(
            read=filesystem.get("read") or (),
            write=filesystem.get("write") or (),
            allowed=shell.get("allowed") or (),
            blocked=shell.get("blocked") or (),
            root=root,
        )

    def allows_read(self, path: str | os.PathLike[str]) -> bool:
        """Whether the agent may read a file or folder."""
        return self._lies_in(path, self._read)

    def allows_write(self, path: str | os.PathLike[str]) -> bool:
        """Whether the agent may write, make or remove a file or folder."""
        return self._lies_in(path, self._write)

    def allows_command(self, line: str) -> bool:
        """Whether the agent may run a line in a shell."""
        return self.refusal(line) is None

    def refusal(self, line: str) -> str | None:
        """Why a line may not be run, in words for the agent and its user; None when it may."""
        reading = commands_of(line)
        if isinstance(reading, str):
            return reading
        for rule in self._blocked:
            if rule.stands_in(line) or any(map(rule.blocks, reading.forms)):
                return f"{rule.text!r} is blocked"
        for words in reading.commands:
            if not any(rule.allows(words) for rule in self._allowed):
                return f"{' '.join(words)!r} is not among the allowed commands"
        return None

    def _lies_in(self, path: str | os.PathLike[str], patterns: Sequence[Any]) -> bool:
        text = os.fspath(path)
        if not text or "\0" in text:
            return False
        try:
            resolved = (self.root / Path(text).expanduser()).resolve()
        except (OSError, RuntimeError, ValueError):  # a loop of links, an unknown ~user, half a character
            return False
        return any(pattern.fullmatch(resolved.as_posix()) for pattern in patterns)

    @cached_property
    def _read(self) -> list[Any]:
        return [compiled(pattern, self.root) for pattern in self.read]

    @cached_property
    def _write(self) -> list[Any]:
        return [compiled(pattern, self.root) for pattern in self.write]

    @cached_property
    def _allowed(self) -> list[Rule]:
        return [Rule.of(text) for text in self.allowed]

    @cached_property
    def _blocked(self) -> list[Rule]:
        return [Rule.of(text) for text in self.blocked]
