"""bicameral.db of bicamrl: interactions old and new, what was learned, and archives that stay archives."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.core.imports_databases import databases
from tests.core.imports_databases.databases import Kept


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory, _new_database: Path) -> Iterator[Kept]:
    folder = tmp_path_factory.mktemp("bicamrl")
    path = databases.bicamrl(folder / "bicameral.db")
    with databases.kept("bicamrl", folder, _new_database, path) as found:
        yield found


def test_an_interaction_has_its_columns_and_what_its_json_adds(kept: Kept) -> None:
    one = kept.store.interactions.get("i1")
    assert (one.user_query, one.ai_interpretation, one.success) == ("Open the door", "door.open", True)
    assert (one.feedback_type, one.tokens_used, one.confidence) == ("approval", 40, 0.8)
    assert (one.tags, one.planned_actions, one.session_id) == (["door"], ["look"], "day")
    assert one.metadata["bicamrl"]["execution_time"] == 1.5
    assert one.created_at.isoformat() == "2025-04-01T09:00:00+00:00"


def test_its_actions_follow_it(kept: Kept) -> None:
    (action,) = kept.store.interactions.actions("i1")
    assert (action.action_type, action.target, action.status) == ("read", "door.py", "completed")
    assert (action.result, action.details) == ("ok", {"line": 3})


def test_json_that_is_broken_leaves_the_columns(kept: Kept) -> None:
    one = kept.store.interactions.get("i2")
    assert (one.user_query, one.feedback_type, one.session_id) == ("Close it", "none", "elsewhere")
    assert one.metadata["bicamrl"]["feedback_type"] == "loved"
    assert one.metadata["bicamrl"]["unreadable"] == "{broken"


def test_the_older_table_comes_too(kept: Kept) -> None:
    one = kept.store.interactions.get("interaction-7")
    assert (one.user_query, one.metadata["bicamrl"]["file_path"]) == ("edit", "gate.py")


def test_sessions_have_their_summary(kept: Kept) -> None:
    session = kept.store.sessions.get("day")
    assert (session.recap, session.status) == ("Doors and gates", "completed")
    assert session.metadata["bicamrl"]["files_touched"] == ["door.py"]


def test_patterns_feedback_and_preferences_come(kept: Kept) -> None:
    (pattern,) = kept.store.patterns.list()
    assert (pattern.sequence, pattern.frequency, pattern.confidence) == (["read", "edit"], 4, 0.9)
    (feedback,) = kept.store.feedback.list()
    assert (feedback.message, feedback.applied, feedback.context) == (
        "Knock first",
        True,
        {"file": "door.py"},
    )
    (preference,) = kept.store.preferences.list()
    assert (preference.category, preference.key, preference.value) == ("style", "indent", "4")


def test_archives_lie_in_the_archive_with_their_reasons(kept: Kept) -> None:
    found = {(one.kind, one.record_id, one.reason) for one in kept.store.archive.list()}
    assert found == {
        ("interaction", "i0", "consolidated_to_working"),
        ("pattern", "pattern-9", "promoted_to_semantic"),
    }
    (entry,) = kept.store.archive.list(kind="interaction")
    assert kept.store.interactions.find("i0") is None
    kept.store.archive.restore(entry.id)
    one = kept.store.interactions.get("i0")
    assert (one.user_query, one.metadata["archived"]["consolidated_to"]) == ("Find the key", "w1")


def test_world_models_have_their_snapshots(kept: Kept) -> None:
    model = kept.store.world_models.get("w")
    assert (model.domain, model.domain_confidence, model.interaction_count) == ("house", 0.7, 3)
    assert model.entities == [{"id": "door", "type": "thing"}]
    (snapshot,) = kept.store.world_models.snapshots("w")
    assert (snapshot.data, snapshot.trigger_event) == ({"entities": []}, "goal reached")


def test_a_snapshot_of_a_model_that_is_gone_is_reported(kept: Kept) -> None:
    assert [(one.kind, one.id) for one in kept.result.errors] == [("world_model_snapshot", "2@gone")]
