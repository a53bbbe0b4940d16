"""Imports: what other programs keep, taken over into this store, again and again if need be."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from wilk import clock, models
from wilk.errors import Invalid
from wilk.records.transfer import ImportInfo, MigrationResult, Progress, Recognized
from wilk.services.checks import limit as limits
from wilk.transfer.landing.conversations import Conversations
from wilk.transfer.landing.definitions import Definitions
from wilk.transfer.landing.edits import Edits
from wilk.transfer.landing.landing import Landing
from wilk.transfer.landing.ledger import Ledger
from wilk.transfer.landing.people import People
from wilk.transfer.landing.records import Records
from wilk.transfer.landing.report import Report, document, restored
from wilk.transfer.landing.vectors import Vectors
from wilk.transfer.reading.sources import Source

if TYPE_CHECKING:
    from wilk.contracts import Importer
    from wilk.store import Store

AUTO = "auto"


class Imports:
    """The imports of a store."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._engine = store._engine
        self._host = store.host

    def run(
        self,
        importer: str,
        *sources: str | Path,
        options: Mapping[str, str] | None = None,
        user: str | None = None,
        dry_run: bool = False,
        progress: Callable[[Progress], object] | None = None,
    ) -> MigrationResult:
        """Take over what ``sources`` hold: files, folders, ZIPs, or an address that the importer knows.

        ``importer`` is a name of :meth:`importers`, or ``auto``. A second run writes only what has changed
        since; one that was interrupted goes on. ``user`` is a user here to whom all of it is to belong.
        With ``dry_run`` nothing is written. Records that cannot be taken over are reported, and the others
        go on. Raises PluginError for an unknown importer, Invalid for a source that is none of its, and
        NotFound.
        """
        if isinstance(sources, str) or not sources:
            raise Invalid("sources: name at least one file, folder or address")
        source = Source(sources, self._host.source_kind)
        try:
            chosen = self._chosen(importer, source)
            given = _checked(chosen, options or {})
            if user is not None:
                self._store.users.get(user)
            report = Report(chosen.name, source.text, given, dry_run=dry_run, progress=progress)
            return self._run(chosen, source, report, user)
        finally:
            source.close()

    def recognize(self, *sources: str | Path) -> Sequence[Recognized]:
        """Tell which importers know a source, and what they take it for."""
        source = Source(sources, self._host.source_kind)
        try:
            found = [(one.name, one.recognize(source)) for one in self._host.importers()]
            return [Recognized(name, what) for name, what in found if what is not None]
        finally:
            source.close()

    def importers(self) -> Sequence[Importer]:
        """List the importers there are, plugins' among them."""
        return self._host.importers()

    def list(self, *, limit: int = 100) -> Sequence[ImportInfo]:
        """List the runs so far, the latest first."""
        one = models.ImportRun
        query = one.select(
            one.id, one.importer, one.source, one.status, one.started_at, one.finished_at, one.report
        ).order_by(one.started_at.desc(), one.id.desc())
        rows = self._engine.rows(query.limit(limits(limit)))
        return [ImportInfo._make((*row[:6], restored(row[6]) if row[6] else None)) for row in rows]

    # -- one run --------------------------------------------------------------------------

    def _run(self, importer: Importer, source: Source, report: Report, user: str | None) -> MigrationResult:
        self._begin(report)
        status = "failed"
        try:
            if importer.land is not None:
                importer.land(self._store, source, report, user)
            else:
                landing = self._landing(importer.name, report, user)
                landing.take(importer.read(source, report))
            status = "finished"
        except (KeyboardInterrupt, GeneratorExit):
            status = "interrupted"
            raise
        finally:
            for remark in source.remarks:
                report.warn(remark)
            result = report.result(status)
            self._end(report, result)
        return result

    def _begin(self, report: Report) -> None:
        if report.dry_run:
            return
        run = models.ImportRun
        with self._engine.transaction():
            report.run = self._engine.clock.new_id()
            # What says that it still runs was killed, or this one goes on in its place.
            same = (
                (run.importer == report.importer) & (run.source == report.source) & (run.status == "running")
            )
            self._engine.run(run.update({run.status: "interrupted"}).where(same))
            now = clock.to_datetime(self._engine.clock.now())
            values = {
                run.id: report.run, run.importer: report.importer, run.source: report.source,
                run.status: "running", run.started_at: now,
            }  # fmt: skip
            self._engine.run(run.insert(values))

    def _end(self, report: Report, result: MigrationResult) -> None:
        if report.dry_run:
            return
        run = models.ImportRun
        with self._engine.transaction():
            now = clock.to_datetime(self._engine.clock.now())
            values = {run.status: result.status, run.report: document(result), run.finished_at: now}
            self._engine.run(run.update(values).where(run.id == report.run))

    def _landing(self, importer: str, report: Report, user: str | None) -> Landing:
        from wilk.care.tombstones import Tombstones
        from wilk.services.conversation.messages import Messages

        store, engine = self._store, self._engine
        ledger = Ledger(engine, importer)
        edits = Edits(report)
        people = People(engine, ledger, report, store.users, store.groups, user, edits)
        definitions = Definitions(store.catalog, ledger, report, edits)
        # What comes in comes in as it was: sessions above their budget are compacted when they go on.
        messages = Messages(
            engine, store._events, lambda: store.tokenizer, store._transcript, _nothing, store._following
        )
        conversations = Conversations(
            engine,
            ledger,
            report,
            people,
            definitions,
            store.sessions,
            messages,
            store.branches,
            store._branch_rows,
            edits,
        )
        records = Records(
            engine, ledger, report, people, store._archiver, store._following, store.count_tokens
        )
        tombstones = Tombstones(engine)
        forgotten = tombstones.holds if tombstones.any() else (lambda _kind, _id: False)
        vectors = Vectors(store.vectors.add, report)
        return Landing(
            engine,
            ledger,
            report,
            people,
            definitions,
            conversations,
            records,
            vectors,
            edits,
            forgotten=forgotten,
        )

    def _chosen(self, name: str, source: Source) -> Importer:
        if name != AUTO:
            return self._host.importer(name)
        found = [(one, what) for one in self._host.importers() if (what := one.recognize(source)) is not None]
        if len(found) == 1:
            return found[0][0]
        names = ", ".join(one.name for one in self._host.importers())
        if not found:
            raise Invalid(
                f"{source.text} is not recognised: it is {source.describe()}. Importers: {names}; name "
                "one to have it say what it misses"
            )
        told = "; ".join(f"{one.name} ({what})" for one, what in found)
        raise Invalid(f"{source.text} may be from more than one: {told}. Name the one that it is")


def _checked(importer: Importer, options: Mapping[str, str]) -> dict[str, str]:
    for name in options:
        if name not in importer.options:
            known = ", ".join(importer.options) or "none"
            raise Invalid(f"{importer.name} has no option {name!r}; it has: {known}")
    return dict(options)


def _nothing(*arguments: object) -> None:
    pass
