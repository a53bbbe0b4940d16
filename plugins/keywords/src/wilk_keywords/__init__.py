"""Importance for wilk by the words that matter to a project."""

from __future__ import annotations

from typing import TYPE_CHECKING

from wilk import hookimpl

if TYPE_CHECKING:
    from wilk import Store


@hookimpl
def store_opened(store: Store) -> None:
    """Read the words from the settings, so that a fault in them is told at once."""
    from wilk_keywords.words import words_of

    words_of(store)


@hookimpl
def score_importance(store: Store, text: str, score: float) -> float | None:
    """Add what the words in the text count; without any of them others may score."""
    from wilk_keywords.words import words_of

    added = words_of(store).weight(text)
    return None if added == 0 else min(1.0, max(0.0, round(score + added, 6)))
