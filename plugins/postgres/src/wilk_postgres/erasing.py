"""What a server does about rows that were deleted: their space is freed, or their tables are written anew."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from pathlib import Path
from typing import Any

from wilk.errors import WilkError
from wilk_postgres.addresses import Address, quoted

_PROMISE = (
    "PostgreSQL: the rows are gone from all tables; what the server's write-ahead log, replicas, dumps and "
    "the blocks of its disk still hold cannot be looked at from here"
)
_FREED = "PostgreSQL: freed space in its tables is overwritten as it is used again; full writes them anew"


class ServerErasing:
    """What forgetting asks of a server (:class:`wilk.contracts.Erasing`)."""

    def __init__(self, engine: Any, address: Address) -> None:
        self._engine = engine
        self._address = address

    def folders(self) -> list[Path]:
        """The server's files are its own."""
        return []

    def forget(
        self,
        goes: Callable[[str, Mapping[str, Any]], bool],  # noqa: ARG002 (the contract's)
        file: Path | None = None,  # noqa: ARG002
    ) -> int:
        """There are no copies of single rows."""
        return 0

    def erase(self, *, full: bool = False) -> Collection[str]:
        """Vacuum every table of the store's schema; with ``full`` write each anew."""
        problems = []
        execute = self._engine.execute
        rows = execute("SELECT tablename FROM pg_tables WHERE schemaname = %s", [self._address.schema])
        verb = "VACUUM (FULL)" if full else "VACUUM"
        for (name,) in rows:
            try:
                execute(f"{verb} {quoted(self._address.schema)}.{quoted(name)}")
            except WilkError as error:
                problems.append(f"table {name} could not be vacuumed: {error}")
        return [*problems, *([] if full else [_FREED]), _PROMISE]
