"""Records of the people family: users, groups, memberships."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any, NamedTuple


class User(NamedTuple):
    """A person whose sessions are kept. ``external_id`` is the id elsewhere, unique if given."""

    id: str
    name: str
    email: str | None
    external_id: str | None
    metadata: Mapping[str, Any]
    created_at: datetime
    updated_at: datetime


class Group(NamedTuple):
    """A team, channel or tenant; users belong to it by memberships."""

    id: str
    name: str
    external_id: str | None
    metadata: Mapping[str, Any]
    created_at: datetime
    updated_at: datetime


class Membership(NamedTuple):
    """A user in a group, with a role of the application's choosing."""

    group_id: str
    user_id: str
    role: str
    created_at: datetime
