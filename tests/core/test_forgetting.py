"""Forgetting: what belongs to a person is in no byte afterwards, and what belongs to others is as it was."""

from __future__ import annotations

import shutil
import sqlite3
import threading
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

import wilk
from wilk import models
from wilk.care.forgetting import again

from .canaries import Planted, held, plant
from .everything import tables

Two = tuple[wilk.Store, Planted, Planted]

OWN_WORDS = {"certificates", "forgotten", "vector_spaces", "wilk_migrations"}


@pytest.fixture
def two(store: wilk.Store) -> Two:
    """A store with rows of two people in every table."""
    store.groups.save("team", name="Team")
    return store, plant(store, "bobby"), plant(store, "alice")


def files_of(store: wilk.Store) -> Path:
    assert store.home is not None
    return store.home


def count(store: wilk.Store, table: str) -> int:
    ((rows,),) = store._engine.execute(f'SELECT COUNT(*) FROM "{table}"')
    return int(rows)


def said(store: wilk.Store, texts: list[str]) -> set[str]:
    """Which of some texts any row says."""
    found = set()
    for rows in tables(store, archive=True).values():
        for row in rows:
            shown = "\0".join(str(value) for value in row)
            found |= {text for text in texts if text in shown}
    return found


class TestRows:
    @pytest.mark.backends
    def test_of_one_person_are_gone_and_all_others_are_as_they_were(self, two: Two) -> None:
        store, bobby, alice = two
        before = tables(store, archive=True)
        store.forgetting.run(user=alice.user)
        after = tables(store, archive=True)
        assert said(store, [*alice.canaries, alice.user, alice.session]) == set()
        assert len(said(store, bobby.canaries)) > 150
        for name in before.keys() - OWN_WORDS:
            assert set(map(repr, after[name])) <= set(map(repr, before[name])), name

    def test_go_from_every_table_that_can_hold_any(self, two: Two) -> None:
        store, _, alice = two
        plan = store.forgetting.plan(user=alice.user)
        assert {table for table in alice.rows if table not in ("vector_tags",)} - plan.rows.keys() == set()
        assert plan.rows["archive"] == 5

    def test_of_every_table_are_thought_of(self) -> None:
        """A new table must be thought of: whom its rows belong to, or why to nobody."""
        from wilk.care.forgetting.links import BY_TABLE
        from wilk.models import _FAMILY

        nobodys = {"agents", "prompts", "personas", "presets", "definitions", "revisions", "definition_files",
                   "installations", "registry_packages", "groups", "vector_spaces", "indexed_kinds", "moves",
                   "forgotten", "certificates", "imports"}  # fmt: skip
        by_themselves = {"archive", "blobs", "imported_records", "repairs", "cache_entries", "vector_tags"}
        every = {getattr(models, name)._meta.table_name for name in _FAMILY}
        assert every == {*BY_TABLE, *nobodys, *by_themselves}

    def test_a_plan_changes_nothing_and_counts_what_a_run_removes(self, two: Two) -> None:
        store, _, alice = two
        before = tables(store, archive=True)
        plan = store.forgetting.plan(user=alice.user)
        assert tables(store, archive=True) == before
        certificate = store.forgetting.run(user=alice.user)
        assert certificate.rows == plan.rows

    def test_of_a_session_go_and_its_user_stays(self, two: Two) -> None:
        store, _, alice = two
        store.forgetting.run(session=alice.session)
        assert store.users.get(alice.user).id == alice.user
        assert store.sessions.find(alice.session) is None
        assert store.archive.count(session=f"old-{alice.who}-0-1234") == 2
        assert said(store, [text for text in alice.canaries if "alicemessages" in text]) == set()

    def test_that_are_in_the_archive_alone_are_found(self, store: wilk.Store) -> None:
        store.users.save("archived-user-1", name="Gone already")
        store.facts.add("archived-user-1", "likes", "the canary of one", user="archived-user-1")
        store.users.remove("archived-user-1")
        assert store.forgetting.plan(user="archived-user-1").archived == {"fact": 1, "user": 1}
        store.forgetting.run(user="archived-user-1")
        assert store.archive.count() == 0

    def test_of_nobody_change_nothing(self, two: Two) -> None:
        store, _, _ = two
        store.cache("responses").set("k", 1)
        before = tables(store, archive=True)
        with pytest.raises(wilk.NotFound, match="no user 'nobody'"):
            store.forgetting.run(user="nobody")
        assert tables(store, archive=True) == before
        assert store.cache("responses").get("k") == 1

    @pytest.mark.parametrize("given", [{}, {"user": "a", "session": "b"}, {"user": ""}, {"session": 5}])
    def test_want_one_subject(self, store: wilk.Store, given: Any) -> None:
        with pytest.raises(wilk.Invalid):
            store.forgetting.run(**given)

    def test_do_not_go_within_a_transaction(self, two: Two) -> None:
        store, _, alice = two
        with store.transaction(), pytest.raises(wilk.Conflict, match="end the transaction"):
            store.forgetting.run(user=alice.user)

    def test_that_a_writer_adds_meanwhile_go_as_well(self, two: Two) -> None:
        store, _, alice = two

        def late(step: str) -> None:
            if step == "writing copies anew":
                fact = models.Fact
                with store.transaction():
                    store._engine.run(
                        fact.insert(id="late-fact-1", subject="someone", predicate="said", object="the late canary of gold",
                                    user_id=alice.user, confidence=1.0, recorded_at=2 * 10**15)
                    )  # fmt: skip

        certificate = store.forgetting.run(user=alice.user, progress=late)
        assert said(store, ["the late canary of gold"]) == set()
        assert certificate.rows["facts"] == 3


class TestOthers:
    def test_keep_their_forks_without_the_name_of_what_they_were_forked_from(self, store: wilk.Store) -> None:
        session = self.forked(store)
        plan = store.forgetting.plan(session=session)
        assert plan.forks == 1
        store.forgetting.run(session=session)
        (fork,) = store.sessions.list()
        assert (fork.fork_of, fork.fork_sequence) == (None, None)
        assert [message.text for message in store.messages.last(fork.id)] == [
            "a canary in the coal mine, said once"
        ]
        assert said(store, [session]) == set()

    def test_lose_their_forks_when_that_is_asked_for(self, store: wilk.Store) -> None:
        session = self.forked(store)
        store.forgetting.run(session=session, forks=True)
        assert store.sessions.list() == []
        assert held(files_of(store), ["a canary in the coal mine"]) == {}

    def forked(self, store: wilk.Store) -> str:
        session = store.sessions.create(id="forked-session-7").id
        store.messages.append(session, "user", "a canary in the coal mine, said once")
        store.sessions.fork(session)
        return session

    def test_keep_memories_that_were_made_of_theirs_as_well(self, store: wilk.Store) -> None:
        for who in ("first-user-1", "second-user-2"):
            store.users.save(who, name=who)
            remember(store, f"memory-of-{who}", user_id=who)
        remember(store, "both-memory-1", sources=["memory-of-first-user-1", "memory-of-second-user-2"])
        remember(store, "only-memory-1", sources=["memory-of-first-user-1"])
        assert store.forgetting.plan(user="first-user-1").shared == 1
        store.forgetting.run(user="first-user-1")
        kept = {memory.id: memory.sources for memory in store.memories.list()}
        assert kept == {"memory-of-second-user-2": [], "both-memory-1": ["memory-of-second-user-2"]}

    def test_keep_contents_that_they_name_too(self, two: Two) -> None:
        store, bobby, alice = two
        with store.transaction():
            call = models.ToolCall
            ((hash,),) = store._engine.select(
                call.select(call.result_hash).where(call.session == alice.session)
            )
            store._engine.run(call.update(result_hash=hash).where(call.session == bobby.session))
        store.forgetting.run(user=alice.user)
        blob = models.Blob
        assert store._engine.select(blob.select(blob.size).where(blob.hash == hash))

    def test_keep_state_that_a_short_id_only_resembles(self, store: wilk.Store) -> None:
        store.users.save("page", name="A user of that name")
        store.state.set("page/1", {"seen": True})
        store.state.set("user:page", {"seen": True})
        store.forgetting.run(user="page")
        assert [state.key for state in store.state.list()] == ["page/1"]

    def test_keep_lists_without_the_ids_that_went(self, two: Two) -> None:
        store, _, alice = two
        store.state.set("open", {"sessions": [alice.session, "other"], "last": alice.session, alice.user: 1})
        store.forgetting.run(user=alice.user)
        assert store.state.get("open").data == {"sessions": ["other"], "last": None}


def remember(store: wilk.Store, id: str, **given: Any) -> None:
    row = {"id": id, "kind": "note", "content": f"content of {id}", "importance": 0.5, "confidence": 1.0, "tokens": 1,
           "iteration": 0, "created_at": 1, "updated_at": 1, "sources": []}  # fmt: skip
    with store.transaction():
        store._engine.run(models.Memory.insert({**row, **given}))


@pytest.mark.sqlite
class TestBytes:
    """Each looks at every byte of the home folder, past wilk's own search."""

    @pytest.fixture(params=["table", "jsonl"])
    def planted(self, request: pytest.FixtureRequest, home: Path) -> Iterator[Two]:
        home.mkdir(exist_ok=True)
        (home / "config.yaml").write_text(f"archive: {request.param}\n")
        with wilk.open_store(home=home) as store:
            store.groups.save("team", name="Team")
            yield store, plant(store, "bobby"), plant(store, "alice")

    def test_hold_nothing_of_a_person_anywhere(self, planted: Two) -> None:
        store, bobby, alice = planted
        home = files_of(store)
        for who in (alice, bobby):
            store.cache("responses").set(who.user, {"answer": who.canary("cached") * 20})
            store.cache("context").set(who.user, who.canary("cached").encode())
        store.sessions.use(alice.session)
        (home / "working.md").write_text(alice.canary("context"))
        store.sessions.update(alice.session, context_file=home / "working.md")
        backup = store.backups.create()
        with (
            closing(sqlite3.connect(home / "old copy.db")) as copy,
            closing(sqlite3.connect(home / "wilk.db")) as live,
        ):
            live.backup(copy)
        before = held(home, alice.canaries)
        assert {"wilk.db-wal", "old copy.db", "working.md", f"backups/{backup.id}/wilk.db"} <= before.keys()

        certificate = store.forgetting.run(user=alice.user)

        assert held(home, [*alice.canaries, alice.user, alice.session]) == {}
        # All that was hers has her name in it, also where an index parts a word.
        assert [file for file in home.rglob("*") if file.is_file() and b"alice" in file.read_bytes()] == []
        others = {text for hits in held(home, bobby.canaries).values() for text in hits}
        assert set(bobby.canaries) - others == {
            text for text in bobby.canaries if "cached" in text or "bytes" in text
        }
        assert certificate.remaining.residues == []
        assert store.backups.verify(backup.id).good
        assert not (home / "sessions" / "current.json").exists()
        with closing(sqlite3.connect(home / "old copy.db")) as copy:
            assert copy.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
            assert copy.execute("SELECT id FROM users").fetchall() == [(bobby.user,)]
        archived = store.archive.list(kind="session", session=f"old-{bobby.who}-0-1234")
        assert archived[0].data["id"] == f"old-{bobby.who}-0-1234"

    def test_of_the_certificate_hold_no_ids_and_no_content(self, planted: Two) -> None:
        store, bobby, alice = planted
        certificate = store.forgetting.run(user=alice.user)
        shown = repr(certificate)
        assert [
            text for who in (alice, bobby) for text in (*who.canaries, who.user, who.session) if text in shown
        ] == []

    def test_that_nothing_can_remove_are_named(self, planted: Two) -> None:
        store, _, alice = planted
        (files_of(store) / "notes.txt").write_text(f"call {alice.user} back, about {alice.canaries[-1]}")
        certificate = store.forgetting.run(user=alice.user)
        (left,) = certificate.remaining.residues
        assert (left.place, left.strings) == ("notes.txt", 2)

    def test_that_stay_behind_a_removal_are_found(
        self, planted: Two, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Without writing the database anew its free pages hold all of it: the search finds that."""
        from wilk.backends.sqlite_erasing import SqliteErasing

        store, _, alice = planted
        monkeypatch.setattr(SqliteErasing, "erase", lambda self, *, full=False: [])
        certificate = store.forgetting.run(user=alice.user)
        assert {one.place for one in certificate.remaining.residues} & {"wilk.db", "wilk.db-wal"}

    def test_are_written_anew_once_more_when_something_was_left(
        self, planted: Two, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        from wilk.backends.sqlite_erasing import SqliteErasing

        store, _, alice = planted
        erase, calls = SqliteErasing.erase, []

        def second(self: Any, *, full: bool = False) -> Any:
            calls.append(1)
            return erase(self) if len(calls) > 1 else []

        monkeypatch.setattr(SqliteErasing, "erase", second)
        assert store.forgetting.run(user=alice.user).remaining.residues == []
        assert len(calls) == 2

    def test_that_others_say_too_are_no_residue(self, store: wilk.Store) -> None:
        for who in ("first-user-1", "second-user-2"):
            store.users.save(who, name=who)
            session = store.sessions.create(user=who).id
            store.messages.append(
                session, "user", "The same sentence that both of them have said, word by word."
            )
        certificate = store.forgetting.run(user="first-user-1")
        assert certificate.remaining.residues == []
        assert any("in records of others" in note for note in certificate.remaining.notes)

    def test_are_searched_in_every_form(self, store: wilk.Store) -> None:
        import gzip

        home = files_of(store)
        text = 'Käse "und" Brot'
        forms = {
            "a": text.encode(), "b": text.encode("utf-16-le"), "c": b'{"x": "K\\u00e4se \\"und\\" Brot"}',
            "d.gz": gzip.compress(text.encode()), "e": b"\0" * ((1 << 20) - 7) + text.encode(),
        }  # fmt: skip
        for name, data in forms.items():
            (home / name).write_bytes(data)
        found = store.forgetting.search(text)
        assert [one.place for one in found.residues] == sorted(forms)

    def test_of_a_copy_that_cannot_be_opened_go_with_it(self, planted: Two) -> None:
        store, _, alice = planted
        backup = store.backups.create()
        file = files_of(store) / "backups" / backup.id / "wilk.db"
        file.write_bytes(b"SQLite format 3\0" + file.read_bytes()[1000:])
        certificate = store.forgetting.run(user=alice.user)
        assert not file.exists()
        assert certificate.report["copies"] == {backup.id: "removed"}

    def test_of_a_bad_backup_are_not_called_good(self, planted: Two) -> None:
        store, _, alice = planted
        backup = store.backups.create()
        folder = files_of(store) / "backups" / backup.id
        with closing(sqlite3.connect(folder / "wilk.db")) as copy:
            copy.execute("DELETE FROM groups WHERE id != 'team'")
            copy.execute("UPDATE groups SET name = 'changed by hand'")
            copy.commit()
        store.forgetting.run(user=alice.user)
        assert held(folder, alice.canaries) == {}
        assert not store.backups.verify(backup.id).good

    def test_of_a_file_that_a_restore_set_aside_go_however_damaged_it_is(self, two: Two) -> None:
        store, _, alice = two
        home = files_of(store)
        with closing(sqlite3.connect(home / "wilk.db")) as live:
            live.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        shutil.copy(home / "wilk.db", home / "wilk.db.damaged")
        (home / "wilk.db.damaged-2").write_bytes(bytes(8192) + (home / "wilk.db").read_bytes()[8192:])
        (home / "wilk.db.damaged-2-wal").write_text(alice.canaries[0])
        (home / "wilk.db.damaged.txt").write_text("a note of somebody's")
        assert {"wilk.db.damaged", "wilk.db.damaged-2"} <= held(home, alice.canaries).keys()
        certificate = store.forgetting.run(user=alice.user)
        assert certificate.remaining.residues == []
        assert held(home, alice.canaries) == {}
        left = {one.name for one in home.glob("*.damaged*")}
        assert {"wilk.db.damaged", "wilk.db.damaged.txt"} <= left
        assert not {"wilk.db.damaged-2", "wilk.db.damaged-2-wal"} & left


class TestComingBack:
    def test_by_an_earlier_copy_is_undone(self, two: Two) -> None:
        store, bobby, alice = two
        user, session, message = models.User, models.Session, models.Message
        fields: Any = session._meta.sorted_fields  # type: ignore[attr-defined]
        (row,) = store._engine.select(session.select(*fields).where(session.id == alice.session))
        store.forgetting.run(user=alice.user)
        with store.transaction():
            store._engine.run(user.insert(id=alice.user, name="back", created_at=1, updated_at=1))
            marks = ", ".join([store._engine.database.param] * len(row))
            names = ", ".join(f'"{field.column_name}"' for field in fields)
            store._engine.execute(f"INSERT INTO sessions ({names}) VALUES ({marks})", row)
            store._engine.run(
                message.insert(id="back-1", session=alice.session, sequence=1, role="user", text="the canary is back",
                               tokens=1, importance=0.5, created_at=1)
            )  # fmt: skip
        certificate = store.forgetting.certificates()[0]
        assert store.forgetting.verify(certificate.id).back == {"messages": 1, "sessions": 1, "users": 1}
        counts = again(store)
        assert {name: counts[name] for name in ("messages", "sessions", "users")} == {
            "messages": 1,
            "sessions": 1,
            "users": 1,
        }
        assert store.users.find(alice.user) is None
        assert store.users.get(bobby.user)
        assert again(store) == {}

    def test_leaves_whoever_signs_up_anew(self, two: Two) -> None:
        store, _, alice = two
        store.forgetting.run(user=alice.user)
        store.users.save(alice.user, name="Another person")
        session = store.sessions.create(user=alice.user)
        assert again(store) == {}
        assert store.users.get(alice.user).name == "Another person"
        assert store.sessions.get(session.id).user_id == alice.user

    @pytest.mark.sqlite
    def test_by_a_backup_from_elsewhere_is_undone(self, two: Two, tmp_path: Path) -> None:
        store, bobby, alice = two
        backup = store.backups.create()
        home = files_of(store)
        shutil.copytree(home / "backups" / backup.id, tmp_path / "kept")
        store.forgetting.run(user=alice.user)
        shutil.rmtree(home / "backups" / backup.id)
        shutil.copytree(tmp_path / "kept", home / "backups" / backup.id)
        store.backups.restore(backup.id)
        with wilk.open_store(home=home) as restored:
            assert restored.users.find(alice.user) is None
            assert restored.users.get(bobby.user)
            assert said(restored, alice.canaries) == set()

    def test_by_an_import_is_refused(self, store: wilk.Store, tmp_path: Path) -> None:
        host = wilk.Host(_Shop(), disabled=store.settings.disabled_plugins)
        with wilk.open_store(settings=store.settings, host=host) as store:
            shop = tmp_path / "shop.txt"
            shop.write_text("anything")
            store.imports.run("shop", shop)
            assert {user.id for user in store.users.list()} == {"customer-1", "customer-2"}
            store.forgetting.run(user="customer-1")
            result = store.imports.run("shop", shop)
            assert {user.id for user in store.users.list()} == {"customer-2"}
            assert {session.user_id for session in store.sessions.list()} == {"customer-2"}
            assert result.failed == 0


class _Shop:
    """An importer of two customers with a conversation each, one of which is new at each run."""

    @wilk.hookimpl
    def register_importers(self) -> Iterator[wilk.Importer]:
        yield wilk.Importer("shop", read=self.read, recognize=lambda _: None, summary="a shop")

    def read(self, source: Any, reading: Any) -> Iterator[Any]:
        for n in (1, 2):
            yield wilk.IncomingUser(key=f"customer-{n}", name=f"Customer {n}")
            for m in ("first", "second"):
                yield wilk.IncomingSession(
                    key=f"{m}-{n}", user=f"customer-{n}",
                    messages=[wilk.IncomingMessage(key=f"{m}-{n}-1", role="user", text="hello")],
                )  # fmt: skip

    def test_as_a_new_person_is_forgotten_anew(self, two: Two) -> None:
        store, _, alice = two
        store.forgetting.run(user=alice.user)
        store.users.save(alice.user, name="Another person")
        second = store.forgetting.run(user=alice.user)
        assert second.rows == {"users": 1}
        with store.transaction():
            user, moment = models.User, store.forgetting.certificates()[1].created_at
            store._engine.run(user.insert(id=alice.user, name="x", created_at=moment, updated_at=moment))
        assert again(store)["users"] == 1


class TestCertificates:
    def test_are_kept_and_found_by_the_beginning_of_their_id(self, two: Two) -> None:
        store, _, alice = two
        certificate = store.forgetting.run(user=alice.user)
        assert store.forgetting.certificates() == [certificate]
        assert store.forgetting.certificate(certificate.id[:-4]) == certificate
        with pytest.raises(wilk.NotFound):
            store.forgetting.certificate("x")

    def test_that_were_changed_are_told_from_genuine_ones(self, two: Two) -> None:
        store, _, alice = two
        id = store.forgetting.run(user=alice.user).id
        assert store.forgetting.verify(id).sound
        one = models.Certificate
        report = dict(store.forgetting.certificate(id).report)
        report["remains"] = [{"place": "x", "strings": 1, "where": "its bytes"}]
        with store.transaction():
            store._engine.run(one.update(report=report).where(one.id == id))
        assert not store.forgetting.verify(id).sound

    def test_count_the_files_and_bytes_that_were_read(self, two: Two) -> None:
        store, _, alice = two
        certificate = store.forgetting.run(user=alice.user)
        assert certificate.remaining.files == sum(one.files for one in certificate.remaining.places)
        if store.settings.url.startswith("sqlite"):
            sizes = {one.name: one.bytes for one in certificate.remaining.places}
            assert sizes["wilk.db"] > 100_000
            assert certificate.remaining.bytes == sum(sizes.values())


def test_a_writer_beside_it_loses_nothing(two: Two) -> None:
    store, bobby, alice = two
    stop = threading.Event()
    written: list[str] = []

    def write() -> None:
        while not stop.is_set():
            written.append(store.messages.append(bobby.session, "user", f"message {len(written)}").id)

    thread = threading.Thread(target=write)
    thread.start()
    try:
        store.forgetting.run(user=alice.user)
    finally:
        stop.set()
        thread.join()
    there = {message.id for message in store.messages.last(bobby.session, 100_000)}
    assert written
    assert set(written) <= there


@pytest.mark.backends
def test_a_server_writes_its_tables_anew_where_that_is_asked(two: Two) -> None:
    store, bobby, alice = two
    certificate = store.forgetting.run(user=alice.user, full=True)
    assert certificate.remaining.residues == []
    server = store.settings.url.startswith("postgresql")
    assert any("replicas" in note for note in certificate.remaining.notes) == server
    assert store.users.get(bobby.user)


@pytest.mark.sqlite
class TestPlaces:
    def test_in_memory(self) -> None:
        with wilk.open_store("sqlite:///:memory:") as store:
            store.groups.save("team", name="Team")
            plant(store, "bobby")
            alice = plant(store, "alice")
            store.forgetting.run(user=alice.user)
            assert said(store, [*alice.canaries, alice.user]) == set()

    def test_without_a_home_folder_leave_copies_of_other_stores_alone(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.delenv("WILK_HOME")
        for name in ("one", "other"):
            with wilk.open_store(f"sqlite:///{tmp_path}/{name}.db") as store:
                store.groups.save("team", name="Team")
                alice = plant(store, "alice")
                store.backups.create()
        with wilk.open_store(f"sqlite:///{tmp_path}/one.db") as store:
            certificate = store.forgetting.run(user=alice.user)
            assert len(certificate.report["copies"]) == 1
            good = [store.backups.verify(one.id).good for one in store.backups.list()]
            assert all(good)
        left = held(tmp_path, alice.canaries)
        assert left
        assert [name for name in left if name.startswith("one")] == []
        assert len([name for name in left if name.startswith("backups/")]) == 1

    def test_of_indexes_are_made_anew_without_what_went(self, store: wilk.Store) -> None:
        for n in range(50):
            owner = {"user_id": "indexed-user-1"} if n < 5 else {}
            store.vectors.add("own", f"record-{n}", [float(n), 1.0, 2.0], model="m", metadata=owner)
        store.users.save("indexed-user-1", name="x")
        store.vectors.search("own", [1.0, 1.0, 2.0])
        store.forgetting.run(user="indexed-user-1")
        found = store.vectors.search("own", [1.0, 1.0, 2.0], k=50)
        assert len(found) == 45
        assert {near.id for near in found}.isdisjoint({f"record-{n}" for n in range(5)})

    def test_that_a_reader_keeps_are_told(self, home: Path) -> None:
        settings = wilk.Settings(home=home, url=f"sqlite:///{home}/wilk.db", timeout=0.2)
        with wilk.open_store(settings=settings) as store:
            store.groups.save("team", name="Team")
            alice = plant(store, "alice")
            with closing(sqlite3.connect(home / "wilk.db", isolation_level=None)) as reader:
                reader.execute("BEGIN")
                reader.execute("SELECT * FROM users").fetchone()
                certificate = store.forgetting.run(user=alice.user)
                assert any("could not be emptied" in note for note in certificate.remaining.notes)
                assert certificate.remaining.residues
            assert store.forgetting.search(alice.user).residues
            store.users.save(alice.user, name="x")
            assert store.forgetting.run(user=alice.user).remaining.residues == []
        assert held(home, alice.canaries) == {}

    def test_of_reports_of_imports_name_nobody(self, store: wilk.Store) -> None:
        store.users.save("reported-user-1", name="x")
        run, known = models.ImportRun, models.ImportedRecord
        with store.transaction():
            report = {
                "failures": [
                    {"kind": "users", "key": "old-key-of-hers", "error": "old-key-of-hers: it is broken"}
                ]
            }
            store._engine.run(
                run.insert(
                    id="r", importer="shop", source="x", status="finished", report=report, started_at=1
                )
            )
            store._engine.run(
                known.insert(importer="shop", kind="users", key="old-key-of-hers", target_id="reported-user-1",
                             content_hash="", run_id="r", created_at=1, updated_at=1)
            )  # fmt: skip
        store.forgetting.run(user="reported-user-1")
        assert said(store, ["old-key-of-hers", "reported-user-1"]) == set()
        ((report,),) = store._engine.rows(run.select(run.report))
        assert report["failures"][0]["error"] == "(forgotten): it is broken"

    def test_of_a_tree_of_files_hold_nothing_in_earlier_versions_either(self, home: Path) -> None:
        home.mkdir(exist_ok=True)
        with wilk.open_store(home=home, url=f"files:///{home}/tree") as store:
            store.groups.save("team", name="Team")
            bobby, alice = plant(store, "bobby"), plant(store, "alice")
            for who in (alice, bobby):
                for n in range(3):
                    store.documents.save(
                        f"paper-{who.who}-12345", {"text": who.canary(f"version{n}")}, user=who.user
                    )
            assert store._backend.backup is not None
            store._backend.backup("before")
            pins = home / "tree" / "sessions" / alice.session / "session.json"
            (pins.with_name("session.json.20260101T000000.000000Z.edited")).write_bytes(pins.read_bytes())
            before = held(home, alice.canaries)
            assert [name for name in before if name.endswith(".zip")]
            assert [name for name in before if "backups/conversations" in name]
            assert [name for name in before if name.endswith(".edited")]
            certificate = store.forgetting.run(user=alice.user)
        assert certificate.remaining.residues == []
        assert held(home, [*alice.canaries, alice.user]) == {}
        kept = [name for name in held(home, bobby.canaries) if "backups/" in name]
        assert len([name for name in kept if "conversations" in name]) == 2
        assert len([name for name in kept if name.endswith(".zip")]) == 1
        assert list(home.rglob("*alice*")) == []
