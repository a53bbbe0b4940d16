"""Reads from a plugin's source text which hooks it implements and which names it offers.

Nothing is imported. Where the text leaves a doubt (no source, ``import *``, a name that is
computed, a plugin that is an object in a module), the answer is "unknown", and the host imports
the plugin once to find out.
"""

from __future__ import annotations

import ast
from importlib.machinery import PathFinder
from pathlib import Path
from typing import NamedTuple

# The dataclass that each offering hook yields, and the argument that names the offer.
OFFERS = {
    "Backend": ("register_backends", "scheme"),
    "DefinitionKind": ("register_definition_kinds", "name"),
    "ModelSet": ("register_models", "name"),
    "Tokenizer": ("register_tokenizers", "name"),
    "Command": ("register_commands", "name"),
}


class Scan(NamedTuple):
    """What the source says: the file, the hooks, and per offering hook its names (None: unknown)."""

    file: Path
    hooks: list[str]
    offers: dict[str, list[str]] | None


def scan(value: str) -> Scan | None:
    """Look at the module that an entry point's value names; None when the source leaves a doubt."""
    if ":" in value:
        return None
    file = _source_of(value)
    if file is None:
        return None
    try:
        tree = ast.parse(file.read_bytes())
    except (OSError, SyntaxError, ValueError):
        return None
    hooks: list[str] = []
    for node in tree.body:
        if isinstance(node, ast.FunctionDef):
            if any(_name(decorator) == "hookimpl" for decorator in node.decorator_list):
                hooks.append(node.name)
        elif isinstance(node, ast.ClassDef):
            continue
        elif isinstance(node, ast.ImportFrom):
            if any(alias.name == "*" for alias in node.names):
                return None
            # A hook may be written elsewhere and imported here.
            hooks.extend(name for alias in node.names if _like_a_hook(name := alias.asname or alias.name))
        elif not isinstance(node, (ast.Import, ast.Expr, ast.Assign, ast.AnnAssign)) and _mentions_hook(node):
            return None  # under an `if` or a `try`: only an import tells
        elif isinstance(node, (ast.Assign, ast.AnnAssign)) and _mentions_hook(node):
            return None
    return Scan(file, hooks, _offers(tree, hooks)) if hooks else None


def _offers(tree: ast.Module, hooks: list[str]) -> dict[str, list[str]] | None:
    offers: dict[str, list[str]] = {hook: [] for hook, _ in OFFERS.values() if hook in hooks}
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and (known := OFFERS.get(_name(node.func))):
            hook, argument = known
            named = [keyword.value for keyword in node.keywords if keyword.arg == argument] or node.args[:1]
            if len(named) != 1 or not isinstance(named[0], ast.Constant) or not isinstance(named[0].value, str):
                return None
            if hook in offers:
                offers[hook].append(named[0].value)
    return None if any(not names for names in offers.values()) else offers


def _source_of(module: str) -> Path | None:
    """Find a module's source without importing its parents."""
    path: list[str] | None = None
    *parents, _ = parts = module.split(".")
    for i in range(len(parts)):
        spec = PathFinder.find_spec(".".join(parts[: i + 1]), path)
        if spec is None:
            return None
        if i < len(parents):
            path = list(spec.submodule_search_locations or [])
        elif spec.has_location and spec.origin and spec.origin.endswith(".py"):
            return Path(spec.origin)
    return None


def _name(node: ast.expr) -> str:
    """The last name of ``x``, ``a.x``, ``x(...)`` or ``a.x(...)``."""
    if isinstance(node, ast.Call):
        node = node.func
    if isinstance(node, ast.Attribute):
        return node.attr
    return node.id if isinstance(node, ast.Name) else ""


def _like_a_hook(name: str) -> bool:
    return name.startswith(("register_", "before_", "after_", "store_", "definition_"))


def _mentions_hook(node: ast.AST) -> bool:
    return any(
        isinstance(inner, (ast.Name, ast.Attribute)) and _name(inner) == "hookimpl" for inner in ast.walk(node)
    )
