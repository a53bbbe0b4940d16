"""Models of the care family: what was forgotten, with certificates, and repairs that can be undone."""

from __future__ import annotations

from peewee import CompositeKey, TextField

from wilk.models.base import JsonField, Model, TimeField


class Forgotten(Model):
    """A record that must not come back: its kind, and a hash of its id, which itself is gone."""

    kind = TextField()
    hash = TextField()
    certificate_id = TextField()
    forgotten_at = TimeField()

    class Meta:
        table_name = "forgotten"
        primary_key = CompositeKey("kind", "hash")


class Certificate(Model):
    """What was forgotten, in numbers and hashes, and where it was looked for afterwards."""

    id = TextField(primary_key=True)
    report = JsonField(empty=dict)
    created_at = TimeField()

    class Meta:
        table_name = "certificates"


class Repair(Model):
    """One row that a repair changed: as it was (None: it was not there) and as it is."""

    id = TextField(primary_key=True)
    batch = TextField()
    finding = TextField()
    kind = TextField()
    record_id = TextField()
    before = JsonField()
    after = JsonField()
    summary = TextField()
    created_at = TimeField()
    undone_at = TimeField(null=True)

    class Meta:
        table_name = "repairs"


Repair.add_index(Repair.batch)
