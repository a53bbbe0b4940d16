"""The entry-point index: who is installed and what they offer, known without importing anyone.

Entry points of the group ``wilk`` are read from the distributions' metadata, and the hooks and
names of each plugin from its source text. Both are kept in a file of the user's cache folder,
keyed by the state of the search path (the distributions in each folder, listed again only when the
folder's modification time has changed), so that the next start reads one small file. What a plugin
shows when it is imported replaces what its source promised.
"""

from __future__ import annotations

import json
import os
import sys
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from zlib import crc32

GROUP = "wilk"
_FORMAT = 1


@dataclass
class Entry:
    """One entry point, and what is known of its plugin.

    ``hooks`` and ``offers`` (hook name → names offered) are None while only an import can tell.
    ``files`` are the sources that this knowledge comes from, with their size and time.
    ``seconds`` is what the last import took.
    """

    name: str
    value: str
    distribution: str
    version: str
    hooks: list[str] | None = None
    offers: dict[str, list[str]] | None = None
    files: list[list[Any]] = field(default_factory=list)
    seconds: float | None = None

    def may_implement(self, hook: str) -> bool:
        return self.hooks is None or hook in self.hooks

    def may_offer(self, hook: str, name: str) -> bool:
        known = (self.offers or {}).get(hook)
        return self.may_implement(hook) and (known is None or name in known)

    def learn(self, hooks: list[str], files: list[str], seconds: float | None) -> bool:
        """Keep what an import showed; return whether that is news."""
        stamps = [stamp for file in files if (stamp := _stamp(file))]
        news = (hooks, stamps) != (self.hooks, self.files) or (self.seconds is None and seconds is not None)
        if seconds is not None and (news or self.seconds is None):
            self.seconds = round(seconds, 4)
        self.hooks, self.files = hooks, stamps
        if not any(hook.startswith("register_") for hook in hooks):
            self.offers = {}
        return news


class Index:
    """All entries of the group, from the cache file when the search path has not changed."""

    def __init__(self) -> None:
        self._state: list[list[Any]] = []
        folder = _cache_folder()
        self._file = folder / f"plugins-{_key()}.json" if folder else None
        self.entries = self._read() or self._scan()

    def save(self) -> None:
        """Write the cache file; a folder that cannot be written only means a slower next start."""
        if self._file is None:
            return
        kept = {"format": _FORMAT, "state": self._state, "entries": [vars(entry) for entry in self.entries]}
        temporary = self._file.with_name(f"{self._file.name}.{os.getpid()}")
        try:
            self._file.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            temporary.write_text(json.dumps(kept))
            temporary.replace(self._file)
        except OSError:
            with suppress(OSError):
                temporary.unlink()

    def _read(self) -> list[Entry] | None:
        try:
            kept = json.loads(self._file.read_bytes()) if self._file else {}
            if kept["format"] != _FORMAT or not self._same_distributions(kept["state"]):
                return None
            entries = [Entry(**entry) for entry in kept["entries"]]
            edited = [entry for entry in entries if any(_stamp(seen[0]) != seen for seen in entry.files)]
        except (OSError, ValueError, LookupError, TypeError):
            return None
        for entry in edited:
            _look_at_source(entry)
        if edited or self._state != kept["state"]:
            self.entries = entries
            self.save()
        return entries

    def _same_distributions(self, state: list[list[Any]]) -> bool:
        """Whether every folder holds the distributions that it held; only changed ones are listed."""
        if [folder for folder, _, _ in state] != [folder for folder, _ in _search_path()]:
            return False
        now = []
        for (folder, time, distributions), (_, time_now) in zip(state, _search_path(), strict=True):
            if time != time_now and _distributions(folder) != distributions:
                return False
            now.append([folder, time_now, distributions])
        self._state = now
        return True

    def _scan(self) -> list[Entry]:
        from importlib.metadata import entry_points  # slow to import, and rarely needed

        self._state = [[folder, time, _distributions(folder)] for folder, time in _search_path()]
        entries, seen = [], set()
        for point in entry_points(group=GROUP):
            distribution = point.dist.name if point.dist else "?"
            version = point.dist.version if point.dist else "?"
            entry = Entry(point.name, point.value, distribution, version)
            if (point.name, point.value, distribution) not in seen:  # a path may be listed twice
                seen.add((point.name, point.value, distribution))
                _look_at_source(entry)
                entries.append(entry)
        entries.sort(key=lambda entry: (entry.name, entry.distribution))
        self.entries = entries
        self.save()
        return entries


def _look_at_source(entry: Entry) -> None:
    from wilk.sourcescan import scan

    entry.seconds = None
    found = scan(entry.value)
    if found is None:
        entry.hooks = entry.offers = None
        entry.files = []
    else:
        entry.hooks, entry.offers = found.hooks, found.offers
        entry.files = [stamp for stamp in [_stamp(str(found.file))] if stamp]


def _stamp(file: str) -> list[Any] | None:
    try:
        status = os.stat(file)  # noqa: PTH116 (pathlib costs more here)
    except OSError:
        return None
    return [file, status.st_mtime_ns, status.st_size]


def _search_path() -> list[tuple[str, int]]:
    """The folders and archives from which Python imports, with their modification times."""
    found = []
    for folder in sys.path:
        try:
            found.append((folder, os.stat(folder or ".").st_mtime_ns))  # noqa: PTH116
        except OSError:
            continue
    return found


def _distributions(folder: str) -> list[list[Any]]:
    """The metadata folders in a folder, with their modification times."""
    try:
        with os.scandir(folder or ".") as found:
            return sorted(
                [entry.name, entry.stat().st_mtime_ns]
                for entry in found
                if entry.name.endswith((".dist-info", ".egg-info"))
            )
    except OSError:  # an archive, whose own time tells enough
        return []


def _key() -> str:
    """Tells environments apart in the cache folder. Two that share a key by chance share nothing
    else: the state of the search path is compared as well."""
    names = "\0".join([sys.version, sys.prefix, *sys.path])
    return f"{crc32(names.encode('utf-8', 'surrogateescape')):08x}"


def _cache_folder() -> Path | None:
    """The user's cache folder; None for a user without a home."""
    if sys.platform == "win32":
        base = os.environ.get("LOCALAPPDATA") or "~/AppData/Local"
    elif sys.platform == "darwin":
        base = "~/Library/Caches"
    else:
        base = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
    try:
        return Path(base).expanduser() / "wilk"
    except RuntimeError:
        return None
