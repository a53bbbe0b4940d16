"""Records of the registry family: sources, packages of agents, and what was installed."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any, NamedTuple


class Package(NamedTuple):
    """A package that a source offers. ``checksum`` is the SHA-256 of its content, ``rating`` 0.0–5.0.

    What else its source says of it is in ``metadata``; ``versions`` there has the older versions.
    """

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

    @property
    def versions(self) -> list[str]:
        """The versions that can be installed, the newest first."""
        return [self.version, *(older["version"] for older in self.metadata.get("versions", ()))]


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

    @property
    def code(self) -> list[str]:
        """The Python files, which run as tools when the setting ``custom_tools`` is on."""
        return [path for path in self.files if path.endswith(".py")]


class Installed(NamedTuple):
    """An installation as it stands: which of its files were ``edited`` here, and which are ``missing``.

    ``available`` is the version that its source offers, as last seen; None when it offers it no more.
    """

    id: str
    source: str
    package: str
    version: str
    available: str | None
    edited: list[str]
    missing: list[str]
    installed_at: datetime
    updated_at: datetime


class Update(NamedTuple):
    """What an update did to one agent.

    ``files`` tells of each file that was touched: ``added``, ``replaced``, ``removed``, ``merged`` or
    ``kept`` (the local one, where both had changed). ``saved`` are the local versions that gave way, path →
    where they lie now. ``error`` is why nothing was done.
    """

    id: str
    source: str
    package: str
    before: str
    version: str
    files: Mapping[str, str]
    saved: Mapping[str, str]
    code: list[str]
    error: str | None = None

    @property
    def changed(self) -> bool:
        """Whether anything was done."""
        return self.error is None and (self.before != self.version or bool(self.files))


class Source(NamedTuple):
    """A source of the setting ``registries``; ``packages`` and times are as last seen, None for never."""

    name: str
    address: str
    packages: int
    cached_at: datetime | None
    expires_at: datetime | None


class Refreshed(NamedTuple):
    """What asking a source gave: how many packages, what was left out and why, or the ``error``."""

    source: str
    packages: int
    left_out: list[str]
    error: str | None = None
