"""Values of vectors as callers hand them over, checked and turned into float32."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

from wilk import codec
from wilk.errors import Invalid
from wilk.services import checks

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy import float32
    from numpy.typing import NDArray


class Item(NamedTuple):
    """A vector to be kept, before its values are checked."""

    id: str
    part: int
    vector: Any
    metadata: Mapping[str, Any]


def item(id: Any, vector: Any, metadata: Any = None, part: Any = 0, *, name: str = "") -> Item:
    """Check all of an item but its values."""
    kept = checks.mapping(f"{name}metadata", metadata)
    if kept:
        codec.dumps(kept)  # raises NotStorable with the path
    return Item(checks.identifier(f"{name}id", id), checks.whole(f"{name}part", part), vector, kept)


def items(given: Iterable[Any]) -> Iterator[Item]:
    """Check items: ``(id, vector)``, ``(id, vector, metadata)``, or objects with ``id``, ``vector`` and, if
    wanted, ``metadata`` and ``part``."""
    if isinstance(given, (str, bytes, Mapping)) or not isinstance(given, Iterable):
        raise Invalid(
            f"items: a list of (id, vector) or (id, vector, metadata) is wanted, not {type(given).__name__}"
        )
    for place, one in enumerate(given):
        name = f"items.{place}: "
        if isinstance(one, Mapping):
            if unknown := one.keys() - {"id", "vector", "metadata", "part"}:
                raise Invalid(f"{name}{min(map(repr, unknown))}: id, vector, metadata and part are known")
            if not {"id", "vector"} <= one.keys():
                raise Invalid(f"{name}an id and a vector are wanted")
            yield item(one["id"], one["vector"], one.get("metadata"), one.get("part", 0), name=name)
        elif isinstance(one, (tuple, list)) and len(one) in (2, 3):
            yield item(*one, name=name)
        else:
            raise Invalid(f"{name}(id, vector), (id, vector, metadata) or an object with these is wanted")


def values(vector: Any, *, name: str = "vector", dimension: int | None = None) -> NDArray[float32]:
    """One vector as float32, in one dimension; raises Invalid for what cannot be kept or compared."""
    import numpy as np

    try:
        found = np.asarray(vector)
    except (ValueError, TypeError):
        found = np.empty(0, object)
    if found.dtype.kind not in "fiu" or found.ndim != 1 or not len(found):
        raise Invalid(f"{name}: a list or an array of numbers is wanted, in one dimension")
    if dimension is not None and len(found) != dimension:
        raise Invalid(f"{name}: {len(found)} values, and the collection has vectors of {dimension}")
    return _checked(found, name)


def matrix(some: Sequence[Item], first: int, dimension: int) -> NDArray[float32]:
    """The vectors of items as float32, a row each; ``first`` is the place of the first one."""
    import numpy as np

    try:
        found = [np.asarray(one.vector) for one in some]
    except (ValueError, TypeError):
        found = []
    if found and all(one.dtype.kind in "fiu" and one.shape == (dimension,) for one in found):
        with np.errstate(over="ignore"):
            single = np.array(found).astype("<f4", copy=False)
        if np.isfinite(single).all():
            return single
    rows = [  # one by one, to tell which it is
        values(one.vector, name=f"items.{first + place}: vector of {one.id!r}", dimension=dimension)
        for place, one in enumerate(some)
    ]
    return np.array(rows, "<f4")


def _checked(found: Any, name: str) -> NDArray[float32]:
    import numpy as np

    with np.errstate(over="ignore"):
        single: NDArray[float32] = found.astype("<f4")
    bad = np.flatnonzero(~np.isfinite(single))
    if len(bad):
        place = int(bad[0])
        value = found[place].item()
        raise Invalid(
            f"{name}: the value at {place} is {value!r}; finite numbers that float32 holds are wanted"
        )
    return single
