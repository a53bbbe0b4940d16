"""Values of checkpoints as plain data. Nothing is imported, constructed or unpickled, whatever they name.

LangGraph writes msgpack whose extensions 0 to 7 name a module, a class and what to call it with. Here a
fixed list of classes becomes the text or list that they stand for, and every other one
``{"$ext": code, "type": "module.Class", "value": …}``.
"""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Callable
from json import loads
from typing import Any

import msgpack

_TEXTS = frozenset(
    ["uuid.UUID", "decimal.Decimal", "datetime.datetime", "zoneinfo.ZoneInfo", "ipaddress.IPv4Address",
     "ipaddress.IPv4Interface", "ipaddress.IPv4Network", "ipaddress.IPv6Address",
     "ipaddress.IPv6Interface", "ipaddress.IPv6Network"]
)  # fmt: skip
_LISTS = frozenset(["builtins.set", "builtins.frozenset", "collections.deque", "builtins.tuple"])
_PATHS = frozenset(
    f"pathlib{inner}.{name}"
    for inner in ("", "._local")
    for name in ("Path", "PosixPath", "WindowsPath", "PurePath", "PurePosixPath", "PureWindowsPath")
)
_SECRETS = frozenset(["SecretStr", "SecretBytes"])
_DEEPEST = 100


class Unreadable(Exception):
    """A value that is not read; the text says why, and holds nothing of it."""


class Decoder:
    """Decodes values by their type. ``hidden`` is called for each secret that is left out."""

    def __init__(self, hidden: Callable[[], None]) -> None:
        self._hidden = hidden
        self._depth = 0

    def value(self, kind: Any, data: Any) -> Any:
        """A value of the columns ``type`` and ``value``. Raises Unreadable."""
        if kind == "null" or data is None:
            return None
        raw = data.encode(errors="surrogateescape") if isinstance(data, str) else bytes(data)
        if kind in ("bytes", "bytearray"):
            return {"base64": b64encode(raw).decode()}
        if kind == "msgpack":
            return self._packed(raw)
        if kind == "json" or kind is None:
            return self.json(raw)
        if kind == "pickle":
            raise Unreadable("it is a pickle, which can run code when it is loaded, and is never loaded")
        if "+" in str(kind):
            raise Unreadable("it is encrypted")
        raise Unreadable(f"it is of the unknown type {str(kind)[:40]!r}")

    def json(self, raw: bytes | str) -> Any:
        """JSON, with what older versions wrote of classes in the same form as the extensions."""
        try:
            return self._revived(loads(raw))
        except (ValueError, RecursionError) as error:
            raise Unreadable("it is no JSON") from error

    def _packed(self, raw: bytes) -> Any:
        if self._depth >= _DEEPEST:
            raise Unreadable(f"its classes are nested deeper than {_DEEPEST} levels")
        self._depth += 1
        try:
            return self._plain(
                msgpack.unpackb(
                    raw,
                    ext_hook=self._extension,
                    object_pairs_hook=_mapping,
                    strict_map_key=False,
                    unicode_errors="surrogateescape",
                    timestamp=3,
                )
            )
        except Unreadable:
            raise
        except (ValueError, TypeError, OverflowError, RecursionError, msgpack.UnpackException) as error:
            raise Unreadable("it is damaged") from error
        finally:
            self._depth -= 1

    def _extension(self, code: int, data: bytes) -> Any:
        if code == 7:
            return self._packed(data)
        if not 0 <= code <= 6:
            return {"$ext": code, "value": {"base64": b64encode(data).decode()}}
        inner = self._packed(data)
        if not isinstance(inner, list) or len(inner) < 3:
            return {"$ext": code, "value": inner}
        if code == 6:
            return {"$ext": 6, "type": "numpy.ndarray", "value": inner}
        module, name, value = inner[0], inner[1], inner[2]
        return self._known(code, f"{module}.{name}", value)

    def _known(self, code: int | str, kind: str, value: Any) -> Any:
        if kind.rpartition(".")[2] in _SECRETS:
            self._hidden()
            return None
        if kind == "uuid.UUID" and isinstance(value, str) and len(value) == 32:
            return "-".join((value[:8], value[8:12], value[12:16], value[16:20], value[20:]))
        if kind in _TEXTS and isinstance(value, (str, int)):
            return str(value)
        if kind in _LISTS and isinstance(value, list):
            return value
        if kind in _PATHS and isinstance(value, list) and all(isinstance(part, str) for part in value):
            return _path(value, "Windows" in kind)
        if kind == "datetime.date" and isinstance(value, list) and len(value) == 3:
            return "-".join(f"{part:02d}" if isinstance(part, int) else str(part) for part in value)
        return {"$ext": code, "type": kind, "value": value}

    def _plain(self, value: Any, depth: int = 0) -> Any:
        """Bytes and times that are left in decoded data as JSON can hold them."""
        if depth > _DEEPEST:
            raise Unreadable(f"it is nested deeper than {_DEEPEST} levels")
        if isinstance(value, (bytes, bytearray)):
            return {"base64": b64encode(value).decode()}
        if isinstance(value, list):
            return [self._plain(one, depth + 1) for one in value]
        if isinstance(value, dict):
            return {key: self._plain(one, depth + 1) for key, one in value.items()}
        return value.isoformat() if hasattr(value, "isoformat") else value

    def _revived(self, value: Any) -> Any:
        if isinstance(value, list):
            return [self._revived(one) for one in value]
        if not isinstance(value, dict):
            return value
        kind = value.get("type")
        named = value.get("id")
        if "lc" in value and kind == "secret":
            self._hidden()
            return None
        if "lc" in value and kind == "constructor" and isinstance(named, list):
            arguments = value.get("args")
            inner = self._revived(value.get("kwargs") or arguments or {})
            if isinstance(inner, list) and len(inner) == 1:
                inner = inner[0]
            return self._known("lc", ".".join(map(str, named)), inner)
        return {key: self._revived(one) for key, one in value.items()}


def _mapping(pairs: list[tuple[Any, Any]]) -> dict[str, Any]:
    """A mapping whose keys are text, as JSON wants them."""
    return {key if isinstance(key, str) else _key(key): value for key, value in pairs}


def _key(key: Any) -> str:
    if isinstance(key, bytes):
        return key.decode("utf-8", "replace")
    return str(key)


def _path(parts: list[str], windows: bool) -> str:
    rest = parts[1:] if parts and parts[0] == "/" else parts
    begin = "/" if rest is not parts else ""
    return begin + ("\\" if windows else "/").join(rest)
