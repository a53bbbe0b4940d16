"""The tables of the disk tier: a SQLite file of its own for each namespace.

All that lies in it is derived. Totals are kept by triggers, so that they are true for every process
at any time.
"""

from __future__ import annotations

VERSION = 1
OVERHEAD = 200
"""Bytes that an entry takes beside its key, value and tags: columns and indexes."""

PRAGMAS = ("synchronous = off", "wal_autocheckpoint = 1000", "journal_size_limit = 4000000", "mmap_size = 0")
"""Without ``synchronous`` a power cut may damage the file. Each entry has a checksum over its key and value,
and a file that is damaged as a whole is made anew. Nor is the file mapped into memory: where somebody
cuts it off, that would end the process."""

TABLES = """
CREATE TABLE entries(
    pk INTEGER PRIMARY KEY, key BLOB NOT NULL UNIQUE, checksum INTEGER NOT NULL, written INTEGER NOT NULL,
    expires INTEGER, used INTEGER NOT NULL, size INTEGER NOT NULL, tags BLOB, value BLOB NOT NULL
);
CREATE INDEX entries_used ON entries(used, pk);
CREATE INDEX entries_expires ON entries(expires) WHERE expires IS NOT NULL;
CREATE INDEX entries_tags ON entries(tags) WHERE tags IS NOT NULL;
CREATE TABLE totals(
    pk INTEGER PRIMARY KEY, bytes INTEGER NOT NULL, entries INTEGER NOT NULL, evictions INTEGER NOT NULL,
    hits INTEGER NOT NULL, misses INTEGER NOT NULL
);
INSERT INTO totals VALUES (1, 0, 0, 0, 0, 0);
CREATE TRIGGER entries_insert AFTER INSERT ON entries BEGIN
    UPDATE totals SET bytes = bytes + new.size, entries = entries + 1;
END;
CREATE TRIGGER entries_delete AFTER DELETE ON entries BEGIN
    UPDATE totals SET bytes = bytes - old.size, entries = entries - 1;
END;
CREATE TRIGGER entries_update AFTER UPDATE OF size ON entries BEGIN
    UPDATE totals SET bytes = bytes - old.size + new.size;
END;
"""

GET = "SELECT value, checksum, written, expires FROM entries WHERE key = ?"
SET = (
    "INSERT INTO entries(key, checksum, written, expires, used, size, tags, value) "
    "VALUES (?, ?, ?, ?, ?, ?, ?, ?) "
    "ON CONFLICT(key) DO UPDATE SET checksum = excluded.checksum, written = excluded.written, "
    "expires = excluded.expires, used = excluded.used, size = excluded.size, tags = excluded.tags, "
    "value = excluded.value"
)
TOTALS = "SELECT bytes, entries FROM totals"
STATISTICS = "SELECT entries, bytes, evictions, hits, misses FROM totals"
TOUCH = "UPDATE entries SET expires = ?, used = ? WHERE key = ? AND (expires IS NULL OR expires > ?)"
USED = "UPDATE entries SET used = ? WHERE key = ? AND used < ?"
COUNTED = "UPDATE totals SET hits = hits + ?, misses = misses + ?"
EVICTED = "UPDATE totals SET evictions = evictions + ?"
DELETE = "DELETE FROM entries WHERE key = ?"
CLEAR = "DELETE FROM entries"
CLEAR_PREFIX = "DELETE FROM entries WHERE key >= ? AND key < ?"
CLEAR_TAG = "DELETE FROM entries WHERE tags IS NOT NULL AND instr(tags, ?)"
EXPIRE = "DELETE FROM entries WHERE pk IN (SELECT pk FROM entries WHERE expires <= ? LIMIT ?)"
EVICT = "DELETE FROM entries WHERE pk IN (SELECT pk FROM entries ORDER BY used, pk LIMIT ?)"
SIZES = "SELECT size FROM entries ORDER BY used, pk LIMIT ?"
