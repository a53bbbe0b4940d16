"""The kinds of definitions that one store knows: the place of their files, and their rows."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

from wilk.contracts import DefinitionKind
from wilk.definitions.places import Place
from wilk.definitions.tables import Table
from wilk.engine import Engine
from wilk.errors import NotFound


class Known:
    """Kinds by name; ``offered`` gives them when they are first needed."""

    def __init__(self, engine: Engine, offered: Callable[[], Iterable[DefinitionKind]]) -> None:
        self._engine = engine
        self._offered = offered
        self._places: dict[str, Place] = {}
        self._tables: dict[str, Table] = {}

    def places(self) -> Mapping[str, Place]:
        """The place of every kind, by its name."""
        if not self._places:
            self._places = {kind.name: Place(kind) for kind in self._offered()}
        return self._places

    def place(self, kind: str) -> Place:
        """The place of a kind; raises NotFound."""
        try:
            return self.places()[kind]
        except KeyError:
            raise NotFound(
                "kind of definitions", kind, f"known: {', '.join(sorted(self.places()))}"
            ) from None

    def table(self, kind: str) -> Table:
        """The rows of a kind; raises NotFound."""
        if kind not in self._tables:
            self._tables[kind] = Table(self._engine, self.place(kind).kind)
        return self._tables[kind]
