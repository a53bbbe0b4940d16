"""Manifests: the receipt of a context as it is kept, and what is told of two of them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from hashlib import sha256
from typing import Any

from wilk import codec
from wilk.context import rules
from wilk.context.units import EXTRA
from wilk.errors import BackendError
from wilk.records.context import Context, ContextDiff, ContextItem, Difference, LeftOut, array
from wilk.records.memory import Manifest

Key = tuple[str, str | None, str]


def kept_items(context: Context) -> tuple[list[dict[str, Any]], dict[str, str]]:
    """The items as a manifest lists them, and the contents that they mention, by hash."""
    items, contents = [], {}
    for item in context.items:
        data = item.data
        hash = sha256(data).hexdigest()
        contents[hash] = data.decode()
        items.append(
            {
                "kind": item.kind,
                "id": item.id,
                "first": item.first,
                "last": item.last,
                "rule": item.rule,
                "score": item.score,
                "tokens": item.tokens,
                "hash": hash,
            }
        )
    return items, contents


def reopened(manifest: Manifest, contents: Mapping[str, str]) -> Context:
    """The context as it was built. Raises BackendError when a content is missing or damaged."""
    items = []
    for number, kept in enumerate(manifest.items, 1):
        message = codec.loads(_sound(manifest.id, number, kept["hash"], contents.get(kept["hash"])))
        extra = {name: message[name] for name in EXTRA if name in message}
        items.append(
            ContextItem(
                kept["kind"], kept["id"], kept["first"], kept["last"], message["role"], message["content"],
                message.get("parts"), extra or None, kept["rule"], kept["score"], kept["tokens"],
            )
        )  # fmt: skip
    return Context(
        session_id=manifest.session_id,
        strategy=manifest.strategy,
        tokenizer=manifest.tokenizer,
        model=manifest.model,
        max_tokens=manifest.max_tokens,
        total_tokens=manifest.total_tokens,
        last_sequence=manifest.last_sequence,
        items=items,
        left_out=[LeftOut(**one) for one in manifest.left_out],
        manifest=manifest.id,
    )


def replayed(manifest: Manifest, contents: Mapping[str, str]) -> bytes:
    """The exact bytes of the context. Raises BackendError when a content is missing or damaged."""
    data = array(
        _sound(manifest.id, number, kept["hash"], contents.get(kept["hash"])).encode()
        for number, kept in enumerate(manifest.items, 1)
    )
    if sha256(data).hexdigest() != manifest.content_hash:
        raise BackendError(f"manifest {manifest.id!r} is damaged: its items are not those that were kept")
    return data


def _sound(manifest: str, number: int, hash: str, data: str | None) -> str:
    if data is None or sha256(data.encode()).hexdigest() != hash:
        raise BackendError(
            f"manifest {manifest!r}, item {number}: the content {hash} is "
            f"{'missing' if data is None else 'damaged'}; take it from a backup"
        )
    return data


def difference(
    a: Context,
    b: Context,
    names: tuple[str, str],
    gone: Callable[[Sequence[ContextItem]], Mapping[Key, str]],
    *,
    earlier: bool = False,
) -> ContextDiff:
    """What two contexts have apart, and why. ``gone(items)`` tells which of the first one's records lay
    in the archive when the second was built; ``earlier``: that was before the first."""
    ours, theirs = _by_key(a.items), _by_key(b.items)
    lost = [item for key, item in ours.items() if key not in theirs]
    new = [item for key, item in theirs.items() if key not in ours]
    away = gone(lost)
    return ContextDiff(
        a=names[0],
        b=names[1],
        changes=list(_changes(a, b)),
        gone=[_told(item, _why_not(item, b, away.get(_key(item)), earlier)) for item in lost],
        came=[_told(item, _why_new(item, a)) for item in new],
        same=len(ours) - len(lost),
    )


def _by_key(items: Iterable[ContextItem]) -> dict[Key, ContextItem]:
    return {_key(item): item for item in items}


def _key(item: ContextItem) -> Key:
    """What makes two items the same: the record, and what is said."""
    return item.kind, item.id, item.text if item.kind != "message" else ""


def _told(item: ContextItem, why: str) -> Difference:
    return Difference(item.kind, item.id, item.first, item.last, item.role, item.text, why)


def _changes(a: Context, b: Context) -> Iterable[str]:
    if a.session_id != b.session_id:
        yield f"the sessions differ: {a.session_id} and {b.session_id}"
    for name, label in (
        ("max_tokens", "the budget"), ("strategy", "the strategy"), ("tokenizer", "the tokenizer"),
        ("model", "the model"),
    ):  # fmt: skip
        before, after = getattr(a, name), getattr(b, name)
        if before != after:
            yield f"{label} changed from {before} to {after}"
    if a.last_sequence != b.last_sequence:
        yield f"the session had {a.last_sequence} messages, then {b.last_sequence}"


def _why_not(item: ContextItem, other: Context, away: str | None, earlier: bool) -> str:
    """Why an item is not in another context."""
    if item.first is not None and item.first > other.last_sequence:
        return "it was not written yet"
    for one in other.left_out:
        if one.kind == item.kind and one.id is not None and one.id == item.id:
            return _rule(one.rule, item, other)
    if item.kind == "message" and (summary := _summary_of(item, other)):
        return summary
    if away is not None:
        return away
    for there in other.items:
        if there.kind == item.kind and there.id == item.id:
            return "its text was changed"
    for run in other.left_out:
        if run.id is None and run.kind == item.kind and _within(item, run.first, run.last):
            return _rule(run.rule, item, other)
    if item.kind == "system":
        return "another system prompt was given, or none"
    if earlier and item.kind in ("pin", "block"):
        return "it was not there yet"
    return "it was not looked at"


def _why_new(item: ContextItem, before: Context) -> str:
    if item.first is not None and item.first > before.last_sequence:
        return "it was written since"
    return f"put in by rule {item.rule}: {rules.sentence(item.rule)}"


def _rule(rule: str, item: ContextItem, other: Context) -> str:
    if rule == rules.SUMMARIZED and (summary := _summary_of(item, other)):
        return summary
    said = rules.sentence(rule)
    return f"left out by rule {rule}: {said}" if said != rule else f"left out: {rule}"


def _summary_of(item: ContextItem, other: Context) -> str | None:
    for one in other.items:
        if one.kind == "summary" and _within(item, one.first, one.last):
            return f"the summary of messages {one.first}-{one.last} stands for it"
    return None


def _within(item: ContextItem, first: int | None, last: int | None) -> bool:
    return item.first is not None and first is not None and last is not None and first <= item.first <= last
