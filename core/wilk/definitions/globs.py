"""Patterns of paths with ``**``, as permissions have them, as regular expressions."""

from __future__ import annotations

import re
from pathlib import Path, PurePosixPath

_MAGIC = re.compile(r"[*?\[]")


_NOTHING = re.compile(r"(?!)")


def compiled(pattern: str, root: Path) -> re.Pattern[str]:
    """Compile a pattern into a regular expression over absolute, resolved paths.

    The beginning of the pattern that has no wildcards is resolved as a path is. A pattern that
    cannot be one of a path (``[z-a]``, an unknown ``~user``, a NUL) matches nothing.
    """
    try:
        return _compiled(pattern, root)
    except (re.error, OSError, RuntimeError, ValueError):
        return _NOTHING


def _compiled(pattern: str, root: Path) -> re.Pattern[str]:
    if "\0" in pattern:  # also behind a wildcard, where nothing would be resolved
        return _NOTHING
    expanded = Path(pattern).expanduser() if pattern.startswith("~") else Path(pattern)
    parts = list(PurePosixPath(expanded.as_posix()).parts)
    if pattern.endswith("/"):
        parts.append("**")
    fixed = next((i for i, part in enumerate(parts) if _MAGIC.search(part)), len(parts))
    base = root.joinpath(*parts[:fixed]).resolve().as_posix().rstrip("/")
    return re.compile(re.escape(base) + "".join(map(_part, parts[fixed:])) + ("/?" if not base else ""), re.S)


def _part(part: str) -> str:
    """One name of a pattern, with the separator before it."""
    if part == "**":
        return "(?:/[^/]+)*"
    return "/" + "".join(_piece(piece) for piece in re.findall(r"\*+|\?|\[!?\]?[^\]]*\]|.", part, re.S))


def _piece(piece: str) -> str:
    if piece[0] == "*":
        return "[^/]*"
    if piece == "?":
        return "[^/]"
    if piece[0] == "[" and len(piece) > 2:
        negated = piece[1] == "!"
        # All but "-" stands for itself; also "&", "|" and "~", which re warns of when they are doubled.
        inside = re.sub(r"([\\\[\]^&|~])", r"\\\1", piece[2 if negated else 1 : -1]).replace("--", r"\--")
        return f"(?!/)[{'^' if negated else ''}{inside}]"
    return re.escape(piece)
