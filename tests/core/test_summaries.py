"""Summaries: ranges that lie side by side, made from raw messages, and what makes a text sound."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

import wilk
from wilk.context import summarizer
from wilk.records.conversation import Message
from wilk.services.memory.summarizing import hash_of

pytestmark = pytest.mark.backends


def message(text: str, *, role: str = "user", sequence: int = 1, **fields: Any) -> Message:
    values: dict[str, Any] = {
        "id": f"m{sequence}", "session_id": "s", "sequence": sequence, "role": role, "text": text,
        "parts": None, "agent_id": None, "model": None, "tokens": 1, "importance": 0.5,
        "interaction_id": None, "idempotency_key": None, "parent_id": None, "origin_id": None,
        "metadata": {}, "created_at": datetime(2026, 1, 1, tzinfo=UTC),
    }  # fmt: skip
    return Message(**{**values, **fields})


def talk(*texts: str) -> list[Message]:
    roles = ("user", "assistant")
    return [message(text, role=roles[i % 2], sequence=i + 1) for i, text in enumerate(texts)]


LONG = [
    f"The river number {n} runs past the old mill. It floods in spring, as everybody knows."
    for n in range(16)
]


class TestSummarizer:
    def test_keeps_the_order_and_names_the_speakers(self) -> None:
        lines = summarizer.summarize(talk(*LONG)).splitlines()
        assert all(line.startswith(("user: ", "assistant: ")) for line in lines)
        places = [LONG.index(next(t for t in LONG if line.split(": ")[1][:24] in t)) for line in lines]
        assert places == sorted(places)

    def test_names_an_agent_rather_than_its_role(self) -> None:
        said = [message(text, role="assistant", agent_id="wolf") for text in LONG]
        assert summarizer.summarize(said).startswith("wolf: ")

    def test_takes_more_of_what_matters_more(self) -> None:
        said = [message(text, sequence=i, importance=0.0) for i, text in enumerate(LONG)]
        said[9] = said[9]._replace(text="Sell the mill before the winter comes.", importance=1.0)
        assert "Sell the mill" in summarizer.summarize(said)

    def test_does_not_repeat_a_sentence(self) -> None:
        text = summarizer.summarize(talk(*["Always the very same sentence about the mill."] * 20))
        assert text.count("very same sentence") == 1

    def test_says_more_than_one_thing(self) -> None:
        same = [
            f"The flood broke the wheel of the mill in year {n}, and the miller mended the wheel."
            for n in range(14)
        ]
        said = [*same[:7], "At night some owls nest quietly under our barn roof.", *same[7:]]
        text = summarizer.summarize([message(one, sequence=i) for i, one in enumerate(said)])
        assert "owls" in text

    def test_shows_code_by_its_first_line(self) -> None:
        code = "Here is the code:\n```python\ndef wolf():\n    return 'howl'\n```\nIt howls well at night."
        text = summarizer.summarize(talk(code, *["Nothing of note was said about it then."] * 9))
        assert "return 'howl'" not in text
        assert "def wolf(): It howls well" in text

    @pytest.mark.parametrize(
        "text",
        [
            "狼在森林里奔跑。月亮很亮。河水很冷。" * 8,
            "オオカミは森を走る。月は明るい。川は冷たい。" * 8,
            "หมาป่าวิ่งในป่า ดวงจันทร์สว่าง แม่น้ำเย็น " * 8,
            "الذئب يركض في الغابة. القمر ساطع؟ النهر بارد. " * 8,
            "Волк бежит по лесу. Луна светит. Река холодна. " * 8,
        ],
    )
    def test_works_in_any_script(self, text: str) -> None:
        said = talk(text, text)
        summary = summarizer.summarize(said)
        assert summarizer.fault(summary, said) is None
        assert len(summary) > 20

    def test_tells_of_messages_without_text(self) -> None:
        assert summarizer.summarize(talk("", " ")) == "user, assistant: 2 messages without text"

    def test_reads_parts_where_there_is_no_text(self) -> None:
        said = [message("", parts=[{"type": "text", "text": "The wolf howls at the moon."}])]
        assert summarizer.summarize(said) == "user: The wolf howls at the moon."

    def test_is_not_slowed_down_by_one_endless_text(self) -> None:
        assert len(summarizer.summarize(talk("a" * 2_000_000, "b. " * 500_000))) <= 500


class TestChecks:
    def test_take_a_fitting_summary(self) -> None:
        assert summarizer.fault("They talk of the river, the mill and floods in spring.", talk(*LONG)) is None

    def test_refuse_one_over_500_characters_for_eight_messages(self) -> None:
        assert "500 is the most" in str(summarizer.fault("river " * 90, talk(*LONG[:8] * 1)))

    def test_allow_500_more_for_each_eight_begun(self) -> None:
        assert summarizer.fault("river " * 90, talk(*(text * 2 for text in LONG[:9]))) is None

    def test_never_allow_over_4000_characters(self) -> None:
        assert "4000 is the most" in str(summarizer.fault("river " * 700, talk(*LONG * 20)))

    def test_refuse_one_over_half_of_the_original(self) -> None:
        assert "over half" in str(summarizer.fault("river mill " * 12, talk(*LONG[:2])))

    def test_leave_a_short_one_of_a_very_short_original_alone(self) -> None:
        assert summarizer.fault("The user greets.", talk("hello, greets")) is None

    def test_refuse_one_about_something_else(self) -> None:
        text = (
            "completely unrelated paragraphs about quantum chromodynamics without anything shared whatsoever"
        )
        assert "shares 0" in str(summarizer.fault(text, talk(*LONG)))

    def test_refuse_an_empty_one(self) -> None:
        assert summarizer.fault(" \n", talk(*LONG)) == "it is empty"


texts = st.lists(
    st.one_of(
        st.text(max_size=400),
        st.text(st.sampled_from("ab .!?\n`狼月。 …"), max_size=300),
        st.sampled_from(LONG).map(lambda text: text * 3),
        st.just("x" * 900),
    ),
    min_size=1,
    max_size=30,
)
roles = st.sampled_from(["user", "assistant", "tool", "!?", "狼", "r" * 64])


@given(said=texts, role=roles)
@hypothesis_settings(max_examples=300)
def test_what_is_extracted_passes_its_own_checks(said: list[str], role: str) -> None:
    range_ = [message(text, role=role, sequence=i) for i, text in enumerate(said, 1)]
    summary = summarizer.summarize(range_)
    assert summarizer.fault(summary, range_) is None
    assert len(summary) <= summarizer.room(range_)
    assert summary == summarizer.summarize(list(range_))


# -- the noun ---------------------------------------------------------------------------------


@pytest.fixture
def long(store: wilk.Store, session: str) -> str:
    """The id of a session with sixteen messages."""
    store.messages.extend(session, [{"role": "user", "text": text} for text in LONG])
    return session


def ranges(store: wilk.Store, session: str) -> list[tuple[int, int]]:
    return [(one.first_sequence, one.last_sequence) for one in store.summaries.list(session)]


class TestAdd:
    def test_returns_what_get_reads(self, store: wilk.Store, long: str) -> None:
        summary = store.summaries.add(long, "Rivers.", last=4, importance=0.9, metadata={"a": [1]})
        assert store.summaries.get(summary.id) == summary
        assert (summary.first_sequence, summary.last_sequence, summary.message_count) == (1, 4, 4)
        assert (summary.method, summary.compacted, summary.tokens) == ("given", False, 2)

    def test_knows_its_messages_by_their_hash(self, store: wilk.Store, long: str) -> None:
        summary = store.summaries.add(long, last=4)
        assert summary.content_hash == hash_of(store.messages.page(long, limit=4))
        assert summary.content_hash != hash_of(store.messages.page(long, limit=5))

    def test_without_text_takes_sentences_of_the_messages(self, store: wilk.Store, long: str) -> None:
        summary = store.summaries.add(long, last=8)
        assert summary.method == "extractive"
        assert "river number" in summary.text
        assert summary.importance == 0.7

    def test_goes_on_where_the_last_one_ends(self, store: wilk.Store, long: str) -> None:
        store.summaries.add(long, last=4)
        store.summaries.add(long, last=5, first=5)
        assert ranges(store, long) == [(1, 4), (5, 5)]

    def test_says_which_beginning_is_wanted(self, store: wilk.Store, long: str) -> None:
        store.summaries.add(long, last=4)
        with pytest.raises(wilk.Invalid, match="first 7: 5 is wanted"):
            store.summaries.add(long, first=7, last=9)

    @pytest.mark.parametrize("last", [0, -1, 17])
    def test_refuses_an_end_outside_of_the_session(self, store: wilk.Store, long: str, last: int) -> None:
        with pytest.raises(wilk.Invalid, match="a sequence from 1 to 16 is wanted"):
            store.summaries.add(long, last=last)

    def test_fills_a_gap_up_to_the_next_one(self, store: wilk.Store, long: str) -> None:
        first = store.summaries.add(long, last=4)
        store.summaries.add(long, last=8)
        store.summaries.remove(first.id)
        with pytest.raises(wilk.Invalid, match="a sequence from 1 to 4 is wanted"):
            store.summaries.add(long, last=5)
        store.summaries.add(long, last=3)
        assert ranges(store, long) == [(1, 3), (5, 8)]

    def test_refuses_when_all_is_covered(self, store: wilk.Store, long: str) -> None:
        store.summaries.add(long, last=16)
        with pytest.raises(wilk.Invalid, match="no messages that no summary covers"):
            store.summaries.add(long, last=16)

    def test_refuses_an_unknown_session(self, store: wilk.Store) -> None:
        with pytest.raises(wilk.NotFound):
            store.summaries.add("x", "text", last=1)

    @pytest.mark.parametrize(
        "options", [{"text": " "}, {"importance": 2}, {"last": True}, {"method": "me"}, {"metadata": [1]}]
    )
    def test_refuses_what_it_cannot_keep(self, store: wilk.Store, long: str, options: dict[str, Any]) -> None:
        with pytest.raises(wilk.Invalid):
            store.summaries.add(long, **{"last": 2, **options})

    def test_leaves_the_system_prompt_out_of_the_text(self, store: wilk.Store, session: str) -> None:
        store.messages.append(session, "system", "Speak of nothing but wolves and the moon. " * 9)
        store.messages.extend(session, [{"role": "user", "text": text} for text in LONG])
        summary = store.summaries.add(session, last=9)
        assert "wolves" not in summary.text
        assert (summary.first_sequence, summary.message_count) == (1, 9)


class TestRemove:
    def test_archives_it_with_its_reason(self, store: wilk.Store, long: str) -> None:
        summary = store.summaries.add(long, last=4)
        assert store.summaries.remove(summary.id, reason="wrong") == summary
        assert store.summaries.find(summary.id) is None
        entry = store.archive.list(kind="summary")[0]
        assert (entry.record_id, entry.reason) == (summary.id, "wrong")

    def test_refuses_one_whose_messages_are_archived(self, store: wilk.Store, long: str) -> None:
        summary = store.memory.compact(long, keep_messages=2)
        assert summary is not None
        with pytest.raises(wilk.Protected, match="uncompact"):
            store.summaries.remove(summary.id)


class Answering:
    """A plugin that summarizes, and notes what it was asked to."""

    def __init__(self, answer: Callable[[Sequence[Message]], str | None]) -> None:
        self.answer = answer
        self.asked: list[list[int]] = []

    @wilk.hookimpl
    def summarize(self, messages: Sequence[Message]) -> str | None:
        self.asked.append([message.sequence for message in messages])
        return self.answer(messages)


class TestPlugins:
    def filled(self, plugged: Callable[..., wilk.Store], plugin: Answering) -> tuple[wilk.Store, str]:
        store = plugged(plugin)
        session = store.sessions.create().id
        store.messages.extend(session, [{"role": "user", "text": text} for text in LONG])
        return store, session

    def test_one_that_answers_well_is_taken(self, plugged: Callable[..., wilk.Store]) -> None:
        store, session = self.filled(plugged, Answering(lambda _: "The river floods the old mill."))
        summary = store.summaries.add(session, last=8)
        assert (summary.text, summary.method) == ("The river floods the old mill.", "plugin")

    def test_one_that_answers_nothing_leaves_it_to_wilk(self, plugged: Callable[..., wilk.Store]) -> None:
        store, session = self.filled(plugged, Answering(lambda _: None))
        assert store.summaries.add(session, last=8).method == "extractive"

    @pytest.mark.parametrize("answer", ["river " * 200, "", "Entirely invented prose."])
    def test_an_answer_that_fails_the_checks_is_refused_and_told(
        self, plugged: Callable[..., wilk.Store], caplog: pytest.LogCaptureFixture, answer: str
    ) -> None:
        store, session = self.filled(plugged, Answering(lambda _: answer))
        with caplog.at_level(logging.WARNING, "wilk.summaries"):
            assert store.summaries.add(session, last=8).method == "extractive"
        assert "is not used" in caplog.text

    def test_they_are_asked_with_raw_messages_even_when_those_are_archived(
        self, plugged: Callable[..., wilk.Store]
    ) -> None:
        plugin = Answering(lambda messages: messages[0].text[:40])
        store, session = self.filled(plugged, plugin)
        store.memory.compact(session, last=8)
        store.summaries.add(session, last=12)
        assert plugin.asked == [list(range(1, 9)), list(range(9, 13))]

    def test_what_another_summarizes_meanwhile_is_not_summarized_twice(
        self, plugged: Callable[..., wilk.Store]
    ) -> None:
        def meanwhile(_: Sequence[Message]) -> str:
            if not store.summaries.list(session):
                store.summaries.add(session, "from elsewhere", last=4)
            return "The river floods the old mill."

        store, session = self.filled(plugged, Answering(meanwhile))
        store.summaries.add(session, last=8)
        assert ranges(store, session) == [(1, 4), (5, 8)]
