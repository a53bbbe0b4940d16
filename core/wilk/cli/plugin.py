"""``wilk plugin``: write one, and grade it."""

from __future__ import annotations

import sys
from argparse import ArgumentParser
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from wilk.cli.output import Styled
from wilk.cli.parsing import Verb

if TYPE_CHECKING:
    from wilk.cli.context import Context

_GRADED = ("backend", "cache", "archive", "vectors", "embedder")
_COLOURS = {"A": "green", "B": "yellow", "C": "yellow"}


def commands() -> Mapping[str, Verb]:
    """The verbs."""
    return {
        "new": Verb(_new, "write a package with a plugin that passes its own tests", _new_arguments),
        "grade": Verb(_grade, "do faults to a plugin, and show what was lost or doubled", _grade_arguments),
    }


def _new_arguments(parser: ArgumentParser) -> None:
    from wilk.cli.scaffolding import KINDS

    parser.add_argument("name", metavar="NAME", help="such as my-store; the package is wilk-NAME")
    parser.add_argument("--kind", choices=tuple(KINDS), required=True, help="what it is to be")
    parser.add_argument("--in", dest="folder", metavar="FOLDER", default=".", help="where to write it (here)")


def _new(context: Context) -> None:
    from wilk.cli.scaffolding import write_plugin

    arguments, out = context.arguments, context.out
    files = write_plugin(arguments.kind, arguments.name, Path(arguments.folder))
    package = next(file.parent for file in files if file.name == "pyproject.toml")
    if out.json:
        out.document({"package": package, "files": files})
        return
    for file in files:
        out.line(Styled(str(file), "cyan"))
    out.note(f"Next: cd {package} && python -m pip install -e . pytest && python -m pytest")


def _grade_arguments(parser: ArgumentParser) -> None:
    parser.add_argument("name", metavar="NAME", help="what it offers, such as sqlite or disk")
    parser.add_argument("--kind", choices=_GRADED, help="when plugins of several kinds have that name")
    parser.add_argument(
        "--place",
        metavar="URL",
        default="",
        help="where a backend is tested (NAME:///{folder}/t.db): {folder} is a new folder for each test, "
        "{unique} a new word",
    )
    parser.add_argument("--without", metavar="CAPABILITY", action="append", default=[],
                        help="what a backend lacks at that place; may be repeated")  # fmt: skip
    parser.add_argument("--module", metavar="MODULE", action="append", default=[],
                        help="a module with hooks that no package brings; may be repeated")  # fmt: skip
    parser.add_argument("--recall", metavar="SHARE", type=float, default=1.0,
                        help="of the nearest, what an index of vectors finds (1.0)")  # fmt: skip
    parser.add_argument("--quick", action="store_true", help="leave out what takes over a second")
    parser.add_argument("--out", metavar="FILE", help="write the report as JSON")


def _grade(context: Context) -> int:
    from importlib import import_module
    from importlib.util import find_spec

    from wilk.errors import PluginError

    if find_spec("pytest") is None:
        raise PluginError("grading a plugin needs pytest; install it: python -m pip install pytest")
    from wilk.testing import grades
    from wilk.testing.grading import Tested, grade, kind_of

    arguments, out, host = context.arguments, context.out, context.host
    sys.path.insert(0, str(Path.cwd()))  # a module that is being written lies here
    for module in arguments.module:
        try:
            host.register(import_module(module))
        except ImportError as error:
            raise PluginError(f"module {module!r} cannot be imported: {error}") from error
    kind = arguments.kind or kind_of(arguments.name, host)
    tested = Tested(
        arguments.name, kind, arguments.place, arguments.module, arguments.without, arguments.recall,
        context.settings.plugins,
    )  # fmt: skip
    out.note(f"Testing {kind} {arguments.name}; this may take a minute.")
    report = grade(tested, quick=arguments.quick, verbose=context.verbose > 0)
    if arguments.out:
        grades.write([report], Path(arguments.out))
    if out.json:
        out.document(report)
    else:
        for line, found in grades.lines(report):
            out.line(Styled(line, _COLOURS.get(found, "red")))
    return 0 if report["grade"] == "A" else 1
