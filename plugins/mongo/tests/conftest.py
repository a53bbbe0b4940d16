"""A server that speaks MongoDB's protocol, out of a wheel."""

from __future__ import annotations

import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from pymongo import MongoClient


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a server with nothing on it."""
    folder = tmp_path_factory.mktemp("mongo")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [
        sys.executable, "-c", "from nx_27017 import main; main()", "--db", "memory", "--port", str(port),
        "--log-file", str(folder / "log"), "--pid-file", str(folder / "pid"),
    ]  # fmt: skip
    with Path(folder / "output").open("wb") as output:
        process = subprocess.Popen(command, stdout=output, stderr=output, cwd=folder)
    try:
        deadline = time.monotonic() + 60
        while True:
            try:
                socket.create_connection(("127.0.0.1", port), 1).close()
                break
            except OSError:
                assert process.poll() is None, (folder / "output").read_text()
                assert time.monotonic() < deadline, "the server does not start"
                time.sleep(0.05)
        yield f"mongodb://127.0.0.1:{port}"
    finally:
        process.terminate()
        process.wait(20)


@pytest.fixture
def filled(server: str) -> Iterator[Any]:
    """A client for filling databases, which are gone after the test."""
    client: MongoClient[dict[str, Any]] = MongoClient(server)
    try:
        yield client
        for name in client.list_database_names():
            if name not in ("admin", "config", "local"):
                client.drop_database(name)
    finally:
        client.close()
