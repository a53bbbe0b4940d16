"""Earlier versions of files, and copies of the whole tree: by time, and not more than are wanted."""

from __future__ import annotations

import os
import re
import shutil
import zipfile
from contextlib import suppress
from datetime import UTC, datetime
from itertools import count
from pathlib import Path

from wilk.backends.files.tree import BACKUPS, INDEX, JOURNAL, Tree
from wilk.files import private_folder

_STAMP = r"\.\d{8}T\d{6}\.\d{6}Z(?:-\d+)?"


def keep_version(tree: Tree, path: str) -> None:
    """Keep a file as it is now under ``backups``, before another one takes its place.

    A link costs nothing, and what is renamed over the file leaves it alone. The oldest go, so that
    ``backups`` of them stay.
    """
    most, source = tree.options.backups, tree.path(path)
    if not most or not source.is_file():
        return
    target = tree.base / BACKUPS / path
    private_folder(target.parent)
    copy = _free(target)
    try:
        os.link(source, copy)
    except OSError:
        shutil.copy2(source, copy)
    for old in versions(tree, path)[:-most]:
        with suppress(FileNotFoundError):
            old.unlink()


def versions(tree: Tree, path: str) -> list[Path]:
    """The kept versions of a file, the oldest first."""
    target = tree.base / BACKUPS / path
    mine = re.compile(re.escape(target.stem) + _STAMP + re.escape(target.suffix))
    if not target.parent.is_dir():
        return []
    return sorted(file for file in target.parent.iterdir() if mine.fullmatch(file.name))


def keep_copy(tree: Tree, path: str) -> Path:
    """Put a person's file aside, beside where it is, and return where: what is there next is wilk's."""
    source = tree.path(path)
    copy = _free(source.with_name(f"{source.name}.edited"))
    shutil.copy2(source, copy)
    return copy


def copy_tree(tree: Tree, label: str) -> Path:
    """Copy all files of the tree into one archive, check it, and return its path. Under the tree's lock."""
    target = _free(private_folder(tree.base / BACKUPS) / f"tree-{label}.zip")
    temporary = target.with_suffix(".part")
    with zipfile.ZipFile(temporary, "x", zipfile.ZIP_DEFLATED) as copy:
        for file in sorted(tree.base.rglob("*.json")):
            name = file.relative_to(tree.base)
            if name.parts[0] not in (INDEX, JOURNAL, BACKUPS) and file.is_file():
                copy.write(file, name.as_posix())
    temporary.chmod(0o600)
    with zipfile.ZipFile(temporary) as copy:
        if damaged := copy.testzip():
            raise OSError(f"{temporary}: {damaged} was not written well")
    temporary.replace(target)
    return target


def _free(target: Path) -> Path:
    """A name with the time in it that no file has."""
    stamp = datetime.now(UTC).strftime("%Y%m%dT%H%M%S.%fZ")
    for number in count():
        more = f"-{number}" if number else ""
        file = target.with_name(f"{target.stem}.{stamp}{more}{target.suffix}")
        if not file.exists():
            return file
    raise AssertionError("unreachable")
