"""Plugins forget what their own tables hold."""

from __future__ import annotations

from collections.abc import Collection, Mapping

import pytest

import wilk
from wilk import hookimpl


class Likes:
    """Keeps likes of users, and notes what it was asked."""

    def __init__(self) -> None:
        self.asked: list[tuple[dict[str, list[str]], bool]] = []
        self.within: list[bool] = []

    @hookimpl
    def forgetting(
        self, store: wilk.Store, records: Mapping[str, Collection[str]], dry_run: bool
    ) -> dict[str, int]:
        self.asked.append(({kind: sorted(ids) for kind, ids in records.items()}, dry_run))
        self.within.append(store._engine.in_transaction)
        return {"likes": 3, "none": 0}


class Fails:
    """Cannot forget."""

    @hookimpl
    def forgetting(self) -> None:
        raise ValueError("no")


def opened(plugin: object, store: wilk.Store) -> wilk.Store:
    host = wilk.Host(plugin, disabled=store.settings.disabled_plugins)
    return wilk.open_store(settings=store.settings, host=host)


def test_they_are_told_the_ids_by_kind_and_their_counts_are_certified(store: wilk.Store) -> None:
    plugin = Likes()
    with opened(plugin, store) as store:
        store.users.save("anna-0001", name="Anna")
        session = store.sessions.create(user="anna-0001").id
        assert store.forgetting.plan(user="anna-0001").plugins == {"likes": 3}
        certificate = store.forgetting.run(user="anna-0001")
    assert certificate.report["plugins"]["likes"] >= 3
    records, dry_run = plugin.asked[0]
    assert (records["user"], records["session"], dry_run) == (["anna-0001"], [session], True)
    runs = [within for within, (_, dry) in zip(plugin.within, plugin.asked, strict=True) if not dry]
    assert runs
    assert all(runs)


def test_one_that_fails_stops_it(store: wilk.Store) -> None:
    with opened(Fails(), store) as store:
        store.users.save("anna-0001", name="Anna")
        with pytest.raises(wilk.PluginError, match="failed to forget what it holds"):
            store.forgetting.run(user="anna-0001")
        assert store.users.get("anna-0001")
        assert store.forgetting.certificates() == []
