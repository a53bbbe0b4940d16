"""Reads every file of a kind and tells what is wrong with it, without writing anything."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from wilk.definitions import loading
from wilk.definitions.claims import Clash
from wilk.definitions.looking import unlisted_text
from wilk.definitions.places import Place
from wilk.definitions.syncing import clash_text
from wilk.definitions.tables import Claim, Table
from wilk.records.definitions import Failure


def check(home: Path, place: Place, table: Table) -> Iterator[Failure]:
    """Find the broken files of a kind, names that are taken twice, and doubts (``warning: …``)."""
    kind = place.kind.name
    holders: dict[Claim, str] = {}
    try:
        listing = sorted(place.scan(home))
    except OSError as error:
        yield Failure(kind, "", place.folder, (unlisted_text(place, error),))
        return
    for seen in listing:
        doubts: list[str] = []
        reading = loading.read(home, place, seen, None, doubts.append)
        if reading is None:
            continue
        problems = [*reading.problems, *(f"warning: {doubt}" for doubt in doubts)]
        if reading.content is not None:
            for claim in sorted(table.claims_of(reading.content.name, reading.content.columns)):
                holder = holders.setdefault(claim, reading.id)
                if holder != reading.id:
                    problems.append(clash_text(place, reading.path, Clash(claim, holder)))
        if problems:
            yield Failure(kind, reading.id, reading.path, tuple(problems))
