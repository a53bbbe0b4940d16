"""``wilk demo``: what wilk does, shown on real files in a folder of its own."""

from __future__ import annotations

import json
import queue
import time
from collections.abc import Callable
from importlib.resources import files
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import TYPE_CHECKING

from wilk.cli.output import Output, Styled, moment, word
from wilk.cli.parsing import UsageError, Verb
from wilk.errors import Conflict, WilkError

if TYPE_CHECKING:
    from wilk.cli.context import Context
    from wilk.records.conversation import Session
    from wilk.records.definitions import Agent, SyncReport
    from wilk.store import Store

FOLDER = "wilk-demo"
AGENT = "code-analyzer"
_MARK = ".wilk-demo"
_PATIENCE = 15.0
"""Seconds until the demo gives up waiting for the watcher."""


def commands() -> Verb:
    """The command."""
    return Verb(
        _demo, f"show what wilk does with real files, in ./{FOLDER} or --home DIR; it leaves the folder"
    )


def _demo(context: Context) -> None:
    from wilk.settings import load
    from wilk.store import open_store

    if context.out.json:
        raise UsageError("the demo is for people; `wilk agents list --json` is for programs")
    home = Path(context.home or FOLDER).absolute()
    begun = time.perf_counter()
    _make(home)
    # Whatever WILK_URL says, the demo stays in its folder.
    settings = load(home=home, url=f"sqlite:///{home / 'wilk.db'}", readonly=False)
    reports: queue.SimpleQueue[SyncReport] = queue.SimpleQueue()
    with open_store(settings=settings) as store:
        watcher = store.watch(reports.put)
        show = _Show(context.out, store, reports, home / "agents" / AGENT / "agent.yaml")
        show.folder(home, watcher.mode)
        show.agent()
        session = _keep_conversation(store)
        show.conversation(session)
        show.edit("version: 1.2.0", "version: 1.3.0", "temperature: 0.1", "temperature: 0.3")
        show.broken_edit("temperature: 0.3", "temperature: warm")
        show.healing_edit("temperature: warm", "temperature: 0.2")
        watcher.stop()
    at = f"--home {_quoted(home)}"
    if load(home=home).origins.get("url"):  # which the commands to come would follow
        at += f" --url {_quoted(settings.url)}"
    show.farewell(at, session, time.perf_counter() - begun)


def _make(home: Path) -> None:
    """Make the folder from the samples. Raises Conflict for a folder that holds something else."""
    from wilk.cli.init import make_home
    from wilk.files import private_folder, write_atomic

    if home.exists() and not home.is_dir():
        raise Conflict(f"{home} is no folder; name another one with --home DIR")
    if home.is_dir() and any(home.iterdir()) and not (home / _MARK).exists():
        raise Conflict(f"{home} is not empty, and no former demo; name another folder with --home DIR")
    private_folder(home)
    write_atomic(home / _MARK, b"`wilk demo` made this folder, and may write over what it made.\n")
    make_home(home)
    for path, sample in _samples(files("wilk.cli") / "samples" / "home"):
        write_atomic(home / path, sample.read_bytes())


def _samples(folder: Traversable, path: Path = Path()) -> list[tuple[Path, Traversable]]:
    found: list[tuple[Path, Traversable]] = []
    for entry in sorted(folder.iterdir(), key=lambda entry: entry.name):
        found += _samples(entry, path / entry.name) if entry.is_dir() else [(path / entry.name, entry)]
    return found


def _keep_conversation(store: Store) -> Session:
    """Keep the sample conversation as a session, with its tool call, in one transaction."""
    sample = (files("wilk.cli") / "samples" / "conversation.jsonl").read_text(encoding="utf-8")
    lines = [json.loads(line) for line in sample.splitlines()]
    with store.transaction():
        session = store.sessions.create(name="the slow login", agents=[AGENT], persona="reviewer", saved=True)
        calls = [line.pop("tool", None) for line in lines]
        messages = store.messages.extend(session.id, lines)
        for message, call in zip(messages, calls, strict=True):
            if call is not None:
                started = store.tool_calls.start(
                    session.id, call["name"], call["arguments"], message=message.id, agent=message.agent_id
                )
                store.tool_calls.finish(started.id, result=call["result"])
        store.sessions.use(session.id)
    return store.sessions.get(session.id)


class _Show:
    """The steps. What they show is read back from the store."""

    def __init__(
        self, out: Output, store: Store, reports: queue.SimpleQueue[SyncReport], agent_file: Path
    ) -> None:
        self._out = out
        self._store = store
        self._reports = reports
        self._agent_file = agent_file
        self._step = 0

    def folder(self, home: Path, mode: str) -> None:
        self._title(f"A home folder: {home}")
        for file in self._store.definitions.files():
            self._out.line(Styled(file.state, "green"), file.path, indent="   ")
        self._out.line(Styled(f"A watcher follows these files ({mode}).", "dim"), indent="   ")

    def agent(self) -> None:
        self._title("The row that follows agents/code-analyzer/agent.yaml")
        self._row(self._store.agents.get(AGENT))

    def conversation(self, session: Session) -> None:
        kept = f"{session.message_count} messages, {'kept for good' if session.saved else 'temporary'}"
        self._title(f"A conversation: session {session.id} ({session.name}), {kept}")
        rows = [
            [
                str(message.sequence),
                message.role,
                f"{message.importance:.1f}",
                str(message.tokens),
                message.text,
            ]
            for message in self._store.messages.last(session.id)
        ]
        self._out.table(
            ["NO", "ROLE", "IMPORTANCE", "TOKENS", "TEXT"], [_short(row) for row in rows], right=[0, 2, 3]
        )
        for call in self._store.tool_calls.list(session.id):
            self._out.line(
                "tool call", Styled(call.name, "cyan"), f"({word(call.arguments)}):", word(call.result)
            )

    def edit(self, *replacements: str) -> None:
        """Edit the agent's file as an editor does, and show what became of it."""
        self._title("An edit, as an editor saves it: a temporary file, renamed over the old one")
        before = self._store.agents.get(AGENT)
        saved = self._save(*replacements)
        self._await_revision_after(before)
        took = time.perf_counter() - saved
        after = self._store.agents.get(AGENT)
        self._row(after)
        self._differences(before, after)
        self._out.line(Styled(f"{took * 1000:.0f} ms from the save to the row", "dim"), indent="   ")

    def broken_edit(self, *replacements: str) -> None:
        """Break the file, and show the error and the row that stands."""
        self._title("A broken edit")
        self._save(*replacements)
        report = self._await(lambda report: any(failure.id == AGENT for failure in report.failures))
        for failure in report.failures:
            for problem in failure.problems:
                self._out.line(Styled(problem, "red"), indent="   ")
        agent = self._store.agents.get(AGENT)
        kept = agent.definition["model"]["parameters"]["temperature"]
        self._out.line(
            f"The row keeps its last good content: revision {agent.revision}, temperature {kept}.",
            indent="   ",
        )

    def healing_edit(self, *replacements: str) -> None:
        """Mend the file, and show that it is taken over again."""
        self._title("The next good save heals it")
        before = self._store.agents.get(AGENT)
        self._save(*replacements)
        self._await_revision_after(before)
        after = self._store.agents.get(AGENT)
        state = next(file.state for file in self._store.definitions.files("agents") if file.id == AGENT)
        self._out.line(Styled(state, "green"), f"agents/{AGENT}, revision {after.revision}", indent="   ")
        self._differences(before, after)

    def farewell(self, at: str, session: Session, seconds: float) -> None:
        out = self._out
        out.line()
        out.line(Styled(f"All of this took {seconds:.1f} s. The folder stays. To look around:", "bold"))
        for command, told in (
            (f"wilk agents list {at}", "the agents"),
            (f"wilk agents history {AGENT} --diff {at}", "what the last edit changed"),
            (f"wilk sessions show {session.id} {at}", "the conversation"),
            (f"wilk search login {at}", "find what was said by its words"),
            (f"wilk prompts render code-review language=Python diff=… {at}", "fill in a prompt"),
            (f"wilk watch {at}", f"then edit {self._agent_file}"),
            ("wilk init", "a home folder of your own, in ~/.wilk"),
        ):
            out.line(Styled(command, "cyan"), indent="   ")
            out.line(Styled(told, "dim"), indent="      ")

    def _title(self, text: str) -> None:
        self._step += 1
        self._out.line()
        self._out.line(Styled(f"{self._step}.", "green"), Styled(text, "bold"))
        self._out.stream.flush()

    def _row(self, agent: Agent) -> None:
        cells = [
            agent.id,
            agent.version or "",
            agent.model or "",
            str(agent.revision),
            moment(agent.updated_at, seconds=True),
        ]
        self._out.table(
            ["ID", "VERSION", "MODEL", "REVISION", "UPDATED"], [[Styled(cells[0], "cyan"), *cells[1:]]]
        )

    def _differences(self, before: Agent, after: Agent) -> None:
        difference = self._store.definitions.difference(
            "agents", AGENT, old=before.revision, new=after.revision
        )
        for change in difference.changes:
            self._out.line(Styled(str(change), "yellow"), indent="   ")

    def _save(self, *replacements: str) -> float:
        """Replace text in the agent's file by way of a temporary file; give the time of the rename."""
        file = self._agent_file
        text = file.read_text(encoding="utf-8")
        for old, new in zip(replacements[::2], replacements[1::2], strict=True):
            text = text.replace(old, new)
            self._out.line(Styled("saved", "dim"), new, indent="   ")
        temporary = file.with_name(".agent.yaml.swp")
        temporary.write_text(text, encoding="utf-8")
        saved = time.perf_counter()
        temporary.replace(file)
        return saved

    def _await_revision_after(self, before: Agent) -> None:
        self._await(
            lambda report: any(
                (change.kind, change.id) == ("agents", AGENT) and change.revision > before.revision
                for change in report.changes
            )
        )

    def _await(self, seen: Callable[[SyncReport], bool]) -> SyncReport:
        """Wait until the watcher reports what is expected."""
        deadline = time.monotonic() + _PATIENCE
        while True:
            try:
                report = self._reports.get(timeout=max(deadline - time.monotonic(), 0))
            except queue.Empty:
                raise WilkError(
                    f"the watcher saw nothing for {_PATIENCE:g} s; `wilk watch -v` may tell why"
                ) from None
            if seen(report):
                return report


def _short(row: list[str]) -> list[str]:
    *others, text = row
    return [*others, text if len(text) <= 100 else text[:99] + "…"]


def _quoted(path: object) -> str:
    from shlex import quote

    return quote(str(path))
