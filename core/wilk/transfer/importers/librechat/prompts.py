"""Prompts of LibreChat, where a group and its prompts are one prompt with revisions here; and presets."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from wilk.contracts import IncomingDefinition
from wilk.definitions.kinds import PRESET, PROMPT
from wilk.transfer.importers.librechat import fields, secrets, variables
from wilk.transfer.importers.librechat.fields import NAME, Field, at, kept, restored, storable

GROUP = "librechat_group"
MARK = ("metadata", NAME, "_id")
_EMPTY = "\n"
"""The template of a prompt without a text, which one here must have."""

_GROUP_FIELDS = (
    Field("name", ("name",), fields.filled),
    Field("oneliner", ("description",), fields.text),
    Field("category", ("category",), fields.text),
    Field("authorName", ("author",), fields.filled),
)

_PARAMETERS = (
    "temperature", "top_p", "topP", "topK", "max_tokens", "maxTokens", "maxOutputTokens", "presence_penalty",
    "frequency_penalty", "stop",
)  # fmt: skip
PRESET_FIELDS = (
    Field("title", ("name",), fields.filled),
    Field("endpoint", ("provider",), fields.text),
    Field("model", ("model",), fields.filled),
    *(Field(name, ("parameters", name), fields.same_value) for name in _PARAMETERS),
)


def prompt(
    key: str,
    group: Mapping[str, Any] | None,
    prompts: Sequence[Mapping[str, Any]],
    lost: Callable[[str], None],
    warn: Callable[[str], None],
) -> IncomingDefinition:
    """A group with its prompts in the order of their making; the published one is what counts."""
    versions = [_version(secrets.without(dict(one), "prompts", lost)) for one in prompts]
    ids = [str(one.get("_id")) for one in prompts]
    head: dict[str, Any] = {"user_template": _EMPTY, "metadata": {}}
    if versions:
        head = dict(versions[-1])
    published = False
    if group is not None:
        production = group.get("productionId")
        if production is not None and str(production) in ids:
            place = ids.index(str(production))
            head, published = dict(versions[place]), True
            if place == len(versions) - 1:
                versions.pop()
        else:
            if production is not None:
                warn("prompts whose published version is not in the source: the newest one counts")
            versions = versions[:-1]
        made, rest = fields.take(secrets.without(dict(group), "promptgroups", lost), _GROUP_FIELDS, PROMPT)
        metadata: dict[str, Any] = {**head["metadata"], "published": published, GROUP: kept(rest)}
        head = {**made, **head, "metadata": metadata}
    else:
        warn("prompts whose group is not in the source")
        versions = versions[:-1]
    wanted = next(
        (
            value
            for value in ((group or {}).get("command"), (group or {}).get("name"), key)
            if isinstance(value, str) and value.strip()
        ),
        key,
    )
    return IncomingDefinition("prompts", key, wanted, head, versions, mark=MARK)


def documents(
    id: str, current: Mapping[str, Any], revisions: Iterable[Mapping[str, Any]]
) -> tuple[dict[str, Any] | None, list[dict[str, Any]]]:
    """The group and the prompts of a prompt; of one that was made here, an only prompt."""
    metadata = current.get("metadata")
    group = None
    if isinstance(metadata, Mapping) and GROUP in metadata:
        rest = restored(metadata[GROUP])
        group = fields.give(current, rest, _GROUP_FIELDS, PROMPT)
        if "name" in group and "name" not in rest and str(group["name"]).endswith(f" ({id})"):
            group["name"] = group["name"][: -len(f" ({id})")]
    found: dict[str, dict[str, Any]] = {}
    # The newest revision of a prompt is what it says by now.
    for revision in [*revisions, current]:
        if isinstance(rest := at(revision, ("metadata", NAME)), Mapping):
            found[str(rest.get("_id"))] = _given(revision, restored(rest))
    return group, [*found.values()]


def text_of(current: Mapping[str, Any]) -> str:
    """What a prompt says, in LibreChat's form."""
    template = current.get("user_template") or current.get("template") or current.get("system") or ""
    return variables.theirs(template, current.get("variables"))


def preset(document: Mapping[str, Any], lost: Callable[[str], None]) -> IncomingDefinition:
    """A preset. Raises KeyError where there is no ``presetId``."""
    id = document["presetId"]
    if not isinstance(id, str) or not id:
        raise KeyError("presetId")
    clean = secrets.without(dict(document), "presets", lost)
    made, rest = fields.take(clean, PRESET_FIELDS, PRESET)
    if not made.get("parameters"):
        made.pop("parameters", None)
        if not made.get("model"):
            made["model"] = _fallback(clean)
        elif made["model"] == _fallback(clean):
            rest["model"] = clean["model"]
    tenant = document.get("tenantId")
    key = f"{tenant}:{id}" if isinstance(tenant, str) and tenant else id
    return IncomingDefinition("presets", key, id, {**made, "metadata": {NAME: kept(rest)}})


def preset_document(id: str, current: Mapping[str, Any]) -> dict[str, Any]:
    """The document of a preset as it is now."""
    rest = restored(at(current, ("metadata", NAME)))
    model = current.get("model")
    if isinstance(model, Mapping):
        current = {
            **current,
            "model": model.get("name"),
            "provider": current.get("provider") or model.get("provider"),
            "parameters": {**(model.get("parameters") or {}), **(current.get("parameters") or {})},
        }
    made = fields.give(current, rest, PRESET_FIELDS, PRESET)
    if rest and "model" not in rest and current.get("model") == _fallback({**made, **rest}):
        made.pop("model", None)
    if "title" in made and "title" not in rest and str(made["title"]).endswith(f" ({id})"):
        made["title"] = made["title"][: -len(f" ({id})")]
    made.setdefault("presetId", id)
    return made


def _fallback(document: Mapping[str, Any]) -> str:
    return fields.filled(storable(document.get("endpoint"))) or "default"


def _version(document: Mapping[str, Any]) -> dict[str, Any]:
    rest = dict(document)
    text = rest.get("prompt")
    if not isinstance(text, str):
        return {"user_template": _EMPTY, "metadata": {NAME: kept(rest)}}
    template, described = variables.ours(storable(text))
    made: dict[str, Any] = {"user_template": template or _EMPTY}
    if described:
        made["variables"] = described
    if text != _EMPTY and variables.theirs(made["user_template"], described) == text:
        del rest["prompt"]
    return {**made, "metadata": {NAME: kept(rest)}}


def _given(revision: Mapping[str, Any], rest: dict[str, Any]) -> dict[str, Any]:
    then = _version(rest)
    now = revision.get("user_template")
    if "prompt" in rest and then["user_template"] == now:
        return rest
    if now == _EMPTY and "prompt" not in rest:
        return rest
    return {**rest, "prompt": text_of(revision)}
