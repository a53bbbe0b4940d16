"""The Peewee models: the one schema, a module per family, over ``base``.

Their names can be taken from here (``from wilk import models``, then ``models.Message``). A family
is imported when one of its models is first asked for, and Peewee with it: verbs whose statements
are compiled beforehand run without either.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from wilk.models.conversation import ArchiveEntry as ArchiveEntry
    from wilk.models.conversation import Message as Message
    from wilk.models.conversation import Session as Session
    from wilk.models.conversation import ToolCall as ToolCall
    from wilk.models.definitions import Agent as Agent
    from wilk.models.definitions import Definition as Definition
    from wilk.models.definitions import DefinitionFile as DefinitionFile
    from wilk.models.definitions import Persona as Persona
    from wilk.models.definitions import Preset as Preset
    from wilk.models.definitions import Prompt as Prompt
    from wilk.models.definitions import Revision as Revision
    from wilk.models.people import Group as Group
    from wilk.models.people import Membership as Membership
    from wilk.models.people import User as User

_FAMILIES = {
    "conversation": ("ArchiveEntry", "Message", "Session", "ToolCall"),
    "definitions": ("Agent", "Definition", "DefinitionFile", "Persona", "Preset", "Prompt", "Revision"),
    "people": ("Group", "Membership", "User"),
}
_FAMILY = {name: family for family, names in _FAMILIES.items() for name in names}


def fields_of(model: Any, record: Any) -> list[Any]:
    """The model's fields in the order of a record's attributes."""
    return [getattr(model, name) for name in record._fields]


def __getattr__(name: str) -> Any:
    if name not in _FAMILY:
        raise AttributeError(f"module 'wilk.models' has no attribute {name!r}")
    value = globals()[name] = getattr(import_module(f"wilk.models.{_FAMILY[name]}"), name)
    return value
