"""How far long work is: a bar with the time that is left on a terminal, plain lines elsewhere."""

from __future__ import annotations

import sys
import time
from typing import TYPE_CHECKING

from wilk.cli.output import Output, is_terminal, terminal_width

if TYPE_CHECKING:
    from wilk.records.transfer import Progress

_TELL_EVERY = 0.1
_WIDTH = 24
_WORTH_LINES = 10_000
"""Rows from which on lines are worth their room; fewer are done before anyone has read one."""


class Bar:
    """Called with each progress of a move. With ``--json`` or ``--quiet`` it shows nothing."""

    def __init__(self, out: Output) -> None:
        self._out = out
        self._silent = out.json or out.quiet
        self._live = is_terminal(sys.stderr) and not self._silent
        self._step = ""
        self._begun = (0.0, 0)
        self._told = 0.0
        self._tenth = 0

    def __call__(self, progress: Progress) -> None:
        if self._silent or (progress.step == "writing" and not self._live):
            return
        now = time.monotonic()
        if progress.step != self._step:
            self._step, self._begun, self._told, self._tenth = progress.step, (now, progress.done), 0.0, 0
        if self._live:
            if now - self._told >= _TELL_EVERY:
                self._told = now
                self._draw(progress, now)
            return
        tenth = progress.done * 10 // progress.of if progress.of else 0
        if tenth > self._tenth and progress.of >= _WORTH_LINES:
            self._tenth = tenth
            self._out.note(f"{progress.step}: {_counted(progress)}")
            self._out.stream.flush()  # for who waits at the other end of a pipe

    def close(self) -> None:
        """Take the bar off the terminal."""
        if self._live:
            sys.stderr.write("\r\x1b[K")
            sys.stderr.flush()

    def _draw(self, progress: Progress, now: float) -> None:
        if progress.step == "writing":
            sys.stderr.write(f"\r{progress.step}: {progress.done:,} records, at {progress.kind}\x1b[K")
            sys.stderr.flush()
            return
        part = progress.done / progress.of if progress.of else 1.0
        full = round(part * _WIDTH)
        text = f"{progress.step} [{'#' * full}{'.' * (_WIDTH - full)}] {part:4.0%}"
        text += f" {_counted(progress)}{self._left(progress, now)}  {progress.kind}"
        sys.stderr.write(f"\r{text[: max(terminal_width() - 1, 10)]}\x1b[K")
        sys.stderr.flush()

    def _left(self, progress: Progress, now: float) -> str:
        """The time that the rest takes at the pace of this step so far."""
        began, before = self._begun
        done = progress.done - before
        if done <= 0 or now <= began:
            return ""
        seconds = round((now - began) / done * (progress.of - progress.done))
        minutes, seconds = divmod(seconds, 60)
        hours, minutes = divmod(minutes, 60)
        return f", {hours}:{minutes:02}:{seconds:02} left" if hours else f", {minutes}:{seconds:02} left"


def _counted(progress: Progress) -> str:
    """How much is done of how much: of what is read, bytes or rows, nobody knows here which."""
    what = "" if progress.step == "reading" else " rows"
    return f"{progress.done:,} of {progress.of:,}{what}"
