"""A cache is a dictionary whose entries go: a machine of both, over time, with two processes' worth of stores."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path
from typing import Any

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

import wilk

KEYS = st.sampled_from(["a", "ab", "abc", "b", "", "ü", "x" * 2000, "\ud800"])
TAGS = st.sets(st.sampled_from(["one", "two"]), max_size=2)
VALUES = (
    st.none()
    | st.integers()
    | st.text(max_size=5)
    | st.binary(max_size=5)
    | st.lists(st.booleans(), max_size=2)
)
TTLS = st.sampled_from([..., None, 0, "1s", "10s"])
DEFAULT = 60.0


class Machine(RuleBasedStateMachine):
    """Two stores over one folder, as two processes have them, against one dictionary."""

    def __init__(self) -> None:
        super().__init__()
        self.folder = Path(tempfile.mkdtemp())
        self.now = 1_800_000_000_000_000
        made = wilk.Settings(
            home=self.folder, url=f"sqlite:///{self.folder}/wilk.db", disabled_plugins=("wilk-audit",)
        )
        self.stores = [wilk.open_store(settings=made, clock=wilk.Clock(lambda: self.now)) for _ in range(2)]
        self.model: dict[str, tuple[Any, float | None, set[str]]] = {}

    def cache(self, which: int) -> Any:
        cache = self.stores[which].cache("x")
        cache._due = 0  # the few milliseconds between two looks at what others did have passed
        return cache

    def end(self, ttl: Any) -> float | None:
        if ttl is None:
            return None
        seconds = DEFAULT if ttl is ... else 0 if ttl == 0 else float(ttl[:-1])
        return self.now + seconds * 1_000_000

    def live(self) -> dict[str, Any]:
        return {key: value for key, (value, end, _) in self.model.items() if end is None or self.now < end}

    @rule(which=st.integers(0, 1), key=KEYS, value=VALUES, ttl=TTLS, tags=TAGS)
    def set(self, which: int, key: str, value: Any, ttl: Any, tags: set[str]) -> None:
        self.cache(which).set(key, value, ttl=ttl, tags=tags)
        self.model[key] = (value, self.end(ttl), tags)

    @rule(which=st.integers(0, 1), key=KEYS, value=VALUES, ttl=TTLS)
    def get_or_compute(self, which: int, key: str, value: Any, ttl: Any) -> None:
        found = self.cache(which).get_or_compute(key, lambda: value, ttl=ttl)
        live = self.live()
        if key in live:
            assert found == live[key]
        else:
            assert found == value
            self.model[key] = (value, self.end(ttl), set())

    @rule(which=st.integers(0, 1), key=KEYS, ttl=TTLS)
    def touch(self, which: int, key: str, ttl: Any) -> None:
        there = key in self.live()
        assert self.cache(which).touch(key, ttl=ttl) == there
        if there:
            value, _, tags = self.model[key]
            self.model[key] = (value, self.end(ttl), tags)

    @rule(which=st.integers(0, 1), key=KEYS)
    def delete(self, which: int, key: str) -> None:
        there = key in self.live()
        removed = self.cache(which).delete(key)
        assert removed or not there
        self.model.pop(key, None)

    @rule(which=st.integers(0, 1), prefix=st.sampled_from(["", "a", "ab", "x", "ü"]))
    def clear_prefix(self, which: int, prefix: str) -> None:
        gone = [key for key in self.live() if key.startswith(prefix)]
        assert self.cache(which).clear(prefix=prefix) >= len(gone)
        for key in [key for key in self.model if key.startswith(prefix)]:
            del self.model[key]

    @rule(which=st.integers(0, 1), tag=st.sampled_from(["one", "two"]))
    def clear_tag(self, which: int, tag: str) -> None:
        self.cache(which).clear(tag=tag)
        for key in [key for key, (_, _, tags) in self.model.items() if tag in tags]:
            del self.model[key]

    @rule(seconds=st.sampled_from([0.5, 1, 5, 60]))
    def wait(self, seconds: float) -> None:
        self.now += round(seconds * 1_000_000)

    @rule(which=st.integers(0, 1))
    def sweep(self, which: int) -> None:
        self.cache(which).sweep()
        assert self.stores[which].cache("x").statistics().entries == len(self.live())

    @rule(which=st.integers(0, 1))
    def forget_memory(self, which: int) -> None:
        self.stores[which].cache("x")._memory.clear()

    @invariant()
    def both_see_what_the_dictionary_holds(self) -> None:
        live = self.live()
        for which in range(2):
            cache = self.cache(which)
            for key in self.model:
                assert cache.get(key, "none of it") == live.get(key, "none of it")

    def teardown(self) -> None:
        for store in self.stores:
            store.close()
        shutil.rmtree(self.folder)


TestLaws = Machine.TestCase
TestLaws.settings = settings(max_examples=15, stateful_step_count=25)
