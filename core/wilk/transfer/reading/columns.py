"""Values of foreign columns: times in many forms, JSON in text, numbers within their range."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime, timedelta, tzinfo
from typing import TYPE_CHECKING, Any

from wilk import codec
from wilk.errors import Invalid

if TYPE_CHECKING:
    from wilk.contracts import IncomingMessage, Reading

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_BOM = b"\xef\xbb\xbf"
_UNITS = {"s": 1.0, "ms": 1e-3}

ZONE = "the zone of times that have none, such as Europe/Vienna; by default UTC"
"""What the option ``timezone`` is for."""


class Values:
    """Reads values of columns, and tells of those that cannot be read."""

    def __init__(self, reading: Reading, *, unit: str = "s", zone: tzinfo | None = None) -> None:
        self.reading = reading
        self._unit = _UNITS[unit]
        self._zone = zone or zone_of(reading)

    @property
    def zone(self) -> str:
        """The zone that times without one were taken to be in, as records note it."""
        return str(self._zone)

    def quietly(self) -> Values:
        """The same, which tells nothing: for what is gone through again."""
        made = Values.__new__(Values)
        made.reading, made._unit, made._zone = Quiet(self.reading.options), self._unit, self._zone
        return made

    def time(self, value: Any, path: str) -> datetime | None:
        """A time: ISO 8601 with or without a zone, or a number since 1970 in this form's unit."""
        if value is None or value == "":
            return None
        try:
            found = self._time(value)
        except (ValueError, OverflowError, TypeError):
            self.reading.warn(f"{path}: times that cannot be read were left out")
            return None
        return found

    def json(self, value: Any, path: str, default: Any = None) -> Any:
        """A JSON column; what cannot be read is told of, and kept as ``{"unreadable": text}``."""
        if value is None or value == "":
            return default
        if isinstance(value, (int, float)):
            return value
        try:
            return loads(value, self.reading.warn)
        except Invalid:
            self.reading.warn(f"{path}: JSON that cannot be read was kept as text")
            text = value.decode("utf-8", "replace") if isinstance(value, bytes) else value
            return {"unreadable": text}

    def mapping(self, value: Any, path: str) -> dict[str, Any]:
        """A JSON column that is an object; any other value stands under ``value``."""
        found = self.json(value, path, {})
        return found if isinstance(found, dict) else {"value": found}

    def number(self, value: Any, path: str, low: float, high: float, *, scale: float = 1) -> float | None:
        """A number within its range; None, and told, when it is none, and the end when beyond."""
        if value is None or value == "":
            return None
        try:
            found = float(value) * scale
        except (TypeError, ValueError):
            self.reading.warn(f"{path}: numbers that cannot be read were left out")
            return None
        if not low <= found <= high:
            self.reading.warn(f"{path}: numbers beyond {low:g} and {high:g} were brought within")
            return low if not found > low else high
        return found

    def whole(self, value: Any, path: str) -> int | None:
        """A whole number that is not negative; None, and told, when it is none."""
        if value is None or value == "":
            return None
        try:
            found = int(value)
        except (TypeError, ValueError, OverflowError):
            found = -1
        if not 0 <= found < 2**31:
            self.reading.warn(f"{path}: whole numbers that cannot be read were left out")
            return None
        return found

    def text(self, value: Any, path: str) -> str:
        """A text; NULL is empty, and any other value is told of and written as text."""
        if value is None:
            return ""
        if isinstance(value, str):
            return value
        if isinstance(value, bytes):
            self.reading.warn(f"{path}: bytes were taken as text")
            return value.decode("utf-8", "surrogateescape")
        self.reading.warn(f"{path}: numbers were taken as text")
        return str(value)

    def _time(self, value: Any) -> datetime:
        if isinstance(value, bool):
            raise TypeError
        if isinstance(value, (int, float)):
            return _EPOCH + timedelta(seconds=value * self._unit)
        text = str(value).strip()
        if text.replace(".", "", 1).isdigit():
            return _EPOCH + timedelta(seconds=float(text) * self._unit)
        found = datetime.fromisoformat(text)
        if found.tzinfo is None:
            self.reading.warn(f"times without a zone were taken to be in {self._zone}")
            found = found.replace(tzinfo=self._zone)
        return found.astimezone(UTC)


class Again:
    """Messages that are made anew each time that they are gone through; oddities are told once."""

    def __init__(self, values: Values, make: Callable[[Values], Iterator[IncomingMessage]]) -> None:
        self._values = values
        self._make = make
        self._told = False

    def __iter__(self) -> Iterator[IncomingMessage]:
        values = self._values.quietly() if self._told else self._values
        self._told = True
        yield from self._make(values)


class Quiet:
    """A reading that hears nothing."""

    def __init__(self, options: Mapping[str, str]) -> None:
        self.options = options

    def lost(self, path: str, count: int = 1) -> None:
        pass

    def warn(self, text: str, key: str | None = None) -> None:
        pass

    def skip(self, kind: str, key: str, reason: str) -> None:
        pass

    def fail(self, kind: str, key: str, error: str, path: str | None = None) -> None:
        pass

    def at(self, done: int, of: int) -> None:
        pass


def loads(value: str | bytes, notice: Callable[[str], object] | None = None) -> Any:
    """Foreign JSON in a text or in bytes, as :func:`wilk.codec.foreign` reads it. Raises Invalid for none."""
    if isinstance(value, str):
        value = value.encode("utf-8", "surrogateescape")
    elif not isinstance(value, bytes):
        raise Invalid(f"a text is wanted, not {type(value).__name__}")
    return codec.foreign(value.removeprefix(_BOM), notice=notice)


def zone_of(reading: Reading) -> tzinfo:
    """The zone that the option ``timezone`` names; UTC without it. Raises Invalid for an unknown one."""
    name = reading.options.get("timezone")
    if name is None:
        return UTC
    from zoneinfo import ZoneInfo

    try:
        return ZoneInfo(name)
    except (KeyError, ValueError, OSError) as error:
        raise Invalid(f"timezone {name!r} is not known; write one such as Europe/Vienna") from error
