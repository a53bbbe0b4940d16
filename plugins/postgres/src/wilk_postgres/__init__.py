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


_CAPABILITIES = frozenset({"persistent", "processes", "readonly", "full-text"})
_SUMMARY = "a PostgreSQL server (postgresql://user@host/database)"


@hookimpl
def register_backends() -> Iterator[Backend]:
    yield Backend(scheme="postgresql", open=_open, capabilities=_CAPABILITIES, summary=_SUMMARY)
    yield Backend(scheme="postgres", open=_open, capabilities=_CAPABILITIES, summary=_SUMMARY)
