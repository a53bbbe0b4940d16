"""What of a definition stays in its file: hidden in records, unsaid in errors, put back on saving."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from tests.engines import kept

import wilk
from wilk.definitions import redaction
from wilk.definitions.kinds import register_definition_kinds
from wilk.definitions.redaction import MARK

KINDS = {kind.name: kind for kind in register_definition_kinds()}


def server(**fields: Any) -> Any:
    shown: Any = KINDS["mcp-servers"].redact({"mcpServers": {"a": fields}})
    return shown["mcpServers"]["a"]


@pytest.mark.parametrize(
    ("arguments", "shown"),
    [
        (["-e", "GITHUB_TOKEN=ghp_1"], ["-e", f"GITHUB_TOKEN={MARK}"]),
        (["GITHUB_TOKEN=ghp_1"], [f"GITHUB_TOKEN={MARK}"]),
        (["-eGITHUB_TOKEN=ghp_1"], [f"-eGITHUB_TOKEN={MARK}"]),
        (["--env=X_TOKEN=ghp_1"], [f"--env=X_TOKEN={MARK}"]),
        (["--env", "PIN=1234"], ["--env", f"PIN={MARK}"]),
        (["-e", "X_TOKEN=${X_TOKEN}", "-e", "X_TOKEN"], ["-e", "X_TOKEN=${X_TOKEN}", "-e", "X_TOKEN"]),
        (["--header", "Authorization: Bearer s"], ["--header", f"Authorization: {MARK}"]),
        (["--header=Authorization: Bearer s"], [f"--header=Authorization: {MARK}"]),
        (["-H", "X-Who:s"], ["-H", f"X-Who:{MARK}"]),
        (["Authorization: Bearer s"], [f"Authorization: {MARK}"]),
        (["--token", "-s"], ["--token", MARK]),
        (["--password", "--token=s"], ["--password", f"--token={MARK}"]),
        (["--token", 123456], ["--token", MARK]),
        (["--set", "auth.token=s"], ["--set", f"auth.token={MARK}"]),
        (['{"api_key": "s"}'], [f'{{"api_key": {MARK}']),
        (["-c", "exec x --token s"], ["-c", f"exec x --token {MARK}"]),
        (
            ["--url=https://u:p@h/x?token=s&n=1 --password=s"],
            [f"--url=https://{MARK}@h/x?token={MARK}&n=1 --password={MARK}"],
        ),
        (
            ["-y", "--max-tokens=5", "x@1.2", "a token of x"],
            ["-y", "--max-tokens=5", "x@1.2", "a token of x"],
        ),
    ],
)
def test_arguments_that_name_a_secret_are_hidden(arguments: list[Any], shown: list[Any]) -> None:
    assert server(command="docker", args=arguments)["args"] == shown


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("https://u:p@ss@w@h/x", f"https://{MARK}@h/x"),
        ("postgres://u:p/w@h/db", f"postgres://{MARK}@h/db"),
        ("postgres://u:p#w@h/db", f"postgres://{MARK}@h/db"),
        ("https://h/x?password=s&token=s&a=1", f"https://h/x?password={MARK}&token={MARK}&a=1"),
        ("https://h/x?a=1#access_token=s", f"https://h/x?a=1#access_token={MARK}"),
        ("h:8080/x?token=s", f"h:8080/x?token={MARK}"),
        ("https://h/x?key=${KEY}", "https://h/x?key=${KEY}"),
        ("https://h:8080/@scope/x?max_tokens=3", "https://h:8080/@scope/x?max_tokens=3"),
    ],
)
def test_logins_and_keys_in_urls_are_hidden(url: str, shown: str) -> None:
    assert server(url=url)["url"] == shown
    assert redaction.hide({"x": [url]}) == {"x": [shown]}


@pytest.mark.parametrize("text", ["${X:-sk-1}", "$2b$10$hash", "${A}${B}x", "%1%"])
def test_what_only_looks_like_a_reference_is_a_secret(text: str) -> None:
    assert redaction.hide({"token": text}) == {"token": MARK}


@pytest.mark.parametrize(
    "definition",
    [
        {"model": {"parameters": {"max_tokens": 3, "token_budget": 4, "maxTokens": 5, "eos_token": "</s>"}}},
        {"memory": {"max_context_tokens": 3}, "tokenizer": "auto", "stop_token": "x"},
        {"api_key_env": "OPENAI_API_KEY", "token": "${TOKEN}", "secret": True, "password": None},
        {"prompts": {"system": "Ask https://u:p@h/ for the token: x?key=1"}},
    ],
)
def test_what_is_no_secret_is_neither_hidden_nor_copied(definition: dict[str, Any]) -> None:
    for kind in ("agents", "prompts", "personas", "presets"):
        assert KINDS[kind].redact(definition) is definition


@pytest.mark.parametrize("name", ["api_key", "apiKey", "token", "access_tokens", "password", "Authorization"])
@pytest.mark.parametrize("kind", ["agents", "prompts", "personas", "presets"])
def test_values_under_telling_names_are_hidden(kind: str, name: str) -> None:
    definition = {"name": "x", "model": {"name": "m", name: "sk-1"}, "extra": [{name: ["sk-2"]}]}
    before = json.dumps(definition)
    assert KINDS[kind].redact(definition) == {
        "name": "x",
        "model": {"name": "m", name: MARK},
        "extra": [{name: [MARK]}],
    }
    assert json.dumps(definition) == before


def test_of_a_variable_of_a_prompt_only_the_default_is_hidden() -> None:
    redact = KINDS["prompts"].redact
    told = {"template": "{token}", "variables": {"token": "what to read", "b": {"default": 1}}}
    assert redact(told) is told
    described = {"description": "what to read", "default": "sk-1"}
    shown = {"description": "what to read", "default": MARK}
    assert redact({"variables": {"token": described}, "x": 1}) == {"variables": {"token": shown}, "x": 1}
    assert redact({"variables": [{"name": "token", **described}]}) == {
        "variables": [{"name": "token", **shown}]
    }


def test_a_default_that_is_kept_in_the_file_is_not_filled_in(tmp_path: Path) -> None:
    prompt = {"template": "https://h/?token={token}", "variables": {"token": {"default": "sk-1"}}}
    with wilk.open_store(home=tmp_path) as store:
        store.prompts.save("a", prompt)
        assert store.prompts.render("a", token="x") == "https://h/?token=x"
        with pytest.raises(wilk.Invalid, match="token"):
            store.prompts.render("a")


DEFINITIONS: dict[str, Any] = {
    "agents": {"name": "A", "model": {"name": "m", "api_key": "sk-1"}},
    "prompts": {"name": "P", "template": "x", "metadata": {"password": "sk-1"}},
    "personas": {"name": "P", "prompt": "x", "metadata": {"token": "sk-1"}},
    "presets": {"name": "P", "model": "m", "parameters": {"authorization": "sk-1"}},
}


@pytest.mark.parametrize("kind", DEFINITIONS)
def test_a_secret_stays_in_the_file_of_every_kind(tmp_path: Path, kind: str) -> None:
    with wilk.open_store(home=tmp_path) as store:
        records = getattr(store, kind)
        saved = records.save("a", DEFINITIONS[kind])
        assert store.definitions.read(kind, "a") == DEFINITIONS[kind]
        changed = {**saved.definition, "description": "new"}
        assert MARK in json.dumps(changed)
        again = records.save("a", changed)
        assert store.definitions.read(kind, "a") == {**DEFINITIONS[kind], "description": "new"}
        other = json.loads(json.dumps({**DEFINITIONS[kind], "description": "new"}).replace("sk-1", "sk-2"))
        assert records.save("a", other).content_hash == again.content_hash
        assert store.sync().changes == ()
        assert b"sk-" not in kept(store)


@pytest.mark.parametrize(
    ("path", "text"),
    [
        ("mcp-servers.json", '{"mcpServers": {"a": {"url": "https://x", "headers": "Bearer s3cr3t"}}}'),
        ("mcp-servers.json", '{"mcpServers": {"a": {"command": "x", "env": ["K"], "args": "s3cr3t"}}}'),
        (
            "mcp-servers.json",
            '{"mcpServers": {"a": {"command": "x", "disabled": "s3cr3t", "timeout": "s3cr3t"}}}',
        ),
        ("mcp-servers.json", '{"mcpServers": {"a": "s3cr3t"}}'),
        ("mcp-servers.json", '{"mcpServers": "s3cr3t"}'),
        ("mcp-servers.json", '"s3cr3t"'),
        ("config.yaml", "plugins: s3cr3t\n"),
        ("config.yaml", "- plugins: {x: {api_key: s3cr3t}}\n"),
        ("prompts/a.yaml", "template: x\nvariables: {api_key: 53237}\n"),
        ("agents/a/agent.yaml", "name: A\nmodel: {api_key: !!int s3cr3t}\n"),
        ("agents/a/agent.yaml", "name: A\nmodel: {api_key: !s3cr3t x}\n"),
        ("agents/a/agent.yaml", "name: A\npassword: *s3cr3t\n"),
        ("agents/a/agent.yaml", "name: A\npassword: 053237\n"),
        ("agents/a/agent.yaml", "s3cr3t\n"),
    ],
)
def test_an_error_says_nothing_of_a_secret(tmp_path: Path, path: str, text: str) -> None:
    with wilk.open_store(home=tmp_path) as store:
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_text(text)
        report = store.sync()
        assert len(report.failures) == 1
        told = str(report) + str(list(store._engine.execute("select error from definition_files")))
        assert "s3cr3t" not in told
        assert "53237" not in told


def test_an_error_still_says_what_a_secret_should_be() -> None:
    (problem,) = KINDS["mcp-servers"].schema.check({"servers": {"a": {"url": "x", "headers": "Bearer s"}}})
    assert problem.message == "expected a mapping, found a text"
