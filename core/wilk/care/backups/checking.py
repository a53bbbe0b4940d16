"""Tells whether a backup is whole: at a glance, or by reading every byte of it and opening the copy."""

from __future__ import annotations

import sqlite3
from pathlib import Path
from typing import NamedTuple

from wilk.care.backups import copies, manifest
from wilk.care.backups.manifest import DATABASE, Manifest, Part
from wilk.errors import Invalid

ASTRAY = "as it is in the store: "
"""What a note of a backup begins with that tells of rows whose references lead nowhere."""


class Checked(NamedTuple):
    """What is known of a backup, and what is wrong with it."""

    manifest: Manifest | None
    problems: list[str]


def look(folder: Path) -> Checked:
    """Look at a backup: its manifest, and size and time of each file. One that was touched since it was
    written is read."""
    try:
        found = manifest.read(folder)
    except Invalid as error:
        return Checked(None, [str(error)])
    problems = [told for part in found.files if (told := _looked_at(folder, part)) is not None]
    if not any(part.path == DATABASE for part in found.files):
        problems.append(f"{DATABASE} is not in the manifest")
    return Checked(found, problems)


def verify(folder: Path) -> Checked:
    """Read every file of a backup, and try it: the copy is opened, and its rows are counted and hashed."""
    try:
        found = manifest.read(folder)
    except Invalid as error:
        return Checked(None, [str(error), *_without_manifest(folder)])
    problems = [told for part in found.files if (told := _read(folder, part)) is not None]
    file = folder / DATABASE
    # What SQLite would take for a part of the copy; any other file that somebody puts there does no harm.
    problems += [
        f"{path}: does not belong there" for path in manifest.below(folder) if path.startswith(f"{DATABASE}-")
    ]
    if not any(part.path == DATABASE for part in found.files):
        problems.append(f"{DATABASE} is not in the manifest")
    elif file.is_file():
        unsound = copies.problems(file)
        problems += unsound
        if not unsound:
            try:
                problems += copies.differences(copies.counted(file), dict(found.tables))
                known = {note.removeprefix(ASTRAY) for note in found.notes if note.startswith(ASTRAY)}
                problems += [told for told in copies.astray(file) if told not in known]
            except sqlite3.Error as error:
                problems.append(f"{DATABASE}: {error}")
    return Checked(found, problems)


def verify_plain(file: Path) -> list[str]:
    """What is wrong with a copy without a manifest, as earlier versions made them before a migration."""
    if not copies.looks_sound(file):
        return [f"{file.name}: it is no SQLite database, or a part of one is missing"]
    return copies.problems(file)


def _looked_at(folder: Path, part: Part) -> str | None:
    try:
        found = (folder / part.path).stat()
    except OSError as error:
        return (
            f"{part.path}: is missing"
            if isinstance(error, FileNotFoundError)
            else f"{part.path}: {error.strerror}"
        )
    if found.st_size != part.bytes:
        return f"{part.path}: is {found.st_size:,} bytes, not {part.bytes:,}"
    return None if found.st_mtime_ns == part.changed else _read(folder, part)


def _read(folder: Path, part: Part) -> str | None:
    file = folder / part.path
    try:
        if (size := file.stat().st_size) != part.bytes:
            return f"{part.path}: is {size:,} bytes, not {part.bytes:,}"
        if manifest.hashed(file) != part.sha256:
            return f"{part.path}: was changed since it was written"
    except FileNotFoundError:
        return f"{part.path}: is missing"
    except OSError as error:
        return f"{part.path}: cannot be read: {error.strerror}"
    return None


def _without_manifest(folder: Path) -> list[str]:
    file = folder / DATABASE
    return copies.problems(file) if file.is_file() else [f"{DATABASE}: is missing"]
