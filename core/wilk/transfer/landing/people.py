"""Users and groups that come in."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from wilk import models
from wilk.clock import to_microseconds
from wilk.transfer.landing.ids import derived, usable

if TYPE_CHECKING:
    from wilk.contracts import IncomingGroup, IncomingUser
    from wilk.engine import Engine
    from wilk.services.people import Groups, Users
    from wilk.transfer.landing.edits import Edits
    from wilk.transfer.landing.ledger import Ledger
    from wilk.transfer.landing.report import Report


class People:
    """Writes users and groups. With ``everyone`` all records belong to that user, who is there."""

    def __init__(
        self,
        engine: Engine,
        ledger: Ledger,
        report: Report,
        users: Users,
        groups: Groups,
        everyone: str | None,
        edits: Edits,
    ) -> None:
        self._engine = engine
        self._ledger = ledger
        self._report = report
        self._users = users
        self._groups = groups
        self._everyone = everyone
        self._edits = edits

    def user(self, item: IncomingUser, target: str | None) -> str:
        """Write a user, and return the id."""
        if self._everyone is not None:
            return self._everyone
        outer = f"{self._report.importer}:{item.key}"
        id = target or self._id("users", item.id or item.key)
        coming = {"name": item.name or id, "email": item.email, "external_id": outer}
        self._save("users", self._users, id, coming, item.metadata)
        if target is None and item.created_at is not None:
            user = models.User
            moment = to_microseconds(item.created_at)
            self._engine.run(user.update({user.created_at: moment}).where(user.id == id))
        return id

    def group(self, item: IncomingGroup, target: str | None) -> str:
        """Write a group with its members, and return the id."""
        id = target or self._id("groups", item.id or item.key)
        outer = f"{self._report.importer}:{item.key}"
        coming = {"name": item.name or id, "external_id": outer}
        self._save("groups", self._groups, id, coming, item.metadata)
        for key, role in item.members:
            if (user := self.known(key)) is not None:
                self._groups.add(id, user, role=role)
        return id

    def _save(
        self, kind: str, noun: Any, id: str, coming: dict[str, Any], metadata: Mapping[str, Any]
    ) -> None:
        """Write what nobody has changed here since; metadata of other names than those that come stays."""
        there = noun.find(id)
        given = coming if there is None else self._edits.of(kind, there._asdict(), coming)
        kept = noun.save(id, **given, metadata={**(there.metadata if there else {}), **metadata})
        self._edits.note({name: getattr(kept, name) for name in coming}, given)

    def known(self, key: str | None) -> str | None:
        """The user that a key of the source names; one of whom there is no record is made."""
        if self._everyone is not None:
            return self._everyone
        if key is None:
            return None
        found = self._ledger.target("users", key)
        if found is not None and self._users.find(found) is not None:
            return found
        self._report.warn("users that the source names and does not hold were made, with their id as name")
        id = self._id("users", key)
        self._users.save(id, name=key, external_id=f"{self._report.importer}:{key}")
        self._ledger.put("users", key, id, "", self._report.run)
        return id

    def known_group(self, key: str | None) -> str | None:
        """The group that a key of the source names, or None."""
        found = None if key is None else self._ledger.target("groups", key)
        return found if found is not None and self._groups.find(found) is not None else None

    def _id(self, kind: str, wanted: str) -> str:
        noun = self._users if kind == "users" else self._groups
        outer = f"{self._report.importer}:"
        if usable(wanted) and (
            (there := noun.find(wanted)) is None or (there.external_id or "").startswith(outer)
        ):
            return wanted
        return derived(self._report.importer, kind, wanted)
