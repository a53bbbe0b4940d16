"""What is written and read: messages of 270 bytes, agents of an ordinary size, a home folder."""

from __future__ import annotations

from functools import cache
from itertools import accumulate
from pathlib import Path
from random import Random

MESSAGE_BYTES = 270

_LETTERS = "etaoinshrdlcumwfgypbvk"
_WORDS = 5000


def texts(count: int, *, seed: int = 0) -> list[str]:
    """Make distinct texts of 270 bytes whose words come as often, and are as long, as in prose.

    The n-th word of the vocabulary comes in proportion to 1/n (Zipf), and frequent ones are short.
    An index of words costs by the words that it gets: one text again and again would flatter it.
    """
    vocabulary = _vocabulary()
    random = Random(seed)
    chances = list(accumulate(1 / (rank + 2.7) for rank in range(_WORDS)))
    made = []
    for number in range(count):
        words = random.choices(vocabulary, cum_weights=chances, k=MESSAGE_BYTES // 4)
        made.append(f"{number} {' '.join(words)}".ljust(MESSAGE_BYTES, ".")[:MESSAGE_BYTES])
    return made


@cache
def _vocabulary() -> list[str]:
    random = Random(0)
    words: dict[str, None] = {}
    while len(words) < _WORDS:
        rank = len(words)
        shortest, longest = (2, 4) if rank < 100 else (4, 7) if rank < 1000 else (5, 10)
        length = random.randint(shortest, longest)
        words["".join(random.choices(_LETTERS, k=length))] = None
    return list(words)


def role(number: int) -> str:
    return "assistant" if number % 2 else "user"


_AGENT = """\
name: {name}
version: 1.2.{patch}
description: 'Reviews code number {number} with an eye on security'
category: {category}
author: 'team@example.com'

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
    You review code for other people, with security and good practice in mind.
    Look for vulnerabilities, for what is slow, and for what will be hard to maintain.
    Give advice that can be followed, with an example in code for each point.

  user_template: |
    Please look through this code for:
    1. Security vulnerabilities
    2. Slow places
    3. Questions of quality
    4. Departures from good practice

    Code: {{code}}
    Context: {{context}}

memory:
  project_context: true
  conversation_history: true
  max_context_tokens: 8192

metadata:
  tags: ['security', 'review', 'good-practice']
  documentation: './README.md'
  tests: './tests/agent.test.ts'
  license: MIT
"""


def agent(number: int, *, patch: int = 0) -> str:
    """An agent file of 1.3 KB that has every section of the format."""
    category = ("development", "writing", "research")[number % 3]
    return _AGENT.format(name=f"reviewer-{number}", patch=patch, number=number, category=category)


def agent_file(home: Path, number: int) -> Path:
    return home / "agents" / f"reviewer-{number}" / "agent.yaml"


def write_agents(home: Path, count: int) -> list[Path]:
    """Write agents into a home folder and return their files."""
    files = [agent_file(home, number) for number in range(count)]
    for number, file in enumerate(files):
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(agent(number))
    return files
