"""``wilk tools``: tools that agents may name, and running them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from wilk.cli import kept
from wilk.cli.choosing import chosen_session, session_argument
from wilk.cli.kinds import refreshed
from wilk.cli.output import Styled
from wilk.cli.parsing import UsageError, Verb, completed
from wilk.errors import WilkError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from wilk.cli.context import Context
    from wilk.cli.parsing import Parser
    from wilk.contracts import Tool

STATUS_STYLES = {"ready": "green", "broken": "red", "off": "yellow", "hidden": "dim"}


def commands() -> dict[str, Verb]:
    """The verbs."""
    return {
        "list": Verb(_list, "list tools, and those that are not ready", _agent_argument),
        "show": Verb(_show, "show a tool with its parameters", _show_arguments),
        "check": Verb(_check, "say whether an agent has every tool that its file names", _check_arguments),
        "run": Verb(_run, "run a tool; the call goes into the log of a session", _run_arguments),
    }


def _agent_argument(parser: Parser) -> None:
    completed(
        parser.add_argument("--agent", metavar="AGENT", help="an agent, whose own tools count too"), "agents"
    )


def _show_arguments(parser: Parser) -> None:
    parser.add_argument("name", metavar="NAME", help="its name")
    _agent_argument(parser)


def _check_arguments(parser: Parser) -> None:
    completed(parser.add_argument("agent", metavar="AGENT", help="its id"), "agents")


def _run_arguments(parser: Parser) -> None:
    parser.add_argument("name", metavar="NAME", help="its name")
    parser.add_argument(
        "values",
        metavar="NAME=VALUE",
        nargs="*",
        help="arguments; what is no text by the tool's parameters is read as JSON",
    )
    parser.add_argument(
        "--arguments", metavar="JSON", help="arguments as a JSON object; - reads it from stdin"
    )
    session_argument(parser, option=True)
    parser.add_argument("--agent", metavar="AGENT", help="the agent that calls it; its file must name it")
    parser.add_argument("--timeout", type=_seconds, metavar="SECONDS", help="for coroutine functions")


def _seconds(text: str) -> float:
    from argparse import ArgumentTypeError

    try:
        number = float(text)
    except ValueError:
        number = 0.0
    if not 0 < number < 1_000_000:
        raise ArgumentTypeError(f"{text!r} is not a number of seconds above 0")
    return number


def _list(context: Context) -> None:
    out = context.out
    tools = refreshed(context).tools.list(context.arguments.agent)
    if out.json:
        out.document(tools)
        return
    if not tools:
        out.note("no tools")
        return
    rows = [
        [
            Styled(tool.name, "cyan"),
            Styled(tool.status, STATUS_STYLES.get(tool.status, "")),
            tool.origin,
            tool.problem or tool.summary,
        ]
        for tool in tools
    ]
    out.table(["NAME", "STATUS", "FROM", "WHAT IT DOES"], rows, whole=[0])


def _show(context: Context) -> None:
    arguments, out = context.arguments, context.out
    tool = refreshed(context).tools.get(arguments.name, agent=arguments.agent)
    if out.json:
        out.document({"name": tool.name, "summary": tool.summary, "parameters": tool.parameters})
        return
    out.fields([("name", tool.name), ("summary", tool.summary)])
    properties: Mapping[str, Any] = tool.parameters.get("properties") or {}
    required = tool.parameters.get("required") or ()
    if properties:
        rows = [
            [
                Styled(name, "cyan"),
                _type(schema),
                "yes" if name in required else "",
                _json(schema["default"]) if "default" in schema else "",
                str(schema.get("description", "")),
            ]
            for name, schema in properties.items()
        ]
        out.line("")
        out.table(["ARGUMENT", "TYPE", "NEEDED", "DEFAULT", "WHAT IT IS"], rows)


def _type(schema: Mapping[str, Any]) -> str:
    if "enum" in schema:
        return " | ".join(map(_json, schema["enum"]))
    kinds = schema.get("type", "")
    return kinds if isinstance(kinds, str) else " | ".join(kinds)


def _json(value: Any) -> str:
    from json import dumps

    return dumps(value, ensure_ascii=False)


def _check(context: Context) -> None:
    agent, out = context.arguments.agent, context.out
    tools = refreshed(context).tools.for_agent(agent)
    if out.json:
        out.document(
            [
                {"name": tool.name, "summary": tool.summary, "parameters": tool.parameters}
                for tool in tools.values()
            ]
        )
    elif tools:
        out.line(f"agent {agent} has all of its tools: {', '.join(tools)}")
    else:
        out.note(f"the file of agent {agent} names no tools")


def _run(context: Context) -> None:
    arguments, out = context.arguments, context.out
    store = refreshed(context)
    tool = store.tools.find(arguments.name, agent=arguments.agent)
    given = _given(arguments.arguments, arguments.values, tool)
    call = store.tools.run(
        arguments.name,
        given,
        session=chosen_session(context, arguments.session).id,
        agent=arguments.agent,
        timeout=arguments.timeout,
    )
    if out.json:
        out.document(call)
    elif isinstance(call.result, str):
        out.raw(call.result if call.result.endswith("\n") else f"{call.result}\n")
    else:
        out.document(call.result)


def _given(text: str | None, values: list[str], tool: Tool | None) -> dict[str, Any]:
    """The arguments: a JSON object, and over it NAME=VALUE."""
    given: Any = {} if text is None else kept.read_json(text)
    if not isinstance(given, dict):
        raise UsageError('--arguments takes a JSON object, such as {"query": "wolf"}')
    properties: Mapping[str, Any] = {} if tool is None else tool.parameters.get("properties") or {}
    for value in values:
        name, equals, said = value.partition("=")
        if not equals or not name:
            raise UsageError(f"{value!r} is not NAME=VALUE, such as query=wolf")
        given[name] = _value(said, properties.get(name) or {})
    return given


def _value(said: str, schema: Mapping[str, Any]) -> Any:
    """What was typed: text where text is wanted, else JSON where it is any."""
    from wilk import codec

    kinds = schema.get("type")
    if kinds == "string" or any(isinstance(one, str) and one == said for one in schema.get("enum") or ()):
        return said
    try:
        return codec.parse(said)
    except WilkError:
        return said
