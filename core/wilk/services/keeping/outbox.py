"""The way of archived rows out of the table ``archive``, and back: hands them to the archive in use.

A row lies in the table until the archive has it for good; then the table keeps its place alone.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from threading import Lock
from typing import TYPE_CHECKING, Any

from wilk import codec, models
from wilk.clock import to_datetime
from wilk.engine import Engine
from wilk.errors import BackendError, Invalid
from wilk.models.statements import param

if TYPE_CHECKING:
    from wilk import contracts
    from wilk.settings import Settings

logger = logging.getLogger("wilk.archive")

_ROWS = 500
_BYTES = 1_000_000


class Outbox:
    """Hands over what waits in the table, and reads archived rows wherever they lie.

    ``archive`` gives the archive of a name, as plugins offer them; ``later`` runs a job off the
    caller's path.
    """

    def __init__(
        self,
        engine: Engine,
        settings: Settings,
        archive: Callable[[str], contracts.Archive],
        later: Callable[[str, Callable[[], object]], object],
    ) -> None:
        self._engine = engine
        self._settings = settings
        self._archive = archive
        self._later = later
        self._lock = Lock()
        self._storages: dict[str, contracts.ArchiveStorage | None] = {}

    # -- handing over ---------------------------------------------------------------------

    def storage(self) -> contracts.ArchiveStorage | None:
        """The archive in use, by the setting ``archive``; None when rows stay in the table."""
        return self._opened(self._settings.archive)

    def begin(self) -> None:
        """Open the archive in use, which raises for a bad setting, and see to what was left waiting."""
        if self.storage() is not None and self._waiting(0):
            self._later("archive", self.flush)

    def filled(self) -> None:
        """Note that rows came into the table: they are handed over behind the verbs, after the commit.

        What that meets, such as a full disk, is logged; the rows wait in the table for the next time.
        """
        if self._settings.archive != "table":
            # While the store closes nothing new is begun; the next one that is opened does it.
            self._engine.after_commit(lambda: self._later("archive", self.flush))

    def flush(self) -> int:
        """Hand over what waits in the table, and return how many rows that were."""
        storage = self.storage()
        if storage is None or not self._waiting(0):
            return 0
        if self._engine.in_transaction:
            raise Invalid("flush: not inside a transaction; rows are handed over once they are committed")
        handed = last = 0
        with storage.exclusive():
            while rows := self._waiting(last):
                entries = [(row[0], _line(row)) for row in rows]
                places = storage.append(entries)
                if not 0 < len(places) <= len(entries):
                    raise BackendError(
                        f"archive {self._settings.archive!r}: {len(places)} places for {len(entries)} rows"
                    )
                with self._engine.transaction():
                    self._note(entries[: len(places)], places)
                last = rows[len(places) - 1][0]
                handed += len(places)
        return handed

    def _note(self, entries: Sequence[tuple[int, bytes]], places: Sequence[str]) -> None:
        """Keep where entries lie, in place of their data."""
        noted = self._engine.statement("archive.placed", _placed)
        rows = []
        for (number, _), place in zip(entries, places, strict=True):
            values = {"pk": number, "place": f"{self._settings.archive}:{place}", "data": None}
            rows.append([values[name] for name in noted.names])
        self._engine.execute_many(noted.sql, rows)

    def _waiting(self, last: int) -> list[tuple[Any, ...]]:
        """The next rows to hand over: as many as make one piece of an archive, at least one."""
        rows: list[tuple[Any, ...]] = []
        size = 0

        def enough(row: tuple[Any, ...]) -> bool:
            nonlocal size
            rows.append(row)
            size += len(row[-1])
            return size >= _BYTES or len(rows) >= _ROWS

        self._engine.fetch_until("archive.waiting", _waiting, (last,), enough)
        return rows

    # -- reading --------------------------------------------------------------------------

    def read(self, entries: Sequence[tuple[str | None, str | None]]) -> list[dict[str, Any]]:
        """Return rows by their entries' ``data`` and ``place``: column → value as the engine holds it."""
        found: list[dict[str, Any]] = [{} if data is None else codec.kept(data, dict) for data, _ in entries]
        elsewhere: dict[str, list[int]] = {}
        for number, (data, place) in enumerate(entries):
            if data is None and place is not None:
                elsewhere.setdefault(place.partition(":")[0], []).append(number)
        for name, numbers in elsewhere.items():
            storage = self._opened(name)
            if storage is None:
                raise BackendError(f"archive {name!r} keeps rows in the table, but places lie in it")
            places = [str(entries[number][1]).partition(":")[2] for number in numbers]
            for number, place, line in zip(numbers, places, storage.read(places), strict=True):
                try:
                    found[number] = dict(codec.loads(line)["data"])
                except (ValueError, TypeError, KeyError):  # which would show what the line holds
                    raise BackendError(f"archive {name!r}: what lies at {place!r} is no row") from None
        return found

    def _opened(self, name: str) -> contracts.ArchiveStorage | None:
        with self._lock:
            if name not in self._storages:
                self._storages[name] = self._archive(name).open(self._settings)
            return self._storages[name]

    def close(self) -> None:
        """Let go of what the archives hold."""
        with self._lock:
            storages = [storage for storage in self._storages.values() if storage is not None]
            self._storages.clear()
        for storage in storages:
            storage.close()


_OUTSIDE = (
    "pk", "kind", "record_id", "session_id", "reason", "interaction_id", "archived_at", "batch", "data",
)  # fmt: skip


def _line(row: Sequence[Any]) -> bytes:
    """An entry as it lies outside of the database: what it is, and the row as ``data``."""
    about = {"entry": row[0], **dict(zip(_OUTSIDE[1:-1], row[1:-1], strict=True))}
    about["archived_at"] = to_datetime(about["archived_at"]).isoformat()
    return f'{codec.dumps(about)[:-1]},"data":{row[-1]}}}'.encode()


def _waiting() -> Any:
    entry = models.ArchiveEntry
    return (
        entry.select(*[getattr(entry, name) for name in _OUTSIDE])
        .where(entry.data.is_null(False), entry.place.is_null(), entry.pk > param("last"))
        .order_by(entry.pk)
    )


def _placed() -> Any:
    entry = models.ArchiveEntry
    return entry.update({entry.place: param("place"), entry.data: param("data")}).where(
        entry.pk == param("pk"), entry.data.is_null(False)
    )
