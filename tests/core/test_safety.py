"""Private files, odd paths, text that tries to be SQL."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import wilk
from wilk import files

INJECTIONS = [
    "'; DROP TABLE messages; --",
    '" OR 1=1 --',
    "x'); DELETE FROM sessions; --",
    "`; ATTACH 'x' AS y; `",
    "%_*?[a-z]",
    "?1 :name @name $name",
    "\\'\\\"\\",
    "NULL",
    "{0} {text} %s %(x)s",
    "line\nbreak\ttab\r",
    "\u202eright to left",
    "💥 é e\u0301 \U0010ffff",
]


@pytest.fixture
def open_umask() -> Iterator[None]:
    before = os.umask(0o022)
    yield
    os.umask(before)


@pytest.mark.skipif(os.name == "nt", reason="Windows has no such modes")
@pytest.mark.usefixtures("open_umask")
class TestPrivacy:
    def modes(self, folder: Path) -> dict[str, int]:
        found = {str(path.relative_to(folder.parent)): path for path in [folder, *folder.rglob("*")]}
        return {name: stat.S_IMODE(path.stat().st_mode) for name, path in found.items()}

    def test_everything_in_a_new_home_is_the_owners_alone(self, home: Path, backend: str) -> None:
        with wilk.open_store(home=home) as store:
            session = store.sessions.create().id
            store.messages.append(session, "user", "secret")
            store.sessions.use(session)
            store.agents.save("coder", {"name": "Coder"})
            modes = self.modes(home)
        open_to_others = {name: oct(mode) for name, mode in modes.items() if mode & 0o077}
        assert open_to_others == {}
        assert {"home/sessions/current.json", "home/agents/coder/agent.yaml"} <= modes.keys()
        if backend == "sqlite":
            files = {f"home/wilk.db{suffix}" for suffix in ("", "-wal", "-shm", ".lock")}
            assert files <= modes.keys()

    def test_the_parents_that_are_made_are_too(self, tmp_path: Path) -> None:
        with wilk.open_store(home=tmp_path / "a" / "b" / "home") as store:
            store.agents.save("coder", {"name": "Coder"})
        assert {self.modes(tmp_path / "a")[name] for name in ("a", "a/b", "a/b/home")} == {0o700}

    def test_a_database_by_url_is_too(self, tmp_path: Path) -> None:
        with wilk.open_store(f"sqlite:///{tmp_path}/new/x.db") as store:
            store.sessions.create()
            modes = self.modes(tmp_path / "new")
        assert {name: mode for name, mode in modes.items() if mode & 0o077} == {}

    def test_a_folder_that_was_there_keeps_its_mode(self, tmp_path: Path) -> None:
        shared = tmp_path / "shared"
        shared.mkdir()
        shared.chmod(0o755)
        with wilk.open_store(home=shared):
            pass
        assert stat.S_IMODE(shared.stat().st_mode) == 0o755

    def test_a_file_written_again_keeps_its_mode(self, tmp_path: Path) -> None:
        file = tmp_path / "x"
        file.write_bytes(b"old")
        file.chmod(0o644)
        files.write_atomic(file, b"new")
        assert (stat.S_IMODE(file.stat().st_mode), file.read_bytes()) == (0o644, b"new")


class TestPlaces:
    @pytest.mark.parametrize(
        "name",
        ["with space", "ünï 狼", "100%", "a%20b", "what?", "a#b", "a&b=c", "it's", 'say "x"', "semi;colon"],
    )
    @pytest.mark.sqlite
    def test_a_home_folder_of_any_name_holds_its_database(self, tmp_path: Path, name: str) -> None:
        home = tmp_path / name
        with wilk.open_store(home=home) as store:
            store.sessions.create(id="s")
        assert (home / "wilk.db").stat().st_size > 0
        with wilk.open_store(home=home, readonly=True) as store:
            assert store.sessions.get("s").id == "s"
        assert [path.name for path in tmp_path.iterdir() if path.name not in ("cache", "home")] == [name]

    @pytest.mark.parametrize(
        ("written", "name"),
        [("x%20y.db", "x y.db"), ("x y.db", "x y.db"), ("50%25.db", "50%.db"), ("ü.db", "ü.db")],
    )
    def test_a_url_may_be_escaped(self, tmp_path: Path, written: str, name: str) -> None:
        with wilk.open_store(f"sqlite:///{tmp_path}/{written}"):
            pass
        assert (tmp_path / name).exists()

    def test_a_url_with_four_slashes_is_absolute(self, tmp_path: Path) -> None:
        with wilk.open_store(f"sqlite:////{str(tmp_path).lstrip('/')}/x.db"):
            pass
        assert (tmp_path / "x.db").exists()

    def test_a_url_with_three_slashes_is_relative(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.chdir(tmp_path)
        with wilk.open_store("sqlite:///x.db"):
            pass
        assert (tmp_path / "x.db").exists()

    @pytest.mark.parametrize(
        ("url", "message"),
        [
            ("sqlite://", "names no file"),
            ("sqlite:///", "names no file"),
            ("x.db", "SCHEME://"),
            ("://x", "SCHEME://"),
            ("nosuch:///x.db", "no plugin offers the backend 'nosuch'"),
            ("sqlite:///x.db?journal=wal", "unknown option journal; known: timeout, journal_mode, readonly"),
            ("sqlite:///x.db?timeout=soon", "timeout: 'soon' is not seconds"),
            ("sqlite:///x.db?timeout=-1", "timeout"),
            ("sqlite:///x.db?journal_mode=off", "wal or delete"),
            ("sqlite:///x.db?readonly=maybe", "true or false"),
        ],
    )
    def test_a_url_that_is_wrong_says_how_and_makes_no_file(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, url: str, message: str
    ) -> None:
        monkeypatch.chdir(tmp_path)
        with pytest.raises((wilk.SettingsError, wilk.PluginError), match=message):
            wilk.open_store(url)
        assert not (tmp_path / "x.db").exists()

    @pytest.mark.parametrize("mode", ["wal", "delete", "truncate", "persist"])
    def test_the_journal_mode_of_a_url_is_the_files(self, tmp_path: Path, mode: str) -> None:
        with wilk.open_store(f"sqlite:///{tmp_path}/x.db?journal_mode={mode}") as store:
            assert store._engine.execute("PRAGMA journal_mode") == [(mode,)]

    def test_what_lies_on_a_read_only_disk_can_be_read(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """A reader of a WAL wants to write beside the file, which cannot be done there."""
        url = f"sqlite:///{tmp_path}/x.db"
        with wilk.open_store(url) as store:
            session = store.sessions.create().id
        monkeypatch.setattr(os, "access", lambda *_: False)
        with wilk.open_store(url, readonly=True) as store:
            assert [one.id for one in store.sessions.list()] == [session]
            assert not list(tmp_path.glob("x.db-*"))

    def test_a_file_may_be_switched_out_of_wal_and_back(self, tmp_path: Path) -> None:
        for mode in ("wal", "delete", "wal"):
            with wilk.open_store(f"sqlite:///{tmp_path}/x.db?journal_mode={mode}") as store:
                assert store._engine.execute("PRAGMA journal_mode") == [(mode,)]

    @pytest.mark.parametrize("parts", [["..", "x"], ["a", "..", "..", "x"], ["/etc/passwd"]])
    def test_a_path_that_leaves_its_folder_is_refused(self, tmp_path: Path, parts: list[str]) -> None:
        with pytest.raises(wilk.Invalid, match="leads out of"):
            files.inside(tmp_path / "root", *parts)

    def test_a_link_that_leaves_its_folder_is_refused(self, tmp_path: Path) -> None:
        (tmp_path / "root").mkdir()
        (tmp_path / "root" / "out").symlink_to(tmp_path)
        with pytest.raises(wilk.Invalid, match="leads out of"):
            files.inside(tmp_path / "root", "out", "x")

    @pytest.mark.parametrize(
        "id",
        ["", ".", "..", "a/b", "a\\b", "-x", ".x", "x.", "nul", "COM1.txt", "a b", "a\0", "x" * 101, "a\n"],
    )
    def test_an_id_that_is_no_file_name_everywhere_is_refused(self, id: str) -> None:
        with pytest.raises(wilk.Invalid, match="agent id"):
            files.check_id(id, "agent")

    @given(id=st.text(st.characters(), max_size=12))
    def test_an_id_that_passes_stays_in_its_folder(self, tmp_path: Path, id: str) -> None:
        try:
            files.check_id(id, "agent")
        except wilk.Invalid:
            return
        assert files.inside(tmp_path, id).parent == tmp_path.resolve()


class TestAtomicWrites:
    def test_leave_no_temporary_file(self, tmp_path: Path) -> None:
        files.write_atomic(tmp_path / "x", b"1")
        assert [path.name for path in tmp_path.iterdir() if path.is_file()] == ["x"]

    def test_that_fail_keep_the_old_bytes_and_leave_nothing(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        (tmp_path / "x").write_bytes(b"old")

        def fail(*_: object) -> None:
            raise OSError("disk full")

        monkeypatch.setattr(os, "replace", fail)
        with pytest.raises(OSError, match="disk full"):
            files.write_atomic(tmp_path / "x", b"new")
        assert (tmp_path / "x").read_bytes() == b"old"
        assert [path.name for path in tmp_path.iterdir() if path.is_file()] == ["x"]


class TestInjection:
    @pytest.mark.parametrize("text", INJECTIONS)
    def test_text_in_every_field_comes_back_as_it_was(self, store: wilk.Store, text: str) -> None:
        user = store.users.save(text, name=text, email=text, external_id=text, metadata={text: text})
        group = store.groups.save(text, name=text, external_id=text, metadata={text: text})
        member = store.groups.add(text, text, role=text)
        session = store.sessions.create(
            id=text, name=text, working_directory=text, agents=[text], model=text, recap=text,
            context_file=text, user=text, group=text, metadata={text: text},
        )  # fmt: skip
        message = store.messages.append(
            text, text, text, parts=[text], agent=text, model=text, interaction=text, key=text, parent=text,
            id=text, metadata={text: text},
        )  # fmt: skip
        call = store.tool_calls.start(
            text, text, {text: text}, message=text, call_id=text, agent=text, metadata={text: text}
        )
        call = store.tool_calls.finish(call.id, result=text, error=text)
        assert store.users.get(text) == user
        assert store.groups.get(text) == group
        assert store.groups.of(text) == [member]
        assert store.sessions.get(text) == session._replace(
            last_sequence=1,
            message_count=1,
            token_count=message.tokens,
            updated_at=store.sessions.get(text).updated_at,
        )
        assert store.messages.last(text) == [message]
        assert store.messages.append(text, text, text, parts=[text], key=text) == message
        assert store.tool_calls.list(text, name=text) == [call]
        assert [one.agent_id for one in store.messages.usage()] == [text]
        fork = store.sessions.fork(text, name=text)
        store.sessions.remove(fork.id)
        store.sessions.remove(text, reason=text)
        counts = {one.kind: one.records for one in store.archive.statistics() if one.reason == text}
        assert counts == {"message": 1, "tool_call": 1, "session": 1}
        assert {entry.record_id for entry in store.archive.list(reason=text, kind="message")} == {text}

    @pytest.mark.parametrize("text", INJECTIONS)
    def test_a_filter_matches_only_itself(self, store: wilk.Store, session: str, text: str) -> None:
        assert store.sessions.list(user=text) == []
        assert store.tool_calls.list(session, name=text) == []
        assert store.archive.list(kind=text) == []
        assert store.sessions.find(text) is None

    @pytest.mark.parametrize(
        "write",
        [
            lambda store, text: store.users.save("x", name=text),
            lambda store, text: store.sessions.create(recap=text),
            lambda store, text: store.messages.append("s", text, "text"),
            lambda store, text: store.messages.append("s", "user", agent=text),
            lambda store, text: store.messages.extend("s", [{"role": "user", "id": text}]),
            lambda store, text: store.tool_calls.start("s", text),
        ],
    )
    def test_a_lone_surrogate_where_it_cannot_be_kept_is_refused_clearly(
        self, store: wilk.Store, write: Any
    ) -> None:
        store.sessions.create(id="s")
        with pytest.raises(wilk.Invalid, match="lone surrogate"):
            write(store, "a\udc80b")
        assert store.messages.count("s") == 0
