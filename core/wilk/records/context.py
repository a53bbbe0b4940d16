"""Records of contexts: what is sent to a model, and the receipt of how it was chosen."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple


class ContextItem(NamedTuple):
    """One message to send, and why it is there.

    ``kind`` is ``system``, ``block``, ``pin``, ``summary`` or ``message``; ``id`` the record's id;
    ``first`` and ``last`` the sequence that it stands for (the same for a message; None for what
    stands for none). ``rule`` is what put it in; ``score`` its importance; ``tokens`` what it takes of
    the budget; ``hash`` the SHA-256 of the message as it is sent.
    """

    kind: str
    id: str | None
    first: int | None
    last: int | None
    role: str
    text: str
    parts: Sequence[Any] | None
    rule: str
    score: float | None
    tokens: int
    hash: str


class LeftOut(NamedTuple):
    """What is not in a context, and the rule that kept it out.

    Runs of messages that were not looked at one by one are one entry, ``first`` to ``last``, with
    their number in ``messages``.
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

    ``messages`` are plain objects with ``role``, ``content`` and, where there are any, ``parts``;
    ``items`` tell where each comes from; ``manifest`` is the id of the receipt, if one was kept;
    ``tokens_by_kind`` says what takes the budget.
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
        return [rendered(item) for item in self.items]

    @property
    def tokens_by_kind(self) -> Mapping[str, int]:
        counts: dict[str, int] = {}
        for item in self.items:
            counts[item.kind] = counts.get(item.kind, 0) + item.tokens
        return counts


def rendered(item: Any) -> dict[str, Any]:
    """An item as it is sent: ``role``, ``content`` (text) and, where there are any, ``parts``."""
    message: dict[str, Any] = {"role": item.role, "content": item.text}
    if item.parts is not None:
        message["parts"] = list(item.parts)
    return message
