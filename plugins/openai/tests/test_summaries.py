"""Summaries by a model, over real HTTP to an endpoint on this machine."""

from __future__ import annotations

import email.utils
import json
import logging
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from hypothesis import given
from hypothesis import strategies as st

import wilk
import wilk_openai
from wilk.backends import sqlite
from wilk.context import strategies
from wilk.definitions import kinds
from wilk_openai import client, summaries
from wilk_openai.options import Options, options_of

KEY = "sk-very-secret-0123456789"
TEXT = "They settled on PostgreSQL for its replicas, and Anna writes the migration until Friday."
Ask = Callable[..., str | None]


class Answer(NamedTuple):
    """One answer: its status, its body (JSON, or bytes as they are), headers, and how it is sent."""

    status: int = 200
    body: Any = None
    headers: dict[str, str] = {}
    delay: float = 0.0
    drip: float = 0.0
    hang_up: bool = False


class Request(NamedTuple):
    """One request as the endpoint saw it."""

    path: str
    headers: dict[str, str]
    body: Any


def completion(text: Any, reason: str | None = "stop") -> Answer:
    """A sound answer with that text."""
    return Answer(
        body={"choices": [{"message": {"role": "assistant", "content": text}, "finish_reason": reason}]}
    )


class Endpoint:
    """Answers one request after another with ``answers``, the last of them for ever."""

    def __init__(self) -> None:
        self.answers: list[Answer] = []
        self.requests: list[Request] = []
        self._stopping = threading.Event()
        endpoint = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                data = self.rfile.read(int(self.headers["Content-Length"]))
                endpoint.requests.append(Request(self.path, dict(self.headers), json.loads(data)))
                answer = endpoint.answers.pop(0) if len(endpoint.answers) > 1 else endpoint.answers[0]
                endpoint._stopping.wait(answer.delay)
                if answer.hang_up:
                    self.close_connection = True
                    return
                body = answer.body if isinstance(answer.body, bytes) else json.dumps(answer.body).encode()
                try:
                    self.send_response(answer.status)
                    for name, value in {"Content-Length": str(len(body)), **answer.headers}.items():
                        self.send_header(name, value)
                    self.end_headers()
                    for start in range(0, len(body), 1 if answer.drip else len(body) or 1):
                        self.wfile.write(body[start : start + (1 if answer.drip else len(body))])
                        endpoint._stopping.wait(answer.drip)
                except OSError:
                    self.close_connection = True  # the other side has given up

            def log_message(self, *_: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.01})
        self._thread.start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_port}/v1"

    def stop(self) -> None:
        self._stopping.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


@pytest.fixture(autouse=True)
def alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Keep the tests from the user's settings, and from proxies."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("NO_PROXY", "*")
    monkeypatch.setenv("OPENAI_API_KEY", KEY)


@pytest.fixture(autouse=True)
def pauses(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The pauses between attempts, which are not made."""
    made: list[float] = []
    plain = client.Client

    def without_pauses(options: Options) -> client.Client:
        return plain(options, sleep=made.append)

    monkeypatch.setattr(summaries, "Client", without_pauses)
    return made


@pytest.fixture
def endpoint() -> Iterator[Endpoint]:
    served = Endpoint()
    yield served
    served.stop()


@pytest.fixture
def opened(tmp_path: Path) -> Iterator[Callable[..., wilk.Store]]:
    """Opens a store with the plugin and its settings."""
    stores: list[wilk.Store] = []

    def open_it(section: Any, **others: Any) -> wilk.Store:
        host = wilk.Host(wilk_openai, sqlite, kinds, strategies, entry_points=False)
        settings = wilk.Settings(url="sqlite:///:memory:", plugins={"openai": section}, **others)
        stores.append(wilk.open_store(settings=settings, host=host))
        return stores[-1]

    yield open_it
    for store in stores:
        store.close()


@pytest.fixture
def ask(opened: Callable[..., wilk.Store], endpoint: Endpoint) -> Ask:
    """Asks the host for a summary of two messages: ``ask(answer, …, setting=value)``."""

    def ask_it(*answers: Answer, **section: Any) -> str | None:
        endpoint.answers = list(answers)
        store = opened({"model": "m", "url": endpoint.url, **section})
        session = store.sessions.create().id
        messages = store.messages.extend(
            session,
            [
                {"role": "user", "text": "Which database?"},
                {"role": "assistant", "text": "PostgreSQL", "agent": "coder"},
            ],
        )
        return store.host.summarize(store, messages, 500)

    return ask_it


def warning(caplog: pytest.LogCaptureFixture) -> str:
    (record,) = [one for one in caplog.records if one.levelno >= logging.WARNING]
    assert record.name == "wilk.plugins.openai"
    return record.getMessage()


class TestAnswers:
    def test_a_summary_is_the_answer_of_the_model(self, ask: Ask) -> None:
        assert ask(completion(f"  {TEXT}\n")) == TEXT

    def test_the_request_names_the_model_and_carries_the_transcript(
        self, ask: Ask, endpoint: Endpoint
    ) -> None:
        ask(completion(TEXT), model="gpt-4o-mini", prompt="Be short.", body={"temperature": 0.2})
        (request,) = endpoint.requests
        assert request.path == "/v1/chat/completions"
        assert request.headers["Authorization"] == f"Bearer {KEY}"
        assert request.body == {
            "model": "gpt-4o-mini",
            "messages": [
                {"role": "system", "content": "Be short. Use at most 500 characters."},
                {"role": "user", "content": "[user]\nWhich database?\n\n[assistant coder]\nPostgreSQL"},
            ],
            "temperature": 0.2,
        }

    def test_without_a_key_none_is_sent(
        self, ask: Ask, endpoint: Endpoint, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.delenv("OPENAI_API_KEY")
        ask(completion(TEXT))
        assert "Authorization" not in endpoint.requests[0].headers

    def test_the_key_may_stand_in_another_variable(
        self, ask: Ask, endpoint: Endpoint, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("OTHER_KEY", "other")
        ask(completion(TEXT), key_variable="OTHER_KEY")
        assert endpoint.requests[0].headers["Authorization"] == "Bearer other"

    @pytest.mark.parametrize(
        ("answer", "told"),
        [
            (completion(""), "without text"),
            (completion(None), "without text"),
            (completion(["part"]), "without text"),
            (completion(TEXT, "length"), "does not end by itself (finish_reason 'length')"),
            (Answer(body={"choices": []}), "without choices[0].message.content"),
            (Answer(body={"error": "no"}), "without choices[0].message.content"),
            (Answer(body=[]), "without choices[0].message.content"),
            (Answer(body=b"{not json"), "no JSON: {not json"),
            (Answer(body=b"[" * 100_000), "no JSON"),
            (Answer(body=b"\xff\xfe"), "no JSON"),
            (Answer(302, b"", {"Location": "http://127.0.0.1:9/"}), "answers 302: nothing"),
        ],
        ids=lambda value: None if isinstance(value, str) else repr(value.body)[:30],
    )
    def test_an_answer_that_fails_the_checks_is_no_summary(
        self, ask: Ask, caplog: pytest.LogCaptureFixture, answer: Answer, told: str
    ) -> None:
        assert ask(answer) is None
        assert told in warning(caplog)

    def test_an_answer_without_an_end_is_refused(
        self, ask: Ask, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(client, "LARGEST_ANSWER", 1000)
        assert ask(completion("word " * 1000)) is None
        assert "more than 1000 bytes" in warning(caplog)


class TestAttempts:
    @pytest.mark.parametrize("status", [408, 429, 500, 502, 503, 529])
    def test_what_passes_by_is_tried_again(self, ask: Ask, endpoint: Endpoint, status: int) -> None:
        assert ask(Answer(status, {"error": "busy"}), completion(TEXT)) == TEXT
        assert len(endpoint.requests) == 2

    def test_the_pause_is_what_the_endpoint_asks_for(self, ask: Ask, pauses: list[float]) -> None:
        ask(Answer(429, {}, {"Retry-After": "7"}), completion(TEXT))
        assert pauses == [7.0]

    def test_the_pause_may_end_at_a_date(self, ask: Ask, pauses: list[float]) -> None:
        date = email.utils.formatdate(time.time() + 20, usegmt=True)
        ask(Answer(503, {}, {"Retry-After": date}), completion(TEXT))
        assert 0 < pauses[0] <= 20

    @pytest.mark.parametrize("asked", ["soon", "-1", "Thu, 99 Foo 2026 00:00:00 GMT", ""])
    def test_a_pause_that_cannot_be_read_is_a_short_one(
        self, ask: Ask, pauses: list[float], asked: str
    ) -> None:
        assert ask(Answer(429, {}, {"Retry-After": asked}), completion(TEXT)) == TEXT
        assert 0 < pauses[0] < 1

    def test_a_pause_over_the_time_limit_is_not_made(
        self, ask: Ask, endpoint: Endpoint, pauses: list[float], caplog: pytest.LogCaptureFixture
    ) -> None:
        assert ask(Answer(429, {}, {"Retry-After": "3600"})) is None
        assert (len(endpoint.requests), pauses) == (1, [])
        assert "asks to wait for 3600 s" in warning(caplog)

    def test_pauses_grow(self, ask: Ask, pauses: list[float]) -> None:
        ask(Answer(500, {}), retries=4)
        assert len(pauses) == 4
        assert all(later > earlier for earlier, later in pairwise(pauses))

    def test_in_the_end_it_gives_up(
        self, ask: Ask, endpoint: Endpoint, caplog: pytest.LogCaptureFixture
    ) -> None:
        assert ask(Answer(500, {"error": "broken"}), retries=2) is None
        assert len(endpoint.requests) == 3
        assert 'answers 500: {"error": "broken"} (3 attempts); wilk makes its own' in warning(caplog)

    @pytest.mark.parametrize("status", [400, 401, 403, 404, 422])
    def test_what_stays_wrong_is_not_tried_again(self, ask: Ask, endpoint: Endpoint, status: int) -> None:
        assert ask(Answer(status, {})) is None
        assert len(endpoint.requests) == 1

    def test_a_broken_connection_is_tried_again(self, ask: Ask, endpoint: Endpoint) -> None:
        assert ask(Answer(hang_up=True), completion(TEXT)) == TEXT

    def test_an_endpoint_that_is_not_there_is_no_summary(
        self, ask: Ask, caplog: pytest.LogCaptureFixture
    ) -> None:
        assert ask(completion(TEXT), url="http://127.0.0.1:9/v1", retries=1) is None
        assert "ConnectError" in warning(caplog)

    @pytest.mark.parametrize("slow", [{"delay": 20.0}, {"drip": 0.02}], ids=["silent", "dripping"])
    def test_an_answer_that_takes_too_long_is_no_summary(
        self, ask: Ask, caplog: pytest.LogCaptureFixture, slow: dict[str, Any]
    ) -> None:
        assert ask(completion(TEXT * 20)._replace(**slow), timeout=0.2, retries=0) is None
        assert "no answer within 0.2 s" in warning(caplog)


class TestTheKey:
    @pytest.mark.parametrize("status", [200, 401, 500])
    def test_is_in_no_log_even_when_the_endpoint_repeats_it(
        self, ask: Ask, caplog: pytest.LogCaptureFixture, status: int
    ) -> None:
        with caplog.at_level(logging.DEBUG):
            assert ask(Answer(status, {"error": f"bad key {KEY}"}), retries=0) is None
        assert "***" in warning(caplog)
        assert KEY not in caplog.text

    @pytest.mark.parametrize("key", ["sk-two\nlines-0123", "sk-żółć-0123"])
    def test_is_in_no_log_when_it_cannot_be_sent(
        self, ask: Ask, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch, key: str
    ) -> None:
        monkeypatch.setenv("OPENAI_API_KEY", key)
        with caplog.at_level(logging.DEBUG):
            assert ask(completion(TEXT)) is None
        assert "the key in OPENAI_API_KEY cannot be sent" in warning(caplog)
        assert "0123" not in caplog.text

    def test_that_is_missing_is_named_by_its_variable(
        self, ask: Ask, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.delenv("OPENAI_API_KEY")
        ask(Answer(401, {}))
        assert "401 (OPENAI_API_KEY is not set)" in warning(caplog)


class TestLongConversations:
    @given(
        st.lists(st.integers(0, 3000), min_size=1, max_size=20),
        st.integers(500, 5000),
    )
    def test_have_at_most_the_tokens_they_may_have(self, sizes: list[int], budget: int) -> None:
        room = summaries._fair_share(sizes, budget)
        assert sum(min(size, room) for size in sizes) <= max(budget, len(sizes) * 16)
        if sum(sizes) <= budget:
            assert room >= max(sizes)

    def test_lose_the_middle_of_the_longest_messages(
        self, opened: Callable[..., wilk.Store], endpoint: Endpoint
    ) -> None:
        endpoint.answers = [completion(TEXT)]
        store = opened({"model": "m", "url": endpoint.url, "max_input_tokens": 200})
        texts = ["Why does it fail?", "begin " + "noise " * 2000 + "end", "It wants a key."]
        messages = store.messages.extend(
            store.sessions.create().id, [{"role": "user", "text": text} for text in texts]
        )
        store.host.summarize(store, messages, 500)
        sent = endpoint.requests[0].body["messages"][1]["content"]
        assert store.count_tokens(sent) < 250
        assert all(piece in sent for piece in (texts[0], texts[2], "begin noise", "noise end", "left out"))

    def test_parts_are_sent_where_there_is_no_text(
        self, opened: Callable[..., wilk.Store], endpoint: Endpoint
    ) -> None:
        endpoint.answers = [completion(TEXT)]
        store = opened({"model": "m", "url": endpoint.url})
        message = store.messages.append(
            store.sessions.create().id, "user", parts=[{"type": "text", "text": "a lone \ud800"}]
        )
        assert store.host.summarize(store, [message], 500) == TEXT
        assert "a lone" in endpoint.requests[0].body["messages"][1]["content"]


class TestSettings:
    @pytest.mark.parametrize("section", [{}, None, {"url": "http://127.0.0.1:9/v1"}])
    def test_without_a_model_nothing_is_sent(
        self, opened: Callable[..., wilk.Store], caplog: pytest.LogCaptureFixture, section: Any
    ) -> None:
        store = opened(section)
        message = store.messages.append(store.sessions.create().id, "user", "hello")
        assert store.host.summarize(store, [message], 500) is None
        assert not caplog.records

    @pytest.mark.parametrize(
        ("section", "told"),
        [
            (["m"], "plugins.openai: ['m'] is not a mapping"),
            ({"modell": "m"}, "there is no 'modell'; known: model, url"),
            ({"model": 4}, "plugins.openai.model: 4 is not a text"),
            ({"url": "ftp://x"}, "'ftp://x' is not like https://"),
            ({"url": "https://x:port"}, "not the URL"),
            ({"timeout": 0}, "plugins.openai.timeout: 0 is not a number from"),
            ({"timeout": True}, "True is not a number"),
            ({"retries": 1.5}, "1.5 is not a whole number from 0 to 10"),
            ({"max_input_tokens": "many"}, "'many' is not a whole number"),
            ({"prompt": " "}, "prompt: ' ' is not a text"),
            ({"body": "x"}, "body: 'x' is not a mapping"),
        ],
    )
    def test_a_fault_names_its_place(self, section: Any, told: str) -> None:
        with pytest.raises(wilk.SettingsError) as error:
            options_of(section)
        assert told in str(error.value)

    @pytest.mark.parametrize("url", [f"https://me:{KEY}@host/v1", f"https://host/v1?api_key={KEY}"])
    def test_a_url_with_a_key_is_refused_without_showing_it(self, url: str) -> None:
        with pytest.raises(wilk.SettingsError, match="key_variable") as error:
            options_of({"url": url})
        assert KEY not in str(error.value)

    def test_a_fault_is_told_in_the_log_and_wilk_summarizes(
        self, ask: Ask, endpoint: Endpoint, caplog: pytest.LogCaptureFixture
    ) -> None:
        assert ask(completion(TEXT), retries=99) is None
        assert endpoint.requests == []
        assert "99 is not a whole number" in warning(caplog)


class TestThroughTheStore:
    """``store.summaries`` checks a model's answer as it checks every summary."""

    @pytest.fixture
    def talk(self, opened: Callable[..., wilk.Store], endpoint: Endpoint) -> wilk.Store:
        store = opened({"model": "m", "url": endpoint.url, "retries": 0})
        session = store.sessions.create(id="talk").id
        for number in range(10):
            store.messages.append(
                session,
                "user",
                f"Point {number}: PostgreSQL has replicas, Anna writes migration {number}. " * 5,
            )
        return store

    def test_a_sound_answer_is_the_summary(self, talk: wilk.Store, endpoint: Endpoint) -> None:
        endpoint.answers = [completion(TEXT)]
        summary = talk.summaries.add("talk", last=8)
        assert (summary.text, summary.method) == (TEXT, "plugin")

    @pytest.mark.parametrize(
        "answer",
        [completion("Bananas are yellow. " * 900), Answer(500, {}), completion("")],
        ids=["too long", "failed", "empty"],
    )
    def test_wilk_takes_over_from_one_that_is_not(
        self, talk: wilk.Store, endpoint: Endpoint, answer: Answer
    ) -> None:
        endpoint.answers = [answer]
        summary = talk.summaries.add("talk", last=8)
        assert summary.method == "extractive"
        assert "Bananas" not in summary.text
