"""Reading: plain data comes out, or every fault with its line, column and field."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from wilk.definitions import reader
from wilk.definitions.kinds import AGENT, MCP_SERVERS
from wilk.errors import InvalidDefinition

pytestmark = pytest.mark.storeless


def read(text: str) -> dict[str, Any]:
    return reader.parse_yaml(text.encode(), "f.yaml")


def problems(text: str | bytes, where: str = "f.yaml") -> tuple[str, ...]:
    with pytest.raises(InvalidDefinition) as caught:
        reader.parse(text if isinstance(text, bytes) else text.encode(), where)
    return caught.value.problems


def told(text: str) -> list[str]:
    """What is told of an agent's file that its schema does not take."""
    data = text.encode()
    return reader.described(AGENT.check(reader.parse_yaml(data, "f.yaml")), data, "f.yaml")


def test_the_seeds_agent_reads_as_pyyaml_reads_it(seed_agent: str) -> None:
    assert read(seed_agent) == yaml.safe_load(seed_agent)


def test_the_seeds_agent_is_sound(seed_agent: str) -> None:
    assert told(seed_agent) == []


def test_a_key_that_stands_twice_is_named_with_its_line() -> None:
    assert problems("a: 1\nb:\n  c: 1\n  c: 2\n") == (
        "f.yaml:4:3: b.c: this key stands twice; keep one of them",
    )


def test_all_faults_are_told_at_once() -> None:
    assert len(problems("a: 1\na: 2\nno: 3\nx: !foo 1\n")) == 3


@pytest.mark.parametrize("key", ["no", "on", "Yes", "12", "1.5", "~", "null"])
def test_a_key_that_is_no_text_is_to_be_put_in_quotes(key: str) -> None:
    (problem,) = problems(f"{key}: x\n")
    assert problem.endswith(f"write '{key}' in quotes")


@pytest.mark.parametrize("text", ["2026-01-31", "2026-01-31 10:00:00", "12:30", "12:30:45", "1:30.5"])
def test_dates_and_clock_times_are_the_text_that_was_written(text: str) -> None:
    assert read(f"at: {text}\n") == {"at": text}


@pytest.mark.parametrize("text", ["010", "0755", "-07"])
def test_a_number_with_a_leading_zero_is_refused(text: str) -> None:
    (problem,) = problems(f"mode: {text}\n")
    assert problem.startswith(f"f.yaml:1:7: mode: {text} is the number")


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("yes", True),
        ("off", False),
        ("~", None),
        ("", None),
        ("0x1F", 31),
        ("0b11", 3),
        ("-3", -3),
        ("1_000", 1000),
        ("1.5", 1.5),
        (".5", 0.5),
        ("+2.", 2.0),
        (".inf", float("inf")),
        ("-.inf", float("-inf")),
        ("1.0e+3", 1000.0),
        ("1e3", "1e3"),
        ("=", "="),
        ("y", "y"),
        ("0", 0),
        ("'no'", "no"),
        ("!!str 12", "12"),
        ("!!int '3'", 3),
    ],
)
def test_scalars_mean_what_yaml_1_1_says(text: str, value: Any) -> None:
    found = read(f"a: {text}\n")["a"]
    assert (found, type(found)) == (value, type(value))


@pytest.mark.parametrize(
    "tag", ["!foo", "!!python/object/apply:os.system", "!!binary", "!!set", "!!timestamp"]
)
def test_unknown_tags_are_refused_and_build_nothing(tag: str) -> None:
    assert "is not known here" in problems(f"a: {tag} [x]\n")[0]


def test_a_few_aliases_are_fine() -> None:
    assert read("a: &x [1, 2]\nb: *x\nc: *x\n") == {"a": [1, 2], "b": [1, 2], "c": [1, 2]}


def test_merge_keys_fill_in_what_is_not_there() -> None:
    assert read("a: &x {k: 1, l: 2}\nb:\n  <<: *x\n  l: 3\n")["b"] == {"k": 1, "l": 3}


def test_an_alias_bomb_is_refused() -> None:
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 9)}]" for i in range(1, 9)]
    assert "aliases stand for more than" in problems("\n".join(lines))[0]


def test_merges_of_merges_stay_small() -> None:
    lines = ["a0: &a0 {k0: x}"]
    lines += [f"a{i}: &a{i} {{<<: [{', '.join([f'*a{i - 1}'] * 9)}], k{i}: x}}" for i in range(1, 9)]
    assert len(read("\n".join(lines))["a8"]) == 9


def test_a_value_that_holds_itself_is_refused() -> None:
    assert problems("a: &a [1, *a]\n") == ("f.yaml:1:11: the alias *a stands inside of what it names",)


@pytest.mark.parametrize("text", ["[" * 100_000, "{a: " * 100_000, "- " * 50_000])
def test_deep_nesting_is_refused_without_harm(text: str) -> None:
    assert "nested deeper than" in problems(text)[0]


def test_an_alias_without_an_anchor_is_named() -> None:
    assert problems("a: *b\n")[0].startswith("f.yaml:1:4: a: the alias *b")


@pytest.mark.parametrize("data", [b"", b"  \n\n", b"\xef\xbb\xbf"])
def test_an_empty_file_is_told_to_be_empty(data: bytes) -> None:
    assert problems(data) == ("f.yaml:1:1: the file is empty; expected fields, such as `name: ...`",)


def test_a_file_of_comments_holds_no_fields() -> None:
    assert read("# nothing yet\n") == {}


@pytest.mark.parametrize("text", ["- a\n", "just text\n", "12\n", "null\n"])
def test_what_is_no_mapping_is_refused(text: str) -> None:
    assert problems(text)[0].startswith("f.yaml:1:1: expected fields")


def test_a_second_document_is_refused() -> None:
    assert problems("a: 1\n---\nb: 2\n")[0].startswith("f.yaml:2:1: a second document")


def test_a_byte_order_mark_is_no_part_of_the_first_key() -> None:
    assert reader.parse_yaml(b"\xef\xbb\xbfname: x\n", "f.yaml") == {"name": "x"}


def test_bytes_that_are_not_utf_8_are_named_by_their_place() -> None:
    assert problems(b"a: b\nc: \xff\n") == ("f.yaml:2:4: not UTF-8; save the file as UTF-8",)


def test_a_huge_file_is_refused_before_it_is_parsed() -> None:
    assert "a definition file has at most" in problems(b"a: " + b"x" * reader.MAX_BYTES)[0]


def test_control_characters_are_named_by_their_place() -> None:
    assert problems("a: b\nc: é\x07\n")[0].startswith("f.yaml:2:5: the character U+0007")


def test_broken_yaml_is_told_with_its_place() -> None:
    assert problems('a: 1\nb: "open\n')[0].startswith("f.yaml:3:1: while scanning a quoted scalar")


def test_a_tab_in_the_indentation_is_named() -> None:
    assert problems("a:\n\tb: 1\n")[0].endswith("indent with spaces, not with tabs")


def test_a_number_where_text_belongs_is_shown_as_it_is_written() -> None:
    expected = "f.yaml:2:10: version: expected text, found the number 1.1; write '1.10' in quotes"
    assert told("name: x\nversion: 1.10\n") == [expected]


def test_a_word_that_became_a_boolean_is_shown_as_it_is_written() -> None:
    assert told("name: x\ntools:\n  - no\n") == [
        "f.yaml:3:5: tools[0]: expected text, found false; write 'no' in quotes"
    ]


def test_a_missing_field_is_told_at_the_top() -> None:
    assert told("version: '1'\n") == ["f.yaml:1:1: name: this field is missing"]


def test_a_fault_behind_a_merge_is_told_at_the_mapping() -> None:
    text = "base: &b {temperature: 7}\nname: x\nmodel:\n  parameters:\n    <<: *b\n"
    assert told(text)[0].startswith("f.yaml:4:3: model.parameters.temperature: expected a number from 0 to 2")


def test_broken_json_is_told_with_line_and_column() -> None:
    assert problems('{\n "a": 1,\n "a" 2}', "f.json")[0].startswith("f.json:3:6: ")


def test_json_with_a_key_twice_is_refused() -> None:
    assert "'a' stands twice" in problems('{"a": 1, "a": 2}', "f.json")[0]


def test_errors_in_json_name_the_field() -> None:
    data = b'{"mcpServers": {"x": {"command": "y", "args": "z"}}}'
    (line,) = reader.described(MCP_SERVERS.check(reader.parse(data, "f.json")), data, "f.json")
    assert line.startswith("f.json: mcpServers.x.args: expected a list")


@given(
    st.binary(max_size=200) | st.text(max_size=200).map(lambda text: text.encode("utf-8", "surrogatepass"))
)
def test_whatever_the_bytes_there_is_a_mapping_or_an_error_that_names_the_file(data: bytes) -> None:
    try:
        found, told = reader.parse_yaml(data, "f.yaml"), ("f.yaml:",)
    except InvalidDefinition as error:
        found, told = {}, error.problems
    assert isinstance(found, dict)
    assert [problem for problem in told if not problem.startswith("f.yaml:") or "\n" in problem] == []


def test_the_parser_without_libyaml_reads_the_same(seed_agent: str) -> None:
    code = """if True:
        import sys, yaml
        del yaml.CSafeLoader
        from wilk.definitions import reader
        from wilk.errors import InvalidDefinition
        assert reader.parse_yaml(sys.stdin.buffer.read(), "f")["version"] == "1.2.0"
        for text in (b"a: \\x07", b"a: [", b"a: &a [*a]", b"[" * 1000):
            try:
                reader.parse_yaml(text, "f.yaml")
            except InvalidDefinition as error:
                print(error)
    """
    done = subprocess.run(
        [sys.executable, "-c", code], input=seed_agent, capture_output=True, text=True, check=True
    )
    assert [line[:8] for line in done.stdout.splitlines()] == ["f.yaml:1"] * 4
