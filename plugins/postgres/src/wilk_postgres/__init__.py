"""PostgreSQL as the store of wilk: ``wilk.open_store("postgresql://user@host/database")``."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from wilk import Backend, hookimpl

if TYPE_CHECKING:
    from wilk import Settings
    from wilk.contracts import Opened

wilk_api = (1, 0)


def _open(url: str, settings: Settings) -> Opened:
    from wilk_postgres.opening import open_postgres

    return open_postgres(url, settings)


@hookimpl
def register_backends() -> Iterator[Backend]:
    yield Backend(
        scheme="postgresql",
        open=_open,
        capabilities=frozenset({"persistent", "processes", "readonly", "full-text"}),
        summary="a PostgreSQL server (postgresql://user@host/database)",
    )
