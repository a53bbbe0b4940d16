"""The async face of the Connectome family: documents, raw messages, chunks, memories, reasoning, state."""

from __future__ import annotations

from wilk.aio.nouns import Noun, reading, writing
from wilk.services.connectome.cache_entries import CacheEntries
from wilk.services.connectome.chunks import Chunks
from wilk.services.connectome.documents import Documents
from wilk.services.connectome.memories import Memories
from wilk.services.connectome.raw_messages import RawMessages
from wilk.services.connectome.reasoning import Reasoning
from wilk.services.connectome.state import State


class AsyncDocuments(Noun):
    """The verbs of documents, awaited."""

    save = writing(Documents.save)
    get = reading(Documents.get)
    find = reading(Documents.find)
    list = reading(Documents.list)
    ids = reading(Documents.ids)
    remove = writing(Documents.remove)
    clear = writing(Documents.clear)


class AsyncRawMessages(Noun):
    """The verbs of raw messages, awaited."""

    save = writing(RawMessages.save)
    append = writing(RawMessages.append)
    list = reading(RawMessages.list)
    count = reading(RawMessages.count)
    remove = writing(RawMessages.remove)


class AsyncChunks(Noun):
    """The verbs of chunks, awaited."""

    divide = writing(Chunks.divide)
    get = reading(Chunks.get)
    find = reading(Chunks.find)
    list = reading(Chunks.list)
    link = writing(Chunks.link)
    info = reading(Chunks.info)
    save_info = writing(Chunks.save_info)


class AsyncMemories(Noun):
    """The verbs of memories, awaited."""

    add = writing(Memories.add)
    extend = writing(Memories.extend)
    save_sequence = writing(Memories.save_sequence)
    get = reading(Memories.get)
    find = reading(Memories.find)
    list = reading(Memories.list)
    update = writing(Memories.update)
    remove = writing(Memories.remove)


class AsyncReasoning(Noun):
    """The verbs of reasoning chains, awaited."""

    add = writing(Reasoning.add)
    recent = reading(Reasoning.recent)
    render = reading(Reasoning.render)
    get = reading(Reasoning.get)
    find = reading(Reasoning.find)
    list = reading(Reasoning.list)
    remove = writing(Reasoning.remove)


class AsyncState(Noun):
    """The verbs of state, awaited."""

    set = writing(State.set)
    get = reading(State.get)
    find = reading(State.find)
    list = reading(State.list)
    remove = writing(State.remove)


class AsyncCacheEntries(Noun):
    """The verbs of cache entries, awaited."""

    set = writing(CacheEntries.set)
    get = reading(CacheEntries.get)
