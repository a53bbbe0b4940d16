"""Facts: statements with two times, when they hold in the world and when the store believed them.

Both are half-open intervals: a fact holds from ``valid_from`` until just before ``valid_to``, and
was believed from ``recorded_at`` until just before ``retracted_at``. Nothing is overwritten, so
that the store can tell what it knew at any moment about any other (R. T. Snodgrass, Developing
Time-Oriented Database Applications in SQL, 1999, chapter 10).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any

from wilk import clock, models
from wilk.engine import Engine
from wilk.errors import Conflict, Invalid, NotFound
from wilk.events import Events
from wilk.models.statements import param
from wilk.records.decoding import decoder
from wilk.records.memory import Fact
from wilk.services import batches, checks
from wilk.services.arguments import UNSET, Unset
from wilk.services.checks import limit as limits
from wilk.services.keeping.archiver import Archiver
from wilk.services.memory.origins import check_message, check_session, check_user

_decoded = decoder(Fact)


class Facts:
    """The facts of a store."""

    def __init__(self, engine: Engine, events: Events, archiver: Archiver) -> None:
        self._engine = engine
        self._events = events
        self._archiver = archiver

    def add(
        self,
        subject: str,
        predicate: str,
        object: Any,
        *,
        valid_from: datetime | None = None,
        valid_to: datetime | None = None,
        confidence: float = 1.0,
        user: str | None = None,
        agent: str | None = None,
        session: str | None = None,
        source: str | None = None,
        interaction: str | None = None,
        metadata: Mapping[str, Any] | None = None,
    ) -> Fact:
        """Record a fact, such as ``add("Anna", "lives in", "Gdańsk")``.

        It holds from ``valid_from`` until ``valid_to``, aware times; None is open. ``object`` is any
        JSON value, ``confidence`` 0.0–1.0, ``source`` the message that it comes from (of ``session``
        if that is given). Facts about one thing may hold side by side. Raises NotFound for an
        unknown user, session or source.
        """
        begin, end = _interval(valid_from, valid_to)
        fact = Fact(
            id=self._engine.clock.new_id(),
            subject=checks.filled("subject", subject),
            predicate=checks.filled("predicate", predicate),
            object=object,
            user_id=user,
            agent_id=None if agent is None else checks.filled("agent", agent),
            session_id=session,
            confidence=checks.fraction("confidence", confidence),
            valid_from=begin,
            valid_to=end,
            recorded_at=clock.EPOCH,
            retracted_at=None,
            replaced_by=None,
            source_message_id=source,
            interaction_id=None if interaction is None else checks.filled("interaction", interaction),
            metadata=checks.mapping("metadata", metadata),
        )
        with self._engine.transaction():
            if user is not None:
                check_user(self._engine, user)
            if session is not None:
                check_session(self._engine, session)
            if source is not None:
                check_message(self._engine, source, session)
            return self._insert(fact._replace(recorded_at=clock.to_datetime(self._engine.clock.now())))

    def extend(self, facts: Iterable[Mapping[str, Any]]) -> Sequence[Fact]:
        """Record many facts in one transaction: all of them, or none.

        Each is an object with ``subject``, ``predicate``, ``object`` and whatever else :meth:`add` takes.
        """
        return batches.added(self._engine, self.add, "facts", facts)

    def retract(self, id: str) -> Fact:
        """Stop believing a fact. It stays, for whoever asks what was known before.

        Raises Conflict if it was retracted already.
        """
        with self._engine.transaction():
            return self._retract(self.get(id), None)

    def correct(
        self,
        id: str,
        *,
        object: Any = UNSET,
        valid_from: datetime | Unset | None = UNSET,
        valid_to: datetime | Unset | None = UNSET,
        confidence: float | Unset = UNSET,
        source: str | Unset | None = UNSET,
        interaction: str | Unset | None = UNSET,
        metadata: Mapping[str, Any] | Unset = UNSET,
    ) -> Fact:
        """Retract a fact and record another in its place, which differs in the given fields.

        Returns the new fact; the old one names it in ``replaced_by``. Raises Conflict if it was
        retracted already.
        """
        with self._engine.transaction():
            old = self.get(id)
            begin, end = _interval(
                old.valid_from if valid_from is UNSET else valid_from,
                old.valid_to if valid_to is UNSET else valid_to,
            )
            new = old._replace(id=self._engine.clock.new_id(), valid_from=begin, valid_to=end)
            if object is not UNSET:
                new = new._replace(object=object)
            if confidence is not UNSET:
                new = new._replace(confidence=checks.fraction("confidence", confidence))
            if source is not UNSET:
                if source is not None:
                    check_message(self._engine, source, old.session_id)
                new = new._replace(source_message_id=source)
            if interaction is not UNSET:
                new = new._replace(
                    interaction_id=None if interaction is None else checks.filled("interaction", interaction)
                )
            if metadata is not UNSET:
                new = new._replace(metadata=checks.mapping("metadata", metadata))
            gone = self._retract(old, new.id)
            assert gone.retracted_at is not None  # noqa: S101 - that is what retracting does
            return self._insert(new._replace(recorded_at=gone.retracted_at))

    def get(self, id: str) -> Fact:
        """Return the fact, retracted or not; raises NotFound."""
        fact = self.find(id)
        if fact is None:
            raise NotFound("fact", id)
        return fact

    def find(self, id: str) -> Fact | None:
        """Return the fact, retracted or not, or None."""
        return next(iter(_decoded(self._engine.fetch("facts.find", _find, (id,)))), None)

    def list(
        self,
        subject: str | None = None,
        *,
        predicate: str | None = None,
        user: str | Unset | None = UNSET,
        agent: str | None = None,
        session: str | None = None,
        valid_at: datetime | None = None,
        known_at: datetime | None = None,
        limit: int = 1000,
    ) -> Sequence[Fact]:
        """List the facts that hold at ``valid_at``, as the store believed at ``known_at``.

        Both are now when they are not given. ``user`` gives that user's facts and nobody else's,
        with None those that are no user's. Sorted by subject and predicate, the latest first.
        """
        now = self._engine.clock.now()
        valid = now if valid_at is None else clock.to_microseconds(checks.moment("valid_at", valid_at))
        if user is UNSET and all(one is None for one in (subject, predicate, agent, session, known_at)):
            return _decoded(self._engine.fetch("facts.list", _list, (valid, valid, limits(limit))))
        fact: Any = models.Fact
        query = _valid(valid)
        if known_at is None:
            query = query.where(fact.retracted_at.is_null())
        else:
            known = clock.to_microseconds(checks.moment("known_at", known_at))
            query = query.where(
                fact.recorded_at <= known, fact.retracted_at.is_null() | (fact.retracted_at > known)
            )
        for field, wanted in (
            (fact.subject, subject),
            (fact.predicate, predicate),
            (fact.agent_id, agent),
            (fact.session_id, session),
        ):
            if wanted is not None:
                query = query.where(field == wanted)
        query = _in_order(_of_user(query, user))
        return _decoded(self._engine.select(query.limit(limits(limit))))

    def history(
        self,
        subject: str,
        predicate: str | None = None,
        *,
        user: str | Unset | None = UNSET,
        limit: int = 1000,
    ) -> Sequence[Fact]:
        """List every version of what was recorded about a subject, in the order of recording."""
        fact: Any = models.Fact
        query = _select().where(fact.subject == subject)
        if predicate is not None:
            query = query.where(fact.predicate == predicate)
        query = _of_user(query, user).order_by(fact.recorded_at, fact.id)
        return _decoded(self._engine.select(query.limit(limits(limit))))

    def remove(self, id: str, *, reason: str = "removed") -> Fact:
        """Archive a fact, and remove it: for what should never have been recorded."""
        with self._engine.transaction():
            fact = self.get(id)
            self._archiver.remove("fact", models.Fact.id == id, reason=reason)
            self._events.deleted("fact", fact)
            return fact

    def _insert(self, fact: Fact) -> Fact:
        self._engine.run(models.Fact.insert(dict(zip(_fields(), fact, strict=True))))
        self._events.saving("fact", fact)
        return fact

    def _retract(self, fact: Fact, replaced_by: str | None) -> Fact:
        if fact.retracted_at is not None:
            by = f"; {fact.replaced_by!r} took its place" if fact.replaced_by else ""
            raise Conflict(f"fact {fact.id!r} was retracted already{by}")
        now = clock.to_datetime(self._engine.clock.now())
        # A clock that went back must not end a belief before it began.
        gone = fact._replace(retracted_at=max(now, fact.recorded_at), replaced_by=replaced_by)
        model: Any = models.Fact
        self._engine.run(
            model.update({model.retracted_at: gone.retracted_at, model.replaced_by: replaced_by}).where(
                model.id == fact.id
            )
        )
        self._events.saving("fact", gone)
        return gone


def _interval(begin: datetime | None, end: datetime | None) -> tuple[datetime | None, datetime | None]:
    begin = None if begin is None else checks.moment("valid_from", begin)
    end = None if end is None else checks.moment("valid_to", end)
    if begin is not None and end is not None and end <= begin:
        raise Invalid(f"valid_to {end.isoformat()}: a time after valid_from {begin.isoformat()} is wanted")
    return begin, end


def _of_user(query: Any, user: str | Unset | None) -> Any:
    if user is UNSET:
        return query
    field: Any = models.Fact.user_id
    return query.where(field.is_null() if user is None else field == user)


def _fields() -> list[Any]:
    return models.fields_of(models.Fact, Fact)


def _list() -> Any:
    query = _valid(param("valid")).where(models.Fact.retracted_at.is_null())
    return _in_order(query).limit(param("limit"))


def _valid(at: Any) -> Any:
    fact: Any = models.Fact
    return _select().where(
        fact.valid_from.is_null() | (fact.valid_from <= at), fact.valid_to.is_null() | (fact.valid_to > at)
    )


def _in_order(query: Any) -> Any:
    fact: Any = models.Fact
    return query.order_by(fact.subject, fact.predicate, fact.recorded_at.desc(), fact.id.desc())


def _select() -> Any:
    return models.Fact.select(*_fields())


def _find() -> Any:
    return _select().where(models.Fact.id == param("id"))
