"""Definitions of any kind, and the verbs that agents, prompts, personas and presets share."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Generic, TypeVar

from wilk.definitions.catalog import Catalog
from wilk.definitions.differences import Difference
from wilk.errors import NotFound
from wilk.records.definitions import DefinitionFile, Failure, Revision

_R = TypeVar("_R")


class Definitions:
    """Definitions of every kind by the kind's name: ``mcp-servers``, ``config``, plugins' kinds.

    A kind that is one file, as ``mcp-servers.json`` is, needs no id.
    """

    def __init__(self, catalog: Catalog) -> None:
        self._catalog = catalog

    def kinds(self) -> Sequence[str]:
        """List the names of the kinds."""
        return sorted(self._catalog.places())

    def get(self, kind: str, id: str | None = None) -> Any:
        """Return a record; raises NotFound. What is secret is replaced by a mark; see :meth:`read`."""
        return self._catalog.get(kind, id or kind)

    def find(self, kind: str, id: str | None = None) -> Any | None:
        """Return a record, or None."""
        return self._catalog.find(kind, id or kind)

    def list(self, kind: str, *, archived: bool = False) -> Sequence[Any]:
        """List the records of a kind by id; with ``archived`` also those whose files are gone."""
        table = self._catalog.table(kind)
        return table.select() if archived else table.living()

    def read(self, kind: str, id: str | None = None) -> dict[str, Any]:
        """Read a definition from its file as it is now, with its secrets; raises NotFound."""
        return self._catalog.read(kind, id or kind)

    def save(self, kind: str, definition: Mapping[str, Any], *, id: str | None = None) -> Any:
        """Write a definition to its file and row, and return the record.

        A mark that stands for a secret is replaced by what the file holds. Raises
        InvalidDefinition, Conflict for a name that is taken, and Rejected.
        """
        return self._catalog.save(kind, id or kind, definition)

    def remove(self, kind: str, id: str | None = None) -> Any:
        """Remove a definition's file, archive its row, and return the record as it was."""
        return self._catalog.remove(kind, id or kind)

    def history(self, kind: str, id: str | None = None) -> Sequence[Revision]:
        """List the revisions of a definition, oldest first; raises NotFound."""
        return self._catalog.history(kind, id or kind)

    def difference(
        self, kind: str, id: str | None = None, *, old: int | None = None, new: int | None = None
    ) -> Difference:
        """Compare two revisions by number; by default the newest one with the one before it."""
        return self._catalog.difference(kind, id or kind, old, new)

    def check(self, kind: str | None = None) -> Sequence[Failure]:
        """Read every file and tell what is wrong, without writing anything.

        A problem that begins with ``warning:`` does not keep its file from being taken over.
        """
        return self._catalog.check(kind)

    def files(self, kind: str | None = None) -> Sequence[DefinitionFile]:
        """List what is known of the files, by path, as of the last sync."""
        return self._catalog.files(kind)


class Records(Generic[_R]):
    """The verbs of one kind of definitions that has records of its own."""

    kind: str

    def __init__(self, catalog: Catalog) -> None:
        self._catalog = catalog

    def get(self, id: str) -> _R:
        """Return the record with that id; raises NotFound, also for an archived one."""
        record: _R = self._catalog.get(self.kind, id)
        return record

    def find(self, id: str) -> _R | None:
        """Return the record with that id, or None."""
        record: _R | None = self._catalog.find(self.kind, id)
        return record

    def by_name(self, name: str) -> _R:
        """Return the record with that name, which no other has; raises NotFound."""
        table = self._catalog.table(self.kind)
        found: list[_R] = table.select(table.alive(), table.model.name == name)
        if not found:
            raise NotFound(table.noun, name, "list shows the names there are")
        return found[0]

    def save(self, id: str, definition: Mapping[str, Any]) -> _R:
        """Write a definition to its file and row, and return the record.

        An existing file keeps its comments, the order of its keys and its quoting. Inside of a
        transaction the file is written when that commits. Raises InvalidDefinition, Conflict for
        a name that is taken, and Rejected.
        """
        record: _R = self._catalog.save(self.kind, id, definition)
        return record

    def remove(self, id: str) -> _R:
        """Remove a definition's file, archive its row, and return the record as it was.

        Other files in its folder stay. Raises NotFound, and Protected for a default persona.
        """
        record: _R = self._catalog.remove(self.kind, id)
        return record

    def history(self, id: str) -> Sequence[Revision]:
        """List the revisions, oldest first, of an archived record too; raises NotFound."""
        return self._catalog.history(self.kind, id)

    def difference(self, id: str, *, old: int | None = None, new: int | None = None) -> Difference:
        """Compare two revisions by number; by default the newest one with the one before it."""
        return self._catalog.difference(self.kind, id, old, new)

    def _select(self, name: str | None, archived: bool, columns: Mapping[str, str | None]) -> list[_R]:
        """The records by id whose name contains ``name`` and whose columns have these values."""
        table = self._catalog.table(self.kind)
        if name is None and not archived and all(value is None for value in columns.values()):
            living: list[_R] = table.living()
            return living
        conditions = [
            getattr(table.model, column) == value for column, value in columns.items() if value is not None
        ]
        if name is not None:
            conditions.append(table.model.name.contains(name))
        if not archived:
            conditions.append(table.alive())
        found: list[_R] = table.select(*conditions)
        return found
