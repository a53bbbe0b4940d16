"""A journal of what changes in a wilk store, and a guard over what may be written into it."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from wilk import Command, ModelSet, hookimpl

if TYPE_CHECKING:
    from argparse import ArgumentParser, Namespace
    from collections.abc import Callable

    from wilk import Model, Store
    from wilk.records.context import Context
    from wilk.records.definitions import Change, Failure


# -- what the plugin offers --


@hookimpl
def register_models() -> Iterator[ModelSet]:
    """The table of entries."""
    yield ModelSet(name="audit", models=_models, migrations=Path(__file__).parent / "migrations")


@hookimpl
def register_commands() -> Iterator[Command]:
    """``wilk audit``."""
    yield Command(name="audit", summary="who changed what and when", configure=_configure, run=_run)


# -- what it listens to; what does the work is imported when something happens --


@hookimpl
def before_save(store: Store, kind: str, record: Any) -> None:
    """Refuse what matches a pattern of ``plugins: {audit: {refuse: [...]}}``."""
    if store.settings.plugins.get("audit", {}).get("refuse"):
        from wilk_audit.guard import check

        check(store, kind, record)


@hookimpl
def store_opened(store: Store) -> None:
    """Note the moment; it is written when the store is first changed."""
    from wilk_audit.journal import journal

    journal(store)


@hookimpl
def store_closing(store: Store) -> None:
    """Write the end of a store that was changed."""
    from wilk_audit.journal import journal

    journal(store).close()


@hookimpl
def after_save(store: Store, kind: str, record: Any) -> None:
    """Write who saved what."""
    from wilk_audit.journal import about, identity, journal

    journal(store).write("saved", kind=kind, record_id=identity(record), summary=about(kind, record))


@hookimpl
def after_delete(store: Store, kind: str, record: Any) -> None:
    """Write who removed what."""
    from wilk_audit.journal import about, identity, journal

    journal(store).write("removed", kind=kind, record_id=identity(record), summary=about(kind, record))


@hookimpl
def after_archive(store: Store, kind: str, reason: str, counts: Mapping[str, int], batch: str) -> None:
    """Write why rows went into the archive, and how many went along."""
    from wilk_audit.journal import counted, journal

    journal(store).write("archived", kind=kind, record_id=batch, summary=f"{counted(counts)}: {reason}")


@hookimpl
def after_restore(store: Store, entries: Sequence[int], counts: Mapping[str, int]) -> None:
    """Write what came back out of the archive."""
    from wilk_audit.journal import counted, journal

    numbers = f"{min(entries)}" if len(entries) == 1 else f"{min(entries)} to {max(entries)}"
    journal(store).write("restored", summary=f"{counted(counts)}, entries {numbers}")


@hookimpl
def forgetting(records: Mapping[str, Collection[str]], dry_run: bool) -> Mapping[str, int]:
    """Take entries on records that are forgotten out of the journal."""
    from wilk_audit.journal import forget

    return {"audit_entries": forget(records, dry_run=dry_run)}


@hookimpl
def context_built(store: Store, context: Context) -> None:
    """Write what a kept context was made of; one without a receipt changed nothing."""
    if context.manifest is not None:
        from wilk_audit.journal import journal

        used = f"{context.total_tokens} of {context.max_tokens} tokens, strategy {context.strategy}"
        summary = f"{len(context.items)} messages, {used}, session {context.session_id}"
        journal(store).write("built", kind="context", record_id=context.manifest, summary=summary)


@hookimpl
def definition_synced(store: Store, change: Change) -> None:
    """Write which file was taken over; what another store did, its own journal says."""
    if change.elsewhere:
        return
    from wilk_audit.journal import journal

    summary = f"{change.path} {change.action}, revision {change.revision}"
    journal(store).write("synced", kind=change.kind, record_id=change.id, summary=summary)


@hookimpl
def definition_failed(store: Store, failure: Failure) -> None:
    """Write which file could not be taken over, and why."""
    from wilk_audit.journal import journal

    summary = "; ".join(failure.problems)
    journal(store).write("failed", kind=failure.kind, record_id=failure.id, summary=summary)


def _models() -> Collection[type[Model]]:
    from wilk_audit.models import AuditEntry

    return (AuditEntry,)


def _configure(parser: ArgumentParser) -> None:
    from wilk_audit.command import configure

    configure(parser)


def _run(arguments: Namespace, store: Callable[[], Store]) -> int:
    from wilk_audit.command import run

    return run(arguments, store())
