"""Models of the registry family: what sources offer, as last seen, and what was installed from them."""

from __future__ import annotations

from peewee import CompositeKey, FloatField, IntegerField, TextField

from wilk.models.base import JsonField, Model, TimeField


class RegistryPackage(Model):
    """A package as its source last told; derived, and fetched again once it has expired.

    ``location`` is where the source has its content, ``checksum`` the SHA-256 of that content.
    """

    source = TextField()
    name = TextField()
    version = TextField()
    category = TextField(null=True)
    tags = JsonField(empty=list)
    downloads = IntegerField()
    rating = FloatField()
    description = TextField(null=True)
    author = TextField(null=True)
    location = TextField()
    checksum = TextField()
    size = IntegerField(null=True)
    metadata = JsonField(empty=dict)
    cached_at = TimeField()
    expires_at = TimeField()

    class Meta:
        table_name = "registry_packages"
        primary_key = CompositeKey("source", "name")


class Installation(Model):
    """What was installed as which agent; ``files`` are path → SHA-256 as they were installed."""

    id = TextField(primary_key=True)
    source = TextField()
    package = TextField()
    version = TextField()
    checksum = TextField()
    files = JsonField(empty=dict)
    installed_at = TimeField()
    updated_at = TimeField()

    class Meta:
        table_name = "installations"


RegistryPackage.add_index(RegistryPackage.category)
