"""Files backend: a folder of readable JSON files is the truth, with an SQLite index over it.

``files:///path`` or ``files:////absolute/path``, with the options ``pretty=1`` (indented files; 0 for a
row to a line), ``backups=5`` (earlier versions to keep of each document, state and reasoning file; 0 for
none), and SQLite's ``timeout``, ``journal_mode`` and ``readonly``. Connectome's names for them are
``base_dir`` (the path), ``pretty_print_json`` (pretty), ``create_backups`` (false: ``backups=0``) and
``max_backup_files`` (backups).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from wilk.contracts import Backend, Opened
from wilk.hookspecs import hookimpl

if TYPE_CHECKING:
    from wilk.settings import Settings


@hookimpl
def register_backends() -> Iterator[Backend]:
    yield Backend(
        scheme="files",
        open=open_files,
        capabilities=frozenset({"persistent", "processes", "readonly", "full-text", "backup"}),
        summary="a folder of JSON files that people can read and edit (files:///path), with an index over it",
    )


def open_files(url: str, settings: Settings) -> Opened:
    """Open ``files:///relative/folder`` or ``files:////absolute/folder``; make it if it is not there."""
    from wilk.backends.files.opening import opened

    return opened(url, settings)
