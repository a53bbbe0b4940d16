"""Makes the vectors of records, behind the verbs: after the commit, in batches, on a thread of the store."""

from __future__ import annotations

import logging
import os
import threading
from collections import OrderedDict
from collections.abc import Callable, Sequence
from time import monotonic
from typing import TYPE_CHECKING, Any

from wilk import models
from wilk.engine import Engine
from wilk.errors import BackendError, PluginError, WilkError
from wilk.services.embedding.batch import Batch, StoreCloses
from wilk.services.embedding.building import Building, note_rules
from wilk.services.embedding.embedders import Embedders, Refused, embed
from wilk.services.embedding.following import stale
from wilk.services.embedding.passages import VERSION, model_of
from wilk.services.embedding.queue import Claim, Queue
from wilk.services.vectors.spaces import Space
from wilk.worker import Worker

if TYPE_CHECKING:
    from numpy import float32
    from numpy.typing import NDArray

    from wilk.contracts import Embedder, Embedding
    from wilk.services.embedding.following import Following
    from wilk.services.keeping.archiver import Archiver
    from wilk.settings import Settings

logger = logging.getLogger("wilk.embedding")

_JOB, _LATER = "embedding", "embedding, a further attempt"
_FIRST_LOOK = 2.0  # seconds after opening, when a process that stays looks whether the model has changed
_FIRST_LOAD = 1.0  # seconds for which a model that is not open is put off, so that no short process loads one
_MOST_RECORDS = 256
_PAGE = 200
_SHORT = 0.2  # seconds
_QUERIES = 256
_LONG, _PAUSE = 1.0, 30.0  # seconds that a failing query took, and for which no other has to wait as long


class Indexing:
    """The vectors of one store's records, and the passages of an older one."""

    def __init__(
        self,
        engine: Engine,
        settings: Settings,
        find: Callable[[str], Embedder],
        archiver: Archiver,
        following: Following,
        worker: Worker,
    ) -> None:
        self._engine = engine
        self._archiver = archiver
        self._following = following
        self._worker = worker
        self.embedders = Embedders(settings, find)
        self.queue = Queue(engine, archiver)
        self.building = Building(engine, archiver, following, self.queue)
        self.error: str | None = None
        self.handled = 0
        self._asked = 0
        self._told: set[str] = set()
        self._prepared = False
        self._begin_in_process()

    def _forked(self) -> None:
        if self._pid != os.getpid():
            self._begin_in_process()

    def _begin_in_process(self) -> None:
        """Begin, also in a forked child: which thread was at work in the parent is nothing to it."""
        self._pid = os.getpid()
        self._turn = threading.Lock()
        self._checked: str | None = None
        self._passed_over = False
        self._put_off = False
        self._no_query_before = 0.0
        self._queries: OrderedDict[tuple[str, str, str], NDArray[float32]] = OrderedDict()
        self._queries_lock = threading.Lock()

    @property
    def turn(self) -> threading.Lock:
        """Held by the one thread of the process that makes vectors."""
        self._forked()
        return self._turn

    @property
    def embeds(self) -> bool:
        """Whether the settings name an embedder."""
        return self.embedders.name != "none"

    # -- when ----------------------------------------------------------------------------------

    def begin(self) -> None:
        """Go on with what was left, once the store is open for writing.

        An embedder that is not there is told once: everything else works without it, and records wait.
        """
        if not self.embeds:
            return
        try:
            self.embedders.check()
        except PluginError as error:
            self._tell("failure", "no vectors are made, and words alone are searched: %s", error)
            self.error = str(error)
            return
        there = self.building.open_spaces()
        other = any(one[-1].embedder != self.embedders.name for one in there.values())
        if not there or other or self.building.unfinished() or not self.queue.is_empty():
            self.wake()
        else:
            self._worker.repeat(_LATER, _FIRST_LOOK, self._again)

    def wake(self) -> None:
        """Make vectors soon: something was put into the queue.

        Where the model is not open yet that is put off for a moment: a process that ends before it, such as
        a command, leaves its records to the next one rather than load a model for them.
        """
        if not self.embeds:
            return
        self._forked()
        if self.embedders.opened:
            self._worker.submit(_JOB, self._run)
        elif not self._put_off:
            self._put_off = True
            self._worker.repeat(_LATER, _FIRST_LOAD, self._again)

    def hurry(self) -> None:
        """Begin at once with what was put off: somebody waits for it."""
        self._forked()
        if self._put_off:
            self._put_off = False
            self._worker.cancel(_LATER)
            self._worker.submit(_JOB, self._run)

    def resume(self) -> None:
        """After a verb held the turn: go on with what came in its last moment."""
        if self._passed_over:
            self._worker.submit(_JOB, self._run)

    def close(self) -> None:
        """Let go of the models."""
        self.embedders.close()

    def _again(self) -> None:
        self._put_off = False
        self._worker.cancel(_LATER)
        self._run()

    def _run(self) -> None:
        """As many steps as are done in a moment, at least one; what comes next is another job, so that
        closing and forking do not wait for it."""
        self._passed_over = True
        if not self.turn.acquire(blocking=False):
            return  # a verb does the same just now, and resumes this when it is done
        self._passed_over = False
        try:
            self._asked, begin, more = 0, monotonic(), True
            while more and monotonic() < begin + _SHORT:
                more = self.step()
            self.error = None
            self._told.discard("failure")
            if more:
                self.wake()
            elif (seconds := self.queue.next_due()) is not None:
                self._worker.repeat(_LATER, max(0.1, seconds), self._again)
        except StoreCloses:
            pass
        except WilkError as error:
            self.error = str(error)
            self._tell("failure", "vectors of records cannot be made now: %s", error)
            seconds = self.queue.next_due() or 60.0
            self._worker.repeat(_LATER, max(0.1, seconds), self._again)
        finally:
            self.turn.release()

    # -- one step ------------------------------------------------------------------------------

    def step(self, *, others: bool = False) -> bool:
        """Do the next piece of work; False when nothing is left that can be done now.

        ``others`` takes over what another process has claimed, or what waits for a further attempt. Raises
        BackendError when the model fails; what it was to do waits in the queue.
        """
        if not self.ready():
            return False
        most = min(_MOST_RECORDS, max(1, self.embedders.chosen().batch))
        claims, until = self.queue.claim(most, others=others)
        if claims:
            self._batch(claims, until, others=others)
            return True
        return self.building.step()

    def ready(self) -> bool:
        """Make passages and spaces that are missing; False when there is nothing to make vectors of."""
        self.prepare()
        return self._prepared and self._choose()

    def left(self) -> int:
        """How many records wait for vectors, in the queue or on the way to it."""
        pending = sum(one.pending - one.failed for one in self.queue.counts().values())
        return pending + self.building.left()

    def _choose(self) -> bool:
        """See once per process that the spaces are those of the configured model; False when there is nothing
        to make vectors of."""
        if self._checked is not None:
            return True
        if not self.building.open_spaces() and not self.building.any_records():
            return False
        chosen = self.embedders.chosen()
        name, model = self.embedders.name, chosen.model
        if missing := self.building.missing(name, model):
            self.building.make(missing, name, model, self.dimension(chosen))
        self.building.check_rules()
        self._checked = model
        return True

    def dimension(self, embedding: Embedding) -> int:
        """How many values a model's vectors have, by asking it."""
        found = embed(embedding, ["wilk"])[0]
        if isinstance(found, Refused):
            raise BackendError(f"the embedder of {embedding.model!r} refuses a plain word: {found}")
        return len(found) // 4

    def _batch(self, claims: list[Claim], until: int, *, others: bool) -> None:
        """Make and write the vectors of claimed records."""
        batch = Batch(self._engine, self._archiver, self.queue, claims, until, self._asking)
        try:
            batch.read(self.building.open_spaces(), self.embedders)
            batch.embed()
            unserved = batch.write(self.building.open_spaces)
        except StoreCloses:
            self.queue.release(batch.claims, batch.until)
            raise
        except WilkError as error:
            self.queue.failed(batch.claims, batch.until, str(error))
            raise
        self.handled += len(batch.claims)
        if unserved and others:
            raise BackendError(
                f"the model that {unserved} is built for by another process is not to be had here; let that "
                "process go on, or close it"
            )

    def build_again(self, kinds: Sequence[str]) -> None:
        """Begin to build the vectors of kinds anew, beside those that are searched."""
        chosen = self.embedders.chosen()
        self.building.again(kinds, self.embedders.name, chosen.model, self.dimension(chosen))
        self._checked = None  # other kinds may have another model still

    def _asking(self) -> None:
        """Before a model is asked: once the store closes, one call is all that it waits for."""
        if self._asked and self._worker.stopping:
            raise StoreCloses
        self._asked += 1

    # -- passages ------------------------------------------------------------------------------

    def prepare(self) -> None:
        """Make the passages of what was written before there were any, or by other rules. Takes its time
        once, for a database of an older version; goes on where it was interrupted."""
        if self._prepared or self._engine.readonly:
            return
        for kind in stale(self._engine):
            while self._prepare_page(kind):
                if self._worker.stopping:
                    return
        self._prepared = not self._engine.in_transaction  # which may be rolled back

    def forget_passages(self, kinds: Sequence[str]) -> None:
        """Have the passages of kinds made anew by the next ``prepare``; those without a record go."""
        one: Any = models.Passage
        with self._engine.transaction():
            for kind in kinds:
                model = model_of(kind)
                gone = one.record_id.not_in(model.select(model.id))
                self._archiver.drop_derived(models.Passage, (one.kind == kind) & gone)
                note_rules(self._engine, kind, "")
            self._prepared = False

    def _prepare_page(self, kind: str) -> bool:
        """Make the passages of the next records of a kind; False when none is left."""
        engine, model = self._engine, model_of(kind)
        key, one = model._meta.primary_key, models.IndexedKind
        with engine.transaction():
            state = engine.select(one.select(one.version, one.cursor).where(one.kind == kind))
            cursor = None
            if state and state[0][0] == VERSION:
                cursor = state[0][1]
                if cursor is None:
                    return False  # another process was faster
            query = model.select(key, model.id).order_by(key).limit(_PAGE)
            if cursor:
                query = query.where(key > (int(cursor) if key.name == "pk" else cursor))
            rows = engine.select(query)
            self._following.rebuild(kind, [id for _, id in rows])
            note_rules(engine, kind, str(rows[-1][0]) if len(rows) == _PAGE else None)
        return len(rows) == _PAGE

    # -- searching -----------------------------------------------------------------------------

    def query(self, text: str) -> dict[str, tuple[Space, NDArray[float32]]]:
        """The vector of a query per kind that can be searched by vectors, by the model of the kind's space.

        Empty without an embedder, and when it fails: that is logged once, and full text finds on.
        """
        self._forked()
        begin = monotonic()
        if not self.embeds or begin < self._no_query_before:
            return {}
        found: dict[str, tuple[Space, NDArray[float32]]] = {}
        made: dict[tuple[str, str, int], NDArray[float32] | None] = {}
        try:
            for kind, known in self.building.open_spaces().items():
                if known[0].state != "active":
                    continue
                model = str(known[0].embedder), known[0].model, known[0].dimension
                if model not in made:
                    made[model] = self._of_query(known[0], text)
                if (vector := made[model]) is not None:
                    found[kind] = (known[0], vector)
            self._told.discard("query")
        except WilkError as error:
            self._tell("query", "the query has no vector, so that words alone are searched: %s", error)
            if monotonic() > begin + _LONG:
                self._no_query_before = monotonic() + _PAUSE
            return {}
        if self._checked is None and not self._engine.readonly:
            self.wake()  # the model is open now, so that it costs nothing to see whether it is another one
        return found

    def _of_query(self, space: Space, text: str) -> NDArray[float32] | None:
        import numpy as np

        key = (str(space.embedder), space.model, text)
        with self._queries_lock:
            vector = self._queries.get(key)
        if vector is None:
            embedding = self.embedders.of(space)
            if embedding is None:
                return None
            made = embed(embedding, [text], query=True)[0]
            if isinstance(made, Refused):
                self._tell("query", "the query has no vector, so that words alone are searched: %s", made)
                return None
            vector = np.frombuffer(made, dtype="<f4").astype(np.float32)
            with self._queries_lock:
                self._queries[key] = vector
                if len(self._queries) > _QUERIES:
                    self._queries.popitem(last=False)
        if len(vector) != space.dimension:
            self._tell(
                "dimension",
                "%r gives %d values now, and %d when vectors were made: words alone are searched until "
                "`wilk index rebuild` makes them anew",
                space.model,
                len(vector),
                space.dimension,
            )
            return None
        return vector

    def _tell(self, what: str, message: str, *values: object) -> None:
        """Log a failure, and not again until it has passed."""
        logger.log(logging.DEBUG if what in self._told else logging.WARNING, message, *values)
        self._told.add(what)
