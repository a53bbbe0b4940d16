"""Two plugins that offer one name are an error that names both, until the settings choose."""

from __future__ import annotations

from pathlib import Path

import pytest

import wilk

from .distributions import BACKEND, Site

pytestmark = pytest.mark.sqlite  # the host alone, and its own backend among others

COMMAND = """
from wilk import Command, hookimpl

@hookimpl
def register_commands():
    yield Command("shout", "shouts", lambda parser: None, lambda arguments, store: print({text!r}))
"""


@pytest.fixture
def found(site: Site, monkeypatch: pytest.MonkeyPatch) -> Site:
    """The site, on this process's search path as well."""
    monkeypatch.syspath_prepend(str(site.folder))
    return site


def choose(home: Path, text: str) -> None:
    home.mkdir()
    (home / "config.yaml").write_text(text)


def test_two_backends_with_one_scheme_are_an_error_that_names_both(found: Site) -> None:
    found.add("clash_a", BACKEND.format(scheme="clash"))
    found.add("clash_b", BACKEND.format(scheme="clash"), version="2.1")
    with pytest.raises(wilk.PluginError) as clash:
        wilk.open_store("clash://", host=found.host())
    assert "clash_a (wilk-clash_a 1.0) and clash_b (wilk-clash_b 2.1)" in str(clash.value)
    assert "backends.clash: DISTRIBUTION" in str(clash.value)


@pytest.mark.parametrize("chosen", ["wilk-clash_c", "clash_c"])
def test_the_settings_choose_by_distribution_or_by_name(chosen: str, found: Site, home: Path) -> None:
    found.add("clash_c", BACKEND.format(scheme="clash"))
    found.add("clash_d", BACKEND.format(scheme="clash"))
    choose(home, f"url: 'clash://'\nchoose: {{backends.clash: {chosen}}}\n")
    host = found.host(prefer=wilk.settings.load().choose)
    assert host.backend("clash").open.__module__ == "wilk_clash_c"


def test_a_disabled_plugin_does_not_clash(found: Site) -> None:
    found.add("clash_e", BACKEND.format(scheme="clash"))
    found.add("clash_f", BACKEND.format(scheme="clash"))
    host = found.host(disabled=["clash_e"])
    assert host.backend("clash").open.__module__ == "wilk_clash_f"


def test_a_clash_with_the_built_in_backend_is_an_error_too(site: Site) -> None:
    site.add("fast", BACKEND.format(scheme="sqlite"))
    done = site.wilk("sessions", "list")
    assert done.returncode == 1
    assert "backends.sqlite is offered by" in done.stderr
    assert "sqlite (wilk 0." in done.stderr
    assert "fast (wilk-fast 1.0)" in done.stderr


@pytest.mark.parametrize(("chosen", "persistent"), [("wilk", True), ("wilk-fast", False)])
def test_either_side_of_a_clash_with_the_built_in_backend_can_be_chosen(
    chosen: str, persistent: bool, site: Site, home: Path
) -> None:
    site.add("fast", BACKEND.format(scheme="sqlite"))
    choose(home, f"choose: {{backends.sqlite: {chosen}}}\n")
    assert site.wilk("sessions", "new").returncode == 0
    assert (home / "wilk.db").exists() == persistent


def test_a_backend_beside_a_clash_can_be_opened(found: Site) -> None:
    found.add("clash_g", BACKEND.format(scheme="clash"))
    found.add("clash_h", BACKEND.format(scheme="clash"))
    with wilk.open_store("sqlite:///:memory:", host=found.host()) as store:
        assert store.sessions.list() == []


def test_clashing_plugins_are_listed(site: Site) -> None:
    site.add("clash_a", BACKEND.format(scheme="clash"))
    site.add("clash_b", BACKEND.format(scheme="clash"))
    done = site.wilk("plugins")
    assert done.returncode == 0
    assert done.stdout.count("backends.clash") == 2


def test_a_command_that_two_offer_is_an_error_that_names_both(site: Site) -> None:
    site.add("loud", COMMAND.format(text="LOUD"))
    site.add("louder", COMMAND.format(text="LOUDER"))
    error = site.wilk("shout").stderr
    assert "loud (wilk-loud 1.0)" in error
    assert "louder (wilk-louder 1.0)" in error


def test_the_chosen_command_runs(site: Site, home: Path) -> None:
    site.add("loud", COMMAND.format(text="LOUD"))
    site.add("louder", COMMAND.format(text="LOUDER"))
    choose(home, "choose: {commands.shout: wilk-louder}\n")
    assert site.wilk("shout").stdout == "LOUDER\n"


def test_two_entry_points_of_one_name_are_two_plugins(found: Site) -> None:
    found.add("twin", BACKEND.format(scheme="one"))
    metadata = found.folder / "wilk_other-1.0.dist-info"
    metadata.mkdir()
    (metadata / "METADATA").write_text("Metadata-Version: 2.1\nName: wilk-other\nVersion: 1.0\n")
    (metadata / "entry_points.txt").write_text("[wilk]\ntwin = wilk_other_twin\n")
    (found.folder / "wilk_other_twin.py").write_text(BACKEND.format(scheme="two"))
    host = found.host()
    assert {host.backend("one").scheme, host.backend("two").scheme} == {"one", "two"}


def test_an_object_registered_by_the_program_clashes_like_any_other(found: Site) -> None:
    found.add("clash_i", BACKEND.format(scheme="clash"))
    host = found.host()
    host.register(Mine(), "mine")
    with pytest.raises(wilk.PluginError, match=r"clash_i .* and mine \(registered by the program\)"):
        host.backend("clash")


class Mine:
    @wilk.hookimpl
    def register_backends(self):
        yield wilk.Backend("clash", lambda url, settings: None)
