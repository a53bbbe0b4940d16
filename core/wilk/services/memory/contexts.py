"""Contexts: what is sent to a model, chosen under a budget, and the receipts of how it was.

A build reads one state of the store. With ``manifest=True`` it leaves a receipt: each message is
kept once, by its hash, so that ``replay`` gives the same bytes whatever becomes of the session.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from datetime import datetime
from typing import TYPE_CHECKING, Any

from wilk import clock, models
from wilk.contracts import Strategy, Tokenizer
from wilk.engine import Engine
from wilk.errors import Invalid, NotFound, OverBudget
from wilk.events import Events
from wilk.models.statements import param
from wilk.records.context import Context, ContextDiff, ContextItem, ContextStats
from wilk.records.decoding import decoder
from wilk.records.memory import Manifest
from wilk.services.checks import limit as limits
from wilk.services.keeping.archiver import Archiver

if TYPE_CHECKING:
    from wilk.services.conversation.messages import Messages
    from wilk.services.conversation.sessions import Sessions
    from wilk.services.keeping.archive import Archive

_decoded = decoder(Manifest)
_HASHES = 500


class Contexts:
    """Contexts of the sessions of a store, and their receipts."""

    def __init__(
        self,
        engine: Engine,
        events: Events,
        archiver: Archiver,
        *,
        tokenizer: Callable[[], Tokenizer],
        strategy: Callable[[str], Strategy],
        sessions: Callable[[], Sessions],
        messages: Callable[[], Messages],
        archive: Callable[[], Archive],
    ) -> None:
        self._engine = engine
        self._events = events
        self._archiver = archiver
        self._tokenizer = tokenizer
        self._strategy = strategy
        self._sessions = sessions
        self._messages = messages
        self._archive = archive

    def build(
        self,
        session_id: str,
        *,
        max_tokens: int | None = None,
        strategy: str | None = None,
        system: str | None = None,
        query: str | None = None,
        model: str | None = None,
        manifest: bool = False,
    ) -> Context:
        """Choose what is sent to a model: at most ``max_tokens``, counted by the store's tokenizer.

        What is not given is the session's: its budget, strategy and model, and its persona's or its
        first agent's system prompt. ``query`` lets the strategy look for older messages by full text;
        ``manifest`` keeps a receipt. Raises NotFound, OverBudget when what must be in does not fit, and
        PluginError for a strategy that nobody offers.
        """
        _check_options(max_tokens, strategy=strategy, system=system, query=query, model=model)
        if not manifest:
            with self._engine.snapshot():
                context = self._built(session_id, max_tokens, strategy, system, query, model)
            self._events.context_built(context)
            return context
        with self._engine.transaction():
            context = self._built(session_id, max_tokens, strategy, system, query, model)
            given = {"max_tokens": max_tokens, "strategy": strategy, "system": system, "query": query,
                     "model": model}  # fmt: skip
            context = self._keep(context, {name: value for name, value in given.items() if value is not None})
            self._events.context_built(context)
        return context

    def manifests(self, session_id: str, *, limit: int = 50) -> Sequence[Manifest]:
        """List the receipts of a session's contexts, the latest first."""
        rows = self._engine.fetch("contexts.manifests", _manifests, (session_id, limits(limit)))
        if not rows:
            self._sessions().get(session_id)
        return _decoded(rows)

    def manifest(self, id: str) -> Manifest:
        """Return a receipt; raises NotFound."""
        found = self._found(id)
        if found is None:
            raise NotFound("manifest", id, "`wilk context manifests` shows the ones there are")
        return found

    def replay(self, id: str) -> bytes:
        """Return the messages of a kept context as they were, byte for byte: a canonical JSON array.

        Whatever was edited, compacted or removed since. Raises NotFound, and BackendError for a
        content that is missing or damaged.
        """
        from wilk.context.manifests import replayed

        manifest = self._ever(id)
        return replayed(manifest, self._contents(manifest))

    def reopen(self, id: str) -> Context:
        """Return a kept context as it was built. Raises NotFound, and BackendError for a content that
        is missing or damaged."""
        from wilk.context.manifests import reopened

        manifest = self._ever(id)
        return reopened(manifest, self._contents(manifest))

    def messages_of(self, id: str) -> list[dict[str, Any]]:
        """Return the messages of a kept context, as :attr:`Context.messages` gave them."""
        return self.reopen(id).messages

    def explain(self, id: str) -> Context:
        """Return the context of a receipt, or build a session's: its ``items`` and ``left_out`` tell
        what is in, what is not, and by which rule. ``wilk context explain`` shows it."""
        return self.build(id) if self._sessions().find(id) is not None else self.reopen(id)

    def diff(self, a: str, b: str) -> ContextDiff:
        """Tell what two kept contexts have apart, and why; ``str`` of it says it in sentences."""
        from wilk.context.manifests import difference

        ours, theirs = self._ever(a).created_at, self._ever(b).created_at
        return difference(
            self.reopen(a),
            self.reopen(b),
            (a, b),
            lambda items: self._gone(items, ours, theirs),
            earlier=theirs < ours,
        )

    def stats(self, session_id: str) -> ContextStats:
        """Count what a session's contexts are made of, and what one built now would hold."""
        from wilk.services.memory.context_reading import COUNTS

        used: Mapping[str, int] = {}
        problem = None
        with self._engine.snapshot():
            session = self._sessions().get(session_id)
            counts = {
                name: int(self._engine.fetch(f"contexts.count_{name}", build, (session_id,))[0][0])
                for name, build in COUNTS.items()
            }
            try:
                used = self._built(session_id, None, None, None, None, None).tokens_by_kind
            except OverBudget as error:
                problem = str(error)
        return ContextStats(
            session_id=session_id,
            strategy=session.context_strategy,
            max_tokens=session.max_tokens,
            tokens=session.token_count,
            used=used,
            problem=problem,
            **counts,
        )

    def remove(self, id: str, *, reason: str = "removed") -> Manifest:
        """Archive a receipt and return it. It can still be replayed."""
        with self._engine.transaction():
            manifest = self.manifest(id)
            self._archiver.remove("manifest", models.Manifest.id == id, reason=reason)
            self._events.deleted("manifest", manifest)
            return manifest

    # -- building -------------------------------------------------------------------------

    def _built(
        self,
        session_id: str,
        max_tokens: int | None,
        strategy: str | None,
        system: str | None,
        query: str | None,
        model: str | None,
    ) -> Context:
        from wilk.context.assembly import assemble
        from wilk.context.packing import Packing
        from wilk.services.memory.context_reading import Reading

        session = self._sessions().get(session_id)
        chosen = self._strategy(strategy or session.context_strategy)
        tokenizer = self._tokenizer()
        budget = session.max_tokens if max_tokens is None else max_tokens
        model = model or session.model

        def count(text: str) -> int:
            return tokenizer.count(text, model)

        with closing(
            Reading(self._engine, self._messages, session, count, budget=budget, query=query)
        ) as reading:
            floors = reading.floors(system)
            packing = Packing(reading, session, budget=budget, query=query, start=reading.start)
            items, left_out = assemble(packing, floors, chosen)
        return Context(
            session_id=session_id,
            strategy=chosen.name,
            tokenizer=tokenizer.name,
            model=model,
            max_tokens=budget,
            total_tokens=sum(item.tokens for item in items),
            last_sequence=session.last_sequence,
            items=items,
            left_out=left_out,
            manifest=None,
        )

    # -- receipts -------------------------------------------------------------------------

    def _keep(self, context: Context, request: Mapping[str, Any]) -> Context:
        """Write the receipt of a context, inside the caller's transaction."""
        from hashlib import sha256

        from wilk.context.manifests import kept_items

        engine = self._engine
        items, contents = kept_items(context)
        now = engine.clock.now()
        manifest = Manifest(
            id=engine.clock.new_id(),
            session_id=context.session_id,
            strategy=context.strategy,
            tokenizer=context.tokenizer,
            model=context.model,
            max_tokens=context.max_tokens,
            total_tokens=context.total_tokens,
            last_sequence=context.last_sequence,
            request=request,
            items=items,
            left_out=[one._asdict() for one in context.left_out],
            content_hash=sha256(context.data).hexdigest(),
            created_at=clock.to_datetime(now),
        )
        blobs = [(hash, data, len(data.encode()), now) for hash, data in sorted(contents.items())]
        engine.insert_many(engine.statement("contexts.keep", _keep_blob), blobs)
        engine.run(models.Manifest.insert(dict(zip(_fields(), manifest, strict=True))))
        self._events.saving("manifest", manifest)
        return context._replace(manifest=manifest.id)

    def _found(self, id: str) -> Manifest | None:
        return next(iter(_decoded(self._engine.fetch("contexts.manifest", _manifest, (id,)))), None)

    def _ever(self, id: str) -> Manifest:
        """A receipt, also one that went into the archive."""
        found = self._found(id)
        if found is not None:
            return found
        for entry in self._archive().list(kind="manifest", record=id, restored=None, limit=1):
            row = entry.data
            return _decoded([[row[field.column_name] for field in _fields()]])[0]
        raise NotFound("manifest", id, "`wilk context manifests` shows the ones there are")

    def _contents(self, manifest: Manifest) -> dict[str, str]:
        hashes = sorted({item["hash"] for item in manifest.items})
        blob = models.Blob
        found: dict[str, str] = {}
        for start in range(0, len(hashes), _HASHES):
            some = hashes[start : start + _HASHES]
            found.update(self._engine.rows(blob.select(blob.hash, blob.data).where(blob.hash.in_(some))))
        return found

    def _gone(
        self, items: Sequence[ContextItem], ours: datetime, theirs: datetime
    ) -> dict[tuple[str, str | None, str], str]:
        """Which records of a context of one time lay in the archive at another, and why."""
        became: dict[tuple[str, str | None, str], str] = {}
        for item in items:
            kind = "message" if item.first is not None and item.kind == "system" else item.kind
            if item.id is None or kind == "system":
                continue
            for entry in self._archive().list(kind=kind, record=item.id, restored=None):
                back = entry.restored_at
                if entry.archived_at <= theirs and (back is None or back > theirs):
                    key = (item.kind, item.id, item.text if item.kind != "message" else "")
                    was = "was archived since" if entry.archived_at > ours else "lay in the archive then"
                    became[key] = f"it {was} (reason {entry.reason})"
                    break
        return became


def _check_options(max_tokens: int | None, **texts: str | None) -> None:
    if max_tokens is not None and (type(max_tokens) is not int or max_tokens < 1):
        raise Invalid(f"max_tokens {max_tokens!r}: a whole number from 1 is wanted")
    for name, text in texts.items():
        if text is not None and not isinstance(text, str):
            raise Invalid(f"{name} {text!r}: a text is wanted")


def _fields() -> list[Any]:
    return models.fields_of(models.Manifest, Manifest)


def _manifests() -> Any:
    manifest = models.Manifest
    query = manifest.select(*_fields()).where(manifest.session == param("session"))
    return query.order_by(manifest.created_at.desc(), manifest.id.desc()).limit(param("limit"))


def _manifest() -> Any:
    return models.Manifest.select(*_fields()).where(models.Manifest.id == param("id"))


def _keep_blob() -> Any:
    blob = models.Blob
    row = {field: param(field.name) for field in (blob.hash, blob.data, blob.size, blob.created_at)}
    return blob.insert(row).on_conflict("nothing")
