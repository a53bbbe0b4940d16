"""Names of tools as LibreChat writes them, and what they stand for."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, NamedTuple

_MCP = "_mcp_"
_ACTION = "_action_"
_WHOLE = "sys__server__sys"


class ToolName(NamedTuple):
    """A tool: ``kind`` is ``plain``, ``mcp``, ``server`` (all of an MCP server) or ``action``.

    ``name`` is the tool or operation (empty for a whole server), ``where`` the server or domain.
    """

    kind: str
    name: str
    where: str | None = None


def split(text: str, servers: Iterable[str] = ()) -> ToolName:
    """Split a name. ``servers`` are the known ones, as names of servers may hold the delimiter too: the
    longest that fits is taken, and where none does, what stands behind the last delimiter."""
    if _ACTION in text and not text.endswith(_ACTION):
        name, _, domain = text.rpartition(_ACTION)
        return ToolName("action", name, domain.replace("---", "."))
    if _MCP not in text:
        return ToolName("plain", text)
    for server in sorted(servers, key=len, reverse=True):
        if server and text.endswith(_MCP + server) and len(text) > len(_MCP + server):
            name, where = text[: -len(_MCP + server)], server
            break
    else:
        name, _, where = text.rpartition(_MCP)
        if not name or not where:
            return ToolName("plain", text)
    return ToolName("server", "", where) if name == _WHOLE else ToolName("mcp", name, where)


def used(tools: Any, servers: Any) -> dict[str, Any]:
    """By server and by domain the tools that a list of names uses; ``True`` is all of a server."""
    known = [one for one in servers if isinstance(one, str)] if isinstance(servers, list) else []
    of_servers: dict[str, Any] = {}
    of_domains: dict[str, list[str]] = {}
    for text in tools if isinstance(tools, list) else []:
        if not isinstance(text, str):
            continue
        kind, name, where = split(text, known)
        if kind == "server" and where:
            of_servers[where] = True
        elif kind == "mcp" and where and of_servers.get(where) is not True:
            of_servers.setdefault(where, []).append(name)
        elif kind == "action" and where:
            of_domains.setdefault(where, []).append(name)
    made: dict[str, Any] = {}
    if of_servers:
        made["mcp_servers"] = of_servers
    if of_domains:
        made["action_domains"] = of_domains
    return made
