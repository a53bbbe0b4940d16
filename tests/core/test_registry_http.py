"""An index over HTTP, asked of a real server: what it answers, how often, and what is never done."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

import wilk
from wilk.registries import http as registry_http

from .packaging import Shelf, agent, files_of, package, settings


class Server(ThreadingHTTPServer):
    """Serves a folder; ``ways`` answer for paths in their own way, ``asked`` are the requests."""

    daemon_threads = False

    def __init__(self, root: Path) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.root = root
        self.ways: dict[str, Any] = {}
        self.asked: list[tuple[str, dict[str, str]]] = []

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"


class _Handler(BaseHTTPRequestHandler):
    server: Server

    def do_GET(self) -> None:
        self.server.asked.append((self.path, {name.lower(): value for name, value in self.headers.items()}))
        way = self.server.ways.get(self.path)
        if way is not None:
            way(self)
            return
        file = self.server.root / self.path.lstrip("/").partition("?")[0]
        if not file.is_file():
            self.send_error(404)
            return
        data = file.read_bytes()
        tag = f'"{len(data)}-{file.stat().st_mtime_ns}"'
        if self.headers.get("If-None-Match") == tag:
            self.answer(304, b"", ETag=tag)
        else:
            self.answer(200, data, ETag=tag)

    def answer(self, code: int, data: bytes, **headers: str) -> None:
        self.send_response(code)
        for name, value in {"Content-Length": str(len(data)), **headers}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, *arguments: Any) -> None:
        """Say nothing."""


@contextmanager
def serving(root: Path) -> Iterator[Server]:
    server = Server(root)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@pytest.fixture(autouse=True)
def _direct(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "https_proxy", "all_proxy", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)


@pytest.fixture
def shelf(tmp_path: Path) -> Shelf:
    shelf = Shelf(tmp_path / "shelf")
    shelf.put(package(), tags=["code"])
    return shelf


@pytest.fixture
def server(shelf: Shelf) -> Iterator[Server]:
    with serving(shelf.root) as server:
        yield server


@pytest.fixture
def shop(home: Path, server: Server) -> Iterator[wilk.Store]:
    settings(home, main=server.url)
    with wilk.open_store(home=home) as store:
        yield store


def index(server: Server, **plugin: Any) -> registry_http.Index:
    return registry_http.open_index(server.url, wilk.Settings(plugins={"http-registry": plugin}))


def redirect(to: str) -> Any:
    return lambda handler: handler.answer(302, b"", Location=to)


class TestAsking:
    def test_installs_what_a_server_offers(self, shop: wilk.Store) -> None:
        shop.registry.install("reviewer")
        assert shop.home is not None
        assert files_of(shop.home / "agents" / "reviewer")["agent.yaml"] == agent()

    def test_an_index_that_did_not_change_is_not_sent_again(self, shop: wilk.Store, server: Server) -> None:
        for _ in range(2):
            assert [one.name for one in shop.registry.search()] == ["reviewer"]
            assert [one.packages for one in shop.registry.refresh(force=True)] == [1]
        first, *others = [
            headers.get("if-none-match") for path, headers in server.asked if path == "/index.json"
        ]
        assert first is None
        assert others
        assert None not in others

    def test_an_index_that_changed_is_taken(self, shop: wilk.Store, shelf: Shelf) -> None:
        shop.registry.search()
        shelf.put(b"x", "tester")
        shop.registry.refresh(force=True)
        assert [one.name for one in shop.registry.search(sort="name")] == ["reviewer", "tester"]

    def test_what_was_kept_and_is_damaged_is_asked_for_anew(self, shop: wilk.Store, server: Server) -> None:
        shop.registry.search()
        assert shop.home is not None
        (kept,) = (shop.home / "cache" / "indexes").iterdir()
        kept.write_text('{"url": "' + server.url + '/index.json", "etag": "x", "body": 5}')
        assert [one.error for one in shop.registry.refresh(force=True)] == [None]
        assert "if-none-match" not in server.asked[-1][1]

    def test_an_address_may_name_the_file(self, home: Path, server: Server, shelf: Shelf) -> None:
        (shelf.root / "index.json").rename(shelf.root / "all.json")
        settings(home, main=f"{server.url}/all.json")
        with wilk.open_store(home=home) as store:
            assert store.registry.install("reviewer").version == "1.0.0"

    def test_a_location_may_be_a_url_of_another_server(
        self, shop: wilk.Store, shelf: Shelf, tmp_path: Path
    ) -> None:
        other = Shelf(tmp_path / "other")
        entry = other.put(package("2.0.0"), version="2.0.0")
        with serving(other.root) as second:
            shelf.entries = [{**entry, "location": f"{second.url}/{entry['location']}"}]
            shelf.write()
            assert shop.registry.install("reviewer").version == "2.0.0"

    def test_redirects_are_followed(self, shop: wilk.Store, server: Server) -> None:
        server.ways["/index.json"] = redirect("/moved.json")
        (server.root / "index.json").rename(server.root / "moved.json")
        assert [one.name for one in shop.registry.search()] == ["reviewer"]


class TestNever:
    @pytest.mark.parametrize(
        "to", ["file:///etc/passwd", "ftp://127.0.0.1/x", "data:application/json,{}", "/again", "gopher://x/"]
    )
    def test_is_a_redirect_followed_anywhere_else(self, shop: wilk.Store, server: Server, to: str) -> None:
        server.ways["/index.json"] = redirect(to)
        server.ways["/again"] = redirect("/again")
        with pytest.raises(wilk.BackendError, match="cannot be asked"):
            shop.registry.search()

    @pytest.mark.parametrize(
        "location", ["file:///etc/passwd", "ftp://127.0.0.1/x.zip", "data:,x", "https:///x.zip", "a b"]
    )
    def test_is_a_location_fetched_that_is_not_http(
        self, shop: wilk.Store, shelf: Shelf, location: str
    ) -> None:
        shelf.entries[0]["location"] = location
        shelf.write()
        with pytest.raises(wilk.BackendError, match="no address that can be fetched"):
            shop.registry.install("reviewer")

    def test_does_an_index_by_https_lead_to_packages_by_http(self) -> None:
        source = registry_http.open_index("https://example.org/agents", wilk.Settings())
        with pytest.raises(wilk.BackendError, match="so its packages must"):
            source.fetch("http://example.org/x.zip", 10)

    def test_is_a_redirect_followed_from_https_to_http(self) -> None:
        asked = registry_http.request.Request("https://example.org/index.json")
        with pytest.raises(registry_http.URLError, match="not followed"):
            registry_http._Redirects().redirect_request(asked, None, 302, "", {}, "http://example.org/x")  # type: ignore[arg-type]

    def test_is_more_taken_than_may_be(self, server: Server) -> None:
        server.ways["/big"] = lambda handler: handler.answer(200, b"x" * 100_000)
        with pytest.raises(wilk.BackendError, match="at most 1000 are taken"):
            index(server).fetch("/big", 1000)

    def test_is_more_taken_of_an_answer_that_does_not_say_how_long_it_is(self, server: Server) -> None:
        def endless(handler: _Handler) -> None:
            handler.send_response(200)
            handler.end_headers()
            try:
                while True:
                    handler.wfile.write(b"x" * 10_000)
            except OSError:
                handler.close_connection = True

        server.ways["/endless"] = endless
        with pytest.raises(wilk.BackendError, match="too long"):
            index(server).fetch("/endless", 50_000)

    def test_is_a_silent_server_waited_for(self, server: Server) -> None:
        let_go = threading.Event()
        server.ways["/silent"] = lambda handler: let_go.wait(20) and None
        try:
            with pytest.raises(wilk.BackendError, match=r"silent|timed out"):
                index(server, timeout=0.05).fetch("/silent", 10)
        finally:
            let_go.set()

    def test_is_a_server_waited_for_that_gives_a_byte_now_and_then(self, server: Server) -> None:
        def dripping(handler: _Handler) -> None:
            handler.send_response(200)
            handler.end_headers()
            try:
                for _ in range(1000):
                    handler.wfile.write(b"x")
                    time.sleep(0.01)
            except OSError:
                handler.close_connection = True

        server.ways["/dripping"] = dripping
        with pytest.raises(wilk.BackendError, match="given up"):
            index(server, timeout=0.02).fetch("/dripping", 10_000)

    def test_is_half_an_answer_taken_for_the_whole(self, server: Server) -> None:
        def broken(handler: _Handler) -> None:
            handler.send_response(200)
            handler.send_header("Content-Length", "100")
            handler.end_headers()
            handler.wfile.write(b"x" * 50)
            handler.close_connection = True

        server.ways["/broken"] = broken
        with pytest.raises(wilk.BackendError):
            index(server).fetch("/broken", 1000)

    def test_is_content_used_that_is_not_what_the_index_says(self, shop: wilk.Store, server: Server) -> None:
        server.ways["/reviewer-1.0.0.zip"] = lambda handler: handler.answer(200, package("6.6.6"))
        with pytest.raises(wilk.Invalid, match="SHA-256"):
            shop.registry.install("reviewer")
        assert shop.agents.list() == []


class TestFaults:
    @pytest.mark.parametrize("code", [404, 403, 500, 503])
    def test_an_error_of_the_server_is_told(self, shop: wilk.Store, server: Server, code: int) -> None:
        server.ways["/index.json"] = lambda handler: handler.answer(code, b"")
        with pytest.raises(wilk.BackendError, match=f"answered {code}"):
            shop.registry.search()

    @pytest.mark.parametrize(
        "body", [b"", b"<html>", b"[]", b'{"packages": 5}', b'{"packages": [], "packages": []}', b"\xff"]
    )
    def test_what_is_no_index_is_told(self, shop: wilk.Store, server: Server, body: bytes) -> None:
        server.ways["/index.json"] = lambda handler: handler.answer(200, body)
        with pytest.raises(wilk.BackendError, match="no index of packages"):
            shop.registry.search()

    def test_an_answer_that_is_no_http_is_told(self, shop: wilk.Store, server: Server) -> None:
        server.ways["/index.json"] = lambda handler: handler.wfile.write(b"hello\r\n\r\n")
        with pytest.raises(wilk.BackendError, match="cannot be asked"):
            shop.registry.search()

    def test_a_server_that_is_not_there_leaves_what_was_known(self, home: Path, shelf: Shelf) -> None:
        with serving(shelf.root) as server:
            settings(home, main=server.url)
            with wilk.open_store(home=home) as store:
                store.registry.search()
        with wilk.open_store(home=home) as store:
            (done,) = store.registry.refresh(force=True)
            assert "cannot be reached" in str(done.error)
            assert [one.name for one in store.registry.search()] == ["reviewer"]

    @pytest.mark.parametrize("address", ["http://", "https://:x/", "http://[::1/", "http://a b/"])
    def test_a_bad_address_is_told(self, address: str) -> None:
        with pytest.raises(wilk.BackendError, match="no address"):
            registry_http.open_index(address, wilk.Settings())

    @pytest.mark.parametrize("timeout", [0, -1, "soon", True, 1e9])
    def test_a_bad_time_limit_is_told(self, server: Server, timeout: Any) -> None:
        with pytest.raises(wilk.SettingsError, match="timeout"):
            index(server, timeout=timeout)


class TestLogins:
    def test_go_to_their_own_server_alone(
        self, home: Path, server: Server, shelf: Shelf, tmp_path: Path
    ) -> None:
        with serving(shelf.root) as other:
            server.ways["/index.json"] = redirect(f"{other.url}/index.json")
            settings(home, main=server.url.replace("//", "//ada:se%20cret@"))
            with wilk.open_store(home=home) as store:
                store.registry.install("reviewer")
            assert {headers.get("authorization") for _, headers in server.asked} == {"Basic YWRhOnNlIGNyZXQ="}
            assert {headers.get("authorization") for _, headers in other.asked} == {None}

    def test_are_in_no_error_and_no_list(self, home: Path) -> None:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            address = f"http://ada:secret@127.0.0.1:{free.getsockname()[1]}/index.json?key=secret"
        settings(home, main=address)
        with wilk.open_store(home=home) as store:
            (done,) = store.registry.refresh()
            assert "cannot be reached" in str(done.error)
            assert "secret" not in str(done.error)
            assert "ada" not in store.registry.sources()[0].address


def test_the_proxy_of_the_environment_is_used(
    home: Path, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("http_proxy", server.url)
    settings(home, main="http://agents.example/")
    server.ways["http://agents.example/index.json"] = lambda handler: handler.answer(
        200, (server.root / "index.json").read_bytes()
    )
    with wilk.open_store(home=home) as store:
        assert [one.name for one in store.registry.search()] == ["reviewer"]
