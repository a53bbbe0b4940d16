"""Home folders that are copied together with their databases, wherever those lie."""

from __future__ import annotations

import re
import shutil
from contextlib import ExitStack
from pathlib import Path
from typing import Self

from tests.servers.postgres import PostgresServer


class Places:
    """Home folders, each with a database of its own.

    A database that does not lie in its folder as ``wilk.db`` is named by the folder's ``config.yaml``.
    """

    def __init__(self, backend: str, server: PostgresServer | None) -> None:
        self._backend = backend
        self._server = server
        self._open = ExitStack()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *failure: object) -> None:
        self._open.close()

    def make(self, home: Path, settings: str = "") -> None:
        """A new home folder."""
        home.mkdir(parents=True, exist_ok=True)
        with (home / "config.yaml").open("a") as config:
            config.write(settings)
            config.write(self._url(home, "migrated"))

    def copy(self, home: Path, to: Path) -> None:
        """Copy a home folder that no store has open, and its database."""
        shutil.copytree(home, to)
        config = to / "config.yaml"
        text = config.read_text() if config.exists() else ""
        found = re.search(r"^url: .*/(\w+)\n", text, re.MULTILINE)
        if found:
            config.write_text(text.replace(found[0], self._url(to, found[1])))

    def _url(self, home: Path, template: str) -> str:
        if self._server is not None:
            return f"url: {self._open.enter_context(self._server.database(template))}\n"
        return f"url: files:///{home}/data\n" if self._backend == "files" else ""
