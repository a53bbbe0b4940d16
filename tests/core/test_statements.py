"""The statements that were compiled beforehand, and the verbs that run on them without Peewee."""

from __future__ import annotations

import runpy
import subprocess
import sys
from pathlib import Path

import pytest

import wilk

ROOT = Path(__file__).parents[2]


def test_those_kept_are_what_the_models_give() -> None:
    tool = runpy.run_path(str(ROOT / "tools" / "freeze_statements.py"))
    assert (Path(wilk.__file__).parent / "backends" / "sqlite_statements.json").read_text() == tool[
        "compiled"
    ]()


@pytest.mark.parametrize(
    "verb",
    [
        "sessions.list()",
        "sessions.get('s')",
        "sessions.recent()",
        "messages.last('s')",
        "messages.page('s', before=2)",
        "messages.count('s')",
        "pins.list('s')",
        "blocks.list()",
        "blocks.for_session('s')",
        "agents.list()",
        "agents.get('a')",
        "agents.history('a')",
        "prompts.list()",
        "personas.list()",
        "presets.list()",
        "definitions.list('mcp-servers')",
        "contexts.build('s')",
        "contexts.build('s', strategy='hybrid')",
        "contexts.manifests('s')",
    ],
)
@pytest.mark.sqlite  # whose statements are kept
def test_reading_imports_no_peewee(home: Path, verb: str) -> None:
    with wilk.open_store(home=home) as store:
        store.sessions.create(id="s")
        store.messages.append("s", "user", "hello")
        store.agents.save("a", {"name": "a", "model": {"provider": "openai", "name": "gpt-4"}})
    code = (
        f"import sys, wilk\nwith wilk.open_store(home={str(home)!r}) as store:\n"
        f"    assert store.{verb} is not None\n    sys.exit('peewee' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0
