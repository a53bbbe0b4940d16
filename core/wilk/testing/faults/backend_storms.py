"""A backend that many write to at once, whose clock jumps, and whose connection drops."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import timedelta
from itertools import count, zip_longest
from pathlib import Path
from typing import Any

import pytest

from wilk.clock import Clock, to_datetime
from wilk.errors import WilkError
from wilk.host import Host
from wilk.records.conversation import Message
from wilk.settings import Settings
from wilk.store import Store, open_store
from wilk.testing.faults import storm
from wilk.testing.faults.backend_fixtures import BackendFixtures
from wilk.testing.faults.plugins import told
from wilk.testing.faults.processes import Processes
from wilk.testing.faults.recording import Seen, fault
from wilk.testing.faults.script import Script

_HOUR, _YEAR = (timedelta(**span) // timedelta(microseconds=1) for span in ({"hours": 1}, {"days": 365}))
Opens = Callable[..., Store]


class StormedBackend(BackendFixtures):
    """Faults that come from outside, while the process goes on."""

    # -- a storm of writers -------------------------------------------------------------------

    @fault("lock storm", slow=True)
    def test_a_storm_of_writers_loses_and_doubles_nothing(
        self,
        opens: Opens,
        children: Processes,
        url: str,
        settings: Mapping[str, Any],
        has: Callable[[str], bool],
        tmp_path: Path,
        tag: str,
        seen: Seen,
    ) -> None:
        impatient = {**told(settings), "url": url, "timeout": 0.3}
        store = opens(timeout=0.3)
        storm.prepare(store, tag)
        said: list[dict[str, Any]] = []
        if has("processes"):
            job = {"tag": tag, "settings": impatient}
            said = self.stormed(children, "wilk.testing.faults.storm:act", job, tmp_path / "go", seen)
        else:
            storm.together(store, tag, "a", lambda what, **more: said.append({"said": what, **more}))
            seen.tried(len(said))
        storm.check(opens() if has("persistent") else store, tag, said, seen)
        seen.check()

    # -- clocks that jump ---------------------------------------------------------------------

    @fault("clock jumps")
    def test_a_clock_that_jumps_changes_no_order(
        self, url: str, settings: Mapping[str, Any], host: Host, tag: str, seen: Seen
    ) -> None:
        jumps = (0, -_HOUR, _YEAR, -2 * _YEAR, 0, _HOUR)
        written: list[Message] = []
        start, numbers, ids = 1_800_000_000_000_000, count(1), set()
        now = [start]
        for jump in jumps:  # in the open store, and in the one that is opened next
            during = f"with the clock at {to_datetime(start + jump):%Y-%m-%d %H:%M}"
            with open_store(
                settings=Settings(url=url, **settings), host=host, clock=Clock(lambda: now[0])
            ) as store:
                if not written:
                    store.sessions.create(id=tag)
                for moment in (now[0], start + jump):
                    now[0] = moment
                    message = store.messages.append(tag, "user", str(next(numbers)), tokens=1)
                    more = store.messages.extend(
                        tag, [{"role": "user", "text": str(next(numbers)), "tokens": 1} for _ in range(2)]
                    )
                    written += [message, *more]
                    seen.tried()
                    for one in (message, *more):
                        if one.id in ids:
                            seen.found("doubled", f"id {one.id}", during)
                        if one.created_at != to_datetime(moment):
                            seen.found("changed", f"message {one.id}, made {one.created_at}", during)
                        ids.add(one.id)
                self._check_order(store, tag, [message.text for message in written], during, seen)
                store.state.set(tag, during)
                kept = store.state.get(tag).data
                if kept != during:
                    seen.found("changed", f"state {tag}, which is {kept!r}", during)
                persistent = "persistent" in host.backend(url.partition("://")[0]).capabilities
            if not persistent or "persistent" in self.without:
                break
        seen.check()

    def _check_order(self, store: Store, tag: str, texts: list[str], during: str, seen: Seen) -> None:
        for name, found, wanted in (
            ("page", store.messages.page(tag, limit=1000), texts),
            ("last", store.messages.last(tag, 5), texts[-5:]),
            ("page after 2", store.messages.page(tag, after=2, limit=1000), texts[2:]),
        ):
            have = [message.text for message in found]
            if name == "page":
                for lost in sorted(set(wanted) - set(have), key=int):
                    seen.found("lost", f"message {lost}", during)
            if have != wanted and (name != "page" or set(have) == set(wanted)):
                one, other = next((a, b) for a, b in zip_longest(have, wanted) if a != b)
                seen.found("changed", f"{name}: message {one} stands where {other} was", during)
            if [message.sequence for message in found] != sorted(message.sequence for message in found):
                seen.found("changed", f"{name}: its sequence goes back", during)

    # -- a connection that drops --------------------------------------------------------------

    @pytest.fixture
    def drop(self) -> Callable[[Store], None]:
        """Breaks the calling thread's connection; a subclass may know how its server would do that."""

        def close_underneath(store: Store) -> None:
            store._engine._connections.raw_cursor()  # it is open
            connections: Any = store._engine._connections
            held = getattr(connections, "connection", connections.database.connection)
            held().close()

        return close_underneath

    @fault("dropped connection")
    def test_a_connection_that_drops_takes_its_transaction_with_it(
        self, opens: Opens, drop: Callable[[Store], None], has: Callable[[str], bool], tag: str, seen: Seen
    ) -> None:
        if not has("persistent"):
            seen.not_applicable("what it keeps ends with its connection")
            return
        script = Script(tag)
        states = script.states()
        store = opens()
        for number, step in enumerate(script.steps):
            during = f"a connection dropped in a transaction with {step.name!r}"
            seen.tried()
            try:
                with store.transaction():
                    store.sessions.create(id=f"{tag}-dropped-{number}")
                    step.act(store)
                    drop(store)
                    store.state.set(tag, "dropped")
            except WilkError:
                pass
            except BaseException as error:
                seen.found("unclear", f"{type(error).__name__}: {error}", during)
            else:
                seen.found("unclear", "no error", during)
            try:
                there = script.observe(store)
                half = store.sessions.find(f"{tag}-dropped-{number}")
                if half is not None:
                    seen.found("half", f"session {half.id}", during)
                seen.compare(there, states[number], states[number], during)
                step.act(store)
                seen.compare(script.observe(store), states[number + 1], states[number + 1], f"after {during}")
            except Exception as error:
                seen.found("stuck", f"{type(error).__name__}: {error}", f"the next verb after {during}")
                break
            if any(store.sessions.find(f"{tag}-dropped-{n}") for n in range(number + 1)):
                break  # what follows would tell the same again
        seen.check()

    @fault("dropped connection")
    def test_a_connection_that_drops_between_verbs_is_replaced(
        self, opens: Opens, drop: Callable[[Store], None], has: Callable[[str], bool], tag: str, seen: Seen
    ) -> None:
        if not has("persistent"):
            seen.not_applicable("what it keeps ends with its connection")
            return
        store = opens()
        store.sessions.create(id=tag)
        wanted = []
        for number in range(3):
            try:
                drop(store)
            except WilkError:
                seen.not_applicable("between verbs a thread has no connection")
                return
            seen.tried()
            for attempt in range(2):  # the first verb may tell of it
                id = f"{tag}-{number}-{attempt}"
                try:
                    store.messages.append(tag, "user", id=id, tokens=1)
                    wanted.append(id)
                except WilkError as error:
                    if attempt:
                        seen.found("stuck", str(error), "the second verb after a connection dropped")
        there = [message.id for message in store.messages.page(tag)]
        for id in wanted:
            if there.count(id) != 1:
                seen.found(
                    "doubled" if id in there else "lost", f"message {id}", "after a connection dropped"
                )
        seen.check()
