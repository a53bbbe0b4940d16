"""Sessions as LibreChat's conversations and messages: calls and their results are one part again."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from wilk.transfer.importers.librechat import content as contents
from wilk.transfer.importers.librechat.conversations import ALONE, LISTED
from wilk.transfer.importers.librechat.fields import NAME, storable
from wilk.transfer.importers.librechat.messages import OF, OWN, ROOT, SHOWN, WITHOUT, made_at, moment
from wilk.transfer.reading.ejson import decode

if TYPE_CHECKING:
    from datetime import datetime

    from wilk.contracts import Choice, Writing
    from wilk.records.conversation import BranchMessage, Message, Session
    from wilk.store import Store
    from wilk.transfer.exporters.librechat.records import Records

    Said = Message | BranchMessage

_PAGE = 500
_IMPORTED = "imported_id"


class _Whole(NamedTuple):
    """What is one message there: here it is one, and those that tools brought about behind it."""

    messages: list[Any]
    parent: str | None


class Conversations:
    """Gives the documents of sessions."""

    def __init__(self, store: Store, writing: Writing, records: Records) -> None:
        self._store = store
        self._writing = writing
        self._records = records

    def chosen(self, choice: Choice) -> Iterator[Session]:
        """The sessions of a choice; those that came from LibreChat in their order, then the others."""
        sessions = self._store.sessions
        if choice.sessions is not None:
            yield from map(sessions.get, choice.sessions)
            return
        known: set[str] = set()
        for id in self._records.imported("sessions"):
            known.add(id)
            found = sessions.find(id)
            if found is not None and choice.user in (None, found.user_id):
                yield found
        after = None
        while page := sessions.list(user=choice.user, limit=_PAGE, after=after):
            yield from (one for one in page if one.id not in known)
            after = page[-1].id

    def session(self, id: str) -> Session:
        return self._store.sessions.get(id)

    # -- conversations --------------------------------------------------------------------

    def conversation(
        self, session: Session, messages: Sequence[tuple[Any, Any]] | None, *, alone: bool = False
    ) -> dict[str, Any] | None:
        """The conversation of a session; None where there was none, but only messages.

        ``messages`` are times and ids of its messages, for the list of them.
        """
        metadata = session.metadata
        rest = metadata.get(NAME)
        if rest is None and metadata.get(ALONE) is not None and not alone:
            return None
        document: dict[str, Any] = decode(rest) if isinstance(rest, Mapping) else self._fresh(session)
        if session.name is not None and storable(document.get("title")) != session.name:
            document["title"] = session.name
        self._settings(session, document, imported=isinstance(rest, Mapping))
        user = self.user(session)
        if document.get("user") != user and (user is not None or document.get("user")):
            document["user"] = user
        if (document.get("isArchived") is True) != (session.status == "archived"):
            document["isArchived"] = session.status == "archived"
        before = moment(document.get("updatedAt"))
        if before is not None and session.updated_at > before and self._goes_on(session):
            document["updatedAt"] = session.updated_at
        if messages is not None and (metadata.get(LISTED) is not None or not isinstance(rest, Mapping)):
            listed = [id for at, id in sorted(messages, key=_by_time) if id is not None]
            document["messages"] = listed if metadata.get(LISTED) is not False else []
        return document

    def _fresh(self, session: Session) -> dict[str, Any]:
        agents = session.active_agents
        document: dict[str, Any] = {
            "conversationId": session.id, "title": session.name or "New Chat", "user": None,
            "endpoint": "agents" if agents else "openAI", "isArchived": False,
            "createdAt": session.created_at, "updatedAt": session.updated_at,
        }  # fmt: skip
        if session.recap is not None:
            self._writing.lost("session.recap")
        if session.working_directory is not None:
            self._writing.lost("session.working_directory")
        return document

    def _settings(self, session: Session, document: dict[str, Any], *, imported: bool) -> None:
        settings = self._store.settings
        agents = session.active_agents
        named = [self._records.agent_ids.get(id, id) for id in agents]
        given = document.get("agent_id")
        if agents and given not in named:
            document["agent_id"] = named[0]
        if len(agents) > 1:
            self._writing.lost("session.agents", len(agents) - 1)
        model = document.get("model")
        kept = isinstance(model, str) and model and not model.startswith("agent_")
        changed = model != session.model if kept else session.model != settings.default_model
        if changed or not imported:
            document["model"] = session.model
        budget = document.get("maxContextTokens")
        sized = isinstance(budget, int) and not isinstance(budget, bool) and 1 <= budget < 2**31
        if (budget != session.max_tokens) if sized else (session.max_tokens != settings.max_tokens):
            document["maxContextTokens"] = session.max_tokens

    def user(self, session: Session) -> str | None:
        """The user of a conversation, by the id that it has there."""
        rest = session.metadata.get(NAME)
        given = rest.get("user") if isinstance(rest, Mapping) else None
        key = self._records.user_key(session.user_id)
        if key is None:
            return None
        user = self._store.users.find(session.user_id or "")
        came = user is not None and (user.external_id or "").startswith(f"{NAME}:")
        return key if came or not isinstance(given, str) else given

    def _goes_on(self, session: Session) -> bool:
        newest = self._store.messages.last(session.id, 1)
        return bool(newest) and not _came(newest[0])

    # -- messages -------------------------------------------------------------------------

    def messages(self, session: Session) -> Iterator[dict[str, Any]]:
        """The messages of a session, of all its branches."""
        rest = session.metadata.get(NAME)
        id = rest.get("conversationId") if isinstance(rest, Mapping) else None
        talk = _Talk(self, session, id if isinstance(id, str) else _source_id(session), self.user(session))
        rows = self._store.branches._all(session.id)
        held: dict[str, Any] | None = None
        newest: _Whole | None = None
        for whole in self._visible(session):
            if held is not None:
                yield held
            held, newest = talk.document(whole), whole
        if held is not None and newest is not None:
            if _is_older(newest.messages[0], rows):
                # LibreChat shows the latest; here it is another one.
                metadata = held.get("metadata") or {}
                held["metadata"] = {**metadata, OWN: {**metadata.get(OWN, {}), SHOWN: True}}
            yield held
        for whole in self._branches(rows):
            yield talk.document(whole)

    def _visible(self, session: Session) -> Iterator[_Whole]:
        held: _Whole | None = None
        before: str | None = None
        for message in self._all(session):
            if held is not None and _belongs(held, message):
                held.messages.append(message)
            else:
                if held is not None:
                    yield held
                held = _Whole([message], message.parent_id or before)
            before = message.id
        if held is not None:
            yield held

    def _all(self, session: Session) -> Iterator[Message]:
        after = 0
        while page := self._store.messages.page(session.id, after=after, limit=_PAGE):
            yield from page
            after = page[-1].sequence

    def _branches(self, rows: Sequence[BranchMessage]) -> Iterator[_Whole]:
        following: dict[str | None, list[BranchMessage]] = {}
        for row in rows:
            following.setdefault(row.parent_id, []).append(row)
        taken: set[str] = set()
        for row in rows:
            if row.id in taken:
                continue
            whole = _Whole([row], row.parent_id)
            while (
                (more := following.get(whole.messages[-1].id)) and len(more) == 1 and _belongs(whole, more[0])
            ):
                whole.messages.append(more[0])
                taken.add(more[0].id)
            yield whole

    def agent(self, id: str) -> str:
        return self._records.agent_ids.get(id, id)


class _Talk:
    """One conversation on its way out: ids of messages there, by those that they have here."""

    def __init__(self, talks: Conversations, session: Session, id: str, user: str | None) -> None:
        self._talks = talks
        self._session = session
        self._id = id
        self._user = user
        self._ids: dict[str, str] = {}

    def document(self, whole: _Whole) -> dict[str, Any]:
        """The document of a message."""
        first = whole.messages[0]
        metadata = first.metadata
        came = _came(first)
        rest = metadata.get(NAME)
        made: dict[str, Any] = decode(rest) if isinstance(rest, Mapping) else {}
        without = set(metadata.get(WITHOUT) or ())
        id = str((came and metadata.get(_IMPORTED)) or first.id)  # another importer's is no id there
        for message in whole.messages:
            if message.id != id:
                self._ids[message.id] = id
        parent = None if whole.parent is None else self._ids.get(whole.parent, whole.parent)
        role = first.role
        wanted: dict[str, Any] = {
            "messageId": id,
            "conversationId": self._id,
            "user": self._user,
            "parentMessageId": parent or ROOT,
            "isCreatedByUser": role == "user",
            "text": "" if first.parts is not None and came else first.text,
            "createdAt": first.created_at,
        }
        if len(whole.messages) == 1:
            wanted["tokenCount"] = first.tokens
        for name, value in wanted.items():
            if name not in made and name not in without:
                made[name] = value
        own = {} if came else self._own(whole, made)
        if role not in ("user", "assistant"):
            own["role"] = role
        if first.parts is not None and "content" not in made and "parts" not in own:
            made["content"] = self._content(whole.messages)
        if first.agent_id is not None and role != "user":
            made.setdefault("model", self._talks.agent(first.agent_id))
        elif first.model is not None:
            made.setdefault("model", first.model)
        if own:
            made["metadata"] = {**(made.get("metadata") or {}), OWN: own}
        return made

    def _own(self, whole: _Whole, made: dict[str, Any]) -> dict[str, Any]:
        """What a message that was written here needs to be one there, and what has no place there."""
        first = whole.messages[0]
        made.setdefault("sender", {"user": "User"}.get(first.role, first.model or first.role))
        made.setdefault("endpoint", "agents" if first.agent_id else "openAI")
        made.setdefault("unfinished", False)
        made.setdefault("error", False)
        own: dict[str, Any] = {}
        if first.metadata:
            own["metadata"] = dict(first.metadata)
        if first.role == "tool" and first.parts is not None:
            own["parts"] = [*first.parts]
        return own

    def _content(self, messages: Sequence[Said]) -> list[Any]:
        results: dict[str, Any] = {}
        for message in messages[1:]:
            for part in message.parts or ():
                if message.role == "tool" and isinstance(part, Mapping) and part.get("type") == "tool_result":
                    results[str(part.get("tool_call_id"))] = part.get("content")
        said = [part for message in messages if message.role != "tool" for part in message.parts or ()]
        return contents.joined(said, results)


def _is_older(newest: Said, rows: Sequence[BranchMessage]) -> bool:
    """Whether the last message of another branch is later than the visible one's."""
    followed = {row.parent_id for row in rows}
    place = _place(newest)
    return any(row.id not in followed and _place(row) > place for row in rows)


def _place(message: Said) -> tuple[datetime, str]:
    rest = message.metadata.get(NAME)
    return message.created_at, str(decode(rest.get("_id")) if isinstance(rest, Mapping) else "")


def _belongs(whole: _Whole, message: Said) -> bool:
    """Whether a message is part of the one before it, as LibreChat has them."""
    first = whole.messages[0]
    if _came(first) or message.metadata.get(OF) is not None:
        of = message.metadata.get(OF)
        return of is not None and of in (first.id, first.metadata.get(_IMPORTED))
    if message.role != "tool" or first.role == "tool":
        return False
    asked = {str(part.get("id")) for part in first.parts or () if contents.is_call(part)}
    answered = {
        str(part.get("tool_call_id"))
        for part in message.parts or ()
        if isinstance(part, Mapping) and part.get("type") == "tool_result"
    }
    return bool(answered) and answered <= asked


def _came(message: Said) -> bool:
    return NAME in message.metadata or WITHOUT in message.metadata or OF in message.metadata


def _source_id(session: Session) -> str:
    """The id of a conversation of which only messages came, or which is none of LibreChat's."""
    alone = session.metadata.get(ALONE) is not None
    return str((alone and session.metadata.get(_IMPORTED)) or session.id)


def _by_time(one: tuple[Any, Any]) -> tuple[str, str]:
    at = made_at({"createdAt": one[0], "_id": one[1]})
    return ("" if at is None else at.isoformat(), str(one[1]))
