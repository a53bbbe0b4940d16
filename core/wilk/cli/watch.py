"""``wilk watch``: follow the definition files as they are edited."""

from __future__ import annotations

import signal
import threading
from datetime import datetime
from types import FrameType
from typing import TYPE_CHECKING

from wilk.cli.output import Output, Styled, as_json
from wilk.cli.parsing import Verb
from wilk.cli.reports import show_change, show_failure, told_differences

if TYPE_CHECKING:
    from wilk.cli.context import Context
    from wilk.records.definitions import SyncReport
    from wilk.store import Store

_TURN = 0.5
"""Seconds between looks at whether the watcher is still alive."""


def commands() -> Verb:
    """The command."""
    return Verb(_watch, "follow the definition files until Ctrl-C: a line per change, clear errors")


def _watch(context: Context) -> int:
    """Watch until SIGINT (gives 130) or SIGTERM (143), or until nobody reads the output any more."""
    ended = threading.Event()
    received: list[int] = []

    def stop(number: int, _: FrameType | None) -> None:
        received.append(number)
        ended.set()

    store = context.store
    reporter = _Reporter(context.out, store, ended)
    earlier = {number: signal.signal(number, stop) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        watcher = store.watch(reporter.report)
        reporter.began(watcher.mode)
        while not ended.wait(_TURN) and watcher.alive:
            reporter.tell_mode(watcher.mode)
        watcher.stop()
    finally:
        for number, handler in earlier.items():
            signal.signal(number, handler)
    if reporter.closed:
        raise BrokenPipeError
    return 128 + received[0] if received else 1


class _Reporter:
    """Tells what each sync did, on whatever thread it ran; every line is written at once."""

    def __init__(self, out: Output, store: Store, ended: threading.Event) -> None:
        self._out = out
        self._store = store
        self._ended = ended
        self._broken: dict[str, tuple[str, ...]] = {}
        self._mode = ""
        self.closed = False

    def began(self, mode: str) -> None:
        self._mode = mode
        home = None if self._store.home is None else str(self._store.home)
        if self._out.json:
            self._tell({"event": "watching", "home": home, "mode": mode})
        else:
            self._out.note(f"watching {self._watched()} ({mode}); Ctrl-C ends")
        self._flush()

    def _watched(self) -> str:
        watched = [] if self._store._followed is None else ["the files of the store"]
        if self._store.home is not None:
            watched.append(str(self._store.home))
        return " and ".join(watched) or "what other stores change"

    def tell_mode(self, mode: str) -> None:
        """Tell when changes are noticed in another way than before."""
        if mode != self._mode:
            self.began(mode)

    def report(self, report: SyncReport) -> None:
        try:
            self._report(report)
            self._flush()
        except BrokenPipeError:
            self.closed = True
            self._ended.set()

    def _report(self, report: SyncReport) -> None:
        now = datetime.now().astimezone()
        stamp = Styled(f"{now:%H:%M:%S}", "dim")
        for change in report.changes:
            if self._out.json:
                self._tell(
                    {
                        "event": change.action,
                        **change._asdict(),
                        "differences": told_differences(self._store, change),
                    }
                )
            else:
                show_change(self._out, self._store, change, stamp)
        broken = {failure.path: failure for failure in report.failures}
        for path, failure in broken.items():
            if self._broken.get(path) != failure.problems:
                if self._out.json:
                    self._tell({"event": "broken", **failure._asdict()})
                else:
                    show_failure(self._out, failure, stamp)
        for path in self._healed():
            if self._out.json:
                self._tell({"event": "healed", "path": path})
            else:
                self._out.line(stamp, Styled("healed", "green"), path)
        self._broken.update({path: failure.problems for path, failure in broken.items()})

    def _healed(self) -> list[str]:
        """Files that were broken and are not any more: a report tells only of those it looked at."""
        broken: set[str] = set()
        if self._broken:
            broken |= {file.path for file in self._store.definitions.files() if file.state == "broken"}
            if self._store._followed is not None:
                broken.update(self._store._followed.broken())
        healed = [path for path in self._broken if path not in broken]
        for path in healed:
            del self._broken[path]
        return healed

    def _tell(self, event: dict[str, object]) -> None:
        time = datetime.now().astimezone().isoformat(timespec="milliseconds")
        self._out.json_line({"time": time, **as_json(event)})

    def _flush(self) -> None:
        self._out.stream.flush()
