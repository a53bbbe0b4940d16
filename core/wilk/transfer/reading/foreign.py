"""Fields of foreign JSON, taken as what they should be: texts, times, objects, and what is left over.

Nothing here raises for what a file holds: what is not as it should be is None, empty, or kept aside.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from hashlib import sha256
from typing import TYPE_CHECKING, Any, BinaryIO, cast

from wilk import codec
from wilk.clock import EPOCH, to_datetime, to_microseconds
from wilk.errors import WilkError
from wilk.transfer.reading.json_items import items

if TYPE_CHECKING:
    from wilk.contracts import Reading
    from wilk.transfer.reading.sources import SourceFile

_LATEST = to_microseconds(datetime(9999, 1, 1, tzinfo=UTC))
_EARLIEST = to_microseconds(datetime(1, 1, 2, tzinfo=UTC))
_LONGEST = 400


def elements(file: SourceFile, failed: Callable[[str, str], None]) -> Iterator[Any]:
    """The elements of a JSON file; ``failed(place, sentence)`` is told of broken ones."""
    with file.open() as opened:
        yield from items(opened, file.name, failed)


class Course:
    """Goes through the elements of several files, and tells how far it is, in bytes."""

    def __init__(self, reading: Reading, files: Sequence[SourceFile]) -> None:
        self._reading = reading
        self._of = sum(file.size for file in files)
        self._done = 0

    def elements(self, file: SourceFile, failed: Callable[[str, str], None]) -> Iterator[Any]:
        """The elements of one of the files; see :func:`elements`."""
        with file.open() as opened:
            counted = _Counted(opened)
            for item in items(cast(BinaryIO, counted), file.name, failed):
                self._reading.at(self._done + min(counted.bytes, file.size), self._of)
                yield item
        self.passed(file)

    def passed(self, file: SourceFile) -> None:
        """A file is done."""
        self._done += file.size
        self._reading.at(self._done, self._of)


class _Counted:
    """Counts the bytes that were read."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self.bytes = 0

    def read(self, size: int = -1) -> bytes:
        data = self._file.read(size)
        self.bytes += len(data)
        return data


def text(value: Any) -> str:
    """A text, or the empty one."""
    return value if isinstance(value, str) else ""


def name(value: Any) -> str | None:
    """A text that every engine keeps and that says something, or None."""
    return (codec.storable_text(value)[0].strip() or None) if isinstance(value, str) else None


def mapping(value: Any) -> Mapping[str, Any]:
    """An object, or an empty one."""
    return value if isinstance(value, dict) else {}


def listed(value: Any) -> Sequence[Any]:
    """A list, or an empty one."""
    return value if isinstance(value, list) else []


def whole(value: Any) -> int | None:
    """A number from 0 that counts something, or None."""
    return value if type(value) is int and 0 <= value < 2**63 else None


def key(value: Any, *otherwise: Any) -> str:
    """The key of a record: its id as a text; one that is missing is derived from ``otherwise``."""
    if isinstance(value, int) and not isinstance(value, bool):
        value = str(value)
    if isinstance(value, str) and value:
        if len(value) <= _LONGEST and codec.storable_text(value)[1] is None:
            return value
        otherwise = (value,)
    return "made-" + sha256(repr(otherwise).encode(errors="surrogatepass")).hexdigest()[:24]


def moment(value: Any) -> datetime | None:
    """A time in UTC: ISO 8601 (without a zone it is UTC), or a number since 1970, of seconds to nanoseconds
    by its size."""
    if isinstance(value, str):
        try:
            found = datetime.fromisoformat(value.strip())
        except ValueError:
            return None
        found = found if found.tzinfo is not None else found.replace(tzinfo=UTC)
        try:
            return to_datetime(to_microseconds(found))
        except OverflowError:
            return None
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not abs(value) < 10**20:
        return None
    # Milliseconds from 1973 on are larger than seconds up to 5138; microseconds and nanoseconds likewise.
    size = abs(value)
    scale = 1_000_000 if size < 10**11 else 1_000 if size < 10**14 else 1 if size < 10**17 else 0.001
    found_at = round(value * scale)
    return to_datetime(found_at) if _EARLIEST < found_at < _LATEST else None


def seconds(at: datetime) -> float:
    """A time as seconds since 1970."""
    return (at - EPOCH).total_seconds()


def rest(value: Mapping[str, Any], *known: str) -> dict[str, Any]:
    """What an object has beside its known fields."""
    return {name: item for name, item in value.items() if name not in known}


def kept(value: Any) -> Any:
    """A value, or, where it is nested too deeply to be kept, a text of it that tells so."""
    try:
        codec.dumps(value)
    except WilkError as error:
        return {"set_aside": str(error)[:_LONGEST], "text": repr(value)[:1_000_000]}
    return value


def apart(fields: Mapping[str, Any]) -> dict[str, Any]:
    """Fields, each as :func:`kept` has it."""
    try:
        codec.dumps(fields)
    except WilkError:
        return {name: kept(value) for name, value in fields.items()}
    return dict(fields)


def definition(fields: Mapping[str, Any], reading: Reading, key: str) -> dict[str, Any]:
    """The content of a definition, whose texts a file must be able to keep."""
    found: dict[str, Any] = _plain(dict(fields))
    if found != fields:
        reading.warn("characters that no file keeps were replaced in definitions", key)
    return found


def _plain(value: Any) -> Any:
    if isinstance(value, str):
        return codec.storable_text(value)[0]
    if isinstance(value, dict):
        return {codec.storable_text(name)[0]: _plain(item) for name, item in value.items()}
    return [_plain(item) for item in value] if isinstance(value, list) else value


def joined(texts: Sequence[str]) -> str:
    """Texts as one, a blank line between them."""
    return "\n\n".join(one for one in texts if one)
