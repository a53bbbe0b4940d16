"""What an archive outside of the database must bear: kills, a full disk, a storm, and odd text."""

from __future__ import annotations

import json
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from wilk.contracts import Archive, ArchiveStorage
from wilk.errors import WilkError
from wilk.settings import Settings
from wilk.testing.faults.backend_texts import TEXTS
from wilk.testing.faults.kills import Killed, Opening
from wilk.testing.faults.plugins import found, reference, settings_of, told
from wilk.testing.faults.processes import Processes
from wilk.testing.faults.recording import Seen, fault
from wilk.testing.faults.steps import Rows, Step, Steps, drive

_TURNS = 10


def line(tag: str, number: int, text: str = "") -> tuple[int, bytes]:
    """An entry as wilk hands it over: a number, and one line of JSON."""
    data = {"entry": number, "data": {"tag": tag, "text": text or f"row {number} " * (number % 7 * 40)}}
    return number, json.dumps(data).encode()


class ArchiveSteps(Steps):
    """What an archive is led through: entries, and the last of them again."""

    clear = (WilkError, OSError)  # wilk keeps the rows, and logs what the archive raises

    def make(self) -> Iterator[Step]:
        first = 1
        for count in (1, 3, 12, 1, 20, 2):
            numbers = range(first, first + count)
            yield self._append(numbers, f"append {count}")
            yield self._append(numbers, f"append the same {count} again")
            first += count

    def observe(self, storage: ArchiveStorage) -> Iterable[tuple[str, Any]]:
        """Every entry once for each place that was given for it."""
        places: dict[int, list[str]] = {}
        for gave in self.gave.values():
            for number, place in gave:
                if place not in places.setdefault(number, []):
                    places[number].append(place)
        for number, each in sorted(places.items()):
            for place in each:
                try:
                    (kept,) = storage.read([place])
                except WilkError:
                    continue  # it is lost
                yield self._row(number), bytes(kept).decode(errors="replace")

    def again(self, storage: ArchiveStorage) -> None:
        with storage.exclusive():
            storage.append([line(self.tag, 1_000_000)])

    def _append(self, numbers: range, name: str) -> Step:
        entries = [line(self.tag, number) for number in numbers]

        def act(storage: ArchiveStorage) -> list[list[Any]]:
            kept: list[str] = []
            with storage.exclusive():
                while len(kept) < len(entries):
                    places = list(storage.append(entries[len(kept) :]))
                    if not places:
                        raise RuntimeError("it appended nothing, and raised nothing")
                    kept += places
            return [[number, place] for number, place in zip(numbers, kept, strict=True)]

        def change(rows: Rows) -> None:
            rows.update({self._row(number): text.decode() for number, text in entries})

        return Step(name, act, change)

    def _row(self, number: int) -> str:
        return f"entry {number} of {self.tag}"


@contextmanager
def _opened(archive: Archive, settings: Settings) -> Iterator[ArchiveStorage]:
    storage = archive.open(settings)
    assert storage is not None, "an archive that opens as None keeps nothing of its own"
    try:
        yield storage
    finally:
        storage.close()


def act(job: Mapping[str, Any], report: Any) -> None:
    """Lead an archive through the steps, as a process of its own."""
    archive = found("register_archives", job)
    drive(job, report, ArchiveSteps(job["tag"]), lambda: _opened(archive, settings_of(job)))


def storm(job: Mapping[str, Any], report: Any) -> None:
    """Take part in a storm, as a process of its own."""
    with _opened(found("register_archives", job), settings_of(job)) as storage:
        report("open")
        while not Path(job["go"]).exists():
            time.sleep(0.001)
        for number in range(_TURNS):
            entry = line(job["tag"], number, job["writer"])
            with storage.exclusive():
                places = list(storage.append([entry]))
            report("done", id=f"{job['writer']}-{number}", place=places[0], line=entry[1].decode())


class ArchiveFaults(Killed):
    """Subclass it with a fixture ``archive``."""

    kind = "archive"
    faults = ("contract", "kill", "full disk", "lock storm", "hostile text")
    act = "wilk.testing.faults.archive:act"
    kills = 12
    fillings = 6

    def offer(self, request: pytest.FixtureRequest) -> Any:
        return request.getfixturevalue("archive")

    def steps(self, tag: str) -> Steps:
        return ArchiveSteps(tag)

    @pytest.fixture
    def archive(self) -> Archive:
        raise NotImplementedError("give a wilk.Archive")

    @pytest.fixture
    def settings(self, tmp_path: Path) -> Settings:
        """What the archive is opened with."""
        url = f"sqlite:///{tmp_path}/home/wilk.db"
        return Settings(home=tmp_path / "home", url=url, disabled_plugins=("wilk-audit", "wilk-tokens"))

    @pytest.fixture
    def job(self, archive: Archive, settings: Settings) -> Mapping[str, Any]:
        offered = reference("register_archives", archive, self.modules)
        return {**offered, "name": archive.name, "settings": told(settings)}

    @pytest.fixture
    def opening(self, archive: Archive, settings: Settings) -> Opening:
        return lambda _: _opened(archive, settings)

    @fault("lock storm", slow=True)
    def test_a_storm_of_writers_loses_and_mixes_nothing(
        self,
        children: Processes,
        job: Mapping[str, Any],
        opening: Opening,
        tag: str,
        tmp_path: Path,
        seen: Seen,
    ) -> None:
        act, go = "wilk.testing.faults.archive:storm", tmp_path / "go"
        said = [one for one in self.stormed(children, act, {**job, "tag": tag}, go, seen) if "id" in one]
        places: dict[str, str] = {}
        with opening(tag) as storage:
            for one in said:
                row = f"entry {one['id']} of {tag}"
                if one["place"] in places:
                    seen.found("changed", f"{row}, at the place of {places[one['place']]}", "in the storm")
                places[one["place"]] = one["id"]
                try:
                    (kept,) = storage.read([one["place"]])
                except WilkError as error:
                    seen.found("lost", f"{row} ({error})", "in the storm")
                    continue
                if bytes(kept).decode() != one["line"]:
                    seen.found("changed", row, "in the storm")
        seen.check()

    @fault("hostile text")
    def test_odd_texts_come_back_as_they_were(self, opening: Opening, tag: str, seen: Seen) -> None:
        with opening(tag) as storage:
            for number, (kind, text) in enumerate(TEXTS.items(), 1):
                seen.tried()
                # As wilk writes them: one line, and whatever bytes JSON may have.
                data = json.dumps({"entry": number, "text": text}, ensure_ascii=not text.isprintable())
                entry = number, data.encode()
                with storage.exclusive():
                    (place,) = storage.append([entry])
                (kept,) = storage.read([place])
                if bytes(kept) != entry[1]:
                    seen.found("changed", f"entry {number} of {tag}", f"with text of {kind}")
        seen.check()
