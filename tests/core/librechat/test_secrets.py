"""Secrets of LibreChat: planted wherever they may stand, and found nowhere afterwards."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tests.core.librechat.documents import CANARY, action, everything, oid, user

import wilk
from wilk.records.transfer import MigrationResult
from wilk.transfer.importers.librechat import secrets

pytestmark = pytest.mark.sqlite
Take = Callable[..., MigrationResult]


def found_in(folder: Path) -> list[str]:
    return [
        str(path) for path in folder.rglob("*") if path.is_file() and CANARY.encode() in path.read_bytes()
    ]


def test_no_secret_reaches_a_file_a_log_or_the_report(
    take: Take, store: wilk.Store, home: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    result = take(everything())
    assert result.failed == 0
    assert sum(result.lost_fields.values()) >= 20
    assert found_in(home) == []
    assert CANARY not in caplog.text
    assert CANARY not in repr(result)
    assert CANARY not in repr(store.imports.list())


def test_no_secret_reaches_an_error(take: Take, store: wilk.Store, home: Path) -> None:
    broken = [{**action(), "_id": None, "action_id": None}, action(metadata=f"{CANARY}-text")]
    result = take({"actions": broken, "users": [{**user(), "_id": None}]})
    assert result.failed == 2
    assert CANARY not in repr(result)
    assert found_in(home) == []


def test_no_secret_is_exported(take: Take, store: wilk.Store, tmp_path: Path) -> None:
    take(everything())
    store.exports.run("librechat", tmp_path / "out")
    assert found_in(tmp_path / "out") == []


@pytest.mark.parametrize(
    "path",
    ["actions.metadata.api_key", "actions.metadata.oauth_client_id", "actions.metadata.oauth_client_secret",
     "actions.metadata.auth.custom_auth_header", "users.password", "users.totpSecret", "users.backupCodes",
     "users.refreshToken", "keys"],
)  # fmt: skip
def test_what_is_left_out_is_counted_by_its_path(take: Take, path: str) -> None:
    assert take(everything()).lost_fields[path] >= 1


def test_an_action_keeps_what_is_no_secret(take: Take, store: wilk.Store) -> None:
    take({"actions": [action()]})
    data = store.documents.get("librechat/actions/Xa12").data
    assert data["metadata"]["domain"] == "api.example.com"
    assert data["metadata"]["auth"]["scope"] == "read"
    spec = json.loads(data["metadata"]["raw_spec"])
    place, key = spec["paths"]["/now"]["get"]["parameters"]
    assert place["example"] == "Graz"
    assert key == {"name": "X-Api-Key", "in": "header", "schema": {"type": "string"}}


def test_a_specification_without_keys_stays_letter_by_letter() -> None:
    told: list[str] = []
    spec = "openapi: 3.1.0\npaths: {}   # nothing yet\n"
    assert secrets.specification(spec, "raw_spec", told.append) == spec
    assert told == []


def test_a_specification_that_cannot_be_read_is_left_out_and_counted() -> None:
    told: list[str] = []
    assert secrets.specification(f"{{ {CANARY}", "actions.metadata.raw_spec", told.append) is None
    assert told == ["actions.metadata.raw_spec"]


def test_a_made_up_field_of_a_user_is_counted_for_it_may_be_a_secret(take: Take, store: wilk.Store) -> None:
    result = take({"users": [user(newToken="x", somethingNew="y")]})
    assert result.lost_fields["users.newToken"] == result.lost_fields["users.somethingNew"] == 1


def _with_field(name: str, document: dict[str, Any]) -> dict[str, Any]:
    return {**document, "madeUpField": f"made up for {name}"}


@pytest.mark.parametrize("name", sorted(everything()))
def test_a_made_up_field_of_any_collection_is_in_the_store_or_in_the_report(
    take: Take, store: wilk.Store, home: Path, name: str
) -> None:
    first = everything()[name][0]
    source: dict[str, Any] = {name: [_with_field(name, first)]}
    if name == "toolcalls":
        source["conversations"] = everything()["conversations"]
    result = take(source)
    store.exports.run("json", home / "all.jsonl")
    kept = f"made up for {name}" in (home / "all.jsonl").read_text()
    told = any("madeUpField" in path or path == name for path in result.lost_fields)
    assert result.failed == 0
    assert kept or told


def test_collections_that_are_nothing_but_secrets_are_counted(take: Take, store: wilk.Store) -> None:
    names = ("keys", "tokens", "sessions", "pluginauths")
    result = take({name: [{"_id": oid(1), "value": CANARY}] for name in names})
    assert {name: result.lost_fields[name] for name in names} == dict.fromkeys(names, 1)


def test_an_mcp_server_comes_over_without_what_it_logs_in_with(
    take: Take, store: wilk.Store, home: Path
) -> None:
    server = {
        "_id": oid(3),
        "serverName": "docs",
        "config": {
            "url": f"https://example.com/mcp?token={CANARY}",
            "headers": {"X": CANARY},
            "env": {"A": CANARY},
        },
    }
    take({"mcpservers": [server]})
    assert found_in(home) == []
    data = store.documents.get(f"librechat/mcpservers/{oid(3)}").data
    assert data["serverName"] == "docs"
