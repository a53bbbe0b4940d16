"""What a store does again and again while it is open, as its settings say."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import wilk
from wilk import hookimpl

Plugged = Callable[..., wilk.Store]


class Ear:
    """Hears what is archived."""

    def __init__(self) -> None:
        self.reasons: list[str] = []
        self.heard = threading.Event()

    @hookimpl
    def after_archive(self, reason: str) -> None:
        self.reasons.append(reason)
        self.heard.set()


def configure(home: Path, **values: Any) -> None:
    home.mkdir(exist_ok=True)
    (home / "config.yaml").write_text("".join(f"{name}: {value}\n" for name, value in values.items()))


@pytest.fixture
def filled(home: Path) -> Path:
    """A home whose store has five tool calls."""
    with wilk.open_store(home=home) as store:
        session = store.sessions.create().id
        for number in range(5):
            store.tool_calls.finish(store.tool_calls.start(session, f"tool {number}").id)
    return home


def test_retention_runs_by_itself(filled: Path, plugged: Plugged) -> None:
    configure(filled, retention="{tool_call: {count: 2}}", retention_interval=0.05)
    ear = Ear()
    store = plugged(ear)
    assert ear.heard.wait(30)
    assert ear.reasons == ["retention: count 2"]
    assert len(store.tool_calls.list()) == 2


@pytest.mark.parametrize("seconds", ["0", "-1", "nan", "soon"])
def test_a_timer_without_an_interval_is_a_fault_of_the_settings(home: Path, seconds: str) -> None:
    configure(home, consolidation="timer", consolidation_interval=seconds)
    with pytest.raises(wilk.SettingsError, match="consolidation_interval: .* is not seconds above 0"):
        wilk.open_store(home=home)


@pytest.mark.parametrize(
    "settings",
    [{"retention": "{tool_call: {count: 2}}", "retention_interval": 0}, {"retention_interval": 0.01}],
    ids=["without an interval", "without rules"],
)
def test_retention_does_not_run_by_itself(settings: dict[str, Any], filled: Path, plugged: Plugged) -> None:
    configure(filled, **settings)
    store = plugged()
    assert not [one for one in threading.enumerate() if one.name == "wilk-worker"]
    assert len(store.tool_calls.list()) == 5


def test_a_store_that_only_reads_has_no_timers(filled: Path) -> None:
    configure(
        filled, retention="{tool_call: {count: 2}}", retention_interval=0.01,
        consolidation="timer", consolidation_interval=0.01,
    )  # fmt: skip
    with wilk.open_store(home=filled, readonly=True) as store:
        assert not [one for one in threading.enumerate() if one.name == "wilk-worker"]
        assert len(store.tool_calls.list()) == 5


def test_a_bad_rule_is_told_when_the_store_opens(home: Path) -> None:
    configure(home, retention="{tool_call: {aeg: 30d}}")
    with pytest.raises(wilk.SettingsError, match="config.yaml: retention: tool_call: 'aeg' is no key"):
        wilk.open_store(home=home)
