"""Models of the conversation family: sessions, messages, tool calls, and what was archived.

Foreign keys restrict: nothing goes by cascade, because nothing goes without being archived.
"""

from __future__ import annotations

from peewee import AutoField, BooleanField, Default, FloatField, ForeignKeyField, IntegerField, TextField

from wilk.models.base import JsonField, Model, TimeField
from wilk.models.definitions import Persona
from wilk.models.people import Group, User


class Session(Model):
    id = TextField(primary_key=True)
    name = TextField(null=True)
    status = TextField()
    saved = BooleanField()
    working_directory = TextField(null=True)
    active_agents = JsonField(empty=list)
    persona = ForeignKeyField(Persona, null=True, on_delete="RESTRICT")
    model = TextField()
    context_strategy = TextField()
    max_tokens = IntegerField()
    recap = TextField(null=True)
    context_file = TextField(null=True)
    user = ForeignKeyField(User, null=True, on_delete="RESTRICT", index=False)  # (user, updated_at) below
    group = ForeignKeyField(Group, null=True, on_delete="RESTRICT", index=False)
    fork_of = TextField(null=True)
    fork_sequence = IntegerField(null=True)
    last_sequence = IntegerField()
    message_count = IntegerField()
    token_count = IntegerField(constraints=[Default(0)])  # of the messages that are not in the archive
    metadata = JsonField(empty=dict)
    created_at = TimeField()
    updated_at = TimeField()

    class Meta:
        table_name = "sessions"


class Message(Model):
    pk = AutoField()
    id = TextField(unique=True)
    session = ForeignKeyField(Session, on_delete="RESTRICT", index=False)  # (session, sequence) below
    sequence = IntegerField()
    role = TextField()
    text = TextField()
    original = TextField(null=True)  # the text as it came, when an engine could not hold it
    parts = JsonField()
    agent_id = TextField(null=True)
    model = TextField(null=True)
    tokens = IntegerField()
    importance = FloatField()
    interaction_id = TextField(null=True)
    idempotency_key = TextField(null=True)
    parent_id = TextField(null=True)
    origin_id = TextField(null=True)
    metadata = JsonField(empty=dict)
    created_at = TimeField()

    class Meta:
        table_name = "messages"


class BranchMessage(Model):
    """A message that is not on the visible branch of its conversation.

    ``parent_id`` is that of a message of the session or of another branch message; None begins a tree.
    """

    pk = AutoField()
    id = TextField(unique=True)
    session = ForeignKeyField(Session, on_delete="RESTRICT", index=False)
    parent_id = TextField(null=True)
    role = TextField()
    text = TextField()
    original = TextField(null=True)
    parts = JsonField()
    agent_id = TextField(null=True)
    model = TextField(null=True)
    tokens = IntegerField()
    importance = FloatField()
    metadata = JsonField(empty=dict)
    created_at = TimeField()

    class Meta:
        table_name = "branch_messages"


class ToolCall(Model):
    id = TextField(primary_key=True)
    session = ForeignKeyField(Session, on_delete="RESTRICT", index=False)
    message_id = TextField(null=True)
    call_id = TextField(null=True)
    agent_id = TextField(null=True)
    name = TextField()
    arguments = JsonField()
    result = JsonField()
    status = TextField()
    error = TextField(null=True)
    duration = FloatField(null=True)
    metadata = JsonField(empty=dict)
    started_at = TimeField()
    finished_at = TimeField(null=True)
    result_hash = TextField(null=True)  # of the whole result, where the row holds its beginning
    result_size = IntegerField(null=True)

    class Meta:
        table_name = "tool_calls"


class ArchiveEntry(Model):
    """A row that left its table: the whole row as JSON, why and when.

    ``batch`` joins what left together. ``data`` is NULL once an archive outside of the database has
    it (``place`` tells where), or when the row is back in its table (``restored_at``).
    ``position`` and ``unique_key`` are the row's sequence and idempotency key, for messages.
    """

    pk = AutoField()
    kind = TextField()
    record_id = TextField()
    session_id = TextField(null=True)
    data = JsonField(empty=dict)
    reason = TextField()
    interaction_id = TextField(null=True)
    archived_at = TimeField()
    batch = TextField(null=True)
    position = IntegerField(null=True)
    unique_key = TextField(null=True)
    size = IntegerField(null=True)
    place = TextField(null=True)
    restored_at = TimeField(null=True)

    class Meta:
        table_name = "archive"


Session.add_index(Session.updated_at)
Session.add_index(Session.user, Session.updated_at)
Session.add_index(Session.group, Session.updated_at)
BranchMessage.add_index(BranchMessage.session, BranchMessage.pk)
Message.add_index(Message.session, Message.sequence, unique=True)
Message.add_index(
    Message.session, Message.idempotency_key, unique=True, where=Message.idempotency_key.is_null(False)
)
# What matters most, which contexts look for beyond the newest messages.
Message.add_index(Message.session, Message.importance, Message.sequence, where=Message.importance >= 0.8)
Message.add_index(Message.agent_id, Message.created_at, where=Message.agent_id.is_null(False))
Message.add_index(Message.interaction_id, where=Message.interaction_id.is_null(False))
ToolCall.add_index(ToolCall.session, ToolCall.started_at)
ToolCall.add_index(ToolCall.name, ToolCall.started_at)
ArchiveEntry.add_index(ArchiveEntry.kind, ArchiveEntry.record_id)
ArchiveEntry.add_index(ArchiveEntry.session_id, ArchiveEntry.kind, ArchiveEntry.position)
ArchiveEntry.add_index(ArchiveEntry.batch)
ArchiveEntry.add_index(
    ArchiveEntry.session_id, ArchiveEntry.unique_key, where=ArchiveEntry.unique_key.is_null(False)
)
# What an archive outside of the database does not have yet.
ArchiveEntry.add_index(ArchiveEntry.pk, where=ArchiveEntry.data.is_null(False) & ArchiveEntry.place.is_null())
ArchiveEntry.add_index(ArchiveEntry.interaction_id, where=ArchiveEntry.interaction_id.is_null(False))
