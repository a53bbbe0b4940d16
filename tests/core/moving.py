"""What the tests of moves share: a store with rows of every table, and all rows as Python values."""

from __future__ import annotations

import runpy
from pathlib import Path
from typing import Any

import wilk
from wilk import models
from wilk.testing.backend import HOSTILE_VALUES

MAKE = Path(__file__).parent / "schemas" / "make.py"


def fill(store: wilk.Store) -> None:
    """Rows of every table, and every hostile value in text, parts and metadata."""
    runpy.run_path(str(MAKE))["fill"](store)
    store.sessions.create(id="hostile", metadata={"values": list(HOSTILE_VALUES)})
    for number, value in enumerate(HOSTILE_VALUES):
        text = value if isinstance(value, str) else repr(number)
        store.messages.append("hostile", "user", text, parts=[value], metadata={"value": value})
        store.state.set(f"state {number}", value)
    store.settle()


def rows(store: wilk.Store) -> dict[str, list[Any]]:
    """Every row of every table but ``moves``, as the models read it, in the order of the keys."""
    found = {}
    for model in models.every():
        if model is not models.Move:
            query = model.select().order_by(*model._meta.get_primary_keys())
            found[model._meta.table_name] = [tuple(map(repr, row)) for row in store._engine.rows(query)]
    return found


def talk(store: wilk.Store, messages: int, session: str = "talk") -> None:
    """A session of so many messages."""
    if store.sessions.find(session) is None:
        store.sessions.create(id=session)
    store.messages.extend(session, [{"role": "user", "text": f"wolf {number}"} for number in range(messages)])
