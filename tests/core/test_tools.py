"""Tools: what an agent's file names, running them, and what of it is in the log."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Coroutine, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from tests.engines import held

import wilk
from wilk import Tool, ToolContext, hookimpl
from wilk.host import Host

Run = Callable[[Coroutine[Any, Any, Any]], Any]

AGENT = "name: Helper\ntools: [{tools}]\n"


class Plugin:
    """Offers tools."""

    def __init__(self, *tools: Tool) -> None:
        self._tools = tools

    @hookimpl
    def register_tools(self) -> Iterator[Tool]:
        yield from self._tools


def add(a: int, b: int = 0) -> int:
    """Add two numbers."""
    return a + b


def fail() -> None:
    raise ZeroDivisionError("no way\0\ud800")


async def later(text: str, seconds: float = 0) -> str:
    """Say it later."""
    await asyncio.sleep(seconds)
    return text


@pytest.fixture
def tools(plugged: Callable[..., wilk.Store]) -> wilk.Store:
    """A store with a few tools of a plugin."""
    return plugged(Plugin(Tool("add", add), Tool("fail", fail), Tool("later", later)))


@pytest.fixture
def talk(tools: wilk.Store) -> str:
    """A session of it."""
    return tools.sessions.create().id


def agent(store: wilk.Store, *tools: str, id: str = "helper") -> str:
    store.agents.save(id, {"name": id, "tools": list(tools)})
    return id


class TestTools:
    def test_of_plugins_are_found_by_name_with_summary_and_schema(self, tools: wilk.Store) -> None:
        found = tools.tools.get("add")
        assert (found.run, found.summary) == (add, "Add two numbers.")
        assert found.parameters == {
            "type": "object",
            "properties": {"a": {"type": "integer"}, "b": {"type": "integer", "default": 0}},
            "required": ["a"],
            "additionalProperties": False,
        }

    def test_that_say_what_they_take_are_taken_at_their_word(
        self, plugged: Callable[..., wilk.Store]
    ) -> None:
        schema = {"properties": {"a": {"type": "integer"}}}
        store = plugged(Plugin(Tool("add", add, "Adds.", schema)))
        assert store.tools.get("add").summary == "Adds."
        assert store.tools.get("add").parameters == schema

    def test_that_ship_are_there_without_a_plugin_of_ones_own(self, store: wilk.Store) -> None:
        names = [tool.name for tool in store.tools.list()]
        assert names == ["memory_pin", "memory_save", "memory_search"]

    def test_an_unknown_one_is_not_found_with_what_was_meant(self, tools: wilk.Store) -> None:
        assert tools.tools.find("ad") is None
        with pytest.raises(
            wilk.NotFound, match="no tool ad: no plugin and no file offers it; did you mean 'add'"
        ):
            tools.tools.get("ad")

    def test_of_two_plugins_with_one_name_neither_is_taken_and_both_are_named(
        self, plugged: Callable[..., wilk.Store]
    ) -> None:
        one, other = Plugin(Tool("add", add)), Plugin(Tool("add", later), Tool("more", add))
        store = plugged(one, other)
        with pytest.raises(wilk.ToolsMissing, match="offered by Plugin.* and Plugin"):
            store.tools.get("add")
        rows = {tool.name: tool.status for tool in store.tools.list()}
        assert (rows["add"], rows["more"]) == ("broken", "ready")

    def test_a_plugin_with_a_tool_that_cannot_be_called_by_name_is_told(
        self, plugged: Callable[..., wilk.Store]
    ) -> None:
        store = plugged(Plugin(Tool("any", lambda *all: all)))
        with pytest.raises(wilk.ToolsMissing, match="a plugin offers it, and its parameter all"):
            store.tools.get("any")

    def test_what_a_quarantined_plugin_would_offer_is_told(self, plugged: Callable[..., wilk.Store]) -> None:
        store = plugged(Plugin(Tool("add", add)))
        (known,) = [plugin for plugin in store.host._plugins if plugin.name == "memory_tools"]
        known.status, known.error = "quarantined", "no sound"
        with pytest.raises(wilk.ToolsMissing, match="memory_tools .* is quarantined: no sound"):
            store.tools.get("memory_pin")


class TestForAgent:
    def test_gives_exactly_what_its_file_names_in_its_order(self, tools: wilk.Store) -> None:
        found = tools.tools.for_agent(agent(tools, "later", "add"))
        assert list(found) == ["later", "add"]
        assert found["add"].run is add

    def test_gives_nothing_to_an_agent_that_names_nothing(self, tools: wilk.Store) -> None:
        tools.agents.save("quiet", {"name": "Quiet"})
        assert tools.tools.for_agent("quiet") == {}

    def test_tells_of_all_that_are_missing_in_one_error(self, tools: wilk.Store) -> None:
        agent(tools, "add", "latr", "git_operations")
        with pytest.raises(wilk.ToolsMissing) as caught:
            tools.tools.for_agent("helper")
        assert list(caught.value.problems) == ["latr", "git_operations"]
        text = str(caught.value)
        assert "agent 'helper' (agents/helper/agent.yaml) names tools that are not to be had" in text
        assert "latr: no plugin and no file offers it; did you mean 'later'?" in text

    def test_refuses_an_unknown_agent(self, tools: wilk.Store) -> None:
        for verb in (
            lambda: tools.tools.for_agent("x"),
            lambda: tools.tools.list("x"),
            lambda: tools.tools.find("add", agent="x"),
        ):
            with pytest.raises(wilk.NotFound, match="no agent 'x'"):
                verb()

    def test_follows_the_agents_file(self, tools: wilk.Store, home: Path) -> None:
        agent(tools, "add")
        file = home / "agents" / "helper" / "agent.yaml"
        file.write_text(AGENT.format(tools="later"))
        tools.sync()
        assert list(tools.tools.for_agent("helper")) == ["later"]

    def test_works_without_files(self) -> None:
        host = Host(Plugin(Tool("add", add)))
        with wilk.open_store(settings=wilk.Settings(url="sqlite:///:memory:"), host=host) as store:
            assert store.home is None
            agent(store, "add", "b")
            with pytest.raises(wilk.ToolsMissing, match=r"agent 'helper' names .*\n  b: "):
                store.tools.for_agent("helper")


class TestRunning:
    def test_returns_the_call_as_it_is_in_the_log(self, tools: wilk.Store, talk: str) -> None:
        message = tools.messages.append(talk, "assistant").id
        done = tools.tools.run("add", {"a": 1, "b": 2}, session=talk, message=message, call_id="c")
        assert (done.result, done.status, done.arguments) == (3, "ok", {"a": 1, "b": 2})
        assert (done.message_id, done.call_id) == (message, "c")
        assert tools.tool_calls.get(done.id) == done

    def test_takes_as_long_as_the_clock_says(self, home: Path, now: Any, clock: wilk.Clock) -> None:
        slow = Tool("slow", lambda: now.pass_by(seconds=2))
        with wilk.open_store(home=home, host=Host(Plugin(slow)), clock=clock) as store:
            done = store.tools.run("slow", session=store.sessions.create().id)
        assert done.duration == 2

    def test_gives_what_json_gives_back(self, plugged: Callable[..., wilk.Store]) -> None:
        store = plugged(Plugin(Tool("give", lambda: {"a": (1, float("inf"))})))
        done = store.tools.run("give", session=store.sessions.create().id)
        assert done.result == {"a": [1, float("inf")]}
        assert store.tool_calls.get(done.id) == done

    def test_an_error_of_the_tool_is_logged_and_then_raised_with_its_cause(
        self, tools: wilk.Store, talk: str
    ) -> None:
        with pytest.raises(wilk.ToolFailed, match="tool 'fail' failed: ZeroDivisionError: no way") as caught:
            tools.tools.run("fail", session=talk)
        assert isinstance(caught.value.__cause__, ZeroDivisionError)
        (call,) = tools.tool_calls.list(talk)
        assert (call.id, caught.value.tool) == (caught.value.call_id, "fail")
        assert call.status == "error"
        assert call.error.startswith("ZeroDivisionError: no way")

    @pytest.mark.parametrize("error", [KeyboardInterrupt, GeneratorExit])
    def test_what_ends_the_program_is_logged_and_goes_on(
        self, plugged: Callable[..., wilk.Store], error: type[BaseException]
    ) -> None:
        def end() -> None:
            raise error

        store = plugged(Plugin(Tool("end", end)))
        session = store.sessions.create().id
        with pytest.raises(error):
            store.tools.run("end", session=session)
        assert store.tool_calls.list(session)[0].error == error.__name__

    def test_a_tool_that_wants_to_exit_only_fails(self, plugged: Callable[..., wilk.Store]) -> None:
        store = plugged(Plugin(Tool("exit", lambda: exit(3))))
        session = store.sessions.create().id
        with pytest.raises(wilk.ToolFailed, match="SystemExit: 3"):
            store.tools.run("exit", session=session)

    def test_an_error_that_cannot_tell_of_itself_is_logged(self, plugged: Callable[..., wilk.Store]) -> None:
        class Mute(Exception):
            def __str__(self) -> str:
                raise ValueError("no words")

        def fail() -> None:
            raise Mute

        store = plugged(Plugin(Tool("mute", fail)))
        with pytest.raises(wilk.ToolFailed, match="Mute"):
            store.tools.run("mute", session=store.sessions.create().id)
        (call,) = store.tool_calls.list()
        assert (call.status, call.error) == ("error", "Mute (which fails to tell of itself: ValueError)")

    def test_of_a_long_error_the_log_keeps_the_beginning(self, plugged: Callable[..., wilk.Store]) -> None:
        def fail() -> None:
            raise RuntimeError("x" * 1_000_000)

        store = plugged(Plugin(Tool("long", fail)))
        with pytest.raises(wilk.ToolFailed) as failed:
            store.tools.run("long", session=store.sessions.create().id)
        (call,) = store.tool_calls.list()
        assert call.error is not None
        assert (len(call.error) < 11_000, call.error.endswith("… (1000014 characters)")) == (True, True)
        assert len(str(failed.value.__cause__)) == 1_000_000

    def test_arguments_are_the_tools_own_and_as_they_are_in_the_log(
        self, plugged: Callable[..., wilk.Store]
    ) -> None:
        def grow(items: list[int]) -> list[int]:
            items.append(3)
            return items

        store = plugged(Plugin(Tool("grow", grow)))
        given = {"items": (1, 2)}
        assert store.tools.run("grow", given, session=store.sessions.create().id).result == [1, 2, 3]
        (call,) = store.tool_calls.list()
        assert (given, call.arguments) == ({"items": (1, 2)}, {"items": [1, 2]})

    @pytest.mark.parametrize("fails", [False, True])
    def test_a_store_that_is_busy_when_it_ends_costs_no_result_and_is_told_later(
        self,
        fails: bool,
        home: Path,
        hurried: None,
        plugged: Callable[..., wilk.Store],
        caplog: pytest.LogCaptureFixture,
    ) -> None:
        others = ExitStack()

        def send() -> str:
            others.enter_context(held())
            if fails:
                raise OSError("no network")
            return "sent"

        store = plugged(Plugin(Tool("send", send)))
        with wilk.open_store(home=home) as apart:
            session = apart.sessions.create().id
        try:
            if fails:
                with pytest.raises(wilk.ToolFailed, match="no network"):
                    store.tools.run("send", session=session)
            else:
                done = store.tools.run("send", session=session)
                assert (done.status, done.result) == ("ok", "sent")
            assert [call.status for call in store.tool_calls.list()] == ["running"]
            assert "is not in the log yet" in caplog.text
        finally:
            others.close()
        assert store.settle()
        (call,) = store.tool_calls.list()
        assert (call.status, call.result) == (("error", None) if fails else ("ok", "sent"))

    @pytest.mark.parametrize(
        ("result", "told"),
        [({"files": [Path("x")]}, "files.0: .*Path has no JSON form"), ({1: 2}, "the value: the key 1 is int"),
         (b"x", "the value: bytes has no JSON form")],
    )  # fmt: skip
    def test_a_result_that_json_cannot_hold_is_told_by_name(
        self, plugged: Callable[..., wilk.Store], result: Any, told: str
    ) -> None:
        store = plugged(Plugin(Tool("give", lambda: result)))
        session = store.sessions.create().id
        with pytest.raises(wilk.ToolFailed, match=f"its result cannot be kept: {told}") as caught:
            store.tools.run("give", session=session)
        assert isinstance(caught.value.__cause__, wilk.NotStorable)
        assert store.tool_calls.list(session)[0].status == "error"

    def test_bad_arguments_are_logged_and_the_tool_is_not_called(
        self, plugged: Callable[..., wilk.Store]
    ) -> None:
        called: list[int] = []

        def note(n: int) -> None:
            called.append(n)

        store = plugged(Plugin(Tool("note", note)))
        session = store.sessions.create().id
        with pytest.raises(wilk.Invalid, match="argument n is missing; argument m is unknown; there is n"):
            store.tools.run("note", {"m": 1}, session=session)
        assert called == []
        assert "argument n is missing" in (store.tool_calls.list(session)[0].error or "")

    def test_an_unknown_tool_is_logged(self, tools: wilk.Store, talk: str) -> None:
        with pytest.raises(wilk.ToolsMissing, match="did you mean 'add'"):
            tools.tools.run("ad", session=talk)
        assert [(call.name, call.status) for call in tools.tool_calls.list(talk)] == [("ad", "error")]

    def test_an_unknown_session_is_not_found_and_the_tool_is_not_called(
        self, plugged: Callable[..., wilk.Store]
    ) -> None:
        called: list[bool] = []
        store = plugged(Plugin(Tool("note", lambda: called.append(True))))
        with pytest.raises(wilk.NotFound, match="no session 'gone'"):
            store.tools.run("note", session="gone")
        assert (called, store.tool_calls.list()) == ([], [])

    def test_a_session_that_goes_while_the_tool_runs_is_told(
        self, plugged: Callable[..., wilk.Store]
    ) -> None:
        def leave(context: ToolContext) -> None:
            context.store.sessions.remove(context.session_id)

        store = plugged(Plugin(Tool("leave", leave)))
        with pytest.raises(wilk.NotFound, match="its session went while the tool ran"):
            store.tools.run("leave", session=store.sessions.create().id)
        (entry,) = store.archive.list(kind="tool_call")
        assert entry.data["status"] == "running"

    @pytest.mark.parametrize("arguments", [["a"], "a", 3])
    def test_arguments_are_a_mapping(self, tools: wilk.Store, talk: str, arguments: Any) -> None:
        with pytest.raises(wilk.Invalid, match="arguments"):
            tools.tools.run("add", arguments, session=talk)

    @pytest.mark.parametrize("name", ["", None, 3])
    def test_a_name_is_a_text(self, tools: wilk.Store, talk: str, name: Any) -> None:
        with pytest.raises(wilk.Invalid, match="name"):
            tools.tools.run(name, session=talk)

    def test_a_store_that_is_read_only_refuses_because_it_cannot_log(
        self, tools: wilk.Store, talk: str, home: Path
    ) -> None:
        host = Host(Plugin(Tool("add", add)), disabled=tools.settings.disabled_plugins)
        with (
            wilk.open_store(home=home, readonly=True, host=host) as reader,
            pytest.raises(wilk.ReadOnly, match="the call is logged"),
        ):
            reader.tools.run("add", {"a": 1}, session=talk)

    def test_what_a_tool_writes_in_a_transaction_of_its_caller_goes_with_it(
        self, store: wilk.Store, session: str
    ) -> None:
        with pytest.raises(ZeroDivisionError), store.transaction():
            store.tools.run("memory_pin", {"text": "x"}, session=session)
            assert len(store.pins.list(session)) == 1
            raise ZeroDivisionError
        assert (store.pins.list(session), store.tool_calls.list(session)) == ([], [])

    def test_a_tool_that_fails_in_a_transaction_leaves_its_log_when_the_block_goes_on(
        self, tools: wilk.Store, talk: str
    ) -> None:
        with tools.transaction():
            with pytest.raises(wilk.ToolFailed):
                tools.tools.run("fail", session=talk)
            tools.messages.append(talk, "user", "on")
        assert [call.status for call in tools.tool_calls.list(talk)] == ["error"]
        assert tools.messages.count(talk) == 1

    def test_a_plugin_may_refuse_a_call_before_the_tool_runs(
        self, plugged: Callable[..., wilk.Store]
    ) -> None:
        called: list[bool] = []

        class Guard:
            @hookimpl
            def before_save(self, kind: str, record: Any) -> None:
                if kind == "tool_call" and record.name == "note":
                    raise wilk.Rejected("no notes today")

        store = plugged(Plugin(Tool("note", lambda: called.append(True))), Guard())
        session = store.sessions.create().id
        with pytest.raises(wilk.Rejected, match="no notes today"):
            store.tools.run("note", session=session)
        assert (called, store.tool_calls.list(session)) == ([], [])

    def test_is_not_held_back_by_a_running_tool(self, plugged: Callable[..., wilk.Store]) -> None:
        reached, free = threading.Event(), threading.Event()

        def wait() -> None:
            reached.set()
            assert free.wait(30)

        store = plugged(Plugin(Tool("wait", wait)))
        session = store.sessions.create().id
        thread = threading.Thread(target=lambda: store.tools.run("wait", session=session))
        thread.start()
        assert reached.wait(30)
        store.messages.append(session, "user", "meanwhile")
        assert store.tool_calls.list(session)[0].status == "running"
        free.set()
        thread.join(30)
        assert store.tool_calls.list(session)[0].status == "ok"


class TestOfAnAgent:
    def test_only_what_its_file_names_may_be_run_and_the_rest_is_logged(
        self, tools: wilk.Store, talk: str
    ) -> None:
        agent(tools, "add")
        assert tools.tools.run("add", {"a": 1}, session=talk, agent="helper").agent_id == "helper"
        with pytest.raises(wilk.Invalid, match="does not name it.*its tools are add"):
            tools.tools.run("fail", session=talk, agent="helper")
        assert [call.status for call in tools.tool_calls.list(talk, name="fail")] == ["error"]

    def test_an_unknown_agent_is_not_found(self, tools: wilk.Store, talk: str) -> None:
        with pytest.raises(wilk.NotFound, match="no agent 'x'"):
            tools.tools.run("add", {"a": 1}, session=talk, agent="x")

    def test_its_permissions_stand_at_the_sessions_folder(
        self, plugged: Callable[..., wilk.Store], tmp_path: Path
    ) -> None:
        def may(path: str, context: ToolContext) -> bool:
            assert context.permissions is not None
            return context.permissions.allows_read(path)

        store = plugged(Plugin(Tool("may", may)))
        read = {"filesystem": {"read": ["./src/**"]}}
        store.agents.save("helper", {"name": "H", "tools": ["may"], "permissions": read})
        session = store.sessions.create(working_directory=str(tmp_path)).id
        asked = [
            store.tools.run("may", {"path": str(tmp_path / name)}, session=session, agent="helper").result
            for name in ("src/a.py", "b.py")
        ]
        assert asked == [True, False]


class TestContext:
    def test_tells_the_tool_where_it_runs(self, plugged: Callable[..., wilk.Store]) -> None:
        told: list[ToolContext] = []

        def look(context: ToolContext) -> None:
            told.append(context)

        store = plugged(Plugin(Tool("look", look)))
        session = store.sessions.create().id
        done = store.tools.run("look", session=session)
        (context,) = told
        assert (context.store, context.session_id, context.call_id) == (store, session, done.id)
        assert (context.agent_id, context.permissions) == (None, None)

    def test_is_no_argument(self, plugged: Callable[..., wilk.Store]) -> None:
        def look(here: ToolContext, context: str = "") -> str:
            return f"{here.session_id}{context}"

        store = plugged(Plugin(Tool("look", look)))
        session = store.sessions.create().id
        assert list(store.tools.get("look").parameters["properties"]) == ["context"]
        assert store.tools.run("look", {"context": "!"}, session=session).result == f"{session}!"
        with pytest.raises(wilk.Invalid, match="argument here is unknown"):
            store.tools.run("look", {"here": None}, session=session)

    def test_may_be_left_out_where_the_function_is_called_by_hand(
        self, plugged: Callable[..., wilk.Store]
    ) -> None:
        def look(context: ToolContext | None = None) -> bool:
            return context is not None

        store = plugged(Plugin(Tool("look", look)))
        assert store.tools.run("look", session=store.sessions.create().id).result is True
        assert look() is False

    def test_cannot_be_an_argument_as_well(self, plugged: Callable[..., wilk.Store]) -> None:
        def look(context: ToolContext) -> None: ...

        store = plugged(Plugin(Tool("look", look, parameters={"properties": {"context": {}}})))
        with pytest.raises(wilk.ToolsMissing, match="context is a ToolContext, and in its parameters"):
            store.tools.get("look")

    def test_is_nothing_to_functions_of_another_language(self, plugged: Callable[..., wilk.Store]) -> None:
        store = plugged(Plugin(Tool("new", dict, "a dict", {"properties": {"a": {}}})))
        assert store.tools.run("new", {"a": 1}, session=store.sessions.create().id).result == {"a": 1}


class TestCoroutines:
    def test_are_run_to_their_end(self, tools: wilk.Store, talk: str) -> None:
        assert tools.tools.run("later", {"text": "x"}, session=talk).result == "x"

    def test_end_when_their_time_is_over(self, tools: wilk.Store, talk: str) -> None:
        with pytest.raises(wilk.ToolFailed, match=r"TimeoutError: it took longer than 0.01 s"):
            tools.tools.run("later", {"text": "x", "seconds": 30}, session=talk, timeout=0.01)
        assert tools.tool_calls.list(talk)[0].error == "TimeoutError: it took longer than 0.01 s"

    def test_that_time_out_by_themselves_are_told_as_they_are(
        self, plugged: Callable[..., wilk.Store]
    ) -> None:
        async def slow() -> None:
            raise TimeoutError("the server is away")

        store = plugged(Plugin(Tool("slow", slow)))
        with pytest.raises(wilk.ToolFailed, match="TimeoutError: the server is away"):
            store.tools.run("slow", session=store.sessions.create().id, timeout=30)

    @pytest.mark.parametrize("timeout", [0, -1, "1", True, float("nan")])
    def test_take_a_time_above_0(self, tools: wilk.Store, talk: str, timeout: Any) -> None:
        with pytest.raises(wilk.Invalid, match="timeout"):
            tools.tools.run("later", {"text": ""}, session=talk, timeout=timeout)

    def test_alone_can_be_given_a_time(self, tools: wilk.Store, talk: str) -> None:
        with pytest.raises(wilk.Invalid, match="a plain function, which nothing can stop"):
            tools.tools.run("add", {"a": 1}, session=talk, timeout=1)

    def test_in_a_running_loop_need_an_async_store(self, tools: wilk.Store, talk: str, run: Run) -> None:
        async def scenario() -> None:
            with pytest.raises(wilk.ToolFailed, match="open_async_store"):
                tools.tools.run("later", {"text": "x"}, session=talk)

        run(scenario())
        assert tools.tool_calls.list(talk)[0].status == "error"

    def test_that_are_hidden_in_a_plain_function_are_told(self, plugged: Callable[..., wilk.Store]) -> None:
        store = plugged(Plugin(Tool("hide", lambda: later("x"))))
        with pytest.raises(wilk.ToolFailed, match="coroutine has no JSON form"):
            store.tools.run("hide", session=store.sessions.create().id)

    def test_may_be_objects_that_are_called(self, plugged: Callable[..., wilk.Store]) -> None:
        class Later:
            async def __call__(self, text: str) -> str:
                return text

        store = plugged(Plugin(Tool("later", Later())))
        session = store.sessions.create().id
        assert store.tools.run("later", {"text": "x"}, session=session).result == "x"

    def test_use_the_store_and_its_transaction(self, plugged: Callable[..., wilk.Store]) -> None:
        async def keep(context: ToolContext) -> str:
            pin = await context.using(lambda store: store.pins.add(context.session_id, "kept"))
            return str(pin.id)

        store = plugged(Plugin(Tool("keep", keep)))
        session = store.sessions.create().id
        with store.transaction():
            done = store.tools.run("keep", session=session)
        assert store.pins.get(done.result).content == "kept"


class TestAwaited:
    def host(self, *tools: Tool) -> Host:
        return Host(Plugin(*tools))

    def test_coroutines_run_on_the_loop_of_the_caller(self, run: Run) -> None:
        seen: list[Any] = []

        async def look(context: ToolContext) -> str:
            seen.append(asyncio.get_running_loop())
            pin = await context.using(lambda store: store.pins.add(context.session_id, "kept"))
            return str(pin.id)

        async def scenario() -> None:
            async with wilk.open_async_store(host=self.host(Tool("look", look))) as store:
                session = (await store.sessions.create()).id
                done = await store.tools.run("look", session=session)
                assert seen == [asyncio.get_running_loop()]
                assert (await store.pins.get(done.result)).content == "kept"
                assert await store.tool_calls.get(done.id) == done

        run(scenario())

    def test_plain_functions_hold_up_neither_the_loop_nor_a_write(self, run: Run) -> None:
        reached, free = threading.Event(), threading.Event()

        def wait() -> str:
            reached.set()
            assert free.wait(30)
            return "done"

        async def scenario() -> None:
            async with wilk.open_async_store(host=self.host(Tool("wait", wait))) as store:
                session = (await store.sessions.create()).id
                task = asyncio.create_task(store.tools.run("wait", session=session))
                await asyncio.to_thread(reached.wait, 30)
                await store.messages.append(session, "user", "meanwhile")
                free.set()
                assert (await task).result == "done"

        run(scenario())

    @pytest.mark.parametrize("kind", ["plain", "coroutine"])
    def test_what_it_writes_belongs_to_the_transaction_of_the_task(self, run: Run, kind: str) -> None:
        def plain(context: ToolContext) -> None:
            context.store.pins.add(context.session_id, "x")

        async def coroutine(context: ToolContext) -> None:
            await context.using(lambda store: store.pins.add(context.session_id, "x"))

        async def scenario() -> None:
            host = self.host(Tool("plain", plain), Tool("coroutine", coroutine))
            async with wilk.open_async_store(host=host) as store:
                session = (await store.sessions.create()).id
                with pytest.raises(ZeroDivisionError):
                    async with store.transaction():
                        await store.tools.run(kind, session=session)
                        assert len(await store.pins.list(session)) == 1
                        raise ZeroDivisionError
                assert await store.pins.list(session) == []
                await store.tools.run(kind, session=session)
                assert len(await store.pins.list(session)) == 1

        run(scenario())

    def test_errors_are_those_of_the_sync_face(self, run: Run) -> None:
        async def broken() -> None:
            raise KeyError("x")

        async def scenario() -> None:
            host = self.host(Tool("fail", fail), Tool("broken", broken), Tool("later", later))
            async with wilk.open_async_store(host=host) as store:
                session = (await store.sessions.create()).id
                for name in ("fail", "broken"):
                    with pytest.raises(wilk.ToolFailed, match=f"tool '{name}' failed"):
                        await store.tools.run(name, session=session)
                with pytest.raises(wilk.Invalid, match="text is missing"):
                    await store.tools.run("later", session=session)
                with pytest.raises(wilk.ToolsMissing):
                    await store.tools.run("latr", session=session)
                with pytest.raises(wilk.ToolFailed, match="longer than"):
                    await store.tools.run("later", {"text": "", "seconds": 30}, session=session, timeout=0.01)
                assert {call.status for call in await store.tool_calls.list(session)} == {"error"}
                assert len(await store.tool_calls.list(session)) == 5

        run(scenario())

    def test_a_coroutine_that_is_cancelled_is_logged(self, run: Run) -> None:
        async def scenario() -> None:
            async with wilk.open_async_store(host=self.host(Tool("later", later))) as store:
                session = (await store.sessions.create()).id
                task = asyncio.create_task(
                    store.tools.run("later", {"text": "", "seconds": 60}, session=session)
                )
                while not await store.tool_calls.list(session):
                    await asyncio.sleep(0)
                task.cancel()
                with pytest.raises(asyncio.CancelledError):
                    await task
                (call,) = await store.tool_calls.list(session)
                assert (call.status, call.error) == ("error", "CancelledError")

        run(scenario())

    def test_one_that_is_cancelled_when_it_has_ended_is_logged_with_its_result(self, run: Run) -> None:
        async def scenario() -> None:
            free = asyncio.Event()

            async def wait() -> str:
                await free.wait()
                return "done"

            async with wilk.open_async_store(host=self.host(Tool("wait", wait))) as store:
                session = (await store.sessions.create()).id
                task = asyncio.create_task(store.tools.run("wait", session=session))
                while not await store.tool_calls.list(session):
                    await asyncio.sleep(0)
                async with store.transaction():
                    free.set()
                    for _ in range(20):
                        await asyncio.sleep(0)  # it waits for this transaction to end
                    task.cancel()
                    await asyncio.sleep(0)
                with pytest.raises(asyncio.CancelledError):
                    await task
                (call,) = await store.tool_calls.list(session)
                assert (call.status, call.result) == ("ok", "done")

        run(scenario())

    def test_one_that_is_awaited_in_a_transaction_of_another_task_gives_its_result(
        self, run: Run, home: Path
    ) -> None:
        home.mkdir()
        (home / "config.yaml").write_text("timeout: 0.1\n")

        async def scenario() -> None:
            free = asyncio.Event()

            async def wait() -> str:
                await free.wait()
                return "done"

            async with wilk.open_async_store(host=self.host(Tool("wait", wait))) as store:
                session = (await store.sessions.create()).id
                task = asyncio.create_task(store.tools.run("wait", session=session))
                while not await store.tool_calls.list(session):
                    await asyncio.sleep(0)
                async with store.transaction():
                    await store.sessions.create()
                    free.set()
                    assert (await task).result == "done"
                assert await store.settle()
                (call,) = await store.tool_calls.list(session)
                assert (call.status, call.result) == ("ok", "done")

        run(scenario())

    def test_a_plain_function_whose_task_is_cancelled_runs_to_its_end_and_is_logged(self, run: Run) -> None:
        reached, free = threading.Event(), threading.Event()

        def wait() -> str:
            reached.set()
            assert free.wait(30)
            return "done"

        async def scenario() -> None:
            async with wilk.open_async_store(host=self.host(Tool("wait", wait))) as store:
                session = (await store.sessions.create()).id
                task = asyncio.create_task(store.tools.run("wait", session=session))
                await asyncio.to_thread(reached.wait, 30)
                task.cancel()
                with pytest.raises(asyncio.CancelledError):
                    await task
                free.set()
                while (call := (await store.tool_calls.list(session))[0]).status == "running":
                    await asyncio.sleep(0)
                assert (call.status, call.result) == ("ok", "done")

        run(scenario())

    def test_many_at_once_are_all_logged(self, run: Run) -> None:
        async def scenario() -> None:
            async with wilk.open_async_store(host=self.host(Tool("add", add), Tool("later", later))) as store:
                session = (await store.sessions.create()).id
                done = await asyncio.gather(
                    *(store.tools.run("add", {"a": number}, session=session) for number in range(20)),
                    *(store.tools.run("later", {"text": "x"}, session=session) for _ in range(20)),
                )
                assert [call.result for call in done] == [*range(20), *["x"] * 20]
                assert sorted(await store.tool_calls.list(session)) == sorted(done)

        run(scenario())

    def test_closing_waits_for_a_plain_function_and_its_log(self, run: Run, home: Path) -> None:
        reached, free = threading.Event(), threading.Event()

        def wait() -> str:
            reached.set()
            assert free.wait(30)
            return "done"

        async def scenario() -> None:
            store = await wilk.open_async_store(host=self.host(Tool("wait", wait)))
            session = (await store.sessions.create()).id
            task = asyncio.create_task(store.tools.run("wait", session=session))
            await asyncio.to_thread(reached.wait, 30)
            closing = asyncio.create_task(store.close())
            await asyncio.sleep(0.01)
            free.set()
            await closing
            assert (await task).result == "done"

        run(scenario())
        with wilk.open_store(home=home) as store:
            assert [call.status for call in store.tool_calls.list()] == ["ok"]


class TestMemoryTools:
    def test_what_one_session_saves_another_finds(self, store: wilk.Store, session: str) -> None:
        saved = store.tools.run("memory_save", {"text": "the wolf is grey"}, session=session).result
        other = store.sessions.create().id
        (found,) = store.tools.run("memory_search", {"query": "wolf"}, session=other).result
        assert (found["kind"], found["id"]) == ("memory", saved["id"])
        assert "wolf" in found["text"]

    def test_what_a_user_has_is_found_in_sessions_of_that_user_alone(self, store: wilk.Store) -> None:
        for user in ("anna", "ben"):
            store.users.save(user, name=user)
        anna, ben = (store.sessions.create(user=user).id for user in ("anna", "ben"))
        nobody, hers = store.sessions.create().id, store.sessions.create(user="anna").id
        store.tools.run("memory_save", {"text": "a wolf of anna"}, session=anna)
        store.messages.append(anna, "user", "my wolf is grey")
        store.tools.run("memory_save", {"text": "a wolf of nobody"}, session=nobody)

        def found(session: str) -> list[str]:
            hits = store.tools.run("memory_search", {"query": "wolf"}, session=session).result
            return sorted(hit["text"] for hit in hits)

        assert found(hers) == ["a wolf of anna", "my wolf is grey"]
        assert found(ben) == []
        assert found(nobody) == ["a wolf of nobody"]

    def test_gives_no_more_than_asked_for(self, store: wilk.Store, session: str) -> None:
        for number in range(8):
            store.memories.add(f"wolf {number}")
        counts = [
            len(store.tools.run("memory_search", {"query": "wolf", **more}, session=session).result)
            for more in ({}, {"limit": 2}, {"limit": -1})
        ]
        assert counts == [5, 2, 1]

    def test_a_pin_is_of_the_session(self, store: wilk.Store, session: str) -> None:
        done = store.tools.run("memory_pin", {"text": "no deploys", "importance": 0.9}, session=session)
        (pin,) = store.pins.list(session)
        assert (pin.id, pin.type, pin.importance) == (done.result["id"], "auto", 0.9)

    def test_a_bad_importance_is_told(self, store: wilk.Store, session: str) -> None:
        with pytest.raises(wilk.ToolFailed, match="importance"):
            store.tools.run("memory_save", {"text": "x", "importance": 2}, session=session)
        assert store.memories.list() == []
