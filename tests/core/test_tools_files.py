"""Files of tools: where they lie, when they are run, and what becomes of broken ones."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import wilk
from wilk import Tool, hookimpl
from wilk.host import Host

SEVERAL = """\
from wilk import Tool, hookimpl


@hookimpl
def register_tools():
    yield Tool("up", str.upper, "in capitals", {"properties": {}})
    yield Tool("down", lambda text: text.lower(), "in small letters")
"""


def write(file: Path, text: str) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text)


def greet(greeting: str) -> str:
    """The source of a tool."""
    return (
        f'greeting = "{greeting}"\n\n\n'
        'def run(name: str) -> str:\n    """Greet somebody."""\n    return f"{greeting} {name}"\n'
    )


@pytest.fixture
def on(home: Path) -> Iterator[wilk.Store]:
    """A store that runs files of tools, with an agent ``helper``."""
    write(home / "config.yaml", "custom_tools: true\n")
    write(home / "agents" / "helper" / "agent.yaml", "name: Helper\ntools: [greet]\n")
    with wilk.open_store(home=home) as opened:
        opened.sync()
        yield opened


@pytest.fixture
def tools(home: Path) -> Path:
    """The folder of tools for all agents; it is not there yet."""
    return home / "tools"


@pytest.fixture
def own(home: Path) -> Path:
    """The folder of the tools of ``helper``."""
    return home / "agents" / "helper" / "tools"


def said(store: wilk.Store, agent: str | None = None) -> Any:
    session = store.sessions.create().id
    return store.tools.run("greet", {"name": "wolf"}, session=session, agent=agent).result


def modules() -> set[str]:
    return {name for name in sys.modules if name.startswith("wilk_tools_")}


class TestFiles:
    def test_are_tools_by_their_function_run(self, on: wilk.Store, tools: Path) -> None:
        write(tools / "greet.py", greet("Hello"))
        assert said(on) == "Hello wolf"
        found = on.tools.get("greet")
        assert (found.name, found.summary) == ("greet", "Greet somebody.")
        assert found.parameters["required"] == ["name"]

    def test_offer_several_by_the_hook(self, on: wilk.Store, tools: Path) -> None:
        write(tools / "letters.py", SEVERAL)
        session = on.sessions.create().id
        assert on.tools.run("down", {"text": "WOLF"}, session=session).result == "wolf"
        assert on.tools.find("letters") is None
        rows = {tool.name: tool.origin for tool in on.tools.list()}
        assert rows["up"] == rows["down"] == "tools/letters.py"

    def test_of_an_agent_are_its_own(self, on: wilk.Store, own: Path) -> None:
        write(own / "greet.py", greet("Hi"))
        assert said(on, "helper") == "Hi wolf"
        assert list(on.tools.for_agent("helper")) == ["greet"]
        assert on.tools.find("greet") is None
        assert "greet" not in [tool.name for tool in on.tools.list()]

    def test_of_an_agent_go_before_those_for_all_which_the_list_tells(
        self, on: wilk.Store, own: Path, tools: Path
    ) -> None:
        write(tools / "greet.py", greet("Hello"))
        write(own / "greet.py", greet("Hi"))
        assert (said(on), said(on, "helper")) == ("Hello wolf", "Hi wolf")
        rows = [tool for tool in on.tools.list("helper") if tool.name == "greet"]
        assert [(row.agent_id, row.status) for row in rows] == [("helper", "ready"), (None, "hidden")]
        assert rows[1].problem == "the one of agents/helper/tools/greet.py goes first"

    def test_go_before_plugins(self, home: Path, tools: Path) -> None:
        class Plugin:
            @hookimpl
            def register_tools(self) -> Iterator[Tool]:
                yield Tool("greet", lambda name: f"plugin {name}")

        write(home / "config.yaml", "custom_tools: true\n")
        with wilk.open_store(home=home, host=Host(Plugin())) as store:
            assert said(store) == "plugin wolf"
            write(tools / "greet.py", greet("Hello"))
            assert said(store) == "Hello wolf"

    def test_of_one_folder_with_one_name_are_told_and_neither_is_taken(
        self, on: wilk.Store, tools: Path
    ) -> None:
        write(tools / "letters.py", SEVERAL)
        write(tools / "up.py", "def run(text: str) -> str:\n    return text\n")
        with pytest.raises(wilk.ToolsMissing, match=r"tools/letters.py and tools/up.py both offer it"):
            on.tools.get("up")
        broken = [tool.problem for tool in on.tools.list() if tool.name == "up" and tool.status == "broken"]
        assert broken == ["tools/letters.py offers it too; keep one"]

    @pytest.mark.parametrize("name", ["_greet.py", ".greet.py", "greet.txt", "greet.py~", "greet.py.bak"])
    def test_of_other_names_are_no_tools(self, on: wilk.Store, tools: Path, name: str) -> None:
        write(tools / name, "raise SystemExit('this must not run')")
        assert [tool.origin for tool in on.tools.list() if "tools/" in tool.origin] == []

    def test_see_their_own_file_and_no_other_path(self, on: wilk.Store, tools: Path) -> None:
        before = list(sys.path)
        write(tools / "where.py", "def run() -> str:\n    return __file__\n")
        done = on.tools.run("where", session=on.sessions.create().id)
        assert done.result == str(tools / "where.py")
        assert sys.path == before
        assert not (tools / "__pycache__").exists()

    def test_may_have_dataclasses_and_late_annotations(self, on: wilk.Store, tools: Path) -> None:
        source = (
            "from __future__ import annotations\nfrom dataclasses import asdict, dataclass\n"
            "from typing import ClassVar\n\n@dataclass\nclass Point:\n    kind: ClassVar[str] = 'p'\n    x: int\n\n"
            "def run(x: int) -> dict:\n    return asdict(Point(x))\n"
        )
        write(tools / "point.py", source)
        assert on.tools.run("point", {"x": 3}, session=on.sessions.create().id).result == {"x": 3}

    def test_are_run_only_when_one_of_their_tools_is_asked_for(self, on: wilk.Store, tools: Path) -> None:
        write(tools / "greet.py", greet("Hello"))
        write(tools / "letters.py", f"open(__file__ + '.ran', 'w').close()\n{SEVERAL}")
        assert said(on) == "Hello wolf"
        assert not (tools / "letters.py.ran").exists()
        on.tools.get("down")
        assert (tools / "letters.py.ran").exists()

    def test_that_compute_their_names_are_run_to_find_out(self, on: wilk.Store, tools: Path) -> None:
        computed = SEVERAL.replace('Tool("down"', 'Tool("do" + "wn"')
        write(tools / "letters.py", computed)
        assert on.tools.get("down").run("A") == "a"


class TestChanges:
    def test_are_taken_over(self, on: wilk.Store, tools: Path) -> None:
        write(tools / "greet.py", greet("Hello"))
        assert said(on) == "Hello wolf"
        write(tools / "greet.py", greet("Good evening"))
        assert said(on) == "Good evening wolf"

    def test_of_the_time_alone_run_nothing_again(self, on: wilk.Store, tools: Path) -> None:
        write(tools / "greet.py", greet("Hello"))
        first = on.tools.get("greet")
        os.utime(tools / "greet.py", (1, 1))
        assert on.tools.get("greet") is first

    def test_leave_no_module_behind(self, on: wilk.Store, tools: Path) -> None:
        before = modules()
        for greeting in ("a", "bb", "ccc"):
            write(tools / "greet.py", greet(greeting))
            said(on)
        assert len(modules() - before) == 1
        (tools / "greet.py").unlink()
        assert on.tools.find("greet") is None
        assert modules() == before

    def test_of_a_broken_file_heal_it(
        self, on: wilk.Store, tools: Path, caplog: pytest.LogCaptureFixture
    ) -> None:
        write(tools / "greet.py", "def run(:\n")
        for _ in range(3):
            assert on.tools.find("greet") is None
        assert len(caplog.records) == 1
        write(tools / "greet.py", greet("Hello"))
        assert said(on) == "Hello wolf"

    def test_of_the_time_alone_try_a_broken_file_again(
        self, on: wilk.Store, tools: Path, tmp_path: Path
    ) -> None:
        needed = tmp_path / "needed"
        write(tools / "greet.py", f"open({str(needed)!r}).close()\n{greet('Hello')}")
        assert on.tools.find("greet") is None
        needed.touch()
        assert on.tools.find("greet") is None  # nothing says that it would do better
        os.utime(tools / "greet.py", (1, 1))
        assert said(on) == "Hello wolf"

    def test_let_what_somebody_holds_go_on(self, on: wilk.Store, tools: Path) -> None:
        write(tools / "greet.py", greet("Hello"))
        held = on.tools.get("greet")
        write(tools / "greet.py", greet("Good evening"))
        said(on)
        assert held.run("wolf") == "Hello wolf"

    def test_are_forgotten_when_the_store_closes(self, home: Path, tools: Path) -> None:
        write(home / "config.yaml", "custom_tools: true\n")
        write(tools / "greet.py", greet("Hello"))
        before = modules()
        with wilk.open_store(home=home) as store:
            said(store)
            assert len(modules() - before) == 1
        assert modules() == before

    def test_of_two_stores_in_one_process_stay_apart(self, tmp_path: Path) -> None:
        answers = []
        stores = []
        for name in ("one", "other"):
            folder = tmp_path / name
            write(folder / "config.yaml", "custom_tools: true\n")
            write(folder / "tools" / "greet.py", greet(name))
            stores.append(wilk.open_store(home=folder))
        for store in (*stores, *stores):
            answers.append(said(store))
        for store in stores:
            store.close()
        assert answers == ["one wolf", "other wolf"] * 2


class TestBrokenFiles:
    @pytest.mark.parametrize(
        ("source", "told"),
        [
            ("import nothing_of_this_name", "line 1: ModuleNotFoundError: No module named"),
            ("\n1 / 0", "line 2: ZeroDivisionError"),
            ("def run(:", "line 1: SyntaxError"),
            ("raise SystemExit(3)", "SystemExit: 3"),
            ("x = 1", "it offers no tool; write a function run"),
            ("def run(*names): ...", "its parameter names cannot be given by name"),
            ("def run(name: complex): ...", "the type complex of its parameter name has no JSON form"),
            ("def run(name: 'Missing'): ...", "the type 'Missing' of its parameter name is not known"),
            ("run = 3", "its run is int, not a function"),
            (f"{SEVERAL}\nrun = str", r"it has both a function run and register_tools\(\)"),
            ("def register_tools(): ...", "register_tools is not marked; write @wilk.hookimpl"),
            (SEVERAL.replace("down", "up"), "it offers the tool 'up' twice"),
            (SEVERAL.replace('"down"', '"a b"'), "the name 'a b' is none that models take"),
            (SEVERAL.replace('yield Tool("up", str.upper, "in capitals", {"properties": {}})', "yield 3"),
             "register_tools yields int, not wilk.Tool"),
            ("\0", "SyntaxError|ValueError"),
            ("#" * (1 << 20) + "#", "bytes are too many for a file of tools"),
        ],
    )  # fmt: skip
    def test_are_quarantined_with_their_error_and_the_others_go_on(
        self, on: wilk.Store, tools: Path, source: str, told: str
    ) -> None:
        write(tools / "broken.py", source)
        write(tools / "greet.py", greet("Hello"))
        with pytest.raises(wilk.ToolsMissing, match=f"the file tools/broken.py is quarantined: .*{told}"):
            on.tools.get("broken")
        assert said(on) == "Hello wolf"
        rows = [tool for tool in on.tools.list() if tool.origin == "tools/broken.py"]
        assert {row.status for row in rows} == {"broken"}

    def test_are_told_under_the_names_that_their_source_offers(self, on: wilk.Store, tools: Path) -> None:
        write(tools / "letters.py", SEVERAL + "\n1 / 0\n")
        with pytest.raises(wilk.ToolsMissing, match="tools/letters.py is quarantined: line 9: ZeroDivision"):
            on.tools.get("down")

    def test_of_an_agent_do_not_give_way_to_those_for_all(
        self, on: wilk.Store, tools: Path, own: Path
    ) -> None:
        write(tools / "greet.py", greet("Hello"))
        write(own / "greet.py", "1 / 0")
        with pytest.raises(wilk.ToolsMissing, match="agents/helper/tools/greet.py is quarantined"):
            on.tools.for_agent("helper")

    def test_that_may_have_offered_a_missing_tool_are_told_with_it(self, on: wilk.Store, tools: Path) -> None:
        write(tools / "letters.py", SEVERAL + "\ndef (")
        with pytest.raises(
            wilk.ToolsMissing, match="no file offers it.*tools/letters.py is quarantined: line"
        ):
            on.tools.get("down")

    def test_that_end_the_program_do(self, on: wilk.Store, tools: Path) -> None:
        write(tools / "greet.py", "raise KeyboardInterrupt")
        before = modules()
        with pytest.raises(KeyboardInterrupt):
            on.tools.get("greet")
        assert modules() == before


class TestLinks:
    def test_that_leave_the_home_folder_are_refused(
        self, on: wilk.Store, tools: Path, tmp_path: Path
    ) -> None:
        write(tmp_path / "elsewhere.py", "raise SystemExit('this must not run')")
        tools.mkdir()
        (tools / "greet.py").symlink_to(tmp_path / "elsewhere.py")
        with pytest.raises(wilk.ToolsMissing, match="quarantined: .* leads out of .*lie in the home folder"):
            on.tools.get("greet")

    def test_of_a_whole_folder_are_refused(self, on: wilk.Store, tools: Path, tmp_path: Path) -> None:
        write(tmp_path / "elsewhere" / "greet.py", "raise SystemExit('this must not run')")
        tools.symlink_to(tmp_path / "elsewhere")
        with pytest.raises(wilk.ToolsMissing, match="no plugin and no file offers it.*tools: .*leads out of"):
            on.tools.get("greet")
        assert ("tools", "broken") in [(tool.origin, tool.status) for tool in on.tools.list()]
        assert on.tools.find("memory_search") is not None

    def test_within_the_home_folder_are_followed(self, on: wilk.Store, tools: Path, own: Path) -> None:
        write(tools / "shared.py", greet("Hello"))
        own.mkdir()
        (own / "greet.py").symlink_to(tools / "shared.py")
        assert said(on, "helper") == "Hello wolf"

    @pytest.mark.parametrize("target", ["nothing.py", "greet.py"])
    def test_to_nothing_are_told(self, on: wilk.Store, tools: Path, target: str) -> None:
        tools.mkdir()
        (tools / "greet.py").symlink_to(tools / target)
        with pytest.raises(
            wilk.ToolsMissing, match="tools/greet.py is quarantined: this cannot be looked at"
        ):
            on.tools.get("greet")

    @pytest.mark.parametrize("id", ["../../elsewhere", "..", "a/b", ""])
    def test_ids_that_leave_it_are_refused(self, on: wilk.Store, id: str) -> None:
        with pytest.raises((wilk.Invalid, wilk.NotFound)):
            on.tools.get("greet", agent=id)


class TestWithoutTheSetting:
    @pytest.fixture
    def off(self, home: Path, tools: Path, own: Path) -> Iterator[wilk.Store]:
        trap = f"open({str(home / 'ran')!r}, 'w').close()\n"
        write(home / "agents" / "helper" / "agent.yaml", "name: Helper\ntools: [mine, down, memory_pin]\n")
        write(own / "mine.py", trap + "def run(): ...\n")
        write(tools / "letters.py", trap + SEVERAL)
        with wilk.open_store(home=home) as opened:
            opened.sync()
            yield opened

    def test_the_error_names_the_file_and_the_setting(self, off: wilk.Store) -> None:
        with pytest.raises(wilk.ToolsMissing) as caught:
            off.tools.for_agent("helper")
        assert list(caught.value.problems) == ["mine", "down"]
        assert "the file agents/helper/tools/mine.py would provide it" in caught.value.problems["mine"]
        assert "the file tools/letters.py would provide it" in caught.value.problems["down"]
        assert all("set custom_tools: true in config.yaml" in text for text in caught.value.problems.values())

    def test_no_code_of_a_file_runs(self, off: wilk.Store, home: Path) -> None:
        session = off.sessions.create().id
        for verb in (
            lambda: off.tools.list("helper"),
            lambda: off.tools.find("mine", agent="helper"),
            lambda: off.tools.get("letters"),
            lambda: off.tools.for_agent("helper"),
            lambda: off.tools.run("mine", session=session, agent="helper"),
            lambda: off.tools.run("down", {"text": "A"}, session=session),
        ):
            try:
                verb()
            except wilk.ToolsMissing:
                continue
        assert not (home / "ran").exists()

    def test_what_is_off_is_listed_by_the_names_in_its_source(self, off: wilk.Store) -> None:
        rows = {(tool.name, tool.origin) for tool in off.tools.list("helper") if tool.status == "off"}
        assert rows == {
            ("mine", "agents/helper/tools/mine.py"),
            ("up", "tools/letters.py"),
            ("down", "tools/letters.py"),
        }

    def test_a_variable_is_enough(self, home: Path, off: wilk.Store, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("WILK_CUSTOM_TOOLS", "true")
        with wilk.open_store(home=home) as store:
            assert list(store.tools.for_agent("helper")) == ["mine", "down", "memory_pin"]


def test_opening_a_store_reads_no_file_of_tools(home: Path, tools: Path) -> None:
    write(home / "config.yaml", "custom_tools: true\n")
    write(tools / "greet.py", "raise SystemExit('this must not run')")
    code = (
        "import sys, wilk\n"
        "with wilk.open_store() as store:\n"
        "    store.sync()\n"
        "    print([name for name in sys.modules if name.startswith('wilk') and 'tools' in name])"
    )
    assert subprocess.check_output([sys.executable, "-c", code], text=True).strip() == "[]"
