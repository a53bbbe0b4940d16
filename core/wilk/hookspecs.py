"""Every hook, in groups, one sentence each. Implement them with ``@wilk.hookimpl``.

Hooks are plain functions; an implementation names only the arguments that it wants.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import pluggy

if TYPE_CHECKING:
    from wilk.contracts import (
        Archive,
        Backend,
        BusKind,
        CacheTier,
        Command,
        DefinitionKind,
        Embedder,
        Exporter,
        Importer,
        ModelSet,
        Registry,
        SourceKind,
        Strategy,
        Tokenizer,
        Tool,
        VectorIndex,
    )
    from wilk.records.context import Context
    from wilk.records.conversation import Message
    from wilk.records.definitions import Change, Failure
    from wilk.store import Store


class Offer(NamedTuple):
    """What an offering hook yields: a dataclass of ``wilk.contracts``, the argument of it that names the
    offer, and what several of them are called."""

    contract: str
    argument: str
    plural: str


OFFERS = {
    "register_backends": Offer("Backend", "scheme", "backends"),
    "register_definition_kinds": Offer("DefinitionKind", "name", "definition_kinds"),
    "register_models": Offer("ModelSet", "name", "models"),
    "register_tokenizers": Offer("Tokenizer", "name", "tokenizers"),
    "register_commands": Offer("Command", "name", "commands"),
    "register_archives": Offer("Archive", "name", "archives"),
    "register_strategies": Offer("Strategy", "name", "strategies"),
    "register_caches": Offer("CacheTier", "name", "caches"),
    "register_buses": Offer("BusKind", "scheme", "buses"),
    "register_vector_indexes": Offer("VectorIndex", "name", "vector_indexes"),
    "register_embedders": Offer("Embedder", "name", "embedders"),
    "register_tools": Offer("Tool", "name", "tools"),
    "register_registries": Offer("Registry", "name", "registries"),
    "register_importers": Offer("Importer", "name", "importers"),
    "register_exporters": Offer("Exporter", "name", "exporters"),
    "register_sources": Offer("SourceKind", "scheme", "sources"),
}

hookspec = pluggy.HookspecMarker("wilk")
hookimpl = pluggy.HookimplMarker("wilk")


# -- offers: yield named dataclasses; they are called when something of the kind is needed --


@hookspec
def register_backends() -> Iterable[Backend]:  # type: ignore[empty-body]
    """Offer databases by URL scheme."""


@hookspec
def register_definition_kinds() -> Iterable[DefinitionKind]:  # type: ignore[empty-body]
    """Offer kinds of definition files."""


@hookspec
def register_models() -> Iterable[ModelSet]:  # type: ignore[empty-body]
    """Offer tables of the plugin's own, with their migrations."""


@hookspec
def register_tokenizers() -> Iterable[Tokenizer]:  # type: ignore[empty-body]
    """Offer ways of counting tokens."""


@hookspec
def register_commands() -> Iterable[Command]:  # type: ignore[empty-body]
    """Offer nouns of the command line."""


@hookspec
def register_archives() -> Iterable[Archive]:  # type: ignore[empty-body]
    """Offer places in which archived rows are kept."""


@hookspec
def register_strategies() -> Iterable[Strategy]:  # type: ignore[empty-body]
    """Offer ways of choosing what goes into a context."""


@hookspec
def register_caches() -> Iterable[CacheTier]:  # type: ignore[empty-body]
    """Offer tiers in which caches outlive the process."""


@hookspec
def register_buses() -> Iterable[BusKind]:  # type: ignore[empty-body]
    """Offer ways for stores to tell each other of changes, by URL scheme."""


@hookspec
def register_vector_indexes() -> Iterable[VectorIndex]:  # type: ignore[empty-body]
    """Offer indexes that find the nearest vectors."""


@hookspec
def register_embedders() -> Iterable[Embedder]:  # type: ignore[empty-body]
    """Offer models that turn texts into vectors."""


@hookspec
def register_tools() -> Iterable[Tool]:  # type: ignore[empty-body]
    """Offer tools that agents may name."""


@hookspec
def register_registries() -> Iterable[Registry]:  # type: ignore[empty-body]
    """Offer kinds of sources of agent packages."""


@hookspec
def register_importers() -> Iterable[Importer]:  # type: ignore[empty-body]
    """Offer readers of foreign forms, from which a store takes records over."""


@hookspec
def register_exporters() -> Iterable[Exporter]:  # type: ignore[empty-body]
    """Offer writers of forms in which a store's records go out."""


@hookspec
def register_sources() -> Iterable[SourceKind]:  # type: ignore[empty-body]
    """Offer databases from which importers read over the network, by the scheme of their address."""


# -- the life of a store --


@hookspec
def store_opened(store: Store) -> None:
    """A store is open and migrated; its verbs can be used."""


@hookspec
def store_closing(store: Store) -> None:
    """A store is about to close; its verbs can still be used."""


# -- changes of records: ``kind`` is "message", "session", "agent", …; ``record`` the typed record --


@hookspec
def before_save(store: Store, kind: str, record: Any) -> None:
    """A record is about to be written; raise ``wilk.Rejected`` to refuse it and undo the whole."""


@hookspec
def after_save(store: Store, kind: str, record: Any) -> None:
    """A record was written, and the transaction has been committed."""


@hookspec
def after_delete(store: Store, kind: str, record: Any) -> None:
    """A record was archived and removed, and the transaction has been committed."""


@hookspec
def after_archive(store: Store, kind: str, reason: str, counts: Mapping[str, int], batch: str) -> None:
    """Rows went into the archive as one batch, ``counts`` by kind; the transaction has been committed."""


@hookspec
def after_restore(store: Store, entries: Sequence[int], counts: Mapping[str, int]) -> None:
    """Rows came back out of the archive, ``counts`` by kind, and the transaction has been committed."""


@hookspec
def forgetting(
    store: Store, records: Mapping[str, Collection[str]], dry_run: bool
) -> Mapping[str, int] | None:
    """Records are about to be forgotten, ``records`` their ids by kind: delete what your own tables hold of
    them, in the transaction at hand, and return how many rows by table; with ``dry_run`` only count them."""


# -- memory: choices are the first answer that is not None; without one wilk uses its own --


@hookspec
def score_importance(store: Store, role: str, text: str, score: float) -> float | None:
    """Score a message from 0.0 to 1.0; ``score`` is what wilk's own table gives."""


@hookspec
def summarize(store: Store, messages: Sequence[Message], longest: int) -> str | None:
    """Summarize raw messages of one session in at most ``longest`` characters; an answer that fails the
    checks is not used."""


@hookspec
def context_built(store: Store, context: Context) -> None:
    """A context was built; with ``manifest`` set, its receipt has been committed."""


# -- definition files --


@hookspec
def definition_synced(store: Store, change: Change) -> None:
    """A definition file was taken over: created, updated, archived or restored."""


@hookspec
def definition_failed(store: Store, failure: Failure) -> None:
    """A definition file could not be taken over; its record keeps the last good content."""
