"""What sources say of packages, checked: an entry that is wrong is left out and told, the others stay."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

from wilk import codec
from wilk.errors import Invalid, WilkError
from wilk.files import check_id

MOST = 100_000
"""So many packages of one source are taken, at most."""

_KNOWN = frozenset(
    ["name", "version", "category", "tags", "downloads", "rating", "description", "author", "location",
     "checksum", "size"]
)  # fmt: skip
_CHECKSUM = re.compile(r"(?:sha256[:-])?([0-9a-fA-F]{64})")
_PARTS = re.compile(r"\d+|[a-z]+", re.I)
_BEFORE = ("dev", "a", "alpha", "b", "beta", "c", "rc", "pre", "preview")
_LONGEST = 10_000


class Entry(NamedTuple):
    """One version of a package as its source has it."""

    name: str
    version: str
    category: str | None
    tags: list[str]
    downloads: int
    rating: float
    description: str | None
    author: str | None
    location: str
    checksum: str
    size: int | None
    metadata: dict[str, Any]


class Entries(NamedTuple):
    """The packages of a source, the newest version of each, and why others were left out."""

    packages: list[Entry]
    left_out: list[str]


def entries(said: Iterable[Any]) -> Entries:
    """Check what a source says; of several versions of a package the newest has the others with it."""
    by_name: dict[str, dict[str, Entry]] = {}
    left_out: list[str] = []
    for number, one in enumerate(said):
        if number >= MOST:
            left_out.append(f"all after the first {MOST}")
            break
        try:
            entry = _entry(one)
        except WilkError as error:
            name = one.get("name") if isinstance(one, Mapping) else None
            left_out.append(f"{name if isinstance(name, str) else f'entry {number + 1}'}: {error}"[:300])
            continue
        versions = by_name.setdefault(entry.name, {})
        if entry.version in versions:
            left_out.append(f"{entry.name}: the version {entry.version} is there twice")
            continue
        versions[entry.version] = entry
    return Entries([_newest(list(versions.values())) for versions in by_name.values()], left_out)


def newer(one: str, other: str) -> bool:
    """Whether a version comes after another: ``1.10`` after ``1.9``, ``1.0`` after ``1.0-rc.1``."""
    return _ordered(one) > _ordered(other)


def _newest(versions: list[Entry]) -> Entry:
    versions.sort(key=lambda entry: _ordered(entry.version), reverse=True)
    first, *others = versions
    if not others:
        return first
    older = [
        {"version": one.version, "location": one.location, "checksum": one.checksum, "size": one.size}
        for one in others
    ]
    return first._replace(metadata={**first.metadata, "versions": older})


def _ordered(version: str) -> tuple[Any, ...]:
    """What sorts versions: numbers by value, a release after what comes before it (``rc``, ``beta``)."""
    release, _, _build = version.strip().lower().removeprefix("v").partition("+")
    found: list[tuple[int, int, str]] = []
    for part in _PARTS.findall(release):
        if part.isdecimal():
            found.append((2, int(part), ""))
        else:
            _shorten(found)
            found.append((0 if part in _BEFORE else 3, 0, part))
    _shorten(found)
    return (*found, (1, 0, ""))


def _shorten(found: list[tuple[int, int, str]]) -> None:
    """Take the zeros from the end: 1.0 is 1."""
    while found and found[-1] == (2, 0, ""):
        found.pop()


def _entry(said: Any) -> Entry:
    if not isinstance(said, Mapping):
        raise Invalid("an object with name, version, location and checksum is wanted")
    name = check_id(_text("name", said.get("name"), 100), "package")
    tags = said.get("tags")
    if tags is not None and not (isinstance(tags, list) and all(isinstance(tag, str) for tag in tags)):
        raise Invalid("tags: a list of texts is wanted")
    rest = {key: value for key, value in said.items() if key not in _KNOWN and key != "versions"}
    codec.dumps(rest)  # or it cannot be kept
    checksum = _CHECKSUM.fullmatch(_text("checksum", said.get("checksum"), 80))
    if checksum is None:
        raise Invalid("checksum: the SHA-256 of the package in 64 hexadecimal digits is wanted")
    return Entry(
        name=name,
        version=_text("version", said.get("version"), 100),
        category=_optional("category", said.get("category")),
        tags=[_text("tags", tag, 100) for tag in tags or ()],
        downloads=_count("downloads", said.get("downloads")) or 0,
        rating=_rating(said.get("rating")),
        description=_optional("description", said.get("description")),
        author=_optional("author", said.get("author")),
        location=_text("location", said.get("location"), 2000),
        checksum=checksum[1].lower(),
        size=_count("size", said.get("size")),
        metadata=rest,
    )


def _text(field: str, value: Any, longest: int = _LONGEST) -> str:
    if not isinstance(value, str) or not value.strip() or len(value) > longest:
        raise Invalid(f"{field}: a text of 1 to {longest} characters is wanted")
    if codec.storable_text(value)[1] is not None:
        raise Invalid(f"{field}: a text without NUL and lone surrogates is wanted")
    return value


def _optional(field: str, value: Any) -> str | None:
    return None if value is None or value == "" else _text(field, value)


def _count(field: str, value: Any) -> int | None:
    if value is None:
        return None
    if type(value) is not int or not 0 <= value < 2**63:
        raise Invalid(f"{field}: a whole number from 0 is wanted")
    return value


def _rating(value: Any) -> float:
    if value is None:
        return 0.0
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0.0 <= value <= 5.0:
        raise Invalid("rating: a number from 0.0 to 5.0 is wanted")
    return float(value)
