"""What a message costs beyond its text, and how much of a budget live messages may take."""

from __future__ import annotations

OVERHEAD = 4
"""Tokens of each message beyond its text: its role, and what separates it from the next."""
FULL = 0.75
"""The part of a session's budget that its live messages may take: what ``hybrid`` leaves them beside
summaries and its buffer, so that turns are compacted before contexts have to leave them out."""


def is_full(messages: int, tokens: int, max_tokens: int) -> bool:
    """Whether so many messages, of so many tokens of text in all, are too much for a budget."""
    return tokens + OVERHEAD * messages > max_tokens * FULL
