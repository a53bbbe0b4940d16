"""What of LibreChat is kept as the document that it was: files, actions, tags, rights and the rest."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime
from hashlib import file_digest
from pathlib import Path, PurePosixPath
from typing import Any

from wilk import codec
from wilk.contracts import IncomingRecord
from wilk.transfer.importers.librechat import people, secrets
from wilk.transfer.importers.librechat.fields import NAME
from wilk.transfer.reading.ejson import encode_relaxed

KIND = "librechat-"
"""What stands before the name of the collection in a document's kind."""

_KEYS = {"files": "file_id", "actions": "action_id", "chatprojects": "_id"}
_TITLES = ("filename", "name", "tag", "title", "label", "accessRoleId", "action_id")
_OWNERS = ("user", "userId")


def document(
    collection: str,
    original: Mapping[str, Any],
    lost: Callable[[str], None],
    warn: Callable[[str], None],
    folder: Path | None = None,
) -> IncomingRecord:
    """A document of a collection. Raises KeyError where nothing names it.

    Of a file, ``folder`` is where the files themselves lie; its metadata tell whether it is there.
    """
    if collection == "actions":
        clean = secrets.action(original, lost)
    elif collection == "mcpservers":
        clean = secrets.server(original, lost)
    else:
        clean = secrets.without(dict(original), collection, lost)
    name = _KEYS.get(collection, "_id")
    given = original.get(name)
    key = str(given) if isinstance(given, str) and given else people.key_of(original)
    tenant = original.get("tenantId")
    if isinstance(tenant, str) and tenant and name != "_id":
        key = f"{tenant}:{key}"
    values: dict[str, Any] = {
        "kind": KIND + collection[:50],
        "title": _title(clean),
        "data": encode_relaxed(clean),
        "metadata": {NAME: {"collection": collection}},
    }
    if collection == "files":
        values["metadata"]["content"] = content_of(clean, folder, warn)
    for field in _OWNERS:
        if isinstance(owner := original.get(field), str) and owner:
            values["user_id"] = str(owner)
            break
    created, updated = clean.get("createdAt"), clean.get("updatedAt")
    moments = [one for one in (created, updated) if isinstance(one, datetime)]
    if moments:
        values |= {"created_at": moments[0], "updated_at": moments[-1]}
    key = f"{collection}/{key}"
    return IncomingRecord("document", key, values, {"user_id": "user"}, id=f"{NAME}/{key}")


def content_of(file: Mapping[str, Any], folder: Path | None, warn: Callable[[str], None]) -> dict[str, Any]:
    """Where the bytes of a file are: its path in the folder with its hash, or that they are missing."""
    path = file.get("filepath")
    if isinstance(path, str) and ".." in PurePosixPath(path.replace("\\", "/")).parts:
        warn("files whose path leads out of its folder: their content was not looked for")
        return {"state": "refused"}
    if folder is None or not isinstance(path, str) or "://" in path:
        return {"state": "missing"}
    root = folder.resolve()
    parts = [part for part in PurePosixPath(path.partition("?")[0]).parts if part != "/"]
    for some in (parts, parts[1:], parts[-1:]):
        if not some:
            continue
        try:
            found = root.joinpath(*some).resolve()
            if found.is_relative_to(root) and found.is_file():
                with found.open("rb") as opened:
                    digest = file_digest(opened, "sha256").hexdigest()
                place = found.relative_to(root).as_posix()
                return {"state": "found", "path": place, "sha256": digest, "bytes": found.stat().st_size}
        except (OSError, ValueError):
            continue
    warn("files of which there is a record, and no content in the folder of files")
    return {"state": "missing"}


def _title(document: Mapping[str, Any]) -> str | None:
    for name in _TITLES:
        if isinstance(value := document.get(name), str) and value.strip():
            return codec.storable_text(value)[0][:500]
    return None


def tool_call(
    original: Mapping[str, Any], session: str | None, lost: Callable[[str], None]
) -> IncomingRecord:
    """A run of a tool, in the log of tool calls where its conversation is here, else as a document."""
    if session is None:
        return document("toolcalls", original, lost, lambda _: None)
    clean = secrets.without(dict(original), "toolcalls", lost)
    result = clean.pop("result", None)
    name = original.get("toolId")
    message = original.get("messageId")
    created, updated = clean.get("createdAt"), clean.get("updatedAt")
    values: dict[str, Any] = {
        "session": session,
        "message_id": message if isinstance(message, str) and message else None,
        "name": codec.storable_text(name)[0] if isinstance(name, str) and name else "unknown",
        "result": encode_relaxed(result),
        "status": "ok",
        "metadata": {
            NAME: encode_relaxed(clean),
            **({} if "result" in original else {"without": ["result"]}),
        },
    }
    if isinstance(created, datetime):
        values["started_at"] = created
        values["finished_at"] = updated if isinstance(updated, datetime) else created
    key = f"toolcalls/{people.key_of(original)}"
    return IncomingRecord("tool_call", key, values, {"session": "session"}, id=f"{NAME}/{key}")
