"""The archive that is there by default: archived rows stay in the table ``archive``."""

from __future__ import annotations

from collections.abc import Iterator

from wilk.contracts import Archive
from wilk.hookspecs import hookimpl
from wilk.settings import Settings


def _open(_settings: Settings) -> None:
    """There is nothing outside of the database."""


@hookimpl
def register_archives() -> Iterator[Archive]:
    yield Archive("table", _open, "archived rows stay in the database, in the table archive")
