"""Conversations of LibreChat with their messages as trees, in constant memory."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any

from wilk import codec
from wilk.clock import Clock, to_datetime
from wilk.contracts import IncomingMessage, IncomingSession
from wilk.transfer.importers.librechat import messages, secrets
from wilk.transfer.importers.librechat.fields import NAME
from wilk.transfer.reading.ejson import encode_relaxed
from wilk.transfer.reading.spool import Spool
from wilk.transfer.trees import Node, Tree, tree

if TYPE_CHECKING:
    from wilk.contracts import Reading

ALONE = "librechat_conversation"
"""Set in a session's metadata where only its messages were there."""
LISTED = "librechat_messages"
"""Set where the conversation listed the ids of its messages: that list is made anew, for it may be wrong."""
_AT_ONCE = 500
"""Messages of a conversation that are held in memory; of longer ones each is read when it is needed."""
_BETWEEN = "\0"


class Conversations:
    """Gathers conversations and messages in any order, then gives the sessions. Use it in a ``with``."""

    def __init__(self, reading: Reading, *, expired: bool) -> None:
        self._reading = reading
        self._expired = expired
        self._now: datetime = to_datetime(Clock().now())
        self._heads = Spool()
        self._messages = Spool()

    def __enter__(self) -> Conversations:
        return self

    def __exit__(self, *_: object) -> None:
        self._heads.close()
        self._messages.close()

    def conversation(self, document: Mapping[str, Any]) -> None:
        """Take a conversation."""
        id = document.get("conversationId")
        if not isinstance(id, str) or not id:
            self._reading.fail("sessions", str(document.get("_id")), "conversationId is missing")
            return
        self._heads.add(group_of(document), owner_of(document) or "", None, None, dict(document))

    def message(self, document: Mapping[str, Any]) -> None:
        """Take a message."""
        id = document.get("conversationId")
        try:
            key = messages.key_of(document)
        except KeyError:
            self._reading.fail("messages", "unknown", "messageId and _id are missing")
            return
        if not isinstance(id, str) or not id:
            self._reading.fail("messages", key, "conversationId is missing")
            return
        if self._is_over(document):
            self._reading.skip("messages", key, "temporary, and expired; option temporary=include takes them")
            return
        owner = owner_of(document) or ""
        parent = messages.parent_of(document)
        self._messages.add(
            group_of(document),
            owner + _BETWEEN + key,
            None if parent is None else owner + _BETWEEN + parent,
            messages.place_of(document),
            dict(document),
        )

    def sessions(self) -> Iterator[IncomingSession]:
        """The sessions: first those whose conversation is there, then those that only messages know."""
        seen = 0
        for group in self._heads.groups():
            heads = {node.key for node in self._heads.nodes(group)}
            nodes = self._by_owner(group, heads)
            for owner, head in zip(sorted(heads), self._heads.payloads(group, sorted(heads)), strict=True):
                seen += 1
                yield from self._session(group, owner, head, nodes.pop(owner, []))
            for owner, rest in nodes.items():
                yield from self._session(group, owner, None, rest)
            if sum(1 for _ in self._heads.repeated(group)):
                self._reading.warn("conversations that are in the source more than once: the first counts")
        for group in self._messages.groups():
            if next(self._heads.nodes(group), None) is None:
                for owner, rest in self._by_owner(group, set()).items():
                    yield from self._session(group, owner, None, rest)

    def holds(self, document: Mapping[str, Any]) -> str | None:
        """The key of the session that a document belongs to, if that is among these."""
        if not isinstance(document.get("conversationId"), str):
            return None
        group, owner = group_of(document), owner_of(document) or ""
        if any(node.key == owner for node in self._heads.nodes(group)):
            head = next(self._heads.payloads(group, [owner]))
            return None if self._is_over(head) else key_of(group, owner)
        mine = any(node.key.startswith(owner + _BETWEEN) for node in self._messages.nodes(group))
        return key_of(group, owner) if mine else None

    # -- one session ----------------------------------------------------------------------

    def _by_owner(self, group: str, heads: set[str]) -> dict[str, list[Node]]:
        """The messages of a group by their users. Those without one go where there is one to go to."""
        found: dict[str, list[Node]] = {}
        for node in self._messages.nodes(group):
            found.setdefault(node.key.partition(_BETWEEN)[0], []).append(node)
        owners = heads or {*found} - {""}
        if "" in found and "" not in heads and len(owners) == 1:
            owner = next(iter(owners))
            found[owner] = [*found.get(owner, []), *found.pop("")]
        return found

    def _session(
        self, group: str, owner: str, head: Mapping[str, Any] | None, nodes: Sequence[Node]
    ) -> Iterator[IncomingSession]:
        reading = self._reading
        key = key_of(group, owner)
        id = group.partition(_BETWEEN)[2]
        if head is not None and self._is_over(head):
            reading.skip("sessions", key, "temporary, and expired; option temporary=include takes them")
            return
        # A parent is one of the same conversation, whoever the two belong to.
        bare = [
            Node(_own(node.key), None if node.parent is None else _own(node.parent), node.moment)
            for node in nodes
        ]
        whole = {_own(node.key): node.key for node in reversed(nodes)}
        order = tree(bare)
        self._tell(order, id)
        talk = _Talk(self._messages, group, whole, order, id, owner or None, self._agent(group), reading)
        yield session(key, id, owner or None, head, talk, talk.leaf, self._agent(group), reading.lost)

    def _tell(self, order: Tree, id: str) -> None:
        for found, told in (
            (order.orphans, "messages whose parent is not there begin a branch of their own"),
            (order.broken, "messages that follow themselves, directly or in a circle, begin a branch"),
            (order.repeated, "messages that are in their conversation more than once: the first counts"),
        ):
            for _ in found:
                self._reading.warn(told, id)

    def _agent(self, group: str) -> Callable[[str], str]:
        tenant = group.partition(_BETWEEN)[0]
        return lambda id: f"{tenant}:{id}" if tenant else id

    def _is_over(self, document: Mapping[str, Any]) -> bool:
        ends = document.get("expiredAt")
        if not self._expired or ends is None:
            return False
        ends = messages.moment(ends)
        return ends is not None and ends <= self._now


class _Talk:
    """The messages of one conversation, parents first; gone through as often as one likes."""

    def __init__(
        self,
        spool: Spool,
        group: str,
        whole: Mapping[str, str],
        order: Tree,
        conversation: str,
        user: str | None,
        agent: Callable[[str], str],
        reading: Reading,
    ) -> None:
        self._spool = spool
        self._group = group
        self._whole = whole
        self._order = order
        self._conversation = conversation
        self._user = user
        self._agent = agent
        self._lost: Callable[[str], None] = reading.lost
        self._held: list[IncomingMessage] | None = None
        self.leaf: str | None = None
        if len(order.order) <= _AT_ONCE:
            self._held = [*self._made()]
        else:
            for _ in self._made():
                pass
        self._lost = _nothing

    def __iter__(self) -> Iterator[IncomingMessage]:
        return iter(self._held) if self._held is not None else self._made()

    def _made(self) -> Iterator[IncomingMessage]:
        order, parents = self._order.order, self._order.parents
        shown = False
        last: dict[str, str] = {}  # of those that became several messages, the last of these
        payloads = self._spool.payloads(self._group, [self._whole[key] for key in order])
        for key, document in zip(order, payloads, strict=True):
            parent = parents[key]
            made = messages.incoming(
                document, key, None if parent is None else last.get(parent, parent),
                conversation=self._conversation, user=self._user, agent=self._agent, lost=self._lost,
            )  # fmt: skip
            if len(made) > 1:
                last[key] = made[-1].key
            if key == self._order.leaf and not shown:
                self.leaf = made[-1].key
            elif messages.is_shown(document):
                self.leaf, shown = made[-1].key, True
            yield from made


def session(
    key: str,
    id: str,
    user: str | None,
    head: Mapping[str, Any] | None,
    talk: _Talk,
    leaf: str | None,
    agent: Callable[[str], str],
    lost: Callable[[str], None],
) -> IncomingSession:
    """The session of a conversation; ``head`` None: only its messages are known."""
    if head is None:
        return IncomingSession(key, talk, id, leaf=leaf, user=user, metadata={ALONE: "missing"})
    rest = secrets.without(dict(head), "conversations", lost)
    metadata: dict[str, Any] = {}
    if isinstance(rest.get("messages"), list):
        metadata[LISTED] = bool(rest.pop("messages"))
    title, model, budget = rest.get("title"), rest.get("model"), rest.get("maxContextTokens")
    if isinstance(title, str) and codec.storable_text(title)[1] is None:
        del rest["title"]
    whose = rest.get("agent_id")
    created = messages.made_at(head)
    temporary = rest.get("isTemporary") is True or rest.get("expiredAt") is not None
    sized = isinstance(budget, int) and not isinstance(budget, bool) and 1 <= budget < 2**31
    return IncomingSession(
        key,
        talk,
        id,
        name=title if isinstance(title, str) else None,
        leaf=leaf,
        user=user,
        agents=(agent(whose),) if isinstance(whose, str) and whose else (),
        model=model if isinstance(model, str) and model and not model.startswith("agent_") else None,
        max_tokens=budget if sized else None,
        status="archived" if rest.get("isArchived") is True else "active",
        saved=not temporary,
        metadata={NAME: encode_relaxed(rest), **metadata},
        created_at=created,
        updated_at=messages.moment(rest.get("updatedAt")),
    )


def group_of(document: Mapping[str, Any]) -> str:
    """What the conversations of one id have in common: the tenant and the id."""
    tenant = document.get("tenantId")
    return f"{tenant if isinstance(tenant, str) else ''}{_BETWEEN}{document['conversationId']}"


def owner_of(document: Mapping[str, Any]) -> str | None:
    user = document.get("user")
    return str(user) if isinstance(user, str) and user else None


def key_of(group: str, owner: str) -> str:
    """The key of a session: user and conversation, which are unique together, within the tenant."""
    tenant, _, id = group.partition(_BETWEEN)
    key = f"{owner}/{id}"
    return f"{tenant}:{key}" if tenant else key


def _own(key: str) -> str:
    return key.partition(_BETWEEN)[2]


def _nothing(*_: object) -> None:
    pass
