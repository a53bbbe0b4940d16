"""The async face of keeping: the archive, retention."""

from __future__ import annotations

from wilk.aio.nouns import Noun, reading, writing
from wilk.services.keeping.archive import Archive
from wilk.services.keeping.retention import Retention


class AsyncArchive(Noun):
    """The verbs of archive, awaited."""

    list = reading(Archive.list)
    get = reading(Archive.get)
    count = reading(Archive.count)
    statistics = reading(Archive.statistics)
    restore = writing(Archive.restore)
    flush = writing(Archive.flush)


class AsyncRetention(Noun):
    """The verbs of retention, awaited."""

    plan = reading(Retention.plan)
    run = writing(Retention.run)
