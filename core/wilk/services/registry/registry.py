"""The registry: agents as packages from sources, installed into their folders, updated, and removed."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Any

from wilk.clock import to_datetime
from wilk.engine import Engine
from wilk.errors import Conflict, Invalid, NotFound, Protected, ReadOnly, WilkError
from wilk.events import Events
from wilk.records.registry import Installation, Installed, Package, Refreshed, Source, Update
from wilk.services import checks
from wilk.services.checks import limit as limits
from wilk.services.keeping.archiver import Archiver
from wilk.services.registry.cached import Cached, check_reached
from wilk.services.registry.installations import Installations
from wilk.settings import Settings

if TYPE_CHECKING:
    from wilk.contracts import Registry as Kind
    from wilk.definitions.catalog import Catalog
    from wilk.definitions.installing import Step
    from wilk.definitions.packages import Contents

SORTS = ("downloads", "rating", "name", "updated")
KEEPS = ("local", "package")


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
        self._cached = Cached(engine, archiver, settings, kind)
        self._catalog = catalog
        self._installations = Installations(engine, events, archiver, catalog)

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
                *self._installations.edited(one), one.installed_at, one.updated_at,
            )
            for one in self._installations.all()
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
        if (done := self._begun(package, id)) is not None:
            return done
        version, contents, checksum = self._fetched(package, version)  # which holds up nobody
        self._installations.files.check(id, contents.definition, contents.files[contents.definition])
        with self._installations.changing():
            self._check_free(id)
            steps = self._steps(id, contents)
            now = to_datetime(self._engine.clock.now())
            installation = Installation(
                id, package.source, package.name, version, checksum, _hashes(contents), now, now
            )
            self._installations.write(installation, steps, contents)
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
        with self._installations.changing():
            pass  # what a killed process had begun is finished
        if id is not None:
            return [self._update(id, version, keep)]
        updates = []
        for one in self._installations.all():
            try:
                updates.append(self._update(one.id, None, keep))
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
        before = self._installations.find(checks.identifier("id", id))
        with self._installations.changing() as finished:
            if id in finished and before is not None and self._installations.find(id) is None:
                return before  # a killed process had begun to remove it
            installation = self._installations.get(id)
            edited, missing = self._installations.edited(installation)
            if edited and not force:
                raise Protected(
                    f"agent {id!r} was edited here ({', '.join(edited)}); with force these files stay in its "
                    "folder, the definition as a copy"
                )
            steps = self._installations.leaving(installation, edited, missing)
            self._installations.write(installation, steps, None, removing=reason)
            return installation

    def pack(self, id: str, folder: str | Path) -> Path:
        """Pack an agent as ``ID-VERSION.zip`` into a folder, and return the file.

        The same files give the same bytes. Raises Conflict when another such file is there, and Invalid for a
        definition that holds secrets, or has no version.
        """
        from wilk.definitions import packages
        from wilk.files import write_atomic

        agent = self._catalog().get("agents", id)
        data = packages.pack(self._installations.files.folder(agent.id))
        contents = packages.read(data)
        self._installations.files.check_public(agent.id, contents)
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

    def _begun(self, package: Package, id: str) -> Installation | None:
        """What a killed process had begun to install, which is finished now; raises Conflict when another
        agent of that id is there."""
        with self._installations.changing() as finished:
            done = self._installations.find(id) if id in finished else None
            if done is not None and (done.source, done.package) == (package.source, package.name):
                return done
            self._check_free(id)
            return None

    def _update(self, id: str, version: str | None, keep: str | None) -> Update:
        """Update one agent. Its package is fetched before others are kept away, and looked at again then."""
        while True:
            before = self._installations.get(id)
            wanted = self._wanted(before, version)
            if wanted is None:
                return _untouched(before)
            taken, contents, checksum = self._fetched(wanted, version)
            if checksum == before.checksum:
                return _untouched(before)
            with self._installations.changing():
                if self._installations.find(id) == before:
                    return self._upgrade(before, taken, contents, checksum, keep)

    def _wanted(self, before: Installation, version: str | None) -> Package | None:
        """The package that is to take the place of what is installed; None when there is nothing newer."""
        from wilk.services.registry.entries import newer

        named = f"{before.source}/{before.package}"
        package = next(iter(self._cached.named(named)), None)
        if package is None:
            raise NotFound(
                "package", named, "its source offers it no more, or is not in the setting registries"
            )
        if self._installations.files.definition_of(before.id) is None:
            raise NotFound(
                "agent", before.id, "its definition is gone; install it again, or remove it here as well"
            )
        if version is None:
            same = package.version == before.version
            if package.checksum == before.checksum or not (same or newer(package.version, before.version)):
                return None
        return package

    def _upgrade(
        self, before: Installation, version: str, contents: Contents, checksum: str, keep: str | None
    ) -> Update:
        from wilk.definitions.packages import DEFINITIONS
        from wilk.services.registry.upgrading import Upgrading

        files = self._installations.files
        known = dict(before.files)
        name = files.definition_of(before.id)
        if (
            name is not None
            and name != contents.definition
            and files.hash_of(before.id, name) != known.get(name)
        ):
            contents = contents.renamed(name)  # edited here: it stays one file, be it agent.yml or agent.yaml
        if name == contents.definition:
            known = {name if path in DEFINITIONS else path: hash for path, hash in known.items()}
        files.check(before.id, contents.definition, contents.files[contents.definition])
        upgrade = Upgrading(files, before.id, self._installations.base, keep).decide(known, contents)
        now = to_datetime(self._engine.clock.now())
        after = before._replace(version=version, checksum=checksum, files=_hashes(contents), updated_at=now)
        self._installations.write(after, upgrade.steps, contents)
        done = _untouched(before)._replace(version=version, code=after.code)
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
        name = self._installations.files.definition_of(id)
        if name is None:
            return
        before = self._installations.find(id)
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
            now = self._installations.files.hash_of(id, path)
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
