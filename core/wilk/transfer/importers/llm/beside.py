"""What lies beside llm's log: templates as prompts, aliases as presets, embeddings as vectors."""

from __future__ import annotations

import re
from collections.abc import Iterator
from string import Template
from typing import TYPE_CHECKING, Any

from wilk.contracts import IncomingDefinition, IncomingVector
from wilk.errors import Invalid, WilkError
from wilk.transfer.reading.columns import Values, loads
from wilk.transfer.reading.tables import Tables, as_bytes, plain

if TYPE_CHECKING:
    from wilk.contracts import Reading
    from wilk.transfer.reading.sources import Source, SourceFile

_TAKEN = ("prompt", "system", "defaults")
_LARGEST_BLOB = 100_000
_DOLLARS = re.compile(r"\$\$|\$\{([A-Za-z_]\w*)\}|\$([A-Za-z_]\w*)|\{([^\W\d]\w*)\}")


def has_embeddings(tables: Tables) -> bool:
    """Whether a database holds collections of embeddings."""
    return tables.has("collections", "id", "name", "model") and tables.has(
        "embeddings", "collection_id", "id", "embedding"
    )


def definitions(source: Source, reading: Reading) -> Iterator[IncomingDefinition]:
    """Yield templates as prompts, and aliases as presets. Keys of providers are never read."""
    for file in source.files:
        *folders, name = file.name.split("/")
        if name == "keys.json":
            reading.skip("files", file.name, "keys of providers are never read")
        elif name == "aliases.json":
            yield from _aliases(file, reading)
        elif name.endswith((".yaml", ".yml")) and (not folders or folders[-1] == "templates"):
            yield from _template(file, name.rsplit(".", 1)[0], reading)


def vectors(tables: Tables, values: Values) -> Iterator[IncomingVector]:
    """Yield the vectors of each collection, with what was embedded in their metadata."""
    from wilk.services.embedding.passages import SOURCES

    collections = {row["id"]: row for row in tables.rows("collections")}
    of = tables.count("embeddings")
    for done, row in enumerate(tables.rows("embeddings", order="collection_id, id"), 1):
        collection = collections.get(row["collection_id"])
        key = f"{row['collection_id']}/{row['id']}"
        if collection is None or not isinstance(row["embedding"], bytes):
            values.reading.fail("vectors", key, "its collection is not there, or it is no BLOB")
            continue
        name = str(collection["name"])
        metadata: dict[str, Any] = values.mapping(row.get("metadata"), "embeddings.metadata")
        if row.get("content") is not None:
            metadata["content"] = row["content"]
        blob = as_bytes(row.get("content_blob"))
        if blob is not None and len(blob) <= _LARGEST_BLOB:
            metadata["content_blob"] = plain(blob)
        elif blob is not None:
            values.reading.lost("embeddings.content_blob")
        if row.get("updated") is not None:
            metadata["updated"] = row["updated"]
        # Names of kinds of records are for what the store embeds itself.
        named = f"llm-{name}" if name in SOURCES else name
        yield IncomingVector(
            named, f"{name}/{row['id']}", str(row["id"]), row["embedding"], collection["model"], metadata
        )
        values.reading.at(done, of)


def _aliases(file: SourceFile, reading: Reading) -> Iterator[IncomingDefinition]:
    try:
        with file.open() as opened:
            found = loads(opened.read(), reading.warn)
    except Invalid as error:
        reading.fail("presets", file.name, str(error))
        return
    for alias, model in found.items() if isinstance(found, dict) else ():
        yield IncomingDefinition("presets", alias, alias, {"name": alias, "model": str(model)})


def _template(file: SourceFile, name: str, reading: Reading) -> Iterator[IncomingDefinition]:
    from wilk.definitions import reader

    try:
        with file.open() as opened:
            given = reader.parse(opened.read(reader.MAX_BYTES + 1), file.name)
    except WilkError as error:
        reading.fail("prompts", name, str(error), file.name)
        return
    metadata: dict[str, Any] = {one: value for one, value in given.items() if one not in _TAKEN}
    found: dict[str, Any] = {"name": str(given.get("name") or name)}
    variables: dict[str, Any] = {}
    for theirs, ours in (("system", "system"), ("prompt", "user_template")):
        if isinstance(text := given.get(theirs), str):
            found[ours], names, same = _translated(text)
            variables |= dict.fromkeys(names)
            if not same:
                metadata[theirs] = text
    defaults = given.get("defaults")
    for one, value in defaults.items() if isinstance(defaults, dict) else ():
        variables[one] = {"default": value}
    if variables:
        found["variables"] = variables
    if metadata:
        found["metadata"] = {"llm": metadata}
    if "system" in found or "user_template" in found:
        yield IncomingDefinition("prompts", name, name, found)
    elif isinstance(given.get("model"), str):
        preset = {"name": found["name"], "model": given["model"]}
        if isinstance(given.get("options"), dict):
            preset["parameters"] = given["options"]
        yield IncomingDefinition("presets", f"template:{name}", name, preset)
    else:
        reading.fail("prompts", name, "a template without prompt, system and model", file.name)


def _translated(text: str) -> tuple[str, list[str], bool]:
    """A template with ``$name`` in the form ``{name}``, its names, and whether it is the same text."""
    found = _DOLLARS.sub(_variable, text)
    return found, Template(text).get_identifiers(), found == text


def _variable(found: re.Match[str]) -> str:
    if found[3] is not None:
        return f"{{{{{found[3]}}}}}"  # what means itself there is a variable here
    name = found[1] or found[2]
    return "$" if name is None else f"{{{name}}}"
