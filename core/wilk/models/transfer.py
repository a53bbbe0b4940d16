"""The model of the transfer family: how far a move into this database has come."""

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
