"""Installs distributions as an installer leaves them: modules, and a folder of metadata beside them."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
import textwrap
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

import pytest

import wilk

BACKEND = """
from wilk import Backend, hookimpl

def opens(url, settings):
    from dataclasses import replace
    from wilk.backends.sqlite import open_sqlite
    return open_sqlite("sqlite:///:memory:", settings)

@hookimpl
def register_backends():
    yield Backend("{scheme}", opens, summary="a test's")
"""

LISTENER = """
from wilk import hookimpl

@hookimpl
def {hook}():
    heard.append(1)

heard = []
"""


class Site:
    """A folder on the search path, with distributions in it.

    What the tests' own environment has installed is left alone, except for wilk itself.
    """

    def __init__(self, folder: Path, apart: Path) -> None:
        self.folder = folder
        self.folder.mkdir()
        self._apart = apart
        others()  # before this folder is on the search path

    def add(
        self,
        name: str,
        source: str | Mapping[str, str] = "",
        *,
        value: str | None = None,
        version: str = "1.0",
    ) -> str:
        """Install ``wilk-<name>`` with the entry point ``<name>``; return the name of its module.

        ``source`` is the module's text, or the files of a package by their names.
        """
        module = f"wilk_{name}"
        files = (
            {f"{module}.py": source}
            if isinstance(source, str)
            else {f"{module}/{file}": text for file, text in source.items()}
        )
        metadata = f"{module}-{version}.dist-info"
        files |= {
            f"{metadata}/METADATA": f"Metadata-Version: 2.1\nName: wilk-{name}\nVersion: {version}\n",
            f"{metadata}/entry_points.txt": f"[wilk]\n{name} = {value or module}\n",
        }
        record = "".join(f"{file},,\n" for file in [*files, f"{metadata}/RECORD"])
        for file, text in {**files, f"{metadata}/RECORD": record}.items():
            path = self.folder / file
            path.parent.mkdir(exist_ok=True)
            path.write_text(textwrap.dedent(text), encoding="utf-8")
        return module

    def remove(self, name: str) -> None:
        """Uninstall ``wilk-<name>``."""
        for path in self.folder.glob(f"wilk_{name}*"):
            shutil.rmtree(path) if path.is_dir() else path.unlink()

    def host(self, **options: Any) -> wilk.Host:
        """A host in this process that finds what is here; put ``folder`` on ``sys.path`` first."""
        return wilk.Host(disabled=[*others(), *options.pop("disabled", ())], **options)

    def python(self, code: str, **environment: str) -> Any:
        """Run code in a new process, and return the object that it passes to ``tell``."""
        done = self.run(
            [sys.executable, "-c", "import json\ndef tell(x): print(json.dumps(x))\n" + code], **environment
        )
        if done.returncode:
            raise AssertionError(done.stderr)
        return json.loads(done.stdout.splitlines()[-1])

    def wilk(self, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
        """Run the command line."""
        code = "import sys; from wilk.cli import main; sys.exit(main(sys.argv[1:]))"
        return self.run([sys.executable, "-c", code, *arguments], **environment)

    def run(self, command: list[str], **environment: str) -> subprocess.CompletedProcess[str]:
        disabled = ",".join([*others(), *filter(None, [environment.pop("WILK_DISABLED_PLUGINS", "")])])
        inherited = {name: text for name, text in os.environ.items() if name != "PYTHONPATH"}
        return subprocess.run(
            command,
            capture_output=True,
            text=True,
            cwd=self._apart,
            timeout=60,
            env={
                **inherited,
                "PYTHONPATH": str(self.folder),
                "PYTHONDONTWRITEBYTECODE": "1",
                "WILK_DISABLED_PLUGINS": disabled,
                **environment,
            },
        )


@cache
def others() -> tuple[str, ...]:
    """The plugins that the tests' environment happens to have, looked for with a cache of its own."""
    with tempfile.TemporaryDirectory() as folder, pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", folder)
        found = wilk.Host().plugins(load=False)
        return tuple(info.name for info in found if info.distribution != "wilk")
