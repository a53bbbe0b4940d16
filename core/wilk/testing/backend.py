"""What every backend must do: the contract behind ``register_backends``, as a class of tests.

::

    class TestMine(BackendSuite):
        @pytest.fixture
        def url(self, tmp_path):
            return f"mine:///{tmp_path}/t.db"

A capability that is declared and fails, or works and is not declared, fails: nothing is skipped.
"""

from __future__ import annotations

import json
import subprocess
import sys
import threading
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from wilk.contracts import Backend, Opened
from wilk.errors import Closed, Conflict, Invalid, NotFound, NotStorable, ReadOnly, WilkError
from wilk.hookspecs import hookimpl
from wilk.host import Host
from wilk.models.conversation import Message as MessageModel
from wilk.models.conversation import Session as SessionModel
from wilk.models.people import User as UserModel
from wilk.settings import Settings
from wilk.store import Store, open_store
from wilk.testing.faults.backend import BackendFaults
from wilk.testing.faults.recording import Seen, fault

CAPABILITIES = frozenset({"persistent", "processes", "readonly", "full-text", "backup"})

HOSTILE_VALUES: tuple[Any, ...] = (
    None,
    True,
    0,
    -(2**63),
    2**64,
    10**40,
    0.1,
    5e-324,
    "",
    "it's; DROP TABLE messages; -- %s ? :x \\ \"",
    "NUL \0 inside",
    "lone \ud800 surrogate",
    "e\u0301 \u00e9 \U0001f43a \u202e \ufeff",
    [],
    {},
    {"": {"": [[], {}, ""]}},
    {"$wilk": "an object with wilk's own key"},
    {"a.b[0]": 1, "NUL \0 key": 2},
    ["x" * 100_000],
    [[[[[[[[[["deep"]]]]]]]]]],
)

_OTHER_PROCESS = """
import json, sys
from importlib import import_module
from wilk import Host, Settings, open_store
url, options, session, count, modules, sys.path = json.loads(sys.argv[1])
host = Host(*map(import_module, modules))
with open_store(settings=Settings(url=url, **options), host=host) as store:
    for number in range(count):
        store.messages.append(session, "user", f"{sys.argv[2]} {number}")
    if not count:
        store.sessions.create(id=session)
"""


class BackendSuite(BackendFaults):
    """The contract of a backend. A subclass gives ``url``, a place where no database is yet.

    The backend is found by its entry point: install its package (``pip install -e .``) first.
    ``without`` names capabilities of the backend that this kind of URL lacks, such as
    ``persistent`` for a database in memory; that it lacks them is tested like the rest.
    """

    # -- what it says of itself -----------------------------------------------------------

    @fault("capabilities")
    def test_its_capabilities_are_known_ones(self, backend: Backend) -> None:
        assert set(backend.capabilities) <= CAPABILITIES

    @fault("capabilities")
    def test_a_url_lacks_only_what_the_backend_promises(self, backend: Backend) -> None:
        assert set(self.without) <= set(backend.capabilities)

    def test_it_says_what_it_is(self, backend: Backend) -> None:
        assert backend.summary

    def test_it_allows_at_least_one_writer(self, store: Store) -> None:
        assert store._engine.writers >= 1

    # -- order ----------------------------------------------------------------------------

    def test_messages_are_numbered_from_one(self, store: Store, session: str) -> None:
        written = [store.messages.append(session, "user", str(n)) for n in range(3)]
        assert [message.sequence for message in written] == [1, 2, 3]

    def test_the_last_messages_come_oldest_first(self, store: Store, session: str) -> None:
        store.messages.extend(session, [{"role": "user", "text": str(n)} for n in range(12)])
        assert [message.text for message in store.messages.last(session, 3)] == ["9", "10", "11"]

    def test_a_batch_keeps_its_order_behind_what_was_there(self, store: Store, session: str) -> None:
        store.messages.append(session, "user", "first")
        store.messages.extend(session, [{"role": "user", "text": str(n)} for n in range(250)])
        assert [message.sequence for message in store.messages.page(session, limit=300)] == [*range(1, 252)]

    def test_pages_meet_without_gap_or_repeat(self, store: Store, session: str) -> None:
        store.messages.extend(session, [{"role": "user"}] * 7)
        first = store.messages.page(session, limit=3)
        second = store.messages.page(session, after=first[-1].sequence, limit=3)
        before = store.messages.page(session, before=second[0].sequence, limit=2)
        assert [m.sequence for m in [*first, *second, *before]] == [1, 2, 3, 4, 5, 6, 2, 3]

    def test_a_refused_message_leaves_no_gap(self, store: Store, session: str) -> None:
        store.messages.append(session, "user", id="taken")
        with pytest.raises(Conflict):
            store.messages.append(session, "user", id="taken")
        assert store.messages.append(session, "user").sequence == 2

    def test_a_repeated_key_gives_the_first_message(self, store: Store, session: str) -> None:
        first = store.messages.append(session, "user", "once", key="k")
        assert store.messages.append(session, "user", "once", key="k") == first

    def test_sessions_are_listed_by_activity(self, store: Store) -> None:
        for id in ("a", "b", "c"):
            store.sessions.create(id=id)
        store.messages.append("a", "user", "again")
        assert [session.id for session in store.sessions.list()] == ["a", "c", "b"]

    # -- transactions ---------------------------------------------------------------------

    def test_an_error_undoes_the_whole_transaction(self, store: Store, session: str) -> None:
        with pytest.raises(NotFound), store.transaction():
            store.messages.append(session, "user", "undone")
            store.users.save("u", name="undone")
            store.messages.append("nobody", "user")
        assert (store.messages.count(session), store.users.find("u")) == (0, None)

    def test_an_inner_error_undoes_the_inner_block_alone(self, store: Store, session: str) -> None:
        with store.transaction():
            store.messages.append(session, "user", "kept")
            with pytest.raises(NotFound), store.transaction():
                store.messages.append(session, "user", "undone")
                store.messages.append("nobody", "user")
            store.messages.append(session, "user", "kept too")
        assert [m.text for m in store.messages.last(session)] == ["kept", "kept too"]

    def test_an_outer_error_undoes_the_inner_block_as_well(self, store: Store, session: str) -> None:
        with pytest.raises(NotFound), store.transaction():
            with store.transaction():
                store.messages.append(session, "user", "undone")
            store.messages.append("nobody", "user")
        assert store.messages.count(session) == 0

    def test_a_refused_statement_does_not_end_the_transaction(self, store: Store, session: str) -> None:
        with store.transaction():
            store.messages.append(session, "user", id="taken")
            with pytest.raises(Conflict):
                store.messages.append(session, "user", id="taken")
            store.messages.append(session, "user", id="other")
        assert store.messages.count(session) == 2

    def test_after_hooks_run_once_and_after_the_commit(self, store: Store, host: Host) -> None:
        told = _Told()
        host.register(told)
        with store.transaction():
            store.sessions.create(id="s")
            assert told.saved == []
        assert told.saved == ["s"]

    def test_after_hooks_of_what_was_undone_do_not_run(self, store: Store, host: Host) -> None:
        told = _Told()
        host.register(told)
        with store.transaction():
            with pytest.raises(NotFound), store.transaction():
                store.sessions.create(id="undone")
                store.messages.append("nobody", "user")
            store.sessions.create(id="kept")
        assert told.saved == ["kept"]

    # -- constraints ----------------------------------------------------------------------

    def test_a_unique_value_cannot_be_taken_twice(self, store: Store) -> None:
        store.users.save("a", name="A", external_id="x")
        with pytest.raises(Conflict):
            store.users.save("b", name="B", external_id="x")
        assert store.users.find("b") is None

    def test_two_living_agents_cannot_share_a_name(self, store: Store) -> None:
        store.agents.save("a", {"name": "Coder"})
        with pytest.raises(Conflict):
            store.agents.save("b", {"name": "Coder"})

    def test_an_archived_agent_gives_its_name_free(self, store: Store) -> None:
        store.agents.save("a", {"name": "Coder"})
        store.agents.remove("a")
        assert store.agents.save("b", {"name": "Coder"}).name == "Coder"

    def test_the_engine_refuses_a_reference_to_nothing(self, store: Store, session: str) -> None:
        update = SessionModel.update({SessionModel.user: "nobody"}).where(SessionModel.id == session)
        with pytest.raises(Conflict), store.transaction():
            store._engine.run(update)

    def test_the_engine_refuses_to_remove_what_is_referred_to(self, store: Store) -> None:
        store.users.save("u", name="U")
        store.sessions.create(user="u")
        with pytest.raises(Conflict), store.transaction():
            store._engine.run(UserModel.delete().where(UserModel.id == "u"))
        assert store.users.get("u").name == "U"

    def test_a_changed_record_keeps_what_refers_to_it(self, store: Store, session: str) -> None:
        store.messages.append(session, "user", "kept")
        store.sessions.update(session, name="changed")
        assert store.messages.count(session) == 1

    def test_changed_rows_are_counted(self, store: Store, session: str) -> None:
        store.messages.extend(session, [{"role": "user"}] * 3)
        with store.transaction():
            update = MessageModel.update({MessageModel.role: "tool"}).where(MessageModel.sequence > 1)
            assert store._engine.run(update) == 2

    # -- values ---------------------------------------------------------------------------

    @pytest.mark.parametrize("value", HOSTILE_VALUES, ids=ascii)
    def test_json_comes_back_as_it_was(self, value: Any, store: Store, session: str) -> None:
        written = store.messages.append(session, "user", metadata={"value": value})
        assert _typed(store.messages.get(written.id).metadata["value"]) == _typed(value)

    @pytest.mark.parametrize("text", [v for v in HOSTILE_VALUES if isinstance(v, str)], ids=ascii)
    def test_text_comes_back_as_it_was(self, text: str, store: Store, session: str) -> None:
        written = store.messages.append(session, "user", text)
        assert store.messages.get(written.id).text == text

    @pytest.mark.parametrize("text", ["\r\n", "  ", "wolf " * 200_000], ids=["lines", "blanks", "long"])
    def test_text_is_neither_trimmed_nor_cut(self, text: str, store: Store, session: str) -> None:
        written = store.messages.append(session, "user", text)
        assert store.messages.get(written.id).text == text

    def test_infinity_is_kept(self, store: Store, session: str) -> None:
        written = store.messages.append(session, "user", parts=[float("inf"), float("-inf")])
        assert store.messages.get(written.id).parts == [float("inf"), float("-inf")]

    def test_what_has_no_json_form_is_refused_before_it_is_written(self, store: Store, session: str) -> None:
        with pytest.raises(NotStorable):
            store.messages.append(session, "user", metadata={"value": b"bytes"})
        assert store.messages.count(session) == 0

    def test_a_lone_surrogate_where_none_can_be_is_refused(self, store: Store) -> None:
        with pytest.raises(Invalid):
            store.users.save("u", name="\ud800")
        assert store.users.find("u") is None

    def test_times_keep_their_microseconds(self, store: Store, session: str) -> None:
        moment = datetime(2026, 2, 28, 23, 59, 59, 999_999, tzinfo=UTC)
        written = store.messages.append(session, "user", created_at=moment)
        assert store.messages.get(written.id).created_at == moment

    @pytest.mark.parametrize("saved", [True, False])
    def test_flags_are_booleans(self, saved: bool, store: Store) -> None:
        written = store.sessions.create(saved=saved)
        assert store.sessions.get(written.id).saved is saved

    def test_nothing_is_not_zero(self, store: Store, session: str) -> None:
        written = store.messages.append(session, "user", "", importance=0.0)
        read = store.messages.get(written.id)
        assert (read.importance, read.parts, read.agent_id, read.metadata) == (0.0, None, None, {})

    # -- search ---------------------------------------------------------------------------

    @fault("capabilities")
    def test_full_text_is_there_if_it_is_promised(
        self, store: Store, has: Callable[[str], bool], seen: Seen
    ) -> None:
        there = store._engine.full_text is not None
        seen.capability("full-text", promised=has("full-text"), works=there)
        seen.check()

    def test_words_are_found_whatever_their_case(self, store: Store, session: str) -> None:
        store.messages.append(session, "user", "The Wolf is here")
        store.messages.append(session, "user", "nobody else")
        assert [hit.message.text for hit in store.messages.search("wolf")] == ["The Wolf is here"]

    def test_full_text_finds_words_apart_and_without_accents(
        self, store: Store, session: str, has: Callable[[str], bool]
    ) -> None:
        store.messages.append(session, "user", "a café in the old town")
        assert len(store.messages.search("town cafe")) == (1 if has("full-text") else 0)

    def test_unspaced_scripts_are_found(self, store: Store, session: str) -> None:
        store.messages.append(session, "user", "今日は良い天気です")
        assert len(store.messages.search("天気")) == 1

    @pytest.mark.parametrize(
        "text", ['"', "'", "a AND", "NOT", "(", "text:", "*", "%", "a-b", "\0", "\\", ""]
    )
    def test_any_input_is_a_valid_search(self, text: str, store: Store, session: str) -> None:
        store.messages.append(session, "user", "nothing like it")
        assert len(store.messages.search(text)) <= 1

    def test_what_was_undone_is_not_found(self, store: Store, session: str) -> None:
        with pytest.raises(NotFound), store.transaction():
            store.messages.append(session, "user", "wolf")
            store.messages.append("nobody", "user")
        assert store.messages.search("wolf") == []

    def test_what_was_removed_is_not_found(self, store: Store, session: str) -> None:
        store.messages.append(session, "user", "wolf")
        store.sessions.remove(session)
        assert store.messages.search("wolf") == []

    def test_what_was_changed_is_found_as_it_is_now(self, store: Store, session: str) -> None:
        store.messages.append(session, "user", "wolf")
        with store.transaction():
            store._engine.run(MessageModel.update({MessageModel.text: "fox"}))
        assert (len(store.messages.search("fox")), store.messages.search("wolf")) == (1, [])

    # -- life -----------------------------------------------------------------------------

    def test_a_closed_store_says_so(self, store: Store, session: str) -> None:
        store.close()
        with pytest.raises(Closed):
            store.sessions.get(session)

    @fault("capabilities")
    def test_it_outlives_the_store_if_that_is_promised(
        self, opens: Callable[..., Store], has: Callable[[str], bool], seen: Seen
    ) -> None:
        first = opens()
        first.sessions.create(id="s", name="kept")
        first.close()
        found = opens().sessions.find("s")
        kept = found is not None and found.name == "kept"
        seen.capability("persistent", promised=has("persistent"), works=kept)
        seen.check()

    @fault("capabilities")
    def test_it_can_be_opened_to_be_read_if_that_is_promised(
        self, opens: Callable[..., Store], has: Callable[[str], bool], seen: Seen
    ) -> None:
        opens().sessions.create(id="s")
        works, how = True, ""
        try:
            reader = opens(readonly=True)
            reader.sessions.get("s")
        except WilkError as error:
            works, how = False, str(error)
        seen.capability("readonly", promised=has("readonly"), works=works, more=how)
        seen.check()
        if works:
            with pytest.raises(ReadOnly):
                reader.sessions.create()
            with pytest.raises(ReadOnly):  # not by the store's leave alone
                reader._engine.run(SessionModel.delete())

    @fault("capabilities")
    def test_it_makes_backups_if_that_is_promised(
        self,
        backend: Backend,
        url: str,
        settings: Mapping[str, Any],
        store: Store,
        has: Callable[[str], bool],
        seen: Seen,
        tmp_path: Path,
    ) -> None:
        store.sessions.create()
        opened = backend.open(url, Settings(url=url, **settings))
        backup = opened.backup if isinstance(opened, Opened) else None
        if isinstance(opened, Opened) and opened.copy is not None:
            opened.copy(tmp_path / "copy.db")
            with open_store(
                f"sqlite:///{tmp_path}/copy.db", host=Host(*_embedded(), entry_points=False)
            ) as other:
                assert [one.id for one in other.sessions.list()] == [one.id for one in store.sessions.list()]
            works = True
        else:
            works = backup is not None
        seen.capability("backup", promised=has("backup"), works=works)
        seen.check()
        if backup is not None:
            copy = backup("suite")
            assert copy is not None
            assert copy.stat().st_size > 0

    def test_two_stores_do_not_mix(self, store: Store, session: str) -> None:
        with open_store("sqlite:///:memory:", host=Host(*_embedded(), entry_points=False)) as other:
            with store.transaction(), other.transaction():
                other.sessions.create(id="other")
                store.messages.append(session, "user", "mine")
                other.messages.append("other", "user", "other's")
            assert store.sessions.find("other") is None
            assert [hit.message.session_id for hit in other.messages.search("other")] == ["other"]

    # -- threads and processes ------------------------------------------------------------

    def test_threads_that_append_leave_no_gap_and_no_repeat(self, store: Store, session: str) -> None:
        def append(number: int) -> int:
            return store.messages.append(session, "user", str(number)).sequence

        with ThreadPoolExecutor(8) as pool:
            assert sorted(pool.map(append, range(80))) == [*range(1, 81)]

    def test_one_threads_error_does_not_undo_anothers_work(self, store: Store, session: str) -> None:
        def work(number: int) -> None:
            with store.transaction():
                store.messages.append(session, "user", str(number))
                if number % 2:
                    store.messages.append("nobody", "user")

        with ThreadPoolExecutor(8) as pool:
            failures = [pool.submit(work, number).exception() for number in range(20)]
        assert sum(isinstance(failure, NotFound) for failure in failures) == 10
        assert sorted(int(m.text) for m in store.messages.last(session)) == [*range(0, 20, 2)]

    def test_a_thread_does_not_see_what_another_has_not_committed(self, store: Store) -> None:
        found: list[Any] = []
        reader = threading.Thread(target=lambda: found.append(store.sessions.find("s")))
        with pytest.raises(NotFound), store.transaction():
            store.sessions.create(id="s")
            reader.start()
            reader.join(0.2)  # it may have to wait until this transaction ends
            store.messages.append("nobody", "user")
        reader.join()
        assert found == [None]

    @fault("capabilities")
    def test_another_process_can_write_if_that_is_promised(
        self,
        opens: Callable[..., Store],
        url: str,
        settings: Mapping[str, Any],
        has: Callable[[str], bool],
        seen: Seen,
    ) -> None:
        store = opens()
        store.sessions.create(id="s")
        _, errors = _ended(self._process(url, settings, "s", 3, "other"))
        texts = [message.text for message in store.messages.last("s")]
        works = texts == ["other 0", "other 1", "other 2"]
        seen.capability("processes", promised=has("processes"), works=works, more=errors)
        seen.check()

    @fault("capabilities")
    def test_processes_can_make_the_database_together_if_that_is_promised(
        self,
        opens: Callable[..., Store],
        url: str,
        settings: Mapping[str, Any],
        has: Callable[[str], bool],
        seen: Seen,
    ) -> None:
        codes, errors = _ended(*[self._process(url, settings, f"s{number}", 0, "") for number in range(3)])
        made = sorted(session.id for session in opens().sessions.list())
        works = (codes, made) == ([0, 0, 0], ["s0", "s1", "s2"])
        seen.capability("processes", promised=has("processes"), works=works, more=errors)
        seen.check()

    @fault("capabilities")
    def test_processes_that_append_lose_nothing_if_that_is_promised(
        self,
        opens: Callable[..., Store],
        url: str,
        settings: Mapping[str, Any],
        has: Callable[[str], bool],
        seen: Seen,
    ) -> None:
        store = opens()
        store.sessions.create(id="s")
        _, errors = _ended(*[self._process(url, settings, "s", 25, name) for name in "abc"])
        works = [message.sequence for message in store.messages.page("s", limit=200)] == [*range(1, 76)]
        seen.capability("processes", promised=has("processes"), works=works, more=errors)
        seen.check()

    def _process(
        self, url: str, settings: Mapping[str, Any], session: str, count: int, name: str
    ) -> subprocess.Popen[str]:
        """Begin to append messages from another process; with a count of 0, to make the session."""
        job = json.dumps([url, dict(settings), session, count, list(self.modules), sys.path])
        return subprocess.Popen(  # noqa: S603 (this Python, and arguments of our own)
            [sys.executable, "-c", _OTHER_PROCESS, job, name], stderr=subprocess.PIPE, text=True
        )


class _Told:
    """A plugin that remembers what it was told."""

    def __init__(self) -> None:
        self.saved: list[str] = []

    @hookimpl
    def after_save(self, record: Any) -> None:
        self.saved.append(record.id)


def _embedded() -> tuple[object, ...]:
    from wilk.backends import sqlite
    from wilk.definitions import kinds

    return sqlite, kinds


def _typed(value: Any) -> Any:
    """The value with its types, so that True is not 1 and 1 not 1.0."""
    if isinstance(value, Mapping):
        return {key: _typed(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_typed(item) for item in value]
    return type(value), value


def _ended(*processes: subprocess.Popen[str]) -> tuple[list[int], str]:
    """Wait for processes; return their exit codes, and what they said on stderr."""
    errors = [process.communicate()[1] for process in processes]
    return [process.returncode for process in processes], "\n".join(errors)
