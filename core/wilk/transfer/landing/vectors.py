"""Vectors that come in: into collections of their names."""

from __future__ import annotations

import array
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from wilk.errors import Invalid
from wilk.transfer.landing.ids import derived, usable

if TYPE_CHECKING:
    from wilk.contracts import IncomingVector
    from wilk.transfer.landing.report import Report


class Vectors:
    """Writes vectors by the verb that people use, in place of an earlier one of the same id."""

    def __init__(self, add: Callable[..., Any], report: Report) -> None:
        self._add = add
        self._report = report

    def vector(self, item: IncomingVector, target: str | None) -> str:
        """Write a vector, and return its id in the collection."""
        data = item.data
        if not data or len(data) % 4:
            raise Invalid(f"{len(data)} bytes are no float32 values: 4 bytes each are wanted")
        numbers = array.array("f", data)
        if sys.byteorder == "big":
            numbers.byteswap()
        wanted = item.id if usable(item.id) else derived(self._report.importer, "vectors", item.key)
        id = target or wanted
        self._add(
            item.collection, id, numbers.tolist(), metadata=item.metadata, model=item.model, part=item.part
        )
        return id
