"""The journal's first schema. A frozen copy of the model as it was released."""

from peewee import AutoField, BigIntegerField, Database, Model, TextField


class AuditEntry(Model):
    pk = AutoField()
    moment = BigIntegerField()
    actor = TextField()
    event = TextField()
    kind = TextField(null=True)
    record_id = TextField(null=True)
    summary = TextField()

    class Meta:
        table_name = "audit_entries"


AuditEntry.add_index(AuditEntry.kind)


def up(migrator: object, db: Database) -> None:
    with db.bind_ctx([AuditEntry]):
        db.create_tables([AuditEntry])
