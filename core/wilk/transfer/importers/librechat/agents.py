"""Agents of LibreChat as definitions, with their versions as revisions, and back again."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import pairwise
from typing import Any

from wilk.contracts import IncomingDefinition
from wilk.definitions.kinds import AGENT
from wilk.transfer.importers.librechat import fields, secrets, tools
from wilk.transfer.importers.librechat.fields import NAME, Field, at, kept, restored, same, storable

VERSION, ENTRY = "librechat_version", "librechat_entry"
MARK = ("metadata", VERSION)
_OWN = (NAME, VERSION, ENTRY)
_UNCOMPARED = frozenset(
    ["_id", "id", "createdAt", "updatedAt", "author", "updatedBy", "created_at", "updated_at", "__v",
     "versions", "actionsHash"]
)  # fmt: skip
"""What LibreChat itself leaves out when it looks whether a version is a new one."""
_RIGHTS = ((1, "view"), (2, "edit"), (4, "delete"), (8, "share"))

FIELDS = (
    Field("name", ("name",), fields.filled),
    Field("description", ("description",), fields.text),
    Field("category", ("category",), fields.text),
    Field("authorName", ("author",), fields.filled),
    Field("provider", ("model", "provider"), fields.text),
    Field("model", ("model", "name"), fields.text),
    Field("model_parameters", ("model", "parameters"), fields.mapping),
    Field("tools", ("tools",), fields.texts),
    Field("instructions", ("prompts", "system"), fields.text),
)

CLOSED: dict[str, Any] = {
    "filesystem": {"read": [], "write": []},
    "shell": {"allowed": [], "blocked": []},
}
"""What an agent from elsewhere may do here: nothing, until somebody writes it."""


def agent(
    document: Mapping[str, Any],
    lost: Callable[[str], None],
    warn: Callable[[str], None],
    sharing: Sequence[Mapping[str, Any]] = (),
) -> IncomingDefinition:
    """An agent with its versions, the oldest first. Raises KeyError where there is no ``id``."""
    id = document["id"]
    if not isinstance(id, str) or not id:
        raise KeyError("id")
    head = _clean({name: value for name, value in document.items() if name != "versions"}, lost)
    versions = document.get("versions")
    entries: list[dict[str, Any]] = []
    if isinstance(versions, list) and versions and all(isinstance(one, dict) for one in versions):
        entries = [_clean(one, lost) for one in versions]
    elif "versions" in document:
        head["versions"] = versions
        if versions not in (None, []):
            warn("agents whose versions are of another form than LibreChat's: kept as they are")
    made = [definition(entry, id, number) for number, entry in enumerate(entries, 1)]
    for number, one in enumerate(made, 1):
        one["metadata"][VERSION] = number
    last = _difference(head, entries[-1]) if entries else None
    current = definition(head, id, len(entries) or 1)
    if last is not None:
        made.pop()
        current["metadata"][VERSION] = len(entries)
        current["metadata"][ENTRY] = last
    if sharing:
        current["metadata"]["sharing"] = [*sharing]
    return IncomingDefinition("agents", key(document, id), id, current, made, mark=MARK)


def key(document: Mapping[str, Any], id: str) -> str:
    """The key of an agent: its ``id``, which is unique with the tenant."""
    tenant = document.get("tenantId")
    return f"{tenant}:{id}" if isinstance(tenant, str) and tenant else id


def definition(document: Mapping[str, Any], id: str, number: int) -> dict[str, Any]:
    """The definition that a document, or an entry of its versions, stands for."""
    made, rest = fields.take({"name": id, **document}, FIELDS, AGENT)
    if "name" not in document:
        rest.pop("name", None)
    elif document["name"] == id or str(document["name"]).endswith(")"):
        rest["name"] = document["name"]
    made.setdefault("name", storable(id))
    made["version"] = f"{number}.0.0"
    if isinstance(author := document.get("author"), str):
        if made.get("author") == str(author):
            rest["authorName"] = document["authorName"]
        made.setdefault("author", str(author))
    made["permissions"] = CLOSED
    made.setdefault("prompts", {})["user_template"] = ""
    if (budget := _budget(document.get("model_parameters"))) is not None:
        made["memory"] = {"max_context_tokens": budget}
    if flow := workflows(document):
        made["workflows"] = flow
    metadata: dict[str, Any] = {}
    if files := _files(document.get("tool_resources")):
        metadata["files"] = files
    metadata |= storable(tools.used(document.get("tools"), document.get("mcpServerNames")))
    made["metadata"] = {**metadata, NAME: kept(rest)}
    order = ("name", "version", "description", "category", "author", "model", "tools", "permissions",
             "prompts", "memory", "workflows", "metadata")  # fmt: skip
    return {name: made[name] for name in order if name in made}


def document(
    current: Mapping[str, Any], id: str, revisions: Iterable[Mapping[str, Any]], here: str
) -> dict[str, Any]:
    """The document of an agent as it is now; ``revisions`` are its definitions, the oldest first.

    ``id`` is its id there, ``here`` the one that it has here.

    The last entry of ``versions`` is the agent as it was taken over; what was changed here since is in the
    document itself, as LibreChat has it for what it changes without a version.
    """
    made = _fields(current, id, here)
    made.setdefault("id", id)
    found: dict[int, dict[str, Any]] = {}
    own = at(current, ("metadata", NAME)) is None
    for revision in revisions:
        number = len(found) + 1 if own else at(revision, MARK)
        if not isinstance(number, int) or number in found:
            continue
        entry = _fields(revision, id, here)
        if isinstance(last := at(revision, ("metadata", ENTRY)), Mapping):
            told = restored(last)
            without = told.pop("without", [])
            kept_names = entry.keys() - _UNCOMPARED - set(without if isinstance(without, list) else ())
            entry = {name: entry[name] for name in entry if name in kept_names} | told
        found[number] = entry
    if found and "versions" not in made:
        made["versions"] = [found[number] for number in sorted(found)]
    return made


def workflows(document: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Who goes on after whom: the edges, or the chain that they took the place of."""
    edges = document.get("edges")
    flow = []
    for edge in edges if isinstance(edges, list) else []:
        if not isinstance(edge, Mapping):
            continue
        step: dict[str, Any] = {
            "from": _listed(edge.get("from")),
            "to": _listed(edge.get("to")),
            "type": edge.get("edgeType") if isinstance(edge.get("edgeType"), str) else "handoff",
        }
        step |= {name: edge[name] for name in ("description", "prompt") if isinstance(edge.get(name), str)}
        flow.append(storable(step))
    chain = document.get("agent_ids")
    if not flow and isinstance(chain, list):
        way = [one for one in (document.get("id"), *chain) if isinstance(one, str)]
        flow = [storable({"from": [one], "to": [other], "type": "direct"}) for one, other in pairwise(way)]
    return flow


def sharing(entry: Mapping[str, Any]) -> dict[str, Any] | None:
    """Who may do what, by an entry of ``aclentries``."""
    rights = entry.get("permBits")
    if not isinstance(rights, int) or isinstance(rights, bool):
        return None
    made: dict[str, Any] = {"principal": str(entry.get("principalType") or "unknown")}
    if entry.get("principalId") is not None:
        made["id"] = str(entry["principalId"])
    return {**made, "may": [name for bit, name in _RIGHTS if rights & bit]}


def _fields(current: Mapping[str, Any], id: str, here: str) -> dict[str, Any]:
    rest = restored(at(current, ("metadata", NAME)))
    made = fields.give(current, rest, FIELDS, AGENT)
    nameless = fields.filled(rest.get("name")) is None and current.get("name") == storable(rest.get("id", id))
    if rest and nameless:
        made.pop("name", None)
        made |= {"name": rest["name"]} if "name" in rest else {}
    if (
        "authorName" not in rest
        and rest.get("author") is not None
        and current.get("author") == rest["author"]
    ):
        made.pop("authorName", None)
    if "name" in made and "name" not in rest:
        made["name"] = str(made["name"]).removesuffix(f" ({here})")
    budget = at(current, ("memory", "max_context_tokens"))
    parameters = made.get("model_parameters")
    if budget is not None and budget != _budget(parameters):
        made["model_parameters"] = {**(parameters or {}), "maxContextTokens": budget}
    return made


def _difference(head: Mapping[str, Any], entry: Mapping[str, Any]) -> dict[str, Any] | None:
    """What the last entry says otherwise than the document, where they are the same version; else None."""
    if any(name not in head or not same(head[name], entry[name]) for name in entry.keys() - _UNCOMPARED):
        return None
    more = [name for name in head if name not in entry and name not in _UNCOMPARED]
    if any(head[name] not in (None, "", [], {}, False, "general") for name in more if name != "tenantId"):
        return None
    told = {name: value for name, value in entry.items() if name in _UNCOMPARED}
    return kept({**told, **({"without": more} if more else {})})


def _clean(document: Mapping[str, Any], lost: Callable[[str], None]) -> dict[str, Any]:
    """A document without what stands under telling names; those of tools tell nothing."""
    made = {}
    for name, value in document.items():
        path = f"agents.{name}"
        if name in ("tool_options", "tool_resources"):
            made[name] = secrets.without(value, path, lost, names=False)
        elif name in ("instructions", "description", "name"):
            made[name] = value
        else:
            made |= secrets.without({name: value}, "agents", lost)
    return made


def _files(resources: Any) -> dict[str, list[str]]:
    if not isinstance(resources, Mapping):
        return {}
    found = {
        storable(name): [storable(str(id)) for id in held["file_ids"]]
        for name, held in resources.items()
        if isinstance(held, Mapping) and isinstance(held.get("file_ids"), list)
    }
    return {name: ids for name, ids in found.items() if ids}


def _budget(parameters: Any) -> int | None:
    for name in ("maxContextTokens", "max_context_tokens"):
        value = parameters.get(name) if isinstance(parameters, Mapping) else None
        if isinstance(value, int) and not isinstance(value, bool) and 1 <= value < 2**53:
            return value
    return None


def _listed(value: Any) -> list[str]:
    return [str(one) for one in value] if isinstance(value, list) else [] if value is None else [str(value)]
