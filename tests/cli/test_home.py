"""``wilk init`` and ``wilk config``."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from wilk.settings import SETTINGS

from .conftest import Result

Run = Callable[..., Result]


def test_init_makes_a_private_home_and_says_what(good: Run, home: Path, backend: str) -> None:
    told = good("init").out
    for name in ("agents", "prompts", "personas", "presets", "config.yaml"):
        assert (home / name).exists()
        assert str(home / name) in told
    if backend == "sqlite":
        assert (home / "wilk.db").exists()
    if sys.platform != "win32":
        assert home.stat().st_mode & 0o777 == 0o700


def test_init_twice_changes_nothing(good: Run, home: Path) -> None:
    good("init")
    (home / "config.yaml").write_text("timeout: 3\n")
    assert "has all that a home folder needs" in good("init").out
    assert (home / "config.yaml").read_text() == "timeout: 3\n"


def test_init_as_json(good: Run, home: Path) -> None:
    assert good("init", "--json").json["home"] == str(home)


def test_init_makes_the_home_that_is_named(good: Run, tmp_path: Path) -> None:
    good("init", "--home", str(tmp_path / "with blanks" / "deep"))
    assert (tmp_path / "with blanks" / "deep" / "config.yaml").exists()


def test_the_config_that_init_makes_holds_every_default(good: Run, home: Path) -> None:
    before = good("config", "show", "--json").json
    good("init")
    config = home / "config.yaml"
    lines = config.read_text().splitlines()
    names = {setting.name for setting in SETTINGS}
    # Settings are the lines whose word before the colon is one; all but an empty url are made real.
    real = [line[2:] if line[2:].partition(":")[0] in names - {"url"} else line for line in lines]
    assert sum(line != other for line, other in zip(lines, real, strict=True)) == len(names) - 1
    config.write_text("\n".join(real))
    after = good("config", "show", "--json").json
    assert {name: one["value"] for name, one in after.items()} == {
        name: one["value"] for name, one in before.items()
    }
    assert after["timeout"]["origin"] == "config.yaml"


def test_config_shows_where_a_value_comes_from(good: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WILK_TIMEOUT", "7")
    shown = good("config", "show", "--json", "--readonly").json
    assert shown["timeout"] == {"value": 7.0, "origin": "WILK_TIMEOUT"}
    assert shown["readonly"] == {"value": True, "origin": "argument"}
    assert shown["home"]["origin"] == "WILK_HOME"
    assert shown["max_tokens"]["origin"] == "default"


@pytest.mark.parametrize("options", [[], ["--json"]])
def test_config_shows_no_passwords(good: Run, options: list[str]) -> None:
    for url in ("postgresql://me:hush-hush@host/db", "postgresql://host/db?password=hush-hush"):
        shown = good("config", "show", "--url", url, *options).out
        assert "host/db" in shown
        assert "hush-hush" not in shown


def test_config_shows_no_secrets_of_plugins(good: Run, home: Path) -> None:
    home.mkdir()
    (home / "config.yaml").write_text("plugins:\n  x:\n    api_key: hush-hush\n    size: 3\n")
    shown = good("config", "show", "--json").json["plugins"]["value"]
    assert shown["x"]["size"] == 3
    assert "hush-hush" not in str(shown)
