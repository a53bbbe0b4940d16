"""Personas: the records that follow ``personas/<id>.yaml``, and the default of each category."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from wilk.errors import NotFound
from wilk.records.definitions import Persona
from wilk.services.definitions.definitions import Records

GENERAL = "general"
"""The category of personas that name none."""


class Personas(Records[Persona]):
    """The personas of a store."""

    kind = "personas"

    def list(
        self, *, category: str | None = None, name: str | None = None, archived: bool = False
    ) -> Sequence[Persona]:
        """List personas by id: of a category, or with ``name`` in their names.

        With ``archived`` also those whose files are gone.
        """
        return self._select(name, archived, {"category": category})

    def default(self, category: str = GENERAL) -> Persona:
        """Return the default persona of a category; raises NotFound."""
        found = self._default(category)
        if found is None:
            raise NotFound("default persona of the category", category, "make_default makes one the default")
        return found

    def make_default(self, id: str) -> Persona:
        """Make a persona the default of its category, in place of the one that is, and return it.

        Both files are edited, as one change.
        """
        persona = self.get(id)
        changed = {id: self._marked(id, True)}
        before = self._default(persona.category or GENERAL)
        gone = None
        if before is not None and before.id != id:
            try:
                changed[before.id] = self._marked(before.id, False)
            except NotFound:
                # Its file is gone; it was only kept for want of another default, and may go now.
                gone = before.id
                changed[gone] = {**before.definition, "default": False}
        self._catalog.save_all(self.kind, changed)
        if gone is not None:
            self._catalog.remove(self.kind, gone)
        return self.get(id)

    def _default(self, category: str) -> Persona | None:
        return next((persona for persona in self.list(category=category) if persona.is_default), None)

    def _marked(self, id: str, is_default: bool) -> dict[str, Any]:
        definition = self._catalog.read(self.kind, id)
        name = "is_default" if "is_default" in definition else "default"
        return {**definition, name: is_default}
