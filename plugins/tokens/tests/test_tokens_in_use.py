"""A store counts with the plugin, and the command line shows what it counts."""

import io
import json
import sys
from pathlib import Path

import pytest

import wilk
import wilk_tokens
from wilk.backends import sqlite
from wilk.cli import main
from wilk.definitions import kinds
from wilk.tokens import estimate
from wilk_tokens.counting import count

TEXT = "On 2026-11-21 at 03:50:57 the sum was 1,180,591,620,717."


@pytest.fixture(autouse=True)
def own_folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("WILK_HOME", str(tmp_path / "home"))


@pytest.fixture
def host() -> wilk.Host:
    return wilk.Host(wilk_tokens, sqlite, kinds, entry_points=False)


def test_a_store_takes_the_one_tokenizer_that_is_there(host: wilk.Host) -> None:
    with wilk.open_store("sqlite:///:memory:", host=host) as store:
        assert store.tokenizer.name == "tiktoken"


def test_messages_are_counted_exactly(host: wilk.Host) -> None:
    with wilk.open_store("sqlite:///:memory:", host=host) as store:
        session = store.sessions.create()
        message = store.messages.append(session.id, "user", TEXT, model="gpt-4o")
    assert message.tokens == count(TEXT, "gpt-4o") != estimate(TEXT)


def test_the_setting_goes_back_to_the_heuristic(host: wilk.Host, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WILK_TOKENIZER", "heuristic")
    with wilk.open_store("sqlite:///:memory:", host=host) as store:
        assert store.count_tokens(TEXT) == estimate(TEXT)


def test_the_command_counts_a_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "text").write_text(TEXT)
    main(["tokens", "count", str(tmp_path / "text"), "--model", "gpt-4", "--json"])
    assert json.loads(capsys.readouterr().out) == {
        "model": "gpt-4",
        "encoding": "cl100k_base",
        "exact": count(TEXT, "gpt-4"),
        "heuristic": estimate(TEXT),
    }


def test_the_command_counts_standard_input(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b"hello world \xff")))
    main(["tokens", "count"])
    assert capsys.readouterr().out.splitlines()[0].split() == ["exact", "3", "o200k_base"]


def test_the_command_names_a_missing_file(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["tokens", "count", "nowhere.txt"]) == 1
    assert "nowhere.txt" in capsys.readouterr().err
