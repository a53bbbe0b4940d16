"""Prompts: the records that follow ``prompts/<id>.yaml``, and filling them in."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from wilk.definitions import redaction, templates
from wilk.errors import Invalid
from wilk.records.definitions import Prompt
from wilk.services.definitions.definitions import Records


class Prompts(Records[Prompt]):
    """The prompts of a store."""

    kind = "prompts"

    def list(
        self, *, category: str | None = None, name: str | None = None, archived: bool = False
    ) -> Sequence[Prompt]:
        """List prompts by id: of a category, or with ``name`` in their names.

        With ``archived`` also those whose files are gone.
        """
        return self._select(name, archived, {"category": category})

    def render(self, id: str, /, **variables: Any) -> str:
        """Fill in a prompt's ``user_template``, or its ``system`` text if it has no other.

        A variable takes the given value, or else the ``default`` of its description, unless that
        is a secret that the record does not hold; one with ``required: false`` may stay empty.
        Raises Invalid for a variable without a value, and for a value without a variable.
        """
        prompt = self.get(id)
        template = prompt.user_template or prompt.system
        if not template:
            raise Invalid(f"prompt {id!r} has no text to fill in")
        described = _described(prompt.definition.get("variables"))
        known = list(dict.fromkeys([*templates.variables(template), *described]))
        templates.check_given(variables, known, f"prompt {id!r}")
        return templates.render(template, {**_defaults(described), **variables})


def _described(variables: Any) -> dict[str, Mapping[str, Any]]:
    """The descriptions of variables by name, whichever way the file has them."""
    if isinstance(variables, Mapping):
        return {name: told if isinstance(told, Mapping) else {} for name, told in variables.items()}
    entries = [{"name": told} if isinstance(told, str) else told for told in variables or ()]
    return {entry["name"]: entry for entry in entries}


def _defaults(described: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    values = {}
    for name, told in described.items():
        default = told.get("default")
        if default is not None and not redaction.is_marked(default):
            values[name] = default
        elif told.get("required") is False:
            values[name] = ""
    return values
