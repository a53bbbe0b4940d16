"""The async face of memory: pins, working memory, facts, and what else is kept of conversations."""

from __future__ import annotations

from wilk.aio.nouns import Noun, reading, writing
from wilk.services.memory.blocks import Blocks
from wilk.services.memory.contexts import Contexts
from wilk.services.memory.facts import Facts
from wilk.services.memory.memory import Memory
from wilk.services.memory.pins import Pins
from wilk.services.memory.summaries import Summaries


class AsyncPins(Noun):
    """The verbs of pins, awaited."""

    add = writing(Pins.add)
    extend = writing(Pins.extend)
    get = reading(Pins.get)
    find = reading(Pins.find)
    list = reading(Pins.list)
    update = writing(Pins.update)
    remove = writing(Pins.remove)


class AsyncBlocks(Noun):
    """The verbs of working memory, awaited."""

    set = writing(Blocks.set)
    append = writing(Blocks.append)
    replace = writing(Blocks.replace)
    get = reading(Blocks.get)
    find = reading(Blocks.find)
    list = reading(Blocks.list)
    for_session = reading(Blocks.for_session)
    remove = writing(Blocks.remove)


class AsyncFacts(Noun):
    """The verbs of facts, awaited."""

    add = writing(Facts.add)
    extend = writing(Facts.extend)
    retract = writing(Facts.retract)
    correct = writing(Facts.correct)
    get = reading(Facts.get)
    find = reading(Facts.find)
    list = reading(Facts.list)
    history = reading(Facts.history)
    remove = writing(Facts.remove)


class AsyncContexts(Noun):
    """The verbs of contexts, awaited."""

    build = writing(Contexts.build)
    manifests = reading(Contexts.manifests)
    manifest = reading(Contexts.manifest)
    replay = reading(Contexts.replay)
    reopen = reading(Contexts.reopen)
    messages_of = reading(Contexts.messages_of)
    explain = reading(Contexts.explain)
    diff = reading(Contexts.diff)
    stats = reading(Contexts.stats)
    remove = writing(Contexts.remove)


class AsyncSummaries(Noun):
    """The verbs of summaries, awaited."""

    add = writing(Summaries.add)
    get = reading(Summaries.get)
    find = reading(Summaries.find)
    list = reading(Summaries.list)
    remove = writing(Summaries.remove)


class AsyncMemory(Noun):
    """The verbs of memory, awaited."""

    needs_compaction = reading(Memory.needs_compaction)
    compact = writing(Memory.compact)
    uncompact = writing(Memory.uncompact)
    rescore = writing(Memory.rescore)
    status = reading(Memory.status)
