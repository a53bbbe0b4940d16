"""What every archive outside of the database must do: the contract behind ``register_archives``.

::

    class TestMine(ArchiveSuite):
        @pytest.fixture
        def archive(self):
            return Archive("mine", open_mine)

``archive.open`` must give the same archive each time: what one storage keeps, the next one reads.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from typing import Any

import pytest

from wilk.contracts import Archive, ArchiveStorage
from wilk.errors import BackendError, NotFound
from wilk.hookspecs import hookimpl
from wilk.host import Host
from wilk.settings import Settings
from wilk.store import Store, open_store
from wilk.testing.faults.archive import ArchiveFaults


def entries(*numbers: int, text: str = "x") -> list[tuple[int, bytes]]:
    """Entries as wilk hands them over: a number, and one line of JSON."""
    return [(number, json.dumps({"entry": number, "data": {"text": text}}).encode()) for number in numbers]


class ArchiveSuite(ArchiveFaults):
    """Subclass it with a fixture ``archive``."""

    @pytest.fixture
    def storage(self, archive: Archive, settings: Settings) -> Iterator[ArchiveStorage]:
        storage = archive.open(settings)
        assert storage is not None, "an archive that opens as None keeps nothing of its own"
        yield storage
        storage.close()

    @pytest.fixture
    def store(self, archive: Archive, settings: Settings) -> Iterator[Store]:
        """A store that uses the archive."""
        from dataclasses import replace

        class Plugin:
            @hookimpl
            def register_archives(self) -> Iterator[Archive]:
                yield archive

        chosen = replace(settings, archive=archive.name, choose={f"archives.{archive.name}": "mine"})
        host = Host(disabled=settings.disabled_plugins, prefer=chosen.choose)
        host.register(Plugin(), "mine")
        with open_store(settings=chosen, host=host) as store:
            yield store

    def test_what_is_appended_is_read_in_any_order(self, storage: ArchiveStorage) -> None:
        given = entries(1, 2, 3, text="NUL \0 ü \U0001f43a")
        places = storage.append(given)
        assert len(places) == 3
        assert list(storage.read(list(reversed(places)))) == [line for _, line in reversed(given)]
        assert list(storage.read([])) == []

    def test_what_is_appended_outlives_its_storage(
        self, storage: ArchiveStorage, archive: Archive, settings: Settings
    ) -> None:
        places = storage.append(entries(1, 2))
        storage.close()
        another: Any = archive.open(settings)
        assert list(another.read(places)) == [line for _, line in entries(1, 2)]
        another.close()

    def test_the_last_entries_again_keep_their_places(
        self, storage: ArchiveStorage, archive: Archive, settings: Settings
    ) -> None:
        places = storage.append(entries(1, 2))
        assert list(storage.append(entries(1, 2))) == list(places)
        another: Any = archive.open(settings)
        assert list(another.append(entries(1, 2, 3)))[:2] == list(places)
        another.close()

    def test_a_number_again_with_another_row_is_another_entry(self, storage: ArchiveStorage) -> None:
        (first,), (second,) = storage.append(entries(1, text="a")), storage.append(entries(1, text="b"))
        assert list(storage.read([first, second])) == [entries(1, text=text)[0][1] for text in "ab"]

    def test_a_place_that_there_is_not_is_an_error(self, storage: ArchiveStorage) -> None:
        storage.append(entries(1))
        with pytest.raises((BackendError, NotFound)):
            storage.read(["no such place"])

    def test_one_at_a_time_has_it_to_itself(self, storage: ArchiveStorage) -> None:
        inside, most = 0, 0

        def turn() -> None:
            nonlocal inside, most
            for _ in range(10):
                with storage.exclusive():
                    inside += 1
                    most = max(most, inside)
                    inside -= 1

        threads = [threading.Thread(target=turn) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert most == 1

    def test_a_store_keeps_its_rows_there(self, store: Store) -> None:
        session = store.sessions.create(id="s", metadata={"$wilk": 1}).id
        store.messages.extend(session, [{"role": "user", "text": f"NUL \0 {n}"} for n in range(600)])
        store.sessions.remove(session)
        kept = store.archive.list(limit=1000)
        store.settle()
        assert store.archive.flush() == 0, "the rows were handed over behind the removal"
        assert store.archive.list(limit=1000) == kept
        assert store.archive.restore(session=session) == {"session": 1, "message": 600}
        assert store.messages.page(session, limit=1000)[-1].text == "NUL \0 599"
