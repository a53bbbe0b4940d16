"""``wilk plugin``: write one."""

from __future__ import annotations

from argparse import ArgumentParser
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from wilk.cli.output import Styled
from wilk.cli.parsing import Verb

if TYPE_CHECKING:
    from wilk.cli.context import Context


def commands() -> Mapping[str, Verb]:
    """The verbs."""
    return {"new": Verb(_new, "write a package with a plugin that passes its own tests", _new_arguments)}


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
