"""Documents in the shapes of LibreChat's collections, and the files that hold them. All of it is made up."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from wilk.transfer.reading.ejson import ObjectId, encode_relaxed

ROOT = "00000000-0000-0000-0000-000000000000"
START = datetime(2025, 1, 12, 10, 0, 0, tzinfo=UTC)
ANNA, BELA = ObjectId("65a1b2c3d4e5f60718293a00"), ObjectId("65a1b2c3d4e5f60718293a01")

CANARY = "CANARY"


def oid(number: int) -> ObjectId:
    return ObjectId(f"65b0{number:020x}")


def at(minutes: float) -> datetime:
    return START + timedelta(minutes=minutes)


def user(id: ObjectId = ANNA, name: str = "Anna Halm", **more: Any) -> dict[str, Any]:
    first = name.split()[0].lower()
    return {
        "_id": id, "name": name, "username": first, "email": f"{first}@example.com",
        "emailVerified": True, "password": f"$2a$10${CANARY}-password", "avatar": None, "provider": "local",
        "role": "USER", "plugins": [], "twoFactorEnabled": True, "totpSecret": f"{CANARY}-totp",
        "pendingTotpSecret": f"{CANARY}-pending", "termsAccepted": True,
        "backupCodes": [{"codeHash": f"{CANARY}-code", "used": False, "usedAt": None}],
        "pendingBackupCodes": [{"codeHash": f"{CANARY}-pending-code"}],
        "refreshToken": [{"refreshToken": f"{CANARY}-refresh"}], "personalization": {"memories": True},
        "favorites": [{"agentId": "agent_reviewer"}], "createdAt": at(-100), "updatedAt": at(-90), "__v": 0,
        **more,
    }  # fmt: skip


def agent(id: str = "agent_reviewer", **more: Any) -> dict[str, Any]:
    first = {
        "id": id, "name": "Reviewer", "provider": "openAI", "model": "gpt-4", "tools": [],
        "createdAt": at(0), "updatedAt": at(0),
    }  # fmt: skip
    second = {
        "name": "Reviewer", "provider": "openAI", "model": "gpt-4o", "tools": ["execute_code"],
        "updatedAt": at(5), "updatedBy": ANNA, "actionsHash": "9c56",
    }  # fmt: skip
    return {
        "_id": oid(1), "id": id, "name": "Reviewer", "description": "", "instructions": "You review code.",
        "provider": "openAI", "model": "gpt-4o",
        "model_parameters": {"temperature": 0.2, "maxContextTokens": 32000, "top_p": 1, "custom": [1, {"a": None}]},
        "artifacts": "", "tools": ["execute_code", "search_mcp_docs", "getWeather_action_api---example---com"],
        "tool_kwargs": [], "actions": ["api---example---com_action_Xa12"], "author": ANNA, "agent_ids": [],
        "edges": [], "conversation_starters": ["Review this"],
        "tool_resources": {"execute_code": {"file_ids": ["file-1"]}}, "versions": [first, second],
        "category": "coding", "support_contact": {"name": "", "email": ""}, "is_promoted": False,
        "mcpServerNames": ["docs"], "createdAt": at(0), "updatedAt": at(5), "__v": 1, **more,
    }  # fmt: skip


def action(**more: Any) -> dict[str, Any]:
    spec = {
        "openapi": "3.1.0",
        "info": {"title": "Weather", "version": "1"},
        "servers": [{"url": f"https://me:{CANARY}-login@api.example.com/v1?key={CANARY}-query"}],
        "paths": {
            "/now": {
                "get": {
                    "operationId": "getWeather",
                    "parameters": [
                        {"name": "place", "in": "query", "schema": {"type": "string"}, "example": "Graz"},
                        {"name": "X-Api-Key", "in": "header",
                         "schema": {"type": "string", "default": f"{CANARY}-header"}},
                    ],
                }
            }
        },
        "components": {"schemas": {"Login": {"properties": {
            "api_key": {"type": "string", "example": f"{CANARY}-example"}}}}},
        "x-secret": f"{CANARY}-extension",
    }  # fmt: skip
    return {
        "_id": oid(20), "user": ANNA, "action_id": "Xa12", "type": "action_prototype", "settings": None,
        "agent_id": "agent_reviewer",
        "metadata": {
            "api_key": f"{CANARY}-api-key", "oauth_client_id": f"{CANARY}-client",
            "oauth_client_secret": f"{CANARY}-client-secret", "domain": "api.example.com",
            "privacy_policy_url": "https://example.com/privacy", "raw_spec": json.dumps(spec),
            "auth": {
                "type": "service_http", "authorization_type": "custom",
                "custom_auth_header": f"{CANARY}-custom", "client_secret": f"{CANARY}-inner",
                "authorization_content_type": "application/json",
                "authorization_url": f"https://login.example.com/?client_secret={CANARY}-url",
                "client_url": "https://login.example.com/token", "scope": "read",
                "token_exchange_method": "basic_auth_header",
            },
            "unheard_of": f"{CANARY}-unknown",
        },
        "__v": 0, **more,
    }  # fmt: skip


def conversation(id: str = "c-1", user: Any = str(ANNA), **more: Any) -> dict[str, Any]:
    return {
        "_id": oid(100), "conversationId": id, "title": "A first talk", "user": user, "endpoint": "openAI",
        "messages": [oid(201), oid(202)], "model": "gpt-4o", "temperature": 0.4, "promptPrefix": "Be brief.",
        "maxContextTokens": 16000, "isArchived": False, "tags": ["work"], "files": ["file-1"],
        "resendFiles": True, "createdAt": at(10), "updatedAt": at(12), "__v": 0, **more,
    }  # fmt: skip


def message(
    id: str,
    parent: str | None = ROOT,
    text: str = "",
    *,
    minute: float = 10,
    by_user: bool | None = None,
    **more: Any,
) -> dict[str, Any]:
    mine = id.startswith("u") if by_user is None else by_user
    number = sum(letter * 257**place for place, letter in enumerate(id.encode()[-7:]))
    return {
        "_id": oid(number), "messageId": id, "conversationId": "c-1", "user": str(ANNA),
        "parentMessageId": parent, "sender": "User" if mine else "GPT-4o", "text": text,
        "isCreatedByUser": mine, "endpoint": "openAI", "model": "gpt-4o", "unfinished": False,
        "error": False, "tokenCount": 7, "createdAt": at(minute), "updatedAt": at(minute), "__v": 0, **more,
    }  # fmt: skip


def tool_part(
    id: str = "call_1", name: str = "execute_code", args: Any = '{"code":"1+1"}', **more: Any
) -> dict[str, Any]:
    call = {"id": id, "name": name, "args": args, "type": "tool_call", "progress": 1, **more}
    return {"type": "tool_call", "tool_call": call}


def everything() -> dict[str, list[dict[str, Any]]]:
    """Some documents of every collection, each with an unknown field where it may have one."""
    odd: dict[str, Any] = {"unknownField": {"kept": [1, None, "x"]}}
    return {
        "users": [user(), user(BELA, "Bela Orth", twoFactorEnabled=False)],
        "groups": [{"_id": oid(60), "name": "Team", "description": "us", "memberIds": [str(ANNA), "entra-9"],
                    "source": "local", "createdAt": at(1), "updatedAt": at(1), **odd}],
        "agents": [
            agent(**odd),
            agent("agent_bare", _id=oid(2), versions=[], tools=None, support_contact=None, name=None,
                  tool_options=None, edges=[{"from": "agent_bare", "to": ["agent_reviewer"],
                                             "edgeType": "handoff", "description": "when it is code"}]),
        ],
        "aclentries": [{"_id": oid(30), "principalType": "user", "principalId": BELA, "principalModel": "User",
                        "resourceType": "agent", "resourceId": oid(1), "permBits": 3, "grantedBy": ANNA,
                        "grantedAt": at(3), **odd}],
        "accessroles": [{"_id": oid(31), "accessRoleId": "agent_viewer", "name": "com_ui_viewer",
                         "resourceType": "agent", "permBits": 1, **odd}],
        "agentcategories": [{"_id": oid(32), "value": "coding", "label": "Coding", "order": 2,
                             "isActive": True, "custom": False, **odd}],
        "actions": [action(**odd)],
        "presets": [{"_id": oid(40), "presetId": "p-1", "title": "Careful", "user": str(ANNA),
                     "defaultPreset": True, "order": 0, "endpoint": "openAI", "model": "gpt-4o",
                     "temperature": 0.1, "top_p": 0.9, "promptPrefix": "Take your time.", "tools": [],
                     "createdAt": at(2), "updatedAt": at(2), **odd},
                    {"_id": oid(41), "presetId": "p-2", "title": "Bare", "user": str(ANNA),
                     "endpoint": "anthropic", "temperature": 3.5, "createdAt": at(2), "updatedAt": at(2)}],
        "promptgroups": [{"_id": oid(50), "name": "Explain", "numberOfGenerations": 4, "oneliner": "in short",
                          "category": "teach_or_explain", "productionId": oid(52), "author": ANNA,
                          "authorName": "Anna Halm", "command": "explain", "createdAt": at(4),
                          "updatedAt": at(6), **odd}],
        "prompts": [
            {"_id": oid(51), "groupId": oid(50), "author": ANNA, "type": "text", "createdAt": at(4),
             "prompt": "Explain {{topic}} to {{reader:a child|an expert}}."},
            {"_id": oid(52), "groupId": oid(50), "author": ANNA, "type": "text", "createdAt": at(5),
             "prompt": "On {{current_date}}: explain {{topic}} in {words} words.", **odd},
        ],
        "files": [{"_id": oid(70), "user": ANNA, "file_id": "file-1", "bytes": 5, "filename": "notes.txt",
                   "filepath": f"/uploads/{ANNA}/file-1__notes.txt", "object": "file", "embedded": False,
                   "type": "text/plain", "usage": 1, "source": "local", "createdAt": at(7),
                   "updatedAt": at(7), **odd},
                  {"_id": oid(71), "user": ANNA, "file_id": "file-2", "bytes": 9, "filename": "far.png",
                   "filepath": f"https://files.example.com/far.png?X-Amz-Signature={CANARY}-signature&w=2",
                   "object": "file", "type": "image/png", "source": "s3", "width": 3, "height": 4,
                   "createdAt": at(8), "updatedAt": at(8)}],
        "conversationtags": [{"_id": oid(80), "tag": "work", "user": str(ANNA), "description": "at work",
                              "count": 1, "position": 1, **odd}],
        "memoryentries": [{"_id": oid(81), "userId": ANNA, "key": "likes", "value": "She likes short answers.",
                           "tokenCount": 5, "updated_at": at(9), **odd}],
        "chatprojects": [{"_id": oid(82), "name": "House", "user": str(ANNA), "conversationCount": 0, **odd}],
        "transactions": [{"_id": oid(83), "user": ANNA, "conversationId": "c-1", "tokenType": "prompt",
                          "model": "gpt-4o", "context": "message", "rawAmount": -12, "rate": 2.5,
                          "tokenValue": -30.0, "createdAt": at(10), **odd}],
        "roles": [{"_id": oid(84), "name": "USER", "permissions": {"PROMPTS": {"USE": True}}, **odd}],
        "projects": [{"_id": oid(85), "name": "instance", "promptGroupIds": [], "agentIds": [], **odd}],
        "skills": [{"_id": oid(86), "name": "sums", "body": "Add.", **odd}],
        "keys": [{"_id": oid(87), "userId": ANNA, "name": "openAI", "value": f"{CANARY}-users-key"}],
        "conversations": [
            conversation(**odd),
            conversation("c-2", _id=oid(101), title="With an agent", endpoint="agents", model=None,
                         agent_id="agent_reviewer", createdAt=at(20), updatedAt=at(24), messages=[]),
        ],
        "messages": [
            message("u-1", text="What is 1+1?", **odd),
            message("a-1", "u-1", "Two.", minute=10.5, feedback={"rating": "thumbsUp", "tag": None, "text": "ok"}),
            message("a-2", "u-1", "It is 2.", minute=11, isEdited=True),
            message("u-2", text="Look at this", conversationId="c-2", minute=20,
                    files=[{"file_id": "file-1", "filename": "notes.txt", "type": "text/plain"}]),
            message("a-3", "u-2", conversationId="c-2", minute=21, endpoint="agents", model="agent_reviewer",
                    sender="Reviewer", content=[
                        {"type": "think", "think": "A sum."},
                        tool_part(output="2"),
                        {"type": "text", "text": {"value": "It is 2.", "annotations": []}},
                        {"type": "image_file", "image_file": {"file_id": "gone", "filepath": "/images/gone.png",
                                                              "width": 1, "height": 1}},
                    ], attachments=[{"file_id": "file-9", "toolCallId": "call_1", "messageId": "a-3"}]),
            message("u-3", "a-3", "Thanks", conversationId="c-2", minute=22),
        ],
        "toolcalls": [{"_id": oid(90), "conversationId": "c-2", "messageId": "a-3", "toolId": "execute_code",
                       "user": ANNA, "result": "2", "attachments": [], "blockIndex": 0, "partIndex": 1,
                       "createdAt": at(21), "updatedAt": at(21), **odd}],
    }  # fmt: skip


# -- files --------------------------------------------------------------------------------------


def relaxed(documents: Iterable[Mapping[str, Any]]) -> bytes:
    """One document a line, as mongoexport writes them."""
    return b"".join(json.dumps(encode_relaxed(one)).encode() + b"\n" for one in documents)


def write(folder: Path, collections: Mapping[str, Iterable[Mapping[str, Any]]]) -> Path:
    """A folder of mongoexport files."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, documents in collections.items():
        (folder / f"{name}.json").write_bytes(relaxed(documents))
    return folder


def canonical(value: Any) -> Any:
    """Canonical Extended JSON."""
    if isinstance(value, ObjectId):
        return {"$oid": str(value)}
    if isinstance(value, datetime):
        return {"$date": {"$numberLong": str(_milliseconds(value))}}
    if isinstance(value, bool) or value is None or isinstance(value, str):
        return value
    if isinstance(value, int):
        return {"$numberInt" if -(2**31) <= value < 2**31 else "$numberLong": str(value)}
    if isinstance(value, float):
        return {"$numberDouble": repr(value)}
    if isinstance(value, Mapping):
        return {key: canonical(item) for key, item in value.items()}
    return [canonical(item) for item in value]


def first_version(value: Any) -> Any:
    """Extended JSON as tools before 4.2 wrote it."""
    if isinstance(value, ObjectId):
        return {"$oid": str(value)}
    if isinstance(value, datetime):
        return {"$date": value.strftime("%Y-%m-%dT%H:%M:%S.") + f"{value.microsecond // 1000:03d}+0000"}
    if isinstance(value, Mapping):
        return {key: first_version(item) for key, item in value.items()}
    if isinstance(value, list):
        return [first_version(item) for item in value]
    return value


def bson(document: Mapping[str, Any]) -> bytes:
    """A document as mongodump writes it."""
    body = b"".join(_element(key, value) for key, value in document.items())
    return (len(body) + 5).to_bytes(4, "little") + body + b"\0"


def _element(key: str, value: Any) -> bytes:
    import struct

    name = key.encode() + b"\0"
    if isinstance(value, ObjectId):
        return b"\x07" + name + bytes.fromhex(value)
    if isinstance(value, str):
        text = value.encode() + b"\0"
        return b"\x02" + name + len(text).to_bytes(4, "little") + text
    if isinstance(value, bool):
        return b"\x08" + name + bytes([value])
    if value is None:
        return b"\x0a" + name
    if isinstance(value, datetime):
        return b"\x09" + name + _milliseconds(value).to_bytes(8, "little", signed=True)
    if isinstance(value, int):
        small = -(2**31) <= value < 2**31
        return (
            (b"\x10" if small else b"\x12") + name + value.to_bytes(4 if small else 8, "little", signed=True)
        )
    if isinstance(value, float):
        return b"\x01" + name + struct.pack("<d", value)
    if isinstance(value, Mapping):
        return b"\x03" + name + bson(value)
    return b"\x04" + name + bson({str(place): item for place, item in enumerate(value)})


def _milliseconds(value: datetime) -> int:
    return (value - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(milliseconds=1)
