"""The async face of people: users and groups."""

from __future__ import annotations

from wilk.aio.nouns import Noun, reading, writing
from wilk.services.people import Groups, Users


class AsyncUsers(Noun):
    """The verbs of users, awaited."""

    save = writing(Users.save)
    get = reading(Users.get)
    find = reading(Users.find)
    list = reading(Users.list)
    remove = writing(Users.remove)


class AsyncGroups(Noun):
    """The verbs of groups, awaited."""

    save = writing(Groups.save)
    get = reading(Groups.get)
    find = reading(Groups.find)
    list = reading(Groups.list)
    remove = writing(Groups.remove)
    add = writing(Groups.add)
    drop = writing(Groups.drop)
    members = reading(Groups.members)
    of = reading(Groups.of)
