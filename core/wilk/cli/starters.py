"""What ``new`` writes: a complete file of each kind, with comments that say what may be changed."""

from __future__ import annotations

import json
from collections.abc import Mapping

_AGENT = """\
# An agent. Its id is the name of this folder; `wilk agents check` tells what is wrong with it.
name: {name}
version: 0.1.0
description: {description}
category: general
# author: you@example.com

model:
  provider: openai
  name: {model}
  parameters:
    temperature: 0.2   # 0 to 2
    max_tokens: 4096

# Names of tools that it may call.
tools: []

# Nothing is allowed that is not written here; what is blocked stays blocked.
permissions:
  filesystem:
    read: []           # patterns such as './src/**'
    write: []
  shell:
    allowed: []        # beginnings of commands, such as 'git'
    blocked: ['rm -rf', 'sudo']

prompts:
  system: |
    You are a helpful assistant.
  # {{input}} is a variable: whoever uses the template gives its value.
  user_template: |
    {{input}}

memory:
  project_context: true
  conversation_history: true
  max_context_tokens: 8192

metadata:
  tags: []
"""

_PROMPT = """\
# A prompt. Its id is the name of this file; `wilk prompts render {id} input=...` tries it out.
name: {name}
version: 0.1.0
description: {description}
category: general

system: |
  You are a helpful assistant.

# {{input}} is a variable; {{{{input}}}} would be the text {{input}} itself.
user_template: |
  {{input}}

variables:
  input: what the user asks
"""

_PERSONA = """\
# A persona: a prompt with the settings of its model. Its id is the name of this file.
name: {name}
prompt: |
  You are a helpful assistant.
description: {description}
# icon: '🐺'
category: general
default_model: {model}
suggested_models: []
temperature: 0.7       # 0 to 2
max_tokens: 4096
top_p: 1.0             # 0 to 1
# repeat_penalty: 1.1
stop_sequences: []
# One persona of a category may be its default.
default: false
"""

_PRESET = """\
# A preset: a model with its parameters under one name. Its id is the name of this file.
name: {name}
description: {description}
provider: openai
model: {model}
parameters:
  temperature: 0.7     # 0 to 2
  top_p: 1.0           # 0 to 1
  max_tokens: 4096
"""

_STARTERS = {"agents": _AGENT, "prompts": _PROMPT, "personas": _PERSONA, "presets": _PRESET}


def text(kind: str, id: str, given: Mapping[str, str]) -> str:
    """The starter of a kind. ``given`` may hold name, description and model."""
    values = {"name": id, "description": "", "model": "gpt-4", **given}
    # Text in JSON is text in YAML, whatever characters it has.
    quoted = {name: json.dumps(value, ensure_ascii=False) for name, value in values.items()}
    return _STARTERS[kind].format(id=id, **quoted)
