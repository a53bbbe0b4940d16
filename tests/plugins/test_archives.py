"""Archives and what hangs on them, by plugins: rows kept elsewhere, and what is told of their coming and going."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import pytest

import wilk


class Shelf:
    """An archive of a plugin: keeps lines in memory."""

    def __init__(self) -> None:
        self.kept: list[bytes] = []
        self.lock = threading.Lock()
        self.closed = False

    @contextmanager
    def exclusive(self) -> Iterator[None]:
        with self.lock:
            yield

    def append(self, entries: Any) -> list[str]:
        for _, line in entries:
            if line not in self.kept:
                self.kept.append(line)
        return [str(self.kept.index(line)) for _, line in entries]

    def read(self, places: Any) -> list[bytes]:
        return [self.kept[int(place)] for place in places]

    def close(self) -> None:
        self.closed = True


def test_a_plugin_may_keep_them_elsewhere(
    plugged: Callable[..., wilk.Store], monkeypatch: pytest.MonkeyPatch
) -> None:
    shelf = Shelf()

    class Plugin:
        @wilk.hookimpl
        def register_archives(self) -> Any:
            yield wilk.Archive("shelf", lambda settings: shelf)

    monkeypatch.setenv("WILK_ARCHIVE", "shelf")
    store = plugged(Plugin())
    store.users.save("ann", name="Ann")
    store.users.remove("ann")
    store.settle()
    assert shelf.kept[0].startswith(b'{"entry":1,"kind":"user"')
    assert store._engine.execute("SELECT data, place FROM archive") == [(None, "shelf:0")]
    assert store.archive.get(1).data["name"] == "Ann"
    assert store.archive.restore(1) == {"user": 1}
    store.close()
    assert shelf.closed


class Broken(Shelf):
    """An archive that is told to fail."""

    def append(self, entries: Any) -> list[str]:
        if self.closed:
            raise OSError("the shelf fell down")
        return [*super().append(entries), *(["too many"] if len(self.kept) > 1 else [])]


@pytest.mark.parametrize(("closed", "says"), [(True, "fell down"), (False, "3 places for 2 rows")])
def test_one_that_fails_loses_nothing(
    plugged: Callable[..., wilk.Store],
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    closed: bool,
    says: str,
) -> None:
    shelf = Broken()
    shelf.closed = closed

    class Plugin:
        @wilk.hookimpl
        def register_archives(self) -> Any:
            yield wilk.Archive("shelf", lambda settings: shelf)

    monkeypatch.setenv("WILK_ARCHIVE", "shelf")
    store = plugged(Plugin())
    with store.transaction():
        for name in ("ann", "bob"):
            store.users.save(name, name=name)
            store.users.remove(name)
    store.settle()
    assert says in caplog.text
    assert [entry.data["name"] for entry in store.archive.list()] == ["bob", "ann"]
    assert store.archive.restore([1, 2]) == {"user": 2}


class Witness:
    """Remembers what is told of the archive."""

    def __init__(self) -> None:
        self.went: list[tuple[str, str, dict[str, int], list[str]]] = []
        self.came: list[tuple[list[str], dict[str, int]]] = []

    @wilk.hookimpl
    def after_archive(
        self, store: wilk.Store, kind: str, reason: str, counts: Mapping[str, int], batch: str
    ) -> None:
        rows = [entry.kind for entry in store.archive.list(batch=batch)]
        self.went.append((kind, reason, dict(counts), rows))

    @wilk.hookimpl
    def after_restore(self, store: wilk.Store, entries: Sequence[int], counts: Mapping[str, int]) -> None:
        self.came.append(([store.archive.get(entry).kind for entry in entries], dict(counts)))


@pytest.fixture
def witness() -> Witness:
    return Witness()


def test_what_left_is_told_once_with_all_that_went_along(
    plugged: Callable[..., wilk.Store], witness: Witness
) -> None:
    store = plugged(witness)
    session = store.sessions.create().id
    store.messages.extend(session, [{"role": "user"}] * 2)
    store.sessions.remove(session, reason="tidied")
    assert witness.went == [
        ("session", "tidied", {"message": 2, "session": 1}, ["session", "message", "message"])
    ]


def test_what_came_back_is_told(plugged: Callable[..., wilk.Store], witness: Witness) -> None:
    store = plugged(witness)
    session = store.sessions.create().id
    store.messages.append(session, "user")
    store.sessions.remove(session)
    with store.transaction():
        store.archive.restore(session=session)
        assert witness.came == []
    assert witness.came == [(["session", "message"], {"session": 1, "message": 1})]


def test_nothing_is_told_of_what_was_rolled_back(
    plugged: Callable[..., wilk.Store], witness: Witness
) -> None:
    store = plugged(witness)
    store.users.save("ann", name="Ann")
    with pytest.raises(ZeroDivisionError), store.transaction():
        store.users.remove("ann")
        store.archive.restore(1)
        1 / 0  # noqa: B018
    assert (witness.went, witness.came) == ([], [])
