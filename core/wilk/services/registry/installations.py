"""What was installed: its rows and its files, which change together, one process at a time."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cached_property
from hashlib import sha256
from typing import TYPE_CHECKING, Any

from wilk import codec, models
from wilk.engine import Engine
from wilk.errors import Invalid, NotFound, ReadOnly
from wilk.events import Events
from wilk.models.statements import param
from wilk.records.decoding import decoder
from wilk.records.registry import Installation
from wilk.services import checks
from wilk.services.keeping.archiver import Archiver

if TYPE_CHECKING:
    from wilk.definitions.catalog import Catalog
    from wilk.definitions.installing import Installing, Step
    from wilk.definitions.packages import Contents

_LOCK = ".registry.lock"

_decoded = decoder(Installation)


class Installations:
    """The installations of one store."""

    def __init__(
        self, engine: Engine, events: Events, archiver: Archiver, catalog: Callable[[], Catalog]
    ) -> None:
        self._engine = engine
        self._events = events
        self._archiver = archiver
        self._catalog = catalog

    @cached_property
    def files(self) -> Installing:
        """What looks at the files of agents, and changes them."""
        return self._catalog().installing

    # -- what there is ----------------------------------------------------------------------

    def all(self) -> list[Installation]:
        """All of them, by the agents' ids."""
        return _decoded(self._engine.fetch("registry.installed", _installed))

    def get(self, id: str) -> Installation:
        """The installation of an agent; raises NotFound."""
        found = self.find(checks.identifier("id", id))
        if found is None:
            raise NotFound("installed agent", id, "`wilk registry installed` shows the ones there are")
        return found

    def find(self, id: str) -> Installation | None:
        """The installation of an agent, or None."""
        return next(iter(_decoded(self._engine.fetch("registry.installation", _installation, (id,)))), None)

    def edited(self, installation: Installation) -> tuple[list[str], list[str]]:
        """The files of an installation that were edited since, and those that are gone."""
        edited, missing = [], []
        for path, before in installation.files.items():
            try:
                now = self.files.hash_of(installation.id, path)
            except Invalid:  # a folder, a link that leads away: not what was installed
                now = ""
            if now is None:
                missing.append(path)
            elif now != before:
                edited.append(path)
        return edited, missing

    def base(self, hash: str) -> str | None:
        """A text as it was installed, by its hash; None when it was not kept."""
        blob = models.Blob
        row = self._engine.row(blob.select(blob.data).where(blob.hash == hash))
        return None if row is None else str(row[0])

    # -- changing -----------------------------------------------------------------------------

    @contextmanager
    def changing(self) -> Iterator[list[str]]:
        """Keep other processes away, and finish what one of them left half done; gives those agents' ids."""
        from wilk.archives.locking import locked

        if self._engine.readonly:
            raise ReadOnly("the store was opened with readonly; open it without to write")
        if self._engine.in_transaction:
            raise Invalid("packages are written at once: call this outside of a transaction")
        with locked(self.files.home / _LOCK, self._engine.timeout):
            yield self.files.finish_others(self._finish)

    def write(
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

        self.files.write(installation.id, steps, rows, note)

    def leaving(
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
        definition = self.files.definition_of(id)
        if definition is not None and definition not in steps:
            mine = self.files.bytes_of(id, definition) or b""
            folder = self.files.folder(id)
            beside = free_name(folder / definition, ".local").name
            steps[beside] = Step(mine, None)
            steps[definition] = Step(None, sha256(mine).hexdigest())
        return steps

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
            self.files.check_public(id, contents)
        except (UnicodeDecodeError, Invalid):
            return
        if codec.storable_text(text)[1] is None:
            now = self._engine.clock.now()
            statement = self._engine.statement("registry.keep", _keep)
            self._engine.execute(statement.sql, (sha256(data).hexdigest(), text, len(data), now))


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
