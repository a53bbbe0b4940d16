"""One conversation of Claude.ai's export: its tree, and its messages with blocks and attachments."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import datetime
from typing import TYPE_CHECKING, Any

from wilk.clock import EPOCH
from wilk.contracts import IncomingMessage, IncomingSession
from wilk.transfer.importers.anthropic_blocks import Turn, turns
from wilk.transfer.reading import foreign
from wilk.transfer.trees import Node, tree

if TYPE_CHECKING:
    from wilk.contracts import Reading

NAME = "claude"
_ROOT = "00000000-0000-4000-8000-000000000000"
_PLACEHOLDER = re.compile(r"(?:```)?\s*This block is not supported on your current device yet\.\s*(?:```)?")


class Conversation:
    """One conversation."""

    def __init__(self, key: str, item: Mapping[str, Any], reading: Reading) -> None:
        self._key = key
        self._item = item
        self._reading = reading

    def session(self, owner: str | None) -> IncomingSession:
        item = self._item
        began = foreign.moment(item.get("created_at"))
        said = self._messages()
        order, parents, leaf = self._order(said, began)
        last: dict[str, str] = {}  # the last message that each of theirs becomes
        last_at: dict[str, datetime | None] = {}
        messages: list[IncomingMessage] = []
        for id in order:
            parent = parents[id]
            at = foreign.moment(said[id].get("created_at"))
            last_at[id] = at or (began if parent is None else last_at[parent])
            made = self._made(id, said[id], None if parent is None else last[parent], last_at[id])
            messages += made
            last[id] = made[-1].key
        own = foreign.rest(item, "name", "chat_messages", "created_at", "updated_at", "summary")
        own.update({name: item[name] for name in ("created_at", "updated_at") if item.get(name) and
                    foreign.moment(item[name]) is None})  # fmt: skip
        if item.get("name") is not None and not isinstance(item["name"], str):
            own["name"] = item["name"]
        recap = item.get("summary")
        if recap is not None and not isinstance(recap, str):
            own["summary"] = recap
        status = "archived" if item.get("is_archived") is True else "active"
        return IncomingSession(
            self._key,
            messages,
            name=foreign.name(item.get("name")),
            leaf=None if leaf is None else last[leaf],
            user=owner,
            model=foreign.name(item.get("model")),
            status=status,
            recap=recap if isinstance(recap, str) and recap else None,
            metadata={NAME: foreign.apart(own)},
            created_at=began,
            updated_at=foreign.moment(item.get("updated_at")),
        )

    def _messages(self) -> dict[str, Mapping[str, Any]]:
        found: dict[str, Mapping[str, Any]] = {}
        for number, message in enumerate(self._item["chat_messages"]):
            where = f"{self._key}.chat_messages[{number}]"
            if not isinstance(message, dict):
                self._reading.fail("messages", where, "it is no object")
                continue
            id = foreign.key(message.get("uuid"), self._key, number)
            if id in found:
                self._reading.warn("messages whose id came twice got another one", self._key)
                id = foreign.key(None, self._key, number)
            found[id] = message
        return found

    def _order(
        self, said: Mapping[str, Mapping[str, Any]], began: datetime | None
    ) -> tuple[list[str], dict[str, str | None], str | None]:
        """The messages in order, their parents, and the newest visible one."""
        if not any(message.get("parent_message_uuid") for message in said.values()):
            order = [*said]
            parents: dict[str, str | None] = dict(zip(order, [None, *order], strict=False))
            return order, parents, order[-1] if order else None
        place = {id: number for number, id in enumerate(said)}
        nodes = []
        for id, message in said.items():
            above = message.get("parent_message_uuid")
            nodes.append(
                Node(id, above if isinstance(above, str) and above and above != _ROOT else None, place[id])
            )
        found = tree(nodes)
        if found.orphans:
            self._reading.warn(
                "messages whose parent is not in the export begin a tree of their own", self._key
            )
        if found.broken:
            self._reading.warn(
                "messages that follow themselves in a circle begin a tree of their own", self._key
            )
        leaf = self._item.get("current_leaf_message_uuid")
        if not isinstance(leaf, str) or leaf not in said:
            followed = set(found.parents.values())
            ends = [id for id in found.order if id not in followed]
            leaf = max(
                ends,
                key=lambda id: (foreign.moment(said[id].get("created_at")) or began or EPOCH, place[id]),
                default=None,
            )
        return [*found.order], found.parents, leaf

    def _made(
        self, id: str, message: Mapping[str, Any], parent: str | None, at: datetime | None
    ) -> list[IncomingMessage]:
        """The messages that one of theirs becomes: results of tools are messages of their own."""
        sender = foreign.name(message.get("sender")) or "human"
        role = {"human": "user"}.get(sender, sender)
        content = message.get("content")
        own = foreign.rest(message, "text", "content", "created_at", "parent_message_uuid")
        plain = foreign.text(message.get("text"))
        listed = content if isinstance(content, list) else []
        found = turns(listed, id, role, at)
        if not found or not any(turn.text or turn.parts for turn in found):
            found = [Turn(id, role, plain, None, ())]  # older exports have the text alone
            if content not in (None, []):
                own["content"] = content
        else:
            said = foreign.joined([turn.text for turn in found if turn.role != "tool"])
            if plain and _told(plain) != _told(said):
                own["text"] = plain
        if content is not None and not isinstance(content, list):
            own["content"] = content
        if message.get("created_at") is not None and foreign.moment(message["created_at"]) is None:
            own["created_at"] = message["created_at"]
        if message.get("parent_message_uuid") not in (None, parent):
            own["parent_message_uuid"] = message["parent_message_uuid"]
        attached = [self._attached(one) for one in foreign.listed(message.get("attachments"))]
        made = []
        for number, turn in enumerate(found):
            parts = turn.parts
            if number == 0 and attached:
                parts = [*(parts or ([{"type": "text", "text": turn.text}] if turn.text else [])), *attached]
                own.pop("attachments", None)
            made.append(
                IncomingMessage(
                    turn.key,
                    turn.role,
                    turn.text,
                    parts=parts,
                    parent=parent,
                    model=foreign.name(message.get("model")),
                    calls=turn.calls,
                    metadata={NAME: foreign.apart(own) if number == 0 else {"uuid": id, "part": number}},
                    created_at=turn.at or at,
                )
            )
            parent = turn.key
        return made

    def _attached(self, one: Any) -> dict[str, Any]:
        """An attachment with the text that was taken out of it."""
        if not isinstance(one, dict) or "type" in one:
            return {"type": "attachment", "attachment": one}
        return {"type": "attachment", **one}


def _told(text: str) -> str:
    """A text without what only stands for blocks, to be compared."""
    return " ".join(_PLACEHOLDER.sub(" ", text).split())
