"""Which paths count as definitions."""

from __future__ import annotations

from pathlib import Path

import pytest

from wilk.contracts import DefinitionKind
from wilk.definitions.places import Place
from wilk.definitions.schema import Anything
from wilk.definitions.scope import Scope

PATTERNS = ("agents/{id}/agent.yaml", "prompts/{id}.yaml", "mcp-servers.json", "packs/{id}/deep/pack.json")


@pytest.fixture
def scope(tmp_path: Path) -> Scope:
    return Scope(tmp_path, [Place(DefinitionKind(pattern, pattern, Anything())) for pattern in PATTERNS])


@pytest.mark.parametrize(
    "path",
    [
        "agents/a/agent.yaml",
        "prompts/a.yaml",
        "prompts/a.b.yaml",
        "prompts/a.yml",
        "mcp-servers.json",
        "packs/a/deep/pack.json",
    ],
)
def test_what_fits_a_pattern_is_a_definition(path: str, scope: Scope) -> None:
    assert scope.kind(f"{scope.home}/{path}") is not None


@pytest.mark.parametrize(
    "path",
    [
        "wilk.db",
        "wilk.db-wal",
        "agent.yaml",
        "agents/agent.yaml",
        "agents/a/b/agent.yaml",
        "agents/a/agent.yaml~",
        "agents/a/.agent.yaml.swp",
        "agents/a/.#agent.yaml",
        "agents/a/#agent.yaml#",
        "agents/a/4913",
        "agents/a/agent.yaml.bak",
        "agents/a/agent.yaml___jb_tmp___",
        "agents/a/.tmp-x8s7",
        "agents/.git/agent.yaml",
        "agents/a~/agent.yaml",
        "prompts/.yaml",
        "prompts/.a.yaml",
        "prompts/.#a.yaml",
        "prompts/#a.yaml",
        "prompts/a.yaml.vsctmp",
        "cache/a/agent.yaml",
        "backups/prompts/a.yaml",
    ],
)
def test_what_fits_none_is_no_definition(path: str, scope: Scope) -> None:
    assert scope.kind(f"{scope.home}/{path}") is None


def test_folders_are_those_that_lead_to_definitions(scope: Scope) -> None:
    def folder(path: str) -> bool:
        return scope.is_folder(f"{scope.home}/{path}")

    assert scope.is_folder(scope.home)
    assert folder("agents")
    assert folder("agents/a")
    assert folder("packs/a/deep")
    assert not folder("agents/a/tools")
    assert not folder("cache")


def test_files_below_a_folder_are_found_by_pattern(scope: Scope, tmp_path: Path) -> None:
    for name in (
        "agents/a/agent.yaml",
        "agents/a/tools/agent.yaml",
        "agents/b/agent.yaml",
        "prompts/.x.yaml",
    ):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    assert [path.removeprefix(scope.home) for path in scope.files_below(scope.home)] == [
        "/agents/a/agent.yaml",
        "/agents/b/agent.yaml",
    ]


@pytest.mark.parametrize(
    ("path", "files"),
    [
        ("agents/a", ["agents/a/agent.yaml", "agents/a/agent.yml"]),
        ("agents/a/agent.yaml", ["agents/a/agent.yaml"]),
        ("packs/a", ["packs/a/deep/pack.json"]),
        ("prompts", ["prompts"]),
        ("agents", ["agents"]),
    ],
)
def test_a_changed_path_stands_for_files_by_name(path: str, files: list[str], scope: Scope) -> None:
    assert list(scope.files_of(f"{scope.home}/{path}")) == [f"{scope.home}/{file}" for file in files]


def test_a_folder_made_again_has_another_identity(scope: Scope, tmp_path: Path) -> None:
    (tmp_path / "agents").mkdir()
    before = scope.identity()
    (tmp_path / "agents").rename(tmp_path / "kept")  # so that its inode is not taken again
    assert scope.identity() != before
    (tmp_path / "agents").mkdir()
    assert scope.identity() != before
