"""Agents, prompts, personas and presets that come in: their files, their rows, and a revision per version."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from wilk import codec
from wilk.errors import Conflict, NotFound
from wilk.transfer.landing.ids import derived, file_name

if TYPE_CHECKING:
    from wilk.contracts import IncomingDefinition
    from wilk.definitions.catalog import Catalog
    from wilk.transfer.landing.ledger import Ledger
    from wilk.transfer.landing.report import Report


class Definitions:
    """Writes definitions by the verbs that people use, so that files and rows agree."""

    def __init__(self, catalog: Catalog, ledger: Ledger, report: Report) -> None:
        self._catalog = catalog
        self._ledger = ledger
        self._report = report

    def definition(self, item: IncomingDefinition, target: str | None) -> str:
        """Write a definition and those of its versions that are no revisions yet; return the id."""
        id = target or self._id(item.kind, item.key, item.id)
        there = self._history(item.kind, id)
        for version in (*item.versions, item.definition):
            plain: dict[str, Any] = codec.loads(codec.dumps(dict(version)))
            if version is not item.definition and codec.content_hash(plain) in there:
                continue
            self._save(item, id, plain)
        return id

    def known(self, kind: str, key: str) -> str | None:
        """The id of a definition that the source names by key, or None."""
        return self._ledger.target(kind, key)

    def _save(self, item: IncomingDefinition, id: str, definition: Mapping[str, Any]) -> None:
        try:
            self._catalog.save(item.kind, id, definition)
        except Conflict:
            name = definition.get("name")
            if not isinstance(name, str):
                raise
            # Names are unique here; those of the source may not be.
            self._report.warn("names that another definition has got their id behind them")
            self._catalog.save(item.kind, id, {**definition, "name": f"{name} ({id})"})

    def _history(self, kind: str, id: str) -> set[str]:
        try:
            return {codec.content_hash(dict(one.definition)) for one in self._catalog.history(kind, id)}
        except NotFound:
            return set()

    def _id(self, kind: str, key: str, wanted: str) -> str:
        id = file_name(wanted)
        if self._catalog.find(kind, id) is None and self._ledger.owner(kind, id) is None:
            return id
        return f"{id[:80]}-{derived(self._report.importer, kind, key)[:8]}"
