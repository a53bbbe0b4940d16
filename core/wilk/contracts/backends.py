"""What a backend hands over: an open database, and how a store must behave on it."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from pathlib import Path

    from peewee import Database

    from wilk.contracts.figures import Figures
    from wilk.contracts.maintenance import Maintaining
    from wilk.contracts.vectors import VectorIndex
    from wilk.definitions.watcher import Watcher
    from wilk.errors import WilkError
    from wilk.models.statements import Statement
    from wilk.records.definitions import SyncReport
    from wilk.settings import Settings
    from wilk.store import Store


Execute = Callable[..., list[tuple[Any, ...]]]
"""``execute(sql, parameters=())``: runs SQL in the transaction at hand, and returns its rows."""


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


class Pool(Protocol):
    """Connections of a server, lent for a transaction or a statement at a time."""

    def take(self, *, reading: bool) -> Any:
        """Lend a DB-API connection to the calling thread.

        With ``reading`` only one statement or one snapshot runs on it, so that a replica will do that has
        what this process wrote. Raises what the driver raises when there is none to be had.
        """

    def give(self, connection: Any) -> None:
        """Take a connection back, whatever state it is in."""

    def close(self) -> None:
        """Close all connections."""

    def abandon(self) -> None:
        """In a forked child: forget the connections, which are the parent's, and open others when asked."""


class Followed(Protocol):
    """Takes over what was changed past the store, such as files that people edit."""

    def sync(self) -> SyncReport:
        """Take over what has changed; tell what did, and what could not be taken over."""

    def broken(self) -> Collection[str]:
        """The paths of files that could not be taken over, and were not mended since."""

    def watch(self, on_report: Callable[[SyncReport], object] | None) -> Watcher:
        """Begin to take over changes as they are made."""

    def close(self) -> None:
        """Leave what people may change as it is to stay while the store is closed; must not raise."""


class Erasing(Protocol):
    """Sees to it that rows which were deleted are in none of an engine's files any more."""

    def folders(self) -> Collection[Path]:
        """The files and folders in which the engine keeps rows, and copies of them; empty for a server."""

    def forget(self, goes: Callable[[str, Mapping[str, Any]], bool], file: Path | None = None) -> int:
        """Remove, from copies of rows that the engine keeps beside its tables, those that ``goes(table,
        row)`` is true of; return how many. A row is told by its columns as far as the copy has them.
        ``file``: from that one alone, which is such a copy and lies in a backup."""

    def erase(self, *, full: bool = False) -> Collection[str]:
        """Write anew what may still hold deleted rows (free pages, logs, full text); outside of any
        transaction. ``full``: also what keeps others out for long. Returns sentences on what could not be
        done, or cannot be promised."""


class Bus(Protocol):
    """Carries short messages between the stores that share a database or a server, on all machines.

    Messages are told on a thread of the bus, also those of this very process. They may be lost while a
    server is away: listeners are then told the topic ``lost``, with an empty text, once it is back.
    """

    def publish(self, topic: str, text: str) -> None:
        """Send a message as soon as that can be, without waiting and without raising."""

    def subscribe(self, listener: Callable[[str, str], None]) -> None:
        """Tell ``listener(topic, text)`` of every message from now on."""

    def close(self) -> None:
        """Send what waits, at most for a second, and end."""


@dataclass(frozen=True, eq=False)
class Opened:
    """An open backend, and how a store must behave on it.

    One of three ways to connections. ``database``: a Peewee database that opens its own. ``connect``
    and ``attach``: ``connect()`` opens a DB-API connection for the calling thread, ``attach(connection)``
    makes a Peewee database over the connections that ``connection()`` gives, and neither opens nor
    closes any. ``pool`` and ``attach``: a thread has a connection of the pool while it is in a transaction
    or a statement. With the last two Peewee is imported only by verbs that build queries. Errors are
    known by the names that DB-API gives them (PEP 249).

    ``timeout`` and ``readonly``: what the URL said, where it goes before the settings.
    ``writers``: how many writing transactions may run at once in one process.
    ``shared``: True when all threads share one connection, so that reads queue as well.
    ``statements``: SQL that was compiled from the models beforehand, by name.
    ``folder``: where files derived from the database may lie (caches, indexes) when there is no home
    folder; it need not be there yet. Without one they stay in memory.
    ``migration_lock``: a context manager that lets one process at a time migrate.
    ``copy``: copies all of the database, as of one moment and while others write, into a new SQLite file at
    the path it is given. ``put_back``: makes the whole database what such a copy holds, in one transaction
    that connections of other processes see; the copy may be changed by it. Where they are None, backups go
    by rows. ``backup``: what a backend without ``copy``, or with more to keep, does before its schema
    changes; it returns what was written, or None where the engine has its own way. ``snapshot``: the SQL
    that begins a transaction in which all reads see one state.
    ``beside``: what Peewee's ``begin`` is given by a transaction that may run beside others of its kind,
    such as those that append to different sessions; without it every transaction runs alone.
    ``committing``: called with a way to execute SQL inside of the outermost transaction when it is about
    to commit; what it raises undoes the transaction. What it returns is called after that, with whether
    the commit succeeded, and may return True when one stands that the driver said had failed. ``stream``:
    opens a cursor that reads rows as they are asked for, where the driver's own cursors read all at once;
    it is used within a snapshot or a transaction.
    ``translate``: turns an error of the driver into one of wilk's; None leaves it to the store.
    ``bus``: opens the engine's own way to tell other stores of changes. ``heard``: called when any bus has
    told of something, before it is acted upon: what is read from then on must not be older.
    ``vector_index``: an index of vectors of the engine's own. It is used where the setting
    ``vector_index`` is ``auto`` and it does not refuse, or where that names it.
    ``follow``: called with the store once its schema is up to date, and before anything is done with it;
    what it returns takes over what people changed past the store.
    ``identity``: given a way to execute SQL, a text that two URLs have in common if they lead to the same
    rows, whatever they look like; moves go by the URL without it.
    ``renumber``: ``renumber(execute, table, column)`` puts the counter from which an engine numbers new rows
    behind those there are; for engines that do not do so by themselves when rows come with numbers of their
    own. ``rows_per_insert``: how many rows one INSERT takes at best.
    ``figures``: makes what tells of the engine, for ``store.health()`` and ``store.statistics()``.
    ``maintenance``: makes what keeps the engine well, for ``store.maintain()``.
    ``unchecked``: lets the connection at hand write rows whose references lead nowhere, for a block outside
    of transactions, where the engine can do that: a repair that is undone puts such rows back.
    ``erasing``: given the store's engine, makes what :class:`Erasing` is, for forgetting.
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
    copy: Callable[[Path], None] | None = None
    put_back: Callable[[Path], None] | None = None
    snapshot: str = "BEGIN"
    folder: Path | None = None
    pool: Pool | None = None
    beside: tuple[Any, ...] | None = None
    committing: Callable[[Execute], Callable[[bool], bool | None] | None] | None = None
    stream: Callable[[Any], Any] | None = None
    translate: Callable[[Exception], WilkError | None] | None = None
    bus: Callable[[], Bus] | None = None
    heard: Callable[[], object] | None = None
    vector_index: VectorIndex | None = None
    follow: Callable[[Store], Followed | None] | None = None
    identity: Callable[[Execute], str] | None = None
    renumber: Callable[[Execute, str, str], object] | None = None
    rows_per_insert: int = 100
    figures: Callable[[], Figures] | None = None
    maintenance: Callable[[], Maintaining] | None = None
    unchecked: Callable[[Execute], AbstractContextManager[Any]] | None = None
    erasing: Callable[[Any], Erasing] | None = None


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


@dataclass(frozen=True, eq=False)
class BusKind:
    """A way for stores to tell each other of changes, offered by ``register_buses`` and chosen by the
    setting ``bus``.

    ``open(url, settings, folder)`` gives a bus at once, and connects behind that; ``folder`` is where files
    of the store may lie, None for a store without any.
    """

    scheme: str
    open: Callable[[str, Settings, Path | None], Bus]
    summary: str = ""

    @property
    def name(self) -> str:
        return self.scheme
