"""Decides what an update does to each file: by what was installed, what lies there, and what comes."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from hashlib import sha256
from typing import NamedTuple

from wilk.definitions import reader
from wilk.definitions.installing import Installing, Step, free_name
from wilk.definitions.merging import merge
from wilk.definitions.packages import Contents
from wilk.errors import Conflict, Invalid, InvalidDefinition


class Upgrade(NamedTuple):
    """The steps to take, what is done to each file that is touched, and where local versions are saved."""

    steps: dict[str, Step]
    done: dict[str, str]
    saved: dict[str, str]


class Upgrading:
    """One update of one agent.

    ``keep`` says which side has its way where both changed something: ``local``, ``package``, or None to
    refuse. ``base`` gives the text of an installed file by its hash, None when it is not known.
    """

    def __init__(
        self, installing: Installing, id: str, base: Callable[[str], str | None], keep: str | None
    ) -> None:
        self._installing = installing
        self._id = id
        self._base = base
        self._keep = keep
        self._conflicts: list[str] = []

    def decide(self, installed: Mapping[str, str], contents: Contents) -> Upgrade:
        """Compare every file three ways; raises Conflict that lists what both sides changed."""
        upgrade = Upgrade({}, {}, {})
        coming = {path: sha256(data).hexdigest() for path, data in contents.files.items()}
        for path in sorted({*installed, *coming}):
            before, after = installed.get(path), coming.get(path)
            if before == after:
                continue
            data = contents.files.get(path)
            now = self._installing.hash_of(self._id, path)
            if now == after:
                continue
            if now == before:
                word = "removed" if after is None else "added" if before is None else "replaced"
                upgrade.steps[path] = Step(data, now)
                upgrade.done[path] = word
            elif path == contents.definition and before is not None and now is not None and data is not None:
                self._merge(upgrade, path, before, now, data)
            else:
                self._choose(upgrade, path, now, data, _said(path, before, now, after))
        if self._conflicts:
            listed = "\n".join(f"  {line}" for line in self._conflicts)
            raise Conflict(
                f"agent {self._id!r} was changed here and in the package; nothing was written:\n{listed}\n"
                "where both changed something, keep='local' leaves it as it is here, and keep='package' "
                "takes the other and saves yours beside it"
            )
        return upgrade

    def _merge(self, upgrade: Upgrade, path: str, before: str, now: str, data: bytes) -> None:
        """Merge the two changes of the definition by fields."""
        mine = self._installing.bytes_of(self._id, path) or b""
        base = self._base(before)
        if base is None:
            self._choose(
                upgrade, path, now, data, f"{path}: both changed it, and its old content is not known"
            )
            return
        try:
            sides = [reader.parse(side, path) for side in (base.encode(), mine, data)]
        except InvalidDefinition as error:
            self._choose(upgrade, path, now, data, f"{path}: it cannot be merged: {error}")
            return
        merged = merge(*sides, local_wins=self._keep != "package")
        if merged.clashes and self._keep is None:
            self._conflicts.append(f"{path}: both changed {', '.join(merged.clashes)}")
            return
        try:
            written = self._installing.merged(self._id, path, merged.definition)
            self._installing.check(self._id, path, written)
        except Invalid as error:
            self._choose(upgrade, path, now, data, f"{path}: it cannot be merged: {error}")
            return
        if merged.clashes and self._keep == "package":
            self._save(upgrade, path, mine)
        if sha256(written).hexdigest() != now:
            upgrade.steps[path] = Step(written, now)
            upgrade.done[path] = "merged"

    def _choose(self, upgrade: Upgrade, path: str, now: str | None, data: bytes | None, told: str) -> None:
        """Take the side that is to be kept, or note the conflict."""
        if self._keep is None:
            self._conflicts.append(told)
        elif self._keep == "local":
            upgrade.done[path] = "kept"
        else:
            mine = self._installing.bytes_of(self._id, path)
            if mine is not None:
                self._save(upgrade, path, mine)
            upgrade.steps[path] = Step(data, now)
            upgrade.done[path] = "removed" if data is None else "replaced"

    def _save(self, upgrade: Upgrade, path: str, mine: bytes) -> None:
        """Keep a local version that gives way beside the new one."""
        folder = self._installing.folder(self._id)
        beside = free_name(folder / path, ".local").relative_to(folder).as_posix()
        upgrade.steps[beside] = Step(mine, None)
        upgrade.saved[path] = beside


def _said(path: str, before: str | None, now: str | None, after: str | None) -> str:
    """What both sides did to a file."""
    if before is None:
        return f"{path}: a file of your own has this name, and the package brings one"
    here = "removed here" if now is None else "changed here"
    there = "removed in the package" if after is None else "changed in the package"
    return f"{path}: {here}, {there}"
