"""The first schema: definitions, people, conversation, archive.

A frozen copy of the models as they were released; it is not changed any more.
"""

from peewee import (
    AutoField,
    BigIntegerField,
    BooleanField,
    CompositeKey,
    Database,
    FloatField,
    ForeignKeyField,
    IntegerField,
    TextField,
)
from peewee import Model as PeeweeModel


class Model(PeeweeModel):
    class Meta:
        legacy_table_names = False


class Json(TextField):
    field_type = "JSON"


class Agent(Model):
    id = TextField(primary_key=True)
    name = TextField()
    definition = Json(null=True)
    content_hash = TextField()
    revision = IntegerField()
    created_at = BigIntegerField()
    updated_at = BigIntegerField()
    archived_at = BigIntegerField(null=True)
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


class Prompt(Model):
    id = TextField(primary_key=True)
    name = TextField()
    definition = Json(null=True)
    content_hash = TextField()
    revision = IntegerField()
    created_at = BigIntegerField()
    updated_at = BigIntegerField()
    archived_at = BigIntegerField(null=True)
    description = TextField(null=True)
    category = TextField(null=True)
    version = TextField(null=True)
    system = TextField(null=True)
    user_template = TextField(null=True)
    variables = Json(null=True)

    class Meta:
        table_name = "prompts"


class Persona(Model):
    id = TextField(primary_key=True)
    name = TextField()
    definition = Json(null=True)
    content_hash = TextField()
    revision = IntegerField()
    created_at = BigIntegerField()
    updated_at = BigIntegerField()
    archived_at = BigIntegerField(null=True)
    prompt = TextField()
    description = TextField(null=True)
    icon = TextField(null=True)
    category = TextField(null=True)
    default_model = TextField(null=True)
    suggested_models = Json(null=True)
    temperature = FloatField(null=True)
    max_tokens = IntegerField(null=True)
    top_p = FloatField(null=True)
    repeat_penalty = FloatField(null=True)
    stop_sequences = Json(null=True)
    is_default = BooleanField()

    class Meta:
        table_name = "personas"


class Preset(Model):
    id = TextField(primary_key=True)
    name = TextField()
    definition = Json(null=True)
    content_hash = TextField()
    revision = IntegerField()
    created_at = BigIntegerField()
    updated_at = BigIntegerField()
    archived_at = BigIntegerField(null=True)
    description = TextField(null=True)
    provider = TextField(null=True)
    model = TextField(null=True)
    parameters = Json(null=True)

    class Meta:
        table_name = "presets"


class Definition(Model):
    kind = TextField()
    id = TextField()
    name = TextField()
    definition = Json(null=True)
    content_hash = TextField()
    revision = IntegerField()
    created_at = BigIntegerField()
    updated_at = BigIntegerField()
    archived_at = BigIntegerField(null=True)

    class Meta:
        table_name = "definitions"
        primary_key = CompositeKey("kind", "id")


class Revision(Model):
    kind = TextField()
    id = TextField()
    number = IntegerField()
    version = TextField(null=True)
    definition = Json(null=True)
    content_hash = TextField()
    created_at = BigIntegerField()

    class Meta:
        table_name = "revisions"
        primary_key = CompositeKey("kind", "id", "number")


class DefinitionFile(Model):
    path = TextField(primary_key=True)
    kind = TextField()
    id = TextField()
    stat = TextField(null=True)
    file_hash = TextField(null=True)
    state = TextField()
    error = TextField(null=True)
    synced_at = BigIntegerField()

    class Meta:
        table_name = "definition_files"


class User(Model):
    id = TextField(primary_key=True)
    name = TextField()
    email = TextField(null=True)
    external_id = TextField(unique=True, null=True)
    metadata = Json(null=True)
    created_at = BigIntegerField()
    updated_at = BigIntegerField()

    class Meta:
        table_name = "users"


class Group(Model):
    id = TextField(primary_key=True)
    name = TextField()
    external_id = TextField(unique=True, null=True)
    metadata = Json(null=True)
    created_at = BigIntegerField()
    updated_at = BigIntegerField()

    class Meta:
        table_name = "groups"


class Membership(Model):
    group = ForeignKeyField(Group, on_delete="RESTRICT", index=False)
    user = ForeignKeyField(User, on_delete="RESTRICT")
    role = TextField()
    created_at = BigIntegerField()

    class Meta:
        table_name = "memberships"
        primary_key = CompositeKey("group", "user")


class Session(Model):
    id = TextField(primary_key=True)
    name = TextField(null=True)
    status = TextField()
    saved = BooleanField()
    working_directory = TextField(null=True)
    active_agents = Json(null=True)
    persona = ForeignKeyField(Persona, null=True, on_delete="RESTRICT")
    model = TextField()
    context_strategy = TextField()
    max_tokens = IntegerField()
    recap = TextField(null=True)
    context_file = TextField(null=True)
    user = ForeignKeyField(User, null=True, on_delete="RESTRICT", index=False)
    group = ForeignKeyField(Group, null=True, on_delete="RESTRICT", index=False)
    fork_of = TextField(null=True)
    fork_sequence = IntegerField(null=True)
    last_sequence = IntegerField()
    message_count = IntegerField()
    metadata = Json(null=True)
    created_at = BigIntegerField()
    updated_at = BigIntegerField()

    class Meta:
        table_name = "sessions"


class Message(Model):
    pk = AutoField()
    id = TextField(unique=True)
    session = ForeignKeyField(Session, on_delete="RESTRICT", index=False)
    sequence = IntegerField()
    role = TextField()
    text = TextField()
    original = TextField(null=True)
    parts = Json(null=True)
    agent_id = TextField(null=True)
    model = TextField(null=True)
    tokens = IntegerField()
    importance = FloatField()
    interaction_id = TextField(null=True)
    idempotency_key = TextField(null=True)
    parent_id = TextField(null=True)
    origin_id = TextField(null=True)
    metadata = Json(null=True)
    created_at = BigIntegerField()

    class Meta:
        table_name = "messages"


class ToolCall(Model):
    id = TextField(primary_key=True)
    session = ForeignKeyField(Session, on_delete="RESTRICT", index=False)
    message_id = TextField(null=True)
    call_id = TextField(null=True)
    agent_id = TextField(null=True)
    name = TextField()
    arguments = Json(null=True)
    result = Json(null=True)
    status = TextField()
    error = TextField(null=True)
    duration = FloatField(null=True)
    metadata = Json(null=True)
    started_at = BigIntegerField()
    finished_at = BigIntegerField(null=True)

    class Meta:
        table_name = "tool_calls"


class ArchiveEntry(Model):
    pk = AutoField()
    kind = TextField()
    record_id = TextField()
    session_id = TextField(null=True)
    data = Json(null=True)
    reason = TextField()
    interaction_id = TextField(null=True)
    archived_at = BigIntegerField()

    class Meta:
        table_name = "archive"


for named in (Agent, Prompt, Persona, Preset):
    named.add_index(named.name, unique=True, where=named.archived_at.is_null())
Persona.add_index(
    Persona.category,
    unique=True,
    where=Persona.archived_at.is_null() & (Persona.is_default == True),  # noqa: E712
)
Agent.add_index(Agent.category)
Prompt.add_index(Prompt.category)
Session.add_index(Session.updated_at)
Session.add_index(Session.user, Session.updated_at)
Session.add_index(Session.group, Session.updated_at)
Message.add_index(Message.session, Message.sequence, unique=True)
Message.add_index(
    Message.session, Message.idempotency_key, unique=True, where=Message.idempotency_key.is_null(False)
)
Message.add_index(Message.agent_id, Message.created_at, where=Message.agent_id.is_null(False))
ToolCall.add_index(ToolCall.session, ToolCall.started_at)
ToolCall.add_index(ToolCall.name, ToolCall.started_at)
ArchiveEntry.add_index(ArchiveEntry.kind, ArchiveEntry.record_id)
ArchiveEntry.add_index(ArchiveEntry.session_id)

TABLES = (
    Agent,
    Prompt,
    Persona,
    Preset,
    Definition,
    Revision,
    DefinitionFile,
    User,
    Group,
    Membership,
    Session,
    Message,
    ToolCall,
    ArchiveEntry,
)


def up(migrator: object, db: Database) -> None:
    with db.bind_ctx(TABLES):
        db.create_tables(TABLES)
