"""A relay to a PostgreSQL server, by which the answer to a COMMIT gets lost."""

from __future__ import annotations

import re
import selectors
import socket
import threading

from psycopg.conninfo import conninfo_to_dict


class LostAnswers:
    """A connection to the server by which the answer to a COMMIT gets lost: a relay that ends when it
    sees one pass. ``arrives``: whether the COMMIT itself reaches the server."""

    def __init__(self, url: str, *, arrives: bool) -> None:
        to = conninfo_to_dict(url)
        self._target = (str(to["host"]), int(str(to["port"])))
        self._arrives = arrives
        self._stop = threading.Event()
        self._listening = socket.create_server(("127.0.0.1", 0))
        self._listening.settimeout(0.05)
        self.armed = False
        self.port = self._listening.getsockname()[1]
        self.url = url.replace(f":{to['port']}/", f":{self.port}/")
        self._threads = [threading.Thread(target=self._accept)]
        self._threads[0].start()

    def _accept(self) -> None:
        while not self._stop.is_set():
            try:
                client, _ = self._listening.accept()
            except TimeoutError:
                continue
            server = socket.create_connection(self._target)
            thread = threading.Thread(target=self._relay, args=(client, server))
            self._threads.append(thread)
            thread.start()

    def _relay(self, client: socket.socket, server: socket.socket) -> None:
        with client, server, selectors.DefaultSelector() as both:
            both.register(client, selectors.EVENT_READ, server)
            both.register(server, selectors.EVENT_READ, client)
            while not self._stop.is_set():
                for key, _ in both.select(0.05):
                    data = key.fileobj.recv(65536)  # type: ignore[union-attr]
                    if not data:
                        return
                    if self.armed and key.fileobj is client and re.search(rb"COMMIT(?!TED)", data):
                        self.armed = False
                        if self._arrives:
                            server.sendall(data)
                            server.recv(65536)  # the answer, which nobody hears
                        return
                    key.data.sendall(data)

    def close(self) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join()
        self._listening.close()
