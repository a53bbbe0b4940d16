"""Users and groups of LibreChat, and what they had it remember."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any

from wilk import codec
from wilk.contracts import IncomingGroup, IncomingRecord, IncomingUser
from wilk.transfer.importers.librechat import secrets
from wilk.transfer.importers.librechat.fields import NAME
from wilk.transfer.reading.ejson import ObjectId, encode_relaxed

_HEX = re.compile(r"[0-9a-f]{24}")


def user(document: Mapping[str, Any], lost: Callable[[str], None]) -> IncomingUser:
    """A user. Raises KeyError where there is no ``_id``."""
    id = key_of(document)
    rest = secrets.user(document, lost)
    name = next((rest[field] for field in ("name", "username", "email") if _shown(rest.get(field))), id)
    email = rest.get("email")
    created = rest.get("createdAt")
    return IncomingUser(
        id,
        codec.storable_text(str(name))[0],
        email=codec.storable_text(str(email))[0] if _shown(email) else None,
        metadata={NAME: encode_relaxed(rest)},
        created_at=created if isinstance(created, datetime) else None,
    )


def group(document: Mapping[str, Any], lost: Callable[[str], None]) -> IncomingGroup:
    """A group; its members are users by their ids. Ids of another directory are kept as they are."""
    id = key_of(document)
    rest = secrets.without(dict(document), "groups", lost)
    members = rest.get("memberIds")
    known = [
        (str(one), "member")
        for one in (members if isinstance(members, list) else [])
        if isinstance(one, str) and _HEX.fullmatch(one)
    ]
    name = rest.get("name")
    return IncomingGroup(
        id,
        codec.storable_text(str(name))[0] if _shown(name) else id,
        members=list(dict.fromkeys(known)),
        metadata={NAME: encode_relaxed(rest)},
    )


def memory(document: Mapping[str, Any], lost: Callable[[str], None]) -> IncomingRecord:
    """A memory of a user, by its key."""
    rest = secrets.without(dict(document), "memoryentries", lost, names=False)
    value = rest.get("value")
    content, original = codec.storable_text(value) if isinstance(value, str) else ("", None)
    if isinstance(value, str) and original is None:
        del rest["value"]
    owner = rest.get("userId")
    created, updated = rest.get("createdAt"), rest.get("updated_at")
    tokens = rest.get("tokenCount")
    values: dict[str, Any] = {
        "kind": "note",
        "content": content,
        "original": original,
        "user_id": str(owner) if _shown(owner) else None,
        "metadata": {NAME: encode_relaxed(rest)},
    }
    if isinstance(tokens, int) and not isinstance(tokens, bool) and 0 <= tokens < 2**53:
        values["tokens"] = tokens
    moments = [one for one in (created, updated) if isinstance(one, datetime)]
    if moments:
        values |= {"created_at": moments[0], "updated_at": moments[-1]}
    key = f"{_tenant(document)}{owner or ''}/{document.get('key') or key_of(document)}"
    return IncomingRecord("memory", key, values, {"user_id": "user"})


def key_of(document: Mapping[str, Any]) -> str:
    """The ``_id`` of a document as text. Raises KeyError where there is none."""
    id = document["_id"]
    if isinstance(id, (ObjectId, str)) and id:
        return str(id)
    if isinstance(id, (int, dict)) and not isinstance(id, bool):
        return codec.canonical(encode_relaxed(id)).decode()
    raise KeyError("_id")


def _tenant(document: Mapping[str, Any]) -> str:
    tenant = document.get("tenantId")
    return f"{tenant}:" if isinstance(tenant, str) and tenant else ""


def _shown(value: Any) -> bool:
    return isinstance(value, str) and bool(value.strip())
