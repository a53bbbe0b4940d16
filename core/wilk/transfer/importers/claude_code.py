"""Claude Code's transcripts: a ``.jsonl`` file per session, a line per event.

A file is a session. One message of the API that was written in several lines is one message here; results of
tools are messages of their own; what a subagent did is a session of its own. Lines that are no messages are
passed over where others follow them.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

from wilk import codec
from wilk.contracts import Incoming, IncomingRecord
from wilk.errors import Invalid, WilkError
from wilk.transfer.importers.claude_code_lines import NAME, Line, Session
from wilk.transfer.reading import foreign
from wilk.transfer.reading.outlines import outline

if TYPE_CHECKING:
    from wilk.contracts import Reading
    from wilk.transfer.reading.sources import Source, SourceFile

WANTED = "transcripts of Claude Code: a .jsonl file below ~/.claude/projects, or a folder of them"
_LOOKED_AT = 50
_LARGEST_MEMORY = 2**20
_MESSAGES = ("user", "assistant", "system")
_BULK = ("progress", "file-history-snapshot", "queue-operation", "last-prompt")
"""Lines that tell how Claude Code ran, and not what was said."""
_TITLES = {"custom-title": "customTitle", "ai-title": "aiTitle"}


def recognize(source: Source) -> str | None:
    files = _transcripts(source)
    if not any(_is_one(file) for file in files[:_LOOKED_AT]):
        return None
    return f"Claude Code transcripts, {len(files)} file{'s' if len(files) > 1 else ''}"


def read(source: Source, reading: Reading) -> Iterable[Incoming]:
    files = _transcripts(source)
    if recognize(source) is None:
        raise Invalid(f"{source.text} holds no transcripts: it is {source.describe()}. Wanted: {WANTED}")
    course = foreign.Course(reading, files)
    summaries = _summaries(files)
    taken: set[str] = set()
    for file in files:
        yield from _sessions(file, reading, summaries, taken)
        course.passed(file)
    transcripts = {file.name for file in files}
    for file in source.files:
        if file.name in transcripts:
            continue
        if (memory := _memory(file)) is not None:
            yield memory
        else:
            reading.skip("document", file.name, "files that are no transcripts")


def _memory(file: SourceFile) -> IncomingRecord | None:
    """What Claude Code noted for itself on a project: a Markdown file in the project's folder ``memory``."""
    whole = file.name if file.path is None else file.path.absolute().as_posix()
    *_, project, folder, base = ("", "", *whole.split("/"))
    if folder != "memory" or not base.endswith(".md") or file.size > _LARGEST_MEMORY:
        return None
    with file.open() as opened:
        content = opened.read().decode("utf-8-sig", errors="surrogateescape")
    if not content.strip():
        return None
    told = {"project": project, "file": file.name}
    values = {"kind": "claude-code", "content": content, "data": None, "metadata": {NAME: told}}
    return IncomingRecord("memory", foreign.key(f"{project}/{base}"), values)


def _transcripts(source: Source) -> list[SourceFile]:
    if source.url is not None:
        return []
    found = source.find("*.jsonl", "*.jsonl.gz")
    return found or ([source.only] if source.only is not None else [])


def _is_one(file: SourceFile) -> bool:
    paths = outline(file)
    return {"parentUuid", "sessionId"} <= paths.keys() or (
        {"leafUuid", "summary"} <= paths.keys() and paths.get("type") == "text"
    )


def _summaries(files: list[SourceFile]) -> dict[str, list[str]]:
    """What summary lines call the conversations that end with a message; they may lie in other files."""
    found: dict[str, list[str]] = {}
    for file in files:
        with file.open() as lines:
            for raw in lines:
                if b'"leafUuid"' not in raw or b'"summary"' not in raw:
                    continue
                try:
                    line = codec.foreign(raw)
                except WilkError:
                    continue
                if isinstance(line, dict) and line.get("type") == "summary":
                    told = foreign.name(line.get("summary"))
                    if told and isinstance(line.get("leafUuid"), str):
                        found.setdefault(line["leafUuid"], []).append(told)
    return found


def _sessions(
    file: SourceFile, reading: Reading, summaries: Mapping[str, list[str]], taken: set[str]
) -> Iterator[Incoming]:
    """The session of a file, and those of its subagents."""
    stem = file.name.rsplit("/", 1)[-1].removesuffix(".gz").removesuffix(".jsonl")
    lines: list[Line] = []
    titles: dict[str, str] = {}
    more: list[Any] = []
    ids: dict[str, None] = {}
    for number, line in _lines(file, reading):
        kind = foreign.text(line.get("type"))
        if isinstance(id := line.get("sessionId"), str) and id:
            ids.setdefault(id)
        if kind in _MESSAGES and isinstance(line.get("uuid"), str):
            lines.append(Line(number, line))
        elif kind in _BULK:
            reading.lost(f"lines of type {kind}")
            if isinstance(line.get("uuid"), str):
                lines.append(Line(number, line, passed=True))
        elif kind in _TITLES:
            if title := foreign.name(line.get(_TITLES[kind])):
                titles[kind] = title
        elif isinstance(line.get("uuid"), str):
            lines.append(Line(number, line, passed=True, kept=True))
        elif kind != "summary":
            more.append(foreign.kept(line))
    if not lines and not more:
        return
    whole = all(line.side for line in lines if not line.passed) and any(not line.passed for line in lines)
    named = stem if stem in ids or whole or not ids else next(iter(ids))
    main = Session(_free(named, file, taken), reading, lines, file.name, whole=whole)
    title = titles.get("custom-title") or titles.get("ai-title")
    yield from main.sessions(title, summaries, more)


def _free(wanted: str, file: SourceFile, taken: set[str]) -> str:
    """The key of a session; a copy of a transcript under another name is a session of its own."""
    key = foreign.key(wanted)
    if key in taken:
        key = foreign.key(f"{wanted}:{file.name}")
    taken.add(key)
    return key


def _lines(file: SourceFile, reading: Reading) -> Iterator[tuple[int, dict[str, Any]]]:
    with file.open() as lines:
        for number, raw in enumerate(lines, 1):
            if not raw.strip():
                continue
            try:
                line = codec.foreign(raw)
            except WilkError as error:
                if not raw.endswith(b"\n"):
                    reading.warn(
                        "the last line of a transcript is cut off; import it again when it is whole",
                        file.name,
                    )
                else:
                    reading.fail("messages", f"{file.name}:{number}", f"the line is no JSON: {error}")
                continue
            if isinstance(line, dict):
                yield number, line
            else:
                reading.fail("messages", f"{file.name}:{number}", "the line is no object")
