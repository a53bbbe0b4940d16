"""What a backend hands over: an open database, and how a store must behave on it."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from pathlib import Path

    from peewee import Database

    from wilk.models.statements import Statement
    from wilk.settings import Settings


class FullText(Protocol):
    """Keeps a full-text index over ``messages.text`` and ``passages.text`` inside the engine.

    The engine follows inserts, updates and deletes by itself (triggers, generated columns).
    """

    def install(self, database: Database) -> None:
        """Make the indexes and whatever keeps them in step, or put back what is missing of them."""

    def matching(self, text: str, table: str, *, any_word: bool = False) -> Any:
        """Turn any user input into a Peewee query of ``pk`` and ``rank`` (smaller is better) over a table.

        All words must be there, or with ``any_word`` at least one; None when the index cannot answer
        this input, and text must be compared instead.
        """


@dataclass(frozen=True, eq=False)
class Opened:
    """An open backend, and how a store must behave on it.

    Either ``database``, a Peewee database that opens its own connections, or ``connect`` and
    ``attach``: ``connect()`` opens a DB-API connection for the calling thread, ``attach(connection)``
    makes a Peewee database over the connections that ``connection()`` gives, and neither opens nor
    closes any. With the second way Peewee is imported only by verbs that build queries. Errors are
    known by the names that DB-API gives them (PEP 249).

    ``timeout`` and ``readonly``: what the URL said, where it goes before the settings.
    ``writers``: how many writing transactions may run at once in one process.
    ``shared``: True when all threads share one connection, so that reads queue as well.
    ``statements``: SQL that was compiled from the models beforehand, by name.
    ``folder``: where files derived from the database may lie (caches, indexes) when there is no home
    folder; it need not be there yet. Without one they stay in memory.
    ``migration_lock``: a context manager that lets one process at a time migrate.
    ``backup``: copies the database before its schema changes and returns what was written, or
    None where the engine has its own way. ``snapshot``: the SQL that begins a transaction in which
    all reads see one state.
    """

    database: Database | None = None
    connect: Callable[[], Any] | None = None
    attach: Callable[[Callable[[], Any]], Database] | None = None
    timeout: float | None = None
    readonly: bool | None = None
    writers: int = 1
    shared: bool = False
    full_text: FullText | None = None
    statements: Callable[[], Mapping[str, Statement]] | None = None
    migration_lock: Callable[[], AbstractContextManager[Any]] | None = None
    backup: Callable[[str], Path | None] | None = None
    snapshot: str = "BEGIN"
    folder: Path | None = None


@dataclass(frozen=True, eq=False)
class Backend:
    """A kind of database, offered by ``register_backends``.

    ``open(url, settings)`` imports its driver, and returns an :class:`Opened`, or simply a Peewee
    database.
    ``capabilities`` is any of: ``persistent`` (outlives the process), ``processes`` (several at
    once), ``readonly``, ``full-text``, ``backup``. What is declared is tested by
    ``wilk.testing.BackendSuite``, and so is what is not.
    """

    scheme: str
    open: Callable[[str, Settings], Opened | Database]
    capabilities: Collection[str] = frozenset()
    summary: str = ""

    @property
    def name(self) -> str:
        return self.scheme
