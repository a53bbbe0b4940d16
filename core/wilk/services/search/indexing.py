"""Makes the vectors of records, behind the verbs. (To be written: see the class's users.)"""

from __future__ import annotations

from typing import Any


class Indexing:
    def __init__(self, *parts: Any) -> None:
        pass

    def begin(self) -> None:
        pass

    def wake(self) -> None:
        pass

    def close(self) -> None:
        pass
