"""What a tool hands over, and what it is told when it is run."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from wilk.definitions.permissions import Permissions
    from wilk.store import Store


@dataclass(frozen=True, eq=False)
class Tool:
    """A tool that agents may name, offered by ``register_tools`` or by a file in a folder ``tools``.

    ``run`` is called with the arguments as keywords and returns what can be kept as JSON; it may be a
    coroutine function. A parameter annotated with :class:`ToolContext` is no argument: wilk fills it in.
    ``parameters`` is a JSON Schema of the arguments. Without it, and without a summary, those are made
    from the signature and the docstring of ``run``.
    """

    name: str
    run: Callable[..., Any]
    summary: str = ""
    parameters: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, eq=False)
class ToolContext:
    """What a tool is told beside its arguments.

    ``call_id`` is the call's id in the log, ``permissions`` what the agent of the call may read, write
    and run, with ``./`` for the working directory of the session; without an agent there are none. A plain
    function uses ``store`` itself. A coroutine function awaits ``using(lambda store: …)``, which does not
    hold up the event loop, and belongs to the transaction of the task.
    """

    store: Store
    session_id: str
    agent_id: str | None
    call_id: str
    permissions: Permissions | None
    using: Callable[[Callable[[Store], Any]], Awaitable[Any]]
