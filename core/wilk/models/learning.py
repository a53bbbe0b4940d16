"""Models of the learning family: interactions and their actions, patterns, feedback, preferences,
world models and their snapshots (the storage module's records)."""

from __future__ import annotations

from peewee import AutoField, BooleanField, FloatField, ForeignKeyField, IntegerField, TextField

from wilk.models.base import JsonField, Model, TimeField


class Interaction(Model):
    """One exchange with a user; its id is the correlation id that messages and archive entries carry."""

    id = TextField(primary_key=True)
    session_id = TextField(null=True)
    user_id = TextField(null=True)
    agent_id = TextField(null=True)
    user_query = TextField()
    original = TextField(null=True)  # the query as it came, when an engine could not hold it
    query_context = JsonField(empty=dict)
    ai_interpretation = TextField(null=True)
    planned_actions = JsonField(empty=list)
    confidence = FloatField(null=True)
    active_role = TextField(null=True)
    tokens_used = IntegerField(null=True)
    user_feedback = TextField(null=True)
    feedback_type = TextField()
    success = BooleanField(null=True)
    tags = JsonField(empty=list)
    metadata = JsonField(empty=dict)
    created_at = TimeField()
    updated_at = TimeField()

    class Meta:
        table_name = "interactions"


class Action(Model):
    pk = AutoField()
    interaction = ForeignKeyField(Interaction, on_delete="RESTRICT", index=False)
    position = IntegerField()
    action_type = TextField()
    target = TextField(null=True)
    details = JsonField(empty=dict)
    status = TextField()
    result = JsonField()
    error = TextField(null=True)
    created_at = TimeField()

    class Meta:
        table_name = "actions"


class Pattern(Model):
    id = TextField(primary_key=True)
    name = TextField()
    pattern_type = TextField()
    description = TextField(null=True)
    sequence = JsonField(empty=list)
    frequency = IntegerField()
    confidence = FloatField()
    sources = JsonField(empty=list)
    metadata = JsonField(empty=dict)
    created_at = TimeField()
    updated_at = TimeField()

    class Meta:
        table_name = "patterns"


class Feedback(Model):
    id = TextField(primary_key=True)
    type = TextField()
    message = TextField()
    context = JsonField(empty=dict)
    interaction_id = TextField(null=True)
    applied = BooleanField()
    created_at = TimeField()
    applied_at = TimeField(null=True)

    class Meta:
        table_name = "feedback"


class Preference(Model):
    id = TextField(primary_key=True)
    user_id = TextField(null=True)
    category = TextField()
    key = TextField()
    value = JsonField()
    confidence = FloatField()
    source = TextField(null=True)
    created_at = TimeField()
    updated_at = TimeField()

    class Meta:
        table_name = "preferences"


class WorldModel(Model):
    id = TextField(primary_key=True)
    session_id = TextField(null=True)
    domain = TextField()
    domain_confidence = FloatField()
    interaction_count = IntegerField()
    entities = JsonField(empty=list)
    relations = JsonField(empty=list)
    goals = JsonField(empty=list)
    metrics = JsonField(empty=dict)
    discovered_entity_types = JsonField(empty=list)
    discovered_relation_types = JsonField(empty=list)
    constraints = JsonField(empty=list)
    is_active = BooleanField()
    merged_from = JsonField(empty=list)
    metadata = JsonField(empty=dict)
    created_at = TimeField()
    updated_at = TimeField()

    class Meta:
        table_name = "world_models"


class WorldModelSnapshot(Model):
    pk = AutoField()
    id = TextField(unique=True)
    world_model = ForeignKeyField(WorldModel, on_delete="RESTRICT", index=False)
    data = JsonField(empty=dict)
    trigger_event = TextField(null=True)
    created_at = TimeField()

    class Meta:
        table_name = "world_model_snapshots"


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
