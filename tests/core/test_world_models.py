"""World models: entities and relations that are checked, snapshots, merging."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import wilk

pytestmark = pytest.mark.backends

WORDS = st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=9).filter(str.strip)
OBJECTS = st.dictionaries(WORDS, st.none() | st.booleans() | st.integers() | WORDS, max_size=2)
TIMES = st.datetimes(
    datetime(1970, 1, 1),
    datetime(2200, 1, 1),
    timezones=st.just(UTC),
).map(datetime.isoformat)
ENTITIES = st.lists(
    st.fixed_dictionaries(
        {"id": WORDS, "type": WORDS, "properties": OBJECTS, "confidence": st.floats(0, 1),
         "first_seen": TIMES, "last_modified": TIMES},
        optional={"colour": WORDS},
    ),
    max_size=4,
    unique_by=lambda one: one["id"],
)  # fmt: skip
RELATIONS = st.lists(
    st.fixed_dictionaries(
        {"source_id": WORDS, "target_id": WORDS, "type": WORDS, "properties": OBJECTS,
         "confidence": st.floats(0, 1), "observed_count": st.integers(0, 1000)},
        optional={"since": WORDS},
    ),
    max_size=4,
    unique_by=lambda one: (one["source_id"], one["type"], one["target_id"]),
)  # fmt: skip
STATES = st.fixed_dictionaries(
    {"domain": WORDS, "entities": ENTITIES, "relations": RELATIONS},
    optional={
        "session": st.none() | WORDS,
        "domain_confidence": st.floats(0, 1),
        "interaction_count": st.integers(0, 10**9),
        "goals": st.lists(OBJECTS, max_size=2),
        "metrics": OBJECTS,
        "constraints": st.lists(OBJECTS, max_size=2),
        "is_active": st.booleans(),
        "merged_from": st.lists(WORDS, max_size=2),
        "metadata": OBJECTS,
    },
)
A = {"id": "a", "type": "file"}
B = {"id": "b", "type": "person"}
A_B = {"source_id": "a", "target_id": "b", "type": "written by"}


@given(STATES)
@settings(max_examples=40)
def test_any_state_comes_back_as_it_was(store: wilk.Store, given: dict[str, Any]) -> None:
    given = dict(given)
    kept = store.world_models.save(given.pop("domain"), **given)
    assert store.world_models.get(kept.id) == kept
    session = given.pop("session", None)
    assert kept.session_id == session
    assert {name: getattr(kept, name) for name in given} == given
    assert set(kept.discovered_entity_types) == {one["type"] for one in given["entities"]}
    assert set(kept.discovered_relation_types) == {one["type"] for one in given["relations"]}


@given(STATES, STATES)
@settings(max_examples=20)
def test_a_snapshot_brings_any_state_back(
    store: wilk.Store, first: dict[str, Any], second: dict[str, Any]
) -> None:
    before = store.world_models.save(**first)
    snapshot = store.world_models.snapshot(before.id, trigger_event="test")
    store.world_models.save(**{**second, "id": before.id, "session": before.session_id})
    restored = store.world_models.restore(before.id, snapshot.id)
    ignored = ("updated_at", "is_active", "merged_from", "metadata")
    assert restored._replace(**{name: getattr(before, name) for name in ignored}) == before
    assert len(store.world_models.snapshots(before.id)) == 2  # the second is of the state that was left


class TestChecks:
    @pytest.mark.parametrize(
        ("given", "said"),
        [
            (
                {"entities": [A, {**B, "confidence": 1.5}]},
                "entities.1.confidence 1.5: a number from 0.0 to 1.0",
            ),
            ({"entities": [{"type": "x"}]}, "entities.0.id None: a text that is not blank"),
            ({"entities": [{"id": "x"}]}, "entities.0.type None"),
            ({"entities": ["a"]}, "entities.0 'a': an object is wanted"),
            ({"entities": {"a": A}}, "entities {'a'"),
            (
                {"entities": [{**A, "first_seen": "today"}]},
                "entities.0.first_seen 'today': an aware datetime or ISO",
            ),
            ({"entities": [{**A, "properties": []}]}, "entities.0.properties []: an object"),
            ({"entities": [A, B, A]}, "entities.2.id 'a': entities.0 has this id already"),
            (
                {"relations": [{**A_B, "observed_count": -1}]},
                "relations.0.observed_count -1: a whole number from 0",
            ),
            ({"relations": [{"type": "x", "source_id": "a"}]}, "relations.0.target_id None"),
            ({"relations": [A_B, A_B]}, "relations.1 'a written by b': relations.0 is the same"),
            ({"domain_confidence": 2}, "domain_confidence 2: a number from 0.0 to 1.0"),
            ({"interaction_count": "3"}, "interaction_count '3': a whole number"),
            ({"metrics": [1]}, "metrics [1]: an object"),
            ({"goals": "x"}, "goals 'x': a list"),
            ({"is_active": 1}, "is_active 1: True or False"),
            ({"domain": ""}, "domain '': a text that is not blank"),
        ],
    )
    def test_an_error_names_the_place(self, store: wilk.Store, given: dict[str, Any], said: str) -> None:
        with pytest.raises(wilk.Invalid) as caught:
            store.world_models.save(**({"domain": "coding"} | given))
        assert str(caught.value).startswith(said)
        assert store.world_models.list() == []

    def test_what_an_entity_lacks_is_filled_in(self, timed: wilk.Store) -> None:
        kept = timed.world_models.save("coding", entities=[A], relations=[A_B])
        time = kept.created_at.isoformat()
        assert kept.entities == [
            {**A, "properties": {}, "confidence": 0.5, "first_seen": time, "last_modified": time}
        ]
        assert kept.relations == [{**A_B, "properties": {}, "confidence": 0.5, "observed_count": 1}]


class TestSaving:
    def test_again_replaces_the_state_and_keeps_the_snapshots(self, timed: wilk.Store, now: Any) -> None:
        first = timed.world_models.save("coding", id="w", entities=[A])
        timed.world_models.snapshot("w")
        now.pass_by(seconds=1)
        second = timed.world_models.save("coding", id="w", entities=[B])
        assert (second.created_at, [one["id"] for one in second.entities]) == (first.created_at, ["b"])
        assert second.updated_at > first.updated_at
        assert len(timed.world_models.snapshots("w")) == 1

    def test_an_update_changes_what_is_given_and_nothing_else(self, store: wilk.Store) -> None:
        kept = store.world_models.save("coding", session="s", entities=[A], goals=["x"])
        changed = store.world_models.update(kept.id, domain_confidence=0.8, session=None)
        assert changed == kept._replace(domain_confidence=0.8, session_id=None, updated_at=changed.updated_at)

    def test_an_entity_that_is_known_learns(self, timed: wilk.Store, now: Any) -> None:
        id = timed.world_models.save("coding").id
        timed.world_models.put_entity(id, "a", "file", properties={"lines": 1, "name": "a"}, confidence=0.9)
        now.pass_by(seconds=1)
        (entity,) = timed.world_models.put_entity(id, "a", "file", properties={"lines": 2}).entities
        assert (entity["properties"], entity["confidence"]) == ({"lines": 2, "name": "a"}, 0.9)
        assert entity["first_seen"] < entity["last_modified"]

    def test_a_relation_that_is_seen_again_is_counted(self, store: wilk.Store) -> None:
        id = store.world_models.save("coding").id
        store.world_models.observe_relation(id, "a", "written by", "b", confidence=0.6)
        model = store.world_models.observe_relation(id, "a", "written by", "b", times=2)
        assert [(one["observed_count"], one["confidence"]) for one in model.relations] == [(3, 0.6)]
        assert model.discovered_relation_types == ["written by"]

    def test_the_types_that_were_discovered_stay(self, store: wilk.Store) -> None:
        kept = store.world_models.save("coding", entities=[A], discovered_entity_types=["tool"])
        assert store.world_models.update(kept.id, entities=[B]).discovered_entity_types == [
            "tool",
            "file",
            "person",
        ]


class TestFinding:
    def test_the_active_ones_of_a_session_or_of_all(self, store: wilk.Store) -> None:
        one = store.world_models.save("a", session="s").id
        other = store.world_models.save("b").id
        gone = store.world_models.deactivate(store.world_models.save("c", session="s").id)
        assert not gone.is_active
        assert [model.id for model in store.world_models.active()] == [other, one]
        assert [model.id for model in store.world_models.active("s")] == [one]
        assert [model.id for model in store.world_models.list(session="s")] == [gone.id, one]

    def test_a_domains_surest_first(self, store: wilk.Store) -> None:
        for confidence in (0.2, 0.9, 0.5):
            store.world_models.save("coding", domain_confidence=confidence)
        store.world_models.save("cooking", domain_confidence=1.0)
        found = store.world_models.by_domain("coding", limit=2)
        assert [model.domain_confidence for model in found] == [0.9, 0.5]

    def test_an_unknown_one_is_not_found(self, store: wilk.Store) -> None:
        for verb in (store.world_models.get, store.world_models.deactivate, store.world_models.snapshot):
            with pytest.raises(wilk.NotFound, match="no world model 'x'"):
                verb("x")


class TestSnapshots:
    def test_come_the_latest_first_with_what_caused_them(self, store: wilk.Store) -> None:
        id = store.world_models.save("coding").id
        store.world_models.snapshot(id, trigger_event="one")
        store.world_models.snapshot(id, trigger_event="two", data={"any": "thing"})
        found = store.world_models.snapshots(id, limit=1)
        assert [(one.trigger_event, one.data) for one in found] == [("two", {"any": "thing"})]

    def test_of_all_models_are_listed_without_an_id(self, store: wilk.Store) -> None:
        for domain in ("a", "b"):
            store.world_models.snapshot(store.world_models.save(domain).id)
        assert len(store.world_models.snapshots()) == 2

    def test_of_another_model_cannot_be_restored(self, store: wilk.Store) -> None:
        one, other = store.world_models.save("a").id, store.world_models.save("b").id
        snapshot = store.world_models.snapshot(one).id
        with pytest.raises(wilk.NotFound, match="a snapshot of world model"):
            store.world_models.restore(other, snapshot)
        assert store.world_models.snapshots(other) == []

    def test_with_data_that_is_no_state_change_nothing(self, store: wilk.Store) -> None:
        kept = store.world_models.save("a", entities=[A])
        snapshot = store.world_models.snapshot(kept.id, data={"entities": [{"id": 5}]}).id
        with pytest.raises(wilk.Invalid, match=r"^entities\.0\.id 5"):
            store.world_models.restore(kept.id, snapshot)
        assert store.world_models.get(kept.id) == kept
        assert len(store.world_models.snapshots(kept.id)) == 1

    def test_go_with_their_model_and_come_back_with_it(self, store: wilk.Store) -> None:
        kept = store.world_models.save("a", entities=[A])
        snapshot = store.world_models.snapshot(kept.id)
        store.world_models.remove(kept.id)
        assert (store.world_models.list(), store.world_models.snapshots()) == ([], [])
        store.archive.restore(batch=store.archive.list(limit=1)[0].batch)
        assert (store.world_models.list(), store.world_models.snapshots()) == ([kept], [snapshot])


class TestMerging:
    def test_puts_the_other_to_it_and_says_so(self, store: wilk.Store) -> None:
        into = store.world_models.save(
            "coding", domain_confidence=0.4, interaction_count=2, goals=["x"],
            entities=[{**A, "properties": {"n": 1}}], relations=[A_B], metrics={"m": 1},
        ).id  # fmt: skip
        source = store.world_models.save(
            "coding", domain_confidence=0.6, interaction_count=3, goals=["x", "y"],
            entities=[B, {**A, "properties": {"n": 2}, "confidence": 0.9}], relations=[A_B], metrics={"m": 2, "k": 3},
        ).id  # fmt: skip
        merged = store.world_models.merge(into, source)
        assert [one["id"] for one in merged.entities] == ["a", "b"]
        assert (merged.entities[0]["properties"], merged.entities[0]["confidence"]) == ({"n": 2}, 0.9)
        assert [one["observed_count"] for one in merged.relations] == [2]
        assert (merged.goals, merged.metrics, merged.merged_from) == (["x", "y"], {"m": 1, "k": 3}, [source])
        assert (merged.domain_confidence, merged.interaction_count) == (0.6, 5)
        assert not store.world_models.get(source).is_active
        assert [one.trigger_event for one in store.world_models.snapshots(into)] == [f"merged {source}"]

    def test_with_itself_is_refused(self, store: wilk.Store) -> None:
        id = store.world_models.save("a").id
        with pytest.raises(wilk.Invalid, match="another world model"):
            store.world_models.merge(id, id)

    def test_with_an_unknown_one_changes_nothing(self, store: wilk.Store) -> None:
        kept = store.world_models.save("a")
        with pytest.raises(wilk.NotFound, match="no world model 'x'"):
            store.world_models.merge(kept.id, "x")
        assert (store.world_models.list(), store.world_models.snapshots()) == ([kept], [])
