"""Records of the registry family: packages of agents, and what was installed."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any, NamedTuple


class Package(NamedTuple):
    """A package that a source offers. ``checksum`` is the SHA-256 of its content, ``rating`` 0.0–5.0."""

    source: str
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
    metadata: Mapping[str, Any]
    cached_at: datetime
    expires_at: datetime


class Installation(NamedTuple):
    """What was installed as the agent ``id``; ``files`` are path → SHA-256 as they were installed."""

    id: str
    source: str
    package: str
    version: str
    checksum: str
    files: Mapping[str, str]
    installed_at: datetime
    updated_at: datetime
