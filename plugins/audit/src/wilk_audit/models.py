"""The table of the journal."""

from __future__ import annotations

from peewee import AutoField, TextField

from wilk import Model, TimeField


class AuditEntry(Model):
    """One line of the journal; ``pk`` gives the order."""

    pk = AutoField()
    moment = TimeField()
    actor = TextField()
    event = TextField()
    kind = TextField(null=True)
    record_id = TextField(null=True)
    summary = TextField()

    class Meta:  # noqa: D106 (Peewee's way of naming the table)
        table_name = "audit_entries"


AuditEntry.add_index(AuditEntry.kind)
