"""What a consolidated memory says: counted from what it was made from, the same for the same records."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from math import fsum
from typing import Any, NamedTuple

from wilk import codec
from wilk.records.connectome import Memory
from wilk.records.learning import Action, Interaction

PATTERN_TYPE = "action_sequence"
"""The type of the patterns that consolidation finds."""

_LONGEST_SEQUENCE = 5
_SHOWN = 5
_KEPT = 20
_EXCERPT = 160
_COUNTED = ("actions", "tags", "feedback", "patterns", "sequences", "queries", "corrections")
_SUMMED = ("interactions", "judged", "succeeded", "tokens")
_NAMES = {"working": "working memories", "episodic": "episodic memories"}


class Digest(NamedTuple):
    """The text of a memory, the same as numbers, and how sure it is, 0.0–1.0."""

    content: str
    data: dict[str, Any]
    confidence: float


class Recurring(NamedTuple):
    """A sequence of actions that several interactions have, by the ids of those that went well or not."""

    sequence: list[str]
    succeeded: list[str]
    failed: list[str]

    @property
    def name(self) -> str:
        """The actions in one line."""
        return " > ".join(self.sequence)

    @property
    def times(self) -> int:
        """How many interactions have it."""
        return len(self.succeeded) + len(self.failed)


def of_interactions(
    records: Sequence[Interaction],
    actions: Mapping[str, Sequence[Action]],
    sequences: Mapping[str, Recurring],
) -> Digest:
    """Sum up interactions, given in the order of time, with their actions by the interactions' ids, and
    the sequences that were found in them by the ids of their patterns."""
    said = [_excerpt(one.user_query) for one in records]
    data = {
        "interactions": len(records),
        "first": records[0].created_at.isoformat(),
        "last": records[-1].created_at.isoformat(),
        "judged": sum(one.success is not None for one in records),
        "succeeded": sum(one.success is True for one in records),
        "tokens": sum(one.tokens_used or 0 for one in records),
        "actions": Counter(act.action_type for one in records for act in actions.get(one.id, ())),
        "tags": Counter(tag for one in records for tag in one.tags),
        "feedback": Counter(one.feedback_type for one in records if one.feedback_type != "none"),
        "patterns": Counter({id: found.times for id, found in sequences.items()}),
        "sequences": Counter({found.name: found.times for found in sequences.values()}),
        "queries": Counter(filter(None, said)),
        "corrections": Counter(
            _excerpt(one.user_feedback)
            for one in records
            if one.user_feedback and one.feedback_type == "correction"
        ),
    }
    return _digest(f"{len(records)} interactions", data, _mean(map(belief, records)))


def of_memories(made: str, records: Sequence[Memory]) -> Digest:
    """Sum up memories, given in the order in which they were made.

    A semantic memory keeps what at least half of its episodes have in common.
    """
    known = [record.data if isinstance(record.data, dict) else {} for record in records]
    data: dict[str, Any] = {
        "memories": len(records),
        **{key: sum(_number(one, key) for one in known) for key in _SUMMED},
        "first": min(_time(one, "first", record) for one, record in zip(known, records, strict=True)),
        "last": max(_time(one, "last", record) for one, record in zip(known, records, strict=True)),
    }
    for key in _COUNTED:
        counters = [_counter(one, key) for one in known]
        total = sum(counters, Counter[str]())
        if made == "semantic":
            shared = Counter(name for counter in counters for name in counter)
            total = Counter({name: n for name, n in total.items() if 2 * shared[name] >= len(records)})
        data[key] = total
    noted = [_excerpt(record.content) for record, one in zip(records, known, strict=True) if not one]
    name = _NAMES["working" if made == "episodic" else "episodic"]
    about = f"{len(records)} {name} of {data['interactions']} interactions"
    return _digest(about, data, _mean(record.confidence for record in records), noted)


def belief(interaction: Interaction) -> float:
    """How sure it is that an interaction went well, 0.0–1.0: the mean of its confidence, its success and
    what the user said of it, as far as they are given; 0.5 if nothing is."""
    signs = [] if interaction.confidence is None else [interaction.confidence]
    if interaction.success is not None:
        signs.append(float(interaction.success))
    if interaction.feedback_type in ("approval", "correction"):
        signs.append(float(interaction.feedback_type == "approval"))
    return _mean(signs) if signs else 0.5


def recurring(records: Sequence[Interaction], actions: Mapping[str, Sequence[Action]]) -> Sequence[Recurring]:
    """Find the sequences of two to five actions that at least two interactions have.

    Of those that only ever stand in a longer one, the longer one is told; at most twenty in all. An
    interaction of which nobody said that it failed counts as one that went well.
    """
    found: dict[tuple[str, ...], list[Interaction]] = {}
    for record in records:
        done = [one.action_type for one in actions.get(record.id, ())]
        for sequence in dict.fromkeys(_runs(done)):
            found.setdefault(sequence, []).append(record)
    often = {sequence: seen for sequence, seen in found.items() if len(seen) > 1}
    covered = {
        part
        for longer, seen in often.items()
        for part in _runs(longer)
        if part != longer and len(often[part]) == len(seen)
    }
    told = [
        Recurring(
            list(sequence),
            [one.id for one in seen if one.success is not False],
            [one.id for one in seen if one.success is False],
        )
        for sequence, seen in often.items()
        if sequence not in covered
    ]
    return sorted(told, key=lambda one: (-one.times, -len(one.sequence)))[:_KEPT]


def pattern_id(user: str | None, agent: str | None, sequence: Sequence[str]) -> str:
    """The id of the pattern of a sequence of actions, of one user and one agent: the same each time."""
    return f"sequence-{codec.content_hash([user, agent, list(sequence)])[:32]}"


def _runs(actions: Sequence[str]) -> Iterator[tuple[str, ...]]:
    for length in range(2, min(_LONGEST_SEQUENCE, len(actions)) + 1):
        for start in range(len(actions) - length + 1):
            yield tuple(actions[start : start + length])


def _digest(about: str, data: dict[str, Any], confidence: float, noted: Sequence[str] = ()) -> Digest:
    for key in _COUNTED:
        data[key] = dict(_most(data[key], _KEPT))
    lines = [f"{about}, {_span(data['first'], data['last'])}."]
    if data["judged"]:
        lines.append(f"Succeeded: {data['succeeded']} of {data['judged']}.")
    for title, key in (("Asked", "queries"), ("Corrected", "corrections")):
        if data[key]:
            lines += [f"{title}:", *(f"- {_times(name, n)}" for name, n in _most(data[key], _SHOWN))]
    if noted:
        lines += ["Noted:", *(f"- {one}" for one in noted)]
    for title, key in (
        ("Actions", "actions"),
        ("Again and again", "sequences"),
        ("Feedback", "feedback"),
        ("Tags", "tags"),
    ):
        if data[key]:
            lines.append(f"{title}: {', '.join(_times(name, n) for name, n in _most(data[key], _SHOWN))}.")
    return Digest("\n".join(lines), data, min(1.0, max(0.0, confidence)))


def _most(counts: Mapping[str, int], n: int) -> list[tuple[str, int]]:
    """The names counted most often; of two with one count, the one that came first."""
    return sorted(counts.items(), key=lambda item: -item[1])[:n]


def _times(name: str, n: int) -> str:
    return name if n == 1 else f"{name} ({n} times)"


def _span(first: str, last: str) -> str:
    begin, end = first[:10], last[:10]
    return begin if begin == end else f"{begin} to {end}"


def _excerpt(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= _EXCERPT else f"{line[: _EXCERPT - 1]}…"


def _number(data: Mapping[str, Any], key: str) -> int:
    value = data.get(key)
    return value if type(value) is int else 0


def _counter(data: Mapping[str, Any], key: str) -> Counter[str]:
    value = data.get(key)
    if not isinstance(value, Mapping):
        return Counter()
    return Counter({str(name): n for name, n in value.items() if type(n) is int})


def _time(data: Mapping[str, Any], key: str, record: Memory) -> str:
    value = data.get(key)
    return value if isinstance(value, str) else record.created_at.isoformat()


def _mean(values: Iterable[float]) -> float:
    """The mean, exact enough that equal values give that value."""
    found = list(values)
    return fsum(found) / len(found)
