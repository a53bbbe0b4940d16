"""Everything but conversations, as LibreChat's documents."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from functools import cached_property
from hashlib import sha256
from typing import TYPE_CHECKING, Any

from wilk import models
from wilk.services.keeping.kinds import KINDS
from wilk.transfer.importers.librechat import agents, prompts
from wilk.transfer.importers.librechat.fields import NAME, at
from wilk.transfer.importers.librechat.files import KIND
from wilk.transfer.reading.ejson import ObjectId, decode

if TYPE_CHECKING:
    from wilk.contracts import Writing
    from wilk.records.connectome import Memory
    from wilk.records.people import Group, User
    from wilk.store import Store

Write = Callable[[str, Mapping[str, Any]], None]

_PAGE = 500
_OUTER = f"{NAME}:"
_NO_PLACE = (
    "summary", "pin", "block", "fact", "manifest", "reasoning_chain", "interaction", "pattern", "feedback",
    "preference", "world_model", "raw_message", "chunk", "system_state",
)  # fmt: skip
_CLOSED_PATHS = ("permissions", "memory", "workflows")


class Records:
    """Reads a store, and gives the documents of its people, definitions and records."""

    def __init__(self, store: Store, writing: Writing) -> None:
        self._store = store
        self._writing = writing

    def write(self, write: Write, user: str | None) -> None:
        """Write what belongs to a ``user``; None: to all, and what belongs to nobody."""
        for one in self._users(user):
            write("users", self.user(one))
        if user is None:
            for group in self._groups():
                write("groups", self._group(group))
            self._definitions(write)
        for collection, document in self._documents(user):
            write(collection, document)
        for memory in self._memories(user):
            if memory.metadata.get(NAME) is None and memory.user_id is None:
                self._writing.lost("memory")
            else:
                write("memoryentries", self._memory(memory))
        for id in self._tool_calls():
            call = self._store.tool_calls.get(id)
            session = self._store.sessions.find(call.session_id)
            if user is not None and (session is None or session.user_id != user):
                continue
            document = decode(call.metadata.get(NAME) or {})
            if "result" not in (call.metadata.get("without") or ()):
                document["result"] = decode(self._store.tool_calls.result(id))
            write("toolcalls", document)

    def left_out(self) -> None:
        """Count what there is of kinds that LibreChat has no place for."""
        engine = self._store._engine
        for kind in _NO_PLACE:
            model: Any = KINDS[kind].model()
            if number := engine.select(model.select(_count()))[0][0]:
                self._writing.lost(kind, number)
        if number := len(self._store.personas.list()):
            self._writing.lost("personas", number)

    # -- people ---------------------------------------------------------------------------

    def user_key(self, id: str | None) -> str | None:
        """The id that a user has in LibreChat: the one it came with, else one that is made of its own."""
        if id is None:
            return None
        user = self._store.users.find(id)
        outer = user.external_id if user is not None else None
        return outer[len(_OUTER) :] if outer and outer.startswith(_OUTER) else str(object_id(id))

    def user(self, user: User) -> dict[str, Any]:
        """The document of a user."""
        document: dict[str, Any] = decode(user.metadata.get(NAME) or {})
        if not document:
            if (user.external_id or "").startswith(_OUTER):
                # Only its id is known.
                return {"_id": _id(self.user_key(user.id))}
            document = {
                "_id": _id(self.user_key(user.id)), "username": user.id, "provider": "local", "role": "USER",
                "createdAt": user.created_at, "updatedAt": user.updated_at,
            }  # fmt: skip
        shown = next(
            (value for name in ("name", "username", "email") if (value := document.get(name))), user.id
        )
        if shown != user.name:
            document["name"] = user.name
        if user.email is not None and document.get("email") != user.email:
            document["email"] = user.email
        return document

    def _users(self, only: str | None) -> Iterator[User]:
        if only is not None:
            yield self._store.users.get(only)
            return
        after = None
        while page := self._store.users.list(limit=_PAGE, after=after):
            yield from page
            after = page[-1].id

    def _groups(self) -> Iterator[Group]:
        after = None
        while page := self._store.groups.list(limit=_PAGE, after=after):
            yield from page
            after = page[-1].id

    def _group(self, group: Group) -> dict[str, Any]:
        document: dict[str, Any] = decode(group.metadata.get(NAME) or {})
        if not document:
            document = {"_id": object_id(group.id), "source": "local", "createdAt": group.created_at}
        if document.get("name") != group.name:
            document["name"] = group.name
        there = [str(one) for one in document.get("memberIds") or () if isinstance(one, str)]
        members = [self.user_key(one.user_id) or "" for one in self._store.groups.members(group.id)]
        known = {one for one in there if len(one) == 24}
        if known != set(members):
            gone = known - set(members)
            document["memberIds"] = [one for one in there if one not in gone] + [
                one for one in members if one not in known
            ]
        return document

    # -- definitions ----------------------------------------------------------------------

    @cached_property
    def agent_ids(self) -> Mapping[str, str]:
        """The ids that agents have in LibreChat, by those that they have here."""
        found = {}
        for one in self._store.agents.list():
            id = at(one.definition, ("metadata", NAME, "id"))
            found[one.id] = id if isinstance(id, str) else one.id
        return found

    def _definitions(self, write: Write) -> None:
        store = self._store
        for id in self._in_order("agents", [one.id for one in store.agents.list()]):
            record = store.agents.get(id)
            current = dict(record.definition)
            revisions = [one.definition for one in store.agents.history(id)]
            write("agents", agents.document(current, self.agent_ids[id], revisions, id))
            if at(current, ("metadata", NAME)) is None:
                self._lost_of_agent(current)
        for id in self._in_order("presets", [one.id for one in store.presets.list()]):
            write("presets", prompts.preset_document(id, dict(store.presets.get(id).definition)))
        for id in self._in_order("prompts", [one.id for one in store.prompts.list()]):
            self._prompt(id, write)

    def _prompt(self, id: str, write: Write) -> None:
        record = self._store.prompts.get(id)
        current = dict(record.definition)
        group, made = prompts.documents(
            id, current, [one.definition for one in self._store.prompts.history(id)]
        )
        if group is None and not made:
            own, text = object_id(f"group {id}"), object_id(f"prompt {id}")
            group = {
                "_id": own, "name": record.name, "oneliner": current.get("description") or "",
                "category": current.get("category") or "", "productionId": text,
                "createdAt": record.created_at, "updatedAt": record.updated_at,
            }  # fmt: skip
            made = [
                {"_id": text, "groupId": own, "type": "text", "prompt": prompts.text_of(current),
                 "createdAt": record.created_at, "updatedAt": record.updated_at}
            ]  # fmt: skip
            if current.get("system") and (current.get("user_template") or current.get("template")):
                self._writing.lost("prompts.system")
        if group is not None:
            write("promptgroups", group)
        for one in made:
            write("prompts", one)

    def _lost_of_agent(self, definition: Mapping[str, Any]) -> None:
        for name in _CLOSED_PATHS:
            if definition.get(name):
                self._writing.lost(f"agents.{name}")
        if at(definition, ("prompts", "user_template")):
            self._writing.lost("agents.prompts.user_template")

    def _in_order(self, kind: str, ids: list[str]) -> list[str]:
        """Ids in the order in which they came in, so that names that clash fall out the same again."""
        there = {*ids}
        known = [id for id in self.imported(kind) if id in there]
        return [*dict.fromkeys([*known, *sorted(there)])]

    def imported(self, kind: str) -> Iterator[str]:
        """The ids of what was taken over from LibreChat, in the order in which it first came."""
        one = models.ImportedRecord
        engine = self._store._engine
        after: tuple[Any, str] | None = None
        while True:
            query = one.select(one.target_id, one.created_at, one.key).where(
                one.importer == NAME, one.kind == kind
            )
            if after is not None:
                query = query.where(
                    (one.created_at > after[0]) | ((one.created_at == after[0]) & (one.key > after[1]))
                )
            rows = engine.select(query.order_by(one.created_at, one.key).limit(_PAGE))
            for target, _, _ in rows:
                yield target
            if len(rows) < _PAGE:
                return
            after = (rows[-1][1], rows[-1][2])

    # -- documents, memories, calls ---------------------------------------------------------

    def _documents(self, user: str | None) -> Iterator[tuple[str, dict[str, Any]]]:
        after = None
        while page := self._store.documents.list(user=user, limit=_PAGE, after=after):
            for one in page:
                if one.kind.startswith(KIND):
                    collection = (one.metadata.get(NAME) or {}).get("collection")
                    yield str(collection or one.kind[len(KIND) :]), decode(one.data)
                else:
                    self._writing.lost("document")
            after = page[-1].id

    def _memories(self, user: str | None) -> Iterator[Memory]:
        memory = models.Memory
        query = memory.select(memory.id).order_by(memory.pk)
        if user is not None:
            query = query.where(memory.user_id == user)
        for (id,) in self._store._engine.select(query):
            yield self._store.memories.get(id)

    def _memory(self, memory: Memory) -> dict[str, Any]:
        rest = memory.metadata.get(NAME)
        if rest is None:
            return {
                "_id": object_id(memory.id), "userId": _id(self.user_key(memory.user_id)),
                "key": "".join(c if c.isalpha() else "_" for c in memory.kind.lower()) or "note",
                "value": memory.content, "tokenCount": memory.tokens, "updated_at": memory.updated_at,
            }  # fmt: skip
        document: dict[str, Any] = decode(rest)
        if "value" not in document:
            document["value"] = memory.content
        return document

    def _tool_calls(self) -> list[str]:
        call = models.ToolCall
        query = call.select(call.id).where(call.id.startswith(f"{NAME}/toolcalls/")).order_by(call.id)
        return [id for (id,) in self._store._engine.select(query)]


def object_id(text: str) -> ObjectId:
    """An id of MongoDB's form that the same text always gives."""
    return ObjectId(sha256(text.encode(errors="surrogatepass")).hexdigest()[:24])


def _id(key: str | None) -> Any:
    if key is None:
        return None
    return ObjectId(key) if len(key) == 24 and all(c in "0123456789abcdef" for c in key) else key


def _count() -> Any:
    from peewee import SQL, fn

    return fn.COUNT(SQL("*"))
