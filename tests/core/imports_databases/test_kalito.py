"""kalito.db: personas become files, ranges of summaries sequences, and health is left alone."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.core.imports_databases import databases
from tests.core.imports_databases.databases import Kept

import wilk


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory, _new_database: Path) -> Iterator[Kept]:
    folder = tmp_path_factory.mktemp("kalito")
    with databases.kept("kalito", folder, _new_database, databases.kalito(folder / "kalito.db")) as found:
        yield found


def test_messages_are_in_the_order_of_their_numbers(kept: Kept) -> None:
    messages = kept.store.messages.last("garden", 20)
    assert [message.text for message in messages] == [f"Line {number}" for number in range(1, 13)]
    assert messages[1].importance == pytest.approx(0.1)
    assert messages[1].metadata["kalito"]["token_usage"] == 400
    assert messages[1].model == "mistral:7b"


def test_a_session_has_its_persona_recap_and_whether_it_is_saved(kept: Kept) -> None:
    garden, boat = kept.store.sessions.get("garden"), kept.store.sessions.get("boat")
    assert (garden.persona_id, garden.recap, garden.saved) == ("gardener", "Beds and paths", True)
    assert (boat.persona_id, boat.name, boat.saved) == (None, None, False)


def test_a_persona_becomes_a_file_with_its_settings(kept: Kept) -> None:
    persona = kept.store.personas.get("gardener")
    assert (persona.temperature, persona.max_tokens, persona.top_p) == (0.7, 900, 0.9)
    assert (persona.suggested_models, persona.stop_sequences) == (["a", "b"], ["###"])
    assert persona.is_default
    assert "You know beds." in (kept.home / "personas" / "gardener.yaml").read_text()


def test_a_persona_with_odd_values_comes_without_them(kept: Kept) -> None:
    persona = kept.store.personas.get("hot")
    assert (persona.prompt, persona.temperature, persona.max_tokens) == ("You are hot.", 2.0, None)
    assert any("personas.temperature" in warning for warning in kept.result.warnings)


def test_ranges_of_summaries_are_compared_as_numbers(kept: Kept) -> None:
    summaries = kept.store.summaries.list("garden")
    assert [(one.id, one.first_sequence, one.last_sequence) for one in summaries] == [
        ("s1", 2, 9),
        ("s2", 10, 12),
    ]
    assert summaries[0].text == "Beds were laid out."


def test_summaries_that_overlap_or_have_no_range_become_memories(kept: Kept) -> None:
    memories = kept.store.memories.list(session="garden")
    assert {one.content for one in memories} == {"Beds again.", "No range."}
    assert {one.kind for one in memories} == {"summary"}


def test_a_summary_has_the_hash_of_what_it_stands_for(kept: Kept) -> None:
    from wilk.services.memory.summarizing import hash_of

    covered = kept.store.messages.last("garden", 20)[1:9]
    assert kept.store.summaries.get("s1").content_hash == hash_of(covered)


def test_pins_name_their_message_and_odd_ones_stay(kept: Kept) -> None:
    known, odd = kept.store.pins.get("p1"), kept.store.pins.get("p2")
    tenth = kept.store.messages.last("garden", 20)[9]
    assert (known.source_message_id, known.type, known.importance) == (tenth.id, "code", 0.9)
    assert (odd.source_message_id, odd.type, odd.importance) == (None, "user", 1.0)
    assert odd.metadata["kalito"]["pin_type"] == "gold"
    assert odd.metadata["kalito"]["source_message_id"] == "999"


def test_a_pin_whose_session_is_gone_is_reported(kept: Kept) -> None:
    assert [(one.kind, one.id) for one in kept.result.errors] == [("pins", "p3")]


def test_health_is_not_read_and_told_of(kept: Kept) -> None:
    assert kept.result.lost_fields == {"table patients": 1}
    assert not any(b"canary-health" in path.read_bytes() for path in kept.home.rglob("*") if path.is_file())


def test_two_defaults_of_one_category_are_reported_and_the_rest_comes(
    store: wilk.Store, tmp_path: Path
) -> None:
    path = databases.kalito(tmp_path / "kalito.db")
    databases.change(path, "UPDATE personas SET category = 'hobby', is_default = 1")
    result = store.imports.run("kalito", path)
    assert "garden" in {one.id for one in store.sessions.list()}
    assert [one.id for one in result.errors if one.kind == "personas"] in ([], ["hot"])
