"""Messages and tool calls as people read them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from wilk.cli.output import Output, Styled, moment, word

if TYPE_CHECKING:
    from wilk.records.conversation import BranchMessage, Message, ToolCall

_ROLE_STYLES = {
    "user": "green",
    "assistant": "blue",
    "system": "yellow",
    "developer": "yellow",
    "tool": "cyan",
}
STATUS_STYLES = {"ok": "green", "error": "red", "running": "yellow"}


def show_messages(out: Output, messages: Sequence[Message | BranchMessage]) -> None:
    """Show each message: a line about it, then its text."""
    for message in messages:
        about = f"{moment(message.created_at)}  importance {message.importance:g}  {message.tokens} tokens"
        if message.agent_id:
            about += f"  agent {message.agent_id}"
        out.line()
        out.line(
            Styled(f"{getattr(message, 'sequence', '·'):>3}", "dim"),
            Styled(message.role, _ROLE_STYLES.get(message.role, "bold")),
            Styled(f" {about}", "dim"),
        )
        if message.text:
            out.lines(message.text, indent="    ")
        if message.parts:
            out.line(Styled(f"({len(message.parts)} parts; --json shows them)", "dim"), indent="    ")


def show_tool_calls(out: Output, calls: Sequence[ToolCall]) -> None:
    """Show tool calls, the first of them first."""
    if not calls:
        return
    out.line()
    for call in reversed(calls):
        took = "" if call.duration is None else f"{call.duration:.3g} s"
        out.line(
            Styled("tool", "dim"),
            Styled(call.name, "cyan"),
            f"({_short(call.arguments)})",
            Styled(call.status, STATUS_STYLES.get(call.status, "bold")),
            Styled(took, "dim"),
            call.error or _short(call.result),
        )


def _short(value: object) -> str:
    shown = word(value)
    return shown if len(shown) <= 60 else shown[:59] + "…"
