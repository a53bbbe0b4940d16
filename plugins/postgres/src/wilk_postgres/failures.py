"""The errors of psycopg as wilk's."""

from __future__ import annotations

from psycopg import DataError, OperationalError, errors

from wilk.errors import Busy, Invalid, WilkError
from wilk_postgres.addresses import Address

_RETRY = (errors.SerializationFailure, errors.DeadlockDetected)


def translated(error: BaseException, address: Address) -> WilkError | None:
    """What an error means, or None where the store's own rules tell it."""
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, errors.LockNotAvailable):
            return Busy(f"another writer held the store for over {address.timeout:g} s; try again")
        if isinstance(cause, _RETRY):
            return Busy("two writers were in each other's way, and this one was undone; try again")
        if isinstance(cause, errors.QueryCanceled):
            return Busy(f"the server ended a statement after {address.statement_timeout:g} s (statement_timeout)")
        if isinstance(cause, errors.NumericValueOutOfRange):
            return Invalid("a number is out of range: whole numbers of 64 bits are wanted")
        if isinstance(cause, DataError) and "NUL" in str(cause):
            return Invalid("text with NUL (\\0) can only be kept in text, parts and metadata")
        cause = cause.__cause__ or cause.__context__
    return None
