"""Models of the memory family: summaries, pins, working-memory blocks, facts, context manifests."""

from __future__ import annotations

from peewee import BooleanField, FloatField, ForeignKeyField, IntegerField, TextField

from wilk.models.base import JsonField, Model, TimeField
from wilk.models.conversation import Session


class Summary(Model):
    """A range of a session's sequence in few words, made from its raw messages."""

    id = TextField(primary_key=True)
    session = ForeignKeyField(Session, on_delete="RESTRICT", index=False)
    first_sequence = IntegerField()
    last_sequence = IntegerField()
    message_count = IntegerField()
    text = TextField()
    tokens = IntegerField()
    importance = FloatField()
    method = TextField()  # who made it: a summarizer's name, or "given"
    compacted = BooleanField()  # whether its raw messages lie in the archive
    content_hash = TextField()  # of the raw messages that it was made from
    metadata = JsonField(empty=dict)
    created_at = TimeField()

    class Meta:
        table_name = "summaries"


class Pin(Model):
    id = TextField(primary_key=True)
    session = ForeignKeyField(Session, on_delete="RESTRICT", index=False)
    content = TextField()
    type = TextField()
    source_message_id = TextField(null=True)
    importance = FloatField()
    metadata = JsonField(empty=dict)
    created_at = TimeField()
    updated_at = TimeField()

    class Meta:
        table_name = "pins"


class Block(Model):
    """A labelled piece of working memory with a limit, of a session, an agent, a user or the store."""

    id = TextField(primary_key=True)
    owner_kind = TextField()
    owner_id = TextField()
    label = TextField()
    value = TextField()
    description = TextField(null=True)
    max_tokens = IntegerField()
    read_only = BooleanField()
    metadata = JsonField(empty=dict)
    created_at = TimeField()
    updated_at = TimeField()

    class Meta:
        table_name = "blocks"


class Fact(Model):
    """A statement with two times: when it holds in the world, and when the store believed it."""

    id = TextField(primary_key=True)
    subject = TextField()
    predicate = TextField()
    object = JsonField()
    user_id = TextField(null=True)
    agent_id = TextField(null=True)
    session_id = TextField(null=True)
    confidence = FloatField()
    valid_from = TimeField(null=True)
    valid_to = TimeField(null=True)
    recorded_at = TimeField()
    retracted_at = TimeField(null=True)
    replaced_by = TextField(null=True)
    source_message_id = TextField(null=True)
    interaction_id = TextField(null=True)
    metadata = JsonField(empty=dict)

    class Meta:
        table_name = "facts"


class Manifest(Model):
    """The receipt of one context: what went in, what stayed out and why. Contents lie in blobs."""

    id = TextField(primary_key=True)
    session = ForeignKeyField(Session, on_delete="RESTRICT", index=False)
    strategy = TextField()
    tokenizer = TextField()
    model = TextField(null=True)
    max_tokens = IntegerField()
    total_tokens = IntegerField()
    last_sequence = IntegerField()
    request = JsonField(empty=dict)
    items = JsonField(empty=list)
    left_out = JsonField(empty=list)
    content_hash = TextField()
    created_at = TimeField()

    class Meta:
        table_name = "manifests"


class Blob(Model):
    """Content kept once, by the SHA-256 of its bytes."""

    hash = TextField(primary_key=True)
    data = TextField()
    size = IntegerField()
    created_at = TimeField()

    class Meta:
        table_name = "blobs"


Summary.add_index(Summary.session, Summary.first_sequence, unique=True)
Pin.add_index(Pin.session, Pin.importance)
Block.add_index(Block.owner_kind, Block.owner_id, Block.label, unique=True)
Fact.add_index(Fact.subject, Fact.predicate)
Fact.add_index(Fact.user_id, Fact.subject)
Manifest.add_index(Manifest.session, Manifest.created_at)
