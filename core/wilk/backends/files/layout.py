"""Where each table's rows lie in the tree: path patterns, and what of a row its file's name is made of.

A table has a row to a file, or files of rows one behind the other (``order``) that are closed when they
are long enough, so that adding a row rewrites one small file however many rows there are. Tables that
are not named here, such as those of plugins, lie under ``tables/`` by their primary key.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import cache
from hashlib import sha256
from typing import Any, NamedTuple
from urllib.parse import quote, unquote

METADATA = "_storage_metadata"
"""The key under which a file that is a document has the other columns of its row."""

DERIVED = frozenset({"passages", "indexed_kinds", "registry_packages"})
"""Tables without files: passages are made again from the records that they are of, and what registries
offer is fetched again."""

FIRST = -(2**63)
"""The order at which the first file of a group begins."""

TIMES = re.compile(r".*_at$|^(valid_from|valid_to|not_before|claimed_until)$")

JSON = frozenset(
    ["active_agents", "arguments", "constraints", "definition", "details", "discovered_entity_types",
     "discovered_relation_types", "entities", "files", "goals", "items", "left_out", "merged_from",
     "metadata", "metrics", "object", "parameters", "parts", "planned_actions", "query_context", "relations",
     "request",
     "sources", "stop_sequences", "suggested_models", "tags", "value", "variables"]
)  # fmt: skip
"""Columns that hold JSON wherever wilk's tables have them; ``Placement.json`` adds a table's own."""

FLAGS = frozenset(
    ["applied", "compacted", "is_active", "is_default", "is_installed", "read_only", "saved", "success"]
)

_LONGEST = 120


class Placement(NamedTuple):
    """The place of one table's rows.

    ``group`` are the columns that ``path`` takes in; ``order`` is the column by which rows lie one behind
    the other, and ``further`` the path of the files after the first, with ``{n}`` for the order of the row
    with which they begin. ``nowhere`` are both paths for rows whose first group column is NULL. ``spread`` is
    a JSON column whose keys are the file's own. ``versions``: earlier ones are kept.
    ``json``: columns that hold JSON beside those of :data:`JSON`; ``text``: columns of such a name that do
    not. ``own``: whether the table is wilk's.
    """

    table: str
    path: str
    group: tuple[str, ...] = ("id",)
    order: str | None = None
    further: str = ""
    nowhere: tuple[str, str] | None = None
    spread: str | None = None
    versions: bool = False
    json: tuple[str, ...] = ()
    text: tuple[str, ...] = ()
    own: bool = True

    def path_of(self, values: Sequence[Any], first: int = FIRST) -> str:
        """The path of a file, by the values of its group and where it begins."""
        path, further = self.path, self.further
        if self.nowhere is not None and values[0] is None:
            path, further = self.nowhere
        names = [encoded(str(value)) for value in values]
        return path.format(*names) if first == FIRST else further.format(*names, n=first)

    def is_json(self, column: str) -> bool:
        """Whether a column holds JSON, which is part of the file then."""
        return self.own and column not in self.text and (column in JSON or column in self.json)

    def is_flag(self, column: str) -> bool:
        return self.own and column in FLAGS


def _rows(table: str, path: str, *group: str, order: str, further: str, **more: Any) -> Placement:
    return Placement(table, path, group, order, further, **more)


PLACEMENTS = (
    # People, and the definitions that follow YAML files; parents before what refers to them.
    Placement("users", "users/{0}.json"),
    Placement("groups", "groups/{0}/group.json"),
    Placement("memberships", "groups/{0}/members/{1}.json", ("group_id", "user_id")),
    *(Placement(table, f"definitions/{table}/{{0}}.json")
      for table in ("agents", "prompts", "personas", "presets")),
    Placement("definitions", "definitions/other/{0}/{1}.json", ("kind", "id")),
    Placement("revisions", "definitions/revisions/{0}/{1}/{2}.json", ("kind", "id", "number")),
    Placement("definition_files", "definitions/files/{0}.json", ("path",)),
    Placement("installations", "installations/{0}.json"),
    # Connectome's own tree.
    Placement("documents", "conversations/{0}/current.json", spread="data", versions=True, json=("data",)),
    _rows("raw_messages", "conversations/{0}/raw_messages.json", "conversation_id", order="position",
          further="conversations/{0}/raw_messages-{n:06d}.json", json=("data",)),
    _rows("chunks", "conversations/{0}/chunks.json", "conversation_id", order="position",
          further="conversations/{0}/chunks-{n:06d}.json"),
    Placement("chunk_info", "conversations/{0}/chunk_info.json", ("conversation_id",), spread="data",
              versions=True, json=("data",)),
    _rows("memories", "conversations/{0}/memories.json", "conversation_id", order="pk",
          further="conversations/{0}/memories-{n:06d}.json",
          nowhere=("memories/memories.json", "memories/memories-{n:06d}.json"), json=("data",)),
    _rows("reasoning_chains", "agents/{0}/reasoning_chains.json", "agent_id", order="pk",
          further="agents/{0}/reasoning_chains-{n:06d}.json", json=("data",)),
    Placement("system_state", "system/{0}.json", ("key",), spread="data", versions=True, json=("data",)),
    Placement("cache_entries", "cache/{0}/{1}.json", ("namespace", "key"), json=("data",)),
    # Sessions.
    Placement("sessions", "sessions/{0}/session.json"),
    _rows("messages", "sessions/{0}/messages/000001.json", "session_id", order="sequence",
          further="sessions/{0}/messages/{n:06d}.json"),
    _rows("branch_messages", "sessions/{0}/branches.json", "session_id", order="pk",
          further="sessions/{0}/branches-{n:06d}.json"),
    Placement("tool_calls", "sessions/{0}/tool_calls/{1}.json", ("session_id", "id"), json=("result",)),
    Placement("summaries", "sessions/{0}/summaries/{1}.json", ("session_id", "id")),
    Placement("pins", "sessions/{0}/pins/{1}.json", ("session_id", "id")),
    Placement("manifests", "sessions/{0}/manifests/{1}.json", ("session_id", "id")),
    Placement("blobs", "blobs/{0}.json", ("hash",)),
    Placement("blocks", "blocks/{0}.json", text=("value",)),
    Placement("facts", "facts/{0}.json"),
    # What was learnt.
    Placement("interactions", "interactions/{0}/interaction.json"),
    _rows("actions", "interactions/{0}/actions.json", "interaction_id", order="position",
          further="interactions/{0}/actions-{n:06d}.json", json=("result",)),
    Placement("patterns", "patterns/{0}.json", json=("sequence",)),
    Placement("feedback", "feedback/{0}.json", json=("context",)),
    Placement("preferences", "preferences/{0}.json"),
    Placement("world_models", "world_models/{0}/world_model.json"),
    Placement("world_model_snapshots", "world_models/{0}/snapshots/{1}.json", ("world_model_id", "id"),
              json=("data",)),
    # Vectors, what waits for them, and what left its table.
    Placement("vector_spaces", "vectors/{0}/space.json"),
    _rows("vectors", "vectors/{0}/vectors.json", "space_id", order="number",
          further="vectors/{0}/vectors-{n:06d}.json"),
    _rows("vector_tags", "vectors/{0}/tags.json", "space_id", order="pk",
          further="vectors/{0}/tags-{n:06d}.json"),
    _rows("pending_vectors", "vectors/pending.json", order="pk", further="vectors/pending-{n:06d}.json"),
    _rows("archive", "archive/entries.json", order="pk", further="archive/entries-{n:06d}.json",
          json=("data",)),
    Placement("moves", "moves/{0}/{1}.json", ("source", "kind"), json=("last_key",)),
    Placement("imports", "import_runs/{0}.json", json=("report",)),
    Placement("imported_records", "imported/{0}/{1}/{2}.json", ("importer", "kind", "key")),
    # What was forgotten, and what was mended.
    Placement("forgotten", "forgotten/{0}/{1}.json", ("kind", "hash")),
    Placement("certificates", "certificates/{0}.json", json=("report",)),
    Placement("repairs", "repairs/{0}/{1}.json", ("batch", "id"), json=("before", "after")),
)  # fmt: skip

BY_TABLE = {one.table: one for one in PLACEMENTS}


@cache
def placement(table: str, key: tuple[str, ...], counted: bool) -> Placement:
    """The place of a table: its own, or for another's table one by its primary key.

    ``counted`` tells that the key is the engine's own number.
    """
    if table in BY_TABLE:
        return BY_TABLE[table]
    name = encoded(table).replace("{", "%7b").replace("}", "%7d")
    if counted or not key or len(key) > 3:
        rows = f"tables/{name}/rows.json", f"tables/{name}/rows-{{n:06d}}.json"
        return Placement(table, rows[0], (), key[0] if counted else "rowid", rows[1], own=False)
    places = "/".join(f"{{{place}}}" for place in range(len(key)))
    return Placement(table, f"tables/{name}/{places}.json", key, own=False)


def encoded(name: str) -> str:
    """A name as a part of a path: letters and digits stay, and what two systems could take for one another
    does not.

    Capital letters, letters beyond ASCII, separators, dots at either end and names that Windows keeps for
    itself are written by their bytes (``%41``); a name that is too long ends in its hash.
    """
    text = "".join(c if c in _KEPT else quote(c, safe="").lower() if not c.isupper() or ord(c) > 127
                   else f"%{ord(c):02x}" for c in name)  # fmt: skip
    if not text:
        return "%"
    if text[0] in ".~" or text.partition(".")[0] in _RESERVED:
        text = f"%{ord(text[0]):02x}{text[1:]}"
    if text[-1] == ".":
        text = f"{text[:-1]}%2e"
    if len(text) > _LONGEST:
        text = f"{text[:80].rstrip('%')}%%{sha256(name.encode()).hexdigest()[:32]}"
    return text


def decoded(name: str) -> str | None:
    """The name that a part of a path stands for; None for one that was too long."""
    return None if "%%" in name else "" if name == "%" else unquote(name)


_KEPT = frozenset("abcdefghijklmnopqrstuvwxyz0123456789-_.")
_RESERVED = frozenset(
    ["con", "prn", "aux", "nul", *(f"com{i}" for i in range(10)), *(f"lpt{i}" for i in range(10))]
)


class Place(NamedTuple):
    """What a path says: the table, the encoded names in it, and where the file begins."""

    placement: Placement
    names: tuple[str, ...]
    first: int


def place_of(path: str, others: Sequence[Placement] = ()) -> Place | None:
    """The place of a path, relative to the tree; None for a file that is none of wilk's."""
    for one in (*PLACEMENTS, *others):
        for pattern, first in _patterns(one):
            if found := pattern.fullmatch(path):
                groups = found.groupdict()
                number = groups.pop("n", None)
                return Place(one, tuple(groups.values()), first if number is None else int(number))
    return None


@cache
def _patterns(one: Placement) -> tuple[tuple[re.Pattern[str], int], ...]:
    """The patterns of a placement's paths, the first file's before that of further ones."""
    paths = [(one.path, FIRST), (one.further, 0)]
    if one.nowhere is not None:
        paths += [(one.nowhere[0], FIRST), (one.nowhere[1], 0)]
    return tuple((_pattern(path), first) for path, first in paths if path)


def _pattern(path: str) -> re.Pattern[str]:
    parts = re.split(r"(\{\w+(?::\w+)?\})", path)
    return re.compile("".join(
        re.escape(part) if not part.startswith("{")
        else r"(?P<n>-?\d+)" if part.startswith("{n")
        else rf"(?P<g{part[1:-1]}>[^/]+)"
        for part in parts
    ))  # fmt: skip
