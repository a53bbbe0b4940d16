"""Which database the models belong to just now: the one that a store's transaction seam has bound."""

from __future__ import annotations

from contextvars import ContextVar
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from peewee import Database

bound: ContextVar[Database | None] = ContextVar("wilk_bound_database", default=None)
