"""Forgets a person or a session: rows first, then what lies outside of them, then every byte is read.

All rows go in one transaction, which also notes by marks what went. What breaks off after it is finished by
the same call: the marks tell what is to be removed from archives, caches, files and copies.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from wilk import clock, models
from wilk.care.forgetting import certifying
from wilk.care.forgetting.closure import Closure, Found
from wilk.care.forgetting.copies import Copies, Copy
from wilk.care.forgetting.gathering import gather
from wilk.care.forgetting.links import LEDGER, TOMBSTONED, Gone
from wilk.care.forgetting.needles import Needles
from wilk.care.forgetting.outside import Outside
from wilk.care.forgetting.removing import cut, empty, foreign, naming, remove
from wilk.care.forgetting.rows import of_store
from wilk.care.tombstones import Tombstones, mark
from wilk.errors import Conflict, Invalid, NotFound, ReadOnly
from wilk.records.forgetting import Certificate, ForgettingPlan, Remaining, Verified
from wilk.services.checks import limit as limits

if TYPE_CHECKING:
    from wilk.store import Store

Progress = Callable[[str], object]

_ROUNDS = 3


class Forgetting:
    """Forgetting in one store."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._engine = store._engine

    def plan(
        self, *, user: str | None = None, session: str | None = None, forks: bool = False
    ) -> ForgettingPlan:
        """Tell all that would go with a user or a session, by place and kind; nothing is changed.

        ``forks``: sessions of others that were forked from ones that go, which hold copies of their messages,
        go along. Raises NotFound when nothing is known of it.
        """
        kind, id = _subject(user, session)
        with self._engine.reading():  # plugins' models are bound in it
            found = self._found(kind, id, forks)
            plugins = self._ask(found.gone, dry_run=True)
        copies = self._copies().find(found.gone, forks=forks)
        held = [copy for copy in copies if copy.rows or copy.problem]
        if (
            not found
            and not plugins
            and not any(copy.rows for copy in copies)
            and not self._unfinished(kind, id)
        ):
            raise _unknown(kind, id)
        outside = self._outside()
        archives = _by_archive(found)
        return ForgettingPlan(
            kind=kind,
            id=id,
            rows=dict(sorted(found.counts.items())),
            archived=dict(sorted(found.archived_kinds.items())),
            archives=archives,
            plugins=plugins,
            caches=outside.caches(),
            files=outside.files(found.files, found.gone),
            copies={copy.name: sum(copy.rows.values()) for copy in held},
            forks=len(found.forks - found.gone.ids.get("session", set())),
            shared=found.shared,
            notes=[
                *outside.notes(found.files),
                *(f"{copy.name}: {copy.problem}" for copy in held if copy.problem),
            ],
        )

    def run(
        self,
        *,
        user: str | None = None,
        session: str | None = None,
        forks: bool = False,
        full: bool = False,
        progress: Progress | None = None,
    ) -> Certificate:
        """Forget a user or a session with all that belongs to it, look for it everywhere, and certify that.

        Nothing of it goes into the archive, and nothing brings it back. When this is broken off, by a kill
        too, the same call goes on. ``full``: a database on a server writes its tables anew, which locks each
        for as long as that takes. ``progress`` is told each step. Raises NotFound, ReadOnly, Busy while
        others hold what must be written, and Conflict inside of a transaction.
        """
        kind, id = _subject(user, session)
        self._check()
        self.plan(user=user, session=session, forks=forks)  # an id that nobody has must change nothing
        return _Run(self, kind, id, progress or (lambda _: None), forks=forks, full=full).finish()

    def again(self) -> dict[str, int]:
        """Remove what was forgotten and is back, as after restoring an earlier copy; return the rows that
        went, by table. What was made anew under an id since then stays."""
        marks = self._marks()
        if not marks:
            return {}
        self._check()
        needles = Needles()
        counts: dict[str, int] = {}
        gone = Gone(marks)
        with self._engine.transaction():
            rows = of_store(self._store)
            found = Closure(rows, Found(gone), self._store._outbox.read).run(again=True)
            if found:
                self._ask(found.gone, dry_run=False)
                counts = remove(rows, found)
                cut(rows, found)
        outside = self._outside()
        lines = outside.archives(gone, needles)
        counts |= {f"archive {name}": count for name, count in lines.items() if count}
        if counts:
            outside.empty_caches()
            outside.drop_indexes(found.spaces)
            outside.remove_files(found.files, gone)
            outside.erase()
        return counts

    # -- certificates ---------------------------------------------------------------------

    def certificates(self, *, limit: int = 100) -> Sequence[Certificate]:
        """List the certificates, the latest first."""
        one = models.Certificate
        query = one.select(one.id, one.report, one.created_at).order_by(one.created_at.desc(), one.id.desc())
        return [certifying.record(*row) for row in self._engine.rows(query.limit(limits(limit)))]

    def certificate(self, id: str) -> Certificate:
        """Return a certificate, by its id or the beginning of it; raises NotFound, and Conflict when several
        begin so."""
        one = models.Certificate
        query = one.select(one.id, one.report, one.created_at)
        found = self._engine.rows(query.where(one.id == id)) or [
            row for row in self._engine.rows(query) if id and row[0].startswith(id)
        ]
        if not found:
            raise NotFound("certificate", id, "`wilk forget certificates` shows the ones there are")
        if len(found) > 1:
            raise Conflict(f"{id!r} may be any of {len(found)} certificates; give more of it")
        return certifying.record(*found[0])

    def verify(self, id: str) -> Verified:
        """Tell whether a certificate is as it was issued, and whether something of what it is about is back.

        The tables and the archive are looked through.
        """
        found = self.certificate(id)
        marks = self._marks(found.id)
        with self._engine.snapshot():
            back = Closure(of_store(self._store), Found(Gone(marks)), self._store._outbox.read).run(
                again=True
            )
        return Verified(found.id, certifying.is_sound(found), len(self._records(found.id)), back.counts)

    def search(self, *texts: str) -> Remaining:
        """Look for texts, of at least 8 bytes each, in every byte of the store's folders.

        They are looked for as UTF-8, as in JSON, as UTF-16, and inside of what is compressed.
        """
        needles = Needles()
        for text in texts:
            if not isinstance(text, str) or len(text.encode(errors="surrogatepass")) < 8:
                raise Invalid("texts: at least 8 bytes are wanted of each")
            needles.strings.add(text)
        if not texts:
            raise Invalid("texts: give at least one")
        return self._outside().look(needles, [], anybodys=True).remaining()

    # -- parts ----------------------------------------------------------------------------

    def _check(self) -> None:
        if self._engine.readonly:
            raise ReadOnly("the store was opened with readonly; open it without to forget something")
        if self._engine.in_transaction:
            raise Conflict(
                "forgetting cannot be undone, and not be a part of something: end the transaction first"
            )

    def _found(self, kind: str, id: str, forks: bool) -> Found:
        gone = Gone(self._marks())
        gone.add(kind, id)
        return Closure(of_store(self._store), Found(gone), self._store._outbox.read, forks=forks).run(
            again=self._unfinished(kind, id) is not None
        )

    def _marks(self, certificate: str | None = None) -> dict[str, dict[str, int]]:
        """What was forgotten: for each kind, when, by its mark."""
        marks: dict[str, dict[str, int]] = {}
        for kind, hash, _, moment in self._records(certificate):
            marks.setdefault(kind, {})[hash] = moment
        return marks

    def _records(self, certificate: str | None = None) -> list[tuple[str, str, str, int]]:
        one = models.Forgotten
        query = one.select(one.kind, one.hash, one.certificate_id, one.forgotten_at)
        if certificate is not None:
            query = query.where(one.certificate_id == certificate)
        return [(row[0], row[1], row[2], row[3]) for row in self._engine.select(query)]

    def _unfinished(self, kind: str, id: str) -> Certificate | None:
        """The certificate of a run for the same that was broken off."""
        one = models.Certificate
        hash = mark(kind, id)
        for row in self._engine.rows(one.select(one.id, one.report, one.created_at)):
            report = row[1]
            if report.get("status") == "running" and report.get("subject") == {"kind": kind, "hash": hash}:
                return certifying.record(*row)
        return None

    def _ask(self, gone: Gone, *, dry_run: bool) -> dict[str, int]:
        """Have plugins remove, or count, what they hold."""
        if not self._store.host.listens("forgetting"):
            return {}
        records = {kind: frozenset(ids) for kind, ids in gone.ids.items() if ids}
        return self._store.host.forgetting(self._store, records, dry_run=dry_run)

    def _outside(self) -> Outside:
        return Outside(self._store, self._copies())

    def _copies(self) -> Copies:
        from wilk.care.forgetting.outside import live_files

        store = self._store
        return Copies(store.settings, live_files(store), _erasing(store), self._engine.timeout)


class _Run:
    """One run, from the rows to the certificate."""

    def __init__(
        self, forgetting: Forgetting, kind: str, id: str, tell: Progress, *, forks: bool, full: bool
    ) -> None:
        self._forgetting = forgetting
        self._store = forgetting._store
        self._engine = forgetting._engine
        self._kind, self._id, self._forks, self._full = kind, id, forks, full
        self._tell = tell
        self._needles = Needles()
        self._counts: dict[str, int] = {}
        self._plugins: dict[str, int] = {}
        self._references = 0
        self._spaces: set[int] = set()
        self._files: set[str] = set()
        self._shared = 0
        self._gone = Gone()
        unfinished = forgetting._unfinished(kind, id)
        self._resumed = unfinished is not None
        self._certificate = self._engine.clock.new_id() if unfinished is None else unfinished.id
        self._began = (
            self._engine.clock.now() if unfinished is None else clock.to_microseconds(unfinished.created_at)
        )

    def finish(self) -> Certificate:
        """Do it all, and issue the certificate."""
        self._tell("removing rows")
        self._rows(first=True)
        outside = self._forgetting._outside()
        self._tell("emptying caches, and writing archives and files anew")
        archives = outside.archives(self._gone, self._needles)
        caches = outside.empty_caches()
        outside.drop_indexes(self._spaces)
        files = outside.remove_files(self._files, self._gone)
        self._tell("writing copies anew")
        copies = self._forgetting._copies().clean(
            self._gone, self._needles, self._forgetting._records(), forks=self._forks
        )
        for _ in range(_ROUNDS):  # a writer may have gone on meanwhile
            if not self._rows(first=False):
                break
            for name, count in outside.archives(self._gone, self._needles).items():
                archives[name] = archives.get(name, 0) + count
            outside.drop_indexes(self._spaces)
            outside.remove_files(self._files, self._gone)
        self._tell("writing the database anew")
        files["earlier versions"] = outside.copies_of_rows(self._gone)
        problems = [*self._unknown(), *outside.erase(full=self._full)]
        self._tell("reading every byte")
        looked = outside.look(self._needles, problems)
        if looked.repairable:
            self._tell("writing anew what still holds something")
            looked = outside.look_again(looked, self._gone, full=self._full)
        return self._certify(archives, caches, files, copies, looked.remaining())

    def _rows(self, *, first: bool) -> bool:
        """Remove rows, note their marks, and that this is under way; whether there was anything."""
        store, engine = self._store, self._engine
        known = None
        if first:  # most of it is read while others still write
            with engine.reading():
                known = self._forgetting._found(self._kind, self._id, self._forks)
                gather(of_store(store), known, self._needles, store._outbox.read)
        with engine.transaction():
            gone = self._gone
            gone.marks = self._forgetting._marks() if not first or self._resumed else {}
            gone.add(self._kind, self._id)
            rows = of_store(store)
            found = Closure(rows, Found(gone), store._outbox.read, forks=self._forks).run(
                again=not first or self._resumed
            )
            plugins = self._forgetting._ask(gone, dry_run=False)
            if not first and not found and not plugins:
                return False
            Tombstones(engine).put(self._certificate, self._marked(found))
            gather(rows, found, self._needles, store._outbox.read, known=known)
            _add(self._counts, remove(rows, found))
            self._references += cut(rows, found)
            _add(self._counts, {"cache_entries": empty(rows, "cache_entries")})
            _add(self._plugins, plugins)
            self._spaces |= found.spaces
            self._files |= found.files
            self._shared = max(self._shared, found.shared)
            if first and not self._resumed:
                self._begin()
        return bool(found or plugins)

    def _unknown(self) -> list[str]:
        """Rows of plugins that name what went, and that the plugins have left: in sentences."""
        rows = of_store(self._store)
        left = {table: len(naming(rows, table, self._gone)) for table in foreign(rows)}
        return [
            f"table {table}: {count} rows of a plugin name ids of what was forgotten, and it keeps them"
            for table, count in left.items()
            if count
        ]

    def _marked(self, found: Found) -> list[tuple[str, str]]:
        """What gets a tombstone: records that others hang on, and the keys by which importers know any."""
        marked = [(kind, id) for kind in TOMBSTONED for id in found.gone.ids.get(kind, ())]
        marked += [("blob", hash) for hash in found.blobs]
        kinds: dict[str, str] = {word: kind for kind, word in LEDGER.items()}
        marked += [(kinds.get(kind, str(kind)), f"{importer}:{key}") for importer, kind, key in found.ledger]
        return marked

    def _begin(self) -> None:
        one = models.Certificate
        report = certifying.running(self._certificate, self._kind, self._id, self._began)
        row = {one.id: self._certificate, one.report: report, one.created_at: self._began}
        self._engine.run(one.insert(row))

    def _certify(
        self,
        archives: Mapping[str, int],
        caches: Mapping[str, int],
        files: Mapping[str, int],
        copies: Sequence[Copy],
        remaining: Remaining,
    ) -> Certificate:
        report = certifying.report(
            self._certificate,
            self._kind,
            self._id,
            self._began,
            self._engine.clock.now(),
            scheme=self._store.settings.url.partition("://")[0],
            resumed=self._resumed,
            forks=self._forks,
            rows=self._counts,
            plugins=self._plugins,
            references=self._references,
            shared=self._shared,
            archives=archives,
            caches=caches,
            files=files,
            copies=copies,
            needles=self._needles,
            remaining=remaining,
        )
        one = models.Certificate
        with self._engine.transaction():
            self._engine.run(one.update({one.report: report}).where(one.id == self._certificate))
        return certifying.record(self._certificate, report, clock.to_datetime(self._began))


def _subject(user: str | None, session: str | None) -> tuple[str, str]:
    if (user is None) == (session is None):
        raise Invalid("name a user or a session, one of them")
    kind, id = ("user", user) if user is not None else ("session", session)
    if not isinstance(id, str) or not id:
        raise Invalid(f"{kind} {id!r}: an id is wanted")
    return kind, id


def _unknown(kind: str, id: str) -> NotFound:
    return NotFound(kind, id, "nothing in this store belongs to it, in the archive and in backups neither")


def _erasing(store: Store) -> Any:
    return None if store._backend.erasing is None else store._backend.erasing(store._engine)


def _by_archive(found: Found) -> dict[str, int]:
    """How many archived rows lie in which archive."""
    counts: dict[str, int] = {}
    for place in found.archive.values():
        name = "table" if place is None else place.partition(":")[0]
        counts[name] = counts.get(name, 0) + 1
    return counts


def _add(counts: dict[str, int], more: Mapping[str, int]) -> None:
    for name, count in more.items():
        if count:
            counts[name] = counts.get(name, 0) + count
