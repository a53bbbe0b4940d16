"""Rows of one person in every table, with a string of their own in every column that takes one."""

from __future__ import annotations

import gzip
import hashlib
import json
import re
import zipfile
from pathlib import Path
from typing import Any

import wilk
from wilk import codec, models
from wilk.models.base import BytesField, JsonField, TimeField

NOW = 1_700_000_000_000_000

FIXED = {
    "status": "active", "role": "user", "model": "m", "context_strategy": "hybrid", "type": "manual",
    "strategy": "hybrid", "tokenizer": "t", "method": "extractive", "feedback_type": "none",
    "pattern_type": "p", "importer": "shop",
}  # fmt: skip
"""Columns whose values are words that all rows have in common."""


class Planted:
    """What was planted for one person: the canaries, and the ids of user, session and the rest."""

    def __init__(self, store: wilk.Store, who: str) -> None:
        self.store = store
        self.who = who
        self.user = f"person-{who}-4711"
        self.session = f"talk-{who}-0815"
        self.canaries: list[str] = []
        self.rows: dict[str, int] = {}

    def canary(self, where: str) -> str:
        made = f"canary{len(self.canaries):04d}{self.who}{where}"
        self.canaries.append(made)
        return made

    def row(self, model: Any, **given: Any) -> None:
        """Insert a row whose columns hold canaries, but for what is given."""
        table = model._meta.table_name
        values: dict[Any, Any] = {}
        for field in model._meta.sorted_fields:
            if field.column_name in given:
                value = given[field.column_name]
            elif field.name == "pk" or field.name in given:
                value = given.get(field.name)
                if value is None:
                    continue
            elif getattr(field, "rel_model", None) is not None:
                continue
            elif isinstance(field, JsonField):
                text = self.canary(f"{table}{field.name}")
                value = {
                    "said": f"{text} with more words",
                    self.canary("key"): ["ünd 'so' \"weiter\"\n" + text],
                }
                if field.empty is list:
                    value = [value]
            elif isinstance(field, TimeField):
                value = NOW
            elif isinstance(field, BytesField):
                value = hashlib.sha256(self.canary("bytes").encode()).digest()
            elif field.name == "max_tokens":
                value = 100_000
            elif type(field).__name__ in ("IntegerField", "FloatField", "BooleanField"):
                value = 1
            elif field.name == "original":
                value = json.dumps(f"{self.canary(table + 'original')} \ud800")
            elif field.name in FIXED:
                value = FIXED[field.name]
            elif field.name.endswith("_id"):
                value = None
            else:
                value = f"{self.canary(table + field.name)} and a sentence of words – ünd mehr"
            values[field] = value
        self.store._engine.run(model.insert(values))
        self.rows[table] = self.rows.get(table, 0) + 1


def plant(store: wilk.Store, who: str) -> Planted:
    """Put rows of one person into every table that can hold any."""
    p = Planted(store, who)
    user, session = p.user, p.session
    one = {
        name: f"{name}-{who}-12345"
        for name in ("document", "interaction", "world", "memory", "fact", "message")
    }
    with store.transaction():
        p.row(models.User, id=user)
        p.row(models.Membership, group_id="team", user_id=user, created_at=NOW)
        p.row(models.Session, id=session, user_id=user, active_agents=["helper"], context_file=None)
        p.row(
            models.Message,
            id=one["message"],
            session_id=session,
            sequence=1,
            interaction_id=one["interaction"],
        )
        p.row(models.BranchMessage, id=f"branch-{who}-1234", session_id=session)
        output = f"{p.canary('blob')} a long result of a tool"
        hash = hashlib.sha256(output.encode()).hexdigest()
        p.row(models.Blob, hash=hash, data=output)
        p.row(models.ToolCall, id=f"call-{who}-1234", session_id=session, result_hash=hash)
        p.row(models.Summary, id=f"summary-{who}-1234", session_id=session, first_sequence=1, last_sequence=1)
        p.row(models.Pin, id=f"pin-{who}-1234", session_id=session)
        for owner, id in (("user", user), ("session", session)):
            p.row(models.Block, id=f"block-{owner}-{who}-1234", owner_kind=owner, owner_id=id)
        sent = json.dumps({"role": "user", "content": p.canary("sent")})
        sent_hash = hashlib.sha256(sent.encode()).hexdigest()
        p.row(models.Blob, hash=sent_hash, data=sent)
        p.row(models.Manifest, id=f"manifest-{who}-1234", session_id=session,
              items=[{"hash": sent_hash, "text": p.canary("item")}])  # fmt: skip
        p.row(models.Fact, id=one["fact"], user_id=user)
        p.row(models.Fact, id=f"{one['fact']}-2", source_message_id=one["message"])
        p.row(models.Document, id=one["document"], user_id=user, kind="note")
        p.row(models.RawMessage, conversation_id=one["document"], position=0)
        p.row(models.ChunkInfo, conversation_id=one["document"])
        p.row(models.Chunk, id=f"chunk-{who}-1234", conversation_id=one["document"])
        p.row(models.Memory, id=one["memory"], kind="episodic", user_id=user, sources=[])
        p.row(models.Memory, id=f"{one['memory']}-2", kind="semantic", sources=[one["memory"]])
        p.row(models.ReasoningChain, id=f"chain-{who}-1234", agent_id="helper", session_id=session)
        p.row(models.SystemState, key=f"user:{user}")
        p.row(models.SystemState, key=f"app-{who}", data={"user_id": user, "seen": p.canary("state")})
        p.row(models.Interaction, id=one["interaction"], user_id=user, session_id=session)
        p.row(models.Action, interaction_id=one["interaction"], position=0)
        p.row(models.Feedback, id=f"feedback-{who}-1234", interaction_id=one["interaction"])
        p.row(models.Pattern, id=f"pattern-{who}-1234", sources=[one["interaction"]])
        p.row(models.Preference, id=f"preference-{who}-1234", user_id=user)
        p.row(models.WorldModel, id=one["world"], session_id=session, merged_from=[])
        p.row(models.WorldModelSnapshot, id=f"snapshot-{who}-1234", world_model_id=one["world"])
        p.row(models.ImportedRecord, kind="users", key=p.canary("key"), target_id=user, run_id="r")
        p.row(models.ImportedRecord, kind="sessions", key=p.canary("key"), target_id=session, run_id="r")
        p.row(models.Repair, id=f"repair-{who}-1234", kind="message", record_id=one["message"], batch="b",
              finding="poisoned", before={"id": one["message"], "session_id": session, "text": p.canary("before")})  # fmt: skip
        for kind, id in (("message", one["message"]), ("memory", one["memory"]), ("fact", one["fact"])):
            p.row(models.Passage, kind=kind, record_id=id, session_id=None, user_id=None)
            p.row(models.Pending, kind=kind, record_id=id)
        _vectors(p, one["message"])
    for n in range(2):
        old = store.sessions.create(id=f"old-{who}-{n}-1234", user=user, name=f"{p.canary('old')} talk").id
        store.messages.append(old, "user", f"{p.canary('archived')} said long ago, before it was removed")
        store.archive.flush()
        store.sessions.remove(old, reason="over")
    store.archive.flush()
    store.preferences.remove(store.preferences.set(f"{p.canary('pref')}", "x", user=user).key, user=user)
    return p


def _vectors(p: Planted, message: str) -> None:
    from wilk.services.vectors import spaces

    engine = p.store._engine
    for collection, kind, record in (("message", "message", message), ("own", None, f"mine/{p.who}")):
        space = next((one for one in spaces.spaces(engine) if one.collection == collection), None)
        if space is None:
            space = spaces.make(engine, collection, model="m", dimension=8, distance="cosine", kind=kind)
        metadata = {} if kind else {"user_id": p.user, "note": p.canary("note"), "tags": [p.canary("tag")]}
        data = hashlib.sha256(f"{p.who}{collection}".encode()).digest()
        spaces.write(engine, p.store._archiver, space, [spaces.Entry(record, 0, data, metadata)])


_TOKENS = (
    (re.compile(rb"canary\w+", re.IGNORECASE), "utf-8"),
    (re.compile(rb"c\0a\0n\0a\0r\0y\0(?:\w\0)+"), "utf-16-le"),
    (re.compile(rb"\0c\0a\0n\0a\0r\0y(?:\0\w)+"), "utf-16-be"),
)


def held(folder: Path, texts: list[str]) -> dict[str, list[str]]:
    """The files below a folder that hold any of some texts, in any form; also inside of gzip and ZIP."""
    canaries = {text for text in texts if re.fullmatch(r"canary\w+", text)}
    others = {
        form: text
        for text in set(texts) - canaries
        for form in (text.encode(), text.encode("utf-16-le"), codec.dumps(text)[1:-1].encode())
    }
    # What follows a canary within a word may be part of another's: its own end is looked for.
    ends = tuple(canaries)
    found: dict[str, list[str]] = {}
    for file in sorted(folder.rglob("*")):
        if not file.is_file():
            continue
        data = [file.read_bytes()]
        if file.suffix == ".gz":
            data.append(gzip.decompress(data[0]))
        elif file.suffix == ".zip":
            with zipfile.ZipFile(file) as archive:
                data += [archive.read(name) for name in archive.namelist()]
        hits = {text for one in data for form, text in others.items() if form in one}
        tokens = {
            token.decode(encoding).lower()
            for one in data
            for pattern, encoding in _TOKENS
            for token in pattern.findall(one)
        }
        hits |= tokens & canaries
        hits |= {text for token in tokens - canaries for text in ends if text in token}
        if hits:
            found[file.relative_to(folder).as_posix()] = sorted(hits)
    return found
