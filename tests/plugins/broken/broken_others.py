"""Caches, archives, indexes and embedders that are broken, each in one way."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np

from wilk.archives import jsonl
from wilk.caches import disk
from wilk.contracts import Archive, CacheTier, Embedder, VectorIndex
from wilk.hookspecs import hookimpl
from wilk.vectors import exact


class Behind:
    """Stands before a sound one, and does as it does."""

    def __init__(self, real: Any) -> None:
        self.real = real

    def __getattr__(self, name: str) -> Any:
        return getattr(self.real, name)


# -- caches ------------------------------------------------------------------------------------


class Stale(Behind):
    """Gives what has expired."""

    def get(self, key: str, now: int) -> Any:
        return self.real.get(key, 0)


class Forgetful(Behind):
    """Writes when it is closed."""

    def __init__(self, real: Any) -> None:
        super().__init__(real)
        self.waiting: dict[str, Any] = {}

    def set(self, key: str, value: bytes, **more: Any) -> None:
        self.waiting[key] = (value, more)

    def get(self, key: str, now: int) -> Any:
        self.flush()
        return self.real.get(key, now)

    def __getattr__(self, name: str) -> Any:
        self.flush()
        return getattr(self.real, name)

    def flush(self) -> None:
        for key, (value, more) in self.waiting.items():
            self.real.set(key, value, **more)
        self.waiting.clear()

    def close(self) -> None:
        self.flush()
        self.real.close()


class Unlocked(Behind):
    """Lets everybody compute at once."""

    @contextmanager
    def computing(self, key: str, timeout: float) -> Iterator[bool]:
        yield True


def open_stale(settings: Any, folder: Any, namespace: str, policy: Any) -> Any:
    return Stale(_disk(settings, folder, namespace, policy))


def open_forgetful(settings: Any, folder: Any, namespace: str, policy: Any) -> Any:
    return Forgetful(_disk(settings, folder, namespace, policy))


def open_unlocked(settings: Any, folder: Any, namespace: str, policy: Any) -> Any:
    return Unlocked(_disk(settings, folder, namespace, policy))


def open_mixing(settings: Any, folder: Any, namespace: str, policy: Any) -> Any:
    """Takes names that differ in their letters' case alone for one."""
    return _disk(settings, folder, namespace.lower(), policy)


def _disk(*arguments: Any) -> Any:
    return next(iter(disk.register_caches())).open(*arguments)


# -- archives ----------------------------------------------------------------------------------


class Tearing:
    """Appends to a file that Python writes when it has collected enough, and says at once that it did."""

    def __init__(self, file: Path) -> None:
        file.parent.mkdir(parents=True, exist_ok=True)
        self.path = file
        self.file = file.open("ab")

    @contextmanager
    def exclusive(self) -> Iterator[None]:
        yield

    def append(self, entries: Sequence[tuple[int, bytes]]) -> list[str]:
        places = []
        for _, line in entries:
            places.append(f"{self.file.tell()}:{len(line)}")
            self.file.write(line)
        return places

    def read(self, places: Sequence[str]) -> list[bytes]:
        self.file.flush()
        data = self.path.read_bytes()
        spans = [tuple(map(int, place.split(":"))) for place in places]
        return [data[start : start + length] for start, length in spans]

    def close(self) -> None:
        self.file.close()


class Twice(Behind):
    """Keeps what comes again beside what was there."""

    turns = 0

    def append(self, entries: Sequence[tuple[int, bytes]]) -> list[str]:
        self.turns += 1
        kept = self.real.append([(number, line + b" " * self.turns) for number, line in entries])
        return list(kept)

    def read(self, places: Sequence[str]) -> list[bytes]:
        return [line.rstrip(b" ") for line in self.real.read(places)]


def open_tearing(settings: Any) -> Any:
    return Tearing(settings.home / "archive.txt")


def open_twice(settings: Any) -> Any:
    return Twice(next(iter(jsonl.register_archives())).open(settings))


# -- indexes of vectors ------------------------------------------------------------------------


class Hoarding(Behind):
    """Forgets nothing."""

    def remove(self, numbers: Any) -> None:
        pass

    def __len__(self) -> int:
        return len(self.real)

    @property
    def last(self) -> int:
        return int(self.real.last)


class Sleeping(Behind):
    """Says, once it has files, that it has taken in whatever there is."""

    def __init__(self, real: Any, rows: Any) -> None:
        super().__init__(real)
        self.rows = rows

    def save(self) -> None:
        if self.rows.folder is not None:
            self.rows.folder.mkdir(parents=True, exist_ok=True)
            (self.rows.folder / "saved").touch()

    def __len__(self) -> int:
        return len(self.real)

    @property
    def last(self) -> int:
        folder = self.rows.folder
        saved = folder is not None and (folder / "saved").exists()
        return int(self.rows.last() if saved else self.real.last)


def open_hoarding(rows: Any, settings: Any) -> Any:
    return Hoarding(next(iter(exact.register_vector_indexes())).open(rows, settings))


def open_sleeping(rows: Any, settings: Any) -> Any:
    return Sleeping(next(iter(exact.register_vector_indexes())).open(rows, settings), rows)


# -- embedders ---------------------------------------------------------------------------------


class Growing:
    """Gives longer texts longer vectors."""

    model = "growing"
    batch = 8
    longest = 1000

    def embed(self, texts: Sequence[str], *, query: bool = False) -> Any:
        size = 32 if any(len(text) > 1000 for text in texts) else 16
        rows = [
            np.frombuffer(sha256(text.encode("utf-8", "surrogatepass")).digest()[:size], np.uint8)
            for text in texts
        ]
        return np.array(rows, np.float32).reshape(len(texts), size)

    def close(self) -> None:
        pass


def open_growing(settings: Any, model: str | None) -> Any:
    return Growing()


OFFERED: dict[str, Any] = {
    "stale": CacheTier("stale", open_stale),
    "forgetful": CacheTier("forgetful", open_forgetful),
    "unlocked": CacheTier("unlocked", open_unlocked),
    "mixing": CacheTier("mixing", open_mixing),
    "tearing": Archive("tearing", open_tearing),
    "twice": Archive("twice", open_twice),
    "hoarding": VectorIndex("hoarding", open_hoarding),
    "sleeping": VectorIndex("sleeping", open_sleeping),
    "growing": Embedder("growing", open_growing),
}


@hookimpl
def register_caches() -> Iterator[CacheTier]:
    yield from (one for one in OFFERED.values() if isinstance(one, CacheTier))


@hookimpl
def register_archives() -> Iterator[Archive]:
    yield from (one for one in OFFERED.values() if isinstance(one, Archive))


@hookimpl
def register_vector_indexes() -> Iterator[VectorIndex]:
    yield from (one for one in OFFERED.values() if isinstance(one, VectorIndex))


@hookimpl
def register_embedders() -> Iterator[Embedder]:
    yield from (one for one in OFFERED.values() if isinstance(one, Embedder))
