"""What an archive hands over: a place for archived rows outside of the database."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from wilk.settings import Settings


class ArchiveStorage(Protocol):
    """Keeps archived rows outside of the database. Several processes may use one at once.

    A storage may have one more method, by which rows of a person are forgotten:
    ``forget(gone, moved) -> int`` removes for good every line that ``gone(line)`` is true of, and returns how
    many. Where others lie at another place then, it calls ``moved`` with the new place by the old one, once
    they are there for good and before they leave the old one. It is called within ``exclusive()``. Without it
    what lies there cannot be forgotten, and a certificate says so.

    One that keeps rows in files of a folder, which only grow otherwise, may have the folder's path as
    ``folder``: backups take the files along, and put back what is missing of them.
    """

    def exclusive(self) -> AbstractContextManager[None]:
        """Keep other threads and processes from appending while the block runs; raises Busy.

        Rows are looked up, appended and noted in the table within one such block.
        """

    def append(self, entries: Sequence[tuple[int, bytes]]) -> Sequence[str]:
        """Keep each entry, a number and one line of JSON, for good, and return where each lies.

        It must outlive a power cut when this returns. After a crash, or an error, the entries that
        were appended last may come again: those that lie there already, byte for byte, keep
        their place. A number alone says nothing: a database that was set back gives it anew.
        There may be fewer places than entries, those of the first ones; the others come again then.
        """

    def read(self, places: Sequence[str]) -> Sequence[bytes]:
        """Return what lies in the places; raises BackendError for what is missing or damaged."""

    def close(self) -> None:
        """Let go of files and connections."""


@dataclass(frozen=True, eq=False)
class Archive:
    """A place in which archived rows are kept, offered by ``register_archives`` and chosen by the
    setting ``archive``.

    ``open(settings)`` gives an :class:`ArchiveStorage`, or None to leave rows in the table
    ``archive``. A row goes into that table in the transaction that deletes it, whatever the archive;
    it is handed over once that is committed, so that a crash in between loses nothing. Entries keep
    the name of their archive: it is opened to read them when the setting names another by then.
    """

    name: str
    open: Callable[[Settings], ArchiveStorage | None]
    summary: str = ""
