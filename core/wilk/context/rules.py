"""Rules: why something is in a context or not, and what to tell people about it."""

from __future__ import annotations

SYSTEM_ARGUMENT = "system_argument"
SYSTEM_PERSONA = "system_persona"
SYSTEM_AGENT = "system_agent"
LEADING = "leading"
BLOCK = "block"
PIN = "pin"
NEWEST = "newest"
RECENT = "recent"
SUMMARY = "summary"
IMPORTANT = "important"
RELEVANT = "relevant"

NO_ROOM = "no_room"
NOT_CHOSEN = "not_chosen"
NOT_REACHED = "not_reached"
SUMMARIZED = "summarized"
IN_FULL = "in_full"
ORPHAN_RESULT = "orphan_result"
CALL_UNANSWERED = "call_unanswered"
RESULT_LEFT_OUT = "result_left_out"

SENTENCES = {
    SYSTEM_ARGUMENT: "the system prompt that was given",
    SYSTEM_PERSONA: "the persona's prompt",
    SYSTEM_AGENT: "the agent's system prompt",
    LEADING: "a system message at the beginning of the session",
    BLOCK: "working memory",
    PIN: "pinned",
    NEWEST: "the turn to answer",
    RECENT: "among the newest that fit",
    SUMMARY: "stands for older messages",
    IMPORTANT: "older, with importance of at least 0.8",
    RELEVANT: "older, and found by the query",
    NO_ROOM: "it did not fit into what was left of the budget",
    NOT_CHOSEN: "the strategy looked at it and did not take it",
    NOT_REACHED: "older than what the budget reached",
    SUMMARIZED: "a summary stands for it",
    IN_FULL: "messages of its range are there themselves",
    ORPHAN_RESULT: "a tool's result whose call is not there, or too far back",
    CALL_UNANSWERED: "a tool's call that was never answered",
    RESULT_LEFT_OUT: "a tool's call whose result could not be taken",
}


def sentence(rule: str) -> str:
    """What a rule says; a plugin's rule stands for itself."""
    return SENTENCES.get(rule, rule)
