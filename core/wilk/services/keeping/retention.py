"""Retention: moves what is too old, or too much, into the archive, by rules per kind.

A rule becomes a condition on rows. What an earlier rule takes, with what hangs on it, is left out
of later ones, so that a plan counts every row once, and counts what a run then does.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from datetime import timedelta
from typing import TYPE_CHECKING, Any, NamedTuple

from wilk import models
from wilk.clock import to_datetime
from wilk.engine import Engine
from wilk.errors import Invalid, SettingsError
from wilk.records.archive import RetentionPlan, RetentionStep
from wilk.services.keeping.archiver import Archiver
from wilk.services.keeping.kinds import kind
from wilk.services.keeping.retention_groups import staying
from wilk.services.keeping.retention_rules import Rule, rules_of
from wilk.services.keeping.rows import encoded

if TYPE_CHECKING:
    from wilk.settings import Settings

_MICROSECOND = timedelta(microseconds=1)
_BEGINNING = -(2**62)
_AT_ONCE = 500
_PARENTS_AT_ONCE = 20
"""Records of a transaction: a session may have thousands of messages that go with it."""

_INSTRUCTIONS = ("system", "developer")


class _Step(NamedTuple):
    """One rule and the condition on the rows that it takes; None: there are none."""

    rule: Rule
    condition: Any | None


class Retention:
    """How long and how much is kept."""

    def __init__(
        self, engine: Engine, archiver: Archiver, settings: Settings, current: Callable[[], str | None]
    ) -> None:
        self._engine = engine
        self._archiver = archiver
        self._settings = settings
        self._current = current

    def plan(self, rules: Mapping[str, Any] | None = None) -> RetentionPlan:
        """Tell what the rules would take; nothing is changed.

        ``rules`` are as under ``retention`` in ``config.yaml``, which is what counts without them:
        ``{"session": {"age": "90d", "saved": False}, "tool_call": {"count": 10000}}``. Raises
        Invalid for rules given here, SettingsError for those of the settings.
        """
        wanted = self._rules(rules)
        with self._engine.snapshot():
            return RetentionPlan(tuple(self._looked_at(step) for step in self._steps(wanted)))

    def run(self, rules: Mapping[str, Any] | None = None) -> RetentionPlan:
        """Archive what the rules take, and return what that was; see :meth:`plan`.

        It goes batch by batch, each in its own transaction: a run that breaks off is taken up by the
        next. The archive's reason names the rule: ``retention: age 90d``.
        """
        return RetentionPlan(tuple(self._taken(step) for step in self._steps(self._rules(rules))))

    def _rules(self, rules: Mapping[str, Any] | None) -> list[Rule]:
        try:
            return rules_of(self._settings.retention if rules is None else rules)
        except Invalid as error:
            if rules is None:
                where = self._settings.origins.get("retention", "settings")
                raise SettingsError(f"{where}: retention: {error}") from error
            raise Invalid(f"rules: {error}") from error

    # -- rules as conditions --------------------------------------------------------------

    def _steps(self, rules: list[Rule]) -> Iterator[_Step]:
        """Turn each rule into a condition."""
        doomed: dict[str, list[Any]] = {}
        now = self._engine.clock.now()
        for rule in rules:
            model: Any = kind(rule.kind).model()
            key = model._meta.primary_key
            left = [key.not_in(model.select(key).where(other)) for other in doomed.get(rule.kind, ())]
            left += self._open_to(rule)
            condition = self._bound(rule, left, now)
            if condition is not None:
                for other in left:
                    condition &= other
                if rule.kind == "message" and (stay := staying(self._engine, condition)):
                    condition &= model.pk.not_in(_numbers(stay))
                _spread(rule.kind, condition, doomed)
            yield _Step(rule, condition)

    def _open_to(self, rule: Rule) -> list[Any]:
        """The conditions on rows that a rule may take at all."""
        conditions: list[Any] = []
        if rule.kind == "session":
            if rule.saved is not None:
                conditions.append(models.Session.saved == rule.saved)
            if (current := self._current()) is not None:
                conditions.append(models.Session.id != current)
        if rule.kind == "message":
            conditions.append(models.Message.role.not_in(_INSTRUCTIONS))
        return conditions

    def _bound(self, rule: Rule, left: list[Any], now: int) -> Any:
        """The condition on rows beyond the rule's bound; None when there is no row beyond it."""
        one = kind(rule.kind)
        model: Any = one.model()
        created, key = model._meta.combined[one.created], model._meta.primary_key
        if rule.age is not None:
            return created < max(now - rule.age // _MICROSECOND, _BEGINNING)
        if rule.per_session:
            return key.in_(_beyond(model, created, one.session, rule.newest, left))
        query = model.select(created, key)
        if left:
            query = query.where(*left)
        query = query.order_by(created.desc(), key.desc())
        if rule.newest is not None:
            found = self._engine.select(query.offset(rule.newest).limit(1))
            last = found[0] if found else None
        else:
            last = self._first_beyond(rule, left)
        if last is None:
            return None
        return (created < last[0]) | ((created == last[0]) & (key <= last[1]))

    def _first_beyond(self, rule: Rule, left: list[Any]) -> tuple[Any, Any] | None:
        """The newest row, by time and key, that does not fit into the rule's bytes any more."""
        one = kind(rule.kind)
        model: Any = one.model()
        created, key = model._meta.combined[one.created], model._meta.primary_key
        kept = 0
        for row in self._read(model, left, created, key, newest_first=True):
            kept += _size(row)
            if kept > (rule.bytes or 0):
                return row[created.column_name], row[key.column_name]
        return None

    # -- plan and run ---------------------------------------------------------------------

    def _looked_at(self, step: _Step) -> RetentionStep:
        counts: dict[str, int] = {}
        times: list[int] = []
        size = 0
        one = kind(step.rule.kind)
        conditions = () if step.condition is None else _with_children(step.rule.kind, step.condition)
        for name, condition in conditions:
            model: Any = kind(name).model()
            for row in self._read(model, [condition], None, None):
                counts[name] = counts.get(name, 0) + 1
                size += _size(row)
                if condition is step.condition:
                    created = row[one.created]
                    times = [min([*times, created]), max([*times, created])]
        return _step(step.rule, counts, size, times)

    def _taken(self, step: _Step) -> RetentionStep:
        one = kind(step.rule.kind)
        model: Any = one.model()
        created, key = model._meta.combined[one.created], model._meta.primary_key
        at_once = _PARENTS_AT_ONCE if one.children else _AT_ONCE
        chosen = model.select(key, created).where(step.condition).order_by(created, key).limit(at_once)
        counts: dict[str, int] = {}
        times: list[int] = []
        size = 0
        while step.condition is not None:
            batch = self._engine.clock.new_id()
            with self._engine.transaction():
                rows = self._engine.select(chosen)
                if not rows:
                    break
                moved = self._archiver.remove(
                    step.rule.kind, key.in_([row[0] for row in rows]), reason=step.rule.reason, batch=batch
                )
                size += self._size_of(batch)
            times += [rows[0][1], rows[-1][1]]
            for name, n in moved.items():
                counts[name] = counts.get(name, 0) + n
        return _step(step.rule, counts, size, times)

    def _size_of(self, batch: str) -> int:
        from peewee import fn  # with Peewee; see wilk.models

        entry: Any = models.ArchiveEntry
        query = entry.select(fn.SUM(entry.size)).where(entry.batch == batch)
        return int(self._engine.select(query)[0][0] or 0)

    def _read(
        self, model: Any, conditions: list[Any], created: Any, key: Any, *, newest_first: bool = False
    ) -> Iterator[dict[str, Any]]:
        """Read rows in pages: by key, or from the newest on."""
        fields = model._meta.sorted_fields
        columns = [field.column_name for field in fields]
        query = model.select(*fields)
        if conditions:
            query = query.where(*conditions)
        if model._meta.composite_key:
            yield from (dict(zip(columns, row, strict=True)) for row in self._engine.select(query))
            return
        key = model._meta.primary_key
        last: dict[str, Any] | None = None
        while True:
            page = query
            if newest_first:
                page = page.order_by(created.desc(), key.desc())
                if last is not None:
                    before = last[created.column_name]
                    beyond = (created == before) & (key < last[key.column_name])
                    page = page.where((created < before) | beyond)
            else:
                page = page.order_by(key)
                if last is not None:
                    page = page.where(key > last[key.column_name])
            rows = self._engine.select(page.limit(_AT_ONCE))
            for row in rows:
                last = dict(zip(columns, row, strict=True))
                yield last
            if len(rows) < _AT_ONCE:
                return


def _beyond(model: Any, created: Any, session: Any, count: int | None, left: list[Any]) -> Any:
    """A query of the keys of what each session has beyond its newest ``count``."""
    from peewee import fn  # with Peewee; see wilk.models

    key = model._meta.primary_key
    column = model._meta.columns[session]
    place = fn.ROW_NUMBER().over(partition_by=[column], order_by=[created.desc(), key.desc()])
    ranked = model.select(key.alias("key"), place.alias("place")).where(column.is_null(False), *left)
    ranked = ranked.alias("ranked")
    return model.select(ranked.c.key).from_(ranked).where(ranked.c.place > count)


def _numbers(keys: list[int]) -> Any:
    """A list of the engine's own numbers, written out: there may be more than it takes parameters."""
    from peewee import SQL  # with Peewee; see wilk.models

    return SQL(f"({', '.join(map(str, keys))})")


def _spread(name: str, condition: Any, doomed: dict[str, list[Any]]) -> None:
    """Note for a kind, and for the kinds of what hangs on it, that these rows go."""
    for one, each in _with_children(name, condition):
        doomed.setdefault(one, []).append(each)


def _with_children(name: str, condition: Any) -> Iterator[tuple[str, Any]]:
    """The condition on rows of a kind, and those on what hangs on them."""
    yield name, condition
    for child, each in kind(name).hanging(condition):
        yield from _with_children(child, each)


def _size(row: Mapping[str, Any]) -> int:
    """Bytes of a row as the archive keeps it."""
    return len(encoded(row).encode())


def _step(rule: Rule, counts: Mapping[str, int], size: int, times: list[int]) -> RetentionStep:
    return RetentionStep(
        kind=rule.kind,
        rule=rule.text,
        records=counts.get(rule.kind, 0),
        also={name: n for name, n in counts.items() if name != rule.kind},
        size=size,
        oldest=to_datetime(min(times)) if times else None,
        newest=to_datetime(max(times)) if times else None,
    )
