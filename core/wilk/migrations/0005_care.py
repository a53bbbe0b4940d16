"""What was imported, branches of conversations, what was forgotten, what was repaired."""

from peewee import (
    AutoField,
    BigIntegerField,
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


class BranchMessage(Model):
    pk = AutoField()
    id = TextField(unique=True)
    session = ForeignKeyField(Session, on_delete="RESTRICT", index=False)
    parent_id = TextField(null=True)
    role = TextField()
    text = TextField()
    original = TextField(null=True)
    parts = Json(null=True)
    agent_id = TextField(null=True)
    model = TextField(null=True)
    tokens = IntegerField()
    importance = FloatField()
    metadata = Json(null=True)
    created_at = BigIntegerField()

    class Meta:
        table_name = "branch_messages"


class ImportRun(Model):
    id = TextField(primary_key=True)
    importer = TextField()
    source = TextField()
    status = TextField()
    report = Json(null=True)
    started_at = BigIntegerField()
    finished_at = BigIntegerField(null=True)

    class Meta:
        table_name = "imports"


class ImportedRecord(Model):
    importer = TextField()
    kind = TextField()
    key = TextField()
    target_id = TextField()
    content_hash = TextField()
    run_id = TextField()
    created_at = BigIntegerField()
    updated_at = BigIntegerField()

    class Meta:
        table_name = "imported_records"
        primary_key = CompositeKey("importer", "kind", "key")


class Forgotten(Model):
    kind = TextField()
    hash = TextField()
    certificate_id = TextField()
    forgotten_at = BigIntegerField()

    class Meta:
        table_name = "forgotten"
        primary_key = CompositeKey("kind", "hash")


class Certificate(Model):
    id = TextField(primary_key=True)
    report = Json(null=True)
    created_at = BigIntegerField()

    class Meta:
        table_name = "certificates"


class Repair(Model):
    id = TextField(primary_key=True)
    batch = TextField()
    finding = TextField()
    kind = TextField()
    record_id = TextField()
    before = Json(null=True)
    after = Json(null=True)
    summary = TextField()
    created_at = BigIntegerField()
    undone_at = BigIntegerField(null=True)

    class Meta:
        table_name = "repairs"


BranchMessage.add_index(BranchMessage.session, BranchMessage.pk)
ImportRun.add_index(ImportRun.importer, ImportRun.started_at)
ImportedRecord.add_index(ImportedRecord.kind, ImportedRecord.target_id)
Repair.add_index(Repair.batch)

TABLES = (BranchMessage, ImportRun, ImportedRecord, Forgotten, Certificate, Repair)


def up(migrator: SchemaMigrator, db: Database) -> None:
    with db.bind_ctx((Session, *TABLES)):
        db.create_tables(TABLES)
    for table in ("memories", "interactions"):
        migrator.migrate(migrator.add_column(table, "original", TextField(null=True)))
