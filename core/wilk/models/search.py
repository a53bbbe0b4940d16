"""Models of the search family: vectors and their spaces, passages of text, and what waits for embedding.

A *space* holds the vectors of one collection by one model; vectors of different spaces are never
compared. Numbers count up within a space and are never given twice, so that whoever follows the
rows needs to remember only the last number that it has seen.
"""

from __future__ import annotations

from peewee import AutoField, FloatField, ForeignKeyField, IntegerField, TextField

from wilk.models.base import BytesField, JsonField, Model, TimeField


class VectorSpace(Model):
    """The vectors of one collection by one model.

    ``kind`` is set where the store's embedder makes the vectors of a kind of records. ``token`` tells
    this space from every other one, in copies of the database too. ``state`` is one of active (searched),
    building (a new model's, beside the active one), retired (its vectors are on their way out) and
    dropped. A space stays when its vectors are gone, so that no other one gets its id.
    """

    id = AutoField()
    collection = TextField()
    kind = TextField(null=True)
    model = TextField()
    embedder = TextField(null=True)
    dimension = IntegerField()
    distance = TextField()
    state = TextField()
    token = TextField()
    last_number = IntegerField()
    count = IntegerField()
    cursor = TextField(null=True)  # how far a building space has come
    created_at = TimeField()
    updated_at = TimeField()

    class Meta:
        table_name = "vector_spaces"


class Vector(Model):
    """One vector: little-endian float32. ``kind`` is that of the record which it belongs to, if any."""

    pk = AutoField()
    space = ForeignKeyField(VectorSpace, on_delete="RESTRICT", index=False)
    number = IntegerField()
    kind = TextField(null=True)
    record_id = TextField()
    part = IntegerField()
    data = BytesField()
    content_hash = TextField(null=True)
    metadata = JsonField(empty=dict)
    created_at = TimeField()

    class Meta:
        table_name = "vectors"


class VectorTag(Model):
    """One value of a vector's metadata, to filter by; ``text`` is its JSON, ``real`` a number's value."""

    pk = AutoField()
    space_id = IntegerField()
    number = IntegerField()
    key = TextField()
    text = TextField()
    real = FloatField(null=True)

    class Meta:
        table_name = "vector_tags"


class Passage(Model):
    """A piece of a record's text, as it is searched. Messages are searched in their own table."""

    pk = AutoField()
    kind = TextField()
    record_id = TextField()
    part = IntegerField()
    text = TextField()
    session_id = TextField(null=True)
    user_id = TextField(null=True)

    class Meta:
        table_name = "passages"


class IndexedKind(Model):
    """By which version of the rules the passages of a kind were made, and how far making them came."""

    kind = TextField(primary_key=True)
    version = IntegerField()
    cursor = TextField(null=True)
    updated_at = TimeField()

    class Meta:
        table_name = "indexed_kinds"


class Pending(Model):
    """A record whose vectors are not made yet. ``revision`` counts its changes since."""

    pk = AutoField()
    kind = TextField()
    record_id = TextField()
    revision = IntegerField()
    attempts = IntegerField()
    not_before = TimeField(null=True)
    claimed_until = TimeField(null=True)
    error = TextField(null=True)
    queued_at = TimeField()

    class Meta:
        table_name = "pending_vectors"


VectorSpace.add_index(VectorSpace.collection, unique=True, where=VectorSpace.state == "active")
Vector.add_index(Vector.space, Vector.number, unique=True)
Vector.add_index(Vector.space, Vector.record_id, Vector.part, unique=True)
Vector.add_index(Vector.kind, Vector.record_id, where=Vector.kind.is_null(False))
VectorTag.add_index(VectorTag.space_id, VectorTag.key, VectorTag.text)
VectorTag.add_index(VectorTag.space_id, VectorTag.key, VectorTag.real)
VectorTag.add_index(VectorTag.space_id, VectorTag.number)
Passage.add_index(Passage.kind, Passage.record_id, Passage.part, unique=True)
Passage.add_index(Passage.session_id, where=Passage.session_id.is_null(False))
Pending.add_index(Pending.kind, Pending.record_id, unique=True)
Pending.add_index(Pending.not_before, where=Pending.not_before.is_null(False))
