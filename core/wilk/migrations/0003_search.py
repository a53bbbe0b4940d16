"""The search and registry families, and where large outputs of tools lie."""

from peewee import (
    AutoField,
    BigIntegerField,
    CompositeKey,
    Database,
    Field,
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


class Bytes(Field):
    field_type = "BLOB"


class VectorSpace(Model):
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
    cursor = TextField(null=True)
    created_at = BigIntegerField()
    updated_at = BigIntegerField()

    class Meta:
        table_name = "vector_spaces"


class Vector(Model):
    pk = AutoField()
    space = ForeignKeyField(VectorSpace, on_delete="RESTRICT", index=False)
    number = IntegerField()
    kind = TextField(null=True)
    record_id = TextField()
    part = IntegerField()
    data = Bytes()
    content_hash = TextField(null=True)
    metadata = Json(null=True)
    created_at = BigIntegerField()

    class Meta:
        table_name = "vectors"


class VectorTag(Model):
    pk = AutoField()
    space_id = IntegerField()
    number = IntegerField()
    key = TextField()
    text = TextField()
    real = FloatField(null=True)

    class Meta:
        table_name = "vector_tags"


class Passage(Model):
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
    kind = TextField(primary_key=True)
    version = IntegerField()
    cursor = TextField(null=True)
    updated_at = BigIntegerField()

    class Meta:
        table_name = "indexed_kinds"


class Pending(Model):
    pk = AutoField()
    kind = TextField()
    record_id = TextField()
    revision = IntegerField()
    attempts = IntegerField()
    not_before = BigIntegerField(null=True)
    claimed_until = BigIntegerField(null=True)
    error = TextField(null=True)
    queued_at = BigIntegerField()

    class Meta:
        table_name = "pending_vectors"


class RegistryPackage(Model):
    source = TextField()
    name = TextField()
    version = TextField()
    category = TextField(null=True)
    tags = Json(null=True)
    downloads = IntegerField()
    rating = FloatField()
    description = TextField(null=True)
    author = TextField(null=True)
    location = TextField()
    checksum = TextField()
    size = IntegerField(null=True)
    metadata = Json(null=True)
    cached_at = BigIntegerField()
    expires_at = BigIntegerField()

    class Meta:
        table_name = "registry_packages"
        primary_key = CompositeKey("source", "name")


class Installation(Model):
    id = TextField(primary_key=True)
    source = TextField()
    package = TextField()
    version = TextField()
    checksum = TextField()
    files = Json(null=True)
    installed_at = BigIntegerField()
    updated_at = BigIntegerField()

    class Meta:
        table_name = "installations"


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
RegistryPackage.add_index(RegistryPackage.category)

TABLES = (VectorSpace, Vector, VectorTag, Passage, IndexedKind, Pending, RegistryPackage, Installation)
COLUMNS = {"result_hash": TextField(null=True), "result_size": IntegerField(null=True)}


def up(migrator: SchemaMigrator, db: Database) -> None:
    with db.bind_ctx(TABLES):
        db.create_tables(TABLES)
    for name, field in COLUMNS.items():
        migrator.migrate(migrator.add_column("tool_calls", name, field))
