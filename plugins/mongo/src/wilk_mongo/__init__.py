"""MongoDB for wilk: importers read from a live database, by ``mongodb://host/database``."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from wilk import SourceKind, hookimpl

if TYPE_CHECKING:
    from wilk import Documents

wilk_api = (1, 0)


def _open(url: str) -> Documents:
    from wilk_mongo.database import open_database  # the driver is imported when it is used

    return open_database(url)


@hookimpl
def register_sources() -> Iterator[SourceKind]:
    yield SourceKind("mongodb", _open, "a MongoDB server or replica set (mongodb://host/database)")
    yield SourceKind("mongodb+srv", _open, "the same, found by DNS (mongodb+srv://host/database)")
