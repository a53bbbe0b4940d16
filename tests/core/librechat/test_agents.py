"""Agents of LibreChat: their versions, their tools, and what they do not say."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from tests.core.librechat.documents import ANNA, agent, at, oid

import wilk
from wilk.records.transfer import MigrationResult
from wilk.transfer.importers.librechat import tools
from wilk.transfer.importers.librechat.agents import workflows

pytestmark = pytest.mark.sqlite
Take = Callable[..., MigrationResult]


def entries(count: int, id: str = "agent_reviewer") -> list[dict[str, Any]]:
    """What LibreChat keeps of an agent that was changed so often: each entry is all of it."""
    return [
        {"id": id, "name": "Reviewer", "provider": "openAI", "model": "gpt-4o", "tools": [],
         "instructions": f"Rule {number}", "updatedAt": at(number)}
        for number in range(1, count + 1)
    ]  # fmt: skip


def bare(**more: Any) -> dict[str, Any]:
    return {
        "_id": oid(1),
        "id": "agent_reviewer",
        "provider": "openAI",
        "model": "gpt-4o",
        "author": ANNA,
        **more,
    }


def test_every_field_of_the_agent_format_is_filled_from_its_field(take: Take, store: wilk.Store) -> None:
    take({"agents": [agent()]})
    record = store.agents.get("agent_reviewer")
    definition = record.definition
    assert (record.name, record.category, record.provider, record.model) == (
        "Reviewer", "coding", "openAI", "gpt-4o",
    )  # fmt: skip
    assert definition["prompts"] == {"system": "You review code.", "user_template": ""}
    assert definition["model"]["parameters"]["temperature"] == 0.2
    assert definition["memory"] == {"max_context_tokens": 32000}
    assert definition["author"] == str(ANNA)
    assert definition["metadata"]["files"] == {"execute_code": ["file-1"]}


def test_an_agent_is_known_by_its_id_and_never_by_the_id_of_its_document(
    take: Take, store: wilk.Store
) -> None:
    take({"agents": [agent()]})
    take({"agents": [agent(_id=oid(999))]})
    assert [one.id for one in store.agents.list()] == ["agent_reviewer"]


def test_nothing_is_allowed_to_an_agent_that_came_in(take: Take, store: wilk.Store) -> None:
    take({"agents": [agent()]})
    permissions = store.agents.permissions("agent_reviewer")
    assert not permissions.allows_read("x")
    assert permissions.refusal("ls") is not None


def test_the_agent_is_written_as_a_file(take: Take, store: wilk.Store, home: Any) -> None:
    take({"agents": [agent()]})
    assert "You review code." in (home / "agents/agent_reviewer/agent.yaml").read_text()
    assert store.sync().changes == ()


@pytest.mark.parametrize("name", ["tools", "tool_options", "support_contact", "versions"])
@pytest.mark.parametrize("absent", [True, False])
def test_a_field_that_is_null_or_absent_is_no_fault(
    take: Take, store: wilk.Store, name: str, absent: bool
) -> None:
    document = agent()
    document.pop(name, None)
    if not absent:
        document[name] = None
    assert take({"agents": [document]}).failed == 0
    assert store.agents.get("agent_reviewer").definition["prompts"]["system"] == "You review code."


def test_two_hundred_versions_become_two_hundred_revisions_the_oldest_first(
    take: Take, store: wilk.Store
) -> None:
    versions = entries(200)
    take({"agents": [bare(**{**versions[-1], "_id": oid(1)}, versions=versions)]})
    history = store.agents.history("agent_reviewer")
    assert [one.version for one in history] == [f"{number}.0.0" for number in range(1, 201)]
    assert history[4].definition["prompts"]["system"] == "Rule 5"


def test_a_head_that_differs_from_its_last_version_is_a_revision_of_its_own(
    take: Take, store: wilk.Store
) -> None:
    versions = entries(2)
    take({"agents": [bare(**{**versions[-1], "instructions": "Changed"}, versions=versions)]})
    said = [one.definition["prompts"]["system"] for one in store.agents.history("agent_reviewer")]
    assert said == ["Rule 1", "Rule 2", "Changed"]


def test_a_new_version_in_the_source_adds_one_revision(take: Take, store: wilk.Store) -> None:
    for count in (2, 3):
        versions = entries(count)
        take({"agents": [bare(**{**versions[-1], "_id": oid(1)}, versions=versions)]})
    said = [one.definition["prompts"]["system"] for one in store.agents.history("agent_reviewer")]
    assert said == ["Rule 1", "Rule 2", "Rule 3"]


def test_empty_versions_are_one_revision(take: Take, store: wilk.Store) -> None:
    take({"agents": [bare(versions=[])]})
    assert [one.version for one in store.agents.history("agent_reviewer")] == ["1.0.0"]


def test_an_agent_without_a_name_is_called_by_its_id(take: Take, store: wilk.Store) -> None:
    take({"agents": [bare()]})
    assert store.agents.get("agent_reviewer").name == "agent_reviewer"


def test_two_agents_of_one_name_are_both_there_and_reported(take: Take, store: wilk.Store) -> None:
    result = take({"agents": [agent(), agent("agent_other", _id=oid(2))]})
    assert sorted(one.name for one in store.agents.list()) == ["Reviewer", "Reviewer (agent_other)"]
    assert sum(result.warnings.values()) >= 1


def test_two_tenants_with_one_id_are_two_agents(take: Take, store: wilk.Store) -> None:
    take({"agents": [agent(tenantId="north"), agent(tenantId="south", _id=oid(2))]})
    ids = [one.id for one in store.agents.list()]
    assert len(ids) == 2
    assert "agent_reviewer" in ids


def test_an_agent_without_an_id_is_reported_and_the_others_go_on(take: Take, store: wilk.Store) -> None:
    result = take({"agents": [{"_id": oid(7), "name": "lost", "provider": "x", "model": "y"}, agent()]})
    assert [(one.kind, one.id, one.error) for one in result.errors] == [
        ("agents", str(oid(7)), "id is missing")
    ]
    assert store.agents.find("agent_reviewer") is not None


def test_a_parameter_out_of_its_range_is_kept_beside_the_others(take: Take, store: wilk.Store) -> None:
    take({"agents": [bare(model_parameters={"temperature": 3, "top_p": 0.5})]})
    definition = store.agents.get("agent_reviewer").definition
    assert definition["model"]["parameters"] == {"top_p": 0.5}
    assert definition["metadata"]["librechat"]["model_parameters"] == {"temperature": 3, "top_p": 0.5}


def test_edges_are_workflows() -> None:
    edge = {"from": "a", "to": ["b", "c"], "edgeType": "handoff", "description": "when done"}
    assert workflows({"id": "a", "edges": [edge]}) == [
        {"from": ["a"], "to": ["b", "c"], "type": "handoff", "description": "when done"}
    ]


def test_the_chain_before_there_were_edges_is_a_workflow_too() -> None:
    assert workflows({"id": "a", "agent_ids": ["b", "c"], "edges": []}) == [
        {"from": ["a"], "to": ["b"], "type": "direct"},
        {"from": ["b"], "to": ["c"], "type": "direct"},
    ]


def test_who_shares_an_agent_stands_in_its_metadata(take: Take, store: wilk.Store) -> None:
    right = {
        "_id": oid(9),
        "principalType": "public",
        "resourceType": "agent",
        "resourceId": oid(1),
        "permBits": 1,
    }
    take({"agents": [agent()], "aclentries": [right]})
    metadata = store.agents.get("agent_reviewer").definition["metadata"]
    assert metadata["sharing"] == [{"principal": "public", "may": ["view"]}]


@pytest.mark.parametrize(
    ("text", "servers", "found"),
    [
        ("web_search", [], ("plain", "web_search", None)),
        ("find_mcp_docs", ["docs"], ("mcp", "find", "docs")),
        ("find_mcp_my_mcp_docs", ["docs", "my_mcp_docs"], ("mcp", "find", "my_mcp_docs")),
        ("find_mcp_my_mcp_docs", [], ("mcp", "find_mcp_my", "docs")),
        ("sys__server__sys_mcp_docs", ["docs"], ("server", "", "docs")),
        ("getWeather_action_api---example---com", [], ("action", "getWeather", "api.example.com")),
        ("_mcp_", [], ("plain", "_mcp_", None)),
    ],
)
def test_a_tool_is_known_by_its_name(
    text: str, servers: list[str], found: tuple[str, str, str | None]
) -> None:
    assert tuple(tools.split(text, servers)) == found
