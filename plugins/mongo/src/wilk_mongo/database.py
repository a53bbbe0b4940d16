"""A database of a MongoDB server, for reading alone.

Documents come as the bytes that the server sends, and wilk's own reader of BSON turns them into values: so
they are those that a dump of the same database gives. Where to read, how to log in, TLS and time limits are
what the address says; the server is asked for nothing but names, counts and documents.
"""

from __future__ import annotations

import re
import struct
import warnings
from collections.abc import Iterator, Mapping
from typing import Any, NoReturn, cast

from pymongo import MongoClient
from pymongo.errors import ConfigurationError, InvalidName, InvalidURI, OperationFailure, PyMongoError

from wilk.errors import BackendError, Invalid
from wilk.transfer.reading import bson
from wilk.transfer.reading.addresses import hidden, secrets

_WAIT = 10_000
"""Milliseconds in which a server is looked for, where the address says nothing of it."""
_BATCH = 500
_OWN = ("admin", "config", "local")
_LENGTH = struct.Struct("<i")


class Database:
    """The collections of a database; see :class:`wilk.Documents`."""

    def __init__(self, client: MongoClient[dict[str, Any]], name: str, url: str) -> None:
        self._client = client
        self._database = client[name]
        self._url = url

    def collections(self) -> Mapping[str, int | None]:
        """The collections, not the views, with about how many documents each has."""
        try:
            found = self._database.list_collection_names(filter={"type": "collection"})
        except PyMongoError as error:
            _fail(error, self._url)
        return {name: self._count(name) for name in sorted(found) if not name.startswith("system.")}

    def read(self, name: str) -> Iterator[dict[str, Any]]:
        """Go through the documents by their ids, in batches. Raises BackendError when the server fails."""
        try:
            batches = self._database[name].find_raw_batches({}, sort=[("_id", 1)], batch_size=_BATCH)
            with batches:
                for batch in batches:
                    yield from _documents(cast(bytes, batch))
        except PyMongoError as error:
            _fail(error, self._url)

    def close(self) -> None:
        self._client.close()

    def _count(self, name: str) -> int | None:
        try:
            return self._database[name].estimated_document_count()
        except PyMongoError:  # a number for the progress bar; what is really wrong shows when it is read
            return None


def open_database(url: str) -> Database:
    """Open the database that an address names.

    Raises Invalid for an address that is not a good one or names no database, with the names of those there
    are, and BackendError when no server answers or lets one in. Neither holds a password.
    """
    try:
        with warnings.catch_warnings():
            # The driver warns of options that it does not know; such a one is misspelt.
            warnings.simplefilter("error", UserWarning)
            client: MongoClient[dict[str, Any]] = MongoClient(url, **_options(url))
    except (InvalidURI, ConfigurationError, ValueError, TypeError, UserWarning) as error:
        raise Invalid(f"{hidden(url)} is no address that MongoDB takes: {_told(error, url)}") from None
    except PyMongoError as error:  # a name that DNS does not know
        _fail(error, url)
    try:
        return _opened(client, url)
    except BaseException:
        client.close()
        raise


def _opened(client: MongoClient[dict[str, Any]], url: str) -> Database:
    try:
        name = client.get_default_database().name
    except (ConfigurationError, InvalidName):
        raise Invalid(
            f"{hidden(url)} names no database; {_there(client, url)}. Write it behind the host: "
            "mongodb://host/DATABASE (and ?authSource=admin where users are kept there)"
        ) from None
    found = Database(client, name, url)
    if not found.collections():
        raise Invalid(f"the database {name!r} holds no collections; {_there(client, url)}")
    return found


def _options(url: str) -> dict[str, Any]:
    given = url.lower()
    return {
        "appname": "wilk",
        "connect": False,
        **({} if "serverselectiontimeoutms=" in given else {"serverSelectionTimeoutMS": _WAIT}),
        **({} if "connecttimeoutms=" in given else {"connectTimeoutMS": _WAIT}),
    }


def _there(client: MongoClient[dict[str, Any]], url: str) -> str:
    """A clause that names the databases that a user may choose from."""
    try:
        names = [name for name in client.list_database_names() if name not in _OWN]
    except OperationFailure:
        return "the user may not list those there are"
    except PyMongoError as error:
        _fail(error, url)
    return f"there {'are' if len(names) > 1 else 'is'} {', '.join(sorted(names)) or 'none'}"


def _documents(batch: bytes) -> Iterator[dict[str, Any]]:
    at = 0
    while at < len(batch):
        size = _LENGTH.unpack_from(batch, at)[0]
        yield bson.parse(batch, at, size)
        at += size


def _fail(error: PyMongoError, url: str) -> NoReturn:
    # Without its cause: what the driver raises may hold parts of the address.
    if isinstance(error, OperationFailure) and error.code in (13, 18):
        raise BackendError(
            f"{hidden(url)} does not let this user in or read; check name, password and authSource"
        ) from None
    raise BackendError(f"{hidden(url)} cannot be read: {_told(error, url)}") from None


def _told(error: Exception, url: str) -> str:
    """What the driver says, unless it repeats something that is secret."""
    text = re.split(r", Timeout:| \(configured timeouts", str(error))[0]
    if any(secret in text for secret in secrets(url)):
        return f"{type(error).__name__}; in a name or password, / : @ are written as %2F %3A %40"
    return text or type(error).__name__
