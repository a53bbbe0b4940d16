"""What is logged while a command runs, as lines of the program's own on stderr."""

from __future__ import annotations

import logging
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from wilk.cli import text

_LEVELS = (logging.WARNING, logging.INFO, logging.DEBUG)


class Lines:
    """Shows warnings on stderr until :meth:`close`; with ``verbose`` 1 what is worth knowing, with 2 all."""

    def __init__(self, verbose: int) -> None:
        self._root = logging.getLogger()
        self._level = self._root.level
        self._handler = logging.StreamHandler(sys.stderr)
        self._handler.setFormatter(_Formatter(with_traces=verbose > 0))
        self._handler.setLevel(_LEVELS[min(verbose, 2)])
        self._root.addHandler(self._handler)
        if verbose:
            self._root.setLevel(self._handler.level)

    def close(self) -> None:
        self._root.removeHandler(self._handler)
        self._root.setLevel(self._level)


@contextmanager
def silenced(name: str) -> Iterator[None]:
    """Let one logger tell nothing but errors for a while."""
    logger = logging.getLogger(name)
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        logger.setLevel(level)


class _Formatter(logging.Formatter):
    """``wilk: warning: …``; tracebacks are for those who asked for more."""

    def __init__(self, *, with_traces: bool) -> None:
        super().__init__()
        self._with_traces = with_traces

    def format(self, record: logging.LogRecord) -> str:
        line = f"wilk: {record.levelname.lower()}: {text.one_line(record.getMessage())}"
        if record.exc_info and record.exc_info[1] is not None:
            if self._with_traces:
                return f"{line}\n{self.formatException(record.exc_info)}"
            line += f" ({text.one_line(repr(record.exc_info[1]))}; -v shows more)"
        return line
