"""Plugins that offer tools: an installed one is imported when one of its tools is named."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

import wilk

from .distributions import Site

Plugged = Callable[..., wilk.Store]

UNITS = """
    from wilk import Tool, hookimpl

    @hookimpl
    def register_tools():
        yield Tool("to_metres", to_metres)

    def to_metres(feet: float) -> float:
        "Convert feet into metres."
        return feet * 0.3048
"""


class Shouting:
    """Offers a tool."""

    @wilk.hookimpl
    def register_tools(self) -> Iterator[wilk.Tool]:
        yield wilk.Tool("shout", self.shout)

    def shout(self, text: str) -> str:
        """Say it in capitals."""
        return text.upper()


def test_a_tool_of_a_plugin_is_run_and_logged(plugged: Plugged) -> None:
    store = plugged(Shouting())
    done = store.tools.run("shout", {"text": "wolf"}, session=store.sessions.create().id)
    assert (done.result, store.tool_calls.get(done.id).result) == ("WOLF", "WOLF")


def test_tools_that_ship_come_in_as_any_plugin_does(plugged: Plugged) -> None:
    store = plugged(Shouting())
    names = [tool.name for tool in store.host.tools()]
    assert names == ["memory_pin", "memory_save", "memory_search", "shout"]
    (plugin,) = [one for one in store.host.plugins() if "tools.memory_search" in one.offers]
    assert (plugin.name, plugin.distribution) == ("memory_tools", "wilk")


def test_an_installed_package_is_imported_for_its_own_tools_alone(site: Site) -> None:
    site.add("units", UNITS)
    code = """
import sys, wilk
with wilk.open_store("sqlite:///:memory:") as store:
    session = store.sessions.create().id
    store.tools.run("memory_save", {"text": "x"}, session=session)
    before = "wilk_units" in sys.modules
    done = store.tools.run("to_metres", {"feet": 10}, session=session)
    tell([before, round(done.result, 3), done.status])
"""
    assert site.python(code) == [False, 3.048, "ok"]


def test_a_package_that_fails_is_told_where_its_tool_is_named(site: Site) -> None:
    site.add("units", f"    1 / 0\n{UNITS}")
    code = """
import wilk
with wilk.open_store("sqlite:///:memory:") as store:
    store.agents.save("helper", {"name": "Helper", "tools": ["to_metres", "memory_pin"]})
    try:
        store.tools.for_agent("helper")
    except wilk.ToolsMissing as error:
        tell(error.problems)
"""
    (problems,) = [site.python(code)]
    assert list(problems) == ["to_metres"]
    assert "units" in problems["to_metres"]
    assert "ZeroDivisionError" in problems["to_metres"]


@pytest.mark.parametrize("chosen", ["wilk-units", "wilk-feet"])
def test_of_two_packages_with_one_tool_the_setting_chooses(site: Site, chosen: str) -> None:
    site.add("units", UNITS)
    site.add("feet", UNITS.replace("feet * 0.3048", "-1.0"))
    code = f"""
import wilk
from dataclasses import replace
from wilk import settings
told = []
for choose in ({{}}, {{"tools.to_metres": {chosen!r}}}):
    given = replace(settings.load(url="sqlite:///:memory:"), choose=choose)
    with wilk.open_store(settings=given) as store:
        session = store.sessions.create().id
        try:
            told.append(store.tools.run("to_metres", {{"feet": 10}}, session=session).result)
        except wilk.ToolsMissing as error:
            told.append(str(error))
tell(told)
"""
    clash, result = site.python(code)
    assert "wilk-feet" in clash
    assert "wilk-units" in clash
    assert round(result, 3) == (3.048 if chosen == "wilk-units" else -1)
