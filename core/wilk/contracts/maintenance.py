"""What an engine does to stay well: checks, statistics for its planner, new indexes, room given back."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple, Protocol

if TYPE_CHECKING:
    from wilk.contracts.backends import Execute


class Step(NamedTuple):
    """One thing that maintenance does. ``quick``: it is done with ``quick`` as well; ``asked``: only when it
    is named, for it takes room or keeps others waiting."""

    name: str
    summary: str
    quick: bool = False
    asked: bool = False


class Outcome(NamedTuple):
    """What came of a step: ``ok``, ``found``, ``skipped`` or ``busy``, in a sentence; ``details`` are more of
    them."""

    result: str
    said: str
    details: Sequence[str] = ()


class Maintaining(Protocol):
    """An engine's own maintenance; ``Opened.maintenance`` makes it."""

    @property
    def steps(self) -> Sequence[Step]:
        """Everything that it can do, in the order in which it is done."""

    def run(self, step: str, execute: Execute, *, quick: bool) -> Outcome:
        """Do a step on the calling thread's own connection, which is in no transaction.

        Errors of the driver may be raised; they come back as wilk's. Busy is told as the outcome ``busy``.
        """
