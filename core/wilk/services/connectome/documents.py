"""Documents: whole conversations, or anything else of JSON, kept as they came."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from wilk import clock, codec, models
from wilk.engine import Engine
from wilk.errors import Conflict, Invalid, NotFound
from wilk.events import Events
from wilk.models.statements import param
from wilk.records.connectome import Document
from wilk.records.decoding import decoder
from wilk.services import checks
from wilk.services.arguments import UNSET, Unset
from wilk.services.checks import identifier, optional
from wilk.services.checks import limit as limits
from wilk.services.keeping.archiver import Archiver
from wilk.services.keeping.kinds import kind as archivable

CONVERSATION = "conversation"
"""The kind of documents that no other kind is given for."""

_TITLES = ("chatTitle", "title", "name")
_decoded = decoder(Document)


class Documents:
    """The documents of a store: unknown keys and the order of keys stay as they were."""

    def __init__(self, engine: Engine, events: Events, archiver: Archiver) -> None:
        self._engine = engine
        self._events = events
        self._archiver = archiver

    def save(
        self,
        id: str,
        data: Any,
        *,
        kind: str | Unset = UNSET,
        title: str | Unset | None = UNSET,
        user: str | Unset | None = UNSET,
        metadata: Mapping[str, Any] | Unset = UNSET,
    ) -> Document:
        """Keep a document under an id of the application's own; the one that has it is replaced.

        A new one is of kind ``conversation``. A title that is not given is that of the data
        (``chatTitle``, ``title`` or ``name``). What is as it was is not written again. Raises
        Conflict when the document there is of another kind, NotStorable for what JSON cannot hold.
        """
        identifier("id", id)
        text = codec.dumps(data, "data")
        hash = codec.text_hash(text)
        if title is UNSET:
            title = title_of(data) or UNSET
        elif title is not None:
            identifier("title", title)
        if metadata is not UNSET and not isinstance(metadata, Mapping):
            raise Invalid(f"metadata {checks.shown(metadata)}: a mapping is wanted")
        with self._engine.transaction():
            now = clock.to_datetime(self._engine.clock.now())
            old = self._head(id)
            new = Document(
                id=id,
                kind=CONVERSATION if old is None else old.kind,
                title=None if old is None else old.title,
                data=data,
                content_hash=hash,
                user_id=None if old is None else old.user_id,
                metadata={} if old is None else old.metadata,
                created_at=now if old is None else old.created_at,
                updated_at=now if old is None else old.updated_at,
            )
            if kind is not UNSET:
                identifier("kind", kind, longest=64)
                if old is not None and kind != old.kind:
                    raise Conflict(f"document {id!r} is a {old.kind}; remove it, or take another id")
                new = new._replace(kind=kind)
            if title is not UNSET:
                new = new._replace(title=title)
            if user is not UNSET:
                new = new._replace(user_id=optional("user", user))
            if metadata is not UNSET:
                new = new._replace(metadata=dict(metadata))
            if old is not None and new._replace(data=None) == old:
                return new
            new = new._replace(updated_at=now)
            row = (
                id, new.kind, new.title, text, hash, new.user_id,
                codec.dumps(new.metadata, "metadata") if new.metadata else None,
                clock.to_microseconds(new.created_at), clock.to_microseconds(now),
            )  # fmt: skip
            self._engine.execute(self._engine.statement("documents.save", _save).sql, row)
            self._events.saving("document", new)
            return new

    def get(self, id: str) -> Document:
        """Return the document; raises NotFound."""
        document = self.find(id)
        if document is None:
            raise NotFound("document", id)
        return document

    def find(self, id: str) -> Document | None:
        """Return the document, or None."""
        return next(iter(_decoded(self._engine.fetch("documents.find", _find, (id,)))), None)

    def list(
        self, *, kind: str | None = None, user: str | None = None, limit: int = 100, after: str | None = None
    ) -> Sequence[Document]:
        """List documents by id; ``after`` is the last id of the page before."""
        if kind is user is None:
            return _decoded(self._engine.fetch("documents.list", _list, (after or "", limits(limit))))
        document = models.Document
        query = document.select(*_fields()).where(document.id > (after or ""))
        if kind is not None:
            query = query.where(document.kind == kind)
        if user is not None:
            query = query.where(document.user_id == user)
        return _decoded(self._engine.select(query.order_by(document.id).limit(limits(limit))))

    def ids(self, *, kind: str = CONVERSATION) -> Sequence[str]:
        """List the ids of all documents of a kind, in the order in which they were first saved."""
        return [id for (id,) in self._engine.fetch("documents.ids", _ids, (kind,))]

    def remove(self, id: str, *, reason: str = "removed") -> Document:
        """Archive and remove a document, with the raw messages, chunks and memories of the conversation.

        Returns its last state; raises NotFound.
        """
        with self._engine.transaction():
            document = self.get(id)
            self.clear(id, reason=reason)
            return document

    def clear(self, id: str, *, reason: str = "removed") -> dict[str, int]:
        """Archive and remove all that is kept of a conversation, whether or not there is a document.

        Returns how many rows went, by kind: nothing when there was nothing.
        """
        with self._engine.transaction():
            document = self.find(id)
            if document is not None:
                counts = self._archiver.remove("document", models.Document.id == id, reason=reason)
                self._events.deleted("document", document)
                return counts
            counts = {}
            batch = self._engine.clock.new_id()
            for child in archivable("document").children:
                counts |= self._archiver.remove(child.kind, child.of([id]), reason=reason, batch=batch)
            return counts

    def _head(self, id: str) -> Document | None:
        """A document without its data, which may be large."""
        rows = self._engine.fetch("documents.head", _head, (id,))
        return next(iter(_decoded((*row[:3], None, *row[3:]) for row in rows)), None)


def title_of(data: Any) -> str | None:
    """The title that a conversation gives itself."""
    if isinstance(data, Mapping):
        for key in _TITLES:
            if isinstance(title := data.get(key), str) and title.strip():
                return codec.storable_text(title)[0][:1000]
    return None


def _save() -> Any:
    document = models.Document
    return document.insert({field: param(field.name) for field in _fields()}).on_conflict(
        conflict_target=[document.id],
        preserve=[field for field in _fields() if field.name not in ("id", "created_at")],
    )


def _find() -> Any:
    return models.Document.select(*_fields()).where(models.Document.id == param("id"))


def _head() -> Any:
    fields = [field for field in _fields() if field.name != "data"]
    return models.Document.select(*fields).where(models.Document.id == param("id"))


def _ids() -> Any:
    document = models.Document
    chosen = document.select(document.id).where(document.kind == param("kind"))
    return chosen.order_by(document.created_at, document.id)


def _list() -> Any:
    document = models.Document
    query = document.select(*_fields()).where(document.id > param("after"))
    return query.order_by(document.id).limit(param("limit"))


def _fields() -> list[Any]:
    return models.fields_of(models.Document, Document)
