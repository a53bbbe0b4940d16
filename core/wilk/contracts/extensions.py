"""Smaller offers: tokenizers, strategies for contexts, commands, tables of a plugin's own."""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from argparse import ArgumentParser, Namespace
    from pathlib import Path

    from peewee import Model

    from wilk.context.packing import Packing
    from wilk.store import Store


@dataclass(frozen=True, eq=False)
class Tokenizer:
    """Counts tokens, offered by ``register_tokenizers``: ``count(text, model)`` gives the number
    of tokens that ``model`` (None: unknown) sees in ``text``."""

    name: str
    count: Callable[[str, str | None], int]
    summary: str = ""


@dataclass(frozen=True, eq=False)
class Strategy:
    """A way of choosing what goes into a context, offered by ``register_strategies``.

    ``fill(packing)`` is called when the floors (system prompt, working memory, pins, newest turn) are
    in; it takes and leaves what else there is (:class:`wilk.context.packing.Packing`), which keeps
    the budget.
    """

    name: str
    fill: Callable[[Packing], None]
    summary: str = ""


@dataclass(frozen=True, eq=False)
class Command:
    """A command-line noun, offered by ``register_commands``.

    ``configure(parser)`` adds arguments to an argparse parser; ``run(arguments, store)`` gets a
    function that opens the configured store, and returns the exit code (None means 0).
    """

    name: str
    summary: str
    configure: Callable[[ArgumentParser], None]
    run: Callable[[Namespace, Callable[[], Store]], int | None]


@dataclass(frozen=True, eq=False)
class ModelSet:
    """Peewee models of a plugin, offered by ``register_models``, and its own migrations.

    ``migrations`` is a folder of numbered files as ``playhouse.migrations`` runs them; they are
    applied after wilk's, and recorded in a table of their own (``<name>_migrations``).
    """

    name: str
    models: Callable[[], Collection[type[Model]]]
    migrations: Path

    def __post_init__(self) -> None:
        if not self.name.isidentifier() or self.name == "wilk":
            raise ValueError(
                f"model set {self.name!r}: a name of letters, digits and _ is wanted, other than wilk"
            )
