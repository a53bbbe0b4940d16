"""UNSET, which verbs have in the place of an argument that was not given."""

from __future__ import annotations

from enum import Enum
from typing import Final


class Unset(Enum):
    """The type of :data:`UNSET`."""

    UNSET = "unset"


UNSET: Final = Unset.UNSET
"""Stands for an argument that was not given: the field stays as it is, as it would not with None."""
