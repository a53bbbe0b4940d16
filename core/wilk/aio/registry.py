"""The async face of the registry of agents: what may ask a source holds up no other verb."""

from __future__ import annotations

from wilk.aio.nouns import Noun, aside, reading
from wilk.services.registry.registry import Registry


class AsyncRegistry(Noun):
    """The verbs of the registry, awaited."""

    sources = reading(Registry.sources)
    refresh = aside(Registry.refresh)
    search = aside(Registry.search)
    get = aside(Registry.get)
    find = aside(Registry.find)
    installed = reading(Registry.installed)
    install = aside(Registry.install)
    update = aside(Registry.update)
    remove = aside(Registry.remove)
    pack = reading(Registry.pack)
