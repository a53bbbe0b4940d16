"""What all models share: the base class, its binding to a store, and the field types.

Models are module-level classes that belong to no database. A store's transaction seam puts its
database into a ContextVar, and the metadata reads it from there, so that two stores in one
process (and two tasks on one loop) never share a binding. Without it peewee says that the query
is not bound.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import peewee
from peewee import BigIntegerField, Database, TextField
from peewee import Model as PeeweeModel

from wilk import clock, codec
from wilk.models.binding import bound


class _Metadata(peewee.Metadata):
    """Model metadata whose database is the one that the current store has bound."""

    @property
    def database(self) -> Database | None:
        return bound.get()

    @database.setter
    def database(self, value: Database | None) -> None:
        """Peewee assigns None at class creation, or within a transaction what its base is bound to
        just then; a fixed database would defeat the binding."""
        if value is not None and value is not bound.get():
            raise TypeError("wilk's models are bound by their store; use `with store.transaction():`")


class Model(PeeweeModel):
    """Base of wilk's models and of plugins' models."""

    class Meta:
        model_metadata_class = _Metadata
        legacy_table_names = False


class TimeField(BigIntegerField):
    """An aware UTC datetime, kept as integer microseconds since 1970: exact, sortable, 8 bytes."""

    def db_value(self, value: Any) -> int | None:
        if value is None or isinstance(value, int):
            return value
        return clock.to_microseconds(value)

    def python_value(self, value: int | None) -> Any:
        return None if value is None else clock.to_datetime(value)


class JsonField(TextField):
    """A JSON value through the safe codec.

    With ``empty`` (``dict`` or ``list``) an empty value and NULL are the same thing, and reading
    gives the empty value.
    """

    field_type = "JSON"

    def __init__(self, *, empty: Callable[[], Any] | None = None, **options: Any) -> None:
        super().__init__(null=True, **options)
        self.empty = empty

    def db_value(self, value: Any) -> str | None:
        if value is None or (self.empty is not None and not value):
            return None
        return codec.dumps(value, self.name)

    def python_value(self, value: Any) -> Any:
        if value is None:
            return None if self.empty is None else self.empty()
        return codec.kept(value)


class BytesField(peewee.Field):
    """Bytes as they are."""

    field_type = "BLOB"

    def db_value(self, value: Any) -> bytes | None:
        return None if value is None else bytes(value)

    def python_value(self, value: Any) -> bytes | None:
        return None if value is None else bytes(value)
