"""Agents: the records that follow ``agents/<id>/agent.yaml``, and what lies beside it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from wilk.definitions import templates
from wilk.errors import Invalid
from wilk.files import inside
from wilk.records.definitions import Agent
from wilk.services.definitions.definitions import Records

if TYPE_CHECKING:
    from wilk.definitions.permissions import Permissions


class Agents(Records[Agent]):
    """The agents of a store."""

    kind = "agents"

    def list(
        self, *, category: str | None = None, name: str | None = None, archived: bool = False
    ) -> Sequence[Agent]:
        """List agents by id: of a category, or with ``name`` in their names.

        With ``archived`` also those whose files are gone.
        """
        return self._select(name, archived, {"category": category})

    def permissions(self, id: str, *, root: str | Path | None = None) -> Permissions:
        """Return what an agent may read, write and run; ``./`` in its file stands for ``root``.

        By default that is the current directory. Raises NotFound.
        """
        from wilk.definitions.permissions import Permissions

        return Permissions.of(self.get(id).definition, root=root)

    def render(self, id: str, /, **variables: Any) -> str:
        """Fill in an agent's ``prompts.user_template`` and return the text.

        Raises Invalid for a variable without a value, and for a value without a variable.
        """
        template = (self.get(id).definition.get("prompts") or {}).get("user_template")
        if not template:
            raise Invalid(f"agent {id!r} has no prompts.user_template to fill in")
        templates.check_given(variables, templates.variables(template), f"agent {id!r}")
        return templates.render(template, variables)

    def tools(self, id: str) -> Sequence[Path]:
        """List the files in an agent's ``tools/`` folder, and below it."""
        return self._beside(id, "tools")

    def workflows(self, id: str) -> Sequence[Path]:
        """List the files in an agent's ``workflows/`` folder, and below it."""
        return self._beside(id, "workflows")

    def _beside(self, id: str, folder: str) -> Sequence[Path]:
        agent = self.get(id)
        if self._catalog.home is None:
            return []
        base = inside(self._catalog.home, "agents", agent.id, folder)
        files = (path for path in base.rglob("*") if path.is_file())
        return sorted(
            path for path in files if not any(part.startswith(".") for part in path.relative_to(base).parts)
        )
