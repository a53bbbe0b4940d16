"""What tests of definitions share: the seed's agent, and writing into the home folder."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

import wilk

SEED_AGENT = """\
# ~/.wilk/agents/code-analyzer/agent.yaml
name: code-analyzer
version: 1.2.0
description: 'Advanced code analysis with security focus'
category: development
author: 'team@company.com'

model:
  provider: openai
  name: gpt-4
  parameters:
    temperature: 0.1
    max_tokens: 4096

tools:
  - file_search
  - execute_code
  - git_operations

permissions:
  filesystem:
    read:
      - './src/**'
      - './tests/**'
      - './docs/**'
    write:
      - './reports/**'
  shell:
    allowed:
      - 'git'
      - 'npm test'
      - 'eslint'
    blocked:
      - 'rm -rf'
      - 'sudo'

prompts:
  system: |
    You are an expert code analyzer specializing in security and best practices.
    Focus on identifying vulnerabilities, performance issues, and maintainability concerns.
    Provide actionable recommendations with code examples.

  user_template: |
    Please analyze the following code for:
    1. Security vulnerabilities
    2. Performance optimizations  \n    3. Code quality issues
    4. Best practice violations

    Code: {code}
    Context: {context}

memory:
  project_context: true
  conversation_history: true
  max_context_tokens: 8192

metadata:
  tags: ['security', 'analysis', 'best-practices']
  documentation: './README.md'
  tests: './tests/agent.test.ts'
  license: 'MIT'
"""


@pytest.fixture
def seed_agent() -> str:
    """The agent of the Wilk seed, as it stands there."""
    return SEED_AGENT


@pytest.fixture
def put(store: wilk.Store, home: Path) -> Callable[[str, str], Path]:
    """Write a file below the home folder of ``store``, with the folders it needs."""

    def write(path: str, text: str) -> Path:
        file = home / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
        return file

    return write
