"""Summaries for wilk by a model behind any endpoint that speaks the protocol of OpenAI."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from wilk import hookimpl

if TYPE_CHECKING:
    from wilk import Message, Store


@hookimpl
def summarize(store: Store, messages: Sequence[Message], longest: int) -> str | None:
    """Ask the model that ``config.yaml`` names; None, so that wilk summarizes itself, if that fails."""
    section = store.settings.plugins.get("openai")
    if not section:
        return None
    from wilk_openai.summaries import summary  # the HTTP library is imported when it is used

    return summary(store, section, messages, longest)
