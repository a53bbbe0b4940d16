"""``wilk personas``."""

from __future__ import annotations

from typing import TYPE_CHECKING

from wilk.cli.definitions import verbs
from wilk.cli.kinds import Kind, refreshed
from wilk.cli.output import Styled
from wilk.cli.parsing import Verb, completed

if TYPE_CHECKING:
    from wilk.cli.context import Context
    from wilk.cli.parsing import Parser

KIND = Kind(
    "personas",
    "a persona",
    (("NAME", "name"), ("CATEGORY", "category"), ("DEFAULT", "is_default"), ("MODEL", "default_model")),
)


def commands() -> dict[str, Verb]:
    """The verbs."""
    return {
        **verbs(KIND),
        "default": Verb(
            _default, "make a persona the default of its category, or show the defaults", _arguments
        ),
    }


def _arguments(parser: Parser) -> None:
    completed(
        parser.add_argument("id", metavar="ID", nargs="?", help="its id; left out, the defaults are shown"),
        "personas",
    )


def _default(context: Context) -> None:
    personas, out = refreshed(context).personas, context.out
    if context.arguments.id is not None:
        persona = personas.make_default(context.arguments.id)
        out.result(persona, f"{persona.id} is the default of the category {persona.category}")
        return
    defaults = [persona for persona in personas.list() if persona.is_default]
    if out.json:
        out.document(defaults)
    elif defaults:
        rows = [[one.category or "", Styled(one.id, "cyan"), one.name] for one in defaults]
        out.table(["CATEGORY", "ID", "NAME"], rows)
    else:
        out.note("no persona is a default; `wilk personas default ID` makes one")
