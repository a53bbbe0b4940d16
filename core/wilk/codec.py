"""Safe, reversible JSON: what goes in comes out, or the error names the path that could not.

The only module that knows orjson. Plain values take its fast path. What JSON or one of the
engines cannot hold is written as an object with the one key ``$wilk`` and read back as it was:
NaN and the infinities, integers past 64 bits, text with NUL or lone surrogates (PostgreSQL
refuses the first, UTF-8 the second), and objects that themselves have a key ``$wilk``. Anything
that has no JSON form at all (bytes, dates, keys that are not text) raises
:class:`~wilk.errors.NotStorable` with its path, before anything is written.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable, Mapping
from enum import Enum
from typing import Any
from uuid import UUID

import orjson

from wilk.errors import Invalid, NotStorable

MAX_DEPTH = 200
FOREIGN_DEPTH = 180
"""How deep foreign JSON may be nested: what it becomes a part of adds some levels."""
REPEATED = "$repeated"
UNREADABLE = "$unreadable"
"""The key under which the text of a damaged column stands where its value would."""
_TAG = "$wilk"
_STEPS, _SHOWN = 10, 80  # of a path in an error, from either end, and of a key in it
_DIGITS = 4000  # Python turns text of more than 4,300 digits into no integer, and back
_BRACKETS = rb'(?s)"(?:[^"\\]++|\\.)*+"?|(?P<opens>[\[{])|(?P<closes>[\]}])'
_STRICT = orjson.OPT_PASSTHROUGH_DATACLASS | orjson.OPT_PASSTHROUGH_DATETIME | orjson.OPT_PASSTHROUGH_SUBCLASS
_CANONICAL = _STRICT | orjson.OPT_SORT_KEYS


def dumps(value: Any, name: str = "") -> str:
    """Encode a JSON value to text that every engine can keep and :func:`loads` reverses.

    ``name`` is the field that it is for, with which paths in errors begin.
    """
    try:
        raw = orjson.dumps(value, option=_STRICT)
    except (TypeError, RecursionError):
        return orjson.dumps(_tag(value, (name,) if name else (), 0), option=_STRICT).decode()
    # orjson writes NaN as null and NUL as an escape without a word; both are rare, both cheap
    # to look for in the bytes.
    if b"null" in raw or b"\\u0000" in raw or b'"$wilk"' in raw:
        return orjson.dumps(_tag(value, (name,) if name else (), 0), option=_STRICT).decode()
    return raw.decode()


def loads(text: str | bytes) -> Any:
    """Decode what :func:`dumps` wrote."""
    value = orjson.loads(text)
    if (_TAG if isinstance(text, str) else _TAG.encode()) in text:  # type: ignore[operator]
        return _untag(value)
    return value


def kept(value: Any, shape: type | None = None) -> Any:
    """Decode what a column of JSON holds, whatever that is.

    What is none, or not of the ``shape`` (``dict`` or ``list``) that the column has, was written past wilk
    or is damaged. It comes back marked, as ``{"$unreadable": TEXT}`` (in a list where that is the shape), so
    that it hides no other row and can be put right.
    """
    try:
        found = loads(value)
    except (ValueError, TypeError, LookupError, RecursionError):
        pass
    else:
        if shape is None or isinstance(found, shape):
            return found
    if isinstance(value, bytes):
        value = value.decode("utf-8", "backslashreplace")
    marked = {UNREADABLE: value}
    return [marked] if shape is list else marked


def canonical(value: Any) -> bytes:
    """Encode with sorted keys: equal values give equal bytes, for hashes."""
    try:
        raw = orjson.dumps(value, option=_CANONICAL)
    except (TypeError, RecursionError):
        return orjson.dumps(_tag(value, (), 0), option=_CANONICAL)
    if b"null" in raw or b"\\u0000" in raw or b'"$wilk"' in raw:
        return orjson.dumps(_tag(value, (), 0), option=_CANONICAL)
    return raw


def fingerprint(value: Any) -> bytes | None:
    """Encode plain data, dates and dataclasses among it, only to tell whether something has changed.

    NaN counts as null here. None for what JSON cannot hold: big integers, halves of characters.
    """
    try:
        return orjson.dumps(value, option=orjson.OPT_SORT_KEYS)
    except TypeError:
        return None


def content_hash(value: Any) -> str:
    """SHA-256 of the canonical form, in hexadecimal."""
    from hashlib import sha256  # brings OpenSSL along, which readers do without

    return sha256(canonical(value)).hexdigest()


def text_hash(text: str) -> str:
    """SHA-256 of an encoded text, in hexadecimal: it tells the orders of keys apart too."""
    from hashlib import sha256

    return sha256(text.encode()).hexdigest()


def pretty(value: Any) -> str:
    """Encode for people and pipes: indented, UTF-8. Dates and tuples are written as JSON has them.

    Lone surrogates become ``\\udXXX`` escapes, as the standard library writes them.
    """
    try:
        return orjson.dumps(value, option=orjson.OPT_INDENT_2).decode()
    except TypeError:
        return json.dumps(value, indent=2, default=str)


def parse(text: str | bytes) -> Any:
    """Read foreign JSON strictly: duplicate keys, NaN and broken text raise Invalid with a line."""
    if isinstance(text, bytes):
        try:
            text = text.decode("utf-8-sig")
        except UnicodeDecodeError as error:
            raise Invalid(f"not UTF-8 at byte {error.start}; save the file as UTF-8") from error

    def pairs(items: list[tuple[str, Any]]) -> dict[str, Any]:
        found: dict[str, Any] = {}
        for key, value in items:
            if key in found:
                raise Invalid(f"the key {key!r} stands twice in one object; keep one of them")
            found[key] = value
        return found

    def constant(name: str) -> Any:
        raise Invalid(f"{name} is not JSON; write a number or null")

    try:
        return json.loads(text, object_pairs_hook=pairs, parse_constant=constant)
    except json.JSONDecodeError as error:
        raise Invalid(f"line {error.lineno}, column {error.colno}: {error.msg}") from error
    except RecursionError as error:
        raise Invalid("nested too deeply to be read") from error
    except ValueError as error:  # a number of more digits than Python converts
        raise Invalid(f"a number is too long to be read: {error}") from error


def foreign(
    data: bytes,
    *,
    unwrap: Callable[[dict[str, Any]], Any] | None = None,
    notice: Callable[[str], object] | None = None,
) -> Any:
    """Read JSON that another program wrote, and lose nothing of it.

    NaN, the infinities, raw control characters and lone surrogates are taken as they are. Bytes that are no
    UTF-8 become lone surrogates (``surrogateescape``). Integers keep every digit. A number past the range of
    floats becomes the integer that it is (``1e400``), or its text where that is too long or too small to be
    one. Of keys that stand twice the last counts, and the earlier values are kept beside it under
    :data:`REPEATED`. ``notice`` is told, in sentences without content, what was odd; ``unwrap`` is given
    each object, the inner ones first, and returns what stands for it. Raises Invalid, with a place but
    without content, for what is no JSON, or nested deeper than :data:`FOREIGN_DEPTH`.
    """
    tell = notice or (lambda _text: None)
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError:
        text = data.decode("utf-8", "surrogateescape")
        tell("a text is not UTF-8; its bytes are kept as they are")

    def pairs(items: list[tuple[str, Any]]) -> Any:
        found = dict(items)
        if len(found) != len(items):
            found = beside(items)
            tell("a key stands twice in one object; the last value counts, the others are kept beside it")
        return found if unwrap is None else unwrap(found)

    def whole(digits: str) -> int | str:
        if len(digits) <= _DIGITS:
            return int(digits)
        tell("a number has too many digits to be one; it is kept as text")
        return digits

    def fraction(digits: str) -> float | int | str:
        value = float(digits)
        # Neither infinite nor too small to be told from zero: what a float can hold.
        if value and value - value == 0:
            return value
        if value == 0 and not re.match(r"-?[0.]*[1-9]", digits):
            return value
        return _unfloatable(digits, tell)

    try:
        if data.count(b"[") + data.count(b"{") > FOREIGN_DEPTH and depth(data) > FOREIGN_DEPTH:
            raise Invalid(f"nested deeper than {FOREIGN_DEPTH} levels")
        decoder = json.JSONDecoder(
            object_pairs_hook=pairs, parse_int=whole, parse_float=fraction, strict=False
        )
        return decoder.decode(text)
    except json.JSONDecodeError as error:
        raise Invalid(f"is no JSON at its character {error.pos + 1:,}: {error.msg}") from None
    except RecursionError:
        raise Invalid("nested too deeply to be read") from None


def beside(items: list[tuple[str, Any]]) -> dict[str, Any]:
    """The object of pairs in which keys repeat: the last value of each, the earlier ones at ``$repeated``."""
    found: dict[str, Any] = {}
    earlier: dict[str, list[Any]] = {}
    for key, value in items:
        if key in found:
            earlier.setdefault(key, []).append(found[key])
        found[key] = value
    name = REPEATED
    while name in found:
        name = f"${name}"
    return {**found, name: earlier}


def depth(data: bytes) -> int:
    """How deep arrays and objects are nested in JSON, without reading it."""
    deepest = level = 0
    for found in re.finditer(_BRACKETS, data):
        if (mark := found.lastgroup) == "opens":
            level += 1
            deepest = max(deepest, level)
        elif mark == "closes":
            level -= 1
    return deepest


def _unfloatable(digits: str, tell: Callable[[str], object]) -> int | str:
    """A number that no float holds, as the integer that it is, or as its text."""
    from decimal import Decimal, InvalidOperation

    try:
        number = Decimal(digits)
        short = number.is_finite() and 0 <= number.adjusted() < _DIGITS and len(digits) < _DIGITS
        if short and number == number.to_integral_value():
            tell("a number is past the range of floats; it is kept as the integer that it is")
            return int(number)
    except InvalidOperation:
        pass
    tell("a number is past the range of floats; it is kept as text")
    return digits


def embedded(text: str) -> Any:
    """The JSON value that a kept text is, tags and all, to be part of a file; :func:`lifted` gives the
    text back.

    A text that :func:`dumps` would write in another way is kept as it stands, under the tag ``json``.
    """
    try:
        value = orjson.loads(text)
        same = lifted(value) if _TAG in text or "\\u0000" in text else orjson.dumps(value).decode()
    except (ValueError, TypeError, LookupError, RecursionError, Invalid):
        same = None
    return value if same == text else {_TAG: ["json", text]}


def lifted(value: Any) -> str:
    """The text that was :func:`embedded`; of what a person wrote, the text that :func:`dumps` gives.

    Raises Invalid for a ``$wilk`` that is none of wilk's.
    """
    if isinstance(value, dict) and len(value) == 1 and isinstance(value.get(_TAG), list):
        tag = value[_TAG]
        if len(tag) == 2 and tag[0] == "json" and isinstance(tag[1], str):
            return tag[1]
    try:
        return dumps(_untag(value))
    except RecursionError as error:
        raise Invalid("nested too deeply to be kept") from error
    except (ValueError, TypeError, LookupError) as error:
        raise Invalid(f"an object with the key {_TAG!r} is not one that wilk wrote: {error}") from error


def file_value(text: bytes) -> Any:
    """Decode what :func:`file_text` wrote as it stands, tags and all; raises Invalid."""
    try:
        return orjson.loads(text)
    except ValueError as error:
        raise Invalid(f"no JSON: {error}") from error


def file_text(value: Any, *, indent: bool) -> bytes:
    """Encode plain JSON, tags and all, as part of a file."""
    return orjson.dumps(value, option=orjson.OPT_INDENT_2 if indent else 0)


def foreign_text(value: Any) -> bytes:
    """Encode plain JSON on one line for other programs: every digit, and halves of characters as escapes."""
    try:
        return orjson.dumps(value)
    except TypeError:
        return json.dumps(value, separators=(",", ":")).encode()


def storable_text(text: str) -> tuple[str, str | None]:
    """Split text into what every engine can keep and search, and, if it differs, the original.

    The second part is None for ordinary text; otherwise it is the original as an ASCII JSON
    string, from which :func:`original_text` gives back every code point.
    """
    try:
        text.encode()
    except UnicodeEncodeError:
        pass
    else:
        if "\0" not in text:
            return text, None
    clean = text.encode("utf-8", "replace").decode().replace("\0", "�")
    return clean, json.dumps(text)


def original_text(kept: str) -> str:
    """Reverse the second part of :func:`storable_text`."""
    text: str = json.loads(kept)
    return text


def _tag(value: Any, path: tuple[str | int, ...], depth: int) -> Any:
    kind = type(value)
    if value is None or kind is bool:
        return value
    if kind is str:
        kept = storable_text(value)[1]
        return value if kept is None else {_TAG: ["text", kept]}
    if kind is int:
        return value if -(2**63) <= value < 2**63 else {_TAG: ["int", hex(value)]}
    if kind is float:
        return value if math.isfinite(value) else {_TAG: ["float", repr(value)]}
    if depth >= MAX_DEPTH:
        raise NotStorable(f"{_dotted(path)}: nested deeper than {MAX_DEPTH} levels")
    if isinstance(value, Mapping):
        out = {}
        for key, item in value.items():
            if type(key) is not str:
                raise NotStorable(f"{_dotted(path)}: the key {key!r} is {type(key).__name__}, not text")
            out[key] = _tag(item, (*path, key), depth + 1)
        if _TAG in out or any(storable_text(key)[1] is not None for key in out):
            return {_TAG: ["object", [[_tag(key, path, depth), item] for key, item in out.items()]]}
        return out
    if isinstance(value, (list, tuple)):
        return [_tag(item, (*path, i), depth + 1) for i, item in enumerate(value)]
    # Subclasses are kept as their plain value; so are enums and UUIDs, as orjson does it by itself.
    if isinstance(value, Enum):
        return _tag(value.value, path, depth)
    if isinstance(value, UUID):
        return str(value)
    if isinstance(value, str):
        return _tag(str.__str__(value), path, depth)
    if isinstance(value, int):
        return _tag(int.__int__(value), path, depth)
    if isinstance(value, float):
        return _tag(float.__float__(value), path, depth)
    raise NotStorable(
        f"{_dotted(path)}: {kind.__name__} has no JSON form; turn it into text, a number, a list or an object"
    )


def _untag(value: Any) -> Any:
    if isinstance(value, dict):
        if len(value) == 1 and _TAG in value:
            kind, kept = value[_TAG]
            if kind == "text":
                return original_text(kept)
            if kind == "int":
                return int(kept, 16)
            if kind == "float":
                return float(kept)
            return {_untag(key): _untag(item) for key, item in kept}
        return {key: _untag(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_untag(item) for item in value]
    return value


def _dotted(path: tuple[str | int, ...]) -> str:
    shown = [str(part)[:_SHOWN] for part in path]
    if len(shown) > 2 * _STEPS:
        shown = [*shown[:_STEPS], "…", *shown[-_STEPS:]]
    return ".".join(shown) or "the value"
