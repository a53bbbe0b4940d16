"""Agents, prompts, personas and presets that come in: their files, their rows, and a revision per version."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from wilk import codec
from wilk.errors import Conflict, NotFound
from wilk.transfer.landing.edits import whole
from wilk.transfer.landing.ids import derived, file_name

if TYPE_CHECKING:
    from wilk.contracts import IncomingDefinition
    from wilk.definitions.catalog import Catalog
    from wilk.transfer.landing.edits import Edits
    from wilk.transfer.landing.ledger import Ledger
    from wilk.transfer.landing.report import Report


class Definitions:
    """Writes definitions by the verbs that people use, so that files and rows agree."""

    def __init__(self, catalog: Catalog, ledger: Ledger, report: Report, edits: Edits) -> None:
        self._catalog = catalog
        self._ledger = ledger
        self._report = report
        self._edits = edits

    def definition(self, item: IncomingDefinition, target: str | None) -> str:
        """Write a definition and those of its versions that are no revisions yet; return the id.

        Of one that was edited here since it was taken over, what was edited stays; what the source says
        is a revision.
        """
        id = target or self._id(item.kind, item.key, item.id)
        there = self._history(item.kind, id, item.mark)
        edited = None if target is None else self._edited(item.kind, id)
        for number, version in enumerate((*item.versions, item.definition)):
            plain: dict[str, Any] = codec.loads(codec.dumps(dict(version)))
            if number < len(item.versions) and _sign(plain, item.mark) in there:
                continue
            coming = self._save(item, id, plain)
        self._edits.note_definition(coming)
        if edited is not None:
            self._keep(item, id, coming, *edited)
        return id

    def known(self, kind: str, key: str) -> str | None:
        """The id of a definition that the source names by key, or None."""
        return self._ledger.target(kind, key)

    def _edited(self, kind: str, id: str) -> tuple[Mapping[str, Any], Mapping[str, Any]] | None:
        """A definition as it is here, and as the last run made it, where these are not the same."""
        made = self._edits.definition
        if made is None:
            return None
        if self._catalog.find(kind, id) is None:
            self._report.warn(
                "definitions that were removed here came back: the source has changed them since"
            )
            return None
        here = self._catalog.read(kind, id)
        if whole(here) == made:
            return None
        for one in reversed(self._catalog.history(kind, id)):
            if whole(one.definition) == made:
                return here, one.definition
        return None

    def _keep(
        self,
        item: IncomingDefinition,
        id: str,
        coming: Mapping[str, Any],
        here: Mapping[str, Any],
        before: Mapping[str, Any],
    ) -> None:
        """Put what was edited here on top of what the source says."""
        names = [name for name in {**before, **here} if here.get(name) != before.get(name)]
        edited = {name: here[name] for name in names if name in here}
        kept = {name: value for name, value in coming.items() if name not in names} | edited
        if kept == coming:
            return
        self._report.warn(
            f"{item.kind} that were edited here since they were taken over keep what was edited; "
            "what the source says is the revision before"
        )
        self._catalog.save(item.kind, id, kept)

    def _save(self, item: IncomingDefinition, id: str, definition: dict[str, Any]) -> dict[str, Any]:
        try:
            self._catalog.save(item.kind, id, definition)
            return definition
        except Conflict:
            name = definition.get("name")
            if not isinstance(name, str):
                raise
            # Names are unique here; those of the source may not be.
            self._report.warn("names that another definition has got their id behind them")
            renamed = {**definition, "name": f"{name} ({id})"}
            self._catalog.save(item.kind, id, renamed)
            return renamed

    def _history(self, kind: str, id: str, mark: Sequence[str]) -> set[str]:
        try:
            return {_sign(dict(one.definition), mark) for one in self._catalog.history(kind, id)}
        except NotFound:
            return set()

    def _id(self, kind: str, key: str, wanted: str) -> str:
        id = file_name(wanted)
        if self._catalog.find(kind, id) is None and self._ledger.owner(kind, id) is None:
            return id
        return f"{id[:80]}-{derived(self._report.importer, kind, key)[:8]}"


def _sign(definition: Any, mark: Sequence[str]) -> str:
    """What tells a version from others: its mark where it has one, else all of it."""
    found = definition
    for name in mark:
        found = found.get(name) if isinstance(found, Mapping) else None
    return codec.content_hash(definition if not mark or found is None else ["mark", found])
