"""The async face of search: the index, and vectors."""

from __future__ import annotations

from wilk.aio.nouns import Noun, aside, reading, writing
from wilk.services.embedding.index import Index
from wilk.services.vectors.vectors import Vectors


class AsyncIndex(Noun):
    """The verbs of the index, awaited. ``progress`` is called on a thread of the store."""

    status = reading(Index.status)
    update = aside(Index.update)
    rebuild = aside(Index.rebuild)


class AsyncVectors(Noun):
    """The verbs of vectors, awaited."""

    collections = reading(Vectors.collections)
    collection = reading(Vectors.collection)
    create = writing(Vectors.create)
    drop = writing(Vectors.drop)
    add = writing(Vectors.add)
    extend = writing(Vectors.extend)
    get = reading(Vectors.get)
    find = reading(Vectors.find)
    remove = writing(Vectors.remove)
    search = reading(Vectors.search)
