"""The errors of psycopg as wilk's, with what to do about them."""

from __future__ import annotations

from collections.abc import Iterator

from psycopg import DataError, Error, InterfaceError, OperationalError, errors

from wilk.errors import BackendError, Busy, Invalid, ReadOnly, WilkError
from wilk_postgres.addresses import Address, quoted

_LOST = ("08", "57P")
"""Classes of errors after which a connection is gone: broken ones, and those that an operator ends."""
_IN_EACH_OTHERS_WAY = (errors.SerializationFailure, errors.DeadlockDetected)


class CommitUnknown(OperationalError):
    """The connection was lost between a COMMIT and its answer."""


class Undone(OperationalError):
    """The server has rolled back what was to be committed."""


def lost(error: BaseException) -> bool:
    """Whether an error means that the connection is gone. What libpq finds out itself has no code."""
    if not isinstance(error, Error):
        return False
    if error.sqlstate is None:
        return isinstance(error, (OperationalError, InterfaceError))
    return error.sqlstate.startswith(_LOST)


def stands_by(error: BaseException) -> bool:
    """Whether an error comes of a server, or a session, that does not write."""
    return any(isinstance(cause, errors.ReadOnlySqlTransaction) for cause in _chain(error))


def translated(error: BaseException, address: Address) -> WilkError | None:
    """What an error means, or None where the store's own rules tell it."""
    chain = list(_chain(error))
    for cause in chain:
        if isinstance(cause, CommitUnknown):
            return BackendError(
                "the connection to the server was lost, or ended, while it committed: whether the change was "
                "made is not known. Look whether it is there before you make it again (a message that is "
                f"appended with a key may simply be appended again): {_line(cause)}"
            )
    for cause in chain:
        if isinstance(cause, Error) and (meaning := _meaning(cause, address)) is not None:
            return meaning
    return None


def _meaning(error: Error, address: Address) -> WilkError | None:
    text = _line(error)
    match error:
        case Undone() | errors.InFailedSqlTransaction():
            return BackendError(
                "a statement of the transaction failed, so that nothing of it is kept; leave its block, "
                f"then try again: {text}"
            )
        case errors.LockNotAvailable():
            return Busy(f"another writer held the store for over {address.timeout:g} s; try again")
        case _ if isinstance(error, _IN_EACH_OTHERS_WAY):
            return Busy(f"another was in the way, and this was undone; try again: {text}")
        case errors.QueryCanceled():
            if "timeout" in text and address.statement_timeout:
                limit = f"after {address.statement_timeout:g} s (statement_timeout)"
                return Busy(f"the server ended a statement {limit}, and nothing of it is kept: {text}")
            return Busy(f"the server ended a statement, and nothing of it is kept: {text}")
        case errors.ReadOnlySqlTransaction() if address.readonly:
            return None
        case errors.ReadOnlySqlTransaction():
            return ReadOnly(
                "this server does not write: it is a standby, or its operator allows only reading; name the "
                "primary, or all servers with target_session_attrs=read-write (HOST:PORT,HOST:PORT): " + text
            )
        case errors.DiskFull():
            return BackendError(
                f"the server's disk is full, and nothing of this change is kept; make room there: {text}"
            )
        case errors.TooManyConnections():
            return Busy(f"the server has no connection left; try again, or use a smaller pool_size: {text}")
        case errors.InsufficientPrivilege():
            return BackendError(
                f"{text}; the user needs all rights in schema {quoted(address.schema)}: GRANT ALL ON SCHEMA "
                f"{quoted(address.schema)} TO …, and on its tables"
            )
        case errors.NumericValueOutOfRange():
            return Invalid("a number is out of range: whole numbers of 64 bits are wanted")
        case errors.ProgramLimitExceeded():
            return Invalid(f"a value is too long for an index, which holds some 2,700 bytes: {text}")
        case DataError() if "NUL" in text:
            return Invalid("text with NUL (\\0) can only be kept in text, parts and metadata")
        case _ if lost(error):
            return BackendError(
                "the connection to the server was lost, and what was not committed is undone; try again: "
                + text
            )
    return None


def _chain(error: BaseException) -> Iterator[BaseException]:
    """An error, and those that led to it: Peewee wraps the driver's in its own."""
    cause: BaseException | None = error
    while cause is not None:
        yield cause
        cause = cause.__cause__ or cause.__context__


def _line(error: BaseException) -> str:
    return " ".join(str(error).split())
