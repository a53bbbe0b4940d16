"""What readers tell, kept for tests; and BSON and dumps of the tests' own making."""

from __future__ import annotations

import base64
import re
import struct
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class Telling:
    """A :class:`wilk.contracts.Reading` that keeps what it is told."""

    def __init__(self) -> None:
        self.options: dict[str, str] = {}
        self.failed: list[tuple[str, str, str]] = []
        self.warned: list[str] = []
        self.places: list[tuple[int, int]] = []

    def lost(self, path: str, count: int = 1) -> None:
        raise AssertionError("readers lose nothing")

    def warn(self, text: str, key: str | None = None) -> None:
        self.warned.append(text)

    def skip(self, kind: str, key: str, reason: str) -> None:
        raise AssertionError("readers leave nothing out")

    def fail(self, kind: str, key: str, error: str, path: str | None = None) -> None:
        self.failed.append((kind, key, error))

    def at(self, done: int, of: int) -> None:
        self.places.append((done, of))


def canonical_bson(document: Mapping[str, Any]) -> bytes:
    """BSON of canonical Extended JSON: a writer for tests, for the types that documents of users have."""
    return _document(document.items())


def archive(blocks: list[tuple[str, list[bytes], bool]], *, database: str = "LibreChat") -> bytes:
    """An archive of mongodump: blocks of (collection, documents, whether the collection ends)."""
    end = b"\xff\xff\xff\xff"
    header = {
        "concurrent_collections": {"$numberInt": "4"},
        "version": "0.1",
        "server_version": "7.0.1",
        "tool_version": "100.9.0",
    }
    told = b"".join(
        canonical_bson({"db": database, "collection": name, "metadata": "{}", "size": {"$numberInt": "0"}})
        for name in sorted({name for name, _, _ in blocks})
    )
    written = struct.pack("<I", 0x8199E26D) + canonical_bson(header) + told + end
    for name, documents, ends in blocks:
        begin = canonical_bson({"db": database, "collection": name, "EOF": ends, "CRC": {"$numberLong": "0"}})
        written += begin + b"".join(documents) + end
    return written


def _document(pairs: Any) -> bytes:
    body = b"".join(_element(name, value) for name, value in pairs)
    return struct.pack("<i", len(body) + 5) + body + b"\0"


def _element(name: str, value: Any) -> bytes:
    kind, body = _value(value)
    return bytes([kind]) + name.encode() + b"\0" + body


def _value(value: Any) -> tuple[int, bytes]:
    if value is None:
        return 0x0A, b""
    if isinstance(value, bool):
        return 0x08, bytes([value])
    if isinstance(value, str):
        return 0x02, _text(value)
    if isinstance(value, list):
        return 0x04, _document((str(number), item) for number, item in enumerate(value))
    if isinstance(value, dict):
        keys = tuple(value)
        if keys == ("$oid",):
            return 0x07, bytes.fromhex(value["$oid"])
        if _is_date(value):
            return 0x09, struct.pack("<q", int(value["$date"]["$numberLong"]))
        if keys == ("$numberInt",):
            return 0x10, struct.pack("<i", int(value["$numberInt"]))
        if keys == ("$numberLong",):
            return 0x12, struct.pack("<q", int(value["$numberLong"]))
        if keys == ("$numberDouble",):
            return 0x01, struct.pack("<d", float(value["$numberDouble"]))
        if keys == ("$binary",):
            data = base64.b64decode(value["$binary"]["base64"])
            return 0x05, struct.pack("<iB", len(data), int(value["$binary"]["subType"], 16)) + data
        if keys == ("$timestamp",):
            return 0x11, struct.pack("<II", value["$timestamp"]["i"], value["$timestamp"]["t"])
        if keys == ("$regularExpression",):
            inner = value["$regularExpression"]
            return 0x0B, inner["pattern"].encode() + b"\0" + inner["options"].encode() + b"\0"
        if keys == ("$minKey",):
            return 0xFF, b""
        if keys == ("$undefined",):
            return 0x06, b""
        return 0x03, _document(value.items())
    raise AssertionError(f"the tests write no {type(value).__name__}")


def _text(text: str) -> bytes:
    raw = text.encode("utf-8", "surrogatepass")
    return struct.pack("<i", len(raw) + 1) + raw + b"\0"


# -- the three forms of Extended JSON, from the canonical one ---------------------------------


def relaxed(value: Any) -> Any:
    """Relaxed Extended JSON, as mongoexport writes it unless told otherwise."""
    if isinstance(value, list):
        return [relaxed(item) for item in value]
    if not isinstance(value, dict):
        return value
    if _is_date(value):
        milliseconds = int(value["$date"]["$numberLong"])
        return {"$date": _iso(milliseconds) + "Z"} if 0 <= milliseconds < 253402300800000 else value
    if tuple(value) in (("$numberInt",), ("$numberLong",)):
        return int(next(iter(value.values())))
    if tuple(value) == ("$numberDouble",):
        number = float(value["$numberDouble"])
        return number if number - number == 0 else value
    return {key: relaxed(item) for key, item in value.items()}


def version_1(value: Any) -> Any:
    """Extended JSON as the tools before MongoDB 4.2 wrote it."""
    if isinstance(value, list):
        return [version_1(item) for item in value]
    if not isinstance(value, dict):
        return value
    if _is_date(value):
        milliseconds = int(value["$date"]["$numberLong"])
        if 0 <= milliseconds < 253402300800000:
            return {"$date": _iso(milliseconds) + "+0000"}
        return {"$date": milliseconds}
    if tuple(value) == ("$numberInt",):
        return int(value["$numberInt"])
    if tuple(value) == ("$numberDouble",):
        number = float(value["$numberDouble"])
        return number if number - number == 0 else value
    if tuple(value) == ("$binary",):
        return {"$binary": value["$binary"]["base64"], "$type": value["$binary"]["subType"]}
    if tuple(value) == ("$regularExpression",):
        inner = value["$regularExpression"]
        return {"$regex": inner["pattern"], "$options": inner["options"]}
    return {key: version_1(item) for key, item in value.items()}


def _is_date(value: Any) -> bool:
    return tuple(value) == ("$date",) and isinstance(value["$date"], dict)


def _iso(milliseconds: int) -> str:
    seconds, rest = divmod(milliseconds, 1000)
    text = datetime.fromtimestamp(seconds, UTC).isoformat().replace("+00:00", "")
    return re.sub(r"0+$", "", f"{text}.{rest:03d}") if rest % 1000 else text
