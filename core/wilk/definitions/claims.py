"""Settles who may have a name: living records of a kind share none (trap T2), nor a default."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import NamedTuple

from wilk.definitions.tables import Claim, Row


class Clash(NamedTuple):
    """A claim that a record cannot have, because another holds it; or, with ``holder`` None,
    that a record cannot give up, because nobody takes it over (trap T3)."""

    claim: Claim
    holder: str | None


class Verdict(NamedTuple):
    """Which arriving records may be written, which clash, and which leaving ones must stay."""

    accepted: list[str]
    clashes: dict[str, Clash]
    protected: dict[str, Clash]


def resolve(
    rows: Mapping[str, Row], arriving: Mapping[str, frozenset[Claim]], leaving: Collection[str]
) -> Verdict:
    """Decide over records that arrive or change, and records that leave.

    Who has a claim already keeps it; of newcomers the first by id gets it. A record that is
    turned away keeps its old row, and with it its old claims, which may turn away others: so it
    is decided again until nothing changes.
    """
    clashes: dict[str, Clash] = {}
    protected: dict[str, Clash] = {}
    while True:
        turned = False
        taken: dict[Claim, str] = {}
        for row in rows.values():
            stays = row.id not in arriving and row.id not in leaving
            if not row.archived and (stays or row.id in clashes or row.id in protected):
                taken.update(dict.fromkeys(row.claims, row.id))
        accepted = [
            id
            for id in sorted(arriving, key=lambda id: (_gains(rows, arriving, id), id))
            if id not in clashes
        ]
        for id in accepted:
            lost = sorted(claim for claim in arriving[id] if taken.get(claim, id) != id)
            if lost:
                clashes[id] = Clash(lost[0], taken[lost[0]])
                turned = True
            else:
                taken.update(dict.fromkeys(arriving[id], id))
        for id in leaving:
            given_up = [claim for claim in rows[id].claims if claim[0] == "default" and claim not in taken]
            if given_up and id not in protected:
                protected[id] = Clash(given_up[0], None)
                turned = True
        if not turned:
            return Verdict(accepted, clashes, protected)


def _gains(rows: Mapping[str, Row], arriving: Mapping[str, frozenset[Claim]], id: str) -> bool:
    """Whether a record asks for more than it has."""
    row = rows.get(id)
    return row is None or row.archived or not arriving[id] <= row.claims
