"""The async face of definitions: agents, prompts, personas, presets and the rest."""

from __future__ import annotations

from wilk.aio.nouns import Noun, reading, writing
from wilk.services.definitions.agents import Agents
from wilk.services.definitions.definitions import Definitions
from wilk.services.definitions.personas import Personas
from wilk.services.definitions.presets import Presets
from wilk.services.definitions.prompts import Prompts


class AsyncAgents(Noun):
    """The verbs of agents, awaited."""

    get = reading(Agents.get)
    find = reading(Agents.find)
    by_name = reading(Agents.by_name)
    list = reading(Agents.list)
    save = writing(Agents.save)
    remove = writing(Agents.remove)
    history = reading(Agents.history)
    difference = reading(Agents.difference)
    permissions = reading(Agents.permissions)
    render = reading(Agents.render)
    tools = reading(Agents.tools)
    workflows = reading(Agents.workflows)


class AsyncPrompts(Noun):
    """The verbs of prompts, awaited."""

    get = reading(Prompts.get)
    find = reading(Prompts.find)
    by_name = reading(Prompts.by_name)
    list = reading(Prompts.list)
    save = writing(Prompts.save)
    remove = writing(Prompts.remove)
    history = reading(Prompts.history)
    difference = reading(Prompts.difference)
    render = reading(Prompts.render)


class AsyncPersonas(Noun):
    """The verbs of personas, awaited."""

    get = reading(Personas.get)
    find = reading(Personas.find)
    by_name = reading(Personas.by_name)
    list = reading(Personas.list)
    save = writing(Personas.save)
    remove = writing(Personas.remove)
    history = reading(Personas.history)
    difference = reading(Personas.difference)
    default = reading(Personas.default)
    make_default = writing(Personas.make_default)


class AsyncPresets(Noun):
    """The verbs of presets, awaited."""

    get = reading(Presets.get)
    find = reading(Presets.find)
    by_name = reading(Presets.by_name)
    list = reading(Presets.list)
    save = writing(Presets.save)
    remove = writing(Presets.remove)
    history = reading(Presets.history)
    difference = reading(Presets.difference)


class AsyncDefinitions(Noun):
    """The verbs of definitions of other kinds, awaited."""

    kinds = reading(Definitions.kinds)
    get = reading(Definitions.get)
    find = reading(Definitions.find)
    list = reading(Definitions.list)
    read = reading(Definitions.read)
    save = writing(Definitions.save)
    remove = writing(Definitions.remove)
    history = reading(Definitions.history)
    difference = reading(Definitions.difference)
    check = reading(Definitions.check)
    files = reading(Definitions.files)
