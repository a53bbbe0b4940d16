"""Writes conversations as Markdown: a file each, with an index, for people to read.

What somebody wrote stays what it was: a text that would be taken for a heading, a rule or HTML stands in a
fence that is longer than any in it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from datetime import datetime
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO
from urllib.parse import quote

from wilk import models
from wilk.errors import Invalid
from wilk.transfer.exporters.markdown_parts import details, inline, quoted, shown_parts, text_block

if TYPE_CHECKING:
    from wilk.contracts import Choice, Writing
    from wilk.records.conversation import BranchMessage, Message, Session, ToolCall
    from wilk.store import Store

_PAGE = 200
_MOST_CALLS = 100_000
_LONGEST_NAME = 80  # bytes, which is what file systems count


def write(store: Store, target: Path, choice: Choice, writing: Writing) -> None:
    """Write a folder, or, of one session where the name ends in ``.md``, a file."""
    with store._engine.snapshot():
        ids = _sessions(store, choice)
        if target.suffix == ".md":
            if len(ids) != 1:
                raise Invalid(
                    f"{len(ids)} conversations do not go into one file: name a folder, or one session"
                )
            Conversation(store, store.sessions.get(ids[0]), writing).write(target)
            return
        target.mkdir(mode=0o700)
        with _opened(target / "index.md") as index:
            index.write(f"# Conversations\n\n{len(ids):,} in all, the latest first.\n\n")
            for id in ids:
                session = store.sessions.get(id)
                name = file_name(session)
                Conversation(store, session, writing).write(target / name)
                about = [f"{session.created_at:%Y-%m-%d}", f"{session.message_count:,} messages"]
                about += [inline(agent) for agent in session.active_agents]
                index.write(f"- [{title(session)}]({quote(name)}) ({', '.join(about)})\n")


def file_name(session: Session) -> str:
    """The name of a session's file: its day, its name, and what tells it from all others."""
    wanted = "".join(c if c.isalnum() else "-" for c in session.name or "conversation")
    wanted = "-".join(part for part in wanted.split("-") if part)
    short = wanted.encode("utf-8", "ignore")[:_LONGEST_NAME].decode("utf-8", "ignore").strip("-")
    mark = sha256(session.id.encode("utf-8", "surrogatepass")).hexdigest()[:10]
    return "-".join(part for part in (f"{session.created_at:%Y-%m-%d}", short, mark) if part) + ".md"


def title(session: Session) -> str:
    """The name of a session in a heading or a link."""
    return inline(session.name or "Unnamed conversation")


def _sessions(store: Store, choice: Choice) -> list[str]:
    if choice.sessions is not None:
        return list(dict.fromkeys(choice.sessions))
    session: Any = models.Session
    query = session.select(session.id).order_by(session.created_at.desc(), session.id.desc())
    if choice.user is not None:
        query = query.where(session.user == choice.user)
    return [id for (id,) in store._engine.select(query)]


def _opened(file: Path) -> TextIO:
    # Lone surrogates are no text for a file; they are shown as escapes.
    opened = file.open("x", encoding="utf-8", errors="backslashreplace", newline="")
    file.chmod(0o600)
    return opened


class Conversation:
    """One session on its way into a file."""

    def __init__(self, store: Store, session: Session, writing: Writing) -> None:
        self._store = store
        self._session = session
        self._writing = writing
        self._calls: dict[str | None, list[ToolCall]] = {}
        for call in reversed(store.tool_calls.list(session.id, limit=_MOST_CALLS)):
            self._calls.setdefault(call.message_id, []).append(call)

    def write(self, file: Path) -> None:
        """Write all of it."""
        with ExitStack() as closing:
            out = closing.enter_context(_opened(file))
            out.write(self._front_matter())
            out.write(f"# {title(self._session)}\n")
            if self._session.recap:
                out.write(f"\n## So far\n\n{text_block(self._session.recap)}\n")
            for number, message in enumerate(self._messages(), 1):
                self._message(out, message, f"{number}. ")
            for call in self._calls.get(None, []):
                out.write(f"\n{_call(call)}\n")
            self._pins(out)
            self._summaries(out)
            self._branches(out)
        self._writing.count("sessions")

    def _front_matter(self) -> str:
        one = self._session
        values: dict[str, Any] = {
            "id": one.id, "name": one.name, "created_at": _moment(one.created_at),
            "updated_at": _moment(one.updated_at), "status": one.status, "agents": list(one.active_agents),
            "persona": one.persona_id, "model": one.model, "user": one.user_id, "group": one.group_id,
            "working_directory": one.working_directory, "fork_of": one.fork_of,
            "messages": one.message_count, "tokens": one.token_count,
        }  # fmt: skip
        lines = [f"{name}: {quoted(value)}" for name, value in values.items() if value not in (None, [])]
        if one.metadata:
            self._writing.lost("sessions.metadata")
        return "\n".join(["---", *lines, "---", "", ""])

    def _messages(self) -> Iterator[Message]:
        after = 0
        while page := self._store.messages.page(self._session.id, after=after, limit=_PAGE):
            yield from page
            after = page[-1].sequence

    def _message(self, out: TextIO, message: Message | BranchMessage, number: str = "") -> None:
        about = ", ".join(inline(one) for one in (message.agent_id, message.model) if one)
        out.write(f"\n## {number}{inline(message.role)}{f' ({about})' if about else ''}\n\n")
        out.write(f"*{_moment(message.created_at)}*\n")
        if message.text:
            if message.role == "tool":
                out.write(f"\n{details('Result', text_block(message.text, raw=True))}\n")
            else:
                out.write(f"\n{text_block(message.text)}\n")
            if "\0" in message.text:
                self._writing.lost("messages.text: NUL")
        told: set[str] = set()
        for part in shown_parts(message, told, self._writing.lost):
            out.write(f"\n{part}\n")
        for call in self._calls.get(message.id, []):
            if call.call_id not in told:
                out.write(f"\n{_call(call)}\n")
        if any(name not in ("tool_calls", "tool_call_id") for name in message.metadata):
            self._writing.lost("messages.metadata")
        self._writing.count("messages")

    def _pins(self, out: TextIO) -> None:
        pins = self._store.pins.list(self._session.id)
        if pins:
            out.write("\n## Pins\n")
        for pin in pins:
            out.write(f"\n### {inline(pin.type)}\n\n{text_block(pin.content)}\n")
        self._writing.count("pins", len(pins))

    def _summaries(self, out: TextIO) -> None:
        summaries = self._store.summaries.list(self._session.id)
        if summaries:
            out.write("\n## Summaries\n")
        for one in summaries:
            out.write(
                f"\n### Messages {one.first_sequence} to {one.last_sequence}\n\n{text_block(one.text)}\n"
            )
        self._writing.count("summaries", len(summaries))

    def _branches(self, out: TextIO) -> None:
        """What is not on the visible branch, each message once, behind the one that it follows."""
        written: set[str] = set()
        branches: Sequence[Any] = self._store.branches.list(self._session.id)
        if branches:
            out.write("\n## Other branches\n")
        for branch in reversed(branches):
            way = self._store.branches.messages(self._session.id, branch.leaf_id)
            new = [one for one in way[-branch.messages :] if one.id not in written]
            before = new[0].parent_id if new else None
            sequence = next((getattr(one, "sequence", None) for one in way if one.id == before), None)
            where = (
                "a beginning of its own" if before is None else f"after message {sequence or inline(before)}"
            )
            out.write(f"\n### Branch: {where}\n")
            for message in new:
                self._message(out, message, "Branch: ")
                written.add(message.id)
        self._writing.count("branches", len(branches))


def _call(call: ToolCall) -> str:
    told = [text_block(quoted(call.arguments, indent=True), raw=True, language="json")]
    if call.error:
        told.append("Error:\n\n" + text_block(call.error, raw=True))
    elif call.result is not None:
        result = call.result if isinstance(call.result, str) else quoted(call.result, indent=True)
        told.append("Result:\n\n" + text_block(result, raw=True))
    return details(f"Tool call: {call.name} ({call.status})", "\n\n".join(told))


def _moment(moment: datetime) -> str:
    return moment.isoformat(sep=" ", timespec="seconds").replace("+00:00", " UTC")
