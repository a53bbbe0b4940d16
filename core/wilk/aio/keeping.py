"""The async face of keeping: the archive."""

from __future__ import annotations

from wilk.aio.nouns import Noun, reading
from wilk.services.archive import Archive


class AsyncArchive(Noun):
    """The verbs of archive, awaited."""

    list = reading(Archive.list)
    get = reading(Archive.get)
    statistics = reading(Archive.statistics)
