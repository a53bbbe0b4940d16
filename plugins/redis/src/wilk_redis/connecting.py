"""Clients of the server: short waits, and errors that are wilk's."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from wilk import BackendError, SettingsError
from wilk_redis.options import Options

_CONNECTIONS = 16


def client(options: Options, *, connections: int = _CONNECTIONS) -> redis.Redis:
    """A client that has not connected yet.

    A connection that the server has closed meanwhile (it was restarted) is made anew, once; an answer
    that does not come is not asked for twice.
    """
    try:
        pool = redis.BlockingConnectionPool.from_url(
            options.url,
            max_connections=connections,
            timeout=options.timeout * 4,
            socket_connect_timeout=options.timeout,
            socket_timeout=options.timeout,
            protocol=2,
            retry=Retry(NoBackoff(), 1, supported_errors=(redis.ConnectionError,)),
            decode_responses=False,
        )
    except (ValueError, TypeError) as error:
        raise SettingsError(f"redis: the address cannot be used: {error}") from None
    return redis.Redis.from_pool(pool)


@contextmanager
def translated(options: Options) -> Iterator[None]:
    """Turn the driver's errors into BackendError; the text has no password in it."""
    try:
        yield
    except (redis.RedisError, OSError) as error:
        raise BackendError(f"{shown(options.url)}: {str(error) or type(error).__name__}") from error


def shown(url: str) -> str:
    """An address without user and password."""
    scheme, _, rest = url.partition("://")
    return f"{scheme}://{rest.partition('?')[0].rpartition('@')[2]}"
