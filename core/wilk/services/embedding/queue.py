"""The queue of records whose vectors are to be made: claimed, done, tried again, refused.

A claim is a time until which nobody else takes the record, so that several processes share the work
and that of one which died is taken over. Whoever writes vectors checks within the same transaction
that the record still waits and has not changed since: of two that made the same, the first one writes.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from wilk import models
from wilk.engine import Engine
from wilk.models.statements import param

if TYPE_CHECKING:
    from wilk.services.keeping.archiver import Archiver

NEVER = 2**62
"""When a refused record is tried again by itself."""

_SECOND = 1_000_000
CLAIMED = 120 * _SECOND
"""For how long a claim holds, in microseconds."""

_FIRST_DELAY, _LONGEST_DELAY = 5 * _SECOND, 600 * _SECOND
_CHUNK = 500


class Claim(NamedTuple):
    """A record that was taken from the queue, in the state that it had then."""

    pk: int
    kind: str
    record_id: str
    revision: int
    attempts: int
    queued_at: int


class Waiting(NamedTuple):
    """What waits of one kind; ``failed`` of these were refused, ``error`` is one of the last errors."""

    pending: int
    failed: int
    error: str | None


class Queue:
    """The table ``pending_vectors`` of one store."""

    def __init__(self, engine: Engine, archiver: Archiver) -> None:
        self._engine = engine
        self._archiver = archiver

    def claim(self, most: int, *, others: bool = False) -> tuple[list[Claim], int]:
        """Take at most so many records that are due, the oldest first; return them and until when.

        With ``others``, when none is due, those that another process has, which may be dead, and those that
        wait for a further attempt.
        """
        engine = self._engine
        now = engine.clock.now()
        until = now + CLAIMED
        with engine.transaction():
            if others:
                rows = engine.fetch("pending.due", _due, (now, now, most))
                rows = rows or engine.fetch("pending.all", _all, (NEVER, most))
            elif engine.fetch("pending.held", _held, (now, NEVER, 1)):
                return [], until  # something failed a moment ago: the same would befall the rest
            else:
                rows = engine.fetch("pending.due", _due, (now, now, most))
            claims = [Claim(*row) for row in rows]
            self._set([one.pk for one in claims], claimed_until=until)
        return claims, until

    def extend(self, claims: Sequence[Claim], until: int) -> int:
        """Keep claims for longer, while work on them goes on; return until when."""
        one: Any = models.Pending
        later = self._engine.clock.now() + CLAIMED
        with self._engine.transaction():
            self._set([claim.pk for claim in claims], one.claimed_until == until, claimed_until=later)
        return later

    def unchanged(self, claims: Sequence[Claim]) -> list[Claim]:
        """Those whose records did not change, and whose vectors nobody else has made. Within a transaction.

        Who has claimed them by now does not matter: were it the last one to do so, two processes that take
        over from each other could go on for ever.
        """
        one: Any = models.Pending
        states: dict[int, tuple[Any, ...]] = {}
        for pks in _chunks([claim.pk for claim in claims]):
            query = one.select(one.pk, one.kind, one.record_id, one.revision, one.queued_at)
            for pk, *state in self._engine.select(query.where(one.pk.in_(pks))):
                states[pk] = tuple(state)
        return [
            claim
            for claim in claims
            if states.get(claim.pk) == (claim.kind, claim.record_id, claim.revision, claim.queued_at)
        ]

    def done(self, claims: Sequence[Claim]) -> None:
        """Take records from the queue whose vectors are written. Within the transaction that wrote them."""
        one: Any = models.Pending
        for pks in _chunks([claim.pk for claim in claims]):
            self._archiver.drop_derived(models.Pending, one.pk.in_(pks))

    def release(self, claims: Sequence[Claim], until: int) -> None:
        """Give claims back unused."""
        one: Any = models.Pending
        with self._engine.transaction():
            self._set([claim.pk for claim in claims], one.claimed_until == until, claimed_until=None)

    def failed(self, claims: Sequence[Claim], until: int, error: str) -> float:
        """Note that embedding failed in a way that may pass; return after how many seconds to try again."""
        one: Any = models.Pending
        attempts = max(claim.attempts for claim in claims)
        delay = min(_FIRST_DELAY << min(attempts, 20), _LONGEST_DELAY)
        with self._engine.transaction():
            self._set(
                [claim.pk for claim in claims],
                one.claimed_until == until,
                claimed_until=None,
                not_before=self._engine.clock.now() + delay,
                attempts=one.attempts + 1,
                error=error,
            )
        return delay / _SECOND

    def refused(self, claim: Claim, error: str) -> None:
        """Leave a record that the model does not take, until it changes or the index is rebuilt."""
        one: Any = models.Pending
        values = {"claimed_until": None, "not_before": NEVER, "attempts": one.attempts + 1, "error": error}
        self._set([claim.pk], **values)

    def renew(self, kind: str, ids: Iterable[str]) -> None:
        """Put records into the queue; those that are in it already are tried again. Within a transaction.

        They did not change, so that whoever is at work on them may go on.
        """
        now = self._engine.clock.now()
        insert = self._engine.statement("pending.renew", _renew)
        self._engine.insert_many(insert, [(kind, id, 1, 0, now) for id in ids])

    def next_due(self) -> float | None:
        """In how many seconds something is due that is not due now; None when nothing will be."""
        from peewee import fn  # with Peewee; see wilk.models

        one: Any = models.Pending
        now = self._engine.clock.now()
        moments = []
        for field in (one.not_before, one.claimed_until):
            query = one.select(fn.MIN(field)).where(field > now, field < NEVER)
            moments += [row[0] for row in self._engine.select(query) if row[0] is not None]
        return max(0.0, (min(moments) - now) / _SECOND) if moments else None

    def is_empty(self) -> bool:
        """Whether nothing waits at all, not even for a further attempt; refused records do not count."""
        return not self._engine.fetch("pending.all", _all, (NEVER, 1))

    def before(self, kind: str, pk: int) -> bool:
        """Whether records of a kind wait that were put into the queue up to this place."""
        one: Any = models.Pending
        query = one.select(one.pk).where(one.kind == kind, one.pk <= pk, _not_refused(NEVER)).limit(1)
        return bool(self._engine.select(query))

    def last(self) -> int:
        """The place of the record that was put in last."""
        from peewee import fn  # with Peewee; see wilk.models

        one: Any = models.Pending
        found: int | None = self._engine.select(one.select(fn.MAX(one.pk)))[0][0]
        return found or 0

    def counts(self) -> dict[str, Waiting]:
        """What waits, by kind."""
        found: dict[str, Waiting] = {}
        for kind, pending, failed, error in self._engine.fetch("pending.counts", _counts, (NEVER,)):
            found[kind] = Waiting(pending, failed or 0, error)
        return found

    def _set(self, pks: Collection[int], condition: Any = None, **values: Any) -> None:
        one: Any = models.Pending
        for some in _chunks(list(pks)):
            query = one.update({getattr(one, name): value for name, value in values.items()})
            query = query.where(one.pk.in_(some))
            self._engine.run(query if condition is None else query.where(condition))


def _chunks(items: Sequence[Any]) -> Iterable[Sequence[Any]]:
    for start in range(0, len(items), _CHUNK):
        yield items[start : start + _CHUNK]


def _not_refused(never: Any) -> Any:
    one: Any = models.Pending
    return one.not_before.is_null() | (one.not_before < never)


def _claims() -> Any:
    one: Any = models.Pending
    fields = [getattr(one, name) for name in Claim._fields]
    return one.select(*fields).order_by(one.pk)


def _all() -> Any:
    return _claims().where(_not_refused(param("never"))).limit(param("limit"))


def _due() -> Any:
    one: Any = models.Pending
    free = one.claimed_until.is_null() | (one.claimed_until <= param("now"))
    ready = one.not_before.is_null() | (one.not_before <= param("now"))
    return _claims().where(free, ready).limit(param("limit"))


def _held() -> Any:
    one: Any = models.Pending
    return (
        one.select(one.pk)
        .where(one.not_before > param("now"), one.not_before < param("never"))
        .limit(param("limit"))
    )


def _renew() -> Any:
    from peewee import SQL  # with Peewee; see wilk.models

    one = models.Pending
    names = ("kind", "record_id", "revision", "attempts", "queued_at")
    nothing = SQL("NULL")
    return one.insert({getattr(one, name): param(name) for name in names}).on_conflict(
        conflict_target=[one.kind, one.record_id],
        preserve=[one.attempts],
        update={one.not_before: nothing, one.error: nothing},
    )


def _counts() -> Any:
    from peewee import SQL, Case, fn  # with Peewee; see wilk.models

    one: Any = models.Pending
    failed = fn.SUM(Case(None, [(one.not_before == param("never"), SQL("1"))], SQL("0")))
    return one.select(one.kind, fn.COUNT(one.pk), failed, fn.MAX(one.error)).group_by(one.kind)
