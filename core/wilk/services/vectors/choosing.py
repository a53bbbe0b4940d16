"""Which index finds the nearest vectors of a store."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from wilk.contracts import VectorIndex
from wilk.errors import BackendError

AUTO = "auto"
_EXACT = "exact"


class Chosen(NamedTuple):
    """An index, and why it takes the place of the backend's own; None where it does not."""

    found_by: VectorIndex
    instead_of: str | None


def choose(name: str, dimension: int, own: VectorIndex | None, find: Callable[[str], VectorIndex]) -> Chosen:
    """The index that the setting ``vector_index`` names, for vectors of a dimension.

    ``own`` is the backend's, ``find`` finds those of plugins. With ``auto`` the backend's own is used where
    there is one that does not refuse. Raises BackendError when the one that is named refuses.
    """
    if name == AUTO and own is None:
        return Chosen(find(_EXACT), None)
    index = own if own is not None and name in (AUTO, own.name) else find(name)
    refused = None if index.refuses is None else index.refuses(dimension)
    if refused is None:
        return Chosen(index, None)
    if name == AUTO:
        return Chosen(find(_EXACT), f"{index.name} is not used, for {refused}")
    raise BackendError(
        f"vectors cannot be searched by {name}: {refused}; leave the setting vector_index at auto"
    )
