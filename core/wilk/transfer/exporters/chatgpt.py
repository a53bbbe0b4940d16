"""ChatGPT's form: ``conversations.json``, a list of conversations that each have a mapping of messages.

What came from ChatGPT goes back as it came, with what was said here since; what wilk or another importer made
gets the same shape. What the form has no place for is told as lost.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any

from wilk import codec
from wilk.records.conversation import BranchMessage
from wilk.transfer.importers.chatgpt_contents import content_again
from wilk.transfer.importers.chatgpt_conversations import NAME, PLAIN_AUTHOR
from wilk.transfer.reading import foreign

if TYPE_CHECKING:
    from pathlib import Path

    from wilk.contracts import Choice, Writing
    from wilk.records.conversation import Message, Session
    from wilk.store import Store

_ROOT = "client-created-root"
_PAGE = 500
_OF_SESSION = ("nodes", "roots", "title", "create_time", "update_time", "current_node")
_OF_MESSAGE = ("id", "message_id", "author", "content", "create_time", "parent", "children", "node")
_TOLD = (NAME, "hidden", "files", "imported_name")


def write(store: Store, target: Path, choice: Choice, writing: Writing) -> None:
    with target.open("wb") as file:
        before = b"[\n"
        for session in _sessions(store, choice):
            conversation = _Conversation(store, session, writing).document()
            file.write(before + codec.pretty(conversation).encode())
            before = b",\n"
            writing.count("sessions")
        file.write(b"[]\n" if before == b"[\n" else b"\n]\n")


def _sessions(store: Store, choice: Choice) -> Iterator[Session]:
    if choice.sessions is not None:
        for id in choice.sessions:
            yield store.sessions.get(id)
        return
    after = None
    while page := store.sessions.list(user=choice.user, limit=_PAGE, after=after):
        yield from page
        after = page[-1].id


class _Conversation:
    """A session on its way into a conversation."""

    def __init__(self, store: Store, session: Session, writing: Writing) -> None:
        self._store = store
        self._session = session
        self._writing = writing
        self._own: Mapping[str, Any] = foreign.mapping(session.metadata.get(NAME))
        self._from_there = NAME in session.metadata
        self._called: dict[str, str] = {}  # the names of tools, by the ids of calls
        self._nodes: dict[str, dict[str, Any]] = {}
        self._order: dict[str, Sequence[Any]] = {}  # the order of children, where the source told it
        self._last: dict[str, str] = {}  # the last node of each message
        self._came: set[str | None] = {None}  # nodes that came from there

    def document(self) -> dict[str, Any]:
        session, own = self._session, self._own
        self._tell_lost()
        for node in foreign.listed(own.get("nodes")):
            if isinstance(node, dict) and isinstance(node.get("id"), str):
                self._nodes[node["id"]] = {**foreign.rest(node, "children"), "children": []}
                self._order[node["id"]] = foreign.listed(node.get("children"))
        if not self._from_there:
            self._nodes[_ROOT] = {"id": _ROOT, "message": None, "parent": None, "children": []}
        shown = None
        for message in self._messages():
            visible = not isinstance(message, BranchMessage)
            parent = message.parent_id if message.parent_id in self._last else None
            if parent is None and visible:
                parent = shown
            self._add(message, None if parent is None else self._last[parent])
            if visible:
                shown = message.id
            self._writing.count("messages")
        self._link()
        first = {id: number for number, id in enumerate(foreign.listed(own.get("roots")))}
        self._nodes = dict(sorted(self._nodes.items(), key=lambda node: first.get(node[0], len(first))))
        return {
            "title": self._title(),
            "create_time": self._time("create_time", session.created_at),
            "update_time": self._time("update_time", session.updated_at),
            "mapping": self._nodes,
            "current_node": self._current(shown),
            **({} if self._from_there else self._made_here()),
            **foreign.rest(own, *_OF_SESSION),
            **self._archived(),
        }

    # -- the conversation itself ----------------------------------------------------------

    def _title(self) -> Any:
        given = self._own.get("title")
        return (
            given
            if "title" in self._own and foreign.name(given) == self._session.name
            else self._session.name
        )

    def _time(self, name: str, at: datetime) -> Any:
        given = self._own.get(name)
        return given if name in self._own and foreign.moment(given) in (None, at) else foreign.seconds(at)

    def _current(self, shown: str | None) -> Any:
        """The newest visible node; where the source named one above it without a message, that one."""
        given, last = self._own.get("current_node"), self._last.get(shown or "")
        if "current_node" not in self._own or last not in self._came:
            return last
        there = isinstance(given, str) and given in self._nodes
        return given if not there or self._leads(given, last) else last

    def _made_here(self) -> dict[str, Any]:
        session = self._session
        return {"conversation_id": session.id, "id": session.id, "default_model_slug": session.model}

    def _archived(self) -> dict[str, Any]:
        archived = self._session.status == "archived"
        return {} if archived is (self._own.get("is_archived") is True) else {"is_archived": archived}

    def _tell_lost(self) -> None:
        """Tell what a conversation of ChatGPT has no place for."""
        session, store, lost = self._session, self._store, self._writing.lost
        values = {
            "agents": session.active_agents, "persona": session.persona_id, "user": session.user_id,
            "group": session.group_id, "working_directory": session.working_directory,
            "recap": session.recap, "context_file": session.context_file,
        }  # fmt: skip
        for name, value in values.items():
            if value:
                lost(f"session.{name}")
        for name in session.metadata.keys() - set(_TOLD):
            lost(f"session.metadata.{name}")
        for name, found in (("pins", store.pins), ("summaries", store.summaries)):
            if count := len(found.list(session.id)):
                lost(f"session.{name}", count)

    # -- messages -------------------------------------------------------------------------

    def _messages(self) -> Iterator[Message | BranchMessage]:
        """The visible messages, and then those of the branches, parents before children."""
        store, id = self._store, self._session.id
        after = 0
        while page := store.messages.page(id, after=after, limit=_PAGE):
            yield from page
            after = page[-1].sequence
        told: set[str] = set()
        for branch in reversed(store.branches.list(id)):
            for message in store.branches.messages(id, branch.leaf_id):
                if isinstance(message, BranchMessage) and message.id not in told:
                    told.add(message.id)
                    yield message

    def _add(self, message: Message | BranchMessage, parent: str | None) -> None:
        own = foreign.mapping(message.metadata.get(NAME))
        if message.agent_id:
            self._writing.lost("message.agent")
        for name in message.metadata.keys() - set(_TOLD):
            self._writing.lost(f"message.metadata.{name}")
        if isinstance(own.get("id"), str) and own["id"] not in self._nodes:
            self._node(own["id"], own, self._again(message, own), parent)
            if "parent" in own and (parent is None or self._leads(own["parent"], parent)):
                self._nodes[own["id"]]["parent"] = own["parent"]
            self._order[own["id"]] = foreign.listed(own.get("children"))
            self._last[message.id] = own["id"]
            self._came.add(own["id"])
            return
        if parent is None and not self._from_there:
            parent = _ROOT
        for number, (author, recipient, content) in enumerate(self._pieces(message)):
            id = message.id if number == 0 else f"{message.id}~call-{number}"  # importers name parts ~1, ~2
            said = {
                "id": id, "author": author, "create_time": foreign.seconds(message.created_at),
                "update_time": None, "content": content, "status": "finished_successfully", "end_turn": None,
                "weight": 0.0 if message.metadata.get("hidden") is True else 1.0,
                "metadata": {"model_slug": message.model} if message.model else {},
                "recipient": recipient, "channel": None,
            }  # fmt: skip
            self._node(id, {}, said, parent)
            parent = id
        self._last[message.id] = parent or message.id

    def _leads(self, given: Any, parent: str | None) -> bool:
        """Whether the way from a node without a message, or one that is not there, is the way to a parent."""
        seen = set()
        while isinstance(given, str) and given in self._nodes:
            if isinstance(self._nodes[given].get("message"), dict):
                break
            if given in seen:
                return False
            seen.add(given)
            given = self._nodes[given].get("parent")
        return bool(given == parent)

    def _node(self, id: str, own: Mapping[str, Any], message: dict[str, Any], parent: str | None) -> None:
        more = foreign.mapping(own.get("node"))
        self._nodes[id] = {"id": id, "message": message, "parent": parent, "children": [], **more}

    def _again(self, message: Message | BranchMessage, own: Mapping[str, Any]) -> dict[str, Any]:
        """A message that came from ChatGPT, as it came."""
        given = own.get("create_time")
        timed = "create_time" in own and foreign.moment(given) in (None, message.created_at)
        return {
            "id": own["message_id"] if "message_id" in own else own["id"],
            "author": own.get("author", {"role": message.role, **PLAIN_AUTHOR}),
            "create_time": given if timed else foreign.seconds(message.created_at),
            "content": content_again(message.text, message.parts, foreign.mapping(own.get("content"))),
            **foreign.rest(own, *_OF_MESSAGE),
        }

    def _pieces(self, message: Message | BranchMessage) -> Iterator[tuple[dict[str, Any], str, Any]]:
        """Author, recipient and content of what a message becomes: there each call is a message."""
        parts = [part for part in message.parts or () if isinstance(part, Mapping)]
        calls = [part for part in parts if part.get("type") == "tool_call"]
        results = [part for part in parts if part.get("type") == "tool_result"]
        author = {"role": message.role, **PLAIN_AUTHOR}
        if results:
            for part in results:
                name = part.get("name") or self._called.get(foreign.text(part.get("tool_call_id")))
                said = message.text if len(results) == 1 else _text(part.get("content"))
                content = {"content_type": "text", "parts": [said or _text(part.get("content"))]}
                yield {**author, "name": name}, "all", content
            return
        if message.text or not calls or len(parts) > len(calls):
            yield author, "all", content_again(message.text, message.parts, {})
        for part in calls:
            name = foreign.name(part.get("name")) or "unknown"
            self._called[foreign.text(part.get("id"))] = name
            said = _text(part.get("arguments"))
            yield author, name, {"content_type": "code", "language": "unknown", "text": said}
        if len(calls) > 1:
            self._writing.lost("message.parts.tool_call.id", len(calls))

    def _link(self) -> None:
        """Give each node its children, in the order that the source told, new ones behind them."""
        children: dict[str, list[str]] = {}
        for id, node in self._nodes.items():
            if isinstance(parent := node.get("parent"), str):
                children.setdefault(parent, []).append(id)
        for id, node in self._nodes.items():
            place = {
                one: number for number, one in enumerate(self._order.get(id, ())) if isinstance(one, str)
            }
            node["children"] = sorted(children.get(id, ()), key=lambda one: place.get(one, len(place)))


def _text(value: Any) -> str:
    return value if isinstance(value, str) else "" if value is None else codec.pretty(value)
