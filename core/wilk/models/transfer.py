"""Models of the transfer family: how far a move into this database has come, and what was imported."""

from __future__ import annotations

from peewee import CompositeKey, IntegerField, TextField

from wilk.models.base import JsonField, Model, TimeField


class Move(Model):
    """What a move has written into one table of this database; it belongs to the database and is never moved.

    ``source`` is the identity of the database that the rows come from, ``address`` its URL without a
    password. ``last_key`` is the key of the last row copied, ``rows`` and ``state`` (the sum of the rows'
    hashes) tell whether the table still holds what was written, and nothing else.
    """

    source = TextField()
    kind = TextField()
    address = TextField()
    last_key = JsonField(empty=list)
    rows = IntegerField()
    state = TextField()
    started_at = TimeField()
    updated_at = TimeField()
    finished_at = TimeField(null=True)

    class Meta:
        table_name = "moves"
        primary_key = CompositeKey("source", "kind")


class ImportRun(Model):
    """One run of an importer: ``status`` is running, finished, interrupted or failed."""

    id = TextField(primary_key=True)
    importer = TextField()
    source = TextField()
    status = TextField()
    report = JsonField(empty=dict)
    started_at = TimeField()
    finished_at = TimeField(null=True)

    class Meta:
        table_name = "imports"


class ImportedRecord(Model):
    """What a record of a source became here: by its key there its id here, and the hash of what it held.

    Behind the hash and a blank come short ones of the fields that were made of it, by which those are known
    that people have changed here since.
    """

    importer = TextField()
    kind = TextField()
    key = TextField()
    target_id = TextField()
    content_hash = TextField()
    run_id = TextField()
    created_at = TimeField()
    updated_at = TimeField()

    class Meta:
        table_name = "imported_records"
        primary_key = CompositeKey("importer", "kind", "key")


ImportRun.add_index(ImportRun.importer, ImportRun.started_at)
ImportedRecord.add_index(ImportedRecord.kind, ImportedRecord.target_id)
