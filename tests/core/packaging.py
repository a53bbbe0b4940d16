"""Makes agents, packages of them, and sources that offer them."""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Mapping
from hashlib import sha256
from pathlib import Path
from typing import Any

AGENT = """\
# Looks at what others wrote.
name: Reviewer
version: {version}
category: development
description: reads diffs
model:
  provider: openai
  name: gpt-4
  parameters:
    temperature: 0.1
tools: [diff]
"""

FILES = {"tools/diff.py": "def run(text):\n    return text\n", "README.md": "# Reviewer\n"}


def agent(version: str = "1.0.0") -> str:
    return AGENT.format(version=version)


def zipped(files: Mapping[str, str | bytes]) -> bytes:
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w", zipfile.ZIP_DEFLATED) as archive:
        for path, content in files.items():
            archive.writestr(path, content)
    return made.getvalue()


def package(version: str = "1.0.0", files: Mapping[str, str] = FILES, definition: str | None = None) -> bytes:
    return zipped({"agent.yaml": agent(version) if definition is None else definition, **files})


class Shelf:
    """A folder with packages and an index of them, as somebody would serve it."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.entries: list[dict[str, Any]] = []
        root.mkdir(parents=True, exist_ok=True)

    def put(self, data: bytes, name: str = "reviewer", version: str = "1.0.0", **more: Any) -> dict[str, Any]:
        """Offer a package, or other content under the same name and version."""
        location = f"{name}-{version}.zip"
        (self.root / location).write_bytes(data)
        entry = {
            "name": name, "version": version, "location": location, "checksum": sha256(data).hexdigest(),
            "size": len(data), **more,
        }  # fmt: skip
        self.entries = [e for e in self.entries if (e["name"], e["version"]) != (name, version)] + [entry]
        self.write()
        return entry

    def write(self) -> None:
        (self.root / "index.json").write_text(json.dumps({"packages": self.entries}))


def settings(home: Path, **registries: str | Path) -> None:
    """Name the sources in a home folder's settings."""
    home.mkdir(exist_ok=True)
    (home / "config.yaml").write_text(json.dumps({"registries": {k: str(v) for k, v in registries.items()}}))


def files_of(folder: Path) -> dict[str, str]:
    """What lies in a folder: path → text."""
    return {
        file.relative_to(folder).as_posix(): file.read_text()
        for file in sorted(folder.rglob("*"))
        if file.is_file()
    }
