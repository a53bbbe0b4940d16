"""The async face of tools: coroutine functions run on the event loop, plain ones on a thread."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import TYPE_CHECKING, Any

from wilk.aio.nouns import Noun, reading
from wilk.services.tools.tools import Begun, Tools

if TYPE_CHECKING:
    from wilk.records.conversation import ToolCall
    from wilk.store import Store


class AsyncTools(Noun):
    """The verbs of tools, awaited."""

    list = reading(Tools.list)
    get = reading(Tools.get)
    find = reading(Tools.find)
    for_agent = reading(Tools.for_agent)

    async def run(
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
        tools: Tools = self._verbs()
        workers = self._workers
        if not await workers.read(lambda: tools._is_awaited(name, agent)):
            # A plain function cannot be stopped: cancelled, it runs to its end, and so does its log.
            return await workers.aside(
                lambda: tools.run(
                    name,
                    arguments,
                    session=session,
                    agent=agent,
                    message=message,
                    call_id=call_id,
                    timeout=timeout,
                ),
                purpose="tools",
            )

        def using(verb: Callable[[Store], Any]) -> Awaitable[Any]:
            return workers.write(lambda: verb(tools._store))

        begun: list[Begun] = []

        def begin() -> Begun:
            begun.append(tools._begin(name, arguments, session, agent, message, call_id, timeout, using))
            return begun[0]

        def cut_short(error: BaseException) -> None:
            for one in begun:  # none, when it was cancelled before it began
                tools._log(one.call, error)

        try:
            one = await workers.write(begin)
            result = await one.awaited()
        except (Exception, SystemExit) as error:
            if not begun:
                raise
            failure = error
            raise await workers.write_out(lambda: tools._failed(begun[0], failure)) from failure
        except BaseException as error:
            ended = error
            await workers.write_out(lambda: cut_short(ended))
            raise
        return await workers.write_out(lambda: tools._ended(one, result))

    run.__doc__ = Tools.run.__doc__
