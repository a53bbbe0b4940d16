"""The definitions of one store: files are the truth, rows follow, and revisions remember."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from wilk.contracts import DefinitionKind
from wilk.definitions.homes import Homes
from wilk.definitions.known import Known
from wilk.definitions.places import Place
from wilk.definitions.syncing import Syncing, no_folder
from wilk.definitions.tables import Files, Revisions, Table
from wilk.definitions.waiting import Waiting
from wilk.engine import Engine
from wilk.errors import Invalid, NotFound
from wilk.events import Events
from wilk.records.definitions import DefinitionFile, Failure, Revision, SyncReport

if TYPE_CHECKING:
    from wilk.definitions.differences import Difference
    from wilk.definitions.installing import Installing
    from wilk.definitions.saving import Saving


class Catalog:
    """Joins the definition files of one home folder and the rows of one store.

    ``kinds`` gives the kinds of definitions when they are first needed. With ``home`` None there
    are no files, and definitions live in the tables alone. ``shared``: home folders of other machines
    may lie beside the same database.
    """

    def __init__(
        self,
        engine: Engine,
        events: Events,
        kinds: Callable[[], Iterable[DefinitionKind]],
        home: Path | None,
        *,
        shared: bool = False,
    ) -> None:
        self.home = home
        self._engine = engine
        self._events = events
        self._known = Known(engine, kinds)
        self._files = Files(engine, Homes(home, shared=shared))
        self._revisions = Revisions(engine)
        self._waiting = Waiting()
        self._syncing = (
            None if home is None else Syncing(engine, events, self._known, self._files, self._waiting, home)
        )

    @cached_property
    def _saving(self) -> Saving:
        from wilk.definitions.saving import Saving  # and PyYAML, which reading records does not need

        return Saving(
            self._engine, self._events, self._known, self._files, self._waiting, self.home, self.sync
        )

    @cached_property
    def installing(self) -> Installing:
        """What writes the folders of agents that come out of packages."""
        from wilk.definitions.installing import Installing

        return Installing(self._engine, self._events, self._known, self._files, self.home, self.sync)

    def places(self) -> Mapping[str, Place]:
        """The place of each kind's files, by the kind's name."""
        return self._known.places()

    def table(self, kind: str) -> Table:
        """The rows of a kind; raises NotFound."""
        return self._known.table(kind)

    def states(self) -> list[tuple[str, str, int, bool]]:
        """Kind, id, revision and whether it is archived, of every definition; in one query."""
        from functools import reduce
        from operator import add

        query = reduce(add, [self.table(kind).states() for kind in self.places()])
        return [(kind, id, revision, at is not None) for kind, id, revision, at in self._engine.select(query)]

    # -- from files to rows ---------------------------------------------------------------

    def sync(self, paths: Collection[Path] | None = None) -> SyncReport:
        """Take over what changed in the files: of the whole folder, or only at ``paths``.

        ``paths`` are files or folders, absolute or relative to the home folder; what is no
        definition is passed over. A file that did not change costs a stat. Changed files are
        parsed first, and then written in one transaction. A file that is broken, or whose name is
        taken, is among the failures; its record keeps the last good content. What the calling
        thread's transaction saved or removed is passed over until its file is written. Raises
        SettingsError when the store has no folder.
        """
        if self._syncing is None:
            raise no_folder()
        return self._syncing.run(paths)

    def check(self, kind: str | None = None) -> list[Failure]:
        """Read every file and tell what is wrong, without writing anything.

        A problem that begins with ``warning:`` does not keep its file from being taken over.
        """
        if self.home is None:
            raise no_folder()
        from wilk.definitions.checking import check

        kinds = self.places() if kind is None else [kind]
        return [
            failure
            for name in kinds
            for failure in check(self.home, self._known.place(name), self.table(name))
        ]

    def files(self, kind: str | None = None) -> Sequence[DefinitionFile]:
        """List what is known of the files, by path, as of the last sync."""
        return self._files.list(kind)

    # -- from rows to files ---------------------------------------------------------------

    def save(self, kind: str, id: str, definition: Mapping[str, Any]) -> Any:
        """Write a definition: its row and, when the store has a folder, its file. Returns the record.

        An existing file keeps its comments, the order of its keys and its quoting. Inside of a
        transaction the file is written when that commits. Raises InvalidDefinition, Conflict for
        a name that is taken, and Rejected.
        """
        if not isinstance(id, str):
            raise Invalid(f"{kind} id is {type(id).__name__}: a text is wanted")
        return self.save_all(kind, {id: definition})[0]

    def save_all(self, kind: str, definitions: Mapping[str, Mapping[str, Any]]) -> list[Any]:
        """Write several definitions of a kind, by id, as one change; see :meth:`save`."""
        self._saving.save(kind, definitions)
        return [self.get(kind, id) for id in definitions]

    def remove(self, kind: str, id: str) -> Any:
        """Remove a definition's file and archive its row. Returns the record as it was.

        What else lies in its folder stays. Raises NotFound, and Protected for a default persona.
        """
        record = self.get(kind, id)
        self._saving.remove(kind, id)
        return record

    # -- reading --------------------------------------------------------------------------

    def get(self, kind: str, id: str) -> Any:
        """Return a living record; raises NotFound."""
        table = self.table(kind)
        record = table.find(id)
        if record is None or record.archived_at is not None:
            hint = "" if record is None else "it was archived when its file went; history shows what it held"
            raise NotFound(table.noun if table.own else kind, id, hint)
        return record

    def find(self, kind: str, id: str) -> Any | None:
        """Return a living record, or None."""
        record = self.table(kind).find(id)
        return None if record is None or record.archived_at is not None else record

    def read(self, kind: str, id: str) -> dict[str, Any]:
        """Read a definition with its secrets: from its file as it is now, if the store has a folder.

        Raises NotFound and InvalidDefinition.
        """
        if self.home is None:
            return dict(self.get(kind, id).definition)
        return self._saving.read(kind, id)

    def history(self, kind: str, id: str) -> Sequence[Revision]:
        """List the revisions of a definition, archived or not, oldest first; raises NotFound."""
        revisions = self._revisions.list(self._known.place(kind).kind.name, id)
        if not revisions:
            raise NotFound(self.table(kind).noun, id)
        return revisions

    def difference(self, kind: str, id: str, old: int | None = None, new: int | None = None) -> Difference:
        """Compare two revisions by number; by default the newest one with the one before it."""
        from wilk.definitions.differences import compare

        revisions = {revision.number: revision for revision in self.history(kind, id)}
        newest = max(revisions) if new is None else new
        oldest = max(newest - 1, 1) if old is None else old
        for number in (newest, oldest):
            if number not in revisions:
                raise NotFound(
                    "revision", f"{id} {number}", f"there are {min(revisions)} to {max(revisions)}"
                )
        return compare(revisions[oldest].definition, revisions[newest].definition)
