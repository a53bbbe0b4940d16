"""The cache: a hit in memory against cachetools, the tier on disk against diskcache."""

from __future__ import annotations

import multiprocessing
import time
from contextlib import ExitStack
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import wilk
from benchmarks import material
from benchmarks.measuring import Report, Run, interleaved, timed
from wilk.caches.disk import Disk

TTL, MEMORY, DISK, DISKCACHE = "cachetools TTLCache", "wilk", "wilk disk tier", "diskcache"
HOUR = 3_600_000_000
KEYS = 1000
PROCESSES = 4
PASSES = 5


def measure(folder: Path, *, quick: bool = False) -> Report:
    """Compare hits in memory with ``TTLCache``, and get and set on disk with ``diskcache.Cache``."""
    report = Report("cache", f"{KEYS:,} keys, values of about 270 bytes; one after another")
    rounds = 7 if quick else 21
    keys = [f"key-{number}" for number in range(KEYS)]
    values = [text.encode() for text in material.texts(KEYS, seed=1)]
    with ExitStack() as stack:
        _memory(report, stack, folder, keys, rounds)
        _disk(report, stack, folder, keys, values, rounds)
        _together(report, folder, keys, values, 3 if quick else 7)
    return report


def _memory(report: Report, stack: ExitStack, folder: Path, keys: list[str], rounds: int) -> None:
    from cachetools import TTLCache

    peer: Any = TTLCache(KEYS * 2, 3600)
    store = stack.enter_context(wilk.open_store(f"sqlite:///{folder / 'memory.db'}"))
    cache = store.cache("benchmark")
    for key, text in zip(keys, material.texts(KEYS, seed=1), strict=True):
        peer[key] = text
        cache.set(key, text, ttl="1h")
        cache.set(f"{key}-object", {"text": text, "tokens": 67}, ttl="1h")
    objects = [f"{key}-object" for key in keys]
    contestants: dict[str, Run] = {
        TTL: lambda: timed(lambda: [peer[key] for key in keys], KEYS),
        MEMORY: lambda: timed(lambda: [cache.get(key) for key in keys], KEYS),
        "wilk, a JSON object": lambda: timed(lambda: [cache.get(key) for key in objects], KEYS),
    }
    samples = interleaved(contestants, rounds)
    for name, sample in samples.items():
        report.figure(f"{name}: hit in memory", sample, "µs")
    report.compare("hit in memory: wilk ÷ cachetools", samples[MEMORY], samples[TTL], at_most=4.0)
    report.compare("dito, a JSON object", samples["wilk, a JSON object"], samples[TTL])


def _disk(
    report: Report, stack: ExitStack, folder: Path, keys: list[str], values: list[bytes], rounds: int
) -> None:
    tier = _tier(folder / "tier.db")
    stack.callback(tier.close)
    now = time.time_ns() // 1000

    turns = keys * PASSES

    def fill() -> None:
        for key, value in zip(keys, values, strict=True):
            tier.set(key, value, now=now, expires_at=now + HOUR)

    gets: dict[str, Run] = {DISK: lambda: timed(lambda: [tier.get(key, now) for key in turns], len(turns))}
    sets: dict[str, Run] = {DISK: lambda: timed(fill, KEYS)}
    if find_spec("diskcache") is None:
        report.skipped.append("diskcache (diskcache is not installed)")
    else:
        from diskcache import Cache

        peer = stack.enter_context(Cache(str(folder / "peer")))

        def fill_peer() -> None:
            for key, value in zip(keys, values, strict=True):
                peer.set(key, value, expire=3600)

        gets[DISKCACHE] = lambda: timed(lambda: [peer.get(key) for key in turns], len(turns))
        sets[DISKCACHE] = lambda: timed(fill_peer, KEYS)
    for verb, contestants in (("set", sets), ("get", gets)):
        samples = interleaved(contestants, rounds)
        for name, sample in samples.items():
            report.figure(f"{name}: {verb}", sample, "µs")
        if DISKCACHE in samples:
            report.compare(
                f"{verb} on disk: diskcache ÷ wilk", samples[DISKCACHE], samples[DISK], at_least=1.5
            )


def _together(report: Report, folder: Path, keys: list[str], values: list[bytes], rounds: int) -> None:
    """Several processes that set and get the same keys at once: half of the operations each."""
    names = ["wilk", *(["diskcache"] if find_spec("diskcache") else [])]
    context = multiprocessing.get_context("spawn")
    contestants: dict[str, Run] = {}
    with ExitStack() as stack:
        pool = stack.enter_context(context.Pool(PROCESSES))
        for name in names:
            work = [(name, str(folder / f"together-{name}"), keys, values, seed) for seed in range(PROCESSES)]
            contestants[name] = lambda work=work: max(pool.map(_mixed, work, chunksize=1))
        samples = interleaved(contestants, rounds)
    for name, sample in samples.items():
        report.figure(f"{name}: get and set, {PROCESSES} processes", sample, "µs")
    if "diskcache" in samples:
        report.compare(
            f"get and set, {PROCESSES} processes: diskcache ÷ wilk",
            samples["diskcache"],
            samples["wilk"],
            at_least=1.5,
        )


def _mixed(work: tuple[str, str, list[str], list[bytes], int]) -> float:
    name, place, keys, values, seed = work
    start = seed * len(keys) // PROCESSES
    turns = [*range(start, len(keys)), *range(start)]
    if name == "wilk":
        now = time.time_ns() // 1000
        tier = _tier(Path(place + ".db"))
        try:
            return timed(
                lambda: [
                    (tier.set(keys[n], values[n], now=now, expires_at=now + HOUR), tier.get(keys[n], now))
                    for n in turns
                ],
                2 * len(turns),
            )
        finally:
            tier.close()
    from diskcache import Cache

    with Cache(place) as peer:
        return timed(
            lambda: [(peer.set(keys[n], values[n], expire=3600), peer.get(keys[n])) for n in turns],
            2 * len(turns),
        )


def _tier(file: Path) -> Disk:
    return Disk(file, wilk.CachePolicy(None, 100_000_000, 1_000_000), timeout=30.0)
