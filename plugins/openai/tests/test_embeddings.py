"""Vectors over real HTTP from an endpoint on this machine."""

from __future__ import annotations

import base64
import contextlib
import hashlib
import json
import logging
import socket
import struct
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import wilk
import wilk_openai
from wilk.testing import EmbedderSuite
from wilk_openai import client, embeddings, limits
from wilk_openai.embeddings import Embeddings, model_id, of_id, vectors_of
from wilk_openai.options import Options, options_of

KEY = "sk-very-secret-0123456789"
Change = Callable[[dict[str, Any]], "tuple[int, Any, dict[str, str]] | None"]


def numbers(text: str, dimension: int = 8) -> list[float]:
    """What the endpoint makes of a text: numbers that follow from it alone."""
    digest = hashlib.sha512(text.encode("utf-8", "surrogatepass")).digest()
    return [byte / 128 - 1 for byte in digest[:dimension]]


class Endpoint:
    """Embeds by ``numbers``. Each of ``changes`` answers one request in its own way, or leaves it."""

    def __init__(self) -> None:
        self.changes: list[Change] = []
        self.always: Change = lambda body: None
        self.requests: list[dict[str, Any]] = []
        self.headers: list[dict[str, str]] = []
        self.more: dict[str, str] = {}
        self.delay = 0.0
        self._stopping = threading.Event()
        endpoint = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                endpoint.requests.append({"path": self.path, **body})
                endpoint.headers.append(dict(self.headers))
                change = endpoint.changes.pop(0) if endpoint.changes else endpoint.always
                status, answer, headers = change(body) or (200, sound(body), {})
                endpoint._stopping.wait(endpoint.delay)
                data = json.dumps(answer).encode()
                try:
                    self.send_response(status)
                    for name, value in {**endpoint.more, **headers}.items():
                        self.send_header(name, value)
                    self.send_header("Content-Length", str(len(data)))
                    self.end_headers()
                    self.wfile.write(data)
                except OSError:
                    self.close_connection = True  # the other side has given up

            def log_message(self, *_: object) -> None:
                pass

        class Server(ThreadingHTTPServer):
            def handle_error(self, *_: object) -> None:
                pass  # a connection that was given up

        self._server = Server(("127.0.0.1", 0), Handler)
        self._thread = threading.Thread(
            target=self._server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True
        )
        self._thread.start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_port}/v1"

    @property
    def inputs(self) -> list[list[str]]:
        return [request["input"] for request in self.requests]

    def stop(self) -> None:
        self._stopping.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


def sound(body: dict[str, Any]) -> dict[str, Any]:
    """The answer to a request, in the form that it asks for."""
    vectors = [numbers(text, body.get("dimensions", 8)) for text in body["input"]]
    if body["encoding_format"] == "base64":
        shown: list[Any] = [base64.b64encode(struct.pack(f"<{len(one)}f", *one)).decode() for one in vectors]
    else:
        shown = list(vectors)
    return {"data": [{"index": place, "embedding": one} for place, one in enumerate(shown)]}


def answers(status: int, text: str = "no", **headers: str) -> Change:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return lambda body: (status, {"error": {"message": text}}, named)


def gives(*values: Any, places: list[Any] | None = None) -> Change:
    """Answers these embeddings, whatever was asked."""
    data = [
        {"embedding": value, **({} if places is None else {"index": places[n]})}
        for n, value in enumerate(values)
    ]
    return lambda body: (200, {"data": data}, {})


@pytest.fixture(autouse=True)
def alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Keep the tests from the user's settings, and from proxies."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("NO_PROXY", "*")
    monkeypatch.setenv("OPENAI_API_KEY", KEY)


@pytest.fixture(autouse=True)
def pauses(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The pauses between requests, which are not made."""
    made: list[float] = []
    plain = client.Client

    def without_pauses(options: Options, *, largest: int) -> client.Client:
        return plain(options, largest=largest, sleep=made.append)

    monkeypatch.setattr(embeddings, "Client", without_pauses)
    return made


@pytest.fixture
def endpoint() -> Iterator[Endpoint]:
    served = Endpoint()
    yield served
    served.stop()


@pytest.fixture
def opened(endpoint: Endpoint) -> Iterator[Callable[..., Embeddings]]:
    """Opens the embedder as wilk does: ``opened(setting=value)``."""
    kept: list[Any] = []

    def open_it(model: str | None = None, **section: Any) -> Any:
        section = {"embedding_model": "m", "url": endpoint.url, **section}
        chosen = wilk.Settings(plugins={"openai": section})
        kept.append(next(wilk_openai.register_embedders()).open(chosen, model))
        return kept[-1]

    yield open_it
    for one in kept:
        one.close()


Opened = Callable[..., Embeddings]


class TestTheContract(EmbedderSuite):
    @pytest.fixture
    def section(self, endpoint: Endpoint) -> dict[str, Any]:
        return {"openai": {"embedding_model": "m", "url": endpoint.url}}

    @pytest.fixture
    def embedder(self) -> wilk.Embedder:
        return next(wilk_openai.register_embedders())


class TestRequests:
    def test_name_the_model_and_carry_the_texts(self, opened: Opened, endpoint: Endpoint) -> None:
        vectors = opened().embed(["one", "two"])
        assert endpoint.requests == [
            {"path": "/v1/embeddings", "model": "m", "input": ["one", "two"], "encoding_format": "base64"}
        ]
        assert endpoint.headers[0]["Authorization"] == f"Bearer {KEY}"
        assert vectors == pytest.approx(np.array([numbers("one"), numbers("two")]))

    def test_ask_for_the_dimensions_that_are_set(self, opened: Opened, endpoint: Endpoint) -> None:
        assert opened(dimensions=4).embed(["one"]).shape == (1, 4)
        assert endpoint.requests[0]["dimensions"] == 4

    def test_have_the_prefix_of_a_query_or_of_a_passage(self, opened: Opened, endpoint: Endpoint) -> None:
        embedding = opened(query_prefix="query: ", passage_prefix="passage: ")
        embedding.embed(["one"], query=True)
        embedding.embed(["one"])
        assert endpoint.inputs == [["query: one"], ["passage: one"]]

    def test_have_so_many_texts_at_most(self, opened: Opened, endpoint: Endpoint) -> None:
        vectors = opened(embedding_batch=2).embed(["a", "b", "c", "d", "e"])
        assert endpoint.inputs == [["a", "b"], ["c", "d"], ["e"]]
        assert vectors == pytest.approx(np.array([numbers(text) for text in "abcde"]))

    def test_have_so_many_characters_at_most(self, opened: Opened, endpoint: Endpoint) -> None:
        opened(embedding_characters=100).embed(["a" * 60, "b" * 40, "c", "d" * 101, "e"])
        assert [[len(text) for text in texts] for texts in endpoint.inputs] == [[60, 40], [1], [101], [1]]

    def test_have_texts_no_longer_than_is_set(self, opened: Opened, endpoint: Endpoint) -> None:
        opened(embedding_longest=100).embed(["a" * 200])
        assert endpoint.inputs == [["a" * 100]]

    def test_may_go_to_another_endpoint_which_never_gets_the_key_of_the_first(
        self, opened: Opened, endpoint: Endpoint
    ) -> None:
        opened(url="https://api.openai.com/v1", embedding_url=endpoint.url).embed(["one"])
        assert "Authorization" not in endpoint.headers[0]

    def test_may_have_a_key_of_their_own(
        self, opened: Opened, endpoint: Endpoint, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("OTHER_KEY", "other")
        opened(embedding_url=endpoint.url, embedding_key_variable="OTHER_KEY").embed(["one"])
        assert endpoint.headers[0]["Authorization"] == "Bearer other"

    def test_are_not_made_before_there_is_a_text(self, opened: Opened, endpoint: Endpoint) -> None:
        assert opened().embed([]).shape[0] == 0
        assert endpoint.requests == []


class TestAnswers:
    @pytest.mark.parametrize(
        ("change", "told"),
        [
            (gives([1.0], [2.0], [3.0]), "3 vectors for 2 texts"),
            (gives([1.0]), "1 vectors for 2 texts"),
            (gives([1.0], [2.0], places=[0, 0]), "vectors of the texts [0, 0] instead of 0 to 1"),
            (gives([1.0], [2.0], places=[1, 2]), "instead of 0 to 1"),
            (gives([1.0], [2.0], places=["0", "1"]), "instead of 0 to 1"),
            (gives([1.0], [2.0, 3.0]), "several dimensions"),
            (gives([1.0], [float("nan")]), "not finite"),
            (gives([1.0], [float("inf")]), "not finite"),
            (gives([1.0], [1e300]), "not finite"),
            (gives([1.0], [None]), "not finite"),
            (gives([1.0], []), "no vector: []"),
            (gives([1.0], [[2.0]]), "no vector: [[2.0]]"),
            (gives([1.0], ["x"]), "no vector"),
            (gives([1.0], "not base64!"), "no vector: not base64!"),
            (gives([1.0], base64.b64encode(b"12345").decode()), "no vector"),
            (gives([1.0], None), "no vector: None"),
            (lambda body: (200, {"vectors": []}, {}), "without data"),
            (lambda body: (200, [], {}), "without data"),
            (lambda body: (200, {"data": ["x", "y"]}, {}), "without data"),
        ],
    )
    def test_that_cannot_be_right_are_an_error(
        self, opened: Opened, endpoint: Endpoint, change: Change, told: str
    ) -> None:
        endpoint.changes = [change]
        with pytest.raises(wilk.BackendError) as error:
            opened().embed(["one", "two"])
        assert told in str(error.value)

    def test_are_put_into_the_order_of_the_texts(self, opened: Opened, endpoint: Endpoint) -> None:
        endpoint.changes = [gives([2.0], [1.0], places=[1, 0])]
        assert opened().embed(["one", "two"]).tolist() == [[1.0], [2.0]]

    def test_without_places_are_in_order(self, opened: Opened, endpoint: Endpoint) -> None:
        endpoint.changes = [gives([2.0], [1.0])]
        assert opened().embed(["one", "two"]).tolist() == [[2.0], [1.0]]

    def test_of_another_dimension_than_before_are_an_error(self, opened: Opened, endpoint: Endpoint) -> None:
        embedding = opened()
        embedding.embed(["one"])
        endpoint.changes = [gives([1.0])]
        with pytest.raises(wilk.BackendError, match="vectors of 1 numbers, where those of 'm' have 8"):
            embedding.embed(["one"])

    def test_that_leave_dimensions_unheeded_are_an_error(self, opened: Opened, endpoint: Endpoint) -> None:
        endpoint.changes = [gives([1.0, 2.0])]
        with pytest.raises(wilk.BackendError, match="leave out `dimensions`"):
            opened(dimensions=4).embed(["one"])

    @settings(deadline=None)
    @given(
        st.lists(st.lists(st.floats(width=32, allow_nan=False, allow_infinity=False), min_size=3, max_size=3))
    )
    def test_mean_the_same_as_numbers_and_as_base64(self, vectors: list[list[float]]) -> None:
        plain = {"data": [{"embedding": one} for one in vectors]}
        packed = {
            "data": [{"embedding": base64.b64encode(struct.pack("<3f", *one)).decode()} for one in vectors]
        }
        for one, other in zip(vectors_of(plain, len(vectors)), vectors_of(packed, len(vectors)), strict=True):
            assert one.tolist() == other.tolist()


class TestRefusals:
    def test_of_a_text_are_invalid(self, opened: Opened, endpoint: Endpoint) -> None:
        def refuse(body: dict[str, Any]) -> tuple[int, Any, dict[str, str]] | None:
            return (400, {"error": "$.input is bad"}, {}) if "bad" in body["input"] else None

        endpoint.always = refuse
        embedding = opened()
        with pytest.raises(wilk.Invalid, match="is bad"):
            embedding.embed(["good", "bad"])
        assert embedding.embed(["good"]).shape == (1, 8)

    @pytest.mark.parametrize("status", [400, 422])
    def test_of_whatever_is_sent_are_no_fault_of_the_texts(
        self, opened: Opened, endpoint: Endpoint, status: int
    ) -> None:
        endpoint.always = answers(status, "model m does not embed")
        with pytest.raises(wilk.BackendError, match="does not embed"):
            opened().embed(["one"])
        assert endpoint.inputs[1] == [embeddings.PROBE]

    def test_of_base64_lead_to_numbers(self, opened: Opened, endpoint: Endpoint) -> None:
        endpoint.always = lambda body: (
            (400, {"error": "encoding_format: unknown"}, {}) if body["encoding_format"] == "base64" else None
        )
        embedding = opened()
        assert embedding.embed(["one"]) == pytest.approx(np.array([numbers("one")]))
        before = len(endpoint.requests)
        embedding.embed(["two"])
        assert len(endpoint.requests) == before + 1

    @pytest.mark.parametrize(
        "refusal", [answers(413), answers(400, "maximum context length is 10 tokens")], ids=["413", "tokens"]
    )
    def test_of_too_large_requests_part_them(
        self, opened: Opened, endpoint: Endpoint, refusal: Change
    ) -> None:
        endpoint.always = lambda body: refusal(body) if len(body["input"]) > 2 else None
        vectors = opened().embed(list("abcdefg"))
        assert vectors == pytest.approx(np.array([numbers(text) for text in "abcdefg"]))

    def test_of_one_text_that_is_too_large_are_invalid(self, opened: Opened, endpoint: Endpoint) -> None:
        endpoint.always = answers(413)
        with pytest.raises(wilk.Invalid, match="answers 413"):
            opened().embed(["one"])
        assert len(endpoint.requests) == 1

    @pytest.mark.parametrize("status", [401, 403, 404])
    def test_of_another_kind_are_an_error_at_once(
        self, opened: Opened, endpoint: Endpoint, status: int
    ) -> None:
        endpoint.always = answers(status)
        with pytest.raises(wilk.BackendError, match=f"answers {status}"):
            opened().embed(["one", "two"])
        assert len(endpoint.requests) == 1


class TestLimits:
    def test_retry_after_is_honoured(self, opened: Opened, endpoint: Endpoint, pauses: list[float]) -> None:
        endpoint.changes = [answers(429, Retry_After="7")]
        assert opened().embed(["one"]).shape == (1, 8)
        assert pauses == [7.0]

    def test_what_fails_again_and_again_is_given_up(
        self, opened: Opened, endpoint: Endpoint, pauses: list[float]
    ) -> None:
        endpoint.always = answers(503)
        with pytest.raises(wilk.BackendError, match="3 attempts"):
            opened(retries=2).embed(["one"])
        assert pauses[0] < pauses[1]

    @pytest.mark.parametrize("what", ["requests", "tokens"])
    def test_the_next_request_waits_when_nothing_is_left(
        self, opened: Opened, endpoint: Endpoint, pauses: list[float], what: str
    ) -> None:
        endpoint.more = {f"x-ratelimit-remaining-{what}": "0", f"x-ratelimit-reset-{what}": "6s"}
        embedding = opened()
        embedding.embed(["one"])
        assert pauses == []
        endpoint.more = {}
        embedding.embed(["two"])
        assert len(pauses) == 1
        assert 5 < pauses[0] <= 6

    def test_the_next_request_goes_at_once_while_something_is_left(
        self, opened: Opened, endpoint: Endpoint, pauses: list[float]
    ) -> None:
        endpoint.more = {"x-ratelimit-remaining-requests": "1", "x-ratelimit-reset-requests": "6s"}
        embedding = opened()
        embedding.embed(["one"])
        embedding.embed(["two"])
        assert pauses == []

    def test_nothing_is_sent_when_the_limit_lasts_longer_than_the_time_limit(
        self, opened: Opened, endpoint: Endpoint
    ) -> None:
        endpoint.more = {"x-ratelimit-remaining-requests": "0", "x-ratelimit-reset-requests": "1h"}
        embedding = opened()
        embedding.embed(["one"])
        with pytest.raises(wilk.BackendError, match="rate limit is used up; it asks to wait"):
            embedding.embed(["two"])
        assert len(endpoint.requests) == 1

    @pytest.mark.parametrize(
        ("value", "seconds"),
        [
            ("1s", 1), ("6m0s", 360), ("20ms", 0.02), ("1h2m3s", 3723), ("1.5s", 1.5), ("2d", 172_800),
            ("12", 12), ("0", 0), ("", None), ("soon", None), ("-3", None), ("nan", None), ("inf", None),
        ],
    )  # fmt: skip
    def test_a_time_is_read_in_the_ways_it_is_written(self, value: str, seconds: float | None) -> None:
        assert limits.duration(value) == seconds

    @pytest.mark.parametrize("scale", [1, 1000])
    def test_a_time_may_be_one_since_1970(self, scale: int) -> None:
        found = limits.duration(str(int((time.time() + 60) * scale)))
        assert found is not None
        assert 50 < found <= 60

    @settings(deadline=None)
    @given(st.text(max_size=12))
    def test_any_other_header_is_no_time(self, value: str) -> None:
        found = limits.duration(value)
        assert found is None or found >= 0

    def test_an_answer_that_takes_too_long_is_an_error(self, opened: Opened, endpoint: Endpoint) -> None:
        endpoint.delay = 20.0
        with pytest.raises(wilk.BackendError, match=r"no answer within 0\.2 s"):
            opened(timeout=0.2, retries=0).embed(["one"])

    def test_a_query_has_a_time_limit_of_its_own_for_all_attempts(
        self, opened: Opened, endpoint: Endpoint, pauses: list[float]
    ) -> None:
        endpoint.always = answers(429, Retry_After="6")
        with pytest.raises(wilk.BackendError, match="asks to wait for 6 s"):
            opened(query_timeout=1).embed(["one"], query=True)
        assert pauses == []

    def test_a_limit_of_years_holds_for_an_hour(self) -> None:
        now = 1000.0
        allowance = limits.Allowance(lambda: now)
        allowance.heed({"x-ratelimit-remaining-tokens": "0", "x-ratelimit-reset-tokens": "9" * 400 + "s"})
        assert allowance.wait() == 3600

    @settings(deadline=None)
    @given(st.text(max_size=40) | st.text("0123456789 :,-+GMTJanMon", max_size=40))
    def test_any_retry_after_is_a_time_or_none(self, value: str) -> None:
        found = limits.retry_after(value)
        assert found is None or found >= 0

    def test_a_query_has_its_time_limit_for_all_requests(self, opened: Opened, endpoint: Endpoint) -> None:
        endpoint.always = answers(413)
        endpoint.delay = 0.2
        with pytest.raises(wilk.BackendError, match="gave no answer"):
            opened(query_timeout=0.5, retries=0).embed(["one"] * 64, query=True)
        assert len(endpoint.requests) <= 4


class Dripping:
    """Answers the beginning of something, and then a byte now and then, for ever."""

    def __init__(self, begin: bytes, drop: bytes) -> None:
        self._begin, self._drop = begin, drop
        self.asked = threading.Event()
        self._stopping = threading.Event()
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._socket.getsockname()[1]}/v1"
        self._threads = [threading.Thread(target=self._accept, daemon=True)]
        self._threads[0].start()

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self._socket.accept()
            except OSError:
                return
            self._threads.append(threading.Thread(target=self._answer, args=(connection,), daemon=True))
            self._threads[-1].start()

    def _answer(self, connection: socket.socket) -> None:
        with connection, contextlib.suppress(OSError):
            connection.recv(65_536)
            connection.sendall(self._begin)
            self.asked.set()
            while not self._stopping.wait(0.05):
                connection.sendall(self._drop)

    def stop(self) -> None:
        self._stopping.set()
        self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()
        for thread in self._threads:
            thread.join()


DRIPS = {
    "a header": (b"HTTP/1.1 200 OK\r\nX-Long: ", b"a"),
    "early hints": (b"", b"HTTP/1.1 103 Early Hints\r\n\r\n"),
    "the head of a gzip stream": (
        b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 9999\r\n\r\n"
        b"\x1f\x8b\x08\x08\0\0\0\0\0\0",
        b"a",
    ),
    "a body": (b"HTTP/1.1 200 OK\r\nContent-Length: 9999\r\n\r\n", b" "),
}


class TestAnAnswerThatNeverEnds:
    @pytest.fixture(params=DRIPS)
    def dripping(self, request: pytest.FixtureRequest) -> Iterator[Dripping]:
        served = Dripping(*DRIPS[request.param])
        yield served
        served.stop()

    def test_ends_at_the_time_limit(self, opened: Opened, dripping: Dripping) -> None:
        with pytest.raises(wilk.BackendError, match=r"no answer within 0\.5 s"):
            opened(url=dripping.url, timeout=0.5, retries=0).embed(["one"])

    def test_ends_when_the_embedder_is_closed(self, opened: Opened, dripping: Dripping) -> None:
        embedding = opened(url=dripping.url, timeout=600)
        failures: list[BaseException] = []

        def work() -> None:
            try:
                embedding.embed(["one"] * 200)
            except BaseException as error:
                failures.append(error)

        thread = threading.Thread(target=work)
        thread.start()
        assert dripping.asked.wait(20)
        embedding.close()
        thread.join(20)
        assert not thread.is_alive()
        assert "given up, for the embedder was closed" in str(failures[0])


class TestTheKey:
    @pytest.mark.parametrize("before", range(255, 300, 9))
    def test_is_not_even_in_part_where_a_long_answer_is_cut(
        self, opened: Opened, endpoint: Endpoint, before: int
    ) -> None:
        endpoint.changes = [answers(401, "x" * before + KEY), gives("x" * before + KEY)]
        for _ in range(2):
            with pytest.raises(wilk.BackendError) as error:
                opened().embed(["one"])
            assert KEY[:6] not in str(error.value)

    @pytest.mark.parametrize("status", [200, 400, 401, 429, 500])
    def test_is_in_no_log_and_no_error_even_when_the_endpoint_repeats_it(
        self, opened: Opened, endpoint: Endpoint, caplog: pytest.LogCaptureFixture, status: int
    ) -> None:
        endpoint.always = answers(status, f"bad key {KEY}")
        with caplog.at_level(logging.DEBUG), pytest.raises(wilk.WilkError) as error:
            opened(retries=0).embed(["one"])
        assert "***" in str(error.value)
        assert KEY not in str(error.value)
        assert KEY not in caplog.text
        assert KEY not in repr(error.value.__cause__)

    def test_is_in_no_error_about_a_vector(self, opened: Opened, endpoint: Endpoint) -> None:
        endpoint.changes = [gives(KEY)]
        with pytest.raises(wilk.BackendError) as error:
            opened().embed(["one"])
        assert KEY not in str(error.value)

    def test_that_is_missing_is_named_by_its_variable(
        self, opened: Opened, endpoint: Endpoint, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.delenv("OPENAI_API_KEY")
        endpoint.always = answers(401)
        with pytest.raises(wilk.BackendError, match="OPENAI_API_KEY is not set"):
            opened().embed(["one"])


class TestIds:
    @pytest.mark.parametrize(
        ("section", "id"),
        [
            ({"embedding_model": "text-embedding-3-small"}, "text-embedding-3-small"),
            ({"embedding_model": "text-embedding-3-small", "dimensions": 256}, "text-embedding-3-small@256"),
            ({"embedding_model": "@cf/baai/bge-m3"}, "@cf/baai/bge-m3"),
            (
                {"embedding_model": "e5", "query_prefix": "query: ", "passage_prefix": "passage: "},
                "e5?q=query%3A%20&p=passage%3A%20",
            ),
            ({"embedding_model": "e5", "dimensions": 64, "query_prefix": "&p=?"}, "e5@64?q=%26p%3D%3F&p="),
        ],
    )
    def test_have_all_that_changes_vectors(self, section: dict[str, Any], id: str) -> None:
        options = options_of(section)
        assert model_id(options) == id
        assert of_id(options_of({"embedding_model": "another"}), id) == options

    @settings(deadline=None)
    @given(
        st.text(alphabet="abc/.:-_", min_size=1),
        st.none() | st.integers(1, 65_536),
        st.text(max_size=20),
        st.text(max_size=20),
    )
    def test_lead_back_to_the_options(
        self, name: str, dimensions: int | None, query: str, passage: str
    ) -> None:
        options = replace(
            Options(), embedding_model=name, dimensions=dimensions, query_prefix=query, passage_prefix=passage
        )
        try:
            id = model_id(options)
        except UnicodeEncodeError:
            return  # a lone surrogate, which no file of settings has
        assert of_id(Options(), id) == options

    def test_of_an_earlier_model_open_it(self, opened: Opened, endpoint: Endpoint) -> None:
        embedding = opened("earlier@4?q=query%3A%20&p=")
        assert embedding.model == "earlier@4?q=query%3A%20&p="
        embedding.embed(["one"], query=True)
        (request,) = endpoint.requests
        assert (request["model"], request["dimensions"], request["input"]) == ("earlier", 4, ["query: one"])

    def test_are_wanted(self) -> None:
        with pytest.raises(wilk.SettingsError, match=r"plugins\.openai\.embedding_model: name the model"):
            wilk_openai.open_embeddings(wilk.Settings(), None)


class TestSettings:
    @pytest.mark.parametrize(
        ("section", "told"),
        [
            ({"embedding_model": 3}, "plugins.openai.embedding_model: 3 is not a text"),
            ({"dimensions": 0}, "plugins.openai.dimensions: 0 is not a whole number from 1"),
            ({"dimensions": "256"}, "'256' is not a whole number"),
            ({"embedding_batch": 5000}, "embedding_batch: 5000 is not a whole number from 1 to 2048"),
            ({"embedding_characters": 1}, "embedding_characters: 1 is not a whole number from 100"),
            ({"embedding_longest": 1}, "embedding_longest: 1 is not a whole number from 100"),
            ({"query_timeout": 0}, "query_timeout: 0 is not a number from"),
            ({"query_prefix": "x" * 501}, "query_prefix: it is longer than 500"),
            ({"embedding_url": "ftp://x"}, "plugins.openai.embedding_url: 'ftp://x' is not like https://"),
            ({"embedding_url": f"https://host/v1?key={KEY}"}, "plugins.openai.embedding_url: a key belongs"),
        ],
    )
    def test_a_fault_names_its_place(self, section: Any, told: str) -> None:
        with pytest.raises(wilk.SettingsError) as error:
            options_of(section)
        assert told in str(error.value)
        assert KEY not in str(error.value)

    def test_offering_the_embedder_imports_no_library_of_http(self) -> None:
        import subprocess
        import sys

        code = (
            "import sys, wilk, wilk_openai; host = wilk.Host(wilk_openai, entry_points=False); "
            "host.embedders(); print('httpx' in sys.modules, 'numpy' in sys.modules)"
        )
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
        assert done.stdout.split() == ["False", "False"]


class TestThroughTheStore:
    @pytest.fixture
    def store(self, endpoint: Endpoint, tmp_path: Path) -> Iterator[wilk.Store]:
        settings = wilk.Settings(
            url=f"sqlite:///{tmp_path}/wilk.db",
            embedder="openai",
            compaction="manual",
            disabled_plugins=("wilk-audit", "wilk-tokens", "wilk-local"),
            plugins={"openai": {"embedding_model": "m", "url": endpoint.url, "retries": 0}},
        )
        with wilk.open_store(settings=settings) as store:
            yield store

    def test_one_refused_message_does_not_keep_the_others_from_their_vectors(
        self, store: wilk.Store, endpoint: Endpoint
    ) -> None:
        endpoint.always = lambda body: (
            (400, {"error": "policy"}, {}) if any("bad" in text for text in body["input"]) else None
        )
        session = store.sessions.create().id
        store.messages.extend(
            session, [{"role": "user", "text": f"{n} {'bad' if n == 3 else ''}"} for n in range(8)]
        )
        assert store.settle()
        assert sum(one.count for one in store.vectors.collections()) == 7

    def test_an_endpoint_that_is_down_leaves_the_search_by_words(
        self, store: wilk.Store, endpoint: Endpoint
    ) -> None:
        endpoint.always = answers(500)
        session = store.sessions.create().id
        store.messages.append(session, "user", "Which database?")
        store.settle()
        assert [found.record.text for found in store.search("database")] == ["Which database?"]
