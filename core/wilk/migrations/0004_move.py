"""How far a move from another database has come."""

from peewee import BigIntegerField, CompositeKey, Database, IntegerField, TextField
from peewee import Model as PeeweeModel
from playhouse.migrate import SchemaMigrator


class Model(PeeweeModel):
    class Meta:
        legacy_table_names = False


class Json(TextField):
    field_type = "JSON"


class Move(Model):
    source = TextField()
    kind = TextField()
    address = TextField()
    last_key = Json(null=True)
    rows = IntegerField()
    state = TextField()
    started_at = BigIntegerField()
    updated_at = BigIntegerField()
    finished_at = BigIntegerField(null=True)

    class Meta:
        table_name = "moves"
        primary_key = CompositeKey("source", "kind")


TABLES = (Move,)


def up(migrator: SchemaMigrator, db: Database) -> None:
    with db.bind_ctx(TABLES):
        db.create_tables(TABLES)
