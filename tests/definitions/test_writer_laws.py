"""Laws of writing: what is written reads back equal, and an edit keeps every comment that it can."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from wilk import codec
from wilk.definitions import editing, patching, reader, writer
from wilk.definitions.kinds import AGENT
from wilk.errors import Invalid

pytestmark = pytest.mark.storeless

_words = st.sampled_from(
    [
        "no",
        "yes",
        "on",
        "y",
        "null",
        "~",
        "1.0",
        "010",
        "1_000",
        "12:30",
        "2026-01-31",
        "1e3",
        "=",
        "<<",
        "- a",
        "a: b",
        "a #b",
        "#",
        "",
        " lead",
        "trail ",
        "it's",
        '"q"',
        "tab\there",
        "two\nlines\n",
        "  indented\nblock",
        "a\n\n\nb",
        "end  \nspaces",
        "é😀",
        "\u2028",
        "\x85",
        "{code}",
        "[x",
        "@x",
        "%y",
        "&a",
        "*a",
        "!t",
        "| x",
        "> y",
        "0x1F",
        ".inf",
        "-.5",
        "\ufeff",
    ]
)
_texts = _words | st.text(st.characters(exclude_categories=["Cs"]), max_size=30)
_scalars = st.none() | st.booleans() | st.integers(-(2**63), 2**63 - 1) | st.floats(allow_nan=False) | _texts
_keys = st.text(
    st.characters(exclude_categories=["Cs"], exclude_characters="\0"), min_size=1, max_size=8
) | _words.filter(bool)
_values = st.recursive(
    _scalars,
    lambda below: st.lists(below, max_size=4) | st.dictionaries(_keys, below, max_size=4),
    max_leaves=12,
)
_definitions = st.dictionaries(_keys, _values, min_size=1, max_size=6)


def same(one: Any, other: Any) -> bool:
    return codec.canonical(one) == codec.canonical(other)


@settings(max_examples=100)
@given(definition=_definitions)
def test_every_definition_reads_back_as_it_was_written(
    tmp_path_factory: Any, definition: dict[str, Any]
) -> None:
    file = tmp_path_factory.getbasetemp() / "none.yaml"
    data = writer.rendered(file, "x.yaml", definition, AGENT)
    assert same(reader.parse_yaml(data, "x.yaml"), definition)


@settings(max_examples=100)
@given(before=_definitions, after=_definitions)
def test_a_file_without_comments_takes_every_change(
    tmp_path: Path, before: dict[str, Any], after: dict[str, Any]
) -> None:
    file = tmp_path / "x.yaml"
    file.write_bytes(writer.rendered(tmp_path / "none", "x.yaml", before, AGENT))
    data = writer.rendered(file, "x.yaml", after, AGENT)
    assert same(reader.parse_yaml(data, "x.yaml"), after)


COMMENTED = """\
# head
name: demo   # the name

# about the model
model:
    provider: openai   # who
    parameters:
        temperature: 0.1 # cool
        max_tokens: 4096
    # end of model
tools:
  - a   # first
  - b
  # after the tools
prompts:
  system: |
    You are x.

    # no comment, but text
  user_template: >-
    folded text
    here
# between
tags: [x, 'y', "z"]  # flow
empty:   # nothing yet
# tail
"""
_FIELDS = [
    ("name",),
    ("model", "provider"),
    ("model", "parameters", "temperature"),
    ("prompts", "system"),
    ("prompts", "user_template"),
    ("empty",),
    ("new",),
    ("model", "new"),
    ("model", "parameters", "new"),
]


def comments(text: str) -> list[str]:
    import yaml_edit

    return sorted(comment.content().strip() for comment in yaml_edit.Document.parse(text).comments())


def changed(path: tuple[str, ...], value: Any) -> tuple[dict[str, Any], dict[str, Any]]:
    before = reader.parse_yaml(COMMENTED.encode(), "x")
    after = reader.parse_yaml(COMMENTED.encode(), "x")
    below: Any = after
    for key in path[:-1]:
        below = below[key]
    below[path[-1]] = value
    return before, after


@settings(max_examples=100)
@given(path=st.sampled_from(_FIELDS), value=_values)
def test_setting_a_field_keeps_every_comment(tmp_path: Path, path: tuple[str, ...], value: Any) -> None:
    file = tmp_path / "x.yaml"
    file.write_text(COMMENTED)
    _, after = changed(path, value)
    text = writer.rendered(file, "x.yaml", after, AGENT).decode()
    assert comments(text) == comments(COMMENTED)
    assert same(reader.parse_yaml(text.encode(), "x"), after)


@settings(max_examples=100)
@given(path=st.sampled_from(_FIELDS), value=_values)
def test_without_an_editor_setting_a_field_keeps_every_comment_as_well(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, path: tuple[str, ...], value: Any
) -> None:
    monkeypatch.setattr(writer, "_editor", lambda: None)
    file = tmp_path / "x.yaml"
    file.write_text(COMMENTED)
    _, after = changed(path, value)
    text = writer.rendered(file, "x.yaml", after, AGENT).decode()
    assert comments(text) == comments(COMMENTED)
    assert same(reader.parse_yaml(text.encode(), "x"), after)


@settings(max_examples=100)
@given(path=st.sampled_from(_FIELDS), value=_scalars)
def test_a_changed_field_leaves_every_other_line_as_it_was(path: tuple[str, ...], value: Any) -> None:
    before, after = changed(path, value)
    assume(not isinstance(value, str) or "\n" not in value)
    text = patching.patch(COMMENTED, before, after)
    kept = [line for line in COMMENTED.splitlines() if line in text.splitlines()]
    assert len(COMMENTED.splitlines()) - len(kept) <= 4


@pytest.mark.parametrize("edit", [editing.edit, patching.patch])
def test_lines_that_end_as_on_windows_stay_so(edit: Any) -> None:
    before = {"name": "a", "other": "b"}
    text = edit("name: a # c\r\nother: b\r\n", before, {"name": "x", "other": "b", "more": [1]})
    assert text.count("\n") == text.count("\r\n")


def test_what_would_take_comments_with_it_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(writer, "_editor", lambda: None)
    file = tmp_path / "x.yaml"
    file.write_text("name: x\ntools:\n  - a # why\n  - b\n")
    with pytest.raises(Invalid, match=r"losing comments; install wilk\[edit\]"):
        writer.rendered(file, "x.yaml", {"name": "x", "tools": "c"}, AGENT)
    assert file.read_text() == "name: x\ntools:\n  - a # why\n  - b\n"
