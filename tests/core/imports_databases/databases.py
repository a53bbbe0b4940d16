"""Databases in the shapes that other programs write, with contents of our own."""

from __future__ import annotations

import json
import shutil
import sqlite3
from collections.abc import Callable, Generator
from contextlib import contextmanager
from pathlib import Path
from struct import pack
from typing import Any, NamedTuple

import pytest
from tests.conftest import BESIDE

import wilk
from wilk.records.transfer import MigrationResult


def database(path: Path, script: str, rows: dict[str, list[tuple[Any, ...]]]) -> Path:
    """A database of a script, and rows by the names of their tables."""
    with sqlite3.connect(path) as connection:
        connection.executescript(script)
        for table, values in rows.items():
            for row in values:
                connection.execute(f'INSERT INTO "{table}" VALUES ({", ".join("?" * len(row))})', row)
    connection.close()
    return path


def change(path: Path, statement: str, *given: Any) -> None:
    """Change a database as its program would."""
    connection = sqlite3.connect(path)
    try:
        with connection:
            connection.execute(statement, given)
    finally:
        connection.close()


KALITO = """
CREATE TABLE sessions (id TEXT PRIMARY KEY, name TEXT, model TEXT, recap TEXT, persona_id TEXT, created_at TEXT,
  updated_at TEXT, saved INTEGER DEFAULT 0);
CREATE TABLE messages (id INTEGER PRIMARY KEY AUTOINCREMENT, session_id TEXT NOT NULL, role TEXT, text TEXT,
  model_id TEXT, token_usage INTEGER, importance_score REAL DEFAULT 0.5, created_at TEXT);
CREATE TABLE personas (id TEXT PRIMARY KEY, name TEXT NOT NULL, prompt TEXT NOT NULL, description TEXT, icon TEXT,
  category TEXT, default_model TEXT, suggested_models TEXT, temperature REAL, maxTokens INTEGER, topP REAL,
  repeatPenalty REAL, stopSequences TEXT, is_default INTEGER DEFAULT 0, created_at TEXT, updated_at TEXT);
CREATE TABLE conversation_summaries (id TEXT PRIMARY KEY, session_id TEXT NOT NULL, summary TEXT NOT NULL,
  message_count INTEGER NOT NULL, start_message_id TEXT, end_message_id TEXT, importance_score REAL DEFAULT 0.7,
  created_at TEXT);
CREATE TABLE semantic_pins (id TEXT PRIMARY KEY, session_id TEXT NOT NULL, content TEXT NOT NULL,
  source_message_id TEXT, importance_score REAL DEFAULT 0.8, pin_type TEXT DEFAULT 'user', created_at TEXT);
CREATE TABLE patients (id TEXT PRIMARY KEY, name TEXT, diagnosis TEXT);
"""


def kalito(path: Path) -> Path:
    """Two sessions; ids of messages with one and with two digits, so that text and number differ."""
    said = [
        (number, "garden" if number < 13 else "boat", "user" if number % 2 else "assistant", f"Line {number}",
         None if number % 2 else "mistral:7b", 400, number / 20, f"2025-03-01 10:{number:02}:00")
        for number in range(1, 15)
    ]  # fmt: skip
    return database(path, KALITO, {
        "sessions": [
            ("garden", "The garden", "mistral:7b", "Beds and paths", "gardener", "2025-03-01 10:00:00",
             "2025-03-01T11:00:00Z", 1),
            ("boat", None, None, None, None, "2025-03-02 10:00:00", None, 0),
        ],
        "messages": said,
        "personas": [
            ("gardener", "Gardener", "You know beds.", "Plants", "leaf", "hobby", "mistral:7b", '["a", "b"]', 0.7,
             900, 0.9, 1.1, '["###"]', 1, "2025-01-01", "2025-01-02"),
            ("hot", "Hot one", "You are hot.", None, None, None, None, "not json", 7.5, -3, None, None, None, 0,
             None, None),
        ],
        "conversation_summaries": [
            ("s1", "garden", "Beds were laid out.", 8, "2", "9", 0.7, "2025-03-01 10:20:00"),
            ("s2", "garden", "Paths too.", 3, "10", "12", 0.6, "2025-03-01 10:30:00"),
            ("s3", "garden", "Beds again.", 3, "8", "11", 0.6, "2025-03-01 10:40:00"),
            ("s4", "garden", "No range.", 3, None, None, 0.6, None),
        ],
        "semantic_pins": [
            ("p1", "garden", "Buy lime", "10", 0.9, "code", "2025-03-01 10:50:00"),
            ("p2", "garden", "Odd one", "999", 3.0, "gold", None),
            ("p3", "gone", "Nobody's", None, 0.8, "user", None),
        ],
        "patients": [("x", "Nobody", "canary-health")],
    })  # fmt: skip


CHATAI = """
CREATE TABLE messages (id TEXT PRIMARY KEY, conversation_id TEXT, role TEXT, content TEXT, timestamp INTEGER,
  metadata TEXT);
CREATE TABLE memories (id INTEGER PRIMARY KEY, user_id TEXT, content TEXT, source TEXT, importance INTEGER,
  timestamp INTEGER, metadata TEXT);
CREATE TABLE kv_store (key TEXT PRIMARY KEY, value TEXT, updated_at INTEGER);
CREATE TABLE kg_entities (entity_id TEXT PRIMARY KEY, entity_type TEXT, name TEXT, scope_id TEXT, properties TEXT,
  embedding TEXT, version INTEGER, created_at INTEGER, updated_at INTEGER);
CREATE TABLE kg_relationships (relationship_id TEXT PRIMARY KEY, from_entity_id TEXT, to_entity_id TEXT,
  relation_type TEXT, scope_id TEXT, properties TEXT, version INTEGER, created_at INTEGER, updated_at INTEGER);
CREATE TABLE kg_entity_history (id INTEGER PRIMARY KEY, entity_id TEXT, version INTEGER, properties TEXT,
  change_type TEXT, change_reason TEXT, changed_at INTEGER);
CREATE TABLE kg_relationship_history (id INTEGER PRIMARY KEY, relationship_id TEXT, version INTEGER,
  properties TEXT, change_type TEXT, change_reason TEXT, changed_at INTEGER);
CREATE TABLE kg_scope_sharing (scope_id TEXT, shared_with TEXT);
CREATE TABLE structured_memories (id INTEGER PRIMARY KEY, user_id TEXT, group_id TEXT, category TEXT,
  sub_type TEXT, content TEXT, confidence REAL, source TEXT, metadata TEXT, created_at INTEGER, updated_at INTEGER,
  expires_at INTEGER, is_active INTEGER);
"""
MS = 1_740_000_000_000


def chatai(path: Path) -> Path:
    """A conversation with a tool call, memories, keys and a small graph with its history."""
    call = [{"id": "c1", "type": "function", "function": {"name": "tide", "arguments": '{"day": "Mon"}'}}]
    return database(path, CHATAI, {
        "messages": [
            ("m1", "group_7", "user", "When is low tide?", MS, None),
            ("m2", "group_7", "assistant", "[]", MS + 1000, json.dumps({"toolCalls": call})),
            ("m3", "group_7", "tool", '[{"type": "tool", "tool_call_id": "c1", "content": "06:10"}]', MS + 2000,
             "{broken"),
            ("m4", "group_7", "assistant", '[{"type": "text", "text": "At 06:10."}]', MS + 3000, None),
            ("m5", None, "user", "lost", MS, None),
        ],
        "memories": [(1, "ann", "Ann rows.", "auto", 8, MS, None), (2, None, "No one's.", "auto", 40, MS, "{}")],
        "kv_store": [("theme", '{"dark": true}', MS), ("greeting", "hello", MS), ("api_key", "canary-key", MS)],
        "kg_entities": [
            ("e1", "person", "Ann", "s", '{"town": "Sopot", "age": 30}', "[0.5, 1.0]", 3, MS, MS + 3),
            ("e2", "boat", "Gull", "s", None, None, 1, MS, MS),
        ],
        "kg_relationships": [("r1", "e1", "e2", "owns", "s", None, 1, MS, MS),
                             ("r2", "e1", "e9", "knows", "s", '{"since": 2020}', 1, MS, MS)],
        "kg_entity_history": [
            (1, "e1", 1, '{"town": "Hel"}', "create", None, MS),
            (2, "e1", 2, '{"town": "Sopot"}', "update", "moved", MS + 86_400_000),
            (3, "e1", 3, '{"town": "Sopot", "age": 30}', "update", None, MS + 2 * 86_400_000),
        ],
        "kg_relationship_history": [],
        "kg_scope_sharing": [("s", "t")],
        "structured_memories": [
            (1, "ann", "g", "profile", "job", "Ann is a baker.", 0.9, "auto", None, MS, MS, None, 1),
            (2, "ann", "g", "event", None, "Old news.", 0.4, "auto", None, MS, MS, None, 0),
        ],
    })  # fmt: skip


BICAMRL = """
CREATE TABLE complete_interactions (interaction_id TEXT PRIMARY KEY, session_id TEXT, timestamp TEXT,
  user_query TEXT, ai_interpretation TEXT, success INTEGER, feedback_type TEXT, execution_time REAL,
  tokens_used INTEGER, data TEXT);
CREATE TABLE interactions (id INTEGER PRIMARY KEY, timestamp TEXT, session_id TEXT, action TEXT, file_path TEXT,
  details TEXT);
CREATE TABLE patterns (id INTEGER PRIMARY KEY, name TEXT, description TEXT, pattern_type TEXT, sequence TEXT,
  frequency INTEGER, confidence REAL, last_seen TEXT, created_at TEXT, metadata TEXT);
CREATE TABLE feedback (id INTEGER PRIMARY KEY, timestamp TEXT, type TEXT, message TEXT, context TEXT,
  applied INTEGER);
CREATE TABLE preferences (key TEXT PRIMARY KEY, value TEXT, category TEXT, confidence REAL, source TEXT,
  updated_at TEXT);
CREATE TABLE sessions (id TEXT PRIMARY KEY, start_time TEXT, end_time TEXT, summary TEXT, files_touched TEXT,
  patterns_used TEXT, feedback_received TEXT);
CREATE TABLE archived_interactions (id INTEGER PRIMARY KEY, original_id INTEGER, interaction_id TEXT, data TEXT,
  archived_at TEXT, archive_reason TEXT, consolidated_to TEXT);
CREATE TABLE archived_patterns (id INTEGER PRIMARY KEY, original_id INTEGER, pattern_name TEXT, pattern_type TEXT,
  data TEXT, archived_at TEXT, archive_reason TEXT, promoted_to TEXT);
CREATE TABLE world_model_states (id TEXT PRIMARY KEY, session_id TEXT, domain TEXT, domain_confidence REAL,
  created_at TEXT, updated_at TEXT, interaction_count INTEGER, entities TEXT, relations TEXT, goals TEXT,
  metrics TEXT, discovered_entity_types TEXT, discovered_relation_types TEXT, constraints TEXT,
  is_active INTEGER, merged_from TEXT);
CREATE TABLE world_model_snapshots (id INTEGER PRIMARY KEY, world_model_id TEXT, snapshot_time TEXT,
  snapshot_data TEXT, trigger_event TEXT);
"""


def bicamrl(path: Path) -> Path:
    """Both generations of interactions, what was learned from them, and archives."""
    whole = {
        "interaction_id": "i1", "planned_actions": ["look"], "confidence": 0.8, "tags": ["door"],
        "actions_taken": [{"action_type": "read", "target": "door.py", "status": "completed", "result": "ok",
                           "line": 3}],
    }  # fmt: skip
    return database(path, BICAMRL, {
        "complete_interactions": [
            ("i1", "day", "2025-04-01T09:00:00", "Open the door", "door.open", 1, "approval", 1.5, 40,
             json.dumps(whole)),
            ("i2", "elsewhere", "2025-04-01T09:05:00", "Close it", None, None, "loved", None, None, "{broken"),
        ],
        "interactions": [(7, "2025-03-01T09:00:00", "day", "edit", "gate.py", None)],
        "patterns": [(1, "read then edit", None, "workflow", '["read", "edit"]', 4, 0.9, "2025-04-01T09:00:00",
                      "2025-03-01T09:00:00", None)],
        "feedback": [(1, "2025-04-01T09:10:00", "correct", "Knock first", '{"file": "door.py"}', 1)],
        "preferences": [("indent", "4", "style", 0.9, "said", "2025-04-01T09:00:00")],
        "sessions": [("day", "2025-04-01T09:00:00", "2025-04-01T10:00:00", "Doors and gates", '["door.py"]', None,
                      None)],
        "archived_interactions": [(1, 3, "i0", json.dumps({"user_query": "Find the key", "session_id": "day"}),
                                   "2025-03-20", "consolidated_to_working", "w1")],
        "archived_patterns": [(1, 9, "old way", "workflow", json.dumps({"sequence": ["a"], "frequency": 2}),
                               "2025-03-20", "promoted_to_semantic", None)],
        "world_model_states": [("w", "day", "house", 0.7, "2025-04-01", "2025-04-02", 3,
                                '{"door": {"type": "thing"}}', "[]", "[]", "{}", '["thing"]', None, None, 1, None)],
        "world_model_snapshots": [(1, "w", "2025-04-01T12:00:00", '{"entities": []}', "goal reached"),
                                  (2, "gone", None, "{}", None)],
    })  # fmt: skip


WILK = """
CREATE TABLE agents (id TEXT PRIMARY KEY, name TEXT NOT NULL UNIQUE, description TEXT, category TEXT, version TEXT,
  is_installed BOOLEAN DEFAULT 1, install_path TEXT, created_at DATETIME, updated_at DATETIME);
CREATE TABLE sessions (id TEXT PRIMARY KEY, name TEXT, working_directory TEXT, active_agents JSON,
  context_strategy TEXT, max_tokens INTEGER, default_model TEXT, created_at DATETIME, last_activity DATETIME);
CREATE TABLE messages (id TEXT PRIMARY KEY, session_id TEXT REFERENCES sessions(id), role TEXT, content TEXT,
  agent_id TEXT, tokens_used INTEGER DEFAULT 0, created_at DATETIME, metadata JSON);
CREATE TABLE registry_cache (package_name TEXT PRIMARY KEY, version TEXT);
"""


def wilk_seed(path: Path) -> Path:
    """Sessions with agents; messages of one second, told apart by their rows."""
    return database(path, WILK, {
        "agents": [("reviewer", "reviewer", "Reads code", "development", "1.0.0", 1, "/x", None, None),
                   ("lone", "lone", None, None, None, 1, None, None, None)],
        "sessions": [("w1", "Review", "/home/x", '["reviewer"]', "summarize", 8192, "gpt-4",
                      "2025-02-01 08:00:00", "2025-02-01 09:00:00")],
        "messages": [
            ("z", "w1", "user", "First", None, 0, "2025-02-01 08:00:00", '{"mood": "calm"}'),
            ("a", "w1", "assistant", "Second", "reviewer", 12, "2025-02-01 08:00:00", "{broken"),
            ("b", "gone", "user", "Nobody's", None, 0, "2025-02-01 08:00:00", None),
        ],
        "registry_cache": [("p", "1")],
    })  # fmt: skip


CONNECTOME = """
CREATE TABLE conversations (conversation_id TEXT PRIMARY KEY, data TEXT NOT NULL, created_at TEXT, updated_at TEXT);
CREATE TABLE raw_messages (id INTEGER PRIMARY KEY, conversation_id TEXT, message_data TEXT, message_index INTEGER,
  created_at TEXT);
CREATE TABLE memories (id INTEGER PRIMARY KEY, conversation_id TEXT, memory_id TEXT, memory_data TEXT,
  created_at TEXT, UNIQUE(conversation_id, memory_id));
CREATE TABLE reasoning_chains (id INTEGER PRIMARY KEY, agent_id TEXT, chain_data TEXT, created_at TEXT);
CREATE TABLE chunk_info (conversation_id TEXT PRIMARY KEY, chunk_data TEXT, created_at TEXT, updated_at TEXT);
CREATE TABLE cache_entries (cache_key TEXT PRIMARY KEY, cache_data TEXT, created_at TEXT, expires_at TEXT);
CREATE TABLE system_state (state_key TEXT PRIMARY KEY, state_data TEXT, created_at TEXT, updated_at TEXT);
"""
CONVERSATION = {"zeta": 1, "chatTitle": "Stars", "alpha": {"unknown": [1, None]}}
MEMORY = {"memory_id": "mem_1", "source_chunks": ["k1"], "compression_iteration": 2,
          "messages": [{"role": "user", "content": "Keep the stars"}]}  # fmt: skip


def connectome(path: Path) -> Path:
    """A conversation with all that belongs to it."""
    at = "2025-05-01T10:00:00"
    return database(path, CONNECTOME, {
        "conversations": [("stars", json.dumps(CONVERSATION), at, at), ("broken", "{", at, at)],
        "raw_messages": [(1, "stars", '{"role": "user", "content": "Look up"}', 0, at),
                         (2, "stars", '{"role": "assistant", "content": "I do"}', 1, at),
                         (3, "broken", '"still here"', 0, at)],
        "memories": [(1, "stars", "mem_1", json.dumps(MEMORY), at)],
        "reasoning_chains": [(1, "watcher", '{"agent_response": "yes"}', at), (2, "watcher", "{", at)],
        "chunk_info": [("stars", '{"chunks": []}', at, at)],
        "cache_entries": [("k", "{}", at, None)],
        "system_state": [("timeline_state_x", '{"now": 3}', at, at)],
    })  # fmt: skip


AGENTS = """
CREATE TABLE {s} (session_id TEXT PRIMARY KEY, created_at TIMESTAMP, updated_at TIMESTAMP);
CREATE TABLE {m} (id INTEGER PRIMARY KEY AUTOINCREMENT, session_id TEXT NOT NULL, message_data TEXT NOT NULL,
  created_at TIMESTAMP, FOREIGN KEY (session_id) REFERENCES {s} (session_id) ON DELETE CASCADE);
"""
ADVANCED = """
CREATE TABLE message_structure (id INTEGER PRIMARY KEY AUTOINCREMENT, session_id TEXT, message_id INTEGER,
  branch_id TEXT DEFAULT 'main', message_type TEXT, sequence_number INTEGER, user_turn_number INTEGER,
  branch_turn_number INTEGER, tool_name TEXT, created_at TIMESTAMP,
  FOREIGN KEY (message_id) REFERENCES agent_messages(id));
CREATE TABLE turn_usage (id INTEGER PRIMARY KEY, session_id TEXT, branch_id TEXT, user_turn_number INTEGER,
  requests INTEGER, input_tokens INTEGER, output_tokens INTEGER, total_tokens INTEGER, input_tokens_details JSON,
  output_tokens_details JSON, created_at TIMESTAMP);
"""
ITEMS: list[dict[str, Any]] = [
    {"role": "user", "content": "Where is the ferry?"},
    {"type": "reasoning", "id": "rs", "summary": [], "encrypted_content": "zz"},
    {"type": "function_call", "call_id": "c1", "name": "ferry", "arguments": '{"day": "Mon"}', "id": "fc"},
    {"type": "function_call_output", "call_id": "c1", "output": "08:15"},
    {"type": "message", "id": "m", "role": "assistant", "status": "completed",
     "content": [{"type": "output_text", "text": "At 08:15.", "annotations": []}]},
    {"role": "user", "content": [{"type": "input_text", "text": "See"}, {"type": "input_image", "image_url": "u"}]},
    {"type": "web_search_call", "id": "ws", "status": "completed", "action": {"query": "tide"}},
    {"type": "mcp_call", "id": "mc", "name": "look", "arguments": "{", "output": "x", "server_label": "s"},
    {"type": "compaction", "id": "cp", "encrypted_content": "zz"},
    {"__enc__": 1, "v": 1, "kid": "k", "payload": "opaque"},
]  # fmt: skip


def openai_agents(path: Path, sessions: str = "agent_sessions", messages: str = "agent_messages") -> Path:
    """A session with an item of each kind, and one that is broken."""
    at = "2025-06-01 12:00:00"
    items = [(number, "harbour", json.dumps(item), at) for number, item in enumerate(ITEMS, 1)]
    return database(path, AGENTS.format(s=sessions, m=messages), {
        sessions: [("harbour", at, at)],
        messages: [*items, (50, "harbour", "{", at), (51, "harbour", '{"role": "user", "content": "Last"}', at)],
    })  # fmt: skip


def openai_agents_advanced(path: Path) -> Path:
    """A session that branches at its second turn."""
    at, words = "2025-06-01 12:00:00", ["One", "Two", "Three", "Four", "Five"]
    return database(path, AGENTS.format(s="agent_sessions", m="agent_messages") + ADVANCED, {
        "agent_sessions": [("harbour", at, at)],
        "agent_messages": [(n, "harbour", json.dumps({"role": "user" if n % 2 else "assistant", "content": word}), at)
                           for n, word in enumerate(words, 1)],
        "message_structure": [
            *((n, "harbour", n, "main", "user", n, 1, 1, None, at) for n in (1, 2, 3, 4)),
            (5, "harbour", 1, "side", "user", 5, 1, 1, None, at),
            (6, "harbour", 2, "side", "user", 6, 1, 1, None, at),
            (7, "harbour", 5, "side", "user", 7, 2, 2, None, at),
        ],
        "turn_usage": [(1, "harbour", "main", 1, 1, 10, 20, 30, "{}", "{}", at)],
    })  # fmt: skip


LLM = """
CREATE TABLE _llm_migrations (name TEXT PRIMARY KEY, applied_at TEXT);
CREATE TABLE conversations (id TEXT PRIMARY KEY, name TEXT, model TEXT);
CREATE TABLE attachments (id TEXT PRIMARY KEY, type TEXT, path TEXT, url TEXT, content BLOB);
CREATE TABLE prompt_attachments (response_id TEXT, attachment_id TEXT, "order" INTEGER);
CREATE TABLE schemas (id TEXT PRIMARY KEY, content TEXT);
CREATE TABLE responses (id TEXT PRIMARY KEY, model TEXT, prompt TEXT, system TEXT, prompt_json TEXT,
  options_json TEXT, response TEXT, response_json TEXT, conversation_id TEXT, duration_ms INTEGER,
  datetime_utc TEXT, input_tokens INTEGER, output_tokens INTEGER, token_details TEXT, schema_id TEXT,
  resolved_model TEXT, reasoning TEXT);
CREATE TABLE fragments (id INTEGER PRIMARY KEY, hash TEXT, content TEXT, datetime_utc TEXT, source TEXT);
CREATE TABLE prompt_fragments (response_id TEXT, fragment_id INTEGER, "order" INTEGER);
CREATE TABLE tools (id INTEGER PRIMARY KEY, hash TEXT, name TEXT, description TEXT, input_schema TEXT, plugin TEXT);
CREATE TABLE tool_calls (id INTEGER PRIMARY KEY, response_id TEXT, tool_id INTEGER, name TEXT, arguments TEXT,
  tool_call_id TEXT);
CREATE TABLE tool_results (id INTEGER PRIMARY KEY, response_id TEXT, tool_id INTEGER, name TEXT, output TEXT,
  tool_call_id TEXT, instance_id INTEGER, exception TEXT);
CREATE TABLE messages (hash TEXT PRIMARY KEY, parent_hash TEXT, role TEXT, provider_metadata TEXT);
CREATE TABLE parts (id INTEGER PRIMARY KEY, message_hash TEXT, position INTEGER, type TEXT, tool_name TEXT, text TEXT,
  payload TEXT);
CREATE TABLE threads (id TEXT PRIMARY KEY, name TEXT, tip_message_hash TEXT, forked_from TEXT, datetime_utc TEXT);
CREATE TABLE turns (id TEXT PRIMARY KEY, thread_id TEXT, parent_message_hash TEXT, tip_message_hash TEXT, model TEXT,
  resolved_model TEXT, options_json TEXT, schema_id TEXT, input_tokens INTEGER, output_tokens INTEGER,
  token_details TEXT, duration_ms INTEGER, datetime_utc TEXT, response_json TEXT);
CREATE TABLE turn_tools (turn_id TEXT, tool_id INTEGER, instance_id INTEGER);
CREATE VIRTUAL TABLE responses_fts USING fts5 (prompt, response, content="responses");
CREATE TABLE bookmarks (url TEXT);
"""


def llm(path: Path) -> Path:
    """Two threads that share their beginning, a conversation of the older generation, and a loose response."""
    at = "2025-07-01T10:00:00+00:00"

    def turn(id: str, thread: str, parent: str, tip: str, schema: str | None = None) -> tuple[Any, ...]:
        return (
            id,
            thread,
            parent,
            tip,
            "mock",
            "mock-2",
            '{"temperature": 0.1}',
            schema,
            3,
            5,
            None,
            10,
            at,
            None,
        )

    def response(id: str, conversation: str | None, prompt: str, answer: str, **more: Any) -> tuple[Any, ...]:
        return (id, "old", prompt, more.get("system"), "{}", "{}", answer, '{"id": 1}', conversation, 9, at, 2, 4,
                None, more.get("schema"), None, more.get("reasoning"))  # fmt: skip

    text = "text"
    return database(path, LLM, {
        "_llm_migrations": [("m001", at)],
        "threads": [("t1", "Harbour", "b2:a2", None, at), ("t2", "Harbour, again", "b2:c2", "t1", at)],
        "turns": [turn("r1", "t1", "b2:u1", "b2:a1"), turn("r2", "t1", "b2:r2", "b2:a2", "sch"),
                  turn("r3", "t2", "b2:u3", "b2:c2"), turn("r4", "t1", "b2:u4", "b2:a4")],
        "messages": [("b2:s", None, "system", None), ("b2:u1", "b2:s", "user", None),
                     ("b2:a1", "b2:u1", "assistant", '{"k": 1}'), ("b2:u2", "b2:a1", "user", None),
                     ("b2:q2", "b2:u2", "assistant", None), ("b2:r2", "b2:q2", "tool", None),
                     ("b2:a2", "b2:r2", "assistant", None), ("b2:u3", "b2:a1", "user", None),
                     ("b2:c2", "b2:u3", "assistant", None), ("b2:u4", "b2:a1", "user", None),
                     ("b2:a4", "b2:u4", "assistant", None)],
        "parts": [
            (1, "b2:s", 0, text, None, "Be short", None), (2, "b2:u1", 0, text, None, "Where?", None),
            (3, "b2:a1", 0, text, None, "Here.", None),
            (4, "b2:u2", 0, text, None, None,
             '{"text_ref": [{"fragment": 1}, {"literal": " and "}, {"fragment": 2}]}'),
            (5, "b2:u2", 1, "attachment", None, None, '{"attachment": {"id": "pic"}}'),
            (6, "b2:q2", 0, "tool_call", "ferry", None,
             '{"name": "ferry", "arguments": {"d": 1}, "tool_call_id": "c1"}'),
            (7, "b2:r2", 0, "tool_result", "ferry", None,
             '{"name": "ferry", "output": "08:15", "tool_call_id": "c1"}'),
            (8, "b2:a2", 0, "reasoning", None, "Hm", None), (9, "b2:a2", 1, text, None, "At 08:15.", None),
            (10, "b2:u3", 0, text, None, "Or there?", None), (11, "b2:c2", 0, text, None, "There.", None),
            (12, "b2:u4", 0, text, None, "Retry", None), (13, "b2:a4", 0, text, None, "Retried", None),
        ],
        "attachments": [("pic", "image/png", None, None, b"\x89PNG bytes"), ("file", "text/plain", "/gone", None, None)],
        "fragments": [(1, "h1", "One", at, None), (2, "h2", "Two", at, None)],
        "schemas": [("sch", '{"type": "object"}')],
        "tools": [(1, "th", "ferry", "When it leaves", '{"type": "object"}', None)],
        "turn_tools": [("r2", 1, None)],
        "conversations": [("old1", "Old talk", "old"), ("t1", "Harbour", "mock")],
        "responses": [
            response("o1", "old1", "Prompt one", "", system="Old system"),
            response("o2", "old1", "", "Done", system="Old system", reasoning="Thought"),
            response("o3", None, "Alone", "Indeed", schema="sch"),
            response("r1", "t1", "Where?", "Here."),
        ],
        "prompt_fragments": [("o1", 2, 0)],
        "prompt_attachments": [("o1", "file", 0)],
        "tool_calls": [(1, "o1", 1, "ferry", '{"d": 2}', "k1")],
        "tool_results": [(1, "o2", 1, "ferry", "boom", "k1", None, "ValueError: boom")],
        "bookmarks": [("x",), ("y",)],
    })  # fmt: skip


def llm_embeddings(path: Path) -> Path:
    """A collection of two vectors, one of them cut off."""
    script = """
    CREATE TABLE collections (id INTEGER PRIMARY KEY, name TEXT, model TEXT);
    CREATE TABLE embeddings (collection_id INTEGER, id TEXT, embedding BLOB, content TEXT, content_blob BLOB,
      content_hash BLOB, metadata TEXT, updated INTEGER, PRIMARY KEY (collection_id, id));
    """
    return database(path, script, {
        "collections": [(1, "phrases", "mini"), (2, "memory", "mini")],
        "embeddings": [
            (1, "hello", pack("<3f", 0.25, -1.5, 2.0), "Hello", None, b"h", '{"lang": "en"}', 1_700_000_000),
            (1, "cut", b"\x00\x00", None, None, None, None, None),
            (2, "m", pack("<2f", 1, 0), None, None, None, None, None),
        ],
    })  # fmt: skip


def typingcloud(path: Path) -> Path:
    """Two chats, one of them deleted."""
    chat = {
        "zebra": 1, "id": "x", "chatID": "chat-1", "model": "m-1", "preview": "Look", "chatTitle": "Stars",
        "createdAt": "2025-05-01T10:00:00.000Z", "updatedAt": 1_746_100_000_000, "syncedAt": None,
        "modelInfo": {"title": "M", "id": "m-1"}, "chatParams": {"systemMessage": "Be kind"},
        "tokenUsage": {"totalTokens": 9}, "linkedPlugins": [],
        "messages": [
            {"role": "user", "uuid": "u1", "createdAt": "2025-05-01T10:00:00Z", "content": "Look up"},
            {"role": "assistant", "uuid": "u2", "content": [{"type": "text", "text": "I do"}], "model": "m-1",
             "usage": {"completion_tokens": 3}, "stop_reason": "end_turn"},
            "not a message",
            {"role": "user", "uuid": "u1", "content": "Again"},
        ],
    }  # fmt: skip
    other = {**chat, "chatID": "chat-2", "deletedAt": 5, "messages": [], "chatTitle": None}
    path.write_text(json.dumps({"data": {"chats": [chat, other]}}))
    return path


MADE: dict[str, tuple[str, Callable[[Path], Path]]] = {
    "llm": ("logs.db", llm),
    "openai-agents": ("agents.db", openai_agents),
    "connectome": ("connectome.db", connectome),
    "kalito": ("kalito.db", kalito),
    "chatai": ("chaite.db", chatai),
    "bicamrl": ("bicameral.db", bicamrl),
    "wilk": ("wilk.db", wilk_seed),
    "typingcloud": ("typingcloud.json", typingcloud),
}
"""By importer: a file that it reads."""


class Kept(NamedTuple):
    """A store into which something was imported once, for tests that only look at it."""

    store: wilk.Store
    result: MigrationResult
    home: Path


@contextmanager
def kept(importer: str, folder: Path, new_database: Path, *sources: Path) -> Generator[Kept, None, None]:
    """Import sources into a new store in a folder, and leave it open."""
    home = folder / "home"
    home.mkdir(mode=0o700)
    shutil.copy(new_database, home / "wilk.db")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("WILK_DISABLED_PLUGINS", ",".join(BESIDE))
        with wilk.open_store(home=home) as store:
            yield Kept(store, store.imports.run(importer, *sources), home)
