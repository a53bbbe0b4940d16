"""Tools: what an agent's file names, and running them with everything in the log."""

from __future__ import annotations

import inspect
import logging
from collections.abc import Callable, Mapping, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any

from wilk import codec
from wilk.contracts import Tool, ToolContext
from wilk.engine import Engine
from wilk.errors import Busy, Invalid, NotFound, ReadOnly, ToolFailed, ToolsMissing, WilkError
from wilk.events import Events
from wilk.records.conversation import ToolCall, ToolInfo
from wilk.services import checks
from wilk.services.tools import arguments as given
from wilk.services.tools.shelf import Shelf
from wilk.services.tools.signatures import context_of

if TYPE_CHECKING:
    from collections.abc import Awaitable

    from wilk.host import Host
    from wilk.store import Store

logger = logging.getLogger("wilk.tools")

LONGEST = 10_000
"""Characters of an error that the log keeps."""
TRIES = 10
"""How often the end of a call is written behind, when others hold the store."""


class Tools:
    """The tools of a store: those of plugins, and with ``custom_tools`` those of files."""

    def __init__(self, engine: Engine, events: Events, host: Host) -> None:
        self._engine = engine
        self._events = events
        self._host = host

    def list(self, agent_id: str | None = None) -> Sequence[ToolInfo]:
        """List all tools by name, with an agent's own if one is given; also those that are not ready.

        Raises NotFound for an unknown agent.
        """
        if agent_id is not None:
            self._store.agents.get(agent_id)
        return self._shelf.all(agent_id)

    def get(self, name: str, *, agent: str | None = None) -> Tool:
        """Return a tool: an agent's own, else that of the folder ``tools``, else a plugin's.

        Raises ToolsMissing, a NotFound that tells why, and NotFound for an unknown agent.
        """
        found = self._found(name, agent)
        if isinstance(found, str):
            raise ToolsMissing({name: found})
        return found

    def find(self, name: str, *, agent: str | None = None) -> Tool | None:
        """Return a tool, or None when it is not to be had; :meth:`get` tells why.

        Raises NotFound for an unknown agent.
        """
        found = self._found(name, agent)
        return None if isinstance(found, str) else found

    def for_agent(self, agent_id: str) -> Mapping[str, Tool]:
        """Return exactly the tools that an agent's file names, by name and in its order.

        Raises NotFound for an unknown agent, and ToolsMissing, which tells of every name that is not to
        be had why.
        """
        tools: dict[str, Tool] = {}
        missing: dict[str, str] = {}
        for name in self._named(agent_id):
            found = self._shelf.find(name, agent_id)
            if isinstance(found, str):
                missing[name] = found
            else:
                tools[name] = found
        if missing:
            raise ToolsMissing(missing, f"{self._written(agent_id)} names tools that are not to be had:")
        return tools

    def run(
        self,
        name: str,
        arguments: Mapping[str, Any] | None = None,
        *,
        session: str,
        agent: str | None = None,
        message: str | None = None,
        call_id: str | None = None,
        timeout: float | None = None,
    ) -> ToolCall:
        """Run a tool, and return the call as it is logged, with the whole result.

        Arguments are checked against the tool's parameters. With ``agent`` the tool must be one that the
        agent's file names. ``message`` is the message that asked for it, ``call_id`` the provider's id of the
        call. A coroutine function may be given a ``timeout`` in seconds. What goes wrong is logged first.
        Raises Invalid for arguments and for a tool that the agent may not use, ToolsMissing, and ToolFailed
        for what the tool itself raised. Raises NotFound for an unknown session or message, of which nothing
        is logged, and ReadOnly.
        """
        begun = self._begin(name, arguments, session, agent, message, call_id, timeout)
        try:
            result = begun.outcome()
        except (Exception, SystemExit) as error:
            raise self._failed(begun, error) from error
        except BaseException as error:
            self._log(begun.call, error)
            raise
        return self._ended(begun, result)

    # -- the steps of a run, which the async face takes too -------------------------------

    def _begin(
        self,
        name: str,
        arguments: Mapping[str, Any] | None,
        session: str,
        agent: str | None,
        message: str | None,
        call_id: str | None,
        timeout: float | None,
        using: Callable[[Callable[[Store], Any]], Awaitable[Any]] | None = None,
    ) -> Begun:
        """Log that a tool is called, and make it ready; what is wrong is logged, then raised."""
        checks.identifier("name", name)
        wanted = codec.loads(codec.dumps(checks.mapping("arguments", arguments)))  # as they are in the log
        if timeout is not None and (
            isinstance(timeout, bool) or not isinstance(timeout, (int, float)) or not timeout > 0
        ):
            raise Invalid(f"timeout {timeout!r}: seconds above 0 are wanted")
        if self._engine.readonly:
            raise ReadOnly("tools are not run in a store that was opened with readonly: the call is logged")
        ready: Tool | Exception
        try:
            ready = self._checked(name, wanted, agent, timeout)
        except Exception as error:  # it goes into the log first
            ready = error
        call = self._store.tool_calls.start(
            session, name, wanted, message=message, call_id=call_id, agent=agent
        )
        try:
            if isinstance(ready, Exception):
                raise ready
            wanted = {**wanted, **self._context(ready, call, using)}
        except Exception as error:
            self._log(call, error)
            raise
        return Begun(call, ready, wanted, timeout)

    def _is_awaited(self, name: str, agent: str | None) -> bool:
        """Whether a tool is a coroutine function; False for one that is not to be had."""
        try:
            found = self._found(name, agent)
        except WilkError:  # the run tells, and logs it
            return False
        return not isinstance(found, str) and is_awaited(found)

    def _ended(self, begun: Begun, result: Any) -> ToolCall:
        """Log the result of a call. Raises ToolFailed when it cannot be kept."""
        try:
            result = codec.loads(codec.dumps(result))
        except Exception as error:
            if inspect.iscoroutine(result):
                result.close()
            raise self._failed(begun, error, "its result cannot be kept: ") from error
        try:
            call = self._store.tool_calls.finish(begun.call.id, result=result)
        except NotFound as error:
            hint = "its session went while the tool ran; `wilk archive list --kind tool_call` shows the call"
            raise NotFound("tool call", begun.call.id, hint) from error
        except Busy as error:  # what the tool did is done: its caller must not do it again for want of a log
            self._later(begun.call, error, result=result)
            return begun.call._replace(status="ok", result=result)
        return call._replace(result=result)

    def _failed(self, begun: Begun, error: BaseException, said: str = "") -> ToolFailed:
        """Log what a tool raised, and return what is raised of it."""
        return ToolFailed(begun.tool.name, begun.call.id, self._log(begun.call, error, said))

    def _log(self, call: ToolCall, error: BaseException, said: str = "") -> str:
        text = codec.storable_text((said + _told(error)).removesuffix(": "))[0]
        if len(text) > LONGEST:
            text = f"{text[:LONGEST]}… ({len(text)} characters)"
        try:
            self._store.tool_calls.finish(call.id, error=text)
        except Busy as other:  # the first error is the one to be told
            self._later(call, other, error=text)
        except WilkError as other:
            logger.warning("the end of tool call %s (%s) is not in the log: %s", call.id, text, other)
        return text

    def _later(self, call: ToolCall, busy: Busy, **end: Any) -> None:
        """Log the end of a call behind the verbs, when other writers let it."""
        store = self._store

        def finish(tries: int = TRIES) -> None:
            try:
                store.tool_calls.finish(call.id, **end)
            except Busy:
                if not (tries and store._worker.submit(name, lambda: finish(tries - 1))):
                    raise

        name = f"the log of tool call {call.id}"
        logger.warning("the end of tool call %s is not in the log yet: %s", call.id, busy)
        if self._engine.in_transaction or not store._worker.submit(name, finish):
            logger.warning("the end of tool call %s is not in the log", call.id)

    def _found(self, name: str, agent: str | None) -> Tool | str:
        if agent is not None:
            self._store.agents.get(agent)
        return self._shelf.find(checks.identifier("name", name), agent)

    # -- what a call needs ----------------------------------------------------------------

    def _checked(
        self, name: str, arguments: Mapping[str, Any], agent: str | None, timeout: float | None
    ) -> Tool:
        """The tool of a call, if the call may be made as it is."""
        tool = self._allowed(name, agent)
        given.check(name, arguments, tool.parameters)
        if timeout is not None and not is_awaited(tool):
            raise Invalid(
                f"timeout {timeout!r}: the tool {name!r} is a plain function, which nothing can stop"
            )
        return tool

    def _allowed(self, name: str, agent: str | None) -> Tool:
        if agent is not None:
            named = self._named(agent)
            if name not in named:
                there = ", ".join(named) or "none"
                raise Invalid(
                    f"tool {name!r}: {self._written(agent)} does not name it, so that the agent may not use "
                    f"it; its tools are {there}"
                )
        return self.get(name, agent=agent)

    def _context(self, tool: Tool, call: ToolCall, using: Any) -> dict[str, ToolContext]:
        parameter = context_of(tool.run)
        if parameter is None:
            return {}
        store = self._store
        permissions = None
        if call.agent_id is not None:
            root = store.sessions.get(call.session_id).working_directory
            permissions = store.agents.permissions(call.agent_id, root=root)

        async def here(verb: Callable[[Store], Any]) -> Any:
            return verb(store)

        return {
            parameter: ToolContext(store, call.session_id, call.agent_id, call.id, permissions, using or here)
        }

    def _named(self, agent_id: str) -> Sequence[str]:
        return self._store.agents.get(agent_id).definition.get("tools") or ()

    def _written(self, agent_id: str) -> str:
        """An agent, and where its file is, for errors."""
        catalog = self._store.catalog
        if catalog.home is None:
            return f"agent {agent_id!r}"
        place = catalog.places()["agents"]
        path = next((path for path in place.paths(agent_id) if (catalog.home / path).exists()), None)
        return f"agent {agent_id!r} ({path or place.path(agent_id)})"

    @property
    def _store(self) -> Store:
        return self._events.store

    @cached_property
    def _shelf(self) -> Shelf:
        store = self._store
        return Shelf(self._host, lambda: store.catalog, store.home, runs_files=store.settings.custom_tools)

    def _close(self) -> None:
        if "_shelf" in vars(self):
            self._shelf.close()


def _told(error: BaseException) -> str:
    """An error as text, also one that has none."""
    try:
        return str(error) if isinstance(error, WilkError) else f"{type(error).__name__}: {error}"
    except Exception as other:  # its __str__ is the tool's own code
        return f"{type(error).__name__} (which fails to tell of itself: {type(other).__name__})"


class Begun:
    """A call that is in the log as running."""

    def __init__(
        self, call: ToolCall, tool: Tool, arguments: Mapping[str, Any], timeout: float | None
    ) -> None:
        self.call = call
        self.tool = tool
        self._arguments = arguments
        self._timeout = timeout

    def outcome(self) -> Any:
        """Call the tool, and return what it gives; a coroutine function on an event loop of its own."""
        if not is_awaited(self.tool):
            return self.tool.run(**self._arguments)
        import asyncio

        try:
            asyncio.get_running_loop()
        except RuntimeError:
            return asyncio.run(self.awaited())
        raise Invalid(
            "it is a coroutine function, and this thread runs an event loop; await the run of a store "
            "that wilk.open_async_store opened"
        )

    async def awaited(self) -> Any:
        """Await the tool, within its time."""
        import asyncio

        limit = asyncio.timeout(self._timeout)
        try:
            async with limit:
                return await self.tool.run(**self._arguments)
        except TimeoutError as error:
            if limit.expired():
                raise TimeoutError(f"it took longer than {self._timeout:g} s") from error
            raise


def is_awaited(tool: Tool) -> bool:
    """Whether a tool's run is a coroutine function."""
    calling = getattr(type(tool.run), "__call__", None)  # noqa: B004  (of objects that are called)
    return inspect.iscoroutinefunction(tool.run) or inspect.iscoroutinefunction(calling)
