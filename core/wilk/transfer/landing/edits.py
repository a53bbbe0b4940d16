"""What people changed here of records that were taken over: those fields are theirs from then on.

With the hash of what a record held goes a short one of each field that was made of it. A field that is
another here by the next run was changed by somebody, and stays; the run says so.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from wilk import codec

if TYPE_CHECKING:
    from wilk.transfer.landing.report import Report

_DIGITS = 8


class Edits:
    """The fields of the record that is being taken over."""

    def __init__(self, report: Report) -> None:
        self._report = report
        self._before: dict[str, str] = {}
        self._after: dict[str, str] = {}

    def begin(self, made: str) -> None:
        """Begin a record, of which the last run made these fields; empty for one that is new."""
        self._before = dict(one.split("=", 1) for one in made.split(",") if "=" in one)
        self._after = {}

    @property
    def made(self) -> str:
        """What was made of the record, for the next run."""
        return ",".join(f"{name}={digest}" for name, digest in self._after.items())

    def of(self, kind: str, here: Mapping[str, Any], coming: Mapping[str, Any]) -> dict[str, Any]:
        """Those of the fields that come which nobody has changed here."""
        given = {}
        for name, value in coming.items():
            if name not in here or self._before.get(name, digest := _digest(here[name])) == digest:
                given[name] = value
            elif value != here[name]:
                self._report.warn(f"{kind}: {name} was changed here since it was taken over, and stays so")
        return given

    def note(self, here: Mapping[str, Any], given: Mapping[str, Any]) -> None:
        """Note how the fields that were given are here by now; of others, what was made of them before."""
        self._after = {
            name: _digest(here[name]) if name in given else self._before.get(name, "") for name in here
        }
        self._after = {name: digest for name, digest in self._after.items() if digest}

    def keep(self) -> None:
        """Note that nothing of the record itself was written."""
        self._after = dict(self._before)

    def add(self, name: str, value: Any) -> None:
        """Note something more that was made."""
        self._after[name] = _digest(value)

    def is_as_before(self, name: str, value: Any) -> bool:
        """Whether the last run made the same of that."""
        return self._before.get(name) == _digest(value)

    @property
    def definition(self) -> str | None:
        """The hash of the definition that the last run made; None where that is not known."""
        return self._before.get("definition")

    def note_definition(self, definition: Any) -> None:
        """Note what definition was made."""
        self._after = {"definition": whole(definition)}


def whole(definition: Any) -> str:
    """What tells a definition from others."""
    return codec.content_hash(definition)[:32]


def _digest(value: Any) -> str:
    return codec.content_hash(value)[:_DIGITS]
