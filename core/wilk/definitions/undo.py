"""Changes files in a way that can be taken back."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

from wilk.definitions import writer
from wilk.definitions.places import Place
from wilk.errors import Invalid


class Undo:
    """Files of one kind as they were; a block that fails gets them back. Blocks may be nested."""

    def __init__(self, place: Place) -> None:
        self._place = place
        self._before: list[tuple[Path, bytes | None]] = []

    def __enter__(self) -> Undo:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if kind is not None:
            self._put_back()

    def write(self, file: Path, data: bytes) -> None:
        """Write a file; raises Invalid."""
        self._before.append((file, _held(file)))
        writer.write(file, data)

    def remove(self, file: Path) -> None:
        """Remove a file, and its folder when nothing else lies in it; raises Invalid."""
        self._before.append((file, _held(file)))
        writer.remove(file, self._place)

    def forget(self) -> None:
        """Keep what was changed, whatever fails from now on."""
        self._before.clear()

    def _put_back(self) -> None:
        while self._before:
            file, data = self._before.pop()
            # What made the block fail may do so here too; the files before this one still count.
            with suppress(Invalid):
                if data is None:
                    writer.remove(file, self._place)
                elif _held(file) != data:
                    writer.write(file, data)


def _held(file: Path) -> bytes | None:
    try:
        return file.read_bytes()
    except FileNotFoundError:
        return None
    except OSError as error:
        raise Invalid(f"{file} cannot be read: {error.strerror}") from error
