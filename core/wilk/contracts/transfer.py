"""What importers and exporters hand over, and the records on their way into a store.

An importer reads a foreign source and yields records in one neutral form, each under the key that the
source has for it; the store decides what is new, what has changed and what it has already. An exporter
reads a store through its verbs and writes files.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from pathlib import Path

    from wilk.store import Store
    from wilk.transfer.landing.report import Report
    from wilk.transfer.reading.sources import Source


@dataclass(frozen=True, slots=True)
class IncomingUser:
    """A person of the source. Never a password, a token or a code."""

    key: str
    name: str
    id: str | None = None
    email: str | None = None
    metadata: Mapping[str, Any] = field(default_factory=dict)
    created_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class IncomingGroup:
    """A group of users; ``members`` are (key of a user, role)."""

    key: str
    name: str
    id: str | None = None
    members: Sequence[tuple[str, str]] = ()
    metadata: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class IncomingDefinition:
    """An agent, a prompt, a persona, a preset, or a definition of another ``kind`` (agents, prompts, …).

    ``definition`` is the content of its file. ``versions`` are earlier contents, the oldest first; each
    becomes a revision. ``id`` is the name of the file or folder; what may not stand there is replaced.
    ``mark`` is the path of a field that tells versions apart: one whose mark a revision has is there already.
    Without it, one is there when a revision is equal to it.
    """

    kind: str
    key: str
    id: str
    definition: Mapping[str, Any]
    versions: Sequence[Mapping[str, Any]] = ()
    mark: Sequence[str] = ()


@dataclass(frozen=True, slots=True)
class IncomingCall:
    """A tool call of a message, as the log of tool calls has it."""

    call_id: str | None
    name: str
    arguments: Any = None
    result: Any = None
    status: str = "ok"
    error: str | None = None
    started_at: datetime | None = None
    finished_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class IncomingMessage:
    """A message. ``parent`` is the key of the one that it follows; None begins a tree.

    ``id`` is the id wanted for it, by default the key; where that is taken another one is derived from it.
    """

    key: str
    role: str
    text: str = ""
    parts: Sequence[Any] | None = None
    parent: str | None = None
    id: str | None = None
    agent: str | None = None
    model: str | None = None
    tokens: int | None = None
    importance: float | None = None
    calls: Sequence[IncomingCall] = ()
    metadata: Mapping[str, Any] = field(default_factory=dict)
    created_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class IncomingSession:
    """A conversation, with its messages: parents before children, siblings in their order.

    ``messages`` is gone through more than once: hand over a list, or an object whose ``__iter__`` begins
    anew. ``leaf`` is the key of the newest message of the visible branch; by default the last message.
    Messages on no way from there to a root become branches; where none names a parent, each follows the one
    before it. ``user`` and ``group`` are keys of the
    source, ``agents`` and ``persona`` those of definitions.
    """

    key: str
    messages: Iterable[IncomingMessage]
    id: str | None = None
    name: str | None = None
    leaf: str | None = None
    user: str | None = None
    group: str | None = None
    agents: Sequence[str] = ()
    persona: str | None = None
    model: str | None = None
    max_tokens: int | None = None
    status: str = "active"
    saved: bool = True
    working_directory: str | None = None
    recap: str | None = None
    metadata: Mapping[str, Any] = field(default_factory=dict)
    created_at: datetime | None = None
    updated_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class IncomingRecord:
    """A record of another kind: its columns by the names of the model of that kind.

    ``kind`` is one of those that the archive knows (memory, document, fact, pin, summary, interaction, …).
    ``refers`` names the columns that hold a key of the source, and the kind of what it is the key of:
    ``{"session": "session", "user_id": "user"}``; they get the ids that these have here. ``message`` and
    ``sequence`` stand for a message of the record's session, by its key: its id, and its place. ``archived``
    is the reason with which the source keeps the record in its archive; it lies in the archive here too.
    """

    kind: str
    key: str
    values: Mapping[str, Any]
    refers: Mapping[str, str] = field(default_factory=dict)
    id: str | None = None
    archived: str | None = None


@dataclass(frozen=True, slots=True)
class IncomingVector:
    """A vector of a collection: little-endian float32. ``id`` is its id there, ``model`` what made it."""

    collection: str
    key: str
    id: str
    data: bytes
    model: str | None = None
    metadata: Mapping[str, Any] = field(default_factory=dict)
    part: int = 0


Incoming = (
    IncomingUser | IncomingGroup | IncomingDefinition | IncomingSession | IncomingRecord | IncomingVector
)  # what an importer yields


class Reading(Protocol):
    """One run of an importer: what it is told, and what it is asked to tell."""

    @property
    def options(self) -> Mapping[str, str]:
        """The options given, by name: only such as the importer declares."""

    def lost(self, path: str, count: int = 1) -> None:
        """Count a field of the source that has no place here, by its path such as ``actions.api_key``."""

    def warn(self, text: str, key: str | None = None) -> None:
        """Tell of something odd that was dealt with; ``key`` names the record."""

    def skip(self, kind: str, key: str, reason: str) -> None:
        """Count a record that is left out on purpose."""

    def fail(self, kind: str, key: str, error: str, path: str | None = None) -> None:
        """Count a record that cannot be read; the others go on. ``error`` holds no content of the record."""

    def at(self, done: int, of: int) -> None:
        """Tell how far reading is, in bytes or rows."""


@dataclass(frozen=True, eq=False)
class Importer:
    """A reader of a foreign form, offered by ``register_importers``.

    ``recognize(source)`` looks at a source, cheaply, and returns in a few words what it is
    ("mongoexport of messages"), or None when it is not this importer's. ``read(source, reading)`` yields
    records, such before others that refer to them, in constant memory. ``options`` are name → summary.
    ``land(store, source, report, user)``, where it is set, takes the place of ``read``: for a form that
    holds the rows of a store, which go into their tables as they are.
    """

    name: str
    read: Callable[[Source, Reading], Iterable[Incoming]]
    recognize: Callable[[Source], str | None]
    summary: str = ""
    options: Mapping[str, str] = field(default_factory=dict)
    land: Callable[[Store, Source, Report, str | None], None] | None = None


class Documents(Protocol):
    """The collections of a document database, opened for reading only."""

    def collections(self) -> Mapping[str, int | None]:
        """The names of the collections, and about how many documents each holds, as far as known."""

    def read(self, name: str) -> Iterator[dict[str, Any]]:
        """Go through the documents of a collection, in constant memory, in the order of their ids.

        Values are those of :func:`wilk.transfer.reading.bson.parse`.
        """

    def close(self) -> None:
        """Close the connection."""


@dataclass(frozen=True, eq=False)
class SourceKind:
    """Databases that importers can read over the network, by the scheme of their address.

    Offered by ``register_sources``. ``open(url)`` raises Invalid, without the password, when the address is
    not a good one or nothing answers there.
    """

    scheme: str
    open: Callable[[str], Documents]
    summary: str = ""

    @property
    def name(self) -> str:
        return self.scheme


@dataclass(frozen=True)
class Choice:
    """What is exported: ``sessions`` by id, or those of ``user``; None and None: everything."""

    sessions: Sequence[str] | None = None
    user: str | None = None


class Writing(Protocol):
    """One run of an exporter: what it tells of."""

    def count(self, kind: str, number: int = 1) -> None:
        """Count records that were written."""

    def lost(self, path: str, count: int = 1) -> None:
        """Count something of the store that the form has no place for, such as ``session.pins``."""

    def warn(self, text: str) -> None:
        """Tell of something odd that was dealt with."""


@dataclass(frozen=True, eq=False)
class Exporter:
    """A writer of a form, offered by ``register_exporters``.

    ``write(store, target, choice, writing)`` writes the file or folder ``target``, which is not there yet;
    what it leaves when it raises is removed. ``suffix`` is that of a file, empty for a folder.
    """

    name: str
    write: Callable[[Store, Path, Choice, Writing], None]
    suffix: str = ""
    summary: str = ""
