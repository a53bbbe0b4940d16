"""Under which name a store keeps what is its own on a server that others use as well."""

from __future__ import annotations

import os
import secrets
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import parse_qs, urlsplit

from wilk import BackendError

if TYPE_CHECKING:
    from wilk import Settings

_FILE = "redis.id"
_DEFAULT_PORTS = {"postgresql": 5432, "postgres": 5432}


def prefix_of(settings: Settings, folder: Path | None, chosen: str) -> str | None:
    """The one that was ``chosen``; else one that only stores over the same database have.

    Of a database on a server its address tells that, of one in a file an id that lies in ``folder`` (a copy
    of the folder is another store). None where neither can tell.
    """
    if chosen:
        return chosen
    parts = urlsplit(settings.url)
    if parts.netloc:
        hosts = parts.netloc.rpartition("@")[2].lower()
        port = _DEFAULT_PORTS.get(parts.scheme)
        if port is not None:
            hosts = ",".join(host.removesuffix(f":{port}") for host in hosts.split(","))
        schema = parse_qs(parts.query).get("schema", ["public"])[-1]
        return _short(f"{hosts}{parts.path}?{schema}")
    return None if folder is None else _of_folder(folder)


def _of_folder(folder: Path) -> str:
    file = folder / _FILE
    for _ in range(3):
        try:
            id, _, inode = file.read_text(encoding="ascii").partition(" ")
            if id and inode == str(folder.stat().st_ino):
                return _short(id)
            file.unlink()  # it came with a copy
        except FileNotFoundError:
            pass
        except (OSError, UnicodeDecodeError) as error:
            raise BackendError(f"{file} cannot be read: {error}") from error
        _write(folder, file)
    raise BackendError(f"{file} changes all the time")


def _write(folder: Path, file: Path) -> None:
    """Write an id as a whole; of several processes, the first one's stays."""
    try:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        new = folder / f"{_FILE}.{os.getpid()}.{secrets.token_hex(4)}"
        new.write_text(f"{secrets.token_hex(16)} {folder.stat().st_ino}", encoding="ascii")
        try:
            os.link(new, file)
        except FileExistsError:
            pass
        except OSError:  # a file system without links
            new.replace(file)
        finally:
            new.unlink(missing_ok=True)
    except OSError as error:
        raise BackendError(f"{file} cannot be written: {error.strerror}") from error


def _short(text: str) -> str:
    return sha256(text.encode()).hexdigest()[:16]
