"""``wilk presets``."""

from __future__ import annotations

from wilk.cli.definitions import verbs
from wilk.cli.kinds import Kind
from wilk.cli.parsing import Verb

KIND = Kind(
    "presets",
    "a preset",
    (("NAME", "name"), ("PROVIDER", "provider"), ("MODEL", "model"), ("PARAMETERS", "parameters")),
    narrowed_by="model",
)


def commands() -> dict[str, Verb]:
    """The verbs."""
    return verbs(KIND)
