"""What is looked for after forgetting: ids, distinctive texts, vectors of what went. Kept in memory alone."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from typing import Any

from wilk import codec
from wilk.care.forgetting.links import DISTINCTIVE
from wilk.errors import WilkError

MOST = 200_000
"""Strings that are looked for at most; further ones are counted, and the certificate says so."""

_SHORTEST, _PIECE, _STEP, _PIECES = 16, 48, 512, 40
_WORDLIKE = frozenset(
    ["action_type", "agent_id", "category", "content_hash", "context_file", "context_strategy", "domain",
     "feedback_type", "importer", "kind", "label", "method", "model", "owner_kind", "pattern_type",
     "persona_id", "group_id", "hash", "result_hash", "role", "run_id", "source", "status", "strategy",
     "tokenizer", "type",
     "working_directory", "active_agents", "finding", "reason"]
)  # fmt: skip
"""Columns whose values are words that many rows have in common, or hashes."""

_WORD = re.compile(r"(?<![\w-])[^\W_]{8,64}(?![\w-])")
_TIME = re.compile(r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d")


class Needles:
    """Strings to look for, each once."""

    def __init__(self) -> None:
        self.strings: set[str] = set()
        self.raw: set[bytes] = set()
        self.left_out = 0

    def __len__(self) -> int:
        return len(self.strings) + len(self.raw)

    def row(self, row: Mapping[str, Any]) -> None:
        """Take note of what the columns of a row say."""
        for column, value in row.items():
            if column in _WORDLIKE or not isinstance(value, str) or column == "id" or column.endswith("_id"):
                continue  # ids that go are given by themselves
            if value[:1] in ("{", "[", '"'):
                try:
                    self._value(codec.loads(value))
                except (ValueError, WilkError):
                    self.text(value)
            else:
                self.text(value)

    def _value(self, value: Any) -> None:
        waiting = [value]
        while waiting:
            one = waiting.pop()
            if isinstance(one, str):
                self.text(one)
            elif isinstance(one, dict):
                waiting += [key for key in one if isinstance(key, str) and key not in _WORDLIKE]
                waiting += [each for key, each in one.items() if key not in _WORDLIKE]
            elif isinstance(one, (list, tuple)):
                waiting += one

    def text(self, text: str) -> None:
        """Take note of a text: pieces of it, and the words that look like nobody else's."""
        text = text.strip()
        if len(text) < DISTINCTIVE or _TIME.match(text):
            return
        if len(text) >= _SHORTEST and any(c.isspace() or not c.isascii() for c in text):
            starts = list(range(0, len(text), _STEP))[:_PIECES]
            for start in starts:
                if len(piece := text[start : start + _PIECE].strip()) >= _SHORTEST:
                    self._add(piece)
            if len(text) > _PIECE:
                self._add(text[-_PIECE:].strip())
        for found in _WORD.finditer(text):
            word = found[0]
            if any(c.isdigit() for c in word) and sum(c.isalpha() for c in word) >= 3:
                self._add(word)
                if word != word.lower():
                    self._add(word.lower())  # as a full-text index has it

    def ids(self, ids: Iterable[str]) -> None:
        """Take note of ids, but for those that are too short to be anybody's own."""
        for id in ids:
            if len(id) >= DISTINCTIVE and not id.isalpha():
                self._add(id)

    def vector(self, data: bytes) -> None:
        """Take note of a vector, by its first numbers."""
        if len(data) >= 16 and len(set(data[:16])) > 8:
            self.raw.add(data[:32])

    def _add(self, text: str) -> None:
        if len(self.strings) < MOST:
            self.strings.add(text)
        elif text not in self.strings:
            self.left_out += 1


def forms(text: str) -> set[bytes]:
    """A text as files may hold it: UTF-8, escaped as in JSON, UTF-16."""
    plain = text.encode(errors="surrogatepass")
    found = {
        plain,
        codec.dumps(text).encode()[1:-1] if text.isprintable() else plain,
        json.dumps(text)[1:-1].encode(),
        json.dumps(text, ensure_ascii=False)[1:-1].encode(errors="surrogatepass"),
        text.encode("utf-16-le", errors="surrogatepass"),
        text.encode("utf-16-be", errors="surrogatepass"),
    }
    return {one for one in found if len(one) >= DISTINCTIVE}
