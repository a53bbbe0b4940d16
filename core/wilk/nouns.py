"""The nouns of a store: each is made, and its module imported, when it is first asked for."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from wilk.caches.caches import Caches
    from wilk.contracts import Figures, Tokenizer
    from wilk.definitions.catalog import Catalog
    from wilk.engine import Engine
    from wilk.events import Events
    from wilk.host import Host
    from wilk.services.care.health import HealthCheck
    from wilk.services.care.statistics import Measuring
    from wilk.services.connectome.cache_entries import CacheEntries
    from wilk.services.connectome.chunks import Chunks
    from wilk.services.connectome.documents import Documents
    from wilk.services.connectome.memories import Memories
    from wilk.services.connectome.raw_messages import RawMessages
    from wilk.services.connectome.reasoning import Reasoning
    from wilk.services.connectome.state import State
    from wilk.services.conversation.branch_rows import BranchRows
    from wilk.services.conversation.branches import Branches
    from wilk.services.conversation.messages import Messages
    from wilk.services.conversation.sessions import Sessions
    from wilk.services.conversation.tool_calls import ToolCalls
    from wilk.services.conversation.transcript import Transcript
    from wilk.services.definitions.agents import Agents
    from wilk.services.definitions.definitions import Definitions
    from wilk.services.definitions.personas import Personas
    from wilk.services.definitions.presets import Presets
    from wilk.services.definitions.prompts import Prompts
    from wilk.services.embedding.following import Following
    from wilk.services.embedding.index import Index
    from wilk.services.embedding.indexing import Indexing
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
    from wilk.services.registry.registry import Registry
    from wilk.services.search.searching import Searching
    from wilk.services.search.similarity import Similarity
    from wilk.services.tools.tools import Tools
    from wilk.services.vectors.indexes import Indexes
    from wilk.services.vectors.nearest import Neighbours
    from wilk.services.vectors.vectors import Vectors
    from wilk.settings import Settings
    from wilk.worker import Worker


class Nouns:
    """What holds the verbs, and what these share; the base of :class:`wilk.Store`."""

    settings: Settings
    host: Host
    _engine: Engine
    _events: Events
    _figures_of: Callable[[], Figures] | None
    _folder: Path | None
    _closed: bool
    _worker: Worker
    _embedding_worker: Worker
    _refreshing_worker: Worker

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
            self._engine,
            self._events,
            lambda: self.tokenizer,
            self._transcript,
            self._upkeep.appended,
            self._following,
        )

    @cached_property
    def branches(self) -> Branches:
        """Branches: what conversations have beside their visible one."""
        from wilk.services.conversation.branches import Branches

        return Branches(
            self._engine,
            self._archiver,
            self._transcript,
            self._branch_rows,
            lambda: self.messages,
            lambda: self.sessions,
        )

    @cached_property
    def _branch_rows(self) -> BranchRows:
        """The rows of branches."""
        from wilk.services.conversation.branch_rows import BranchRows

        return BranchRows(self._engine, self._events, self._archiver, self._transcript, lambda: self.messages)

    @cached_property
    def tool_calls(self) -> ToolCalls:
        """The log of tool calls."""
        from wilk.services.conversation.tool_calls import ToolCalls

        return ToolCalls(self._engine, self._events, self.settings.tool_output_bytes)

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
    def vectors(self) -> Vectors:
        """Vectors, in collections, and what is nearest to one."""
        from wilk.services.vectors.vectors import Vectors

        return Vectors(self._engine, self._events, self._archiver, self._vector_indexes, self._neighbours)

    @cached_property
    def _vector_indexes(self) -> Indexes:
        """The open indexes of vectors."""
        from wilk.services.vectors.choosing import choose
        from wilk.services.vectors.indexes import Indexes

        name, own, find = self.settings.vector_index, self._engine.vector_index, self.host.vector_index
        return Indexes(
            self._engine,
            self.settings,
            lambda dimension: choose(name, dimension, own, find),
            self._folder,
            self._worker,
        )

    @cached_property
    def _neighbours(self) -> Neighbours:
        """What finds the vectors that are nearest to one."""
        from wilk.services.vectors.nearest import Neighbours

        return Neighbours(self._engine, self._vector_indexes)

    @cached_property
    def index(self) -> Index:
        """How far the search index is, and making it anew."""
        from wilk.services.embedding.index import Index

        return Index(self._engine, self._indexing, lambda: self._vector_indexes)

    @cached_property
    def _searching(self) -> Searching:
        """The search over full text and vectors."""
        from wilk.services.search.searching import Searching

        return Searching(self._engine, self._indexing, lambda: self._neighbours)

    @cached_property
    def _similarity(self) -> Similarity:
        """What tells how alike records are."""
        from wilk.services.search.similarity import Similarity

        return Similarity(self._engine, self._indexing, lambda: self._neighbours)

    @cached_property
    def tools(self) -> Tools:
        """Tools that agents may name, and running them."""
        from wilk.services.tools.tools import Tools

        return Tools(self._engine, self._events, self.host)

    @cached_property
    def registry(self) -> Registry:
        """Packages of agents, from the sources of the setting ``registries``."""
        from wilk.services.registry.registry import Registry

        return Registry(
            self._engine,
            self._events,
            self._archiver,
            self.settings,
            self.host.registry,
            lambda: self.catalog,
        )

    @cached_property
    def _caches(self) -> Caches:
        """The caches that were asked for, by namespace."""
        from wilk.caches.caches import Caches

        folder = None if self._engine.readonly else self._folder
        clock, tier = self._engine.clock, self.host.cache_tier
        return Caches(
            self.settings, tier, folder, clock, self._worker, self._refreshing_worker, self._events.joined
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

        return Catalog(
            self._engine,
            self._events,
            self.host.definition_kinds,
            self.settings.home,
            shared=self._engine.on_server,
        )

    @cached_property
    def tokenizer(self) -> Tokenizer:
        """The tokenizer in use, by the setting ``tokenizer``."""
        from wilk.tokens import tokenizer

        return tokenizer(self.host, self.settings.tokenizer)

    @cached_property
    def _archiver(self) -> Archiver:
        """What every row goes through that leaves its table."""
        from wilk.services.keeping.archiver import Archiver

        return Archiver(self._engine, self._events, self._outbox, self._following)

    @cached_property
    def _following(self) -> Following:
        """What keeps passages, vectors and the queue of embedding in step with records."""
        from wilk.services.embedding.following import Following

        return Following(
            self._engine,
            lambda: self._archiver,
            embeds=self.settings.embedder != "none",
            wake=lambda: self._indexing.wake(),
        )

    @cached_property
    def _indexing(self) -> Indexing:
        """What makes the vectors of records, behind the verbs."""
        from wilk.services.embedding.indexing import Indexing

        return Indexing(
            self._engine,
            self.settings,
            self.host.embedder,
            self._archiver,
            self._following,
            self._embedding_worker,
        )

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

    @cached_property
    def _figures(self) -> Figures | None:
        """What the engine tells of itself."""
        return None if self._figures_of is None else self._figures_of()

    @cached_property
    def _health(self) -> HealthCheck:
        """What tells how the store fares."""
        from wilk.services.care.health import HealthCheck

        return HealthCheck(
            self._engine,
            self.settings,
            self._figures,
            folder=self._folder,
            caches=lambda: self._caches,
            indexing=lambda: self._indexing,
            plugins=lambda: self.host.plugins(load=False),
            closed=lambda: self._closed,
        )

    @cached_property
    def _measuring(self) -> Measuring:
        """What counts and measures."""
        from wilk.services.care.statistics import Measuring

        return Measuring(
            self._engine,
            self.settings,
            self._figures,
            folder=self._folder,
            plugins=lambda: [(one.name, one.models()) for one in self.host.model_sets()],
        )

    def _current_session(self) -> str | None:
        """The current session's id; None for a store without a home folder, which has none."""
        current = None if self.settings.home is None else self.sessions.current()
        return None if current is None else current.id
