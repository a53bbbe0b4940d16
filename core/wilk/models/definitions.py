"""Models of the definitions family: the rows that follow files, their revisions, the files."""

from __future__ import annotations

from typing import Any

from peewee import BooleanField, CompositeKey, FloatField, IntegerField, TextField

from wilk.models.base import JsonField, Model, TimeField


class _Definition(Model):
    """The columns that every definition has, whatever its kind."""

    id = TextField(primary_key=True)
    name = TextField()
    definition = JsonField(empty=dict)
    content_hash = TextField()
    revision = IntegerField()
    created_at = TimeField()
    updated_at = TimeField()
    archived_at = TimeField(null=True)


class Agent(_Definition):
    description = TextField(null=True)
    category = TextField(null=True)
    version = TextField(null=True)
    author = TextField(null=True)
    provider = TextField(null=True)
    model = TextField(null=True)
    is_installed = BooleanField()
    install_path = TextField(null=True)

    class Meta:
        table_name = "agents"


class Prompt(_Definition):
    description = TextField(null=True)
    category = TextField(null=True)
    version = TextField(null=True)
    system = TextField(null=True)
    user_template = TextField(null=True)
    variables = JsonField(empty=list)

    class Meta:
        table_name = "prompts"


class Persona(_Definition):
    prompt = TextField()
    description = TextField(null=True)
    icon = TextField(null=True)
    category = TextField(null=True)
    default_model = TextField(null=True)
    suggested_models = JsonField(empty=list)
    temperature = FloatField(null=True)
    max_tokens = IntegerField(null=True)
    top_p = FloatField(null=True)
    repeat_penalty = FloatField(null=True)
    stop_sequences = JsonField(empty=list)
    is_default = BooleanField()

    class Meta:
        table_name = "personas"


class Preset(_Definition):
    description = TextField(null=True)
    provider = TextField(null=True)
    model = TextField(null=True)
    parameters = JsonField(empty=dict)

    class Meta:
        table_name = "presets"


class Definition(Model):
    """Definitions of kinds that bring no model of their own."""

    kind = TextField()
    id = TextField()
    name = TextField()
    definition = JsonField(empty=dict)
    content_hash = TextField()
    revision = IntegerField()
    created_at = TimeField()
    updated_at = TimeField()
    archived_at = TimeField(null=True)

    class Meta:
        table_name = "definitions"
        primary_key = CompositeKey("kind", "id")


class Revision(Model):
    kind = TextField()
    id = TextField()
    number = IntegerField()
    version = TextField(null=True)
    definition = JsonField(empty=dict)
    content_hash = TextField()
    created_at = TimeField()

    class Meta:
        table_name = "revisions"
        primary_key = CompositeKey("kind", "id", "number")


class DefinitionFile(Model):
    """What was last seen of a file: its stat (to skip it cheaply) and its content hash.

    ``stat`` is ``size:mtime_ns:ctime_ns:inode``; ``file_hash`` the SHA-256 of its bytes;
    ``state`` one of ok, broken, missing.
    """

    path = TextField(primary_key=True)
    kind = TextField()
    id = TextField()
    stat = TextField(null=True)
    file_hash = TextField(null=True)
    state = TextField()
    error = TextField(null=True)
    synced_at = TimeField()

    class Meta:
        table_name = "definition_files"


def _unique_while_alive(model: Any, *fields: Any, extra: Any = None) -> None:
    alive = model.archived_at.is_null()
    model.add_index(*fields, unique=True, where=alive if extra is None else alive & extra)


for _model in (Agent, Prompt, Persona, Preset):
    # An archived record gives its name free; two living ones cannot share it (trap T2).
    _unique_while_alive(_model, _model.name)
# A boolean is compared by its integer, which every engine's partial index takes as a literal.
_unique_while_alive(Persona, Persona.category, extra=Persona.is_default == True)  # noqa: E712
Agent.add_index(Agent.category)
Prompt.add_index(Prompt.category)
