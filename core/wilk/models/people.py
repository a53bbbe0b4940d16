"""Models of the people family: users, groups and who belongs where."""

from __future__ import annotations

from peewee import CompositeKey, ForeignKeyField, TextField

from wilk.models.base import JsonField, Model, TimeField


class User(Model):
    id = TextField(primary_key=True)
    name = TextField()
    email = TextField(null=True)
    external_id = TextField(null=True, unique=True)
    metadata = JsonField(empty=dict)
    created_at = TimeField()
    updated_at = TimeField()

    class Meta:
        table_name = "users"


class Group(Model):
    id = TextField(primary_key=True)
    name = TextField()
    external_id = TextField(null=True, unique=True)
    metadata = JsonField(empty=dict)
    created_at = TimeField()
    updated_at = TimeField()

    class Meta:
        table_name = "groups"


class Membership(Model):
    group = ForeignKeyField(Group, on_delete="RESTRICT", index=False)  # the key begins with it
    user = ForeignKeyField(User, on_delete="RESTRICT")
    role = TextField()
    created_at = TimeField()

    class Meta:
        table_name = "memberships"
        primary_key = CompositeKey("group", "user")
