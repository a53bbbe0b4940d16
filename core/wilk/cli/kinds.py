"""A noun of definitions, and what its verbs begin with: the store in step with its files."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from wilk.errors import NotFound

if TYPE_CHECKING:
    from pathlib import Path

    from wilk.cli.context import Context
    from wilk.store import Store


class Kind(NamedTuple):
    """A noun of definitions: the name of its kind, what one of it is called, its columns in a list
    (heading and field), and the field that a list can be narrowed by."""

    name: str
    one: str
    columns: tuple[tuple[str, str], ...]
    narrowed_by: str = "category"

    @property
    def noun(self) -> str:
        return self.name.removesuffix("s")


def refreshed(context: Context) -> Store:
    """Give the store once it has taken over what changed in the files: they are the truth."""
    store = context.store
    if store.home is not None and store.home.is_dir() and not store.settings.readonly:
        store.sync()
    return store


def file_of(store: Store, kind: str, id: str) -> Path:
    """Where a record's file is, or would be made. Raises NotFound for a store without files."""
    from wilk.files import inside

    place = store.catalog.places()[kind]
    if store.home is None:
        raise NotFound("home folder", "none", "this store has no files; name one with --home DIR")
    path = place.path(id)
    there = [other for other in place.paths(id) if (store.home / other).is_file()]
    return inside(store.home, there[0] if there else path)
