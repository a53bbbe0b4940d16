"""``wilk health`` and ``wilk stats``: what they show, and the exit code that programs go by."""

from __future__ import annotations

import json
import socket
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from .conftest import Result, spawn

pytestmark = pytest.mark.sqlite


class TestHealth:
    def test_of_a_store_that_is_well(self, good: Callable[..., Result]) -> None:
        good("init")
        out = good("health").out
        assert out.startswith("ok sqlite\n")
        assert "SQLite" in out
        assert "a writer at work  no" in out

    def test_is_a_document_for_programs(self, good: Callable[..., Result], home: Path) -> None:
        good("init")
        found = json.loads(good("health", "--json").out)
        assert (found["status"], found["reasons"], found["backend"]) == ("ok", [], "sqlite")
        assert found["read_seconds"] > 0
        assert found["disk"]["folder"] == str(home)
        assert found["pool"] is None

    def test_makes_no_store_where_there_is_none(self, wilk: Callable[..., Result], home: Path) -> None:
        result = wilk("health")
        assert (result.code, result.err) == (1, "")
        assert result.out.startswith("failing sqlite\n  no database file")
        assert not home.exists()

    def test_of_what_is_no_database(self, wilk: Callable[..., Result], home: Path) -> None:
        home.mkdir()
        (home / "wilk.db").write_text("not a database, but long enough to look at" * 100)
        result = wilk("health", "--json")
        found = json.loads(result.out)
        assert (result.code, found["status"]) == (1, "failing")
        assert "is no SQLite database, or is damaged (file is not a database)" in found["reasons"][0]

    def test_of_a_damaged_database(
        self, good: Callable[..., Result], wilk: Callable[..., Result], home: Path
    ) -> None:
        good("sessions", "new", "talk")
        file = home / "wilk.db"
        with closing(sqlite3.connect(file)) as raw:
            raw.execute("PRAGMA wal_checkpoint(TRUNCATE)")
            (page,) = raw.execute("SELECT rootpage FROM sqlite_master WHERE name = 'sessions'").fetchone()
        whole = file.read_bytes()
        file.write_bytes(whole[: (page - 1) * 4096] + b"\xff" * 4096 + whole[page * 4096 :])
        result = wilk("health")
        assert (result.code, result.err) == (1, "")
        assert "cannot be read" in result.out

    def test_of_settings_that_cannot_be_read(
        self, wilk: Callable[..., Result], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("WILK_TIMEOUT", "soon")
        result = wilk("health", "--json")
        assert result.code == 1
        assert "WILK_TIMEOUT: 'soon'" in json.loads(result.out)["reasons"][0]

    def test_of_a_backend_that_nobody_has(self, wilk: Callable[..., Result]) -> None:
        result = wilk("health", "--url", "nope://x")
        assert (result.code, result.out.splitlines()[0]) == (1, "failing nope")

    def test_of_a_store_that_another_writer_holds(self, good: Callable[..., Result], home: Path) -> None:
        good("init")
        with closing(sqlite3.connect(home / "wilk.db", isolation_level=None)) as other:
            other.execute("BEGIN IMMEDIATE")
            out = good("health", "--timeout", "0.4").out
        assert out.startswith("degraded sqlite\n  writing got no turn")

    def test_of_a_plugin_that_is_broken(
        self, good: Callable[..., Result], plugins: Callable[[str, str], None]
    ) -> None:
        good("init")
        plugins("torn", "raise RuntimeError('it rains in')")
        result = good("health")
        assert "plugin torn is quarantined: RuntimeError: it rains in" in result.out

    @pytest.mark.slow
    def test_of_a_server_that_never_answers_ends_in_time(self, home: Path) -> None:
        with socket.create_server(("127.0.0.1", 0)) as silent:
            url = f"postgresql://wilk@127.0.0.1:{silent.getsockname()[1]}/x?connect_timeout=60"
            result = spawn(
                "health", "--json", "--timeout", "1", "--url", url
            )  # or it is killed after a minute
        assert result.code == 1
        assert json.loads(result.out)["reasons"] == ["the store does not open within 1 s"]

    @pytest.mark.parametrize("seconds", ["0", "-1", "soon", "nan", "4000"])
    def test_wants_a_time_limit_that_is_one(self, wilk: Callable[..., Result], seconds: str) -> None:
        result = wilk("health", f"--timeout={seconds}")
        assert result.code == 2
        assert "not a number of seconds above 0" in result.err


class TestStats:
    @pytest.fixture(autouse=True)
    def _talk(self, good: Callable[..., Result]) -> None:
        good("sessions", "new", "talk", "--use")
        good("messages", "add", "user", "hello")

    def test_shows_what_there_is(self, good: Callable[..., Result]) -> None:
        out = good("stats").out
        assert "records in" in out.splitlines()[0]
        assert any(line.split()[:2] == ["message", "1"] for line in out.splitlines())
        assert "tool_call" not in out
        assert "talk" in out
        assert "dbstat" in out

    def test_shows_every_kind_when_asked(self, good: Callable[..., Result]) -> None:
        assert "tool_call" in good("stats", "--all").out

    def test_counts_alone_when_it_must_be_quick(self, good: Callable[..., Result]) -> None:
        out = good("stats", "--quick").out
        assert any(line.split() == ["message", "1"] for line in out.splitlines())
        assert "DAY" not in out

    def test_is_a_document_for_programs(self, good: Callable[..., Result]) -> None:
        found = json.loads(good("stats", "--json").out)
        (message,) = [one for one in found["kinds"] if one["kind"] == "message"]
        assert (message["rows"], message["per_day_7"]) == (1, 1 / 7)
        assert message["bytes"] > 0
        assert found["sessions"][0]["messages"] == 1
