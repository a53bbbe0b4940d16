"""Messages of LibreChat: roles, parents, times, and what is kept beside them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any

from wilk.clock import to_microseconds
from wilk.contracts import IncomingCall, IncomingMessage
from wilk.transfer.importers.librechat import content as contents
from wilk.transfer.importers.librechat.fields import NAME
from wilk.transfer.reading.ejson import ObjectId, encode_relaxed

ROOT = "00000000-0000-0000-0000-000000000000"
WITHOUT, OF = "librechat_without", "librechat_message"
OWN, SHOWN = "wilk", "shown"
"""What of a message's own ``metadata`` there is wilk's: roles and parts that LibreChat has no place for."""

_HOME = frozenset(
    ["messageId", "parentMessageId", "conversationId", "user", "isCreatedByUser", "text", "content", "model",
     "tokenCount", "createdAt"]
)  # fmt: skip
_WANTED = (
    "parentMessageId", "isCreatedByUser", "text", "createdAt", "messageId", "conversationId", "user",
    "tokenCount",
)  # fmt: skip
_MOST_TOKENS = 2**53
_LATER = 2**62


def key_of(document: Mapping[str, Any]) -> str:
    """The key of a message: its ``messageId``, else its ``_id``. Raises KeyError where it has neither."""
    id = document.get("messageId")
    if isinstance(id, str) and id:
        return str(id)
    id = document["_id"]
    return str(id) if isinstance(id, str) and id else repr(id)


def parent_of(document: Mapping[str, Any]) -> str | None:
    parent = document.get("parentMessageId")
    return str(parent) if isinstance(parent, str) and parent not in ("", ROOT) else None


def made_at(document: Mapping[str, Any]) -> datetime | None:
    """When a document was made: by what it says, else by its ``_id``, which holds the second."""
    created = moment(document.get("createdAt"))
    if created is None and isinstance(id := document.get("_id"), ObjectId):
        created = datetime.fromtimestamp(int(id[:8], 16), UTC)
    return created


def is_shown(document: Mapping[str, Any]) -> bool:
    """Whether an export from here notes that this message is the newest of the visible branch."""
    metadata = document.get("metadata")
    own = metadata.get(OWN) if isinstance(metadata, Mapping) else None
    return isinstance(own, Mapping) and own.get(SHOWN) is True


def place_of(document: Mapping[str, Any]) -> str | None:
    """What orders siblings: the time, then the ``_id``."""
    created = made_at(document)
    if created is None:
        return None
    return f"{to_microseconds(created) + _LATER:020d}:{document.get('_id')}"


def moment(value: Any) -> datetime | None:
    """A time, from a date or its text."""
    if isinstance(value, datetime):
        return value
    if not isinstance(value, str) or len(value) < 10 or not value[:4].isdigit():
        return None
    try:
        read = datetime.fromisoformat(value)
    except ValueError:
        return None
    return read if read.tzinfo is not None else read.replace(tzinfo=UTC)


def incoming(
    document: Mapping[str, Any],
    key: str,
    parent: str | None,
    *,
    conversation: str,
    user: str | None,
    agent: Callable[[str], str],
    lost: Callable[[str], None],
) -> list[IncomingMessage]:
    """The messages that one of LibreChat's is: one, or several where tools answered in between.

    ``parent`` is the key of the message that it follows here. The first has the id of the message, the
    others that id with a number behind it.
    """
    get = document.get
    rest = {name: value for name, value in document.items() if name not in _HOME}
    without = [name for name in _WANTED if name not in document]
    if get("conversationId") != conversation and "conversationId" in document:
        rest["conversationId"] = get("conversationId")
    if get("user") != user and "user" in document:
        rest["user"] = get("user")
    if get("messageId") != key and "messageId" in document:
        rest["messageId"] = get("messageId")
    if (above := get("parentMessageId")) != (ROOT if parent is None else parent) and (
        parent is None and "parentMessageId" in document
    ):
        rest["parentMessageId"] = above
    by_user = get("isCreatedByUser")
    if not isinstance(by_user, bool) and "isCreatedByUser" in document:
        rest["isCreatedByUser"] = by_user
    role = "user" if by_user is True or (by_user is None and get("sender") == "User") else "assistant"
    created = made_at(document)
    if "createdAt" in document and not isinstance(get("createdAt"), datetime):
        rest["createdAt"] = get("createdAt")
    model, of_agent = get("model"), None
    if isinstance(model, str) and model.startswith("agent_"):
        rest["model"], of_agent, model = model, agent(model), None
    elif not isinstance(model, str) or not model:
        if "model" in document:
            rest["model"] = model
        model = None
    text = get("text")
    if isinstance(text, dict) and isinstance(text.get("value"), str):
        rest["text"], text = text, text["value"]
    elif not isinstance(text, str):
        if "text" in document:
            rest["text"] = text
        text = ""
    tokens = get("tokenCount")
    counted = isinstance(tokens, int) and not isinstance(tokens, bool) and 0 <= tokens < _MOST_TOKENS
    given = get("content")
    made: list[contents.Step] = []
    own: Mapping[str, Any] = {}
    if isinstance(given, list):
        made = contents.steps(given, key, lost)
    elif "content" in document:
        rest["content"] = given
    if isinstance(metadata := get("metadata"), Mapping) and isinstance(metadata.get(OWN), Mapping):
        own = metadata[OWN]
        rest["metadata"] = {name: item for name, item in metadata.items() if name != OWN}
        if not rest["metadata"]:
            del rest["metadata"]
        if isinstance(own.get("role"), str):
            role = own["role"]
        if isinstance(own.get("parts"), list) and not isinstance(given, list):
            made = [contents.Step([*own["parts"]], [])]
    split = len(made) > 1 or any(step.calls for step in made)
    if not counted or split:
        if "tokenCount" in document:
            rest["tokenCount"] = tokens
        counted = False
    if made and text != "" and "text" not in rest:
        rest["text"] = text
    kept: dict[str, Any] = {NAME: encode_relaxed(rest)} if rest else {}
    if without:
        kept[WITHOUT] = without
    if isinstance(own.get("metadata"), Mapping):
        kept = {**own["metadata"], **kept}
    if not made:
        return [
            IncomingMessage(
                key, role, text, None, parent, agent=of_agent, model=model,
                tokens=tokens if counted else None, metadata=kept, created_at=created,
            )
        ]  # fmt: skip
    found: list[IncomingMessage] = []
    before = parent
    for step in made:
        calls = [
            IncomingCall(
                call.part["id"], call.part["name"], call.part.get("arguments"),
                encode_relaxed(call.output), "ok" if call.answered else "running", None, created, created,
            )
            for call in step.calls
        ]  # fmt: skip
        first = not found
        said = contents.text_of(step.parts) or (text if first else "")
        found.append(
            IncomingMessage(
                key if first else f"{key}.{len(found) + 1}", role, said, step.parts,
                before, agent=of_agent, model=model, tokens=tokens if counted else None, calls=calls,
                metadata=kept if first else {OF: key}, created_at=created,
            )
        )  # fmt: skip
        before = found[-1].key
        for call in step.calls:
            if call.answered:
                said = call.output if isinstance(call.output, list) else []
                shown = call.output if isinstance(call.output, str) else contents.text_of(said)
                found.append(
                    IncomingMessage(
                        f"{key}.{len(found) + 1}", "tool", shown, contents.result(call), before,
                        agent=of_agent, metadata={OF: key}, created_at=created,
                    )
                )  # fmt: skip
                before = found[-1].key
    return found
