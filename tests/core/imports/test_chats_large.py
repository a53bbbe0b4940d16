"""Exports of any size are read one conversation at a time."""

from __future__ import annotations

import json
import tracemalloc
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
from tests.core.imports.chat_exports import (
    chatgpt_conversation,
    claude_conversation,
    claude_message,
    code_session,
    webui_chat,
)

from wilk.transfer.landing.report import Report
from wilk.transfer.reading.sources import Source

pytestmark = [pytest.mark.storeless, pytest.mark.slow]


def _large(path: Path, make: Callable[[str], Any], count: int) -> Path:
    with path.open("w") as file:
        for number in range(count):
            file.write(("," if number else "[") + json.dumps(make(f"c{number}")))
        file.write("]")
    return path


def _claude(id: str) -> dict[str, Any]:
    return claude_conversation(id, [claude_message(f"{id}-{n}", "human", "bean " * 50) for n in range(6)])


def _peak(name: str, path: Path) -> tuple[int, int]:
    """The most memory that reading took, and how many records came."""
    source = Source([path])
    module = import_module(f"wilk.transfer.importers.{name}")
    tracemalloc.start()
    try:
        count = sum(1 for _ in module.read(source, Report(name, "", {}, dry_run=True)))
        return tracemalloc.get_traced_memory()[1], count
    finally:
        tracemalloc.stop()
        source.close()


@pytest.mark.parametrize(
    ("name", "make"),
    [("chatgpt", lambda id: chatgpt_conversation(id)), ("claude", _claude), ("open_webui", webui_chat)],
)
def test_four_times_the_conversations_take_no_more_memory(
    tmp_path: Path, name: str, make: Callable[[str], Any]
) -> None:
    _peak(name, _large(tmp_path / "conversations.json", make, 10))  # what is imported and compiled once
    some, count = _peak(name, _large(tmp_path / "conversations.json", make, 200))
    more, again = _peak(name, _large(tmp_path / "conversations.json", make, 800))
    assert (count, again) == (200, 800)
    assert more < some * 1.5 + 300_000  # the ids that came before are remembered


def test_four_times_the_transcripts_take_no_more_memory(tmp_path: Path) -> None:
    def transcripts(folder: Path, count: int) -> Path:
        folder.mkdir()
        for number in range(count):
            lines = [json.dumps({**line, "sessionId": f"s{number}"}) for line in code_session()]
            (folder / f"s{number}.jsonl").write_text("\n".join(lines) + "\n")
        return folder

    _peak("claude_code", transcripts(tmp_path / "first", 5))
    some, count = _peak("claude_code", transcripts(tmp_path / "some", 100))
    more, again = _peak("claude_code", transcripts(tmp_path / "more", 400))
    assert (count, again) == (100, 400)
    assert more < some * 1.5 + 500_000  # the list of the files grows with them


def test_reading_tells_how_far_it_is_within_a_file(tmp_path: Path) -> None:
    path = _large(tmp_path / "conversations.json", _claude, 700)
    told: list[tuple[int, int]] = []
    report = Report("claude", "", {}, dry_run=True, progress=lambda one: told.append((one.done, one.of)))
    source = Source([path])
    list(import_module("wilk.transfer.importers.claude").read(source, report))
    source.close()
    size = path.stat().st_size
    assert told == sorted(told)
    assert len({done for done, _ in told}) > 1
    assert told[-1] == (size, size)
