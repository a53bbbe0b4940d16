"""The command line: ``wilk NOUN VERB …``.

Nothing is imported here that ``wilk --version`` does not need; a noun's module is imported when
the noun is used.
"""

from __future__ import annotations

import sys


def main(argv: list[str] | None = None) -> int:
    """Run a command and return its exit code.

    0: done; 1: it failed, or found something wrong; 2: it was not understood; 130: Ctrl-C;
    141: whoever read the output had enough. Without ``argv`` this is the program itself: it takes
    the process's arguments, and ends the process.
    """
    arguments = sys.argv[1:] if argv is None else argv
    if arguments in (["--version"], ["-V"]):
        from wilk import __version__

        print(f"wilk {__version__}")
        return 0
    if argv is not None:
        from wilk.cli.program import run

        return run(arguments)

    import gc

    # What a command allocates, it keeps: collecting takes a tenth of its time and finds nothing.
    gc.set_threshold(100_000, 50, 100)

    from wilk.cli.program import leave, run

    return leave(run(arguments))
