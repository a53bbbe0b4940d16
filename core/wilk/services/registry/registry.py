"""The registry: agents as packages from sources, installed into their folders, updated, and removed."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cached_property
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Any

from wilk import codec, models
from wilk.clock import to_datetime
from wilk.engine import Engine
from wilk.errors import Conflict, Invalid, NotFound, Protected, ReadOnly, WilkError
from wilk.events import Events
from wilk.models.statements import param
from wilk.records.decoding import decoder
from wilk.records.registry import Installation, Installed, Package, Refreshed, Source, Update
from wilk.services import checks
from wilk.services.checks import limit as limits
from wilk.services.keeping.archiver import Archiver
from wilk.services.registry.cached import Cached, check_reached
from wilk.settings import Settings

if TYPE_CHECKING:
    from wilk.contracts import Registry as Kind
    from wilk.definitions.catalog import Catalog
    from wilk.definitions.installing import Installing, Step
    from wilk.definitions.packages import Contents

SORTS = ("downloads", "rating", "name", "updated")
KEEPS = ("local", "package")

_LOCK = ".registry.lock"

_decoded = decoder(Installation)


class Registry:
    """Packages of agents, from the sources of the setting ``registries``."""

    def __init__(
        self,
        engine: Engine,
        events: Events,
        archiver: Archiver,
        settings: Settings,
        kind: Callable[[str], Kind],
        catalog: Callable[[], Catalog],
    ) -> None:
        self._engine = engine
        self._events = events
        self._archiver = archiver
        self._cached = Cached(engine, archiver, settings, kind)
        self._catalog = catalog

    @cached_property
    def _installing(self) -> Installing:
        return self._catalog().installing

    # -- what there is ----------------------------------------------------------------------

    def sources(self) -> Sequence[Source]:
        """List the sources, with how many packages of each are known, and until when that is used."""
        return self._cached.sources()

    def refresh(self, source: str | None = None, *, force: bool = False) -> Sequence[Refreshed]:
        """Ask the sources, or one, for what they offer: those whose answer has expired, or all by ``force``.

        A source that cannot be asked keeps what is known of it, and has an ``error`` in the answer.
        """
        checks.flag("force", force)
        if self._engine.readonly:
            raise ReadOnly("the store was opened with readonly; open it without to refresh the registry")
        return self._cached.refresh(source, force=force)

    def search(
        self,
        text: str | None = None,
        *,
        category: str | None = None,
        tags: Sequence[str] = (),
        source: str | None = None,
        sort: str = "downloads",
        limit: int = 50,
    ) -> Sequence[Package]:
        """Find packages whose name, description, author, category or tags hold every word of ``text``.

        They must have all ``tags``. ``sort`` is one of downloads, rating, name and updated; the greatest
        come first, names from A. What has expired is asked for anew; a source that cannot be asked is told
        in the log (``wilk.registry``), and what is known of it is searched. Raises BackendError when nothing
        is found and nothing is known of such a source.
        """
        words = (checks.text("text", text) or "").casefold().split()
        wanted = {tag.casefold() for tag in checks.texts("tags", tags)}
        checks.one_of("sort", sort, SORTS)
        most = limits(limit)
        if source is not None:
            self._cached.address(source)
        done = self._cached.freshen()
        found = [
            package
            for package in self._cached.packages(category=category)
            if (source is None or package.source == source)
            and wanted <= {tag.casefold() for tag in package.tags}
            and _holds(package, words)
        ]
        if not found:
            check_reached([one for one in done if source in (None, one.source)], self._cached.sources())
        self._cached.tell(done)
        found.sort(key=_KEYS[sort], reverse=sort != "name")  # stable: of equals the first by name
        return found[:most]

    def get(self, name: str) -> Package:
        """Return the package of that name, or ``SOURCE/NAME``; raises NotFound, and Conflict when several
        sources have it."""
        return self._cached.get(checks.identifier("name", name))

    def find(self, name: str) -> Package | None:
        """Return the package of that name, or None; raises Conflict when several sources have it."""
        try:
            return self.get(name)
        except NotFound:
            return None

    def installed(self) -> Sequence[Installed]:
        """List what was installed, by the agents' ids, with the files that were edited here since."""
        newest = {(one.source, one.name): one.version for one in self._cached.packages()}
        return [
            Installed(
                one.id, one.source, one.package, one.version, newest.get((one.source, one.package)),
                *self._edited(one), one.installed_at, one.updated_at,
            )
            for one in _decoded(self._engine.fetch("registry.installed", _installed))
        ]  # fmt: skip

    # -- changing what is here ---------------------------------------------------------------

    def install(self, name: str, *, id: str | None = None, version: str | None = None) -> Installation:
        """Install a package as an agent: the newest version, and under the package's name, unless told.

        The checksum is verified before anything is read, and the definition is checked as ``agents check``
        does before a file is written. Raises NotFound, BackendError, Invalid for a package that is not what
        it should be, and Conflict when an agent of that id, or one of its name, is there.
        """
        package = self.get(name)
        id = package.name if id is None else checks.identifier("id", id, longest=100)
        version = checks.optional("version", version)
        with self._changing() as finished:
            if id in finished and (done := self._find(id)) is not None and done.package == package.name:
                return done  # it is what a killed process had begun
            self._check_free(id)
            version, contents, checksum = self._fetched(package, version)
            self._installing.check(id, contents.definition, contents.files[contents.definition])
            steps = self._steps(id, contents)
            now = to_datetime(self._engine.clock.now())
            installation = Installation(
                id, package.source, package.name, version, checksum, _hashes(contents), now, now
            )
            self._write(installation, steps, contents)
            return installation

    def update(
        self, id: str | None = None, *, version: str | None = None, keep: str | None = None
    ) -> Sequence[Update]:
        """Bring an installed agent to the newest version, or to a ``version``; without an id all of them.

        A file that only the package changed is replaced, one that was only changed here stays; definitions
        are merged field by field. Where both changed the same, ``keep`` says which side has its way:
        ``local`` or ``package``, which saves the local one beside it (``.local``). Without it nothing is
        written, and Conflict lists the files and fields. Updating all, such errors are in the answer instead.
        Raises NotFound, Conflict, Invalid and BackendError.
        """
        if keep is not None:
            checks.one_of("keep", keep, KEEPS)
        if version is not None and id is None:
            raise Invalid("version: say which agent is to have it; all cannot have the same")
        checks.optional("version", version)
        self._cached.tell(self._cached.freshen())
        with self._changing():
            if id is not None:
                return [self._update(self._installation(id), version, keep)]
            updates = []
            for one in _decoded(self._engine.fetch("registry.installed", _installed)):
                try:
                    updates.append(self._update(one, None, keep))
                except WilkError as error:
                    updates.append(_untouched(one, str(error)))
            return updates

    def remove(self, id: str, *, reason: str = "removed", force: bool = False) -> Installation:
        """Remove an installed agent: its files go, its row and that of the installation are archived.

        Files that were edited here keep it from being removed; with ``force`` the definition is saved beside
        (``.local``), and the others stay where they are. So does what the package did not bring. Raises
        NotFound and Protected.
        """
        checks.flag("force", force)
        before = self._find(checks.identifier("id", id))
        with self._changing() as finished:
            if id in finished and before is not None and self._find(id) is None:
                return before  # a killed process had begun to remove it
            installation = self._installation(id)
            edited, missing = self._edited(installation)
            if edited and not force:
                raise Protected(
                    f"agent {id!r} was edited here ({', '.join(edited)}); with force these files stay in its "
                    "folder, the definition as a copy"
                )
            self._write(installation, self._leaving(installation, edited, missing), None, removing=reason)
            return installation

    def pack(self, id: str, folder: str | Path) -> Path:
        """Pack an agent as ``ID-VERSION.zip`` into a folder, and return the file.

        The same files give the same bytes. Raises Conflict when another such file is there, and Invalid for a
        definition that holds secrets, or has no version.
        """
        from wilk.definitions import packages
        from wilk.files import write_atomic

        agent = self._catalog().get("agents", id)
        data = packages.pack(self._installing.folder(agent.id))
        contents = packages.read(data)
        self._installing.check_public(agent.id, contents)
        version = packages.described(contents, agent.id).get("version")
        if version is None:
            raise Invalid(f"agent {id!r} has no version; add one, such as version: 1.0.0")
        file = Path(folder) / f"{agent.id}-{version}.zip"
        try:
            if file.exists() and file.read_bytes() != data:
                raise Conflict(f"{file} is there and holds something else; give the agent another version")
            write_atomic(file, data)
        except OSError as error:
            raise Invalid(f"{file} cannot be written: {error.strerror}") from error
        return file

    # -- how ----------------------------------------------------------------------------------

    @contextmanager
    def _changing(self) -> Iterator[list[str]]:
        """Keep other processes away, and finish what one of them left half done; gives those agents' ids."""
        from wilk.archives.locking import locked

        if self._engine.readonly:
            raise ReadOnly("the store was opened with readonly; open it without to write")
        if self._engine.in_transaction:
            raise Invalid("packages are fetched and written at once: call this outside of a transaction")
        with locked(self._installing.home / _LOCK, self._engine.timeout):
            yield self._installing.finish_others(self._finish)

    def _update(self, before: Installation, version: str | None, keep: str | None) -> Update:
        from wilk.services.registry.entries import newer
        from wilk.services.registry.upgrading import Upgrading

        named = f"{before.source}/{before.package}"
        package = next(iter(self._cached.named(named)), None)
        if package is None:
            raise NotFound(
                "package", named, "its source offers it no more, or is not in the setting registries"
            )
        if self._installing.definition_of(before.id) is None:
            raise NotFound(
                "agent",
                before.id,
                "its definition is gone; install it again, or remove it here as well",
            )
        if version is None:
            same = package.version == before.version
            if package.checksum == before.checksum or not (same or newer(package.version, before.version)):
                return _untouched(before)
        taken, contents, checksum = self._fetched(package, version)
        if checksum == before.checksum:
            return _untouched(before)
        definition = contents.files[contents.definition]
        self._installing.check(before.id, contents.definition, definition)
        upgrade = Upgrading(self._installing, before.id, self._base, keep).decide(before.files, contents)
        now = to_datetime(self._engine.clock.now())
        after = before._replace(version=taken, checksum=checksum, files=_hashes(contents), updated_at=now)
        self._write(after, upgrade.steps, contents)
        done = _untouched(before)._replace(version=taken, code=after.code)
        return done._replace(files=upgrade.done, saved=upgrade.saved)

    def _fetched(self, package: Package, version: str | None) -> tuple[str, Contents, str]:
        """Fetch a version of a package, verify it, and unpack it in memory."""
        from wilk.definitions import packages

        told = _version(package, version)
        what = f"package {package.source}/{package.name} {told['version']}"
        source = self._cached.open(package.source)
        try:
            data = source.fetch(told["location"], packages.MAX_PACKAGE)
        finally:
            source.close()
        found = sha256(data).hexdigest()
        if found != told["checksum"]:
            raise Invalid(
                f"{what}: its content has the SHA-256 {found}, not {told['checksum']} as its source said; "
                "nothing of it was used. Refresh the registry, for it may have been changed since"
            )
        return told["version"], packages.read(data, what), found

    def _check_free(self, id: str) -> None:
        """Raise Conflict when an agent of that id is there."""
        name = self._installing.definition_of(id)
        if name is None:
            return
        before = self._find(id)
        if before is None:
            raise Conflict(
                f"agent {id!r} is there and was not installed; give another id, or remove it first"
            )
        raise Conflict(
            f"agent {id!r} is installed ({before.source}/{before.package} {before.version}); update it"
        )

    def _steps(self, id: str, contents: Contents) -> dict[str, Step]:
        """What is to be written of a package into a folder that may hold other files."""
        from wilk.definitions.installing import Step

        steps, taken = {}, []
        for path, data in contents.files.items():
            now = self._installing.hash_of(id, path)
            if now is None:
                steps[path] = Step(data, None)
            elif now != sha256(data).hexdigest():
                taken.append(path)
        if taken:
            raise Conflict(
                f"the folder of agent {id!r} holds {', '.join(taken)} already, which the package brings too; "
                "move yours away, or give another id"
            )
        return steps

    def _leaving(
        self, installation: Installation, edited: Sequence[str], missing: Sequence[str]
    ) -> dict[str, Step]:
        """What becomes of the files of an agent that is removed."""
        from wilk.definitions.installing import Step, free_name

        id = installation.id
        steps = {
            path: Step(None, hash)
            for path, hash in installation.files.items()
            if path not in edited and path not in missing
        }
        definition = self._installing.definition_of(id)
        if definition is not None and definition not in steps:
            mine = self._installing.bytes_of(id, definition) or b""
            folder = self._installing.folder(id)
            beside = free_name(folder / definition, ".local").name
            steps[beside] = Step(mine, None)
            steps[definition] = Step(None, sha256(mine).hexdigest())
        return steps

    def _write(
        self,
        installation: Installation,
        steps: Mapping[str, Step],
        contents: Contents | None,
        *,
        removing: str | None = None,
    ) -> None:
        """Write files and rows as one change."""
        note = {"row": _row(installation), "removing": removing}

        def rows() -> None:
            if contents is not None:
                self._keep(installation.id, contents)
            self._finish(installation.id, note)
            if removing is None:
                self._events.saving("installation", installation)
            else:
                self._events.deleted("installation", installation)

        self._installing.write(installation.id, steps, rows, note)

    def _finish(self, id: str, note: Mapping[str, Any]) -> None:
        """Write the row of an installation, or take it away; doing so again changes nothing."""
        if note["removing"] is not None:
            self._archiver.remove("installation", models.Installation.id == id, reason=note["removing"])
            return
        statement = self._engine.statement("registry.install", _install)
        self._engine.execute(statement.sql, [note["row"][name] for name in statement.names])

    def _keep(self, id: str, contents: Contents) -> None:
        """Keep the definition as it came: the next update compares with it. A text is kept once.

        One that holds secrets, or what no engine can keep, is compared by its hash alone.
        """
        data = contents.files[contents.definition]
        try:
            text = data.decode()
            self._installing.check_public(id, contents)
        except (UnicodeDecodeError, Invalid):
            return
        if codec.storable_text(text)[1] is None:
            now = self._engine.clock.now()
            statement = self._engine.statement("registry.keep", _keep)
            self._engine.execute(statement.sql, (sha256(data).hexdigest(), text, len(data), now))

    def _base(self, hash: str) -> str | None:
        """A text as it was installed, by its hash; None when it was not kept."""
        blob = models.Blob
        row = self._engine.row(blob.select(blob.data).where(blob.hash == hash))
        return None if row is None else str(row[0])

    def _edited(self, installation: Installation) -> tuple[list[str], list[str]]:
        """The files of an installation that were edited since, and those that are gone."""
        edited, missing = [], []
        for path, before in installation.files.items():
            now = self._installing.hash_of(installation.id, path)
            if now is None:
                missing.append(path)
            elif now != before:
                edited.append(path)
        return edited, missing

    def _installation(self, id: str) -> Installation:
        found = self._find(checks.identifier("id", id))
        if found is None:
            raise NotFound("installed agent", id, "`wilk registry installed` shows the ones there are")
        return found

    def _find(self, id: str) -> Installation | None:
        return next(iter(_decoded(self._engine.fetch("registry.installation", _installation, (id,)))), None)


def _holds(package: Package, words: Sequence[str]) -> bool:
    if not words:
        return True
    parts = (package.name, package.description, package.author, package.category, *package.tags)
    text = " ".join(filter(None, parts)).casefold()
    return all(word in text for word in words)


_KEYS: dict[str, Callable[[Package], Any]] = {
    "downloads": lambda package: package.downloads,
    "rating": lambda package: package.rating,
    "name": lambda package: package.name.casefold(),
    "updated": lambda package: str(package.metadata.get("updated") or ""),
}


def _version(package: Package, version: str | None) -> dict[str, Any]:
    """Where a version of a package lies; raises NotFound."""
    newest = {"version": package.version, "location": package.location, "checksum": package.checksum}
    for told in (newest, *package.metadata.get("versions", ())):
        if version in (None, told["version"]):
            return dict(told)
    raise NotFound("version", f"{package.name} {version}", f"there is {', '.join(package.versions)}")


def _hashes(contents: Contents) -> dict[str, str]:
    return {path: sha256(data).hexdigest() for path, data in contents.files.items()}


def _untouched(one: Installation, error: str | None = None) -> Update:
    return Update(one.id, one.source, one.package, one.version, one.version, {}, {}, one.code, error)


def _row(installation: Installation) -> dict[str, Any]:
    """An installation as the engine holds it."""
    from wilk.clock import to_microseconds

    return {
        **installation._asdict(),
        "files": codec.dumps(dict(installation.files)),
        "installed_at": to_microseconds(installation.installed_at),
        "updated_at": to_microseconds(installation.updated_at),
    }


def _select() -> Any:
    return models.Installation.select(*models.fields_of(models.Installation, Installation))


def _installed() -> Any:
    return _select().order_by(models.Installation.id)


def _installation() -> Any:
    return _select().where(models.Installation.id == param("id"))


def _install() -> Any:
    from peewee import EXCLUDED

    model = models.Installation
    fields = model._meta.sorted_fields
    return model.insert({field: param(field.name) for field in fields}).on_conflict(
        conflict_target=[model.id],
        update={field: getattr(EXCLUDED, field.column_name) for field in fields if field.name != "id"},
    )


def _keep() -> Any:
    blob = models.Blob
    fields = (blob.hash, blob.data, blob.size, blob.created_at)
    return blob.insert({field: param(field.name) for field in fields}).on_conflict("nothing")
