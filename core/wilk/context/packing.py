"""Packing: what a strategy sees and does while a context is filled. It keeps the budget."""

from __future__ import annotations


class Packing:
    """A context that is being filled."""
