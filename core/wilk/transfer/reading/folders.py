"""The files of a folder: regular ones alone, and none that lies elsewhere."""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Callable, Iterator
from pathlib import Path

from wilk.errors import Invalid

MOST_FILES = 200_000
"""Files of a folder or members of a ZIP; a source of more is refused."""
_JUNK = re.compile(r"(?:^|/)(?:__MACOSX/|\._|\.DS_Store$|Thumbs\.db$|desktop\.ini$)")


def within(folder: Path, remark: Callable[[str], object]) -> Iterator[tuple[Path, int]]:
    """The regular files below a folder, with their sizes, and nothing else.

    Links are followed neither out of the folder nor in it, where what they lead to is found by itself; pipes,
    sockets and devices are not opened. ``remark`` is told what is left out. Raises Invalid for a folder that
    holds over :data:`MOST_FILES` files.
    """
    waiting = [folder]
    count = 0
    while waiting:
        here = waiting.pop()
        try:
            with os.scandir(here) as entries:
                found = sorted(entries, key=lambda entry: entry.name)
        except OSError as error:
            if here == folder:
                raise Invalid(f"{shown(str(folder))} cannot be read: {error.strerror}") from error
            remark(f"{_name(here, folder)}: the folder cannot be read ({error.strerror}); it is left out")
            continue
        for entry in found:
            path = Path(entry.path)
            name = _name(path, folder)
            if is_junk(name):
                continue
            try:
                status = entry.stat(follow_symlinks=False)
            except OSError as error:
                remark(f"{name}: it cannot be read ({error.strerror}); it is left out")
                continue
            if stat.S_ISLNK(status.st_mode):
                if not _leads_within(path, folder):
                    remark(f"{name}: a link that leads elsewhere is not followed; name that place as well")
            elif stat.S_ISDIR(status.st_mode):
                waiting.append(path)
            elif not stat.S_ISREG(status.st_mode):
                remark(f"{name}: it is no file but a pipe, a socket or a device; it is left out")
            elif not os.access(path, os.R_OK):
                remark(f"{name}: it may not be read; it is left out")
            else:
                count += 1
                if count > MOST_FILES:
                    raise Invalid(
                        f"{shown(str(folder))} holds over {MOST_FILES:,} files; name the folder of the export"
                    )
                yield path, status.st_size


def is_junk(name: str) -> bool:
    """Whether a file is one that desktops leave behind, and no part of a source."""
    return _JUNK.search(name) is not None


def shown(name: str) -> str:
    """A name for people and terminals: no control characters, no bytes that are no text."""
    text = name.encode("utf-8", "surrogateescape").decode("utf-8", "replace")
    return "".join(letter if letter.isprintable() else "\ufffd" for letter in text)


def _name(path: Path, folder: Path) -> str:
    return shown(path.relative_to(folder).as_posix())


def _leads_within(path: Path, folder: Path) -> bool:
    try:
        return path.resolve(strict=True).is_relative_to(folder.resolve())
    except (OSError, RuntimeError):  # it leads nowhere, or in a circle
        return False
