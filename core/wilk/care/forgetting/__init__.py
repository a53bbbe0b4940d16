"""Forgetting: what belongs to a person or a session goes for good, and is looked for everywhere."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from wilk.store import Store


def again(store: Store) -> dict[str, int]:
    """Remove what was forgotten and is back, as after restoring an earlier copy; return how many rows of
    each kind went.

    What was forgotten is known by its marks in the table ``forgotten``. Whatever was made anew under an id
    since then stays.
    """
    return store.forgetting.again()
