"""The memory, Connectome and learning families, and what the archive knows of its entries."""

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
from playhouse.migrate import SchemaMigrator


class Model(PeeweeModel):
    class Meta:
        legacy_table_names = False


class Json(TextField):
    field_type = "JSON"


class Session(Model):
    id = TextField(primary_key=True)

    class Meta:
        table_name = "sessions"


class Summary(Model):
    id = TextField(primary_key=True)
    session = ForeignKeyField(Session, on_delete="RESTRICT", index=False)
    first_sequence = IntegerField()
    last_sequence = IntegerField()
    message_count = IntegerField()
    text = TextField()
    tokens = IntegerField()
    importance = FloatField()
    method = TextField()
    compacted = BooleanField()
    content_hash = TextField()
    metadata = Json(null=True)
    created_at = BigIntegerField()

    class Meta:
        table_name = "summaries"


class Pin(Model):
    id = TextField(primary_key=True)
    session = ForeignKeyField(Session, on_delete="RESTRICT", index=False)
    content = TextField()
    type = TextField()
    source_message_id = TextField(null=True)
    importance = FloatField()
    metadata = Json(null=True)
    created_at = BigIntegerField()
    updated_at = BigIntegerField()

    class Meta:
        table_name = "pins"


class Block(Model):
    id = TextField(primary_key=True)
    owner_kind = TextField()
    owner_id = TextField()
    label = TextField()
    value = TextField()
    description = TextField(null=True)
    max_tokens = IntegerField()
    read_only = BooleanField()
    metadata = Json(null=True)
    created_at = BigIntegerField()
    updated_at = BigIntegerField()

    class Meta:
        table_name = "blocks"


class Fact(Model):
    id = TextField(primary_key=True)
    subject = TextField()
    predicate = TextField()
    object = Json(null=True)
    user_id = TextField(null=True)
    agent_id = TextField(null=True)
    session_id = TextField(null=True)
    confidence = FloatField()
    valid_from = BigIntegerField(null=True)
    valid_to = BigIntegerField(null=True)
    recorded_at = BigIntegerField()
    retracted_at = BigIntegerField(null=True)
    replaced_by = TextField(null=True)
    source_message_id = TextField(null=True)
    interaction_id = TextField(null=True)
    metadata = Json(null=True)

    class Meta:
        table_name = "facts"


class Manifest(Model):
    id = TextField(primary_key=True)
    session = ForeignKeyField(Session, on_delete="RESTRICT", index=False)
    strategy = TextField()
    tokenizer = TextField()
    model = TextField(null=True)
    max_tokens = IntegerField()
    total_tokens = IntegerField()
    last_sequence = IntegerField()
    request = Json(null=True)
    items = Json(null=True)
    left_out = Json(null=True)
    content_hash = TextField()
    created_at = BigIntegerField()

    class Meta:
        table_name = "manifests"


class Blob(Model):
    hash = TextField(primary_key=True)
    data = TextField()
    size = IntegerField()
    created_at = BigIntegerField()

    class Meta:
        table_name = "blobs"


class Document(Model):
    id = TextField(primary_key=True)
    kind = TextField()
    title = TextField(null=True)
    data = Json(null=True)
    content_hash = TextField()
    user_id = TextField(null=True)
    metadata = Json(null=True)
    created_at = BigIntegerField()
    updated_at = BigIntegerField()

    class Meta:
        table_name = "documents"


class RawMessage(Model):
    pk = AutoField()
    conversation_id = TextField()
    position = IntegerField()
    data = Json(null=True)
    content_hash = TextField()
    created_at = BigIntegerField()

    class Meta:
        table_name = "raw_messages"


class ChunkInfo(Model):
    conversation_id = TextField(primary_key=True)
    data = Json(null=True)
    created_at = BigIntegerField()
    updated_at = BigIntegerField()

    class Meta:
        table_name = "chunk_info"


class Chunk(Model):
    id = TextField(primary_key=True)
    conversation_id = TextField()
    position = IntegerField()
    first = IntegerField()
    last = IntegerField()
    tokens = IntegerField()
    content_hash = TextField()
    memory_id = TextField(null=True)
    metadata = Json(null=True)
    created_at = BigIntegerField()

    class Meta:
        table_name = "chunks"


class Memory(Model):
    pk = AutoField()
    id = TextField(unique=True)
    kind = TextField()
    conversation_id = TextField(null=True)
    memory_id = TextField(null=True)
    content = TextField()
    data = Json(null=True)
    agent_id = TextField(null=True)
    user_id = TextField(null=True)
    session_id = TextField(null=True)
    importance = FloatField()
    confidence = FloatField()
    tokens = IntegerField()
    sources = Json(null=True)
    iteration = IntegerField()
    interaction_id = TextField(null=True)
    metadata = Json(null=True)
    created_at = BigIntegerField()
    updated_at = BigIntegerField()

    class Meta:
        table_name = "memories"


class ReasoningChain(Model):
    pk = AutoField()
    id = TextField(unique=True)
    agent_id = TextField()
    session_id = TextField(null=True)
    data = Json(null=True)
    created_at = BigIntegerField()

    class Meta:
        table_name = "reasoning_chains"


class SystemState(Model):
    key = TextField(primary_key=True)
    data = Json(null=True)
    created_at = BigIntegerField()
    updated_at = BigIntegerField()

    class Meta:
        table_name = "system_state"


class CacheEntry(Model):
    namespace = TextField()
    key = TextField()
    data = Json(null=True)
    created_at = BigIntegerField()
    expires_at = BigIntegerField(null=True)

    class Meta:
        table_name = "cache_entries"
        primary_key = CompositeKey("namespace", "key")


class Interaction(Model):
    id = TextField(primary_key=True)
    session_id = TextField(null=True)
    user_id = TextField(null=True)
    agent_id = TextField(null=True)
    user_query = TextField()
    query_context = Json(null=True)
    ai_interpretation = TextField(null=True)
    planned_actions = Json(null=True)
    confidence = FloatField(null=True)
    active_role = TextField(null=True)
    tokens_used = IntegerField(null=True)
    user_feedback = TextField(null=True)
    feedback_type = TextField()
    success = BooleanField(null=True)
    tags = Json(null=True)
    metadata = Json(null=True)
    created_at = BigIntegerField()
    updated_at = BigIntegerField()

    class Meta:
        table_name = "interactions"


class Action(Model):
    pk = AutoField()
    interaction = ForeignKeyField(Interaction, on_delete="RESTRICT", index=False)
    position = IntegerField()
    action_type = TextField()
    target = TextField(null=True)
    details = Json(null=True)
    status = TextField()
    result = Json(null=True)
    error = TextField(null=True)
    created_at = BigIntegerField()

    class Meta:
        table_name = "actions"


class Pattern(Model):
    id = TextField(primary_key=True)
    name = TextField()
    pattern_type = TextField()
    description = TextField(null=True)
    sequence = Json(null=True)
    frequency = IntegerField()
    confidence = FloatField()
    sources = Json(null=True)
    metadata = Json(null=True)
    created_at = BigIntegerField()
    updated_at = BigIntegerField()

    class Meta:
        table_name = "patterns"


class Feedback(Model):
    id = TextField(primary_key=True)
    type = TextField()
    message = TextField()
    context = Json(null=True)
    interaction_id = TextField(null=True)
    applied = BooleanField()
    created_at = BigIntegerField()
    applied_at = BigIntegerField(null=True)

    class Meta:
        table_name = "feedback"


class Preference(Model):
    id = TextField(primary_key=True)
    user_id = TextField(null=True)
    category = TextField()
    key = TextField()
    value = Json(null=True)
    confidence = FloatField()
    source = TextField(null=True)
    created_at = BigIntegerField()
    updated_at = BigIntegerField()

    class Meta:
        table_name = "preferences"


class WorldModel(Model):
    id = TextField(primary_key=True)
    session_id = TextField(null=True)
    domain = TextField()
    domain_confidence = FloatField()
    interaction_count = IntegerField()
    entities = Json(null=True)
    relations = Json(null=True)
    goals = Json(null=True)
    metrics = Json(null=True)
    discovered_entity_types = Json(null=True)
    discovered_relation_types = Json(null=True)
    constraints = Json(null=True)
    is_active = BooleanField()
    merged_from = Json(null=True)
    metadata = Json(null=True)
    created_at = BigIntegerField()
    updated_at = BigIntegerField()

    class Meta:
        table_name = "world_models"


class WorldModelSnapshot(Model):
    pk = AutoField()
    id = TextField(unique=True)
    world_model = ForeignKeyField(WorldModel, on_delete="RESTRICT", index=False)
    data = Json(null=True)
    trigger_event = TextField(null=True)
    created_at = BigIntegerField()

    class Meta:
        table_name = "world_model_snapshots"


Summary.add_index(Summary.session, Summary.first_sequence, unique=True)
Pin.add_index(Pin.session, Pin.importance)
Block.add_index(Block.owner_kind, Block.owner_id, Block.label, unique=True)
Fact.add_index(Fact.subject, Fact.predicate)
Fact.add_index(Fact.user_id, Fact.subject)
Manifest.add_index(Manifest.session, Manifest.created_at)
Document.add_index(Document.kind, Document.updated_at)
Document.add_index(Document.user_id, Document.updated_at, where=Document.user_id.is_null(False))
RawMessage.add_index(RawMessage.conversation_id, RawMessage.position, unique=True)
Chunk.add_index(Chunk.conversation_id, Chunk.position, unique=True)
Memory.add_index(
    Memory.conversation_id, Memory.memory_id, unique=True, where=Memory.conversation_id.is_null(False)
)
Memory.add_index(Memory.kind, Memory.pk)
Memory.add_index(Memory.user_id, Memory.pk, where=Memory.user_id.is_null(False))
Memory.add_index(Memory.agent_id, Memory.pk, where=Memory.agent_id.is_null(False))
Memory.add_index(Memory.interaction_id, where=Memory.interaction_id.is_null(False))
ReasoningChain.add_index(ReasoningChain.agent_id, ReasoningChain.pk)
CacheEntry.add_index(CacheEntry.expires_at, where=CacheEntry.expires_at.is_null(False))
Interaction.add_index(Interaction.created_at)
Interaction.add_index(Interaction.session_id, Interaction.created_at)
Interaction.add_index(Interaction.user_id, Interaction.agent_id, Interaction.created_at)
Action.add_index(Action.interaction, Action.position, unique=True)
Pattern.add_index(Pattern.pattern_type, Pattern.confidence)
Feedback.add_index(Feedback.type, Feedback.created_at)
Feedback.add_index(Feedback.interaction_id, where=Feedback.interaction_id.is_null(False))
Preference.add_index(Preference.category, Preference.key, unique=True, where=Preference.user_id.is_null())
Preference.add_index(
    Preference.user_id,
    Preference.category,
    Preference.key,
    unique=True,
    where=Preference.user_id.is_null(False),
)
WorldModel.add_index(WorldModel.session_id, WorldModel.updated_at)
WorldModel.add_index(WorldModel.domain, WorldModel.updated_at)
WorldModelSnapshot.add_index(WorldModelSnapshot.world_model, WorldModelSnapshot.pk)

TABLES = (
    Summary,
    Pin,
    Block,
    Fact,
    Manifest,
    Blob,
    Document,
    RawMessage,
    ChunkInfo,
    Chunk,
    Memory,
    ReasoningChain,
    SystemState,
    CacheEntry,
    Interaction,
    Action,
    Pattern,
    Feedback,
    Preference,
    WorldModel,
    WorldModelSnapshot,
)

COLUMNS = {
    "batch": TextField(null=True),
    "position": IntegerField(null=True),
    "unique_key": TextField(null=True),
    "size": IntegerField(null=True),
    "place": TextField(null=True),
    "restored_at": BigIntegerField(null=True),
}
INDEXES = (
    'CREATE INDEX "messages_session_id_importance_sequence" ON "messages" '
    '("session_id", "importance", "sequence") WHERE ("importance" >= 0.8)',
    'CREATE INDEX "messages_interaction_id" ON "messages" ("interaction_id") '
    'WHERE ("interaction_id" IS NOT NULL)',
    'DROP INDEX "archive_session_id"',
    'CREATE INDEX "archive_session_id_kind_position" ON "archive" ("session_id", "kind", "position")',
    'CREATE INDEX "archive_batch" ON "archive" ("batch")',
    'CREATE INDEX "archive_session_id_unique_key" ON "archive" ("session_id", "unique_key") '
    'WHERE ("unique_key" IS NOT NULL)',
    'CREATE INDEX "archive_interaction_id" ON "archive" ("interaction_id") '
    'WHERE ("interaction_id" IS NOT NULL)',
    'CREATE INDEX "archive_pk" ON "archive" ("pk") WHERE (("data" IS NOT NULL) AND ("place" IS NULL))',
)
# What is there already: the tokens of each session, and what left together (a session's rows went
# one kind after another, anything else alone).
ROWS = (
    'UPDATE "sessions" SET "token_count" = coalesce((SELECT sum("tokens") FROM "messages" '
    'WHERE "messages"."session_id" = "sessions"."id"), 0)',
    'UPDATE "archive" SET "batch" = \'schema 1: \' || coalesce("session_id", "record_id"), '
    '"size" = length("data")',
)


def up(migrator: SchemaMigrator, db: Database) -> None:
    with db.bind_ctx((Session, *TABLES)):
        db.create_tables(TABLES)
    for name, field in COLUMNS.items():
        migrator.migrate(migrator.add_column("archive", name, field))
    number = IntegerField().ddl_datatype(db.get_sql_context()).sql
    db.execute_sql(f'ALTER TABLE "sessions" ADD COLUMN "token_count" {number} NOT NULL DEFAULT 0')
    for statement in (*INDEXES, *ROWS):
        db.execute_sql(statement)
