"""Finds the plugin under test in another process: by its entry point, a module, or its function."""

from __future__ import annotations

import sys
from collections.abc import Collection, Mapping
from importlib import import_module, metadata
from importlib.util import find_spec
from inspect import isfunction
from pathlib import Path
from typing import Any, NamedTuple

from wilk.errors import PluginError
from wilk.hookspecs import OFFERS
from wilk.host import Host
from wilk.settings import Settings


class Origin(NamedTuple):
    """Where a plugin comes from."""

    distribution: str
    version: str


def host(job: Mapping[str, Any]) -> Host:
    """The host of a job: what is installed, and the modules that it names."""
    return Host(*map(import_module, job.get("modules", ())), disabled=job.get("disabled", ()))


def settings_of(job: Mapping[str, Any]) -> Settings:
    """The settings of a job."""
    given = dict(job["settings"])
    if given.get("home") is not None:
        given["home"] = Path(given["home"])
    return Settings(**given)


def told(settings: Settings | Mapping[str, Any]) -> dict[str, Any]:
    """Settings as a job holds them: those that are no defaults."""
    given = settings if isinstance(settings, Mapping) else vars(settings)
    default = Settings()
    return {
        name: str(value) if isinstance(value, Path) else value
        for name, value in given.items()
        if name != "origins" and value != getattr(default, name)
    }


def reference(hook: str, offer: Any, modules: Collection[str]) -> dict[str, Any]:
    """How another process finds what an offering hook yields; raises PluginError when it cannot."""
    function = offer.open
    offered = _offered(hook, offer.name, modules)
    if offered is not None and _place(offered.open) == _place(function):
        return {"offer": offer.name}
    module, name = _place(function)
    if isfunction(function) and "<" not in name and _importable(module):
        return {"open": f"{module}:{name}"}
    if offered is not None:
        return {"offer": offer.name}
    if hook == "register_vector_indexes":
        return {"own": offer.name}
    raise PluginError(
        f"faults are done to processes of their own, and none of them can find {offer.name!r}: install its "
        "package, name the module with its hook in the class attribute `modules`, or let its `open` be a "
        "function of a module"
    )


def found(hook: str, job: Mapping[str, Any]) -> Any:
    """What :func:`reference` refers to, in another process; None for what the backend brings itself."""
    from wilk import contracts

    if "own" in job:
        return None
    if "open" in job:
        module, _, name = job["open"].partition(":")
        function: Any = import_module(module)
        for part in name.split("."):
            function = getattr(function, part)
        return getattr(contracts, OFFERS[hook].contract)(job["name"], function)
    return getattr(host(job), _METHODS[hook])(job["offer"])


def _offered(hook: str, name: str, modules: Collection[str]) -> Any:
    """What is offered under that name by what is installed, or by the modules."""
    try:
        return getattr(Host(*map(import_module, modules)), _METHODS[hook])(name)
    except PluginError:
        return None


def _place(function: Any) -> tuple[str, str]:
    return getattr(function, "__module__", ""), getattr(function, "__qualname__", "<")


_METHODS = {
    "register_backends": "backend",
    "register_archives": "archive",
    "register_caches": "cache_tier",
    "register_vector_indexes": "vector_index",
    "register_embedders": "embedder",
}


def origin(offer: Any) -> Origin:
    """The distribution that an offer comes from, or the file that it stands in."""
    module = str(getattr(offer.open, "__module__", ""))
    for entry in metadata.entry_points(group="wilk"):
        root = entry.module.partition(".")[0]
        if entry.dist is not None and module.partition(".")[0] == root:
            return Origin(entry.dist.name, entry.dist.version)
    return Origin(f"the module {module}" if module else "this program", "")


def _importable(module: str) -> bool:
    """Whether another process with this one's path finds the same module under that name."""
    here = sys.modules.get(module)
    try:
        spec = find_spec(module)
    except (ImportError, ValueError):
        return False
    return spec is not None and spec.origin == getattr(here, "__file__", None) and module != "__main__"
