"""Steps that a plugin is led through while faults are done to it, and the process that takes them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any, NamedTuple

from wilk.errors import WilkError
from wilk.testing.faults.points import Points

Rows = dict[str, Any]
"""What there is, by what a reader would call it."""


class Step(NamedTuple):
    """One thing that a caller does, and what it changes: all of it, or nothing.

    What ``act`` returns is reported, and must have a JSON form.
    """

    name: str
    act: Callable[[Any], object]
    change: Callable[[Rows], object]


class Steps:
    """The steps of one run. ``tag`` is a word that nothing else has, so that runs do not meet.

    ``clear`` are the errors that a step may end with.
    """

    clear: tuple[type[Exception], ...] = (WilkError,)

    def __init__(self, tag: str) -> None:
        self.tag = tag
        self.gave: dict[int, Any] = {}
        self.steps = list(self.make())

    def make(self) -> Iterator[Step]:
        """The steps, in their order."""
        raise NotImplementedError

    def observe(self, subject: Any) -> Iterable[tuple[str, Any]]:
        """What there is: with every row as often as it is there."""
        raise NotImplementedError

    def again(self, subject: Any) -> None:
        """Write something beside the steps, to see that this can be done."""

    def states(self) -> list[Rows]:
        """What there must be before the first step, and after each."""
        rows: Rows = {}
        found = [dict(rows)]
        for step in self.steps:
            step.change(rows)
            found.append(dict(rows))
        return found

    def take(self, number: int, subject: Any) -> Any:
        """Take a step; return what it gave."""
        gave = self.gave[number] = self.steps[number].act(subject)
        return gave


def drive(
    job: Mapping[str, Any], report: Any, steps: Steps, opening: Callable[[], AbstractContextManager[Any]]
) -> None:
    """Take all steps in a process of its own, which may be killed, or find the disk full.

    The job has ``at``, the point at which to be killed; ``making``, whether points count while it is
    opened; ``bytes``, beyond which no file may grow, and whether that kills.
    """
    points = Points(job.get("at", 0))
    points.watch()
    if job.get("making"):
        points.start()
    with opening() as subject:
        report("open", sizes=_sizes(job.get("files")))
        if not job.get("making"):
            points.start()
        if "bytes" in job:
            _limit(job["bytes"], report, kill=job["kill"])
        for number, step in enumerate(steps.steps):
            points.step = step.name
            report("begun", step=number)
            try:
                gave = steps.take(number, subject)
            except Exception as error:
                _limit(None, report)
                clear, again = isinstance(error, steps.clear), _again(steps, subject)
                report("refused", step=number, clear=clear, error=_told(error), again=again)
                return
            report("done", step=number, gave=gave if isinstance(gave, (list, dict)) else None)
        points.stop()
        report("sizes", sizes=_sizes(job.get("files")))
        _limit(None, report)
    report("closed", points=points.seen)


def _again(steps: Steps, subject: Any) -> str:
    """Write when there is room again; return what is wrong with that."""
    try:
        steps.again(subject)
    except Exception as error:
        return _told(error)
    return ""


def _told(error: Exception) -> str:
    return f"{type(error).__name__}: {error}"


def _limit(size: int | None, report: Any, *, kill: bool = False) -> None:
    """Let no file of this process grow beyond a size: writes fail then, or end the process."""
    import resource
    import signal

    _, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    free, full = resource.RLIM_INFINITY, resource.RLIM_INFINITY if size is None else size

    def around(write: Callable[[], object]) -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (free, hard))
        write()
        resource.setrlimit(resource.RLIMIT_FSIZE, (full, hard))

    report.around = around
    signal.signal(signal.SIGXFSZ, signal.SIG_DFL if kill else signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (full, hard))


def _sizes(folder: str | None) -> dict[str, int]:
    if folder is None:
        return {}
    return {str(file): file.stat().st_size for file in Path(folder).rglob("*") if file.is_file()}
