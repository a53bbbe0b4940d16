"""Writes a source of many conversations, for measurements: ``python -m tests.core.librechat.large FOLDER N``."""

from __future__ import annotations

import json
import sys
from pathlib import Path

_USER = "65a1b2c3d4e5f60718293a00"
_SIZE = 20
"""Messages in a conversation."""


def write(folder: Path, count: int) -> Path:
    """Write ``count`` messages, and the conversations that they belong to."""
    folder.mkdir(parents=True)
    with (folder / "conversations.json").open("w") as conversations:
        for number in range(-(-count // _SIZE)):
            one = {
                "_id": {"$oid": f"65c0{number:020x}"}, "conversationId": _talk(number), "user": _USER,
                "title": f"Talk {number}", "endpoint": "openAI", "model": "gpt-4o",
                "createdAt": {"$date": "2025-02-01T08:00:00.000Z"},
                "updatedAt": {"$date": "2025-02-01T09:00:00.000Z"}, "__v": 0,
            }  # fmt: skip
            conversations.write(json.dumps(one) + "\n")
    with (folder / "messages.json").open("w") as messages:
        for number in range(count):
            talk, place = divmod(number, _SIZE)
            one = {
                "_id": {"$oid": f"65d0{number:020x}"}, "messageId": _id(number),
                "conversationId": _talk(talk), "user": _USER,
                "parentMessageId": _id(number - 1) if place else "00000000-0000-0000-0000-000000000000",
                "sender": "GPT-4o" if place % 2 else "User", "isCreatedByUser": place % 2 == 0,
                "text": f"Line {number}: what was said here is about as long as a short answer tends to be, "
                        "and no two of these lines are the same.",
                "endpoint": "openAI", "model": "gpt-4o", "unfinished": False, "error": False,
                "tokenCount": 24, "createdAt": {"$date": f"2025-02-01T08:{place:02d}:00.{number % 1000:03d}Z"},
                "updatedAt": {"$date": "2025-02-01T09:00:00.000Z"}, "__v": 0,
            }  # fmt: skip
            messages.write(json.dumps(one) + "\n")
    return folder


def _talk(number: int) -> str:
    return f"{number:08x}-0000-4000-8000-000000000000"


def _id(number: int) -> str:
    return f"{number:08x}-1111-4000-8000-000000000000"


if __name__ == "__main__":
    write(Path(sys.argv[1]), int(sys.argv[2]))
