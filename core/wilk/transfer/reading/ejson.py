"""MongoDB's Extended JSON, relaxed, canonical and version 1, as Python values; and relaxed, back again.

What Python has a type for becomes that: ``$oid`` an :class:`ObjectId`, dates aware datetimes in UTC, numbers
numbers, symbols text, undefined None. The rest stays the canonical object that it is (``$numberDecimal``,
``$binary``, ``$timestamp``, …; binary of subtype 4 is ``{"$uuid": text}``), whichever form it came in, so
that every form of a document gives the same values. An object is taken for one of these only when its keys
are exactly those and their values of the type that belongs there: other keys that begin with ``$`` survive.
Source: the MongoDB Extended JSON specification, versions 1 and 2.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_LEAST, _MOST = -62_135_596_800_000, 253_402_300_799_999  # milliseconds of the years 1 to 9999
_HEX = re.compile(r"[0-9a-fA-F]{24}")
_MOMENT = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d(:\d\d(\.\d{1,6})?)?(Z|[+-]\d\d:?\d\d)")
_INTEGER = re.compile(r"-?\d{1,19}")
_FLOATS = {"NaN": float("nan"), "Infinity": float("inf"), "-Infinity": float("-inf")}
_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?")
_UUID = re.compile(r"[0-9a-fA-F]{8}(-?[0-9a-fA-F]{4}){3}-?[0-9a-fA-F]{12}")


class ObjectId(str):
    """An ``_id`` of MongoDB: its 24 hexadecimal digits."""

    __slots__ = ()


def decode(value: Any) -> Any:
    """The Python value of parsed Extended JSON, whichever of the three forms it has."""
    if isinstance(value, dict):
        return unwrap({key: decode(item) for key, item in value.items()})
    if isinstance(value, list):
        return [decode(item) for item in value]
    return value


def unwrap(value: dict[str, Any]) -> Any:
    """What an object stands for whose values are decoded already; the object itself, if for nothing else.

    This is what :func:`wilk.codec.foreign` takes as its ``unwrap``.
    """
    if not 1 <= len(value) <= 2:
        return value
    for key in value:
        if key[:1] != "$":
            return value
    decoder = _DECODERS.get(tuple(value)) or _DECODERS.get(tuple(value)[::-1])
    return value if decoder is None else decoder(value)


def moment(milliseconds: int) -> Any:
    """The datetime of milliseconds since 1970; what is in no year from 1 to 9999 stays canonical."""
    if _LEAST <= milliseconds <= _MOST:
        return _EPOCH + timedelta(milliseconds=milliseconds)
    return {"$date": {"$numberLong": str(milliseconds)}}


def binary(data: bytes, subtype: int) -> dict[str, Any]:
    """Binary data as it is kept."""
    if subtype == 4 and len(data) == 16:
        return {"$uuid": _dashed(data.hex())}
    return {"$binary": {"base64": base64.b64encode(data).decode(), "subType": f"{subtype:02x}"}}


def encode_relaxed(value: Any) -> Any:
    """The relaxed Extended JSON of a value, for a file: :func:`decode` gives it back."""
    kind = type(value)
    if kind is str or kind is int or kind is bool or value is None:
        return value  # nearly all there is
    if isinstance(value, ObjectId):
        return {"$oid": str(value)}
    if isinstance(value, datetime):
        return {"$date": _written(value)}
    if isinstance(value, float) and value - value != 0:
        return {"$numberDouble": "NaN" if value != value else "Infinity" if value > 0 else "-Infinity"}
    if isinstance(value, Mapping):
        return {key: encode_relaxed(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [encode_relaxed(item) for item in value]
    return value


def plain(value: Any) -> Any:
    """The value for a JSON column: ids as text, dates as ISO 8601 text in UTC, all else as it is."""
    if isinstance(value, ObjectId):
        return str(value)
    if isinstance(value, datetime):
        return iso(value)
    if isinstance(value, Mapping):
        return {key: plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(item) for item in value]
    return value


def iso(value: datetime) -> str:
    """A moment as MongoDB writes it: in UTC, with milliseconds and ``Z``."""
    fine = "microseconds" if value.microsecond % 1000 else "milliseconds"
    return value.astimezone(UTC).isoformat(timespec=fine).replace("+00:00", "Z")


def _written(value: datetime) -> Any:
    if 1970 <= value.year <= 9999 and value >= _EPOCH:
        return iso(value)
    return {"$numberLong": str((value - _EPOCH) // timedelta(milliseconds=1))}


def _dashed(digits: str) -> str:
    digits = digits.replace("-", "").lower()
    return "-".join((digits[:8], digits[8:12], digits[12:16], digits[16:20], digits[20:]))


def _is_int(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


# -- one decoder for each set of keys: it returns the object itself where a value is not of the type ----


def _oid(value: dict[str, Any]) -> Any:
    digits = value["$oid"]
    return ObjectId(digits.lower()) if isinstance(digits, str) and _HEX.fullmatch(digits) else value


def _date(value: dict[str, Any]) -> Any:
    date = value["$date"]
    if _is_int(date):
        return moment(date) if -(2**63) <= date < 2**63 else value
    if isinstance(date, str) and _MOMENT.fullmatch(date):
        try:
            return datetime.fromisoformat(date).astimezone(UTC)
        except (ValueError, OverflowError):
            return value
    return value


def _integer(name: str, bits: int) -> Callable[[dict[str, Any]], Any]:
    def decoded(value: dict[str, Any]) -> Any:
        text = value[name]
        if isinstance(text, str) and _INTEGER.fullmatch(text):
            number = int(text)
        elif name == "$numberLong" and _is_int(text):  # an early writer of version 1
            number = text
        else:
            return value
        return number if -(1 << bits - 1) <= number < 1 << bits - 1 else value

    return decoded


def _double(value: dict[str, Any]) -> Any:
    text = value["$numberDouble"]
    if not isinstance(text, str):
        return value
    if text in _FLOATS:
        return _FLOATS[text]
    if not _NUMBER.fullmatch(text):
        return value
    number = float(text)
    return number if number - number == 0 else value


def _binary(value: dict[str, Any]) -> Any:
    inner = value["$binary"]
    if isinstance(inner, dict) and inner.keys() == {"base64", "subType"}:
        return _bytes(inner["base64"], inner["subType"], value)
    return value


def _binary_1(value: dict[str, Any]) -> Any:
    return _bytes(value["$binary"], value["$type"], value)


def _bytes(text: Any, subtype: Any, value: dict[str, Any]) -> Any:
    if _is_int(subtype) and 0 <= subtype < 256:
        subtype = f"{subtype:02x}"
    if not isinstance(text, str) or not isinstance(subtype, str):
        return value
    if not re.fullmatch(r"[0-9a-fA-F]{1,2}", subtype):
        return value
    try:
        return binary(base64.b64decode(text, validate=True), int(subtype, 16))
    except (binascii.Error, ValueError):
        return value


def _uuid(value: dict[str, Any]) -> Any:
    text = value["$uuid"]
    return {"$uuid": _dashed(text)} if isinstance(text, str) and _UUID.fullmatch(text) else value


def _regex(value: dict[str, Any]) -> Any:
    pattern, options = value["$regex"], value["$options"]
    if isinstance(pattern, str) and isinstance(options, str):
        return regex(pattern, options)
    return value


def _regular(value: dict[str, Any]) -> Any:
    inner = value["$regularExpression"]
    if isinstance(inner, dict) and inner.keys() == {"pattern", "options"}:
        pattern, options = inner["pattern"], inner["options"]
        if isinstance(pattern, str) and isinstance(options, str):
            return regex(pattern, options)
    return value


def regex(pattern: str, options: str) -> dict[str, Any]:
    """A regular expression as it is kept."""
    return {"$regularExpression": {"pattern": pattern, "options": "".join(sorted(options))}}


def _symbol(value: dict[str, Any]) -> Any:
    return value["$symbol"] if isinstance(value["$symbol"], str) else value


def _undefined(value: dict[str, Any]) -> Any:
    return None if value["$undefined"] is True else value


_DECODERS: dict[tuple[str, ...], Callable[[dict[str, Any]], Any]] = {
    ("$oid",): _oid,
    ("$date",): _date,
    ("$numberInt",): _integer("$numberInt", 32),
    ("$numberLong",): _integer("$numberLong", 64),
    ("$numberDouble",): _double,
    ("$binary",): _binary,
    ("$binary", "$type"): _binary_1,
    ("$uuid",): _uuid,
    ("$regex", "$options"): _regex,
    ("$regularExpression",): _regular,
    ("$symbol",): _symbol,
    ("$undefined",): _undefined,
}
