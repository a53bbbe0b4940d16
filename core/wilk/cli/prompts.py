"""``wilk prompts``."""

from __future__ import annotations

from wilk.cli import rendering
from wilk.cli.definitions import verbs
from wilk.cli.kinds import Kind
from wilk.cli.parsing import Verb

KIND = Kind(
    "prompts",
    "a prompt",
    (("NAME", "name"), ("VERSION", "version"), ("CATEGORY", "category"), ("VARIABLES", "variables")),
)


def commands() -> dict[str, Verb]:
    """The verbs."""
    return {**verbs(KIND), "render": rendering.verb(KIND)}
