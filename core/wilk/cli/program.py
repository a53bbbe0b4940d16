"""The program: finds the noun, reads the arguments, runs the verb, and turns errors into exit codes."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence

from wilk.cli import text
from wilk.cli.context import Context
from wilk.cli.nouns import NOUNS, plugins_command, tree, words_of
from wilk.cli.output import Output, Styled
from wilk.cli.parsing import UsageError
from wilk.errors import NotFound, WilkError

_LISTS = {
    "document": "documents",
    "fact": "facts",
    "feedback": "feedback",
    "group": "groups",
    "memory": "memories",
    "message": "messages",
    "pattern": "patterns",
    "pin": "pins",
    "reasoning chain": "reasoning",
    "session": "sessions",
    "state": "state",
    "summary": "summaries",
    "tool call": "tool-calls",
    "user": "users",
    "world model": "world-models",
}


def run(argv: Sequence[str]) -> int:
    """Run the command that ``argv`` says; errors become lines on stderr and exit codes."""
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="replace")
    try:
        if "_ARGCOMPLETE" in os.environ:
            from wilk.cli.completion import complete

            return complete()
        code = _run(argv)
        sys.stdout.flush()
        return code
    except UsageError as error:
        return _failed(str(error), 2)
    except NotFound as error:
        return _failed(_with_hint(error), 1)
    except WilkError as error:
        return _failed(str(error), 1)
    except SystemExit as error:  # argparse has shown help
        return error.code if isinstance(error.code, int) else 0
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:
        _silence_stdout()
        return 141
    except Exception as error:
        if os.environ.get("WILK_DEBUG"):
            raise
        if isinstance(error, OSError) and error.strerror:
            where = f"{error.filename}: " if error.filename is not None else ""
            return _failed(f"{where}{error.strerror}", 1)
        return _failed(
            f"{type(error).__name__}: {error}\nthis should not happen; WILK_DEBUG=1 shows where it did", 1
        )


def leave(code: int) -> int:
    """End the process at once: what would be taken down piece by piece goes with it anyway.

    Not while threads run that someone counts on, and not before what was registered for the end
    has been called and the output is written.
    """
    import atexit
    import threading

    if threading.active_count() > 1:
        return code
    atexit._run_exitfuncs()
    try:
        sys.stdout.flush()
        sys.stderr.flush()
    except BrokenPipeError:
        code = 141
    except (OSError, ValueError, AttributeError):
        code = code or 1
    os._exit(code)


def _run(argv: Sequence[str]) -> int:
    words = words_of(argv)
    if not words:
        return _bare(argv)
    if words[0] == "help" and len(words) > 1:
        return _run([*words[1:], "--help"])
    command = None if words[0] in NOUNS else plugins_command(words[0], argv)
    arguments, unknown = tree(words[:1], words, command).parse_known_args(argv)
    if unknown:
        arguments.parser.error(f"unknown arguments: {' '.join(unknown)}")
    context = Context(arguments)
    try:
        if arguments.run is None:
            arguments.parser.error(f"a verb is wanted: {', '.join(arguments.verbs)}")
        return arguments.run(context) or 0
    finally:
        context.close()


def _bare(argv: Sequence[str]) -> int:
    """Options without a noun: the version, or what there is."""
    arguments = tree([], []).parse_args([word for word in argv if word not in ("-h", "--help")])
    if arguments.version:
        from wilk import __version__

        print(f"wilk {__version__}")
        return 0
    from wilk.cli.help import overview

    context = Context(arguments)
    try:
        overview(context)
    finally:
        context.close()
    return 0


def _with_hint(error: NotFound) -> str:
    """What is not there and, where the error does not say so itself, what shows the ones there are."""
    if error.kind not in _LISTS or ";" in str(error):
        return str(error)
    return f"{error}; `wilk {_LISTS[error.kind]} list` shows the ones there are"


def _failed(message: str, code: int) -> int:
    """Tell on stderr what went wrong."""
    try:
        prefix = Output(sys.stderr).paint(Styled("wilk: error:", "red"))
        sys.stderr.write(f"{prefix} {text.lines(message)}\n")
        sys.stderr.flush()
    except (OSError, ValueError, AttributeError):
        pass  # there is no stderr to tell it on; the exit code does
    return code


def _silence_stdout() -> None:
    """Whatever is still buffered has no reader: the interpreter must not complain about it at its end."""
    try:
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, sys.stdout.fileno())
        os.close(nowhere)
    except (OSError, ValueError, AttributeError):
        pass
