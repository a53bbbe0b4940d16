"""Checkpoints and stores of LangGraph become sessions and memories; nothing in them is ever run."""

from __future__ import annotations

import json
import pickle
import shutil
import sqlite3
import sys
from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path
from struct import pack
from typing import Any

import msgpack
import pytest

import wilk
import wilk_langgraph
from wilk import Invalid
from wilk_langgraph.decoding import Decoder, Unreadable

SCHEMA = """
CREATE TABLE checkpoints (thread_id TEXT NOT NULL, checkpoint_ns TEXT NOT NULL DEFAULT '',
  checkpoint_id TEXT NOT NULL, parent_checkpoint_id TEXT, type TEXT, checkpoint BLOB, metadata BLOB,
  PRIMARY KEY (thread_id, checkpoint_ns, checkpoint_id));
CREATE TABLE writes (thread_id TEXT NOT NULL, checkpoint_ns TEXT NOT NULL DEFAULT '',
  checkpoint_id TEXT NOT NULL,
  task_id TEXT NOT NULL, idx INTEGER NOT NULL, channel TEXT NOT NULL, type TEXT, value BLOB,
  PRIMARY KEY (thread_id, checkpoint_ns, checkpoint_id, task_id, idx));
CREATE TABLE store (prefix text NOT NULL, key text NOT NULL, value text NOT NULL, created_at TIMESTAMP,
  updated_at TIMESTAMP, expires_at TIMESTAMP, ttl_minutes REAL, PRIMARY KEY (prefix, key));
CREATE TABLE store_vectors (prefix text NOT NULL, key text NOT NULL, field_name text NOT NULL,
  embedding BLOB);
CREATE TABLE store_migrations (v INTEGER PRIMARY KEY);
"""


def packed(value: Any) -> bytes:
    found: bytes = msgpack.packb(value)
    return found


def ext(code: int, *inner: Any) -> msgpack.ExtType:
    return msgpack.ExtType(code, packed(list(inner)))


def message(kind: str, id: str | None, content: Any, **more: Any) -> msgpack.ExtType:
    module = {"HumanMessage": "human", "AIMessage": "ai", "SystemMessage": "system", "ToolMessage": "tool"}[
        kind
    ]
    fields = {
        "content": content,
        "additional_kwargs": {},
        "response_metadata": {},
        "type": module,
        "id": id,
        **more,
    }
    return ext(5, f"langchain_core.messages.{module}", kind, fields, "model_validate_json")


ASK = message("HumanMessage", "h1", "When is the ferry?")
CALL = message(
    "AIMessage", "a1", "",
    tool_calls=[{"name": "ferry", "args": {"day": "Mon"}, "id": "c1", "type": "tool_call"}],
    usage_metadata={"input_tokens": 3, "output_tokens": 4, "total_tokens": 7},
)  # fmt: skip
ANSWERED = message("ToolMessage", "t1", "08:15", tool_call_id="c1", status="success")
SAID = message(
    "AIMessage", "a2", [{"type": "text", "text": "At 08:15."}], response_metadata={"model_name": "m-1"}
)


class Graph:
    """A database that checkpoints are put into, one after the other."""

    def __init__(self, path: Path) -> None:
        self.path = path
        with sqlite3.connect(path) as connection:
            connection.executescript(SCHEMA)
        connection.close()

    def run(self, statement: str, *given: Any) -> None:
        with sqlite3.connect(self.path) as connection:
            connection.execute(statement, given)
        connection.close()

    def checkpoint(
        self, thread: str, id: str, parent: str | None, values: dict[str, Any], *, ns: str = "",
        kind: str = "msgpack", raw: bytes | None = None, versions: dict[str, Any] | None = None,
    ) -> None:  # fmt: skip
        state = {"v": 4, "ts": f"2025-08-01T10:0{id}:00+00:00", "id": id, "channel_values": values,
                 "channel_versions": versions or dict.fromkeys(values, "1"), "versions_seen": {}}  # fmt: skip
        about = json.dumps({"source": "loop", "step": int(id)}).encode()
        self.run("INSERT INTO checkpoints VALUES (?, ?, ?, ?, ?, ?, ?)", thread, ns, id, parent, kind,
                 packed(state) if raw is None else raw, about)  # fmt: skip

    def write(
        self, thread: str, id: str, channel: str, value: Any, *, kind: str = "msgpack", idx: int = 0
    ) -> None:
        self.run("INSERT INTO writes VALUES (?, '', ?, 'task', ?, ?, ?, ?)", thread, id, idx, channel, kind,
                 packed(value) if kind == "msgpack" else value)  # fmt: skip


@pytest.fixture
def graph(tmp_path: Path) -> Graph:
    """A thread of three checkpoints, the last of which holds all."""
    graph = Graph(tmp_path / "graph.db")
    graph.checkpoint("harbour", "1", None, {"messages": [ASK]})
    graph.checkpoint("harbour", "2", "1", {"messages": [ASK, CALL, ANSWERED]})
    graph.checkpoint(
        "harbour", "3", "2", {"messages": [ASK, CALL, ANSWERED, SAID], "branch:to:n": None, "mood": "calm"}
    )
    return graph


@pytest.fixture(scope="module")
def new(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A new database, to be copied: migrating once is enough for all tests."""
    home = tmp_path_factory.mktemp("new")
    wilk.open_store(home=home, host=wilk.Host(wilk_langgraph)).close()
    return home / "wilk.db"


@pytest.fixture
def store(new: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[wilk.Store]:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    (tmp_path / "home").mkdir(mode=0o700)
    shutil.copy(new, tmp_path / "home")
    with wilk.open_store(home=tmp_path / "home", host=wilk.Host(wilk_langgraph)) as opened:
        yield opened


def said(store: wilk.Store, thread: str = "harbour") -> list[tuple[str, str]]:
    return [(one.role, one.text) for one in store.messages.last(thread, 50)]


ALL = [("user", "When is the ferry?"), ("assistant", ""), ("tool", "08:15"), ("assistant", "At 08:15.")]


class TestThreads:
    def test_the_newest_checkpoint_is_the_session(self, store: wilk.Store, graph: Graph) -> None:
        result = store.imports.run("auto", graph.path)
        assert said(store) == ALL
        assert not result.errors
        session = store.sessions.get("harbour")
        assert session.metadata["langgraph"]["state"] == {"mood": "calm"}
        assert session.metadata["langgraph"]["metadata"] == {"source": "loop", "step": 3}
        assert session.created_at.isoformat() == "2025-08-01T10:01:00+00:00"
        assert session.updated_at.isoformat() == "2025-08-01T10:03:00+00:00"

    def test_calls_and_results_are_parts_and_in_the_log(self, store: wilk.Store, graph: Graph) -> None:
        store.imports.run("langgraph", graph.path)
        call, result, last = store.messages.last("harbour", 3)
        assert call.parts == [{"type": "tool_call", "id": "c1", "name": "ferry", "arguments": {"day": "Mon"}}]
        assert (result.parts or [])[0]["tool_call_id"] == "c1"
        assert (call.tokens, last.model) == (4, "m-1")
        (logged,) = store.tool_calls.list("harbour")
        assert (logged.name, logged.result, logged.status) == ("ferry", "08:15", "ok")

    def test_a_second_run_writes_nothing_and_a_thread_that_went_on_what_is_new(
        self, store: wilk.Store, graph: Graph
    ) -> None:
        store.imports.run("langgraph", graph.path)
        again = store.imports.run("langgraph", graph.path)
        assert (again.created, again.updated) == (0, 0)
        thanks = message("HumanMessage", "h2", "Thanks")
        graph.checkpoint("harbour", "4", "3", {"messages": [ASK, CALL, ANSWERED, SAID, thanks]})
        later = store.imports.run("langgraph", graph.path)
        changed = [one for one in later.kinds if one.created or one.updated]
        assert [(one.kind, one.created, one.updated) for one in changed] == [
            ("messages", 1, 0), ("sessions", 0, 1),
        ]  # fmt: skip
        assert said(store)[-1] == ("user", "Thanks")

    def test_another_end_of_the_chain_is_a_branch(self, store: wilk.Store, graph: Graph) -> None:
        graph.checkpoint("harbour", "4", "1", {"messages": [ASK, message("AIMessage", "a9", "No idea.")]})
        store.imports.run("langgraph", graph.path)
        assert said(store) == [ALL[0], ("assistant", "No idea.")]
        (branch,) = store.branches.list("harbour")
        assert [one.text for one in store.branches.messages("harbour", branch.leaf_id)][-1] == "At 08:15."

    def test_equal_ids_are_one_message_as_it_stands_last(self, store: wilk.Store, graph: Graph) -> None:
        graph.checkpoint("harbour", "4", "3", {"messages": [message("HumanMessage", "h1", "Edited")]})
        store.imports.run("langgraph", graph.path, options={"history": "yes"})
        assert said(store)[0] == ("user", "Edited")
        assert len(said(store)) == 4

    def test_history_brings_back_what_was_trimmed(self, store: wilk.Store, graph: Graph) -> None:
        graph.checkpoint("harbour", "4", "3", {"messages": [SAID]})
        store.imports.run("langgraph", graph.path, options={"history": "yes"})
        messages = store.messages.last("harbour", 9)
        assert [(one.role, one.text) for one in messages] == ALL
        assert [one.metadata["langgraph"].get("removed", False) for one in messages] == [
            True,
            True,
            True,
            False,
        ]
        assert [one.created_at.minute for one in messages] == [1, 2, 2, 3]

    def test_without_history_only_the_newest_counts(self, store: wilk.Store, graph: Graph) -> None:
        graph.checkpoint("harbour", "4", "3", {"messages": [SAID]})
        store.imports.run("langgraph", graph.path)
        assert said(store) == ALL[3:]
        with pytest.raises(Invalid, match="history 'maybe'"):
            store.imports.run("langgraph", graph.path, options={"history": "maybe"})

    def test_checkpoints_of_subgraphs_are_counted(self, store: wilk.Store, graph: Graph) -> None:
        graph.checkpoint("harbour", "5", None, {"messages": [ASK]}, ns="inner:1")
        assert store.imports.run("langgraph", graph.path).lost_fields == {"checkpoints of subgraphs": 1}
        assert said(store) == ALL

    def test_plain_messages_and_channels_of_other_names_are_known(
        self, store: wilk.Store, graph: Graph
    ) -> None:
        values = {"talk": [{"role": "user", "content": "Hi"}, {"type": "ai", "content": "Hello"}], "n": [1]}
        graph.checkpoint("plain", "1", None, values)
        graph.checkpoint("pairs", "1", None, {"messages": [["human", "Hi"], ["ai", "Hello"]]})
        store.imports.run("langgraph", graph.path)
        assert said(store, "plain") == [("user", "Hi"), ("assistant", "Hello")]
        assert said(store, "pairs") == [("user", "Hi"), ("assistant", "Hello")]
        assert store.sessions.get("plain").metadata["langgraph"]["state"] == {"n": [1]}

    def test_writes_that_wait_are_told(self, store: wilk.Store, graph: Graph) -> None:
        interrupt = ext(2, "langgraph.types", "Interrupt", {"value": "Sure?", "id": "i"})
        graph.write("harbour", "3", "__interrupt__", [interrupt])
        store.imports.run("langgraph", graph.path)
        (waiting,) = store.sessions.get("harbour").metadata["langgraph"]["writes"]
        assert waiting["value"] == [
            {"$ext": 2, "type": "langgraph.types.Interrupt", "value": {"value": "Sure?", "id": "i"}}
        ]

    def test_a_channel_of_differences_is_put_together_from_its_writes(
        self, store: wilk.Store, graph: Graph
    ) -> None:
        seen = {"messages": "2"}
        snapshot = msgpack.ExtType(7, packed([ASK]))
        graph.checkpoint("delta", "1", None, {"messages": snapshot})
        graph.write("delta", "1", "messages", [CALL, ANSWERED])
        graph.checkpoint("delta", "2", "1", {}, versions=seen)
        gone = ext(5, "langchain_core.messages.modifier", "RemoveMessage", {"content": "", "id": "t1"}, "x")
        graph.write("delta", "2", "messages", [gone, SAID])
        graph.checkpoint("delta", "3", "2", {}, versions=seen)
        store.imports.run("langgraph", graph.path)
        assert said(store, "delta") == [ALL[0], ALL[1], ALL[3]]

    def test_a_chain_that_goes_round_does_not_hang(self, store: wilk.Store, graph: Graph) -> None:
        graph.run("UPDATE checkpoints SET parent_checkpoint_id = '3' WHERE checkpoint_id = '1'")
        store.imports.run("langgraph", graph.path, options={"history": "yes"})
        assert said(store) == ALL

    def test_the_database_stays_as_it_is_with_a_live_wal(self, store: wilk.Store, graph: Graph) -> None:
        writer = sqlite3.connect(graph.path)
        writer.execute("PRAGMA journal_mode = wal")
        writer.execute("UPDATE checkpoints SET thread_id = 'renamed'")
        writer.commit()
        before = sha256(graph.path.read_bytes()).digest()
        store.imports.run("langgraph", graph.path)
        assert said(store, "renamed") == ALL
        assert sha256(graph.path.read_bytes()).digest() == before
        writer.close()


class TestWhatIsNotRun:
    def test_a_pickle_is_reported_and_never_loaded(
        self, store: wilk.Store, graph: Graph, tmp_path: Path
    ) -> None:
        class Bomb:
            def __reduce__(self) -> Any:
                return (Path.touch, (tmp_path / "ran",))

        graph.checkpoint("harbour", "4", "3", {}, kind="pickle", raw=pickle.dumps(Bomb()))
        graph.write("harbour", "3", "x", pickle.dumps(Bomb()), kind="pickle")
        result = store.imports.run("langgraph", graph.path)
        assert not (tmp_path / "ran").exists()
        assert said(store) == ALL  # of the checkpoint before it
        assert [(one.kind, one.id) for one in result.errors] == [
            ("checkpoints", "harbour/4"), ("writes", "harbour/3/task/0"),
        ]  # fmt: skip
        assert "pickle" in result.errors[0].error

    @pytest.mark.parametrize("code", [0, 1, 2, 3, 4, 5])
    def test_no_module_that_data_names_is_imported(
        self, code: int, store: wilk.Store, graph: Graph, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        (tmp_path / "named_by_data.py").write_text("raise SystemExit('it was imported')\n")
        monkeypatch.syspath_prepend(str(tmp_path))
        value = ext(code, "named_by_data", "Thing", {"a": 1}, "run")
        graph.checkpoint("odd", "1", None, {"messages": [ASK], "thing": value})
        store.imports.run("langgraph", graph.path)
        assert "named_by_data" not in sys.modules
        thing = store.sessions.get("odd").metadata["langgraph"]["state"]["thing"]
        assert thing == {"$ext": code, "type": "named_by_data.Thing", "value": {"a": 1}}

    def test_encrypted_and_unknown_types_are_reported(self, store: wilk.Store, graph: Graph) -> None:
        graph.checkpoint("sealed", "1", None, {}, kind="msgpack+aes", raw=b"x")
        graph.checkpoint("strange", "1", None, {}, kind="yaml", raw=b"x")
        result = store.imports.run("langgraph", graph.path)
        told = {one.id: one.error for one in result.errors}
        assert told["sealed/1"] == "it is encrypted"
        assert "unknown type 'yaml'" in told["strange/1"]
        assert "none of its checkpoints" in told["sealed"]
        assert said(store) == ALL

    def test_secrets_are_left_out(self, store: wilk.Store, graph: Graph, tmp_path: Path) -> None:
        secret = ext(0, "pydantic.types", "SecretStr", "canary-secret")
        graph.checkpoint("quiet", "1", None, {"messages": [ASK], "key": secret})
        result = store.imports.run("langgraph", graph.path)
        assert result.lost_fields["SecretStr"] >= 1
        home = tmp_path / "home"
        assert not any(b"canary-secret" in path.read_bytes() for path in home.rglob("*") if path.is_file())


class TestValues:
    def value(self, given: Any) -> Any:
        return Decoder(lambda: None).value("msgpack", packed(given))

    @pytest.mark.parametrize(
        ("given", "plain"),
        [
            (ext(0, "uuid", "UUID", "0" * 31 + "5"), "00000000-0000-0000-0000-000000000005"),
            (ext(3, "datetime", "datetime", "2025-01-02T00:00:00", "fromisoformat"), "2025-01-02T00:00:00"),
            (ext(1, "datetime", "date", [2025, 1, 2]), "2025-01-02"),
            (ext(0, "decimal", "Decimal", "1.50"), "1.50"),
            (ext(0, "builtins", "set", [1, 2]), [1, 2]),
            (ext(0, "collections", "deque", [1]), [1]),
            (ext(1, "pathlib", "PosixPath", ["/", "srv", "x"]), "/srv/x"),
            (ext(1, "pathlib._local", "PosixPath", ["srv", "x"]), "srv/x"),
            (ext(0, "app", "Colour", "red"), {"$ext": 0, "type": "app.Colour", "value": "red"}),
            (ext(1, "langgraph.types", "Send", ["n", {"a": 1}]),
             {"$ext": 1, "type": "langgraph.types.Send", "value": ["n", {"a": 1}]}),
            (ext(6, "<f4", [2], "C", b"\0" * 8),
             {"$ext": 6, "type": "numpy.ndarray", "value": ["<f4", [2], "C", {"base64": "AAAAAAAAAAA="}]}),
            (msgpack.ExtType(99, b"\x01"), {"$ext": 99, "value": {"base64": "AQ=="}}),
            (b"\x00\x01", {"base64": "AAE="}),
            ({1: "a", b"k": "b"}, {"1": "a", "k": "b"}),
        ],
    )  # fmt: skip
    def test_extensions_become_plain_data(self, given: Any, plain: Any) -> None:
        assert self.value(given) == plain

    def test_json_of_older_versions_has_the_same_form(self) -> None:
        old = {
            "lc": 1, "type": "constructor", "id": ["langchain", "schema", "messages", "HumanMessage"],
            "kwargs": {"content": "Hi", "at": {"lc": 2, "type": "constructor", "id": ["decimal", "Decimal"],
                                              "args": ["1.5"]}},
        }  # fmt: skip
        found = Decoder(lambda: None).value("json", json.dumps(old))
        assert found["type"] == "langchain.schema.messages.HumanMessage"
        assert found["value"] == {"content": "Hi", "at": "1.5"}

    @pytest.mark.parametrize(
        "raw", [b"", b"\xc1", b"\xdf\xff\xff\xff\xff", b"\x81", b"\x91" * 5000, b"\xc7\xff\x05x"]
    )
    def test_damaged_data_is_refused_and_not_a_crash(self, raw: bytes) -> None:
        with pytest.raises(Unreadable):
            Decoder(lambda: None).value("msgpack", raw)

    def test_classes_within_classes_without_end_are_refused(self) -> None:
        value: Any = 1
        for _ in range(150):
            value = ext(0, "a", "B", value)
        with pytest.raises(Unreadable, match="deeper"):
            self.value(value)


class TestTheStore:
    @pytest.fixture
    def path(self, graph: Graph) -> Path:
        at = "2025-08-01 10:00:00"
        rows = [
            ("memories.ann", "k1", json.dumps({"text": "likes tea"}), at, at, None, None),
            (
                "memories.ann",
                "k2",
                json.dumps({"content": {"data": "rows"}, "n": 1}),
                at,
                at,
                "2025-09-01",
                5.0,
            ),
            ("memories.ann", "k3", "{", at, at, None, None),
        ]
        for row in rows:
            graph.run("INSERT INTO store VALUES (?, ?, ?, ?, ?, ?, ?)", *row)
        for field, vector in (("text", pack("<2f", 1, 0)), ("title", pack("<2f", 0, 1)), ("torn", b"x")):
            graph.run("INSERT INTO store_vectors VALUES ('memories.ann', 'k1', ?, ?)", field, vector)
        return graph.path

    def test_items_become_memories(self, store: wilk.Store, path: Path) -> None:
        store.imports.run("langgraph", path)
        found = {one.content: one for one in store.memories.list(kind="langgraph")}
        assert set(found) == {"likes tea", "rows"}
        one = found["rows"]
        assert one.data == {"content": {"data": "rows"}, "n": 1}
        assert one.metadata["langgraph"] == {
            "namespace": ["memories", "ann"], "key": "k2", "expires_at": "2025-09-01",
        }  # fmt: skip
        assert one.created_at.isoformat() == "2025-08-01T10:00:00+00:00"

    def test_vectors_have_a_part_for_each_field(self, store: wilk.Store, path: Path) -> None:
        store.imports.run("langgraph", path)
        parts = [store.vectors.get("langgraph-store", "memories.ann/k1", part=part) for part in (0, 1)]
        assert [list(one.values) for one in parts] == [[1.0, 0.0], [0.0, 1.0]]
        assert [one.metadata["field"] for one in parts] == ["text", "title"]

    def test_what_cannot_be_read_is_reported(self, store: wilk.Store, path: Path) -> None:
        result = store.imports.run("langgraph", path)
        assert {(one.kind, one.id) for one in result.errors} == {
            ("memory", "memories.ann/k3"), ("vectors", "memories.ann/k1/torn"),
        }  # fmt: skip


def test_other_databases_are_refused_with_their_tables(store: wilk.Store, tmp_path: Path) -> None:
    with sqlite3.connect(tmp_path / "other.db") as connection:
        connection.execute("CREATE TABLE cats (name TEXT)")
    connection.close()
    assert store.imports.recognize(tmp_path / "other.db") == []
    with pytest.raises(Invalid, match="cats"):
        store.imports.run("langgraph", tmp_path / "other.db")


def test_other_tables_are_counted(store: wilk.Store, graph: Graph) -> None:
    graph.run("CREATE TABLE cats (name TEXT)")
    graph.run("INSERT INTO cats VALUES ('Tom')")
    assert store.imports.run("langgraph", graph.path).lost_fields["table cats"] == 1
