"""Summaries of messages without a model: the sentences that say most, in their order; and the checks
that a summary must pass, whoever made it.

A sentence counts by how often its words occur in the range, by the importance of its message and by
its place. The same messages give the same summary. Lengths are in characters; after Kalito's rules,
eight messages may take 500.
"""

from __future__ import annotations

import heapq
import math
import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from wilk.records.conversation import Message

PER_EIGHT = 500
LONGEST = 4_000
SHORT = 100
"""Half of the original may always have so many characters: half of a very short one says nothing."""
LEAST = 20
"""A budget may be so small that it has no room for a summary: it still gets so many characters."""
LEAST_SHARED = 0.05

_LOOKED_AT = 8_000
_SENTENCE = 240
_LABEL = 40
_CUT = " …"
_CUT_WORD = 12
# Scripts written without spaces between words are compared by pairs of characters.
_UNSPACED = "\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af\uf900-\ufaff"
# Not compiled here: reading commands import this module and never split a text.
_RUN = f"[{_UNSPACED}]+|[^\\W_{_UNSPACED}]+"
_IS_UNSPACED = f"[{_UNSPACED}]"
_END = r"(?<=[.!?…؟۔।॥])[\"'”’)\]]?\s+|(?<=[。！？．])|\n+"
_FENCE = r"(?m)^[ \t]*(?:```|~~~)"


class _Sentence(NamedTuple):
    """A sentence of a message: both by number, its words, and what its place and message are worth."""

    message: int
    place: int
    text: str
    words: tuple[str, ...]
    worth: float


def heading(first: int, last: int) -> str:
    """What stands before a summary in a context."""
    return f"Summary of messages {first}-{last}: "


def room(messages: Sequence[Message], most: int | None = None) -> int:
    """How many characters a summary of messages may have: 500 for every eight begun, 4000 at most,
    and half of the original, or 100 where that is less. ``most`` is a further limit."""
    half = max(SHORT, sum(len(text_of(message)) for message in messages) // 2)
    return min(_limit(messages, most), half)


def fault(summary: str, messages: Sequence[Message], most: int | None = None) -> str | None:
    """Say why a summary cannot stand for messages; None when it can. ``most`` as in :func:`room`."""
    said = [text_of(message) for message in messages]
    limit = _limit(messages, most)
    if len(summary) > limit:
        return f"it has {len(summary)} characters, and {limit} is the most for {len(messages)} messages"
    length = sum(map(len, said))
    if len(summary) > max(SHORT, length // 2):
        return f"its {len(summary)} characters are over half of the original's {length}"
    if not summary.strip():
        return "it is empty"
    original = set(words_of("\n".join(map(_labelled, messages))))
    words = words_of(summary)
    shared = sum(word in original for word in words)
    if not original or (words and shared >= LEAST_SHARED * len(words)):
        return None
    shared += sum(_is_cut(word, original) for word in words)
    if words and shared >= LEAST_SHARED * len(words):
        return None
    return f"it shares {shared} of its {len(words)} words with the original"


def summarize(messages: Sequence[Message], most: int | None = None) -> str:
    """Choose the sentences that say most, as many as there is room for, in order and by speaker."""
    limit = room(messages, most)
    sentences = _sentences(messages)
    chosen = _chosen(sentences, messages, limit)
    shown = _shown(chosen, messages)
    if shown:
        return shown
    first = sentences[0] if sentences else None
    line = f"{speaker(messages[first.message])}: {first.text}" if first else _of_nothing(messages)
    return _clipped(line, limit)


def _limit(messages: Sequence[Message], most: int | None) -> int:
    limit = min(LONGEST, PER_EIGHT * math.ceil(len(messages) / 8))
    return limit if most is None else min(limit, max(LEAST, most))


def text_of(message: Message) -> str:
    """What a message says: its text, or what its parts say where it has none."""
    return message.text or "\n".join(_said(message.parts))


def speaker(message: Message) -> str:
    """Who says it: the agent where one is named, else the role."""
    return _clipped(" ".join((message.agent_id or message.role).split()), _LABEL)


def words_of(text: str) -> list[str]:
    """The words of a text in small letters; pairs of characters where words are not spaced."""
    words = []
    for run in re.findall(_RUN, text.lower()):
        if re.match(_IS_UNSPACED, run) and len(run) > 1:
            words += [run[i : i + 2] for i in range(len(run) - 1)]
        else:
            words.append(run)
    return words


def _is_cut(word: str, original: set[str]) -> bool:
    """Whether a word is a long one's beginning: text is cut within a word that is too long."""
    return len(word) >= _CUT_WORD and any(other.startswith(word) for other in original)


def _labelled(message: Message) -> str:
    return f"{speaker(message)}: {text_of(message)}"


def _said(value: Any) -> Iterator[str]:
    """Text in parts: what is said, or else the name of what is called."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping):
        for key in ("text", "content", "output", "name"):
            if value.get(key):
                yield from _said(value[key])
                return
    elif isinstance(value, (list, tuple)):
        for item in value:
            yield from _said(item)


def _sentences(messages: Sequence[Message]) -> list[_Sentence]:
    found = []
    for number, message in enumerate(messages):
        ends = number in (0, len(messages) - 1)
        for place, (text, code) in enumerate(_pieces(text_of(message)[:_LOOKED_AT])):
            worth = (0.5 + message.importance) * (1.0 if place == 0 else 0.8)
            worth *= (1.2 if ends else 1.0) * (0.5 if code else 1.0)
            text = _clipped(text, _SENTENCE)
            found.append(_Sentence(number, place, text, tuple(sorted(set(words_of(text)))), worth))
    return found


def _pieces(text: str) -> Iterator[tuple[str, bool]]:
    """The sentences of a text; of a block of code its first line. The flag tells code."""
    for number, part in enumerate(re.split(_FENCE, text)):
        code = number % 2 == 1
        if code:
            part = part.partition("\n")[2]
        for piece in part.split("\n") if code else re.split(_END, part):
            if clean := " ".join(piece.split()):
                yield clean, code
                if code:
                    break


def _chosen(sentences: list[_Sentence], messages: Sequence[Message], limit: int) -> list[_Sentence]:
    """Take the best sentence again and again, until the room is used.

    Words that a taken sentence has said count a quarter from then on, so that scores only fall and a
    heap is enough.
    """
    in_sentences = Counter(word for sentence in sentences for word in sentence.words)
    weights = {
        word: math.log1p(count) * math.log1p(len(sentences) / count) for word, count in in_sentences.items()
    }

    def score(one: _Sentence) -> float:
        total = sum(weights[word] for word in one.words)
        return round(one.worth * total / math.sqrt(len(one.words) + 3), 9)

    heap = [(-score(one), one.message, one.place, number) for number, one in enumerate(sentences)]
    heapq.heapify(heap)
    taken: list[_Sentence] = []
    labels: set[int] = set()
    used = 0
    seen: set[str] = set()
    while heap:
        before, message, place, number = heapq.heappop(heap)
        one = sentences[number]
        # A sentence costs itself with what parts it from the one before; a message also its label.
        label = 0 if message in labels else len(speaker(messages[message])) + 3
        cost = len(one.text) + len(_CUT) + 1 + label
        if used + cost > limit or one.text in seen:
            continue
        now = -score(one)
        if now > before:
            heapq.heappush(heap, (now, message, place, number))
            continue
        used += cost
        seen.add(one.text)
        labels.add(message)
        taken.append(one)
        for word in one.words:
            weights[word] /= 4
    return sorted(taken, key=lambda one: (one.message, one.place))


def _shown(chosen: Sequence[_Sentence], messages: Sequence[Message]) -> str:
    """A line per message; dots stand for sentences in between."""
    lines: list[str] = []
    before: _Sentence | None = None
    for one in chosen:
        if before is None or before.message != one.message:
            lines.append(f"{speaker(messages[one.message])}: {one.text}")
        elif one.place == before.place + 1 or before.text.endswith("…"):
            lines[-1] += f" {one.text}"
        else:
            lines[-1] += f"{_CUT} {one.text}"
        before = one
    return "\n".join(lines)


def _of_nothing(messages: Sequence[Message]) -> str:
    """A line on messages without text."""
    who = ", ".join(dict.fromkeys(speaker(message) for message in messages))
    return f"{who}: {len(messages)} message{'s' * (len(messages) != 1)} without text"


def _clipped(text: str, length: int) -> str:
    """The beginning of a text, at a word's end where there is one."""
    if len(text) <= length:
        return text
    head = text[: length - len(_CUT)]
    space = head.rfind(" ")
    return (head[:space] if space > length // 2 else head) + _CUT
