"""One batch of embedding: what records say, what of it has no vector yet, and what came of that."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from wilk import codec, models
from wilk.engine import Engine
from wilk.errors import BackendError
from wilk.services.embedding.embedders import Embedders, Refused, embed
from wilk.services.embedding.passages import of_message
from wilk.services.embedding.queue import CLAIMED, Claim, Queue
from wilk.services.vectors.spaces import Entry, Space, write

if TYPE_CHECKING:
    from wilk.contracts import Embedding
    from wilk.services.keeping.archiver import Archiver

_ROWS = 500


class StoreCloses(Exception):
    """The store closes amid a batch; what is left is done another time."""


class Batch:
    """Claimed records on their way to vectors: what they say, what of it has none yet, what came of it."""

    def __init__(
        self,
        engine: Engine,
        archiver: Archiver,
        queue: Queue,
        claims: list[Claim],
        until: int,
        asking: Callable[[], None],
    ) -> None:
        self._engine = engine
        self._archiver = archiver
        self._queue = queue
        self.claims = claims
        self.until = until
        self._asking = asking
        self._parts: dict[tuple[str, str], list[tuple[str, str]]] = {}  # of a record: hashes and texts
        self._spaces: dict[int, tuple[Space, Embedding]] = {}
        self._unserved: set[str] = set()  # kinds whose new model another process has to open
        self._there: dict[int, dict[tuple[str, int], tuple[int, str | None]]] = {}
        self._made: dict[int, dict[str, bytes | Refused]] = {}  # by model: of a hash

    def read(self, there: dict[str, list[Space]], embedders: Embedders) -> None:
        """Read what the records say, and which of it has vectors."""
        by_kind: dict[str, list[str]] = {}
        for claim in self.claims:
            by_kind.setdefault(claim.kind, []).append(claim.record_id)
        for kind, ids in by_kind.items():
            for id, texts in texts_of(self._engine, kind, ids).items():
                self._parts[kind, id] = [(codec.text_hash(text), text) for text in texts]
            for place, space in enumerate(known := there.get(kind, []), 1):
                embedding = embedders.of(space)
                if embedding is not None:
                    self._spaces[space.id] = (space, embedding)
                    self._there[space.id] = _present(self._engine, space.id, ids)
                elif place == len(known):
                    self._unserved.add(kind)

    def embed(self) -> None:
        """Ask the models for what has no vector yet, each text once."""
        self._fit()
        wanted: dict[int, tuple[Embedding, dict[str, str]]] = {}
        for space, embedding in self._spaces.values():
            texts = wanted.setdefault(id(embedding), (embedding, {}))[1]
            for claim in self.claims:
                texts.update(self._lacking(space, claim))
        for key, (embedding, texts) in wanted.items():
            made = embed(embedding, list(texts.values()), pause=self._pause)
            self._made[key] = dict(zip(texts, made, strict=True))

    def _fit(self) -> None:
        """Keep as many records as one call of a model takes, at least one; give the others back."""
        longest = min((max(1, embedding.batch) for _, embedding in self._spaces.values()), default=0)
        count = 0
        for place, claim in enumerate(self.claims):
            count += max((len(self._lacking(space, claim)) for space, _ in self._spaces.values()), default=0)
            if place and count > longest:
                self._queue.release(self.claims[place:], self.until)
                del self.claims[place:]
                return

    def _lacking(self, space: Space, claim: Claim) -> dict[str, str]:
        """The texts of a record that have no vector in a space, by hash."""
        if claim.kind != space.kind:
            return {}
        there = self._there[space.id]
        return {
            hash: text
            for part, (hash, text) in enumerate(self._parts.get((claim.kind, claim.record_id), []))
            if there.get((claim.record_id, part), (0, None))[1] != hash
        }

    def _pause(self) -> None:
        """Before each call of a model: see whether it may be, and keep the claims alive."""
        self._asking()
        if self.until - self._engine.clock.now() < CLAIMED // 2:
            self.until = self._queue.extend(self.claims, self.until)

    def write(self, open_spaces: Callable[[], dict[str, list[Space]]]) -> str:
        """Write what was made, of those records that are still as they were read.

        Returns a kind whose new model is not to be had here, if any: its records stay claimed for a while, so
        that the process which has it gets its turn.
        """
        with self._engine.transaction():
            there = open_spaces()
            mine = self._queue.unchanged(self.claims)
            refused: dict[int, Refused] = {}
            for space, embedding in self._spaces.values():
                known = [one.id for one in there.get(str(space.kind), ())]
                if space.id in known:
                    newest = space.id == known[-1]
                    refused.update(self._write_into(space, embedding, mine, newest=newest))
            done = []
            for claim in mine:
                if claim.pk in refused:
                    self._queue.refused(claim, refused[claim.pk])
                elif claim.kind in self._unserved:
                    continue
                elif self._served(there.get(claim.kind, ())):
                    done.append(claim)
                else:
                    self._queue.release([claim], self.until)
            self._queue.done(done)
            # What changed meanwhile is due at once.
            self._queue.release([claim for claim in self.claims if claim not in mine], self.until)
        return min(self._unserved, default="")

    def _served(self, known: Sequence[Space]) -> bool:
        """Whether the newest space is one that this batch was made for."""
        return not known or known[-1].id in self._spaces

    def _write_into(
        self, space: Space, embedding: Embedding, claims: Sequence[Claim], *, newest: bool
    ) -> dict[int, Refused]:
        """Bring the vectors of records in one space in line; return those that were refused, and why."""
        refused: dict[int, Refused] = {}
        there, made = self._there[space.id], self._made.get(id(embedding), {})
        outdated = {(record, part): number for (record, part), (number, _) in there.items()}
        entries: list[Entry] = []
        mine = {claim.record_id: claim for claim in claims if claim.kind == space.kind}
        for record, claim in mine.items():
            for part, (hash, _) in enumerate(self._parts.get((claim.kind, record), [])):
                if there.get((record, part), (0, None))[1] == hash:
                    outdated.pop((record, part))
                    continue
                vector = made[hash]
                if isinstance(vector, Refused):
                    refused[claim.pk] = vector
                    continue
                if len(vector) != 4 * space.dimension:
                    if not newest:
                        continue
                    raise BackendError(
                        f"{space.model!r} gives {len(vector) // 4} values now, and {space.dimension} when "
                        f"the vectors of {space.collection!r} were made; `wilk index rebuild` makes them anew"
                    )
                outdated.pop((record, part), None)
                entries.append(Entry(record, part, vector, {}, hash))
        if entries:
            write(self._engine, self._archiver, space, entries)
        gone = [number for (record, _), number in outdated.items() if record in mine]
        self._archiver.drop_outdated(space.id, gone)
        return refused


def texts_of(engine: Engine, kind: str, ids: Sequence[str]) -> dict[str, list[str]]:
    """What of records is embedded, part by part. Those that are gone, or say nothing, are left out."""
    found: dict[str, list[str]] = {}
    for start in range(0, len(ids), _ROWS):
        some = list(ids[start : start + _ROWS])
        if kind == "message":
            message: Any = models.Message
            query = message.select(message.id, message.role, message.text).where(message.id.in_(some))
            found.update((id, of_message(role, text)) for id, role, text in engine.select(query))
        else:
            one: Any = models.Passage
            query = one.select(one.record_id, one.text).where(one.kind == kind, one.record_id.in_(some))
            for id, text in engine.select(query.order_by(one.record_id, one.part)):
                found.setdefault(id, []).append(text)
    return found


def _present(engine: Engine, space: int, ids: Sequence[str]) -> dict[tuple[str, int], tuple[int, str | None]]:
    """The vectors of records in a space, by record and part: number, and the hash of their text."""
    found: dict[tuple[str, int], tuple[int, str | None]] = {}
    one: Any = models.Vector
    for start in range(0, len(ids), _ROWS):
        query = one.select(one.record_id, one.part, one.number, one.content_hash).where(
            one.space == space, one.record_id.in_(list(ids[start : start + _ROWS]))
        )
        found.update({(id, part): (number, hash) for id, part, number, hash in engine.select(query)})
    return found
