"""Users, groups and memberships: whose sessions are kept."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from wilk import models
from wilk.engine import Engine
from wilk.errors import Conflict, Invalid, NotFound, Protected
from wilk.events import Events
from wilk.models.statements import param
from wilk.records.decoding import decoder
from wilk.records.people import Group, Membership, User
from wilk.services import checks
from wilk.services.arguments import UNSET, Unset
from wilk.services.checks import limit as limits
from wilk.services.keeping.archiver import Archiver


class Users:
    """The people whose sessions a store keeps."""

    def __init__(self, engine: Engine, events: Events, archiver: Archiver) -> None:
        self._engine = engine
        self._events = events
        self._archiver = archiver

    def save(
        self,
        id: str | None = None,
        *,
        name: str | Unset = UNSET,
        email: str | Unset | None = UNSET,
        external_id: str | Unset | None = UNSET,
        metadata: Mapping[str, Any] | Unset = UNSET,
    ) -> User:
        """Create a user, who needs a name, or change the given fields of the one with that id.

        Raises Conflict when ``external_id`` is taken.
        """
        given = {"name": name, "email": email, "external_id": external_id, "metadata": metadata}
        with self._engine.transaction():
            user = self.get(_save(self._engine, models.User, "user", id, given))
            self._events.saving("user", user)
            return user

    def get(self, id: str) -> User:
        """Return the user; raises NotFound."""
        user = self.find(id)
        if user is None:
            raise NotFound("user", id)
        return user

    def find(self, id: str) -> User | None:
        """Return the user, or None."""
        rows = self._engine.fetch(
            "users.find", lambda: _select(models.User, User).where(models.User.id == param("id")), (id,)
        )
        return next(iter(decoder(User)(rows)), None)

    def list(self, *, limit: int = 1000, after: str | None = None) -> Sequence[User]:
        """List users by id; ``after`` is the last id of the page before."""
        rows = self._engine.fetch(
            "users.list", lambda: _page(models.User, User), (after or "", limits(limit))
        )
        return decoder(User)(rows)

    def remove(self, id: str, *, reason: str = "removed") -> User:
        """Archive and remove a user with what is theirs: memberships, working memory, facts, preferences,
        memories, interactions and documents. Raises Protected while sessions are theirs."""
        with self._engine.transaction():
            user = self.get(id)
            _refuse_sessions(self._engine, models.Session.user == id, f"user {id!r}")
            self._archiver.remove("user", models.User.id == id, reason=reason)
            self._events.deleted("user", user)
            return user


class Groups:
    """Teams, channels or tenants, and who belongs to them."""

    def __init__(self, engine: Engine, events: Events, archiver: Archiver) -> None:
        self._engine = engine
        self._events = events
        self._archiver = archiver

    def save(
        self,
        id: str | None = None,
        *,
        name: str | Unset = UNSET,
        external_id: str | Unset | None = UNSET,
        metadata: Mapping[str, Any] | Unset = UNSET,
    ) -> Group:
        """Create a group, which needs a name, or change the given fields of the one with that id.

        Raises Conflict when ``external_id`` is taken.
        """
        given = {"name": name, "external_id": external_id, "metadata": metadata}
        with self._engine.transaction():
            group = self.get(_save(self._engine, models.Group, "group", id, given))
            self._events.saving("group", group)
            return group

    def get(self, id: str) -> Group:
        """Return the group; raises NotFound."""
        group = self.find(id)
        if group is None:
            raise NotFound("group", id)
        return group

    def find(self, id: str) -> Group | None:
        """Return the group, or None."""
        rows = self._engine.fetch(
            "groups.find", lambda: _select(models.Group, Group).where(models.Group.id == param("id")), (id,)
        )
        return next(iter(decoder(Group)(rows)), None)

    def list(self, *, limit: int = 1000, after: str | None = None) -> Sequence[Group]:
        """List groups by id; ``after`` is the last id of the page before."""
        rows = self._engine.fetch(
            "groups.list", lambda: _page(models.Group, Group), (after or "", limits(limit))
        )
        return decoder(Group)(rows)

    def remove(self, id: str, *, reason: str = "removed") -> Group:
        """Archive and remove a group and its memberships. Raises Protected while sessions are its."""
        with self._engine.transaction():
            group = self.get(id)
            _refuse_sessions(self._engine, models.Session.group == id, f"group {id!r}")
            self._archiver.remove("group", models.Group.id == id, reason=reason)
            self._events.deleted("group", group)
            return group

    def add(self, group_id: str, user_id: str, *, role: str = "member") -> Membership:
        """Put a user into a group, or change their role in it."""
        checks.filled("role", role)
        with self._engine.transaction():
            self.get(group_id)
            if not self._engine.rows(models.User.select(models.User.id).where(models.User.id == user_id)):
                raise NotFound("user", user_id)
            self._engine.run(
                models.Membership.insert(
                    group=group_id, user=user_id, role=role, created_at=self._engine.clock.now()
                ).on_conflict(
                    conflict_target=[models.Membership.group, models.Membership.user],
                    update={models.Membership.role: role},
                )
            )
            chosen = (models.Membership.group == group_id) & (models.Membership.user == user_id)
            membership = self._memberships(chosen)[0]
            self._events.saving("membership", membership)
            return membership

    def drop(self, group_id: str, user_id: str, *, reason: str = "removed") -> None:
        """Take a user out of a group. Raises NotFound when they are not in it."""
        chosen = (models.Membership.group == group_id) & (models.Membership.user == user_id)
        with self._engine.transaction():
            found = self._memberships(chosen)
            if not found:
                raise NotFound("membership", f"{group_id}/{user_id}")
            self._archiver.remove("membership", chosen, reason=reason)
            self._events.deleted("membership", found[0])

    def members(self, group_id: str) -> Sequence[Membership]:
        """List who belongs to a group, by user id."""
        self.get(group_id)
        return self._memberships(models.Membership.group == group_id)

    def of(self, user_id: str) -> Sequence[Membership]:
        """List the groups that a user belongs to, by group id."""
        return self._memberships(models.Membership.user == user_id)

    def _memberships(self, condition: Any) -> Sequence[Membership]:
        query = (
            models.Membership.select(
                models.Membership.group,
                models.Membership.user,
                models.Membership.role,
                models.Membership.created_at,
            )
            .where(condition)
            .order_by(models.Membership.group, models.Membership.user)
        )
        return [Membership(*row) for row in self._engine.rows(query)]


def _select(model: Any, record: Any) -> Any:
    return model.select(*models.fields_of(model, record))


def _page(model: Any, record: Any) -> Any:
    return _select(model, record).where(model.id > param("after")).order_by(model.id).limit(param("limit"))


def _save(
    engine: Engine,
    model: type[models.User] | type[models.Group],
    kind: str,
    id: str | None,
    given: Mapping[str, Any],
) -> str:
    """Insert or update by id: never REPLACE, which would delete what hangs on the row (trap T1)."""
    id = engine.clock.new_id() if id is None else checks.identifier(f"{kind} id", id, longest=200)
    now = engine.clock.now()
    values = {name: value for name, value in given.items() if value is not UNSET}
    if "name" in values:
        checks.filled(f"{kind} name", values["name"])
    for field in ("email", "external_id"):
        checks.text(field, values.get(field))
    try:
        if engine.run(model.update({**values, "updated_at": now}).where(model.id == id)):
            return id
        if "name" not in values:
            raise Invalid(f"there is no {kind} {id!r} yet; a new one needs a name")
        engine.run(model.insert(id=id, created_at=now, updated_at=now, **values))
    except Conflict as error:
        raise Conflict(f"another {kind} has external_id {values.get('external_id')!r}") from error
    return id


def _refuse_sessions(engine: Engine, condition: Any, who: str) -> None:
    count = engine.rows(models.Session.select(models.Session.id).where(condition).limit(1))
    if count:
        raise Protected(f"sessions still belong to {who}; remove them, or give them to someone else, first")
