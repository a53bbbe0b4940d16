"""What is logged while a command runs, as lines of the program's own on stderr."""

from __future__ import annotations

import logging
import sys

from wilk.cli import text

_LEVELS = (logging.WARNING, logging.INFO, logging.DEBUG)


def show(verbose: int) -> logging.Handler:
    """Show warnings, with 1 what is worth knowing, with 2 everything; give the handler for :func:`hide`."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_Formatter(with_traces=verbose > 0))
    handler.setLevel(_LEVELS[min(verbose, 2)])
    root = logging.getLogger()
    if verbose:
        root.setLevel(handler.level)
    root.addHandler(handler)
    return handler


def hide(handler: logging.Handler) -> None:
    """Take the handler away again."""
    logging.getLogger().removeHandler(handler)


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
