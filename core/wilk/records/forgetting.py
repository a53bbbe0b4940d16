"""Records of forgetting: what would go, what remains, and the certificate."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, NamedTuple


class ForgettingPlan(NamedTuple):
    """What would be forgotten: ``rows`` by table, ``archived`` rows by kind and ``archives`` by where they
    lie, ``plugins`` what theirs hold, ``caches`` that are emptied, ``files`` by what they are, ``copies``
    (backups and the like) with the rows that go from each. ``forks`` are sessions of others that hold copies
    of messages and stay, ``shared`` memories and patterns that were made of others' records as well, and
    stay. ``notes`` are what cannot be reached."""

    kind: str
    id: str
    rows: Mapping[str, int]
    archived: Mapping[str, int]
    archives: Mapping[str, int]
    plugins: Mapping[str, int]
    caches: Sequence[str]
    files: Mapping[str, int]
    copies: Mapping[str, int]
    forks: int
    shared: int
    notes: Sequence[str]


class SearchedPlace(NamedTuple):
    """A file, or a folder with all that is in it, that was read to the last byte."""

    name: str
    files: int
    bytes: int


class Residue(NamedTuple):
    """Where something was found that should be gone: the file, how many strings, and in what."""

    place: str
    strings: int
    where: str


class Remaining(NamedTuple):
    """What a look at every byte gave: ``files`` and ``bytes`` read, ``strings`` looked for (``left_out`` more
    were not), ``residues`` where some were found, and ``notes`` on what could not be looked at."""

    files: int
    bytes: int
    strings: int
    left_out: int
    places: Sequence[SearchedPlace]
    residues: Sequence[Residue]
    notes: Sequence[str]


class Certificate(NamedTuple):
    """What was forgotten. ``subject`` is its kind and the hash of its id; ``status`` is ``finished``, or
    ``running`` for a run that was broken off or goes on; ``report`` is the certificate as it is kept, with
    its hash."""

    id: str
    created_at: datetime
    finished_at: datetime | None
    status: str
    subject: Mapping[str, str]
    rows: Mapping[str, int]
    remaining: Remaining
    report: Mapping[str, Any]


class Verified(NamedTuple):
    """Whether a certificate is as it was issued (``sound``), of how many records marks are kept, and rows by
    table that are back."""

    id: str
    sound: bool
    marks: int
    back: Mapping[str, int]
