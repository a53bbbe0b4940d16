"""``wilk config``: settings, and where they come from."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from wilk.cli.output import Styled, word
from wilk.cli.parsing import Verb

if TYPE_CHECKING:
    from wilk.cli.context import Context
    from wilk.settings import Settings


def commands() -> dict[str, Verb]:
    """The verbs."""
    return {
        "show": Verb(_show, "show each setting, its value and where that comes from; secrets are left out")
    }


def _show(context: Context) -> None:
    settings = context.settings
    values = _shown(settings)
    if context.out.json:
        context.out.document(
            {
                name: {"value": value, "origin": settings.origins.get(name, "default")}
                for name, value in values.items()
            }
        )
        return
    rows = []
    for name, value in values.items():
        origin = settings.origins.get(name, "default")
        rows.append([name, word(value) or "-", Styled(origin, "dim" if origin == "default" else "green")])
    context.out.table(["SETTING", "VALUE", "FROM"], rows)


def _shown(settings: Settings) -> dict[str, Any]:
    from wilk.definitions import redaction

    values = {name: value for name, value in vars(settings).items() if name != "origins"}
    hidden: dict[str, Any] = redaction.hide(values)
    return hidden
