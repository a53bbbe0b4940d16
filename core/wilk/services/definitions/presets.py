"""Presets: the records that follow ``presets/<id>.yaml``."""

from __future__ import annotations

from collections.abc import Sequence

from wilk.records.definitions import Preset
from wilk.services.definitions.definitions import Records


class Presets(Records[Preset]):
    """The presets of a store."""

    kind = "presets"

    def list(
        self, *, model: str | None = None, name: str | None = None, archived: bool = False
    ) -> Sequence[Preset]:
        """List presets by id: of a model, or with ``name`` in their names.

        With ``archived`` also those whose files are gone.
        """
        return self._select(name, archived, {"model": model})
