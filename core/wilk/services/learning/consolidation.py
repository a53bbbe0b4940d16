"""Consolidation: interactions become working memories, those episodic ones, those lasting knowledge.

The numbers are those of the storage module's memory consolidator: 10 interactions, 5 working
memories, 10 episodic ones, and a confidence of 0.7 for what becomes semantic.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from itertools import groupby
from typing import Any, NamedTuple

from wilk import models
from wilk.engine import Engine
from wilk.errors import Invalid
from wilk.events import Events
from wilk.records.archive import Archived
from wilk.records.connectome import Memory
from wilk.records.decoding import decoder
from wilk.records.learning import (
    Action,
    ConsolidationReport,
    ConsolidationStatistics,
    ConsolidationStep,
    Interaction,
)
from wilk.services import checks
from wilk.services.connectome.memories import Memories
from wilk.services.keeping.archive import Archive
from wilk.services.keeping.archiver import COMPACTED, Archiver
from wilk.services.learning import digests
from wilk.services.learning.patterns import PROMOTED, Patterns
from wilk.worker import Worker

INTERACTIONS, WORKING, EPISODIC = 10, 5, 10
MIN_CONFIDENCE = 0.7
TO_WORKING = COMPACTED
TO_EPISODIC = "consolidated_to_episodic"
_JOB = "consolidation"
_ALL = 2**31 - 1
_IMPORTANCE = {"working": 0.5, "episodic": 0.6, "semantic": 0.8}
_decoded = decoder(Interaction)
_decoded_actions = decoder(Action)
_decoded_memories = decoder(Memory)


class _Step(NamedTuple):
    """One step: records of ``source`` become one memory of kind ``made``."""

    source: str
    made: str
    reason: str
    needed: int
    min_confidence: float


class _Group(NamedTuple):
    """Whose records are consolidated together: never those of two users, or of two agents."""

    user: str | None
    agent: str | None


class Consolidation:
    """What turns a store's interactions into memories, by hand, on a timer, or as they come."""

    def __init__(
        self,
        engine: Engine,
        events: Events,
        archiver: Archiver,
        archive: Archive,
        memories: Callable[[], Memories],
        patterns: Callable[[], Patterns],
        worker: Worker,
    ) -> None:
        self._engine = engine
        self._events = events
        self._archiver = archiver
        self._archive = archive
        self._memories = memories
        self._patterns = patterns
        self._worker = worker

    def run(
        self,
        *,
        session: str | None = None,
        user: str | None = None,
        interactions: int = INTERACTIONS,
        working: int = WORKING,
        episodic: int = EPISODIC,
        min_confidence: float = MIN_CONFIDENCE,
    ) -> ConsolidationReport:
        """Consolidate what is due, the oldest first, until nothing is; return what was made.

        Each ``interactions`` interactions of one user and one agent become one working memory, each
        ``working`` of those an episodic one, each ``episodic`` of those whose confidence is at least
        ``min_confidence`` a semantic one. What a memory was made from goes into the archive in the
        same transaction; its ids are the memory's ``sources``. ``session`` and ``user`` keep to theirs.
        What was restored is left alone while the memory that was made from it is there.
        """
        made: dict[str, list[str]] = {"working": [], "episodic": [], "semantic": []}
        found: dict[str, None] = {}
        interactions_gone = memories_gone = 0
        for step in _steps(interactions, working, episodic, min_confidence):
            for group in self._groups(step, session, user):
                while (done := self._consolidate(step, group, session)) is not None:
                    memory, patterns = done
                    made[step.made].append(memory.id)
                    found.update(dict.fromkeys(patterns))
                    if step.source == "interaction":
                        interactions_gone += step.needed
                    else:
                        memories_gone += step.needed
        return ConsolidationReport(
            working=made["working"],
            episodic=made["episodic"],
            semantic=made["semantic"],
            patterns=list(found),
            interactions=interactions_gone,
            memories=memories_gone,
        )

    def plan(
        self,
        *,
        session: str | None = None,
        user: str | None = None,
        interactions: int = INTERACTIONS,
        working: int = WORKING,
        episodic: int = EPISODIC,
        min_confidence: float = MIN_CONFIDENCE,
    ) -> Sequence[ConsolidationStep]:
        """Tell what waits for each step, and what :meth:`run` would make of it now. Nothing is changed.

        A run goes on with the memories that it makes; they are not counted here.
        """
        plan = []
        with self._engine.snapshot():
            for step in _steps(interactions, working, episodic, min_confidence):
                ready = self._counts(step, session, user)
                all_of_them = self._counts(step, session, user, held=True)
                for group, waiting in sorted(all_of_them.items(), key=str):
                    sure = ready.get(group, 0)
                    plan.append(
                        ConsolidationStep(
                            step=step.made,
                            user_id=group.user,
                            agent_id=group.agent,
                            waiting=waiting,
                            needed=step.needed,
                            due=sure // step.needed,
                            held=waiting - sure,
                        )
                    )
        return plan

    def statistics(self) -> ConsolidationStatistics:
        """Count what there is on each step, and what went on to the next."""
        from peewee import fn  # with Peewee; see wilk.models

        memory, entry = models.Memory, models.ArchiveEntry
        with self._engine.snapshot():
            kinds: dict[str, int] = dict(
                self._engine.rows(memory.select(memory.kind, fn.COUNT(memory.pk)).group_by(memory.kind))
            )
            counts = [
                self._engine.rows(model.select(fn.COUNT(model.id)))[0][0]
                for model in (models.Interaction, models.Pattern)
            ]
            gone: dict[str, int] = dict(
                self._engine.rows(
                    entry.select(entry.reason, fn.COUNT(entry.pk))
                    .where(
                        entry.kind.in_(("interaction", "memory", "pattern")),
                        entry.reason.in_((TO_WORKING, TO_EPISODIC, PROMOTED)),
                        entry.restored_at.is_null(),
                    )
                    .group_by(entry.reason)
                )
            )
        return ConsolidationStatistics(
            interactions=counts[0],
            working=kinds.get("working", 0),
            episodic=kinds.get("episodic", 0),
            semantic=kinds.get("semantic", 0),
            patterns=counts[1],
            archived={reason: gone.get(reason, 0) for reason in (TO_WORKING, TO_EPISODIC, PROMOTED)},
        )

    def sources(self, memory_id: str) -> Sequence[Archived]:
        """List what a memory was made from, as it lies in the archive, the oldest first."""
        entries = self._archive.list(batch=memory_id, limit=_ALL)[::-1]
        return [entry for entry in entries if entry.kind in ("interaction", "memory")]

    def start(self, every: float = 300.0) -> None:
        """Run in the background every so many seconds, until :meth:`stop` or the store closes."""
        if isinstance(every, bool) or not isinstance(every, (int, float)) or not 0 < every < 2**31:
            raise Invalid(f"every {every!r}: a number of seconds above 0 is wanted")
        self._worker.repeat(_JOB, every, self.run)

    def stop(self) -> None:
        """Do not run on a timer any more."""
        self._worker.cancel(_JOB)

    def _added(self, interaction: Interaction) -> None:
        """Have a run soon, if there are enough interactions of the user and agent of this one."""
        group = _Group(interaction.user_id, interaction.agent_id)
        table = models.Interaction
        step = next(_steps(INTERACTIONS, WORKING, EPISODIC, MIN_CONFIDENCE))
        query = _narrowed(table.select(table.id), step, None).where(_of(table, group)).limit(INTERACTIONS)
        if len(self._engine.select(query)) == INTERACTIONS:
            self._worker.submit(_JOB, self.run)

    # -- one step -------------------------------------------------------------------------

    def _groups(self, step: _Step, session: str | None, user: str | None) -> list[_Group]:
        counts = self._counts(step, session, user)
        return sorted((group for group, count in counts.items() if count >= step.needed), key=str)

    def _counts(
        self, step: _Step, session: str | None, user: str | None, *, held: bool = False
    ) -> dict[_Group, int]:
        from peewee import fn  # with Peewee; see wilk.models

        table = _table(step)
        query = table.select(table.user_id, table.agent_id, fn.COUNT(table.id))
        query = _narrowed(query, step, session, held=held).group_by(table.user_id, table.agent_id)
        if user is not None:
            query = query.where(table.user_id == user)
        return {_Group(owner, agent): count for owner, agent, count in self._engine.select(query)}

    def _consolidate(
        self, step: _Step, group: _Group, session: str | None
    ) -> tuple[Memory, Sequence[str]] | None:
        """Make one memory of the oldest records of a group; None when there are too few.

        All of it is one transaction: whoever dies in it has changed nothing.
        """
        table = _table(step)
        oldest = (table.created_at, table.id) if table is models.Interaction else (table.pk,)
        query = _narrowed(table.select(table.id), step, session).where(_of(table, group))
        with self._engine.transaction():
            ids = [id for (id,) in self._engine.select(query.order_by(*oldest).limit(step.needed))]
            if len(ids) < step.needed or not self._claimed(table, ids):
                return None
            if step.source == "interaction":
                memory, patterns = self._remember_interactions(ids, group)
            else:
                memory, patterns = self._remember_memories(step, ids, group)
            self._archiver.remove(step.source, table.id.in_(ids), reason=step.reason, batch=memory.id)
            return memory, patterns

    def _claimed(self, table: Any, ids: Sequence[str]) -> bool:
        """Whether all of these rows are ours: where several may write at once, another process that
        consolidates the same rows waits for them here, and then finds them gone."""
        claim = table.update({table.updated_at: table.updated_at}).where(table.id.in_(ids))
        return self._engine.run(claim) == len(ids)

    def _remember_interactions(self, ids: Sequence[str], group: _Group) -> tuple[Memory, list[str]]:
        table: Any = models.Interaction
        action: Any = models.Action
        query = table.select(*models.fields_of(table, Interaction)).where(table.id.in_(ids))
        records = _decoded(self._engine.select(query.order_by(table.created_at, table.id)))
        query = action.select(*models.fields_of(action, Action)).where(action.interaction.in_(ids))
        actions = _decoded_actions(self._engine.select(query.order_by(action.interaction, action.position)))
        taken = {id: list(some) for id, some in groupby(actions, key=lambda one: one.interaction_id)}
        sequences = {self._observe(group, found): found for found in digests.recurring(records, taken)}
        digest = digests.of_interactions(records, taken, sequences)
        self._tell("interaction", records)
        return self._add("working", digest, ids, group, records), list(sequences)

    def _remember_memories(self, step: _Step, ids: Sequence[str], group: _Group) -> tuple[Memory, list[str]]:
        table = models.Memory
        query = table.select(*models.fields_of(table, Memory)).where(table.id.in_(ids)).order_by(table.pk)
        records = _decoded_memories(self._engine.select(query))
        self._tell("memory", records)
        return self._add(step.made, digests.of_memories(step.made, records), ids, group, records), []

    def _tell(self, kind: str, records: Sequence[Interaction | Memory]) -> None:
        if self._events.watch_deletes:
            for record in records:
                self._events.deleted(kind, record)

    def _add(
        self,
        kind: str,
        digest: digests.Digest,
        ids: Sequence[str],
        group: _Group,
        records: Sequence[Interaction | Memory],
    ) -> Memory:
        sessions = {one.session_id for one in records}
        return self._memories().add(
            digest.content,
            kind=kind,
            data=digest.data,
            agent=group.agent,
            user=group.user,
            session=next(iter(sessions)) if len(sessions) == 1 else None,
            importance=_IMPORTANCE[kind],
            confidence=digest.confidence,
            sources=list(ids),
        )

    def _observe(self, group: _Group, found: digests.Recurring) -> str:
        """Note that a sequence of actions was seen again; return the id of its pattern."""
        patterns = self._patterns()
        id = digests.pattern_id(group.user, group.agent, found.sequence)
        if patterns.find(id) is None:
            patterns.add(
                found.name,
                id=id,
                pattern_type=digests.PATTERN_TYPE,
                sequence=found.sequence,
                frequency=0,
                metadata={"user": group.user, "agent": group.agent},
            )
        for success, sources in ((True, found.succeeded), (False, found.failed)):
            if sources:
                patterns.observe(id, success=success, times=len(sources), sources=sources)
        return id


def _steps(interactions: int, working: int, episodic: int, min_confidence: float) -> Iterator[_Step]:
    checks.whole("interactions", interactions, least=1)
    checks.whole("working", working, least=1)
    checks.whole("episodic", episodic, least=1)
    checks.fraction("min_confidence", min_confidence)
    return iter(
        (
            _Step("interaction", "working", TO_WORKING, interactions, 0.0),
            _Step("memory", "episodic", TO_EPISODIC, working, 0.0),
            _Step("memory", "semantic", PROMOTED, episodic, min_confidence),
        )
    )


def _table(step: _Step) -> Any:
    return models.Interaction if step.source == "interaction" else models.Memory


def _narrowed(query: Any, step: _Step, session: str | None, *, held: bool = False) -> Any:
    """The records that wait for a step, of one session if one is given; with those that are held
    back, or without."""
    table = _table(step)
    if table is models.Memory:
        query = query.where(table.kind == ("working" if step.made == "episodic" else "episodic"))
    if not held:
        query = query.where(*_not_remembered(table, step))
        if step.min_confidence:
            query = query.where(table.confidence >= step.min_confidence)
    return query if session is None else query.where(table.session_id == session)


def _not_remembered(table: Any, step: _Step) -> tuple[Any, ...]:
    """The conditions on records that were not consolidated and restored, with the memory that was
    made from them still there: in its table, or consolidated itself."""
    from peewee import fn  # with Peewee; see wilk.models

    entry, memory, gone = models.ArchiveEntry, models.Memory.alias(), models.ArchiveEntry.alias()
    restored = entry.select(entry.batch).where(
        entry.kind == step.source,
        entry.record_id == table.id,
        entry.reason == step.reason,
        entry.restored_at.is_null(False),
    )
    there = restored.where(fn.EXISTS(memory.select(memory.id).where(memory.id == entry.batch)))
    further = restored.where(
        fn.EXISTS(
            gone.select(gone.pk).where(
                gone.kind == "memory",
                gone.record_id == entry.batch,
                gone.reason.in_((TO_EPISODIC, PROMOTED)),
                gone.restored_at.is_null(),
            )
        )
    )
    return ~fn.EXISTS(there), ~fn.EXISTS(further)


def _of(table: Any, group: _Group) -> Any:
    """The condition on what belongs to one user and one agent; None is nobody in particular."""
    user = table.user_id.is_null() if group.user is None else table.user_id == group.user
    agent = table.agent_id.is_null() if group.agent is None else table.agent_id == group.agent
    return user & agent
