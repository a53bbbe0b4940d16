"""What plugins hand over: frozen dataclasses, and the small Protocols behind them.

Everything here is import-light: a plugin module may import it at its top and still load in a
few milliseconds. Functions are handed over unbound and called when something asks for them.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from argparse import ArgumentParser, Namespace
    from datetime import timedelta
    from pathlib import Path

    from numpy import float32, int64
    from numpy.typing import NDArray
    from peewee import Database, Model

    from wilk.context.packing import Packing
    from wilk.definitions.permissions import Permissions
    from wilk.models.statements import Statement
    from wilk.settings import Settings
    from wilk.store import Store

API_VERSION = (1, 0)
"""Major and minor of this contract. A plugin module may declare ``wilk_api = (1, 0)``."""


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


@dataclass(frozen=True, eq=False)
class Tokenizer:
    """Counts tokens, offered by ``register_tokenizers``: ``count(text, model)`` gives the number
    of tokens that ``model`` (None: unknown) sees in ``text``."""

    name: str
    count: Callable[[str, str | None], int]
    summary: str = ""


class ArchiveStorage(Protocol):
    """Keeps archived rows outside of the database. Several processes may use one at once."""

    def exclusive(self) -> AbstractContextManager[None]:
        """Keep other threads and processes from appending while the block runs; raises Busy.

        Rows are looked up, appended and noted in the table within one such block.
        """

    def append(self, entries: Sequence[tuple[int, bytes]]) -> Sequence[str]:
        """Keep each entry, a number and one line of JSON, for good, and return where each lies.

        It must outlive a power cut when this returns. After a crash, or an error, the entries that
        were appended last may come again: those that lie there already, byte for byte, keep
        their place. A number alone says nothing: a database that was set back gives it anew.
        There may be fewer places than entries, those of the first ones; the others come again then.
        """

    def read(self, places: Sequence[str]) -> Sequence[bytes]:
        """Return what lies in the places; raises BackendError for what is missing or damaged."""

    def close(self) -> None:
        """Let go of files and connections."""


@dataclass(frozen=True, eq=False)
class Archive:
    """A place in which archived rows are kept, offered by ``register_archives`` and chosen by the
    setting ``archive``.

    ``open(settings)`` gives an :class:`ArchiveStorage`, or None to leave rows in the table
    ``archive``. A row goes into that table in the transaction that deletes it, whatever the archive;
    it is handed over once that is committed, so that a crash in between loses nothing. Entries keep
    the name of their archive: it is opened to read them when the setting names another by then.
    """

    name: str
    open: Callable[[Settings], ArchiveStorage | None]
    summary: str = ""


@dataclass(frozen=True, eq=False)
class Strategy:
    """A way of choosing what goes into a context, offered by ``register_strategies``.

    ``fill(packing)`` is called when the floors (system prompt, working memory, pins, newest turn) are
    in; it takes and leaves what else there is (:class:`wilk.context.packing.Packing`), which keeps
    the budget.
    """

    name: str
    fill: Callable[[Packing], None]
    summary: str = ""


@dataclass(frozen=True)
class CachePolicy:
    """How one namespace of a cache keeps what it is given.

    ``ttl`` is how long an entry lasts when nothing else is said (None: for ever), ``max_bytes`` how much
    the tier holds before the least recently used go, ``memory_bytes`` how much of it is kept in memory.
    ``compression`` writes values compressed where that is shorter; ``format`` is ``json`` or ``binary``
    (bytes). ``persistent`` False keeps entries in memory alone. ``refresh`` is the age from which a read
    by ``get_or_compute`` has a value computed anew behind it.
    """

    ttl: timedelta | None
    max_bytes: int
    memory_bytes: int
    compression: bool = False
    format: str = "json"
    persistent: bool = True
    refresh: timedelta | None = None


class CacheStorage(Protocol):
    """Keeps the entries of one namespace. Several threads and processes may use one at once.

    Keys are texts of at most 1,000 bytes in UTF-8, times microseconds since 1970. A tier that cannot
    read or write raises BackendError, and the cache goes on without it.
    """

    def get(self, key: str, now: int) -> tuple[bytes, int, int | None] | None:
        """Return value, time of writing and of expiry; None for no sound entry, or an expired one."""

    def set(
        self, key: str, value: bytes, *, now: int, expires_at: int | None, tags: Collection[str] = ()
    ) -> None:
        """Keep a value in place of any other; evict the least recently used beyond ``max_bytes``."""

    def touch(self, key: str, *, now: int, expires_at: int | None) -> bool:
        """Give an entry another time of expiry; False when there is none."""

    def delete(self, keys: Collection[str]) -> int:
        """Remove entries; return how many there were."""

    def clear(self, *, prefix: str | None = None, tag: str | None = None) -> int:
        """Remove all entries, or those of a prefix or a tag; return how many there were."""

    def sweep(self, now: int) -> int:
        """Remove what has expired; return how much."""

    def version(self) -> int | None:
        """Return a number that is another one after entries were changed through any other storage than
        this; None where that cannot be told, and what lies in memory counts for a second then."""

    def noted(self, keys: Collection[str], *, now: int, hits: int, misses: int) -> None:
        """Take note of entries that were read in memory, and of how often reads found something or not."""

    def statistics(self) -> Mapping[str, int]:
        """Return ``entries``, ``bytes``, ``evictions``, ``hits`` and ``misses``."""

    def computing(self, key: str, timeout: float) -> AbstractContextManager[bool]:
        """Let one caller of one process at a time compute a key; False when ``timeout`` passed first.

        It is let go when its holder dies, and may be let go by another thread than took it.
        """

    def close(self) -> None:
        """Let go of files and connections."""


@dataclass(frozen=True, eq=False)
class CacheTier:
    """Where caches outlive the process, offered by ``register_caches`` and chosen by the setting
    ``cache_tier``.

    ``open(settings, folder, namespace, policy)`` gives the storage of one namespace; ``folder`` is where
    files may lie, None for a store without any, in which case the answer may be None: memory alone.
    ``namespaces(settings, folder)`` lists those that hold something.
    """

    name: str
    open: Callable[[Settings, Path | None, str, CachePolicy], CacheStorage | None]
    summary: str = ""
    namespaces: Callable[[Settings, Path | None], Collection[str]] = field(
        default=lambda _settings, _folder: ()
    )


class SpaceRows(Protocol):
    """The vectors that an index follows: one collection by one model. Numbers only go up."""

    collection: str
    model: str
    dimension: int
    distance: str
    token: str
    folder: Path | None

    def after(self, number: int, limit: int) -> tuple[NDArray[int64], NDArray[float32]]:
        """The vectors with a greater number, in order: n numbers and n x dimension values."""

    def rows(self, numbers: NDArray[int64]) -> tuple[NDArray[int64], NDArray[float32]]:
        """Those of the vectors that are still there, in any order."""

    def count(self) -> int:
        """How many vectors there are."""

    def last(self) -> int:
        """The last number that was given, whether its vector is still there or not."""


class Nearest(Protocol):
    """An open index of one space. It is derived: the rows decide what is there.

    Vectors of a space for cosine are given as they were added; a zero vector has cosine 0 to all.
    ``add``, ``remove`` and ``save`` are called one at a time, ``search`` by several threads at once and
    while one of the others runs. What ``search`` proposes is compared once more, from the rows, before
    anybody sees it.
    """

    last: int
    """The greatest number that was taken in; those after it are handed over by ``add`` before a search."""

    def add(self, numbers: NDArray[int64], vectors: NDArray[float32]) -> None:
        """Take in vectors whose numbers are all greater than ``last``."""

    def remove(self, numbers: NDArray[int64]) -> None:
        """Forget vectors; unknown numbers are nothing to it."""

    def search(
        self, query: NDArray[float32], k: int, among: NDArray[int64] | None
    ) -> tuple[NDArray[int64], NDArray[float32]]:
        """Return at most k numbers and their distances (see ``Near``), the nearest first.

        With ``among`` (sorted numbers) only those count. Numbers whose rows are gone may be among the
        answers: the store drops them, and asks again for more.
        """

    def __len__(self) -> int:
        """How many vectors are held, those removed left out."""

    def save(self) -> None:
        """Write to ``rows.folder`` what is needed to go on from here, atomically."""

    def close(self) -> None:
        """Let go of files and memory."""


@dataclass(frozen=True, eq=False)
class VectorIndex:
    """An index that finds the nearest vectors, offered by ``register_vector_indexes`` and chosen by the
    setting ``vector_index``.

    ``open(rows, settings)`` gives one that goes on from its files where they fit the rows (the same
    ``token``, and samples of the numbers they hold), and an empty one otherwise.

    ``work(index)`` is for an index that puts off what takes long, while it answers without it: it does a
    piece of that, of a second or less, on a thread of the store's, and returns whether more is left. Beside
    it the index is searched, added to and saved, so one with ``work`` guards itself.
    """

    name: str
    open: Callable[[SpaceRows, Settings], Nearest]
    summary: str = ""
    work: Callable[[Any], bool] | None = None


class Embedding(Protocol):
    """An open model that turns texts into vectors. Several threads may use one at once."""

    model: str
    """The id that is kept with each vector: of this model, with those settings that change its vectors."""
    batch: int
    """How many texts are handed over at once."""
    longest: int
    """Characters of a text that are taken in; longer ones are parted before."""

    def embed(self, texts: Sequence[str], *, query: bool = False) -> NDArray[float32]:
        """Return a vector per text, all of one dimension; ``query`` for what is searched with.

        Raises BackendError for what may work later, and Invalid when the texts are refused.
        """

    def close(self) -> None:
        """Let go of connections and memory."""


@dataclass(frozen=True, eq=False)
class Embedder:
    """Turns texts into vectors, offered by ``register_embedders`` and chosen by the setting ``embedder``.

    ``open(settings, model)`` opens the model of that id, or the configured one for None; it raises
    SettingsError or BackendError when that model is not to be had.
    """

    name: str
    open: Callable[[Settings, str | None], Embedding]
    summary: str = ""


@dataclass(frozen=True, eq=False)
class Tool:
    """A tool that agents may name, offered by ``register_tools`` or by a file in a folder ``tools``.

    ``run`` is called with the arguments as keywords and returns what can be kept as JSON; it may be a
    coroutine function. A parameter annotated with :class:`ToolContext` is no argument: wilk fills it in.
    ``parameters`` is a JSON Schema of the arguments. Without it, and without a summary, those are made
    from the signature and the docstring of ``run``.
    """

    name: str
    run: Callable[..., Any]
    summary: str = ""
    parameters: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, eq=False)
class ToolContext:
    """What a tool is told beside its arguments.

    ``call_id`` is the call's id in the log, ``permissions`` what the agent of the call may read, write
    and run, with ``./`` for the working directory of the session; without an agent there are none. A plain
    function uses ``store`` itself. A coroutine function awaits ``using(lambda store: …)``, which does not
    hold up the event loop, and belongs to the transaction of the task.
    """

    store: Store
    session_id: str
    agent_id: str | None
    call_id: str
    permissions: Permissions | None
    using: Callable[[Callable[[Store], Any]], Awaitable[Any]]


class RegistrySource(Protocol):
    """An open source of agent packages."""

    def index(self) -> Sequence[Mapping[str, Any]]:
        """Return what there is: mappings with ``name``, ``version``, ``location``, ``checksum`` (SHA-256)
        and, where known, category, tags, downloads, rating, description, author, size and whatever else."""

    def fetch(self, location: str, longest: int) -> bytes:
        """Return the content of a package, a ZIP archive; raises BackendError, also when it is longer."""

    def close(self) -> None:
        """Let go of connections."""


@dataclass(frozen=True, eq=False)
class Registry:
    """A kind of source of agent packages, offered by ``register_registries``.

    ``open(address, settings)`` opens the source at an address of the setting ``registries``; ``name`` is
    the scheme of such addresses (``file``, ``https``).
    """

    name: str
    open: Callable[[str, Settings], RegistrySource]
    summary: str = ""


@dataclass(frozen=True, eq=False)
class Command:
    """A command-line noun, offered by ``register_commands``.

    ``configure(parser)`` adds arguments to an argparse parser; ``run(arguments, store)`` gets a
    function that opens the configured store, and returns the exit code (None means 0).
    """

    name: str
    summary: str
    configure: Callable[[ArgumentParser], None]
    run: Callable[[Namespace, Callable[[], Store]], int | None]


@dataclass(frozen=True, eq=False)
class ModelSet:
    """Peewee models of a plugin, offered by ``register_models``, and its own migrations.

    ``migrations`` is a folder of numbered files as ``playhouse.migrations`` runs them; they are
    applied after wilk's, and recorded in a table of their own (``<name>_migrations``).
    """

    name: str
    models: Callable[[], Collection[type[Model]]]
    migrations: Path

    def __post_init__(self) -> None:
        if not self.name.isidentifier() or self.name == "wilk":
            raise ValueError(
                f"model set {self.name!r}: a name of letters, digits and _ is wanted, other than wilk"
            )


@dataclass(frozen=True, eq=False)
class DefinitionKind:
    """A kind of definition file, offered by ``register_definition_kinds``.

    ``pattern`` is its place under the home folder: ``prompts/{id}.yaml`` gives a record per
    file, named by ``{id}``; a pattern without ``{id}`` is one file, whose record has the kind's
    name as id. ``schema`` checks the parsed file and finds every problem in it; ``columns``
    turns it into the fields of ``model`` beyond those that all definitions have; without a model
    the record lives in the common table. ``redact`` takes out what must not be copied from the
    file into the database (keys, passwords).
    """

    name: str
    pattern: str
    schema: SchemaNode
    summary: str = ""
    model: Callable[[], type[Model]] | None = None
    columns: Callable[[str, Mapping[str, Any]], dict[str, Any]] = field(default=lambda _id, _definition: {})
    redact: Callable[[Mapping[str, Any]], Mapping[str, Any]] = field(default=lambda definition: definition)

    def __post_init__(self) -> None:
        before, mark, tail = self.pattern.partition("{id}")
        if mark and ((before and not before.endswith("/")) or not tail.startswith((".", "/"))):
            raise ValueError(
                f"definition kind {self.name!r}: pattern {self.pattern!r} is none of FOLDER/{{id}}.yaml, "
                "FOLDER/{id}/FILE.yaml and FILE.yaml"
            )


@dataclass(frozen=True, eq=False)
class Problem:
    """One fault of a value: where (a path of keys and positions) and what was expected.

    A ``warning`` does not make the definition unusable: an unknown key that looks misspelled.
    """

    path: tuple[str | int, ...]
    message: str
    warning: bool = False


class SchemaNode(Protocol):
    """Checks one value of a definition; nodes are put together into schemas."""

    def check(self, value: Any, path: tuple[str | int, ...] = ()) -> Iterable[Problem]:
        """Give every problem of the value and of what lies below it."""
