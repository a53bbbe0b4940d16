"""What an engine tells of itself: how it fares for ``store.health``, how large it is for ``statistics``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, NamedTuple, Protocol

if TYPE_CHECKING:
    from pathlib import Path

    from wilk.contracts.backends import Execute


class PoolFigures(NamedTuple):
    """The connections of a pool. ``size``: open ones, of at most ``largest``; ``waiting``: threads that wait
    for one; ``replaced``: connections that were given up because they failed."""

    size: int
    largest: int
    in_use: int
    idle: int
    waiting: int
    replaced: int


class Lock(NamedTuple):
    """Somebody who writes, or waits for it. ``seconds``: for how long, as far as the engine knows."""

    who: str
    waits: bool
    seconds: float | None
    what: str


class Replica(NamedTuple):
    """A copy of the database that follows it. None is what the engine does not tell."""

    name: str
    state: str
    lag_seconds: float | None
    lag_bytes: int | None


class EngineState(NamedTuple):
    """How an engine fares. ``writing``: whether somebody holds the right to write just now (None: not known).
    ``problems``: what is not as it should be, a sentence each; the store works nevertheless."""

    version: str
    writing: bool | None = None
    locks: Sequence[Lock] = ()
    wal_bytes: int | None = None
    replicas: Sequence[Replica] = ()
    problems: Sequence[str] = ()


class TableSize(NamedTuple):
    """Bytes of one table: of its rows, and of its indexes (full text among them)."""

    bytes: int
    index_bytes: int


class Sizes(NamedTuple):
    """How large a database is. ``tables``: those that were measured, by name. ``free_bytes``: what is in
    the database and can be used again. ``measured_by``: how ``tables`` came about; empty without any."""

    tables: Mapping[str, TableSize]
    total_bytes: int | None
    free_bytes: int | None
    measured_by: str


class Figures(Protocol):
    """An engine's own figures; ``Opened.figures`` makes it. ``name`` is the engine's, such as SQLite.

    ``execute`` runs SQL on a connection that the calling thread keeps meanwhile. Errors of the driver may
    be raised; a figure that the engine does not have is None.
    """

    name: str

    @property
    def folder(self) -> Path | None:
        """Where the data lie on this machine; None when they lie elsewhere."""

    def limited(self, execute: Execute, seconds: float) -> AbstractContextManager[object]:
        """Let statements of the connection at hand wait for at most so long, for a block."""

    def missing(self) -> str | None:
        """Tell why the database that was opened is not there any more, found out without a connection;
        None when it is, or when only a connection could tell."""

    def unreachable(self, seconds: float) -> str | None:
        """Tell why no new connection can be made, found out in at most so long; None when it can.
        Called when the store's own did not answer."""

    def pool(self) -> PoolFigures | None:
        """The pool's figures; without a connection."""

    def state(self, execute: Execute) -> EngineState:
        """How the engine fares."""

    def sizes(self, execute: Execute, *, measure: bool) -> Sizes:
        """How large the database is; with ``measure`` each table as well, which may read all of it."""
