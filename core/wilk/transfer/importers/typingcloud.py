"""JSON of Typingcloud (TypingMind's cloud): chats as conversations, each kept whole beside it.

Connectome keeps conversations in this form too.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

from wilk.contracts import Incoming, IncomingMessage, IncomingRecord, IncomingSession
from wilk.errors import Invalid
from wilk.transfer.importers.connectome import hash_of
from wilk.transfer.reading.columns import Again, Values, loads

if TYPE_CHECKING:
    from wilk.contracts import Reading
    from wilk.transfer.reading.sources import Source, SourceFile

_CHAT = ("chatID", "chatTitle", "preview", "chatParams", "modelInfo", "tokenUsage")
_LARGEST = 2 * 2**30


def recognize(source: Source) -> str | None:
    """Tell the form by ``data.chats`` with Typingcloud's names."""
    return next((f"Typingcloud chats in {file.name}" for file in source.find("*.json") if _fits(file)), None)


def read(source: Source, reading: Reading) -> Iterator[Incoming]:
    """Yield each chat: the document that it is, and the conversation in it."""
    values = Values(reading, unit="ms")
    files = source.find("*.json")
    found = [file for file in files if _fits(file)] or ([source.only] if source.only else [])
    if not found:
        raise Invalid(f"JSON with data.chats is wanted, and not found: {source.text} is {source.describe()}")
    for file in found:
        for number, chat in enumerate(_chats(file, reading)):
            if not isinstance(chat, dict):
                reading.fail("sessions", f"{file.name}#{number}", "an object is wanted")
                continue
            yield from of_chat(chat, values, str(chat.get("chatID") or chat.get("id") or f"chat-{number}"))


def of_chat(chat: Mapping[str, Any], values: Values, key: str) -> Iterator[Incoming]:
    """The records of one chat: a document with every key in its order, and the session."""
    title = chat.get("chatTitle")
    about = {"key": key, "title": title}
    created = values.time(chat.get("createdAt"), "chats.createdAt")
    updated = values.time(chat.get("updatedAt"), "chats.updatedAt")
    document: dict[str, Any] = {
        "kind": "typingcloud",
        "title": title if isinstance(title, str) else None,
        "data": dict(chat),
        "content_hash": hash_of(dict(chat)),
        "metadata": {"typingcloud": {"session": key}},
    }
    times = {"created_at": created or updated, "updated_at": updated or created}
    document |= {name: moment for name, moment in times.items() if moment is not None}
    yield IncomingRecord("document", key, document)
    yield IncomingSession(
        key=key,
        messages=Again(values, lambda values: messages(chat.get("messages"), values, key)),
        name=title if isinstance(title, str) else _text(chat.get("preview"))[:200] or None,
        model=_model(chat),
        status="archived" if chat.get("deletedAt") else "active",
        metadata={
            "typingcloud": {
                **{name: value for name, value in chat.items() if name != "messages"},
                "document": about["key"],
            }
        },
        created_at=created,
        updated_at=updated,
    )


def messages(given: Any, values: Values, chat: str) -> Iterator[IncomingMessage]:
    """The messages of a chat, in their order: the form has no branches."""
    if not isinstance(given, list):
        if given is not None:
            values.reading.fail("sessions", chat, "messages: a list is wanted", "messages")
        return
    seen: set[str] = set()
    previous = None
    for number, one in enumerate(given):
        if not isinstance(one, dict):
            values.reading.fail("messages", f"{chat}#{number}", "an object is wanted")
            continue
        key = str(one.get("uuid") or one.get("id") or f"{chat}:{number}")
        if key in seen:
            values.reading.warn("messages that share an id got one of their own")
            key = f"{key}:{number}"
        seen.add(key)
        content = one.get("content")
        usage = one.get("usage")
        tokens = usage.get("completion_tokens") if isinstance(usage, dict) else None
        yield IncomingMessage(
            key=key,
            role=str(one.get("role") or "user"),
            text=_text(content),
            parts=content if isinstance(content, list) else None,
            parent=previous,
            model=one["model"] if isinstance(one.get("model"), str) else None,
            tokens=tokens if type(tokens) is int and 0 <= tokens < 2**31 else None,
            metadata={
                "typingcloud": {
                    name: value for name, value in one.items() if name not in ("role", "content", "model")
                }
            },
            created_at=values.time(one.get("createdAt"), "messages.createdAt"),
        )
        previous = key


def _text(content: Any) -> str:
    if isinstance(content, str):
        return content
    found: list[str] = []
    for part in content if isinstance(content, list) else ():
        text = part.get("text") if isinstance(part, dict) else part
        if isinstance(text, str):
            found.append(text)
    return "\n\n".join(found)


def _model(chat: Mapping[str, Any]) -> str | None:
    info = chat.get("modelInfo")
    for found in (chat.get("model"), info.get("id") if isinstance(info, dict) else None):
        if isinstance(found, str) and found:
            return found
    return None


def _fits(file: SourceFile) -> bool:
    head = file.head().decode("utf-8-sig", "replace")
    return '"chats"' in head and sum(f'"{name}"' in head for name in _CHAT) >= 2


def _chats(file: SourceFile, reading: Reading) -> Iterable[Any]:
    if file.size > _LARGEST:
        raise Invalid(f"{file.name} has {file.size:,} bytes; export fewer chats at a time")
    with file.open() as opened:
        found = loads(opened.read(), reading.warn)
    inner = found.get("data", found) if isinstance(found, dict) else None
    chats = inner.get("chats") if isinstance(inner, dict) else None
    if not isinstance(chats, list):
        raise Invalid(f"{file.name}: data.chats, a list, is wanted")
    return chats
