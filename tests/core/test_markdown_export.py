"""Conversations as Markdown: a file each that a person can read, and texts that stay what they were."""

from __future__ import annotations

import json
import re
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

import wilk
from wilk import Invalid
from wilk.transfer.exporters.markdown_parts import inline, is_tame, text_block

pytestmark = pytest.mark.sqlite

RESERVED = [
    "con",
    "NUL.txt",
    "a/b",
    "..",
    "aux",
    'x:"<>|?*',
    " . ",
    "",
    "\0\ud800",
    "x" * 500,
    "狼" * 300,
    "مرحبا",
]


@pytest.fixture
def talk(store: wilk.Store) -> str:
    """A session with all that a file shows."""
    store.users.save("ada", name="Ada")
    store.sessions.create(id="talk", name="Wolves & *bears*", user="ada", agents=["coder"], model="gpt-4")
    store.messages.append("talk", "user", "What is a wolf?", id="m1")
    call = {"type": "tool_call", "id": "c1", "name": "search", "arguments": {"q": "wolf"}}
    store.messages.append(
        "talk", "assistant", "I look it up.", id="m2", agent="coder", model="gpt-4", parts=[call]
    )
    result = {"type": "tool_result", "tool_call_id": "c1", "content": "A wolf is\n# an animal"}
    store.messages.append("talk", "tool", "", id="m3", parts=[result])
    picture = {"type": "image_url", "image_url": {"url": "data:image/png;base64," + "A" * 5000}}
    paper = {"type": "file", "file": {"filename": "wolf (1).pdf"}}
    store.messages.append("talk", "user", "See here", id="m4", parts=[picture, paper])
    store.messages.append("talk", "assistant", "```python\nprint('# wolf')\n```", id="m5")
    store.branches.add("talk", "assistant", "Another answer", parent="m1", id="b1")
    store.branches.add("talk", "user", "And on", parent="b1", id="b2")
    store.pins.add("talk", "Wolves live in packs", type="concept")
    logged = store.tool_calls.start("talk", "open", {"path": "a"}, message="m5", call_id="c9")
    store.tool_calls.finish(logged.id, error="no such file")
    return "talk"


@pytest.fixture
def shown(store: wilk.Store, talk: str, tmp_path: Path) -> str:
    store.exports.run("markdown", tmp_path / "talk.md", sessions=[talk])
    return (tmp_path / "talk.md").read_text(encoding="utf-8")


def front_matter(text: str) -> dict[str, Any]:
    head = text.split("---\n")[1]
    return {
        name: json.loads(value) for name, _, value in (line.partition(": ") for line in head.splitlines())
    }


class TestAFile:
    def test_begins_with_what_the_conversation_is(self, shown: str) -> None:
        told = front_matter(shown)
        assert (told["id"], told["name"], told["user"]) == ("talk", "Wolves & *bears*", "ada")
        assert (told["agents"], told["model"], told["messages"]) == (["coder"], "gpt-4", 5)
        assert re.fullmatch(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d UTC", told["created_at"])
        assert "\n# Wolves \\& \\*bears\\*\n" in shown

    def test_has_each_message_with_role_time_and_agent(self, shown: str) -> None:
        assert re.search(r"\n## 1\. user\n\n\*\d{4}[^\n]* UTC\*\n\nWhat is a wolf\?\n", shown)
        assert "\n## 2. assistant (coder, gpt\\-4)\n" in shown

    def test_folds_tool_calls_and_results(self, shown: str) -> None:
        assert (
            '<summary>Tool call: search</summary>\n\n```json\n{\n  "q": "wolf"\n}\n```\n\n</details>' in shown
        )
        assert "<summary>Result of c1</summary>\n\n```\nA wolf is\n# an animal\n```" in shown

    def test_has_tool_calls_of_the_log_that_no_part_tells_of(self, shown: str) -> None:
        assert shown.count("Tool call: search") == 1
        assert "Tool call: open (error)" in shown
        assert "no such file" in shown

    def test_keeps_code(self, shown: str) -> None:
        assert "\n```python\nprint('# wolf')\n```\n" in shown

    def test_names_attachments_and_leaves_their_data_out(self, shown: str) -> None:
        assert "Attachment: wolf \\(1\\).pdf" in shown
        assert "AAAAAAAA" not in shown
        assert "5,022 characters of data" in shown

    def test_has_pins(self, shown: str) -> None:
        assert "\n## Pins\n\n### concept\n\nWolves live in packs\n" in shown

    def test_has_other_branches_behind_what_they_follow(self, shown: str) -> None:
        _, _, branches = shown.partition("## Other branches")
        assert "### Branch: after message 1" in branches
        assert branches.index("Another answer") < branches.index("And on")
        assert branches.count("Another answer") == 1

    def test_tells_what_has_no_place_in_it(self, store: wilk.Store, talk: str, tmp_path: Path) -> None:
        store.sessions.update(talk, metadata={"a": 1})
        done = store.exports.run("markdown", tmp_path / "x.md", sessions=[talk])
        assert done.lost == {"sessions.metadata": 1, "messages.parts: data of attachments": 1}
        assert done.counts == {"messages": 7, "pins": 1, "summaries": 0, "branches": 1, "sessions": 1}

    def test_has_messages_that_were_compacted(self, store: wilk.Store, tmp_path: Path) -> None:
        store.sessions.create(id="long")
        for number in range(12):
            store.messages.append("long", "user", f"question {number}", tokens=9)
        store.memory.compact("long", keep_messages=4)
        store.exports.run("markdown", tmp_path / "long.md", sessions=["long"])
        shown = (tmp_path / "long.md").read_text()
        assert [f"question {n}" in shown for n in range(12)] == [True] * 12
        assert "## Summaries\n\n### Messages 1 to 8" in shown

    def test_has_a_message_of_ten_megabytes_and_thousands_of_messages(
        self, store: wilk.Store, session: str, tmp_path: Path
    ) -> None:
        store.messages.append(session, "user", "wolf " * 2_000_000, tokens=1)
        store.messages.extend(session, [{"role": "user", "text": f"m {n}", "tokens": 1} for n in range(2000)])
        store.exports.run("markdown", tmp_path / "x.md", sessions=[session])
        shown = (tmp_path / "x.md").read_text()
        assert len(shown) > 10_000_000
        assert "## 2001. user" in shown


class TestTexts:
    @pytest.mark.parametrize(
        "text",
        [
            "# A heading\ntext", "a\n---\nb", "---\nid: 1\n---", "title\n=====", "<script>alert(1)</script>",
            "a <b>bold</b> move", "```\nnever closed", "&lt;b&gt;", "[a]: http://x", "````\n```\n````\n# x",
            "- item\n  ```\n  code\n# not code", "***", "</details>", "a\r# b", "\x1b[31mred", "> ```\n# x",
        ],
    )  # fmt: skip
    def test_that_would_be_taken_for_something_else_stand_in_a_fence(self, text: str) -> None:
        block = text_block(text)
        fence, _, rest = block.partition("\n")
        mark = fence.removesuffix("markdown")
        assert set(mark) == {"`"}
        assert len(mark) >= 3
        assert mark not in text
        assert rest.removesuffix(mark).removesuffix("\n") == text.removesuffix("\n")

    @pytest.mark.parametrize(
        "text",
        ["plain", "*bold* and `<b>` in code", "```html\n<b># x</b>\n---\n```\n\nafter", "1. one\n2. two",
         "| a | b |\n|---|---|\n| 1 | 2 |", "~~~\n```\n~~~", "c < d and e > f", "# ".strip() + "hashtag"],
    )  # fmt: skip
    def test_that_are_only_what_they_are_stand_as_they_are(self, text: str) -> None:
        assert text_block(text) == text

    @given(text=st.text(st.sampled_from("`~#-=<>\n \tab[]:&;"), max_size=40))
    @example("`` ```\n# x")
    def test_never_end_their_fence_nor_begin_one_for_others(self, text: str) -> None:
        lines = text_block(text).split("\n")
        open_fence = ""
        for number, line in enumerate(lines):
            found = re.fullmatch(r" {0,3}(`{3,}|~{3,})(.*)", line)
            if open_fence:
                if (
                    found
                    and found[1][0] == open_fence[0]
                    and len(found[1]) >= len(open_fence)
                    and not found[2].strip()
                ):
                    open_fence = ""
                    if not is_tame(text):
                        assert number == len(lines) - 1
            elif found and not (found[1][0] == "`" and "`" in found[2]):
                open_fence = found[1]
            else:
                assert not re.match(r" {0,3}#{1,6}(\s|$)", line)
        assert not open_fence

    @given(text=st.text())
    def test_in_a_heading_stay_on_one_line(self, text: str) -> None:
        assert "\n" not in inline(text)
        assert not re.search(r"(?<!\\)[#<*`\[]", inline(text).replace("\\\\", ""))

    def test_from_right_to_left_and_of_no_encoding_are_written(
        self, store: wilk.Store, session: str, tmp_path: Path
    ) -> None:
        store.messages.append(session, "user", "مرحبا \u202e 🐺 a\0b \ud800")
        done = store.exports.run("markdown", tmp_path / "x.md", sessions=[session])
        assert "مرحبا \u202e 🐺 a␀b \\ud800" in (tmp_path / "x.md").read_text(encoding="utf-8")
        assert done.lost == {"messages.text: NUL": 1}


class TestAFolder:
    def test_has_a_file_per_conversation_and_an_index(
        self, store: wilk.Store, talk: str, tmp_path: Path
    ) -> None:
        store.sessions.create(id="other", name="Other [one](x)")
        store.exports.run("markdown", tmp_path / "out")
        index = (tmp_path / "out" / "index.md").read_text(encoding="utf-8")
        files = sorted(file.name for file in (tmp_path / "out").iterdir())
        assert len(files) == 3
        assert index.startswith("# Conversations\n\n2 in all")
        for name in re.findall(r"\]\(([^)]*\.md)\)", index):
            assert name in files
        assert "\\[one\\]\\(x\\)" in index

    def test_has_names_that_every_system_takes_and_none_twice(
        self, store: wilk.Store, tmp_path: Path
    ) -> None:
        for name in [*RESERVED, "Same", "same", "SAME"]:
            try:
                store.sessions.create(name=name or None)
            except Invalid:
                continue  # NUL
        store.exports.run("markdown", tmp_path / "out")
        names = [file.name for file in (tmp_path / "out").iterdir()]
        assert len({name.lower() for name in names}) == len(store.sessions.list(limit=100)) + 1
        for name in names:
            assert len(name.encode()) < 140
            assert re.fullmatch(r"[\w.-]+", name)
            assert name == "index.md" or re.match(r"\d{4}-\d\d-\d\d-", name)

    def test_has_the_same_names_again(self, store: wilk.Store, talk: str, tmp_path: Path) -> None:
        for folder in ("a", "b"):
            store.exports.run("markdown", tmp_path / folder)
        assert [file.name for file in sorted((tmp_path / "a").iterdir())] == [
            file.name for file in sorted((tmp_path / "b").iterdir())
        ]

    def test_of_a_user_has_only_the_users_conversations(
        self, store: wilk.Store, talk: str, tmp_path: Path
    ) -> None:
        store.sessions.create(id="other")
        store.exports.run("markdown", tmp_path / "out", user="ada")
        assert len(list((tmp_path / "out").iterdir())) == 2

    def test_takes_the_place_of_another_only_on_request(
        self, store: wilk.Store, talk: str, tmp_path: Path
    ) -> None:
        store.exports.run("markdown", tmp_path / "out")
        with pytest.raises(wilk.Conflict):
            store.exports.run("markdown", tmp_path / "out")
        store.exports.run("markdown", tmp_path / "out", replace=True)

    def test_takes_no_place_of_what_no_export_was(self, store: wilk.Store, talk: str, tmp_path: Path) -> None:
        home = tmp_path / "letters"
        (home / "photos").mkdir(parents=True)
        (home / "dear.md").write_text("Dear wolf")
        with pytest.raises(wilk.Conflict, match="holds photos"):
            store.exports.run("markdown", home, replace=True)
        with pytest.raises(wilk.Conflict, match="letters.md is a folder"):
            store.exports.run("markdown", home.rename(tmp_path / "letters.md"), sessions=[talk], replace=True)
        assert (tmp_path / "letters.md" / "dear.md").read_text() == "Dear wolf"
        with closing(sqlite3.connect(tmp_path / "my.md")) as database:
            database.execute("CREATE TABLE a (b)")
        with pytest.raises(wilk.Conflict, match="my.md is a database"):
            store.exports.run("markdown", tmp_path / "my.md", sessions=[talk], replace=True)
        assert sorted(one.name for one in tmp_path.iterdir() if "partial" in one.name) == []

    def test_of_many_conversations_is_no_file(self, store: wilk.Store, talk: str, tmp_path: Path) -> None:
        store.sessions.create(id="other")
        with pytest.raises(Invalid, match="name a folder"):
            store.exports.run("markdown", tmp_path / "all.md")
        assert list(tmp_path.glob("*all.md")) == []

    def test_says_a_result_once(self, store: wilk.Store, talk: str, tmp_path: Path) -> None:
        part = {"type": "tool_result", "tool_call_id": "c1", "content": [{"type": "text", "text": "basalt"}]}
        store.messages.append(talk, "tool", "basalt", parts=[part])
        store.exports.run("markdown", tmp_path / "one.md", sessions=[talk])
        assert (tmp_path / "one.md").read_text().count("basalt") == 1

    def test_may_be_named_as_the_form_is(self, store: wilk.Store, talk: str, tmp_path: Path) -> None:
        store.sessions.create(id="other")
        store.exports.run("markdown", tmp_path / "md")
        assert (tmp_path / "md" / "index.md").is_file()

    def test_is_written_of_an_empty_store(self, store: wilk.Store, tmp_path: Path) -> None:
        store.exports.run("markdown", tmp_path / "out")
        assert (tmp_path / "out" / "index.md").read_text().startswith("# Conversations\n\n0 in all")
