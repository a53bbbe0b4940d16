"""The maintenance of a store on files: that of its index, and the tree compared with what the index saw."""

from __future__ import annotations

from typing import TYPE_CHECKING

from wilk.backends.files.journal import unfinished
from wilk.backends.files.tree import Tree, hash_of, state_of
from wilk.backends.sqlite_maintenance import STEPS, SqliteMaintenance
from wilk.contracts.maintenance import Outcome, Step

if TYPE_CHECKING:
    from wilk.contracts.backends import Execute

_SHOWN = 20


class FilesMaintenance:
    """The maintenance of one folder."""

    steps = (
        Step("tree", "compare the files with the index, and look for what was left half done", quick=True),
        *STEPS,
    )

    def __init__(self, tree: Tree, *, readonly: bool) -> None:
        self._tree = tree
        self._index = SqliteMaintenance(tree.index, readonly=readonly)

    def run(self, step: str, execute: Execute, *, quick: bool) -> Outcome:
        """Do one step; see :class:`wilk.contracts.maintenance.Maintaining`."""
        if step == "tree":
            return self._compare(execute, quick=quick)
        found = self._index.run(step, execute, quick=quick)
        if step == "integrity" and found.result == "found":
            said = (
                f"the index is damaged; nothing is lost by that: close the store, remove "
                f"{self._tree.index.parent}, and opening the store builds it again from the files"
            )
            return Outcome("found", said, found.details)
        return found

    def _compare(self, execute: Execute, *, quick: bool) -> Outcome:
        """Compare every file with what was seen of it last: by its size and time, or by its bytes."""
        tree = self._tree
        try:
            rows = execute("SELECT path, stat, hash, state, error FROM tree.seen")
        except Exception as error:  # what was seen is not attached to a store that is only read
            if "no such table" not in str(error):
                raise
            return Outcome("skipped", "the store is open for reading only")
        seen = {path: (stat, hash, state, error) for path, stat, hash, state, error in rows}
        found, here = [], set()
        for path, stat in tree.files():
            here.add(path)
            known = seen.get(path)
            if known is None:
                found.append(f"{path}: it is new, and not taken over yet")
            elif known[2] == "broken":
                found.append(f"{path}: {known[3]}")
            elif known[0] != state_of(stat) and (quick or hash_of(tree.path(path).read_bytes()) != known[1]):
                found.append(f"{path}: it was changed, and is not taken over yet")
        found += [f"{path}: it is gone, and its rows are still there" for path in sorted(seen.keys() - here)]
        left = unfinished(tree)
        found += [f"{name}: a change that was begun and not ended; the next opening ends it" for name in left]
        if not found:
            return Outcome("ok", f"{len(here):,} files are as the index has them")
        return Outcome(
            "found",
            f"{len(found):,} of {len(here):,} files are not as the index has them; `wilk sync` takes over "
            "what can be",
            tuple(found[:_SHOWN]),
        )
