"""The cached table of packages: filled from the sources, read until it has expired."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Mapping
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from wilk import amounts, clock, codec, models
from wilk.definitions.addresses import shown
from wilk.engine import Engine
from wilk.errors import BackendError, Invalid, NotFound, SettingsError, WilkError
from wilk.files import check_id
from wilk.models.statements import Statement, param
from wilk.records.decoding import decoder
from wilk.records.registry import Package, Refreshed, Source
from wilk.services.keeping.archiver import Archiver
from wilk.settings import Settings

if TYPE_CHECKING:
    from wilk.contracts import Registry, RegistrySource
    from wilk.services.registry.entries import Entry

_log = logging.getLogger("wilk.registry")

TTL = timedelta(hours=1)
"""How long what a source said is used without asking again, unless ``caches: {registry: {ttl: …}}`` says."""

_FAILED_FOR = timedelta(minutes=5)
_CHUNK = 500

_decoded = decoder(Package)


class Cached:
    """What the sources of one store offer, as last seen. ``kind`` gives a kind of source by its scheme."""

    def __init__(
        self, engine: Engine, archiver: Archiver, settings: Settings, kind: Callable[[str], Registry]
    ) -> None:
        self._engine = engine
        self._archiver = archiver
        self._settings = settings
        self._kind = kind

    # -- sources --------------------------------------------------------------------------

    def addresses(self) -> dict[str, str]:
        """The sources of the setting ``registries``: name → address. Raises SettingsError for a bad one."""
        found = {}
        for name, address in self._settings.registries.items():
            try:
                check_id(str(name), "source")
            except Invalid as error:
                raise SettingsError(f"registries: {error}") from error
            if not isinstance(address, str) or not address.strip():
                raise SettingsError(
                    f"registries: {name}: an address is wanted, such as https://example.org or a folder"
                )
            found[str(name)] = address.strip()
        return found

    def address(self, source: str) -> str:
        """The address of a source; raises NotFound with the sources there are."""
        addresses = self.addresses()
        if source not in addresses:
            there = ", ".join(addresses) or "none; the setting registries names them"
            raise NotFound("source", source, f"there is {there}")
        return addresses[source]

    def open(self, source: str) -> RegistrySource:
        """Open a source; the caller closes it. Raises NotFound, PluginError and BackendError."""
        address = self.address(source)
        scheme, mark, _ = address.partition("://")
        return self._kind(scheme.lower() if mark else "file").open(address, self._settings)

    def sources(self) -> list[Source]:
        """The sources, with how much of each is known and until when it is used."""
        seen = {row[0]: row[1:] for row in self._engine.fetch("registry.sources", _sources)}
        return [
            Source(name, shown(address), count, _moment(cached), _moment(expires))
            for name, address in self.addresses().items()
            for count, cached, expires in [seen.get(name, (0, None, None))]
        ]

    # -- filling --------------------------------------------------------------------------

    def refresh(self, source: str | None = None, *, force: bool = False) -> list[Refreshed]:
        """Ask the sources that have expired, or with ``force`` all; one that fails keeps its rows."""
        if source is not None:
            self.address(source)
        now = self._engine.clock.now()
        known = {one.name: one for one in self.sources()}
        wanted = [name for name in known if source in (None, name)]
        done = [
            self._ask(name)
            for name in wanted
            if force or (expires := known[name].expires_at) is None or clock.to_microseconds(expires) <= now
        ]
        if source is None and not self._engine.readonly:
            self._drop_others(known)
        return done

    def freshen(self) -> list[Refreshed]:
        """Refresh what has expired, for a verb that reads what is known; return what is to be told of that.

        Within a transaction, and in a store that is only read, nothing is asked.
        """
        if self._engine.readonly or self._engine.in_transaction:
            return []
        return [one for one in self.refresh() if one.error is not None or one.left_out]

    def tell(self, done: Iterable[Refreshed]) -> None:
        """Log what a verb that found what it wanted does not say: what failed, and what was left out."""
        for one in done:
            if one.error is not None:
                known = "what is known of it is used" if one.packages else "nothing is known of it"
                _log.warning("source %s cannot be asked: %s; %s", one.source, one.error, known)
            for reason in one.left_out:
                _log.warning("source %s: left out %s", one.source, reason)

    def _ask(self, name: str) -> Refreshed:
        from wilk.services.registry.entries import entries

        try:
            opened = self.open(name)
            try:
                found = entries(opened.index())
            finally:
                opened.close()
            self._put(name, found.packages)
        except WilkError as error:
            self._put_off(name)
            return Refreshed(name, self._count(name), [], str(error))
        except Exception as error:  # a source is a plugin's code: its fault must not stop the others
            _log.exception("source %s failed", name)
            self._put_off(name)
            return Refreshed(name, self._count(name), [], f"the source failed: {error!r}")
        return Refreshed(name, len(found.packages), found.left_out)

    def _put(self, source: str, packages: Iterable[Entry]) -> None:
        """Write what a source offers now in place of what it offered."""
        package = models.RegistryPackage
        now = self._engine.clock.now()
        expires = min(now + ttl(self._settings) // timedelta(microseconds=1), 2**62)
        statement = self._engine.statement("registry.put", _put)
        rows = {
            entry.name: {**entry._asdict(), "source": source, "cached_at": now, "expires_at": expires}
            for entry in packages
        }
        with self._engine.transaction():
            before = {name for (name,) in self._engine.fetch("registry.names", _names, (source,))}
            self._engine.execute_many(statement.sql, [_written(statement, row) for row in rows.values()])
            gone = sorted(before - rows.keys())
            for start in range(0, len(gone), _CHUNK):
                some = package.name.in_(gone[start : start + _CHUNK])
                self._archiver.drop_derived(package, (package.source == source) & some)

    def _put_off(self, source: str) -> None:
        """Use what is known of a source for a while more: one that does not answer must not hold up each
        command until its time limit."""
        if self._engine.readonly:
            return
        package: Any = models.RegistryPackage
        now = self._engine.clock.now()
        later = now + _FAILED_FOR // timedelta(microseconds=1)
        with self._engine.transaction():
            self._engine.run(
                package.update({package.expires_at: later}).where(
                    package.source == source, package.expires_at <= now
                )
            )

    def _drop_others(self, known: Iterable[str]) -> None:
        """Drop the rows of sources that the settings name no more."""
        gone = {row[0] for row in self._engine.fetch("registry.sources", _sources)} - set(known)
        if gone:
            package = models.RegistryPackage
            with self._engine.transaction():
                self._archiver.drop_derived(package, package.source.in_(sorted(gone)))

    def _count(self, source: str) -> int:
        return next((one.packages for one in self.sources() if one.name == source), 0)

    # -- reading --------------------------------------------------------------------------

    def packages(self, *, category: str | None = None) -> list[Package]:
        """All packages of the sources that the settings name, or those of a category."""
        if category is None:
            rows = self._engine.fetch("registry.packages", _packages)
        else:
            rows = self._engine.fetch("registry.of_category", _of_category, (category,))
        addresses = self.addresses()
        return _decoded(row for row in rows if row[0] in addresses)

    def named(self, name: str) -> list[Package]:
        """The packages of that name, of any source; ``SOURCE/NAME`` chooses one."""
        source, mark, own = name.rpartition("/")
        rows = _decoded(self._engine.fetch("registry.named", _named, (own,)))
        addresses = self.addresses()
        return [one for one in rows if one.source in addresses and (not mark or one.source == source)]

    def get(self, name: str) -> Package:
        """The package of that name; raises NotFound, and Conflict when several sources have one."""
        from wilk.errors import Conflict

        done = self.freshen()
        found = self.named(name)
        if not found:
            check_reached(done, self.sources())
            hint = "`wilk registry search` shows the ones there are"
            raise NotFound(
                "package", name, hint if self.addresses() else "the setting registries names no source"
            )
        self.tell(done)
        if len(found) > 1:
            choices = " or ".join(f"{one.source}/{one.name}" for one in found)
            raise Conflict(f"several sources have a package {name!r}; say {choices}")
        return found[0]


def check_reached(failed: Iterable[Refreshed], sources: Iterable[Source]) -> None:
    """Raise BackendError when a source of which nothing is known could not be asked: what is wanted may be
    there."""
    unknown = {one.name for one in sources if not one.packages}
    for one in failed:
        if one.source in unknown and one.error is not None:
            raise BackendError(
                f"source {one.source!r} cannot be asked, and nothing is known of it: {one.error}"
            )


def ttl(settings: Settings) -> timedelta:
    """How long what sources say is used."""
    policy = settings.caches.get("registry")
    said = policy.get("ttl") if isinstance(policy, Mapping) else None
    if said is None:
        return TTL
    try:
        return amounts.span(said)
    except Invalid as error:
        raise SettingsError(f"caches: registry: ttl: {error}") from error


def _moment(microseconds: int | None) -> Any:
    return None if microseconds is None else clock.to_datetime(microseconds)


def _written(statement: Statement, row: Mapping[str, Any]) -> list[Any]:
    values = {
        **row,
        "tags": codec.dumps(row["tags"]) if row["tags"] else None,
        "metadata": codec.dumps(row["metadata"]) if row["metadata"] else None,
    }
    return [values[name] for name in statement.names]


def _fields() -> list[Any]:
    return models.fields_of(models.RegistryPackage, Package)


def _packages() -> Any:
    package = models.RegistryPackage
    return package.select(*_fields()).order_by(package.name, package.source)


def _of_category() -> Any:
    return _packages().where(models.RegistryPackage.category == param("category"))


def _named() -> Any:
    return _packages().where(models.RegistryPackage.name == param("name"))


def _names() -> Any:
    package = models.RegistryPackage
    return package.select(package.name).where(package.source == param("source"))


def _sources() -> Any:
    from peewee import fn

    package = models.RegistryPackage
    cached, expires = fn.MAX(package.cached_at), fn.MIN(package.expires_at)
    return package.select(package.source, fn.COUNT(package.name), cached, expires).group_by(package.source)


def _put() -> Any:
    from peewee import EXCLUDED

    package = models.RegistryPackage
    fields = package._meta.sorted_fields
    changed = [field for field in fields if field.name not in ("source", "name")]
    return package.insert({field: param(field.name) for field in fields}).on_conflict(
        conflict_target=[package.source, package.name],
        update={field: getattr(EXCLUDED, field.column_name) for field in changed},
    )
