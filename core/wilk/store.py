"""A store: one open backend with its host, its transaction seam and its verbs."""

from __future__ import annotations

import logging
import re
import weakref
from collections.abc import Callable, Collection
from contextlib import AbstractContextManager
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Self

from wilk import settings as settings_module
from wilk.clock import Clock
from wilk.contracts import Opened
from wilk.engine import Engine, Transaction
from wilk.errors import SettingsError
from wilk.events import Events
from wilk.host import Host
from wilk.migrations import runner
from wilk.settings import Settings
from wilk.worker import Worker

if TYPE_CHECKING:
    from wilk.contracts import Tokenizer
    from wilk.definitions.catalog import Catalog
    from wilk.definitions.watcher import Watcher
    from wilk.records.definitions import SyncReport
    from wilk.services.connectome.cache_entries import CacheEntries
    from wilk.services.connectome.chunks import Chunks
    from wilk.services.connectome.documents import Documents
    from wilk.services.connectome.memories import Memories
    from wilk.services.connectome.raw_messages import RawMessages
    from wilk.services.connectome.reasoning import Reasoning
    from wilk.services.connectome.state import State
    from wilk.services.conversation.messages import Messages
    from wilk.services.conversation.sessions import Sessions
    from wilk.services.conversation.tool_calls import ToolCalls
    from wilk.services.conversation.transcript import Transcript
    from wilk.services.definitions.agents import Agents
    from wilk.services.definitions.definitions import Definitions
    from wilk.services.definitions.personas import Personas
    from wilk.services.definitions.presets import Presets
    from wilk.services.definitions.prompts import Prompts
    from wilk.services.keeping.archive import Archive
    from wilk.services.keeping.archiver import Archiver
    from wilk.services.keeping.outbox import Outbox
    from wilk.services.keeping.retention import Retention
    from wilk.services.learning.consolidation import Consolidation
    from wilk.services.learning.feedback import FeedbackNotes
    from wilk.services.learning.interactions import Interactions
    from wilk.services.learning.patterns import Patterns
    from wilk.services.learning.preferences import Preferences
    from wilk.services.learning.world_models import WorldModels
    from wilk.services.memory.blocks import Blocks
    from wilk.services.memory.compaction import Compaction
    from wilk.services.memory.contexts import Contexts
    from wilk.services.memory.facts import Facts
    from wilk.services.memory.memory import Memory
    from wilk.services.memory.pins import Pins
    from wilk.services.memory.summaries import Summaries
    from wilk.services.memory.summarizing import Summarizing
    from wilk.services.memory.upkeep import Upkeep
    from wilk.services.people import Groups, Users


def open_store(
    url: str | None = None,
    *,
    home: str | Path | None = None,
    readonly: bool | None = None,
    host: Host | None = None,
    clock: Clock | None = None,
    settings: Settings | None = None,
) -> Store:
    """Open a store, and bring its database to the current schema.

    - ``open_store()``: the home folder ``WILK_HOME`` or ``~/.wilk``, with its ``wilk.db``;
    - ``open_store(home=folder)``: another home folder;
    - ``open_store("sqlite:///x.db")``: a database without a home folder, so that definitions live
      in its tables alone.

    ``settings`` takes the place of arguments, ``config.yaml`` and ``WILK_*`` variables. Use the
    store as a context manager, or call :meth:`Store.close`. Raises SettingsError, PluginError,
    BackendError and SchemaError.
    """
    if url is not None and not isinstance(url, str):
        raise SettingsError(f"url {url!r}: a text such as sqlite:///path/to/file.db is wanted")
    if settings is None:
        settings = settings_module.load(home=home, url=url, readonly=readonly)
    elif url is not None or home is not None or readonly is not None:
        raise SettingsError("open_store takes settings=, or url, home and readonly, not both")
    if host is None:
        host = Host(disabled=settings.disabled_plugins, prefer=settings.choose)
    backend = host.backend(_scheme(settings.url))
    opened = backend.open(settings.url, settings)
    if not isinstance(opened, Opened):
        opened = Opened(opened)
    engine = Engine(
        opened,
        clock or Clock(),
        timeout=settings.timeout,
        readonly=settings.readonly,
        verbose=settings.verbose,
    )
    try:
        return Store(settings, host, engine, opened)
    except BaseException:
        engine.close()
        raise


class Store:
    """Everything that agents know, in one place. Made by :func:`open_store`.

    The nouns (``agents``, ``sessions``, ``messages``, …) hold the verbs. A store may be used from
    several threads; each has its own connection.
    """

    def __init__(self, settings: Settings, host: Host, engine: Engine, opened: Opened) -> None:
        self.settings = settings
        self.host = host
        self._engine = engine
        self._events = Events(host, engine)
        self._events.store = self
        self._watchers: weakref.WeakSet[Watcher] = weakref.WeakSet()
        self._closed = False
        if settings.verbose:
            logging.getLogger("wilk.statements").setLevel(logging.DEBUG)
        self._worker = Worker(engine.release, engine.patience)
        runner.migrate(engine, opened, host.model_sets())
        if settings.archive != "table" and not engine.readonly:
            self._outbox.begin()
        if not engine.readonly:
            self._start_timers()
        host.store_opened(self)

    def _start_timers(self) -> None:
        """Begin what the settings want done again and again while the store is open."""
        settings = self.settings
        retention = settings.retention and settings.retention_interval
        if retention:
            self.retention._rules(None)  # a bad rule is told now, and not by a log an hour later
        if settings.consolidation == "timer":
            self.consolidation.start(settings.consolidation_interval)
        if retention:
            self._worker.repeat("retention", settings.retention_interval, self.retention.run)

    # -- nouns ----------------------------------------------------------------------------

    @cached_property
    def agents(self) -> Agents:
        """Agents, which follow ``agents/<id>/agent.yaml``."""
        from wilk.services.definitions.agents import Agents

        return Agents(self.catalog)

    @cached_property
    def prompts(self) -> Prompts:
        """Prompts, which follow ``prompts/<id>.yaml``."""
        from wilk.services.definitions.prompts import Prompts

        return Prompts(self.catalog)

    @cached_property
    def personas(self) -> Personas:
        """Personas, which follow ``personas/<id>.yaml``."""
        from wilk.services.definitions.personas import Personas

        return Personas(self.catalog)

    @cached_property
    def presets(self) -> Presets:
        """Presets, which follow ``presets/<id>.yaml``."""
        from wilk.services.definitions.presets import Presets

        return Presets(self.catalog)

    @cached_property
    def definitions(self) -> Definitions:
        """Definitions of every other kind: ``mcp-servers.json``, ``config.yaml``, plugins' kinds."""
        from wilk.services.definitions.definitions import Definitions

        return Definitions(self.catalog)

    @cached_property
    def users(self) -> Users:
        """Users, whose sessions are kept."""
        from wilk.services.people import Users

        return Users(self._engine, self._events, self._archiver)

    @cached_property
    def groups(self) -> Groups:
        """Groups of users."""
        from wilk.services.people import Groups

        return Groups(self._engine, self._events, self._archiver)

    @cached_property
    def sessions(self) -> Sessions:
        """Sessions: conversations and their settings."""
        from wilk.services.conversation.sessions import Sessions

        return Sessions(
            self._engine,
            self._events,
            self.settings,
            self._archiver,
            self.host.strategies,
            self._transcript,
        )

    @cached_property
    def messages(self) -> Messages:
        """Messages, in the order in which they were appended."""
        from wilk.services.conversation.messages import Messages

        return Messages(
            self._engine, self._events, lambda: self.tokenizer, self._transcript, self._upkeep.appended
        )

    @cached_property
    def tool_calls(self) -> ToolCalls:
        """The log of tool calls."""
        from wilk.services.conversation.tool_calls import ToolCalls

        return ToolCalls(self._engine, self._events)

    @cached_property
    def summaries(self) -> Summaries:
        """Summaries: ranges of a session in few words."""
        from wilk.services.memory.summaries import Summaries

        return Summaries(self._engine, self._events, self._archiver, self._summarizing)

    @cached_property
    def memory(self) -> Memory:
        """The life cycle of messages: compaction, and its way back."""
        from wilk.services.memory.memory import Memory

        return Memory(self._engine, self._events, self._compaction, self.summaries)

    @cached_property
    def pins(self) -> Pins:
        """Pins: what a session must not forget."""
        from wilk.services.memory.pins import Pins

        return Pins(self._engine, self._events, self._archiver, self.settings.pin_types)

    @cached_property
    def blocks(self) -> Blocks:
        """Working memory: labelled blocks with a limit."""
        from wilk.services.memory.blocks import Blocks

        return Blocks(self._engine, self._events, self._archiver, lambda: self.tokenizer)

    @cached_property
    def facts(self) -> Facts:
        """Facts, with when they hold and when they were known."""
        from wilk.services.memory.facts import Facts

        return Facts(self._engine, self._events, self._archiver)

    @cached_property
    def contexts(self) -> Contexts:
        """Contexts: what is sent to a model, chosen under a budget."""
        from wilk.services.memory.contexts import Contexts

        return Contexts(
            self._engine,
            self._events,
            self._archiver,
            tokenizer=lambda: self.tokenizer,
            strategy=self.host.strategy,
            sessions=lambda: self.sessions,
            messages=lambda: self.messages,
            archive=lambda: self.archive,
        )

    @cached_property
    def documents(self) -> Documents:
        """Documents: whole conversations, and anything else of JSON, kept as they came."""
        from wilk.services.connectome.documents import Documents

        return Documents(self._engine, self._events, self._archiver)

    @cached_property
    def raw_messages(self) -> RawMessages:
        """The uncompressed messages of conversations, kept for compressing them anew."""
        from wilk.services.connectome.raw_messages import RawMessages

        return RawMessages(self._engine, self._events, self._archiver)

    @cached_property
    def chunks(self) -> Chunks:
        """The parts of conversations that are compressed, each as one."""
        from wilk.services.connectome.chunks import Chunks

        return Chunks(self._engine, self._events, self._archiver, self.raw_messages, lambda: self.tokenizer)

    @cached_property
    def memories(self) -> Memories:
        """Memories: compressed from conversations, consolidated, or noted."""
        from wilk.services.connectome.memories import Memories

        return Memories(self._engine, self._events, self._archiver, lambda: self.tokenizer)

    @cached_property
    def reasoning(self) -> Reasoning:
        """The reasoning chains of agents."""
        from wilk.services.connectome.reasoning import Reasoning

        return Reasoning(self._engine, self._events, self._archiver)

    @cached_property
    def state(self) -> State:
        """The state of applications: values under keys."""
        from wilk.services.connectome.state import State

        return State(self._engine, self._events, self._archiver)

    @cached_property
    def interactions(self) -> Interactions:
        """Interactions: exchanges with users, under the ids by which everything about them is found."""
        from wilk.services.learning.interactions import Interactions

        return Interactions(
            self._engine,
            self._events,
            self._archiver,
            self.archive,
            self.messages,
            self.tool_calls,
            self.consolidation._added if self.settings.consolidation == "auto" else None,
        )

    @cached_property
    def patterns(self) -> Patterns:
        """Patterns: what was seen again and again."""
        from wilk.services.learning.patterns import Patterns

        return Patterns(self._engine, self._events, self._archiver)

    @cached_property
    def feedback(self) -> FeedbackNotes:
        """Feedback, and whether it was applied."""
        from wilk.services.learning.feedback import FeedbackNotes

        return FeedbackNotes(self._engine, self._events, self._archiver)

    @cached_property
    def preferences(self) -> Preferences:
        """Preferences of users, and of everybody."""
        from wilk.services.learning.preferences import Preferences

        return Preferences(self._engine, self._events, self._archiver)

    @cached_property
    def world_models(self) -> WorldModels:
        """World models: what is believed of a domain, and how it was before."""
        from wilk.services.learning.world_models import WorldModels

        return WorldModels(self._engine, self._events, self._archiver)

    @cached_property
    def consolidation(self) -> Consolidation:
        """What turns interactions into memories."""
        from wilk.services.learning.consolidation import Consolidation

        return Consolidation(
            self._engine,
            self._events,
            self._archiver,
            self.archive,
            lambda: self.memories,
            lambda: self.patterns,
            self._worker,
        )

    @cached_property
    def _cache_entries(self) -> CacheEntries:
        """Values that can be computed again."""
        from wilk.services.connectome.cache_entries import CacheEntries

        return CacheEntries(self._engine, self._archiver)

    @cached_property
    def archive(self) -> Archive:
        """What was removed, and why."""
        from wilk.services.keeping.archive import Archive

        return Archive(self._engine, self._archiver, self._outbox)

    @cached_property
    def retention(self) -> Retention:
        """How long and how much is kept."""
        from wilk.services.keeping.retention import Retention

        return Retention(self._engine, self._archiver, self.settings, self._current_session)

    @cached_property
    def catalog(self) -> Catalog:
        """What joins definition files and their rows."""
        from wilk.definitions.catalog import Catalog

        return Catalog(self._engine, self._events, self.host.definition_kinds, self.settings.home)

    @cached_property
    def tokenizer(self) -> Tokenizer:
        """The tokenizer in use, by the setting ``tokenizer``."""
        from wilk.tokens import tokenizer

        return tokenizer(self.host, self.settings.tokenizer)

    @cached_property
    def _archiver(self) -> Archiver:
        """What every row goes through that leaves its table."""
        from wilk.services.keeping.archiver import Archiver

        return Archiver(self._engine, self._events, self._outbox)

    @cached_property
    def _transcript(self) -> Transcript:
        """What reads a session's messages, also those that a summary stands for."""
        from wilk.services.conversation.transcript import Transcript

        return Transcript(self._engine, lambda entries: self._archiver.read(entries))

    @cached_property
    def _upkeep(self) -> Upkeep:
        """What compacts sessions behind the verbs."""
        from wilk.services.memory.upkeep import Upkeep

        return Upkeep(self._engine, self.settings, self._worker.submit, lambda: self._compaction)

    @cached_property
    def _summarizing(self) -> Summarizing:
        """The steps of making a summary."""
        from wilk.services.memory.summarizing import Summarizing

        return Summarizing(self._engine, self._events, self._transcript, lambda: self.tokenizer)

    @cached_property
    def _compaction(self) -> Compaction:
        """What compacts sessions, and undoes it."""
        from wilk.services.memory.compaction import Compaction

        return Compaction(
            self._engine,
            self._events,
            self.settings,
            self._archiver,
            self._transcript,
            self.summaries,
            self._summarizing,
        )

    @cached_property
    def _outbox(self) -> Outbox:
        """What hands archived rows to the archive in use, and reads them wherever they lie."""
        from wilk.services.keeping.outbox import Outbox

        return Outbox(self._engine, self.settings, self.host.archive, self._worker.submit)

    def _current_session(self) -> str | None:
        """The current session's id; None for a store without a home folder, which has none."""
        current = None if self.home is None else self.sessions.current()
        return None if current is None else current.id

    # -- verbs of the whole store ---------------------------------------------------------

    @property
    def home(self) -> Path | None:
        """The home folder, or None for a store without files."""
        return self.settings.home

    def transaction(self) -> Transaction:
        """Make what the block does one change: all of it happens, or nothing.

        Nested blocks are savepoints; hooks that tell of changes run after the outermost commit.
        Raises Busy when other writers hold the store for longer than ``timeout``, and ReadOnly.
        """
        return self._engine.transaction()

    def reading(self) -> AbstractContextManager[None]:
        """Bind plugins' own models to this store for a block that only reads."""
        return self._engine.reading()

    def count_tokens(self, text: str, *, model: str | None = None) -> int:
        """Count the tokens that ``model`` sees in a text, by the tokenizer in use."""
        return self.tokenizer.count(text, model)

    def sync(self, paths: Collection[Path] | None = None) -> SyncReport:
        """Take over what changed in the definition files: all of them, or those of ``paths``."""
        return self.catalog.sync(paths)

    def watch(self, on_report: Callable[[SyncReport], None] | None = None) -> Watcher:
        """Follow the definition files as they are edited, until ``stop()`` or the store closes.

        Returns a started watcher. ``on_report`` hears of each sync that changed or found something.
        """
        from wilk.definitions.watcher import Watcher

        watcher = Watcher(
            self.catalog,
            quiet=self.settings.watch_quiet,
            polling=self.settings.watch_polling,
            polling_interval=self.settings.watch_polling_interval,
            on_report=on_report,
            release=self._engine.release,
        )
        watcher.start()
        self._watchers.add(watcher)
        return watcher

    def settle(self, timeout: float = 60.0) -> bool:
        """Wait for the work that goes on behind the verbs, such as compaction, at most ``timeout`` seconds.

        Returns whether it is done. Closing the store waits for it as well.
        """
        return self._worker.settle(timeout)

    def close(self) -> None:
        """Stop watching, tell the plugins, and close every connection. Closing twice does nothing."""
        if self._closed:
            return
        self._closed = True
        try:
            for watcher in list(self._watchers):
                watcher.stop()
            self._worker.stop()
            self.host.store_closing(self)
        finally:
            if "_outbox" in vars(self):
                self._outbox.close()
            self._engine.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *failure: object) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"<Store {_without_password(self.settings.url)}{' closed' if self._closed else ''}>"


def _scheme(url: str) -> str:
    scheme, separator, _ = url.partition("://")
    if not separator or not scheme:
        raise SettingsError(f"url {url!r}: write SCHEME://..., for example sqlite:///path/to/file.db")
    return scheme


def _without_password(url: str) -> str:
    address, mark, query = url.partition("?")
    address = re.sub(r"(?<=://)([^@:/]*):.*@", r"\1:***@", address)
    return address + mark + re.sub(r"(?i)((?:password|passwd|token|secret)=)[^&]*", r"\1***", query)
