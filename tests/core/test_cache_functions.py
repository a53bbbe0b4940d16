"""``@cached``, and the answers of language models by request."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import pytest

import wilk

Run = Callable[[Coroutine[Any, Any, Any]], Any]


class TestCached:
    def test_computes_once_for_the_same_arguments_however_they_are_given(self, store: wilk.Store) -> None:
        calls = []

        @wilk.cached(store.cache("x"))
        def add(a: int, b: int = 2, *more: int, **named: int) -> int:
            """Add."""
            calls.append((a, b))
            return a + b

        assert [add(1), add(1, 2), add(a=1), add(b=2, a=1)] == [3] * 4
        assert (add(1, 3), add(1, 2, 9), add(1, c=1)) == (4, 3, 3)
        assert len(calls) == 4
        assert (add.__name__, add.__doc__) == ("add", "Add.")  # type: ignore[attr-defined]

    def test_tells_values_apart_that_are_equal_and_not_the_same(self, store: wilk.Store) -> None:
        kind = wilk.cached(store.cache("x"))(lambda value: type(value).__name__)
        assert [kind(1), kind(1.0), kind(True), kind("1"), kind(None)] == [
            "int",
            "float",
            "bool",
            "str",
            "NoneType",
        ]

    def test_invalidate_and_clear_remove_what_is_kept(self, store: wilk.Store) -> None:
        turns = iter(range(9))
        one = wilk.cached(store.cache("x"))(lambda value: next(turns))

        @wilk.cached(store.cache("x"))
        def other() -> str:
            return "kept"

        assert (one("a"), one("b"), other()) == (0, 1, "kept")
        assert one.invalidate("a")
        assert not one.invalidate("a")
        assert (one("a"), one("b")) == (2, 1)
        assert one.clear() == 2
        assert store.cache("x").statistics().entries == 1

    def test_takes_a_ttl_and_tags(self, timed: wilk.Store, now: Any) -> None:
        turns = iter(range(9))
        cache = timed.cache("x")
        kept = wilk.cached(cache, ttl="10m", tags=lambda user: [f"user:{user}"])(lambda user: next(turns))
        assert (kept("ann"), kept("bob")) == (0, 1)
        now.pass_by(seconds=599)
        assert kept("ann") == 0
        assert cache.clear(tag="user:ann") == 1
        assert (kept("ann"), kept("bob")) == (2, 1)

    def test_arguments_that_are_no_json_want_a_key(self, store: wilk.Store) -> None:
        class Model:
            def __init__(self, name: str) -> None:
                self.name = name

            @wilk.cached(store.cache("x"), key=lambda self, text: f"{self.name}/{text}")
            def embed(self, text: str) -> str:
                return self.name + text

        @wilk.cached(store.cache("x"))
        def plain(model: Model) -> int:
            return 1

        assert [Model("a").embed("x"), Model("b").embed("x")] == ["ax", "bx"]
        assert Model.embed.invalidate(Model("a"), "x")
        with pytest.raises(wilk.NotStorable, match=r"plain is no JSON \(model: Model .*key="):
            plain(Model("a"))

    def test_a_function_may_give_the_cache_later(self) -> None:
        stores: list[wilk.Store] = []

        @wilk.cached(lambda: stores[0].cache("x"))
        def one() -> int:
            return 1

        with wilk.open_store() as store:
            stores.append(store)
            assert (one(), one()) == (1, 1)
            assert store.cache("x").statistics().hits == 1

    @pytest.mark.parametrize("awaited", [True, False])
    def test_coroutine_functions_compute_once(self, run: Run, store: wilk.Store, awaited: bool) -> None:
        calls: list[int] = []

        async def slow(n: int) -> int:
            await asyncio.sleep(0.02)
            calls.append(n)
            return n

        async def scenario() -> None:
            async with wilk.open_async_store() as other:
                kept = wilk.cached(other.cache("x") if awaited else store.cache("x"))(slow)
                assert await asyncio.gather(*(kept(1) for _ in range(50))) == [1] * 50
                assert calls == [1]
                assert await kept.invalidate(1)
                assert await kept(n=1) == 1
                assert calls == [1, 1]
                assert await kept.clear() == 1

        run(scenario())

    def test_a_plain_function_wants_a_plain_cache(self, run: Run) -> None:
        async def scenario() -> None:
            async with wilk.open_async_store() as store:
                one = wilk.cached(store.cache("x"))(lambda: 1)
                with pytest.raises(wilk.Invalid, match="no coroutine function"):
                    one()

        run(scenario())

    def test_lambdas_are_told_apart(self, store: wilk.Store) -> None:
        cache = store.cache("x")
        one, other = wilk.cached(cache)(lambda n: n + 1), wilk.cached(cache)(lambda n: n * 10)
        again = wilk.cached(cache)(lambda n: n * 10)
        assert [one(3), other(3), again(3), one(3)] == [4, 30, 30, 4]
        assert one.clear() == 1

    @pytest.mark.slow
    def test_programs_are_told_apart_though_each_is_main(self, home: Path, tmp_path: Path) -> None:
        told = []
        for name in ("one", "other", "one"):
            file = tmp_path / f"{name}.py"
            file.write_text(
                "import wilk\nwith wilk.open_store() as store:\n"
                "    @wilk.cached(store.cache('x'), ttl='1h')\n"
                f"    def who():\n        print('computing')\n        return {name!r}\n    print(who())\n"
            )
            done = subprocess.run([sys.executable, str(file)], capture_output=True, text=True, check=True)
            told.append(done.stdout.split())
        assert told == [["computing", "one"], ["computing", "other"], ["one"]]

    def test_a_key_that_is_no_text_is_refused(self, store: wilk.Store) -> None:
        one = wilk.cached(store.cache("x"), key=lambda: 5)(lambda: 1)  # type: ignore[arg-type, return-value]
        with pytest.raises(wilk.Invalid, match="5: a text is wanted"):
            one()


REQUEST: dict[str, Any] = {"model": "m", "messages": [{"role": "user", "content": "hi"}]}


class TestResponses:
    @pytest.mark.parametrize(
        "same",
        [
            dict(reversed(REQUEST.items())),
            {**REQUEST, "stream": True, "user": "ann", "metadata": {"a": 1}, "timeout": 5, "seed": None},
        ],
    )
    def test_a_request_is_known_by_what_changes_its_answer(self, store: wilk.Store, same: Any) -> None:
        responses = wilk.ResponseCache(store.cache("responses"))
        assert responses.set(REQUEST, {"text": "hello"})
        assert responses.get(same) == {"text": "hello"}

    @pytest.mark.parametrize(
        "other",
        [
            {**REQUEST, "model": "n"},
            {**REQUEST, "messages": [{"role": "user", "content": "hi!"}]},
            {**REQUEST, "max_tokens": 5},
            {**REQUEST, "tools": [{"name": "search"}]},
            {**REQUEST, "temperature": 0},
            {**REQUEST, "messages": [{"role": "user", "content": "hi", "user": "ann"}]},
        ],
    )
    def test_anything_else_makes_another_one(self, store: wilk.Store, other: Any) -> None:
        responses = wilk.ResponseCache(store.cache("responses"))
        responses.set(REQUEST, 1)
        assert responses.get(other) is None

    def test_zero_is_zero_however_it_is_written(self, store: wilk.Store) -> None:
        responses = wilk.ResponseCache(store.cache("responses"))
        responses.set({**REQUEST, "temperature": 0}, 1)
        assert responses.get({**REQUEST, "temperature": 0.0}) == 1

    def test_the_call_is_made_once(self, store: wilk.Store) -> None:
        responses = wilk.ResponseCache(store.cache("responses"))
        turns = iter(range(9))
        found = [
            responses.get_or_compute(REQUEST, lambda request: [request["model"], next(turns)]) for _ in "ab"
        ]
        assert found == [["m", 0]] * 2
        assert responses.delete(REQUEST)
        assert responses.get(REQUEST) is None

    @pytest.mark.parametrize("more", [{"temperature": 0.7}, {"n": 2}])
    def test_what_is_sampled_is_computed_each_time_unless_asked(self, store: wilk.Store, more: Any) -> None:
        turns = iter(range(9))
        request = {**REQUEST, **more}
        plain = wilk.ResponseCache(store.cache("responses"))
        assert [plain.get_or_compute(request, lambda _: next(turns)) for _ in "ab"] == [0, 1]
        assert not plain.set(request, 5)
        assert plain.get(request) is None
        asked = wilk.ResponseCache(store.cache("responses"), sampled=True)
        assert [asked.get_or_compute(request, lambda _: next(turns)) for _ in "ab"] == [2, 2]

    def test_the_answers_of_a_model_go_together(self, store: wilk.Store) -> None:
        responses = wilk.ResponseCache(store.cache("responses"), ttl="1d", ignored=["trace"])
        responses.set({**REQUEST, "trace": 1}, 1)
        responses.set({**REQUEST, "model": "n"}, 2)
        assert responses.clear(model="m") == 1
        assert responses.get({**REQUEST, "model": "n"}) == 2

    @pytest.mark.parametrize("request_", [{}, {"messages": []}, [], {"model": ""}])
    def test_a_request_names_a_model(self, store: wilk.Store, request_: Any) -> None:
        with pytest.raises(wilk.Invalid, match="a mapping with a model"):
            wilk.ResponseCache(store.cache("responses")).get(request_)

    def test_one_that_is_no_json_is_refused(self, store: wilk.Store) -> None:
        with pytest.raises(wilk.NotStorable, match="request: tools.0: object"):
            wilk.ResponseCache(store.cache("responses")).get({**REQUEST, "tools": [object()]})

    def test_are_awaited_on_an_async_store(self, run: Run) -> None:
        async def scenario() -> None:
            async with wilk.open_async_store() as store:
                responses = wilk.AsyncResponseCache(store.cache("responses"))
                calls: list[Any] = []

                async def call(request: Any) -> str:
                    calls.append(request)
                    await asyncio.sleep(0.01)
                    return "answer"

                found = await asyncio.gather(*(responses.get_or_compute(REQUEST, call) for _ in range(20)))
                assert (found, len(calls)) == (["answer"] * 20, 1)
                assert await responses.get_or_compute(REQUEST, lambda request: "other") == "answer"
                sampled = {**REQUEST, "temperature": 1}
                turns = iter([1, 2])
                found = [await responses.get_or_compute(sampled, lambda _: next(turns)) for _ in "ab"]
                assert found == [1, 2]
                assert not await responses.set(sampled, 1)
                assert await responses.set({**REQUEST, "model": "n"}, 2)
                assert await responses.get({**REQUEST, "model": "n"}) == 2
                assert await responses.clear(model="n") == 1
                assert await responses.delete(REQUEST)

        run(scenario())
