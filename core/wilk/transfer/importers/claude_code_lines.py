"""The lines of one transcript of Claude Code, put together to messages and sessions."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import pairwise
from typing import TYPE_CHECKING, Any

from wilk.contracts import IncomingMessage, IncomingSession
from wilk.transfer.importers.anthropic_blocks import Answer, Turn, answers, is_call, is_result, turns
from wilk.transfer.reading import foreign
from wilk.transfer.trees import Node, tree

if TYPE_CHECKING:
    from wilk.contracts import Reading

NAME = "claude_code"
_COMMON = (
    "sessionId",
    "cwd",
    "gitBranch",
    "version",
    "userType",
    "slug",
    "entrypoint",
    "agentId",
    "isSidechain",
)
"""What is the same in nearly all lines: it is kept once, and where it is another."""
_READ = ("type", "uuid", "parentUuid", "timestamp", "message", "logicalParentUuid")
_MOST_LINES = 500
_TITLE = 80


class Line:
    """A line with an id. One that is ``passed`` over is no message; ``kept`` it is noted where it stood."""

    def __init__(
        self, number: int, fields: Mapping[str, Any], *, passed: bool = False, kept: bool = False
    ) -> None:
        self.number = number
        self.fields = fields
        self.passed = passed
        self.kept = kept
        self.id: str = fields["uuid"]
        self.message = foreign.mapping(fields.get("message"))
        content = self.message.get("content", fields.get("content"))
        self.blocks: list[Any] = (
            content if isinstance(content, list) else [{"type": "text", "text": content}]
            if isinstance(content, str) and content else []
        )  # fmt: skip
        self.at = foreign.moment(fields.get("timestamp"))

    @property
    def side(self) -> bool:
        return self.fields.get("isSidechain") is True

    @property
    def above(self) -> str | None:
        """The line that this one follows; after a compaction the last one before it."""
        for name in ("parentUuid", "logicalParentUuid"):
            if isinstance(found := self.fields.get(name), str) and found:
                return found
        return None

    @property
    def after_compaction(self) -> bool:
        return self.fields.get("subtype") == "compact_boundary" or self.fields.get("isCompactSummary") is True


class Group:
    """The lines of one message."""

    def __init__(self, line: Line) -> None:
        self.lines = [line]
        self.beside: list[Any] = []

    @property
    def id(self) -> str:
        return self.lines[0].id

    @property
    def blocks(self) -> list[Any]:
        return [block for line in self.lines for block in line.blocks]

    @property
    def calls(self) -> set[str]:
        return {str(block.get("id")) for block in self.blocks if is_call(block)}

    @property
    def results(self) -> list[str]:
        """The calls that it answers, where it is nothing but answers."""
        blocks = self.blocks
        if not blocks or not all(is_result(block) for block in blocks):
            return []
        return [str(block.get("tool_use_id")) for block in blocks]


class Session:
    """A transcript."""

    def __init__(self, key: str, reading: Reading, lines: Sequence[Line], file: str, *, whole: bool) -> None:
        self._key = key
        self._reading = reading
        self._file = file
        self._lines: dict[str, Line] = {}
        self._side: dict[str, str] = {}
        for line in lines:
            if line.id in self._lines:
                reading.warn("lines that stood twice in a transcript count once", file)
            else:
                self._lines[line.id] = line
        self._whole = whole  # a file of a subagent alone

    def sessions(
        self, title: str | None, summaries: Mapping[str, list[str]], more: Sequence[Any]
    ) -> Iterator[IncomingSession]:
        """The session, and after it those of its subagents."""
        main: list[Line] = []
        sides: dict[str, list[Line]] = {}
        for line in self._lines.values():
            if line.side and not self._whole:
                sides.setdefault(self._agent(line), []).append(line)
            else:
                main.append(line)
        told = [one for line in self._lines for one in summaries.get(line, ())]
        yield self._session(self._key, main, title or (told[-1] if told else None), told, more, None)
        for agent, lines in sides.items():
            yield self._session(foreign.key(f"{self._key}:{agent}"), lines, None, [], [], self._key)

    def _agent(self, line: Line) -> str:
        """The subagent that a line is of: by its id, in older transcripts by the line that began it."""
        if isinstance(id := line.fields.get("agentId"), str) and id:
            return f"agent-{id}"
        way: dict[str, None] = {}
        at: str | None = line.id
        root = line.id
        while at is not None and at in self._lines and self._lines[at].side and at not in way:
            if at in self._side:
                root = self._side[at]
                break
            way[at] = None
            root = at
            at = self._lines[at].above
        self._side.update(dict.fromkeys(way, root))
        return f"side-{root}"

    def _session(
        self,
        key: str,
        lines: Sequence[Line],
        title: str | None,
        summaries: Sequence[str],
        more: Sequence[Any],
        of: str | None,
    ) -> IncomingSession:
        groups, parents = self._grouped(lines)
        found = tree(Node(id, parents[id], number) for number, id in enumerate(groups))
        if found.broken:
            self._reading.warn(
                "messages that follow themselves in a circle begin a tree of their own", self._file
            )
        followed = set(found.parents.values())
        place = {id: number for number, id in enumerate(groups)}
        leaf = max((id for id in found.order if id not in followed), key=place.__getitem__, default=None)
        common = self._common(lines)
        answered: dict[str, Answer] = {}
        for group in groups.values():
            for line in group.lines:
                for call, answer in answers(line.blocks, line.at).items():
                    answered.setdefault(call, answer)
        messages: list[IncomingMessage] = []
        last: dict[str, str] = {}
        for id in found.order:
            parent = found.parents[id]
            made = self._made(groups[id], None if parent is None else last[parent], common, answered)
            messages += made
            last[id] = made[-1].key
        own: dict[str, Any] = {**common, "file": self._file}
        if of is not None:
            own["parent_session"] = of
        elif self._whole and isinstance(common.get("sessionId"), str):
            own["parent_session"] = common["sessionId"]
        if summaries:
            own["summaries"] = [*summaries]
        if more:
            own["lines"] = [*more[:_MOST_LINES]]
            if len(more) > _MOST_LINES:
                self._reading.lost("lines that are no messages", len(more) - _MOST_LINES)
        times = [line.at for line in lines if line.at is not None and not line.passed]
        return IncomingSession(
            key,
            messages,
            name=title or self._first(messages),
            leaf=None if leaf is None else last[leaf],
            model=next((one.model for one in reversed(messages) if one.model), None),
            working_directory=foreign.name(common.get("cwd")),
            metadata={NAME: foreign.apart(own)},
            created_at=min(times, default=None),
            updated_at=max(times, default=None),
        )

    # -- from lines to messages -----------------------------------------------------------

    def _grouped(self, lines: Sequence[Line]) -> tuple[dict[str, Group], dict[str, str | None]]:
        """The messages, and what each follows."""
        groups: dict[str, Group] = {}
        at: dict[str, str] = {}  # the message that each line is of
        by_message: dict[str, str] = {}
        for line in lines:
            if line.passed:
                continue
            id = line.message.get("id") if line.fields.get("type") == "assistant" else None
            if isinstance(id, str) and id in by_message:
                groups[by_message[id]].lines.append(line)
                at[line.id] = by_message[id]
                continue
            groups[line.id] = Group(line)
            at[line.id] = line.id
            if isinstance(id, str) and id:
                by_message[id] = line.id
        within = {line.id: line for line in lines}
        parents: dict[str, str | None] = {}
        before: str | None = None
        for id, group in groups.items():
            first = group.lines[0]
            parents[id] = self._above(first, within, at)
            if parents[id] is None and first.after_compaction:
                parents[id] = before
            elif parents[id] is None and first.above is not None and first.above not in within:
                self._reading.warn(
                    "messages whose parent is not in the transcript begin a tree of their own", self._file
                )
            before = id
        for line in lines:
            if line.passed and line.kept:
                under = self._above(line, within, at) or next(iter(groups), None)
                if under is not None:
                    groups[under].beside.append(foreign.kept(dict(line.fields)))
        self._chain(groups, parents)
        return groups, parents

    def _above(self, line: Line, within: Mapping[str, Line], at: Mapping[str, str]) -> str | None:
        """The message that a line follows; lines that are no messages are passed over."""
        seen = {line.id}
        above = line.above
        own = at.get(line.id)
        while above is not None and above in within and above not in seen:
            if above in at and at[above] != own:
                return at[above]
            seen.add(above)
            above = within[above].above
        return None

    def _chain(self, groups: Mapping[str, Group], parents: dict[str, str | None]) -> None:
        """Put the results of calls that ran side by side one after the other.

        Each is written as what follows its own call, which would make branches of them.
        """
        children: dict[str, list[str]] = {}
        for id in groups:
            if (parent := parents[id]) is not None:
                children.setdefault(parent, []).append(id)
        for id, group in groups.items():
            if not (calls := group.calls):
                continue
            row: list[str] = []
            done: set[str] = set()
            for child in children.get(id, ()):
                results = groups[child].results
                if results and set(results) <= calls - done:
                    row.append(child)
                    done |= set(results)
            for before, after in pairwise(row):
                parents[after] = before
                for child in children.get(before, ()):
                    parents[child] = row[-1]

    def _made(
        self,
        group: Group,
        parent: str | None,
        common: Mapping[str, Any],
        answered: Mapping[str, Answer],
    ) -> list[IncomingMessage]:
        first = group.lines[0]
        role = foreign.name(first.message.get("role")) or foreign.text(first.fields.get("type"))
        found = turns(group.blocks, group.id, role, first.at, answered) or [
            Turn(group.id, role, "", None, ())
        ]
        used = [foreign.mapping(line.message.get("usage")).get("output_tokens") for line in group.lines]
        tokens = max((count for one in used if (count := foreign.whole(one))), default=None)
        own = self._own(group, common)
        hidden = first.fields.get("isMeta") is True or first.fields.get("type") == "system"
        made = []
        for number, turn in enumerate(found):
            metadata: dict[str, Any] = {NAME: own if number == 0 else {"uuid": group.id, "part": number}}
            if hidden:
                metadata["hidden"] = True
            made.append(
                IncomingMessage(
                    turn.key,
                    turn.role,
                    turn.text,
                    parts=turn.parts,
                    parent=parent,
                    model=foreign.name(first.message.get("model")),
                    tokens=tokens if len(found) == 1 and role == "assistant" else None,
                    calls=turn.calls,
                    metadata=metadata,
                    created_at=first.at,
                )
            )
            parent = turn.key
        return made

    def _own(self, group: Group, common: Mapping[str, Any]) -> dict[str, Any]:
        """What is kept of the lines beside their messages."""
        own: dict[str, Any] = {}
        for number, line in enumerate(group.lines):
            fields = {
                name: value
                for name, value in line.fields.items()
                if name not in _READ and not (name in common and common[name] == value)
            }
            if isinstance(line.fields.get("timestamp"), str) and line.at is None:
                fields["timestamp"] = line.fields["timestamp"]
            message = foreign.rest(line.message, "content", "role", "model")
            if line.message and not isinstance(line.message.get("content"), (list, str)):
                message["content"] = line.message.get("content")
            if not isinstance(line.fields.get("message"), (dict, type(None))):
                fields["message"] = line.fields["message"]
            if message:
                fields["message"] = message
            if number == 0:
                own = {"uuid": line.id, "parent": line.fields.get("parentUuid"), **fields}
                if line.fields.get("logicalParentUuid") is not None:
                    own["logicalParentUuid"] = line.fields["logicalParentUuid"]
            else:
                changed = {name: value for name, value in fields.items() if own.get(name) != value}
                own.setdefault("joined", []).append({"uuid": line.id, **changed})
        if group.beside:
            own["beside"] = group.beside
        return foreign.apart(own)

    def _common(self, lines: Sequence[Line]) -> dict[str, Any]:
        """What the first line that has it says of all."""
        found: dict[str, Any] = {}
        for line in lines:
            for name in _COMMON:
                if name not in found and name in line.fields:
                    found[name] = foreign.kept(line.fields[name])
            if len(found) == len(_COMMON):
                break
        return found

    def _first(self, messages: Sequence[IncomingMessage]) -> str | None:
        """The beginning of what was asked first: transcripts have no title."""
        for message in messages:
            if message.role == "user" and not message.metadata.get("hidden") and message.text.strip():
                line = message.text.strip().splitlines()[0]
                return foreign.name(line if len(line) <= _TITLE else f"{line[: _TITLE - 1]}…")
        return None
