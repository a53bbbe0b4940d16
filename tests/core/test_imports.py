"""The landing: what comes in is written once, changed where it has changed, and reported where it cannot be."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

import wilk
from wilk import (
    Importer,
    Incoming,
    IncomingCall,
    IncomingDefinition,
    IncomingGroup,
    IncomingMessage,
    IncomingRecord,
    IncomingSession,
    IncomingUser,
    Reading,
    Source,
    hookimpl,
)
from wilk.care.tombstones import Tombstones
from wilk.records.transfer import MigrationResult, Progress

pytestmark = pytest.mark.backends

LONG_AGO = datetime(2024, 5, 1, 12, 0, tzinfo=UTC)


class Shelf:
    """An importer of whatever lies in ``items``."""

    def __init__(self, *items: Incoming) -> None:
        self.items: Sequence[Incoming] = items
        self.options: Mapping[str, str] = {}
        self.knows: str | None = None

    @hookimpl
    def register_importers(self) -> Iterator[Importer]:
        yield Importer("shelf", self.read, lambda _: self.knows, "a shelf", {"colour": "of the shelf"})

    def read(self, source: Source, reading: Reading) -> Iterator[Incoming]:
        self.options = reading.options
        yield from self.items


def chain(*texts: str, roles: Sequence[str] = ("user", "assistant")) -> list[IncomingMessage]:
    """Messages m1, m2, … each behind the one before."""
    return [
        IncomingMessage(f"m{n}", roles[(n - 1) % len(roles)], text, parent=f"m{n - 1}" if n > 1 else None)
        for n, text in enumerate(texts, 1)
    ]


@pytest.fixture
def shelf() -> Shelf:
    return Shelf()


@pytest.fixture
def store(shelf: Shelf, backend: str) -> Iterator[wilk.Store]:
    with wilk.open_store(host=wilk.Host(shelf)) as store:
        yield store


Run = Callable[..., MigrationResult]


@pytest.fixture
def run(store: wilk.Store, shelf: Shelf, tmp_path: Path) -> Run:
    def imported(*items: Incoming, **options: Any) -> MigrationResult:
        shelf.items = items
        return store.imports.run("shelf", tmp_path, **options)

    return imported


def counts(result: MigrationResult) -> dict[str, tuple[int, int, int]]:
    return {one.kind: (one.created, one.updated, one.unchanged) for one in result.kinds}


def texts(store: wilk.Store, session: str = "s") -> list[str]:
    return [message.text for message in store.messages.last(session)]


ADA = IncomingUser("u1", "Ada", email="ada@example.org", created_at=LONG_AGO)


class TestOnce:
    def test_a_conversation_comes_in_as_it_was(self, run: Run, store: wilk.Store) -> None:
        session = IncomingSession(
            "s", chain("Is there a wolf?", "There is."), name="Wolves", user="u1", model="gpt-4",
            metadata={"shelf": {"x": 1}}, created_at=LONG_AGO, updated_at=LONG_AGO,
        )  # fmt: skip
        assert counts(run(ADA, session)) == {"users": (1, 0, 0), "messages": (2, 0, 0), "sessions": (1, 0, 0)}
        kept = store.sessions.get("s")
        assert (kept.name, kept.user_id, kept.model, kept.metadata) == (
            "Wolves",
            "u1",
            "gpt-4",
            {"shelf": {"x": 1}},
        )
        assert (kept.created_at, kept.updated_at, kept.message_count, kept.saved) == (
            LONG_AGO,
            LONG_AGO,
            2,
            True,
        )
        assert [(one.id, one.sequence, one.role, one.parent_id) for one in store.messages.last("s")] == [
            ("m1", 1, "user", None), ("m2", 2, "assistant", "m1"),
        ]  # fmt: skip
        assert (store.users.get("u1").email, store.users.get("u1").external_id) == (
            "ada@example.org",
            "shelf:u1",
        )

    def test_a_second_run_changes_nothing(self, run: Run, store: wilk.Store) -> None:
        items = (
            ADA,
            IncomingGroup("g", "Team", members=[("u1", "owner")]),
            IncomingDefinition("agents", "a1", "coder", {"name": "Coder"}),
            IncomingSession("s", chain("one", "two"), user="u1", group="g", agents=["a1"]),
            IncomingRecord(
                "memory", "r1", {"content": "wolves", "user_id": "u1"}, refers={"user_id": "user"}
            ),
        )
        assert run(*items).created == 7
        again = run(*items)
        assert (again.created, again.updated, again.unchanged, again.failed) == (0, 0, 5, 0)
        assert store.archive.list() == []
        assert [one.group_id for one in store.sessions.list()] == ["g"]
        assert store.groups.members("g")[0].user_id == "u1"

    def test_runs_are_listed_with_their_reports(self, run: Run, store: wilk.Store) -> None:
        first = run(ADA)
        (listed,) = store.imports.list()
        assert (listed.status, listed.importer) == ("finished", "shelf")
        assert listed.result is not None
        assert (listed.result.run, listed.result.success) == (first.run, 1)

    def test_the_seeds_three_are_in_the_result(self, run: Run) -> None:
        broken = IncomingDefinition("agents", "bad", "bad", {"model": "no mapping"})
        result = run(ADA, broken)
        assert (result.success, result.failed) == (1, 1)
        assert [(one.kind, one.id) for one in result.errors] == [("agents", "bad")]


class TestChanges:
    def test_a_changed_record_alone_is_written(self, run: Run, store: wilk.Store) -> None:
        run(ADA, IncomingSession("s", chain("one"), user="u1"))
        changed = IncomingUser("u1", "Ada L.")
        assert counts(run(changed, IncomingSession("s", chain("one"), user="u1"))) == {
            "users": (0, 1, 0), "sessions": (0, 0, 1),
        }  # fmt: skip
        assert store.users.get("u1").name == "Ada L."

    def test_new_messages_are_appended(self, run: Run, store: wilk.Store) -> None:
        run(IncomingSession("s", chain("one", "two")))
        result = run(IncomingSession("s", chain("one", "two", "three")))
        assert counts(result) == {"messages": (1, 0, 2), "sessions": (0, 1, 0)}
        assert texts(store) == ["one", "two", "three"]

    def test_a_changed_message_keeps_its_place_and_the_one_before_is_archived(
        self, run: Run, store: wilk.Store
    ) -> None:
        run(IncomingSession("s", chain("one", "two")))
        result = run(IncomingSession("s", chain("uno", "two")))
        assert counts(result) == {"messages": (0, 1, 1), "sessions": (0, 1, 0)}
        assert texts(store) == ["uno", "two"]
        (entry,) = store.archive.list(kind="message")
        assert (entry.record_id, entry.reason) == ("m1", "changed in its source")
        assert store.sessions.get("s").message_count == 2
        assert [hit.message.id for hit in store.messages.search("uno")] == ["m1"]

    def test_versions_become_revisions_once(self, run: Run, store: wilk.Store) -> None:
        old = [{"name": "Coder", "version": f"1.{n}"} for n in range(3)]
        run(IncomingDefinition("agents", "a", "coder", {"name": "Coder", "version": "2.0"}, versions=old))
        assert [one.version for one in store.agents.history("coder")] == ["1.0", "1.1", "1.2", "2.0"]
        newer = [*old, {"name": "Coder", "version": "2.0"}]
        result = run(
            IncomingDefinition("agents", "a", "coder", {"name": "Coder", "version": "3.0"}, versions=newer)
        )
        assert counts(result) == {"agents": (0, 1, 0)}
        assert [one.version for one in store.agents.history("coder")] == ["1.0", "1.1", "1.2", "2.0", "3.0"]

    def test_a_changed_record_of_another_kind_is_archived_as_it_was(
        self, run: Run, store: wilk.Store
    ) -> None:
        run(IncomingRecord("memory", "r", {"content": "a wolf"}))
        run(IncomingRecord("memory", "r", {"content": "two wolves"}))
        assert [one.content for one in store.memories.list()] == ["two wolves"]
        assert [one.reason for one in store.archive.list(kind="memory")] == ["changed in its source"]
        assert [found.kind for found in store.search("wolves")] == ["memory"]

    def test_what_was_removed_here_is_not_brought_back(self, run: Run, store: wilk.Store) -> None:
        run(IncomingSession("s", chain("one")))
        store.sessions.remove("s")
        assert run(IncomingSession("s", chain("one"))).created == 0
        result = run(IncomingSession("s", chain("one", "two")))
        assert "removed here" in result.errors[0].error
        assert store.sessions.find("s") is None

    def test_a_name_that_was_given_here_stays_away_from_no_other_change(
        self, run: Run, store: wilk.Store
    ) -> None:
        run(IncomingSession("s", chain("one"), name="Talk"))
        run(IncomingSession("s", chain("one"), name="A better name"))
        assert store.sessions.get("s").name == "A better name"


class TestBranches:
    def tree(self, leaf: str, *more: IncomingMessage) -> IncomingSession:
        messages = [
            IncomingMessage("q", "user", "How many?"),
            IncomingMessage("a1", "assistant", "Two.", parent="q"),
            IncomingMessage("a2", "assistant", "Three.", parent="q"),
            IncomingMessage("q2", "user", "Sure?", parent="a2"),
            *more,
        ]
        return IncomingSession("s", messages, leaf=leaf)

    def test_the_visible_one_is_the_session(self, run: Run, store: wilk.Store) -> None:
        run(self.tree("q2"))
        assert texts(store) == ["How many?", "Three.", "Sure?"]
        (branch,) = store.branches.list("s")
        assert (branch.leaf_id, branch.fork_id, branch.messages, branch.text) == ("a1", "q", 1, "Two.")
        assert [one.text for one in store.branches.messages("s", "a1")] == ["How many?", "Two."]

    def test_another_branch_is_shown_where_the_source_shows_another(
        self, run: Run, store: wilk.Store
    ) -> None:
        run(self.tree("q2"))
        run(self.tree("q3", IncomingMessage("q3", "user", "Two?", parent="a1")))
        assert texts(store) == ["How many?", "Two.", "Two?"]
        assert [one.leaf_id for one in store.branches.list("s")] == ["q2"]
        assert store.sessions.get("s").message_count == 3

    def test_what_was_said_here_stays_visible(self, run: Run, store: wilk.Store) -> None:
        run(self.tree("q2"))
        store.messages.append("s", "assistant", "Sure.")
        result = run(self.tree("q3", IncomingMessage("q3", "user", "Two?", parent="a1")))
        assert texts(store) == ["How many?", "Three.", "Sure?", "Sure."]
        assert [one.leaf_id for one in store.branches.list("s")] == ["q3"]
        assert any("go on here" in warning for warning in result.warnings)


class TestIds:
    def test_an_id_that_another_session_has_is_replaced_the_same_way_each_time(
        self, run: Run, store: wilk.Store
    ) -> None:
        store.sessions.create(id="other")
        store.messages.append("other", "user", "mine", id="m1")
        items = IncomingSession("s", chain("one", "two"))
        run(items)
        first, second = store.messages.last("s")
        assert first.id != "m1"
        assert second.parent_id == first.id
        assert run(IncomingSession("s", chain("one", "two", "three"))).failed == 0
        assert [one.id for one in store.messages.last("s")][:2] == [first.id, second.id]

    def test_a_session_id_that_is_taken_is_replaced(self, run: Run, store: wilk.Store) -> None:
        store.sessions.create(id="s", name="mine")
        run(IncomingSession("s", chain("one"), name="theirs"))
        assert sorted(one.name or "" for one in store.sessions.list()) == ["mine", "theirs"]
        assert texts(store) == []

    def test_ids_that_no_database_keeps_are_replaced(self, run: Run, store: wilk.Store) -> None:
        run(IncomingSession("s\0\ud800", [IncomingMessage("m\0", "user", "one")]))
        (session,) = store.sessions.list()
        assert session.id.isalnum()
        assert texts(store, session.id) == ["one"]

    def test_a_definition_gets_a_name_that_a_file_can_have(self, run: Run, store: wilk.Store) -> None:
        run(
            IncomingDefinition("agents", "1", "../../etc/pass wd", {"name": "A"}),
            IncomingDefinition("agents", "2", "..", {"name": "B"}),
            IncomingDefinition("agents", "3", "etc-pass-wd", {"name": "C"}),
        )
        ids = [agent.id for agent in store.agents.list()]
        assert "etc-pass-wd" in ids
        assert len(ids) == 3
        assert store.home is not None
        assert all((store.home / "agents" / id / "agent.yaml").is_file() for id in ids)

    def test_two_of_one_name_both_come_in(self, run: Run, store: wilk.Store) -> None:
        result = run(
            IncomingDefinition("agents", "1", "one", {"name": "Coder"}),
            IncomingDefinition("agents", "2", "two", {"name": "Coder"}),
        )
        assert result.failed == 0
        assert [agent.name for agent in store.agents.list()] == ["Coder", "Coder (two)"]
        assert list(result.warnings) == ["names that another definition has got their id behind them"]


class TestPeople:
    def test_a_user_whom_the_source_does_not_hold_is_made(self, run: Run, store: wilk.Store) -> None:
        result = run(IncomingSession("s", chain("one"), user="u9"))
        assert store.users.get("u9").name == "u9"
        assert list(result.warnings) == [
            "users that the source names and does not hold were made, with their id as name"
        ]

    def test_all_of_it_may_belong_to_one_user_here(self, run: Run, store: wilk.Store) -> None:
        store.users.save("me", name="Me")
        run(ADA, IncomingSession("s", chain("one"), user="u1"), user="me")
        assert [one.id for one in store.users.list()] == ["me"]
        assert store.sessions.get("s").user_id == "me"

    def test_a_user_who_is_not_here_is_told_before_anything_is_read(self, run: Run) -> None:
        with pytest.raises(wilk.NotFound, match="no user 'nobody'"):
            run(ADA, user="nobody")


class TestWhatCannotBe:
    def test_a_record_that_cannot_be_taken_over_holds_up_no_other(self, run: Run, store: wilk.Store) -> None:
        result = run(
            IncomingDefinition("agents", "bad", "bad", {"permissions": 7}),
            IncomingRecord(
                "memory", "no", {"content": "x", "session_id": "gone"}, refers={"session_id": "session"}
            ),
            IncomingSession("s", chain("one")),
        )
        assert [one.id for one in result.errors] == ["bad", "no"]
        assert "belongs to session 'gone'" in result.errors[1].error
        assert texts(store) == ["one"]

    def test_a_part_that_cannot_be_kept_is_set_aside_and_the_message_stays(
        self, run: Run, store: wilk.Store
    ) -> None:
        deep: Any = "wolf"
        for _ in range(400):
            deep = [deep]
        result = run(
            IncomingSession("s", [IncomingMessage("m", "user", "look", parts=[{"type": "text"}, deep])])
        )
        (message,) = store.messages.last("s")
        assert message.parts is not None
        assert message.parts[0] == {"type": "text"}
        assert message.parts[1]["type"] == "set_aside"
        assert "wolf" in message.parts[1]["text"]
        assert result.failed == 0

    def test_odd_texts_come_back_as_they_were(self, run: Run, store: wilk.Store) -> None:
        odd = "a\0b\ud800c"
        run(
            IncomingSession(
                "s", [IncomingMessage("m", "user", odd, parts=[odd, 2**70, float("inf")])], name="x\0"
            )
        )
        (message,) = store.messages.last("s")
        assert (message.text, list(message.parts or ())) == (odd, [odd, 2**70, float("inf")])

    def test_what_was_forgotten_does_not_come_back(self, run: Run, store: wilk.Store) -> None:
        with store.transaction():
            Tombstones(store._engine).put("certificate", [("session", "s")])
        result = run(IncomingSession("s", chain("one")), IncomingSession("t", chain("two")))
        assert dict(result.skipped) == {"forgotten: it was removed for good, on request": 1}
        assert [one.id for one in store.sessions.list()] == ["t"]

    def test_a_thing_that_is_no_record_is_the_importers_fault(self, run: Run, store: wilk.Store) -> None:
        with pytest.raises(TypeError, match="wilk.Incoming"):
            run("a text")  # type: ignore[arg-type]
        assert store.imports.list()[0].status == "failed"


class TestSources:
    def test_a_dry_run_writes_nothing_and_tells_what_it_would(self, run: Run, store: wilk.Store) -> None:
        result = run(ADA, IncomingSession("s", chain("one"), user="u1"), dry_run=True)
        assert (result.dry_run, result.created) == (True, 2)
        assert (store.users.list(), store.sessions.list(), store.imports.list()) == ([], [], [])

    def test_options_are_those_of_the_importer(self, run: Run, shelf: Shelf) -> None:
        run(ADA, options={"colour": "red"})
        assert shelf.options == {"colour": "red"}
        with pytest.raises(wilk.Invalid, match="shelf has no option 'size'; it has: colour"):
            run(ADA, options={"size": "1"})

    def test_a_source_that_nobody_knows_is_described(self, store: wilk.Store, tmp_path: Path) -> None:
        (tmp_path / "odd.bin").write_bytes(b"\x01\x02")
        with pytest.raises(
            wilk.Invalid, match=r"odd\.bin is not recognised: it is odd\.bin\. Importers: .*shelf"
        ):
            store.imports.run("auto", tmp_path / "odd.bin")

    def test_what_is_recognised_is_taken(
        self, run: Run, store: wilk.Store, shelf: Shelf, tmp_path: Path
    ) -> None:
        (tmp_path / "odd.bin").write_bytes(b"\x01\x02")
        shelf.knows, shelf.items = "something odd", (ADA,)
        assert [tuple(one) for one in store.imports.recognize(tmp_path / "odd.bin")] == [
            ("shelf", "something odd")
        ]
        assert store.imports.run("auto", tmp_path / "odd.bin").created == 1

    def test_a_source_that_is_not_there_is_told(self, store: wilk.Store, tmp_path: Path) -> None:
        with pytest.raises(wilk.NotFound, match=r"no file or folder '.*nowhere'"):
            store.imports.run("auto", tmp_path / "nowhere")

    def test_an_unknown_importer_is_told(self, store: wilk.Store, tmp_path: Path) -> None:
        with pytest.raises(wilk.PluginError, match="no plugin offers the importer 'chess'; there is .*shelf"):
            store.imports.run("chess", tmp_path)

    def test_progress_is_told(self, store: wilk.Store, shelf: Shelf, tmp_path: Path) -> None:
        told: list[Progress] = []
        shelf.items = (ADA, IncomingSession("s", chain("one")))
        store.imports.run("shelf", tmp_path, progress=told.append)
        assert {one.step for one in told} == {"reading"}
        assert told[-1].kind == "sessions"

    def test_what_comes_after_all_was_read_is_told_as_writing(
        self, store: wilk.Store, tmp_path: Path
    ) -> None:
        (tmp_path / "messages.json").write_text(
            '{"messageId": "m", "conversationId": "c", "text": "Hello", "createdAt": {"$date": "2025-01-01T00:00:00Z"}}'
        )
        told: list[Progress] = []
        store.imports.run("librechat", tmp_path / "messages.json", progress=told.append)
        steps = [one.step for one in told]
        assert steps == sorted(steps)  # first reading, then writing
        assert told[-1] == Progress("writing", "sessions", 2, 0)


class TestCalls:
    def test_calls_are_in_the_log_with_their_times(self, run: Run, store: wilk.Store) -> None:
        call = IncomingCall("c1", "search", {"q": 1}, ["hit"], started_at=LONG_AGO, finished_at=LONG_AGO)
        run(IncomingSession("s", [IncomingMessage("m", "assistant", "I look.", calls=[call])]))
        (kept,) = store.tool_calls.list("s")
        assert (kept.name, kept.call_id, kept.message_id, kept.result) == ("search", "c1", "m", ["hit"])
        assert (kept.started_at, kept.status) == (LONG_AGO, "ok")


KILLED = """
    import os, sys
    import wilk
    from wilk import Importer, IncomingMessage, IncomingSession, IncomingUser, hookimpl

    class Shelf:
        @hookimpl
        def register_importers(self):
            def read(source, reading):
                yield IncomingUser("u", "Ada")
                for n in range(30):
                    if n == int(sys.argv[1]):
                        os.kill(os.getpid(), 9)
                    messages = [IncomingMessage(f"{n}-{i}", "user", f"wolf {i}") for i in range(20)]
                    yield IncomingSession(f"s{n}", messages, user="u")
            yield Importer("shelf", read, lambda _: None)

    with wilk.open_store(host=wilk.Host(Shelf())) as store:
        result = store.imports.run("shelf", ".")
        print(result.created, result.unchanged)
"""


@pytest.mark.slow
def test_a_run_that_was_killed_goes_on(backend: str, tmp_path: Path) -> None:
    script = tmp_path / "run.py"
    script.write_text(textwrap.dedent(KILLED))

    def spawn(at: int) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, str(script), str(at)],
            capture_output=True,
            text=True,
            env=dict(os.environ),
            check=False,
        )

    for at in (3, 17):
        assert spawn(at).returncode == -signal.SIGKILL
    done = spawn(-1)
    assert done.stdout.split() == [str(13 * 21), "18"], done.stderr
    with wilk.open_store() as store:
        assert sorted(one.id for one in store.sessions.list()) == sorted(f"s{n}" for n in range(30))
        assert {store.messages.count(f"s{n}") for n in range(30)} == {20}
        assert [one.status for one in store.imports.list()] == ["finished", "interrupted", "interrupted"]


class TestWhatPeopleChangedHere:
    """A second import of a newer source, after somebody worked on what the first one brought."""

    def test_the_fields_of_a_session_stay_and_the_run_says_so(self, run: Run, store: wilk.Store) -> None:
        session = IncomingSession("s", chain("a"), name="Wolves", recap="short", metadata={"shelf": {"x": 1}})
        run(session)
        store.sessions.update("s", name="Mine", metadata={"shelf": {"x": 1}, "mine": True})
        newer = IncomingSession(
            "s", chain("a", "b"), name="Bears", recap="long", metadata={"shelf": {"x": 2}}
        )
        for _ in range(2):  # a changed one, and one that is taken up again
            result = run(newer)
            kept = store.sessions.get("s")
            assert (kept.name, kept.recap, kept.metadata) == (
                "Mine", "long", {"shelf": {"x": 2}, "mine": True}
            )  # fmt: skip
            newer = IncomingSession(
                "s", chain("a", "b", "c"), name="Bears", recap="long", metadata=newer.metadata
            )
            assert result.warnings == {
                "sessions: name was changed here since it was taken over, and stays so": 1
            }
        assert texts(store) == ["a", "b", "c"]

    def test_what_nobody_changed_follows_the_source(self, run: Run, store: wilk.Store) -> None:
        for name in ("Wolves", "Bears", "Owls"):
            assert run(IncomingSession("s", chain("a"), name=name, created_at=LONG_AGO)).warnings == {}
            assert store.sessions.get("s").name == name

    def test_a_user_keeps_the_name_and_address_given_here(self, run: Run, store: wilk.Store) -> None:
        run(IncomingUser("u1", "Ada", email="ada@example.org", metadata={"shelf": 1}))
        store.users.save("u1", email="ada@home.example", metadata={"shelf": 1, "mine": 2})
        run(IncomingUser("u1", "Ada L.", email="ada@example.org", metadata={"shelf": 3}))
        kept = store.users.get("u1")
        assert (kept.name, kept.email, kept.metadata) == (
            "Ada L.", "ada@home.example", {"shelf": 3, "mine": 2}
        )  # fmt: skip

    def test_edits_of_a_definition_stay_and_what_the_source_says_is_a_revision(
        self, run: Run, store: wilk.Store
    ) -> None:
        def helper(**values: Any) -> IncomingDefinition:
            return IncomingDefinition(
                "agents", "a", "helper", {"name": "Helper", "system_prompt": "Be kind.", **values}
            )

        run(helper())
        store.catalog.save(
            "agents", "helper", {"name": "Helper", "system_prompt": "Be brief.", "category": "mine"}
        )
        result = run(helper(description="It helps", system_prompt="Be very kind."))
        kept = {"name": "Helper", "system_prompt": "Be brief.", "category": "mine", "description": "It helps"}
        assert store.catalog.read("agents", "helper") == kept
        said = [one.definition.get("system_prompt") for one in store.catalog.history("agents", "helper")]
        assert said == ["Be kind.", "Be brief.", "Be very kind.", "Be brief."]
        assert list(result.warnings) == [
            "agents that were edited here since they were taken over keep what was edited; "
            "what the source says is the revision before"
        ]
        run(helper(description="It helps a lot", system_prompt="Be very kind."))
        assert store.catalog.read("agents", "helper") == {**kept, "description": "It helps a lot"}

    def test_a_definition_that_was_removed_here_comes_back_aloud(self, run: Run, store: wilk.Store) -> None:
        run(IncomingDefinition("agents", "a", "helper", {"name": "Helper"}))
        store.catalog.remove("agents", "helper")
        assert run(IncomingDefinition("agents", "a", "helper", {"name": "Helper"})).warnings == {}
        result = run(IncomingDefinition("agents", "a", "helper", {"name": "Helper", "description": "x"}))
        assert [text.split(":")[0] for text in result.warnings] == [
            "definitions that were removed here came back"
        ]


def test_what_was_rolled_back_is_not_counted_as_written(run: Run, store: wilk.Store) -> None:
    run(IncomingSession("s", chain("a")))
    store.sessions.remove("s")
    result = run(IncomingSession("s", chain("a", "b")))
    assert [(one.kind, one.created, one.failed) for one in result.kinds] == [("sessions", 0, 1)]
    broken = [*chain("x", "y"), IncomingMessage("m3", "user", "z", importance=7.0, parent="m2")]
    result = run(IncomingSession("t", broken))
    assert [(one.kind, one.created, one.failed) for one in result.kinds] == [("sessions", 0, 1)]
    assert store.sessions.find("t") is None


class TestConversationsThatGoOn:
    """Sessions that the source has gone on with since they were taken over."""

    @staticmethod
    def plain(*keys: str) -> IncomingSession:
        """A session whose messages name no parents, each of its key's first letter."""
        return IncomingSession("s", [IncomingMessage(key, "user", key[0]) for key in keys])

    def test_messages_without_parents_go_on_behind_each_other(self, run: Run, store: wilk.Store) -> None:
        run(self.plain("a", "b"))
        run(self.plain("a", "b", "c", "d"))
        assert (texts(store), store.branches.list("s")) == (["a", "b", "c", "d"], [])
        run(self.plain("a", "x", "b", "c", "d", "e"))
        assert texts(store) == ["a", "b", "c", "d", "e"]
        assert [(one.leaf_id, one.fork_id) for one in store.branches.list("s")] == [("x", "a")]

    def test_messages_that_the_source_has_no_more_stay(self, run: Run, store: wilk.Store) -> None:
        run(self.plain("a", "b", "c"))
        assert run(self.plain("a")).warnings == {}
        assert texts(store) == ["a", "b", "c"]

    def test_a_branch_that_was_shown_here_stays_until_the_source_goes_on(
        self, run: Run, store: wilk.Store
    ) -> None:
        def talk(*more: IncomingMessage, leaf: str, name: str) -> IncomingSession:
            begun = [
                IncomingMessage("w1", "user", "1"),
                IncomingMessage("w2", "assistant", "2", parent="w1"),
                IncomingMessage("w3", "assistant", "3", parent="w1"),
            ]
            return IncomingSession("s", [*begun, *more], leaf=leaf, name=name)

        run(talk(leaf="w2", name="A"))
        store.branches.show("s", "w3")
        for name in ("B", "C"):
            run(talk(leaf="w2", name=name))
            assert (texts(store), store.sessions.get("s").name) == (["1", "3"], name)
        run(talk(IncomingMessage("w4", "user", "4", parent="w2"), leaf="w4", name="D"))
        assert texts(store) == ["1", "2", "4"]


def test_a_changed_record_with_others_on_it_is_archived_as_it_was_and_they_stay(
    run: Run, store: wilk.Store
) -> None:
    def chat(text: str) -> IncomingRecord:
        return IncomingRecord("document", "d", {"data": {"text": text}})

    raw = IncomingRecord(
        "raw_message", "d/0", {"position": 0, "data": {"role": "user"}, "conversation_id": "d"},
        {"conversation_id": "document"},
    )  # fmt: skip
    run(chat("one"), raw)
    run(chat("two"), raw)
    assert store.documents.get("d").data == {"text": "two"}
    (entry,) = store.archive.list(kind="document")
    assert (entry.reason, store.archive.get(entry.id).data["data"]) == (
        "changed in its source",
        '{"text":"one"}',
    )
    assert len(store.raw_messages.list("d")) == 1


@pytest.mark.parametrize(
    "item",
    [
        IncomingDefinition("agents", "a", "a", {"name": "a", "tools": "sk-canary"}),
        IncomingDefinition("presets", "p", "p", {"temperature": 'sk-canary\'s "own"'}),
        IncomingSession("s", [], status="sk-canary"),
        IncomingSession("s", [IncomingMessage("m", "user", importance="sk-canary")]),  # type: ignore[arg-type]
    ],
)
def test_an_error_tells_of_a_record_and_not_what_it_holds(
    run: Run, store: wilk.Store, item: Incoming
) -> None:
    (error,) = run(item).errors
    assert "canary" not in str(error)
    assert "wanted" in error.error or "expected" in error.error
    assert "canary" not in str(store.imports.list())


def test_millions_of_different_lost_fields_are_counted_and_not_kept(
    run: Run, store: wilk.Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    def read(_: Source, reading: Reading) -> Iterator[Incoming]:
        for n in range(5000):
            reading.lost(f"field {n}")
            reading.skip("sessions", str(n), f"reason {n}")
        yield from ()

    monkeypatch.setattr(Shelf, "read", lambda _self, source, reading: read(source, reading))
    result = run()
    assert (len(result.lost_fields), sum(result.lost_fields.values())) == (1001, 5000)
    assert (len(result.skipped), result.skipped["others"]) == (1001, 4000)
