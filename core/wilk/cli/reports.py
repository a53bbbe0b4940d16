"""What a sync did, as people read it: one line per change, and errors with their places."""

from __future__ import annotations

from typing import TYPE_CHECKING

from wilk.cli.output import Output, Styled

if TYPE_CHECKING:
    from wilk.records.definitions import Change, Failure
    from wilk.store import Store

_STYLES = {"created": "green", "updated": "blue", "archived": "yellow", "restored": "green"}


def show_change(out: Output, store: Store, change: Change, *before: str) -> None:
    """Show what a change did: ``updated agents/x revision 3: model.name: gpt-4 → gpt-5``."""
    differences = "; ".join(told_differences(store, change))
    out.line(
        *before,
        Styled(change.action, _STYLES.get(change.action, "bold")),
        Styled(f"{change.kind}/{change.id}", "cyan"),
        f"revision {change.revision}{': ' if differences else ''}{differences}",
    )


def told_differences(store: Store, change: Change) -> list[str]:
    """What differs from the revision before, field by field."""
    if change.action != "updated" or change.previous is None:
        return []
    difference = store.definitions.difference(
        change.kind, change.id, old=change.previous, new=change.revision
    )
    return [str(field) for field in difference.changes]


def show_failure(out: Output, failure: Failure, *before: str) -> None:
    """Show each problem of a file with its place."""
    for problem in failure.problems:
        out.line(*before, Styled("broken", "red"), problem)
