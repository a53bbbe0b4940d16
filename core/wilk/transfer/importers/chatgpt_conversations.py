"""One conversation of ChatGPT's export: its tree, its messages, what tools were asked and answered."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any, Protocol

from wilk.clock import EPOCH
from wilk.contracts import IncomingCall, IncomingMessage, IncomingSession
from wilk.transfer.importers.chatgpt_contents import answers, call_of, content_of
from wilk.transfer.importers.mapped_trees import above, family, ordered
from wilk.transfer.reading import foreign

if TYPE_CHECKING:
    from wilk.contracts import Reading

NAME = "chatgpt"
PLAIN_AUTHOR: Mapping[str, Any] = {"name": None, "metadata": {}}
"""What authors have beside their role, unless there is something to say."""


class Export(Protocol):
    """What lies beside the conversations."""

    @property
    def has_files(self) -> bool: ...

    def file_of(self, pointer: Any) -> str | None: ...

    def feedback(self, message: str) -> list[Any]: ...

    def shared(self, conversation: str) -> list[Any]: ...


class Conversation:
    """One conversation."""

    def __init__(self, export: Export, key: str, item: Mapping[str, Any], reading: Reading) -> None:
        self._export = export
        self._key = key
        self._item = item
        self._reading = reading
        self._nodes: dict[str, dict[str, Any]] = {}
        for id, node in item["mapping"].items():
            if isinstance(node, dict):
                self._nodes[id] = node
                if not isinstance(node.get("message"), (dict, type(None))):
                    reading.fail("messages", f"{key}/{id}", "it is no object", "message")
            else:
                reading.fail("messages", f"{key}/{id}", "it is no object; a node with a message is wanted")
        self._family = family(self._nodes, "parent", "children")
        self._children = self._family.children()
        if self._family.missing:
            reading.warn("messages whose parent is not in the export begin a tree of their own", key)
        if any(
            [*foreign.listed(node.get("children"))] != self._children.get(id, [])
            for id, node in self._nodes.items()
        ):
            reading.warn("links between messages that did not agree were put right", key)
        self._said = {
            id: node["message"] for id, node in self._nodes.items() if isinstance(node.get("message"), dict)
        }

    def session(self, owner: str | None) -> IncomingSession:
        item = self._item
        began = foreign.moment(item.get("create_time"))
        found = ordered(self._family, self._said)
        if found.broken:
            self._reading.warn(
                "messages that follow themselves in a circle begin a tree of their own", self._key
            )
        times: dict[str, datetime | None] = {}
        for id in found.order:
            parent = found.parents[id]
            given = foreign.moment(self._said[id].get("create_time"))
            times[id] = given or (began if parent is None else times[parent])
        calls = {id: made for id in found.order if (made := call_of(id, self._said[id])) is not None}
        owed = {
            id: answer
            for id in found.order
            if (answer := answers(id, self._said, found.parents, calls)) is not None
        }
        results: dict[str, list[str]] = {}
        for id, call in owed.items():
            results.setdefault(call, []).append(id)
        messages = [self._message(id, found.parents[id], times, calls, owed, results) for id in found.order]
        wanted = self._shown(item.get("current_node"))
        followed = set(found.parents.values())
        leaves = [
            (times[id] or EPOCH, place, id) for place, id in enumerate(found.order) if id not in followed
        ]
        latest = max(leaves)[2] if leaves else None
        return IncomingSession(
            self._key,
            messages,
            name=foreign.name(item.get("title")),
            leaf=wanted or latest,
            user=owner,
            model=foreign.name(item.get("default_model_slug")),
            status="archived" if item.get("is_archived") is True else "active",
            metadata=self._metadata(wanted, began, [id for id in found.order if found.parents[id] is None]),
            created_at=began or next((times[id] for id in found.order if times[id]), None),
            updated_at=foreign.moment(item.get("update_time")),
        )

    # -- the tree -------------------------------------------------------------------------

    def _direct(self, id: str) -> str | None:
        """The node that one follows, or the one that it names and that is not there."""
        named = self._nodes[id].get("parent")
        missing = isinstance(named, str) and named != "" and named not in self._nodes
        return named if missing else self._family.parents[id]

    def _shown(self, current: Any) -> str | None:
        """The newest message of the visible branch."""
        if not isinstance(current, str) or current not in self._nodes:
            return None
        return current if current in self._said else above(current, self._family.parents, self._said)

    # -- messages -------------------------------------------------------------------------

    def _message(
        self,
        id: str,
        parent: str | None,
        times: Mapping[str, datetime | None],
        calls: Mapping[str, IncomingCall],
        owed: Mapping[str, str],
        results: Mapping[str, list[str]],
    ) -> IncomingMessage:
        message, node = self._said[id], self._nodes[id]
        author = foreign.mapping(message.get("author"))
        role = foreign.name(author.get("role")) or "user"
        more = foreign.mapping(message.get("metadata"))
        content = content_of(message.get("content"), self._located)
        parts = content.parts
        call = calls.get(id)
        made: tuple[IncomingCall, ...] = ()
        if call is not None:
            parts = [
                *(parts or ()),
                {"type": "tool_call", "id": id, "name": call.name, "arguments": call.arguments},
            ]
            made = (self._answered(call, times[id], results.get(id, ()), times),)
        if id in owed:
            said = {"type": "tool_result", "tool_call_id": owed[id], "name": calls[owed[id]].name}
            parts = [*(parts or ()), {**said, "content": content.text}]
        own: dict[str, Any] = {
            "id": id,
            **foreign.rest(message, "id", "author", "content", "create_time"),
        }
        if message.get("id") != id:
            own["message_id"] = message.get("id")
        if author != {"role": role, **PLAIN_AUTHOR}:
            own["author"] = message.get("author")
        if content.kept:
            own["content"] = content.kept
        given = message.get("create_time")
        if not _same(given, times[id]):
            own["create_time"] = given
        if (direct := self._direct(id)) != parent:
            own["parent"] = direct
        if len(self._children.get(id, ())) > 1:
            own["children"] = self._children[id]
        if unknown := foreign.rest(node, "id", "message", "parent", "children"):
            own["node"] = unknown
        metadata: dict[str, Any] = {NAME: foreign.apart(own)}
        if message.get("weight") == 0 or more.get("is_visually_hidden_from_conversation") is True:
            metadata["hidden"] = True
        if feedback := self._export.feedback(id):
            metadata["feedback"] = feedback
        if self._export.has_files and (files := self._attached(more)):
            metadata["files"] = files
        return IncomingMessage(
            id,
            role,
            content.text,
            parts=parts,
            parent=parent,
            model=foreign.name(more.get("model_slug")),
            calls=made,
            metadata=metadata,
            created_at=times[id],
        )

    def _answered(
        self,
        call: IncomingCall,
        at: datetime | None,
        results: Iterable[str],
        times: Mapping[str, datetime | None],
    ) -> IncomingCall:
        found = [(self._said[id], times[id]) for id in results]
        said = [content_of(message.get("content"), None) for message, _ in found]
        broken = [one for one in said if one.kind == "system_error"]
        status = "ok" if found and not broken else "error"
        error = None if status == "ok" else "it failed" if broken else "the export holds no result"
        return IncomingCall(
            call.call_id,
            call.name,
            call.arguments,
            foreign.joined([one.text for one in said]) if found else None,
            status,
            error,
            at,
            found[-1][1] if found else at,
        )

    def _located(self, pointer: Any) -> str | bool | None:
        """Where a file is in the export, False where it is not; None: there are no files at all."""
        return (self._export.file_of(pointer) or False) if self._export.has_files else None

    def _attached(self, more: Mapping[str, Any]) -> list[dict[str, Any]]:
        return [
            {
                "id": one.get("id"),
                "name": one.get("name"),
                "in_export": self._export.file_of(one.get("id")) or False,
            }
            for one in foreign.listed(more.get("attachments"))
            if isinstance(one, dict)
        ]

    def _metadata(self, shown: str | None, began: datetime | None, roots: Sequence[str]) -> dict[str, Any]:
        item = self._item
        own = foreign.rest(item, "title", "mapping", "create_time", "update_time", "current_node")
        if not _same(item.get("create_time"), began):
            own["create_time"] = item.get("create_time")
        updated = foreign.moment(item.get("update_time"))
        if not _same(item.get("update_time"), updated):
            own["update_time"] = item.get("update_time")
        if not isinstance(item.get("title"), str) or foreign.name(item["title"]) != item["title"]:
            own["title"] = item.get("title")
        if item.get("current_node") != shown:
            own["current_node"] = item.get("current_node")
        if len(roots) > 1:
            own["roots"] = roots
        empty = []
        for id, node in self._nodes.items():
            if id not in self._said:
                several = {"children": kids} if len(kids := self._children.get(id, [])) > 1 else {}
                more = foreign.rest(node, "children", "parent", "id")
                empty.append({"id": id, **more, "parent": self._direct(id), **several})
        if empty:
            own["nodes"] = empty
        metadata: dict[str, Any] = {NAME: foreign.apart(own)}
        if shared := self._export.shared(self._key):
            metadata["shared"] = shared
        return metadata


def _same(given: Any, at: datetime | None) -> bool:
    """Whether a time is told by what is kept of it."""
    return at is not None and isinstance(given, float) and given == foreign.seconds(at)
