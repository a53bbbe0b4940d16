"""The rules of retention as people write them, checked: how long and how much is kept, by kind."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import timedelta
from typing import Any, NamedTuple

from wilk import amounts
from wilk.errors import Invalid
from wilk.services.keeping.kinds import KINDS

TEMPORARY = "temporary_sessions"
_KEPT = {
    "user": "people stay until they are removed by name",
    "group": "people stay until they are removed by name",
    "membership": "people stay until they are removed by name",
    "summary": "summaries stand for messages; they go with their session",
    "vector": "vectors go with their record, or by name",
    "installation": "what is installed stays until it is removed by name",
}
_KEYS = ("age", "count", "bytes", "per", "saved")


class Rule(NamedTuple):
    """One bound on one kind: exactly one of ``age``, ``newest`` (so many stay) and ``bytes``.

    ``per_session``: ``newest`` is for each session. ``saved``: of sessions, those alone.
    """

    kind: str
    text: str
    age: timedelta | None = None
    newest: int | None = None
    bytes: int | None = None
    per_session: bool = False
    saved: bool | None = None

    @property
    def reason(self) -> str:
        """What the archive keeps as the reason."""
        return f"retention: {self.text}"


def rules_of(given: Any) -> list[Rule]:
    """Check rules and bring them into the order in which they run; raises Invalid for the first bad one.

    Kinds come before what hangs on them; of one kind, age comes before count, and count before bytes.
    """
    if not isinstance(given, Mapping):
        raise Invalid(f"{given!r}: a mapping from kinds to rules is wanted")
    found: list[Rule] = []
    for name, rule in given.items():
        if name == TEMPORARY:
            age = _checked(TEMPORARY, amounts.span, rule)
            found.append(Rule("session", f"{TEMPORARY} {_shown(rule)}", age=age, saved=False))
        elif name in _KEPT:
            raise Invalid(f"{name}: no rule of retention is for it; {_KEPT[name]}")
        elif name not in KINDS:
            known = ", ".join([*(kind for kind in KINDS if kind not in _KEPT), TEMPORARY])
            raise Invalid(f"{name!r} is no kind; one of {known} is wanted")
        else:
            found += _of_kind(name, rule)
    order = list(KINDS)
    return sorted(found, key=lambda rule: (order.index(rule.kind), rule.age is None, rule.newest is None))


def _of_kind(name: str, rule: Any) -> Iterator[Rule]:
    if not isinstance(rule, Mapping) or not rule:
        raise Invalid(f"{name}: {rule!r}: a mapping is wanted, such as {{age: 90d}}")
    if unknown := [key for key in rule if key not in _KEYS]:
        raise Invalid(f"{name}: {unknown[0]!r} is no key of a rule; {', '.join(_KEYS)} are")
    saved, per = rule.get("saved"), rule.get("per")
    if saved is not None and (name != "session" or not isinstance(saved, bool)):
        raise Invalid(f"{name}: saved: {saved!r}: true or false is wanted, for the kind session alone")
    if per is not None and (
        per != "session"
        or "count" not in rule
        or name == "session"
        or not isinstance(KINDS[name].session, str)
    ):
        raise Invalid(f"{name}: per: {per!r}: session is wanted, beside count, for a kind that has sessions")
    if not rule.keys() & {"age", "count", "bytes"}:
        raise Invalid(f"{name}: age, count or bytes is wanted")
    only = {True: " of saved ones", False: " of unsaved ones", None: ""}[saved]
    if "age" in rule:
        age = _checked(f"{name}: age", amounts.span, rule["age"])
        yield Rule(name, f"age {_shown(rule['age'])}{only}", age=age, saved=saved)
    if "count" in rule:
        count = rule["count"]
        if type(count) is not int or not 0 <= count < 2**63:
            raise Invalid(f"{name}: count: {count!r}: a whole number from 0 is wanted")
        text = f"count {count}{' per session' if per else ''}{only}"
        yield Rule(name, text, newest=count, per_session=per is not None, saved=saved)
    if "bytes" in rule:
        size = _checked(f"{name}: bytes", amounts.size, rule["bytes"])
        yield Rule(name, f"bytes {_shown(rule['bytes'])}{only}", bytes=size, saved=saved)


def _checked(where: str, take: Any, value: Any) -> Any:
    try:
        return take(value)
    except Invalid as error:
        raise Invalid(f"{where}: {error}") from None


def _shown(value: Any) -> str:
    return amounts.written_span(value) if isinstance(value, timedelta) else str(value)
