"""Records of contexts: what is sent to a model, and the receipt of how it was chosen."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from wilk import codec


class ContextItem(NamedTuple):
    """One message to send, and why it is there.

    ``kind`` is ``system``, ``block``, ``pin``, ``summary`` or ``message``; ``id`` the record's id;
    ``first`` and ``last`` the sequence that it stands for (the same for a message; None for what
    stands for none). ``extra`` is what of a message's metadata goes along: ``tool_calls``,
    ``tool_call_id``. ``rule`` is what put it in; ``score`` its importance; ``tokens`` what it takes
    of the budget.
    """

    kind: str
    id: str | None
    first: int | None
    last: int | None
    role: str
    text: str
    parts: Sequence[Any] | None
    extra: Mapping[str, Any] | None
    rule: str
    score: float | None
    tokens: int

    @property
    def message(self) -> dict[str, Any]:
        """The message as it is sent: ``role``, ``content`` and, where there are any, ``parts``,
        ``tool_calls`` and ``tool_call_id``."""
        message: dict[str, Any] = {"role": self.role, "content": self.text}
        if self.parts is not None:
            message["parts"] = list(self.parts)
        return {**message, **self.extra} if self.extra else message

    @property
    def data(self) -> bytes:
        """The message as canonical JSON."""
        return codec.canonical(self.message)

    @property
    def hash(self) -> str:
        """The SHA-256 of ``data``, in hexadecimal."""
        return codec.content_hash(self.message)


class LeftOut(NamedTuple):
    """What is not in a context, and the rule that kept it out.

    Runs of messages that were not looked at one by one are one entry, ``first`` to ``last``;
    ``messages`` is how many places of the session they take.
    """

    kind: str
    id: str | None
    first: int | None
    last: int | None
    messages: int
    rule: str
    score: float | None
    tokens: int | None


class Context(NamedTuple):
    """The messages to send, in order. ``total_tokens`` never exceeds ``max_tokens``.

    ``items`` tell where each comes from; ``manifest`` is the id of the receipt, if one was kept;
    ``last_sequence`` the newest message of the session at that moment.
    """

    session_id: str
    strategy: str
    tokenizer: str
    model: str | None
    max_tokens: int
    total_tokens: int
    last_sequence: int
    items: Sequence[ContextItem]
    left_out: Sequence[LeftOut]
    manifest: str | None

    @property
    def messages(self) -> list[dict[str, Any]]:
        """Plain objects with ``role``, ``content`` and, where there are any, ``parts``."""
        return [item.message for item in self.items]

    @property
    def data(self) -> bytes:
        """The messages as one canonical JSON array: what ``replay`` gives again."""
        return array(item.data for item in self.items)

    @property
    def tokens_by_kind(self) -> Mapping[str, int]:
        """What takes the budget, by kind of item."""
        counts: dict[str, int] = {}
        for item in self.items:
            counts[item.kind] = counts.get(item.kind, 0) + item.tokens
        return counts


class Difference(NamedTuple):
    """One thing that is in one of two contexts alone, and why, in plain words."""

    kind: str
    id: str | None
    first: int | None
    last: int | None
    role: str
    text: str
    why: str


class ContextDiff(NamedTuple):
    """What two contexts have apart. ``str`` tells it in sentences.

    ``changes`` are the settings that differ; ``gone`` is in ``a`` and not in ``b``, ``came`` the
    other way round; ``same`` is how many items both have.
    """

    a: str
    b: str
    changes: Sequence[str]
    gone: Sequence[Difference]
    came: Sequence[Difference]
    same: int

    def __str__(self) -> str:
        lines = list(self.changes)
        lines += [f"{told(one)} was in A and is not in B: {one.why}" for one in self.gone]
        lines += [f"{told(one)} is in B and was not in A: {one.why}" for one in self.came]
        return "\n".join([*lines, f"{self.same} items are the same"])


class ContextStats(NamedTuple):
    """A session as its contexts see it.

    ``messages`` and ``tokens`` are what is live, ``archived`` the messages in the archive;
    ``used`` is what a context built now would hold, by kind; ``problem`` why none can be built.
    """

    session_id: str
    strategy: str
    max_tokens: int
    messages: int
    tokens: int
    archived: int
    summaries: int
    pins: int
    manifests: int
    used: Mapping[str, int]
    problem: str | None


def array(messages: Any) -> bytes:
    """One canonical JSON array of messages that are canonical JSON themselves."""
    return b"[" + b",".join(messages) + b"]"


def told(one: ContextItem | Difference) -> str:
    """An item in a few words: ``message 12 (user: Why is …)``."""
    text = " ".join(one.text.split())
    text = text if len(text) <= 48 else text[:47] + "…"
    if one.kind == "message" or (one.kind == "system" and one.first is not None):
        return f"message {one.first} ({one.role}: {text})"
    if one.kind == "system":
        return f"the system prompt ({text})"
    return f"{one.kind} {one.id} ({text})"
