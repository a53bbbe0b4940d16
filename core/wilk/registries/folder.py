"""A folder as a source of agent packages: ZIP archives, folders of agents, and an index if there is one."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping, Sequence
from hashlib import sha256
from pathlib import Path
from typing import Any

from wilk.contracts import Registry
from wilk.definitions.addresses import shown
from wilk.errors import BackendError, Invalid
from wilk.files import inside
from wilk.hookspecs import hookimpl
from wilk.settings import Settings

_log = logging.getLogger("wilk.registry")


@hookimpl
def register_registries() -> Iterator[Registry]:
    """Offer folders."""
    yield Registry("file", open_folder, summary="a folder with packages, or with agents")


def open_folder(address: str, settings: Settings) -> Folder:
    """Open a folder by its path, or a URL with ``file://``; relative to the home folder if there is one."""
    path = address
    if "://" in address:
        from urllib.parse import urlsplit
        from urllib.request import url2pathname

        parts = urlsplit(address)
        if parts.netloc not in ("", "localhost"):
            raise BackendError(f"{shown(address)}: file:///PATH is wanted, for a folder of this machine")
        if parts.query or parts.fragment or address.endswith(("?", "#")):
            raise BackendError(
                f"{address}: in a URL, write %3F for ? and %23 for #, or give the folder's path"
            )
        path = url2pathname(parts.path)
    return Folder((settings.home or Path.cwd()) / Path(path).expanduser())


class Folder:
    """An open folder."""

    def __init__(self, root: Path) -> None:
        self._root = root

    def index(self) -> Sequence[Mapping[str, Any]]:
        """What ``index.json`` names, and every archive and agent's folder that it does not."""
        from wilk.registries.indexes import INDEX, MAX_INDEX, packages

        try:
            names = sorted(path.name for path in self._root.iterdir())
        except OSError as error:
            raise BackendError(f"{self._root} cannot be read: {error.strerror}") from error
        listed: list[Any] = []
        if INDEX in names:
            listed = packages(self._bytes(self._root / INDEX, MAX_INDEX), str(self._root / INDEX))
        located = {_plain(one.get("location")) for one in listed if isinstance(one, Mapping)}
        for name in names:
            if name[0] not in ".#" and not name.endswith("~") and name not in located:
                listed.extend(self._unlisted(name))
        return listed

    def fetch(self, location: str, longest: int) -> bytes:
        """Read an archive, or pack a folder; nothing outside of the folder is read."""
        from wilk.definitions import packages

        try:
            path = inside(self._root, *location.replace("\\", "/").split("/"))
            if path.is_dir():
                return _short(packages.pack(path), path, longest)
        except (Invalid, OSError, ValueError) as error:
            raise BackendError(f"{location!r} cannot be fetched: {error}") from error
        return self._bytes(path, longest)

    def close(self) -> None:
        """Nothing is kept open."""

    def _unlisted(self, name: str) -> Iterator[dict[str, Any]]:
        """A package that no index describes: its own definition does."""
        from wilk.definitions import packages

        path = self._root / name
        try:
            if name.lower().endswith(".zip"):
                data = self._bytes(path, packages.MAX_PACKAGE)
            elif path.is_dir() and packages.is_agent(path):
                data = packages.pack(path)
            else:
                return
            told = packages.described(packages.read(data, name), name)
        except (Invalid, BackendError) as error:
            _log.warning("%s is left out: %s", path, error)
            return
        version = told.setdefault("version", "0")
        stem = name[:-4] if name.lower().endswith(".zip") else name
        told["name"] = stem.removesuffix(f"-{version}") or stem
        yield {**told, "location": name, "checksum": sha256(data).hexdigest(), "size": len(data)}

    def _bytes(self, path: Path, longest: int) -> bytes:
        try:
            if not path.is_file():
                raise BackendError(f"{path} is not there, or is no file")
            with path.open("rb") as file:
                data = file.read(longest + 1)
        except OSError as error:
            raise BackendError(f"{path} cannot be read: {error.strerror}") from error
        return _short(data, path, longest)


def _short(data: bytes, path: Path, longest: int) -> bytes:
    if len(data) > longest:
        raise BackendError(f"{path} has more than {longest} bytes, which is too long")
    return data


def _plain(location: Any) -> str:
    return location.removeprefix("./").rstrip("/") if isinstance(location, str) else ""
