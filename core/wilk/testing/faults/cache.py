"""What a tier of caches must bear: kills, a full disk, a storm, clocks that jump, and odd text."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import pytest

from wilk.contracts import CachePolicy, CacheStorage, CacheTier
from wilk.errors import WilkError
from wilk.settings import Settings
from wilk.testing.faults.backend_texts import TEXTS
from wilk.testing.faults.kills import Killed, Opening
from wilk.testing.faults.plugins import found, reference, settings_of, told
from wilk.testing.faults.processes import Processes
from wilk.testing.faults.recording import Seen, fault
from wilk.testing.faults.steps import Rows, Step, Steps, drive

NOW = 1_800_000_000_000_000
HOUR = 3_600_000_000
YEAR = 365 * 24 * HOUR
POLICY = CachePolicy(None, 1_000_000, 200_000)
NAMES = ("plain", "Plain", "with/slash", "with.dot", "with%20", "ü", "two words", "CON")
_KEYS = tuple("abcdefgh")
_TURNS = 6


class CacheSteps(Steps):
    """What the storage of a cache is led through."""

    def make(self) -> Iterator[Step]:
        yield self._set("a", b"first", None)
        yield self._set("b", b"x" * 20_000, NOW + YEAR, tags=["tag"])
        yield self._set("a", b"second", None, tags=["tag"])
        yield self._set("c", b"\0\xff", NOW + HOUR)
        yield Step(
            "touch",
            lambda storage: storage.touch("c", now=NOW, expires_at=NOW + 2 * HOUR),
            lambda rows: rows.update({self._row("c"): (b"\0\xff", NOW, NOW + 2 * HOUR)}),
        )
        yield self._set("d", b"x" * 60_000, None)
        yield Step("delete", lambda storage: storage.delete(["a"]), lambda rows: rows.pop(self._row("a")))
        yield self._set("e", b"x" * 30_000, NOW - HOUR)
        yield Step(
            "clear a tag", lambda storage: storage.clear(tag="tag"), lambda rows: rows.pop(self._row("b"))
        )
        yield self._set("f", b"", None)
        yield Step("sweep", lambda storage: storage.sweep(NOW), lambda _: None)
        yield self._set("g", b"last", None)

    def observe(self, storage: CacheStorage) -> Iterable[tuple[str, Any]]:
        for key in _KEYS:
            entry = storage.get(key, NOW)
            if entry is not None:
                yield self._row(key), tuple(entry)

    def again(self, storage: CacheStorage) -> None:
        storage.set("again", b"1", now=NOW, expires_at=None)

    def _set(self, key: str, value: bytes, expires_at: int | None, tags: Iterable[str] = ()) -> Step:
        def change(rows: Rows) -> None:
            rows.pop(self._row(key), None)
            if expires_at is None or expires_at > NOW:
                rows[self._row(key)] = (value, NOW, expires_at)

        return Step(
            f"set {key}",
            lambda storage: storage.set(key, value, now=NOW, expires_at=expires_at, tags=list(tags)),
            change,
        )

    def _row(self, key: str) -> str:
        return f"entry {key!r} of {self.tag}"


@contextmanager
def _opened(tier: CacheTier, settings: Settings, folder: Path, namespace: str) -> Iterator[CacheStorage]:
    storage = tier.open(settings, folder, namespace, POLICY)
    assert storage is not None, "with a folder, a tier gives a storage"
    try:
        yield storage
    finally:
        storage.close()


def _of(job: Mapping[str, Any], namespace: str) -> Any:
    return _opened(found("register_caches", job), settings_of(job), Path(job["folder_of_caches"]), namespace)


def act(job: Mapping[str, Any], report: Any) -> None:
    """Lead a storage through the steps, as a process of its own."""
    drive(job, report, CacheSteps(job["tag"]), lambda: _of(job, job["tag"]))


def storm(job: Mapping[str, Any], report: Any) -> None:
    """Take part in a storm, as a process of its own."""
    with _of(job, job["tag"]) as storage:
        report("open")
        while not Path(job["go"]).exists():
            time.sleep(0.001)

        def work(thread: int) -> None:
            for number in range(_TURNS):
                id = f"{job['writer']}-{thread}-{number}"
                try:
                    if number % 3 < 2:
                        storage.set(id, id.encode(), now=NOW, expires_at=None)
                        report("done", id=id, counts=False)
                        continue
                    with storage.computing("number", 30.0) as mine:
                        if mine:
                            entry = storage.get("number", NOW)
                            value = int(entry[0]) + 1 if entry else 1
                            time.sleep(0.002)
                            storage.set("number", b"%d" % value, now=NOW, expires_at=None)
                    report("done" if mine else "busy", id=id, counts=True)
                except BaseException as error:
                    report("failed", id=id, counts=False, error=f"{type(error).__name__}: {error}")

        threads = [threading.Thread(target=work, args=(number,)) for number in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()


class CacheFaults(Killed):
    """Subclass it with a fixture ``tier``."""

    kind = "cache"
    faults = ("contract", "kill", "full disk", "lock storm", "clock jumps", "hostile text")
    act = "wilk.testing.faults.cache:act"
    kills = 20

    def offer(self, request: pytest.FixtureRequest) -> Any:
        return request.getfixturevalue("tier")

    def steps(self, tag: str) -> Steps:
        return CacheSteps(tag)

    @pytest.fixture
    def tier(self) -> CacheTier:
        raise NotImplementedError("give a wilk.CacheTier")

    @pytest.fixture
    def settings(self, tmp_path: Path) -> Settings:
        """What the tier is opened with."""
        url = f"sqlite:///{tmp_path}/home/wilk.db"
        return Settings(home=tmp_path / "home", url=url, disabled_plugins=("wilk-audit", "wilk-tokens"))

    @pytest.fixture
    def opened(
        self, tier: CacheTier, settings: Settings, tmp_path: Path
    ) -> Iterator[Callable[..., CacheStorage]]:
        """Opens storages of one namespace: ``opened(max_bytes=…)``; all see the same entries."""
        with ExitStack() as stack:

            def open_one(namespace: str = "suite", max_bytes: int = 1_000_000) -> CacheStorage:
                policy = CachePolicy(None, max_bytes, max_bytes // 5)
                storage = tier.open(settings, tmp_path / "cache", namespace, policy)
                assert storage is not None, "with a folder, a tier gives a storage"
                stack.callback(storage.close)
                return storage

            yield open_one

    @pytest.fixture
    def storage(self, opened: Callable[..., CacheStorage]) -> CacheStorage:
        return opened()

    @pytest.fixture
    def job(self, tier: CacheTier, settings: Settings, tmp_path: Path) -> Mapping[str, Any]:
        return {
            **reference("register_caches", tier, self.modules),
            "name": tier.name,
            "settings": told(settings),
            "folder_of_caches": str(tmp_path / "cache"),
        }

    @pytest.fixture
    def opening(self, tier: CacheTier, settings: Settings, tmp_path: Path) -> Opening:
        return lambda tag: _opened(tier, settings, tmp_path / "cache", tag)

    @fault("lock storm", slow=True)
    def test_a_storm_of_writers_loses_and_mixes_nothing(
        self, children: Processes, job: Mapping[str, Any], opening: Any, tag: str, tmp_path: Path, seen: Seen
    ) -> None:
        said = self.stormed(
            children, "wilk.testing.faults.cache:storm", {**job, "tag": tag}, tmp_path / "go", seen
        )
        counted = 0
        with opening(tag) as storage:
            for one in said:
                if one["said"] == "failed":
                    seen.found("unclear", one["error"], f"in the storm, writing {one['id']}")
                elif one["said"] == "done" and one["counts"]:
                    counted += 1
                elif one["said"] == "done":
                    entry = storage.get(one["id"], NOW)
                    if entry is None:
                        seen.found("lost", f"entry {one['id']!r} of {tag}", "in the storm")
                    elif entry[0] != one["id"].encode():
                        seen.found("changed", f"entry {one['id']!r} is {entry[0]!r}", "in the storm")
            entry = storage.get("number", NOW)
            number = int(entry[0]) if entry else 0
        if number != counted:
            during = "in the storm, where one at a time computes"
            seen.found("lost", f"{counted - number} of {counted} additions to {tag}", during)
        seen.check()

    @fault("clock jumps")
    def test_a_clock_that_jumps_gives_nothing_that_has_expired(
        self, opened: Callable[..., CacheStorage], tag: str, seen: Seen
    ) -> None:
        storage = opened(tag)
        storage.set("hour", b"1", now=NOW, expires_at=NOW + HOUR)
        storage.set("ever", b"2", now=NOW, expires_at=None)
        for name, now, wanted in (
            ("an hour back", NOW - HOUR, {"hour": b"1", "ever": b"2"}),
            ("a microsecond before", NOW + HOUR - 1, {"hour": b"1", "ever": b"2"}),
            ("at its moment", NOW + HOUR, {"ever": b"2"}),
            ("a year ahead", NOW + YEAR, {"ever": b"2"}),
        ):
            seen.tried()
            for key in ("hour", "ever"):
                entry = storage.get(key, now)
                if entry is None and key in wanted:
                    seen.found("lost", f"entry {key!r} of {tag}", f"with the clock {name}")
                if entry is not None and key not in wanted:
                    seen.found("stale", f"entry {key!r} of {tag}", f"with the clock {name}")
        storage.sweep(NOW + YEAR)
        storage.set("late", b"3", now=NOW - HOUR, expires_at=NOW)
        for key, there in (("hour", False), ("ever", True), ("late", True)):
            if (storage.get(key, NOW - 1) is not None) != there:
                seen.found(
                    "lost" if there else "stale", f"entry {key!r} of {tag}", "after the clock went back"
                )
        seen.check()

    @fault("hostile text")
    def test_odd_keys_and_namespaces_come_back_or_are_refused(
        self, opened: Callable[..., CacheStorage], tag: str, seen: Seen
    ) -> None:
        storage = opened(tag)
        held: dict[str, bytes] = {}
        for number, (kind, text) in enumerate(TEXTS.items()):
            for key in {text[:900], f"a {text[:900]}"}:
                seen.tried()
                try:
                    storage.set(key, b"%d" % number, now=NOW, expires_at=None, tags=[text[:900]])
                except (WilkError, UnicodeEncodeError):
                    continue  # keys are texts in UTF-8
                except Exception as error:
                    seen.found("unclear", f"{type(error).__name__}: {error}", f"set with a key of {kind}")
                held[key] = b"%d" % number
        for key, value in held.items():
            entry = storage.get(key, NOW)
            if entry is None:
                seen.found("lost", f"entry {ascii(key)[:60]}", "read by the key that it was written with")
            elif entry[0] != value:
                seen.found("changed", f"entry {ascii(key)[:60]}, which is another's", "read by its key")
        storages = {name: opened(f"{tag}-{name}") for name in NAMES}
        for name, one in storages.items():
            one.set("key", name.encode(), now=NOW, expires_at=None)
        for name, one in storages.items():
            entry = one.get("key", NOW)
            if entry is None or entry[0] != name.encode():
                wrong = "is lost" if entry is None else f"is that of {entry[0].decode()!r}"
                seen.found("changed", f"entry 'key' of the namespace {name!r}, which {wrong}", "read in it")
        seen.check()
