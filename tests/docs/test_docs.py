"""The documentation tells the truth: its code runs, its links lead somewhere, its tables are current."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

import wilk
from wilk.definitions import kinds, reader
from wilk.definitions.places import Place
from wilk.definitions.schema import OneOf, Section
from wilk.host import Host

from .reading import ROOT, Block, Reader, blocks, fits

DOCS = ROOT / "docs"
PAGES = [ROOT / "README.md", *sorted(DOCS.rglob("*.md"))]
TEXTS = [*PAGES, ROOT / "CHANGELOG.md"]
KINDS = {
    "register_backends": "backends",
    "register_definition_kinds": "definition-kinds",
    "register_models": "models",
    "register_tokenizers": "tokenizers",
    "register_commands": "commands",
    "register_strategies": "strategies",
    "register_archives": "archives",
    "register_caches": "caches",
    "register_buses": "buses",
    "register_vector_indexes": "vector-indexes",
    "register_embedders": "embedders",
    "register_tools": "tools",
    "register_registries": "registries",
    "register_importers": "importers",
    "register_exporters": "exporters",
    "register_sources": "sources",
}
_LINK = re.compile(r"\]\((?!https?:|mailto:)([^)#\s]*)(?:#([^)\s]+))?\)")
_OF_THE_REPOSITORY = re.compile(r"`((?:\.ci|benchmarks|core|docs|examples|plugins|tests)/[\w./-]+)`")
_OF_SOME_MACHINE = re.compile(r"(?<![\w.~-])/(?:root|home|Users|work|tmp|mnt)/\w")


def name(page: Path) -> str:
    return page.relative_to(ROOT).as_posix()


# -- every block ------------------------------------------------------------------------------


LONG = [pytest.param(page, marks=pytest.mark.slow) for page in PAGES if page.parent.name == "plugins"]
"""Pages of plugins install what they show, and run its tests."""
QUICK = [page for page in PAGES if page.parent.name != "plugins"]


@pytest.mark.parametrize("page", [*QUICK, *LONG], ids=name)
def test_a_page_does_what_it_says(page: Path, tmp_path: Path) -> None:
    Reader(page, tmp_path).read()


def test_every_block_says_what_language_it_is_in_or_follows_one_that_shows_something() -> None:
    stray = [
        f"{name(page)}:{block.line}"
        for page in PAGES
        for before, block in zip([None, *blocks(page)], blocks(page), strict=False)
        if block.language == "" and (before is None or before.language not in ("python", "diff"))
    ]
    assert not stray


@pytest.mark.parametrize(
    ("expected", "shown", "does"),
    [
        ("one\n", "one\n", True),
        ("one\n", "two\n", False),
        ("one ... three\n", "one two three\n", True),
        ("one ... three\n", "one\ntwo three\n", False),
        ("one\n...\nfour\n", "one\ntwo\nthree\nfour\n", True),
        ("one\n...\nfour\n", "one\nfour\n", True),
        ("one\n", "one\ntwo\n", False),
    ],
)
def test_dots_stand_for_any_part_of_what_is_shown(expected: str, shown: str, does: bool) -> None:
    assert fits(expected, shown) is does


def test_a_wrong_page_is_found_out(tmp_path: Path) -> None:
    page = ROOT / "docs" / "wrong.md"
    for text in ("```python\nprint(1)\n```\n\n```\n2\n```\n", "```console\n$ wilk nothing\n```\n"):
        folder = tmp_path / str(len(text))
        folder.mkdir()
        reader = Reader(page, folder)
        source = folder / "wrong.md"
        source.write_text(text)
        with pytest.raises(AssertionError, match=r"docs/wrong\.md:"):
            reader.do(blocks(source))
        reader.leave()


# -- the parts that are generated -------------------------------------------------------------


def test_generated_parts_are_current() -> None:
    checked = subprocess.run(
        [sys.executable, DOCS / "build.py", "--check"], capture_output=True, text=True, check=False
    )
    assert checked.returncode == 0, checked.stdout + checked.stderr


# -- links and names --------------------------------------------------------------------------


@pytest.mark.parametrize("page", TEXTS, ids=name)
def test_links_lead_somewhere(page: Path) -> None:
    dead = []
    for path, anchor in _LINK.findall(page.read_text(encoding="utf-8")):
        target = (page.parent / path).resolve() if path else page
        if not target.exists() or (anchor and anchor not in _anchors(target)):
            dead.append(f"{path}#{anchor}")
    assert not dead


def _anchors(page: Path) -> set[str]:
    """The anchors that GitHub gives to headings."""
    text = re.sub(r"^```.*?^```", "", page.read_text(encoding="utf-8"), flags=re.M | re.S)
    headings = re.findall(r"^#+ (.+)$", text, re.M)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", TEXTS, ids=name)
def test_files_that_are_mentioned_exist(page: Path) -> None:
    mentioned = _OF_THE_REPOSITORY.findall(page.read_text(encoding="utf-8"))
    assert [path for path in mentioned if not (ROOT / path).exists()] == []


@pytest.mark.parametrize("page", TEXTS, ids=name)
def test_no_path_of_some_machine_is_mentioned(page: Path) -> None:
    assert _OF_SOME_MACHINE.findall(page.read_text(encoding="utf-8")) == []


@pytest.mark.parametrize("page", [page for page in PAGES if page.parent != ROOT], ids=name)
def test_a_page_can_be_reached_from_the_readme(page: Path) -> None:
    reached, new = set(), [ROOT / "README.md"]
    while new:
        one = new.pop()
        reached.add(one)
        links = [(one.parent / path).resolve() for path, _ in _LINK.findall(one.read_text(encoding="utf-8"))]
        new += [link for link in links if link.suffix == ".md" and link.exists() and link not in reached]
    assert page in reached


# -- the two commands -------------------------------------------------------------------------


def two_commands(page: Path) -> list[str]:
    shown = "".join(block.text for block in blocks(page) if block.language == "console")
    return [line for line in shown.splitlines() if ".venv/bin" in line][:2]


def test_the_two_commands_of_the_readme_are_those_of_the_contributors() -> None:
    run, test = two_commands(ROOT / "README.md")
    assert run.endswith(".venv/bin/wilk demo")
    assert test.endswith("tox run -e tests")
    assert two_commands(DOCS / "contributing.md") == [run, test]


def test_ci_runs_the_test_command_of_the_readme() -> None:
    _, command = two_commands(ROOT / "README.md")
    script = (ROOT / ".ci" / "run").read_text(encoding="utf-8").replace("--quiet ", "")
    for part in command.split(" && "):
        assert part in script


# -- definitions ------------------------------------------------------------------------------


def examples() -> dict[str, Block]:
    """The full examples of docs/definitions.md: the first file of each kind."""
    found: dict[str, Block] = {}
    places = {kind.name: Place(kind) for kind in kinds.register_definition_kinds()}
    for block in blocks(DOCS / "definitions.md"):
        for kind, place in places.items():
            if (block.file or "").startswith("~/.wilk/") and place.id((block.file or "")[8:]) is not None:
                found.setdefault(kind, block)
    return found


@pytest.mark.parametrize("kind", list(kinds.register_definition_kinds()), ids=lambda kind: kind.name)
def test_the_example_of_a_kind_is_sound_and_raises_no_doubt(kind: wilk.DefinitionKind) -> None:
    block = examples()[kind.name]
    assert list(kind.schema.check(reader.parse(block.text.encode(), block.file or ""))) == []


@pytest.mark.parametrize(
    ("kind", "schema"),
    [
        ("agents", kinds.AGENT),
        ("prompts", kinds.PROMPT),
        ("personas", kinds.PERSONA),
        ("presets", kinds.PRESET),
        ("mcp-servers", kinds.MCP_SERVERS),
    ],
)
def test_every_field_that_is_checked_is_on_the_page(kind: str, schema: Section) -> None:
    page = (DOCS / "definitions.md").read_text(encoding="utf-8")
    part = re.split(r"^## ", page, flags=re.M)
    mine = next(text for text in part if examples()[kind].text in text)
    assert [field for field in fields(schema) if not re.search(rf"\b{field}\b", mine)] == []


def fields(node: object) -> set[str]:
    """The names of all fields in a schema."""
    found: set[str] = set()
    if isinstance(node, Section):
        for field, below in {**node.required, **node.optional}.items():
            found |= {field} | fields(below)
    elif isinstance(node, OneOf):
        for one in node.nodes:
            found |= fields(one)
    elif hasattr(node, "value") or hasattr(node, "item"):
        found |= fields(getattr(node, "value", None) or getattr(node, "item", None))
    return found


# -- plugins ----------------------------------------------------------------------------------


def test_every_kind_of_plugin_has_its_page() -> None:
    from wilk import hookspecs

    offers = {hook for hook in vars(hookspecs) if hook.startswith("register_")}
    assert set(KINDS) == offers
    pages = {page.stem for page in (DOCS / "plugins").glob("*.md")} - {"README"}
    assert pages == {*KINDS.values(), "events", "conformance"}


@pytest.mark.parametrize(("hook", "page"), KINDS.items())
def test_the_module_of_a_plugin_page_is_a_sound_plugin(
    hook: str, page: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As the page has it: registered by hand, without being installed."""
    found = blocks(DOCS / "plugins" / f"{page}.md")
    files = [block for block in found if block.file and block.file.endswith(".py")]
    module = next(block for block in files if f"def {hook}" in block.text)
    for block in files:
        path = tmp_path / str(block.file)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(block.text)
    file = tmp_path / str(module.file)
    if file.stem == "__init__":
        file = file.parent
    monkeypatch.syspath_prepend(str(file.parent))
    plugin = __import__(file.stem)
    monkeypatch.delitem(sys.modules, plugin.__name__)
    host = Host(plugin, entry_points=False)
    (known,) = host.plugins()
    assert (known.status, known.error) == ("loaded", None)
    assert hook in known.hooks
    assert known.offers


def test_every_package_of_the_pages_has_one_entry_point() -> None:
    for page in (DOCS / "plugins").glob("*.md"):
        for block in blocks(page):
            if (block.file or "").endswith("pyproject.toml"):
                assert block.text.count("[project.entry-points.wilk]") == 1, name(page)


# -- settings ---------------------------------------------------------------------------------


def test_the_configuration_on_the_settings_page_is_taken(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from wilk import settings

    monkeypatch.delenv("WILK_DISABLED_PLUGINS")

    shown = [block for block in blocks(DOCS / "settings.md") if block.language == "yaml"]
    assert shown
    for block in shown:
        (tmp_path / "config.yaml").write_text(block.text)
        values = yaml.safe_load(block.text)
        loaded = settings.load(home=tmp_path)
        assert {setting for setting in values if loaded.origins.get(setting) == "config.yaml"} == set(values)
