"""Words that matter raise the importance of messages that are written."""

import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import wilk
import wilk_keywords
from wilk.backends import sqlite
from wilk.definitions import kinds
from wilk.services.memory.importance import score
from wilk_keywords.words import Words

Open = Callable[..., wilk.Store]


@pytest.fixture
def opened(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Opens a store whose ``config.yaml`` has this section of the plugin."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    stores: list[wilk.Store] = []

    def open_it(section: str, *, host: wilk.Host | None = None) -> wilk.Store:
        home = tmp_path / "home"
        home.mkdir(exist_ok=True)
        (home / "config.yaml").write_text(f"plugins: {{keywords: {section}}}\n")
        host = host or wilk.Host(wilk_keywords, sqlite, kinds, entry_points=False)
        stores.append(wilk.open_store(home=home, host=host))
        return stores[-1]

    yield open_it
    for store in stores:
        store.close()


def importance(store: wilk.Store, text: str, role: str = "user") -> float:
    return store.messages.append(store.sessions.create().id, role, text).importance


def test_words_in_a_message_add_to_its_importance(opened: Open) -> None:
    store = opened("{words: {deploy: 0.2, invoice: 0.1}}")
    assert importance(store, "please Deploy the invoice service, deploy it") == 0.9


def test_messages_of_a_batch_are_scored_as_well(opened: Open) -> None:
    store = opened("{words: {deploy: 0.2}}")
    batch = [{"role": "system", "text": "deploy"}, {"role": "system", "text": "rest"}]
    written = store.messages.extend(store.sessions.create().id, batch)
    assert [message.importance for message in written] == [0.7, 0.5]


def test_an_importance_that_is_given_stays(opened: Open) -> None:
    store = opened("{words: {deploy: 0.2}}")
    session = store.sessions.create().id
    assert store.messages.append(session, "user", "deploy", importance=0.1).importance == 0.1


def test_the_sum_stays_in_its_range(opened: Open) -> None:
    store = opened("{words: {deploy: 1, lunch: -1.0}}")
    assert (importance(store, "deploy"), importance(store, "lunch")) == (1.0, 0.0)


@pytest.mark.parametrize("text", ["deployment", "redeploy", "deploy_all", "DEPLOYED", ""])
def test_a_part_of_a_word_does_not_count(text: str) -> None:
    assert Words({"words": {"deploy": 0.2}}).weight(text) == 0


@pytest.mark.parametrize(
    ("word", "text"),
    [
        ("straße", "Die STRASSE dort"),
        ("ZAŻÓŁĆ", "zażółć!"),
        ("cafe\u0301", "the caf\u00e9"),
        ("pull request", "a Pull\n  Request"),
        ("C++", "in c++, then"),
        ("1.5", "version 1.5."),
    ],
)
def test_a_word_is_found_however_it_is_written(word: str, text: str) -> None:
    assert Words({"words": {word: 0.2}}).weight(text) == 0.2


@given(st.lists(st.sampled_from(["deploy", "invoice", "lunch", "deployment"])))
def test_each_word_counts_once(words: list[str]) -> None:
    weights = {"deploy": 0.5, "invoice": 0.25, "lunch": -0.125}
    assert Words({"words": weights}).weight(" ".join(words)) == sum(weights.get(word, 0) for word in {*words})


@pytest.mark.parametrize(
    ("section", "told"),
    [
        ("{words: {deploy: much}}", "plugins.keywords.words.deploy: 'much' is not a number from -1.0 to 1.0"),
        ("{words: {deploy: 1.5}}", "1.5 is not a number"),
        ("{words: {deploy: true}}", "True is not a number"),
        ("{words: [deploy]}", "plugins.keywords.words: ['deploy'] is not a mapping"),
        ("{words: {' ': 0.5}}", "' ' is not a word"),
        ("{words: {a: 0.1, A: 0.2}}", "plugins.keywords.words.A: it stands there twice"),
        ("{word: {a: 0.1}}", "there is no 'word'; known: words"),
        ("[deploy]", "['deploy'] is not a mapping"),
    ],
)
def test_a_fault_in_the_settings_is_told_when_the_store_is_opened(
    opened: Open, caplog: pytest.LogCaptureFixture, section: str, told: str
) -> None:
    with caplog.at_level(logging.ERROR):
        store = opened(section)
    (record,) = caplog.records
    assert told in record.getMessage()
    assert record.exc_info is None
    assert importance(store, "deploy") == score("user", "deploy")


@pytest.mark.parametrize("section", ["{}", "{words: {}}", "null"])
def test_without_words_the_table_of_wilk_counts(
    opened: Open, caplog: pytest.LogCaptureFixture, section: str
) -> None:
    assert importance(opened(section), "deploy?") == score("user", "deploy?")
    assert not caplog.records


def test_the_package_is_found_when_it_is_installed(opened: Open) -> None:
    store = opened("{words: {deploy: 0.2}}", host=wilk.Host())
    assert importance(store, "deploy") == 0.8
