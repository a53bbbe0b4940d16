"""Where the files of tools lie: ``tools/*.py`` of the home folder, and beside an agent's file.

Files are listed and read here, and never run: what they offer is read from their source.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

from wilk.definitions.places import Place, printable, signature
from wilk.errors import Invalid
from wilk.files import inside
from wilk.sourcescan import offered_in

FOLDER = "tools"
HOOK = "register_tools"
MAX_BYTES = 1 << 20
"""The most that a file of tools may hold."""


class ToolFile(NamedTuple):
    """A file of tools: its path below the home folder and as it is opened.

    ``stamp`` tells one state of the file from the next; ``fault`` why it is not to be opened.
    """

    path: str
    full: Path
    stamp: str
    fault: str | None = None

    @property
    def name(self) -> str:
        """The name of the tool that a file with a function ``run`` is."""
        return Path(self.path).stem

    @property
    def is_folder(self) -> bool:
        """Whether it stands for a whole folder, with a fault."""
        return not self.path.endswith(".py")

    def read(self) -> bytes:
        """Its content. Raises Invalid when it cannot be had, or is too long."""
        if self.fault is not None:
            raise Invalid(self.fault)
        try:
            with self.full.open("rb") as file:
                data = file.read(MAX_BYTES + 1)
        except OSError as error:
            raise Invalid(f"this cannot be read: {error.strerror}") from error
        if len(data) > MAX_BYTES:
            raise Invalid(f"over {MAX_BYTES} bytes are too many for a file of tools")
        return data

    def offers(self, name: str) -> bool | None:
        """Whether it offers a tool, by its name and its source; None where only running it tells."""
        if name == self.name:
            return True
        known = _offered(self)
        return None if known is None else name in known

    def names(self) -> Sequence[str]:
        """The tools that it seems to offer, by its source: its own name when in doubt."""
        return _offered(self) or (self.name,)


@lru_cache(maxsize=1024)
def _offered(file: ToolFile) -> tuple[str, ...] | None:
    """What a file's source, in the state of its stamp, says that its hook offers; None when in doubt."""
    try:
        source = file.read()
    except Invalid:
        return None
    found = offered_in(source, HOOK) if HOOK.encode() in source else []
    return None if found is None else tuple(found)


def folder_of_agent(agents: Place, id: str) -> str:
    """The folder of an agent's own tools. Raises Invalid for an id that names no folder."""
    return f"{agents.path(id).rpartition('/')[0]}/{FOLDER}"


def listed(home: Path, folder: str) -> list[ToolFile]:
    """The files of tools in a folder, by name; one that leads out of the home folder is a single fault."""
    try:
        base = inside(home, folder)
        names = sorted(path.name for path in base.iterdir() if _is_wanted(path.name))
    except (FileNotFoundError, NotADirectoryError):
        return []
    except OSError as error:
        return [ToolFile(folder, home / folder, "", f"this folder cannot be listed: {error.strerror}")]
    except Invalid as error:
        return [ToolFile(folder, home / folder, "", f"{error}; folders of tools lie in the home folder")]
    return [_looked_at(home, folder, name) for name in names]


def _is_wanted(name: str) -> bool:
    return name.endswith(".py") and name[0] not in "._#"


def _looked_at(home: Path, folder: str, name: str) -> ToolFile:
    path = f"{folder}/{printable(name)}"
    try:
        full = inside(home, folder, name)
        stat = full.stat()
    except Invalid as error:
        return ToolFile(path, home / folder / name, "", f"{error}; files of tools lie in the home folder")
    except (OSError, RuntimeError) as error:  # a link to nothing, or to itself
        return ToolFile(path, home / folder / name, "", f"this cannot be looked at: {error}")
    if not full.is_file():
        return ToolFile(path, home / folder / name, "", "this is no file")
    return ToolFile(path, full, signature(stat))
