"""The open indexes of a store: each follows the rows of its space, and only proposes what they hold."""

from __future__ import annotations

import logging
import os
import threading
from collections.abc import Callable
from contextlib import nullcontext
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from wilk import models
from wilk.engine import Engine
from wilk.errors import WilkError
from wilk.services.vectors.guarded import Guarded
from wilk.services.vectors.rows import Rows
from wilk.services.vectors.spaces import Space

if TYPE_CHECKING:
    from wilk.services.vectors.choosing import Chosen
    from wilk.settings import Settings
    from wilk.worker import Worker

logger = logging.getLogger("wilk.vectors")

_TAKEN_AT_ONCE = 4096
_SAVED_AFTER = 10_000


class Opened:
    """An open index of one space, and how far it has come."""

    def __init__(self, rows: Rows, nearest: Guarded) -> None:
        self.rows = rows
        self.nearest = nearest
        self.work = nearest.work
        self.lock = threading.Lock()
        self.seen = nearest.last
        self.unsaved = 0
        self.closed = False


class Indexes:
    """The indexes that were asked for, by space."""

    def __init__(
        self,
        engine: Engine,
        settings: Settings,
        find: Callable[[int], Chosen],
        folder: Path | None,
        worker: Worker,
    ) -> None:
        self._engine = engine
        self._settings = settings
        self._find = find
        self._folder = folder
        self._worker = worker
        self._told: set[str] = set()
        self._begin()

    def _begin(self) -> None:
        self._process = os.getpid()
        self._lock = threading.Lock()
        self._opened: dict[int, Opened] = {}

    def chosen(self, dimension: int) -> Chosen:
        """The index that finds vectors of a dimension, and why it is not another."""
        return self._find(dimension)

    def rows(self, space: Space) -> Rows:
        """The rows of a space."""
        return Rows(self._engine, space, self._folder)

    def following(self, space: Space) -> Opened:
        """The index of a space, which has taken in all that is committed.

        Within a transaction it stays as it is: what is not committed may never be.
        """
        opened = self._open(space)
        if opened.seen < space.last_number and not self._engine.in_transaction:
            with self._engine.turn(), opened.lock:
                self._catch_up(opened, space)
        return opened

    def build(self, space: Space) -> None:
        """Bring the index of a space up to date, and do all that it puts off."""
        opened = self.following(space)
        while opened.work is not None and not opened.closed and opened.work():
            opened.unsaved += 1
        self._save(opened)

    def forget(self, opened: Opened, numbers: list[int]) -> None:
        """Tell an index of vectors whose rows are gone for good."""
        import numpy as np

        with opened.lock:
            opened.nearest.remove(np.array(numbers, np.int64))
            self._changed(opened, len(numbers))

    def review(self, opened: Opened, last: int) -> None:
        """Look once more for rows that an index asked for and did not get, and forget those that are gone.

        ``last`` is the last number that the calling thread sees.
        """
        missed, opened.rows.missed = opened.rows.missed, set()
        there = {row.number for row in opened.rows.whole(sorted(missed))}
        if gone := [number for number in missed if number not in there and number <= last]:
            self.forget(opened, gone)

    def drop(self, space: Space) -> None:
        """Close the index of a space that is no more, and remove its files."""
        with self._lock:
            opened = self._opened.pop(space.id, None)
        if opened is not None:
            with opened.lock:
                opened.closed = True
                _let_go(opened)
        if (folder := self.rows(space).folder) is not None:
            _discard(folder)

    def close(self) -> None:
        """Save what changed, and let go of all indexes."""
        if self._process != os.getpid():
            return
        with self._lock:
            everything, self._opened = list(self._opened.values()), {}
        for opened in everything:
            self._save(opened)
            _let_go(opened)
        if everything and self._folder is not None and not self._engine.readonly:
            self._sweep(self._folder / "indexes")

    def _sweep(self, folder: Path) -> None:
        """Remove the files of spaces that are retired or dropped."""
        if folder.is_dir():
            for (token,) in self._engine.fetch("vector_spaces.closed", _closed):
                if (folder / token).is_dir():
                    _discard(folder / token)

    def _open(self, space: Space) -> Opened:
        if self._process != os.getpid():
            self._begin()  # in a forked child, where another thread's locks are held for ever
        found = self._opened.get(space.id)
        if found is not None and found.rows.token != space.token:
            self._set_back(found, space)
            found = None
        if found is None:
            with self._engine.turn(), self._lock:
                found = self._opened.get(space.id)
                if found is None:
                    found = self._opened[space.id] = self._opening(space)
                    if found.work is not None:  # an earlier process may have left some of it
                        self._worker.submit(f"index {found.rows.token}", partial(self._work, found))
        return found

    def _set_back(self, opened: Opened, space: Space) -> None:
        """Let go of an index whose rows are gone: the database was restored from a backup, and gives its
        numbers again."""
        with self._lock:
            if self._opened.get(space.id) is opened:
                del self._opened[space.id]
        with opened.lock:
            opened.closed = True
            _let_go(opened)

    def _opening(self, space: Space) -> Opened:
        rows = self.rows(space)
        index, instead_of = self._find(space.dimension)
        if instead_of is not None and instead_of not in self._told:
            self._told.add(instead_of)
            logger.warning("the nearest vectors are found by the index %r: %s", index.name, instead_of)
        nearest = Guarded(index, rows, self._settings)
        if rows.folder is not None and nearest.last and _ahead(rows, nearest):
            # The database was put back to an earlier state, and gives numbers again.
            nearest.close()
            if self._engine.readonly:
                rows.folder = None
            else:
                _discard(rows.folder)
            nearest = Guarded(index, rows, self._settings)
        return Opened(rows, nearest)

    def _catch_up(self, opened: Opened, space: Space) -> None:
        nearest = opened.nearest
        opened.seen = max(opened.seen, nearest.last)  # another process may have been first, in a shared one
        while opened.seen < space.last_number:
            numbers, vectors = opened.rows.after(opened.seen, _TAKEN_AT_ONCE)
            if len(numbers):
                nearest.add(numbers, vectors)
                opened.seen = int(numbers[-1])
                self._changed(opened, len(numbers))
            if len(numbers) < _TAKEN_AT_ONCE:
                opened.seen = max(opened.seen, space.last_number)

    def _changed(self, opened: Opened, count: int) -> None:
        opened.unsaved += count
        if opened.work is not None:
            self._worker.submit(f"index {opened.rows.token}", lambda: self._work(opened))
        elif self._saves(opened) and opened.unsaved >= max(_SAVED_AFTER, len(opened.nearest) // 8):
            self._worker.submit(f"index {opened.rows.token}", lambda: self._save(opened))

    def _work(self, opened: Opened) -> None:
        """Have an index do a piece of what it put off, and the next one when others had their turn."""
        if opened.work is None or opened.closed:
            return
        more = opened.work()
        opened.unsaved += 1
        self._save(opened)
        if more:
            self._worker.submit(f"index {opened.rows.token}", lambda: self._work(opened))

    def _saves(self, opened: Opened) -> bool:
        return opened.rows.folder is not None and not self._engine.readonly

    def _save(self, opened: Opened) -> None:
        """Write an index to its files; what cannot be written is made again from the rows."""
        if not opened.unsaved or not self._saves(opened):
            return
        with opened.lock if opened.work is None else nullcontext():
            try:
                opened.nearest.save()
                opened.unsaved = 0
            except WilkError as error:
                logger.warning("the index of %r cannot be saved: %s", opened.rows.collection, error)


def _let_go(opened: Opened) -> None:
    try:
        opened.nearest.close()
    except WilkError as error:
        logger.warning("the index of %r cannot be closed: %s", opened.rows.collection, error)


def _ahead(rows: Rows, nearest: Guarded) -> bool:
    """Whether files hold numbers that were not given yet, or lack some of those up to their last one."""
    there = rows.count()
    return nearest.last > rows.last() or there - rows.count(after=nearest.last) > len(nearest)


def _closed() -> Any:
    from peewee import SQL  # with Peewee; see wilk.models

    one = models.VectorSpace
    return one.select(one.token).where(one.state.in_(SQL("('retired', 'dropped')")))


def _discard(folder: Path) -> None:
    import shutil

    shutil.rmtree(folder, ignore_errors=True)
