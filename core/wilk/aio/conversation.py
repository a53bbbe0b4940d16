"""The async face of conversations: sessions, messages, branches, tool calls."""

from __future__ import annotations

from wilk.aio.nouns import Noun, adding, reading, writing
from wilk.services.conversation.branches import Branches
from wilk.services.conversation.messages import Messages
from wilk.services.conversation.sessions import Sessions
from wilk.services.conversation.tool_calls import ToolCalls


class AsyncSessions(Noun):
    """The verbs of sessions, awaited."""

    create = writing(Sessions.create)
    get = reading(Sessions.get)
    find = reading(Sessions.find)
    list = reading(Sessions.list)
    recent = reading(Sessions.recent)
    update = writing(Sessions.update)
    save = writing(Sessions.save)
    fork = writing(Sessions.fork)
    remove = writing(Sessions.remove)
    use = writing(Sessions.use)
    current = reading(Sessions.current)


class AsyncMessages(Noun):
    """The verbs of messages, awaited."""

    append = adding(Messages.append)
    extend = adding(Messages.extend)
    get = reading(Messages.get)
    find = reading(Messages.find)
    last = reading(Messages.last)
    page = reading(Messages.page)
    count = reading(Messages.count)
    search = reading(Messages.search)
    usage = reading(Messages.usage)


class AsyncBranches(Noun):
    """The verbs of branches, awaited."""

    list = reading(Branches.list)
    get = reading(Branches.get)
    find = reading(Branches.find)
    messages = reading(Branches.messages)
    add = writing(Branches.add)
    fork = writing(Branches.fork)
    show = writing(Branches.show)


class AsyncToolCalls(Noun):
    """The verbs of tool calls, awaited."""

    start = writing(ToolCalls.start)
    finish = writing(ToolCalls.finish)
    result = reading(ToolCalls.result)
    get = reading(ToolCalls.get)
    find = reading(ToolCalls.find)
    list = reading(ToolCalls.list)
