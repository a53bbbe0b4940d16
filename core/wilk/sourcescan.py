"""Reads from a plugin's source text which hooks it implements and which names it offers.

Nothing is imported. What is said is what an import would show; where the text leaves a doubt (no
source, ``import *``, a hook under an ``if`` or from elsewhere, a plugin that is an object in a
module), nothing is said, and the host imports the plugin once to find out.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from importlib.machinery import PathFinder
from pathlib import Path
from typing import NamedTuple

from wilk import hookspecs
from wilk.hookspecs import OFFERS, Offer

HOOKS = frozenset(name for name, value in vars(hookspecs).items() if hasattr(value, "wilk_spec"))

_HOMES = frozenset({"wilk", "wilk.contracts", "wilk.hookspecs"})
_MODULE = "(wilk)"
# Used at module level, these may bind any name, or put something else in the module's place.
_SORCERY = frozenset({"exec", "eval", "globals", "locals", "vars", "setattr", "modules", "hookimpl"})


class Scan(NamedTuple):
    """What the source says: the file, the hooks, and the names by offering hook (None: unknown).

    An offer that is made under a condition is named, whether or not the condition holds.
    """

    file: Path
    hooks: list[str]
    offers: dict[str, list[str]] | None


class _Doubt(Exception):
    """Only an import tells."""


def scan(value: str) -> Scan | None:
    """Look at the module that an entry point's value names; None when the source leaves a doubt."""
    if ":" in value:
        return None
    file = _source_of(value.strip())
    if file is None:
        return None
    try:
        tree = ast.parse(file.read_bytes())
        known = _known(tree)
        hooks = _hooks(tree, known)
    except (OSError, SyntaxError, ValueError, RecursionError, _Doubt):
        return None
    if not hooks:
        return None
    try:
        offers = {name: list(_offers(hooks[name], known, OFFERS[name])) for name in hooks if name in OFFERS}
    except _Doubt:
        return Scan(file, sorted(hooks), None)
    return Scan(file, sorted(hooks), offers)


def offered_in(source: bytes, hook: str) -> list[str] | None:
    """The names that a source offers by one hook: none without it, and None where only an import tells."""
    try:
        tree = ast.parse(source)
        known = _known(tree)
        function = _hooks(tree, known).get(hook)
        return [] if function is None else list(_offers(function, known, OFFERS[hook]))
    except (SyntaxError, ValueError, RecursionError, _Doubt):
        return None


def _known(tree: ast.Module) -> dict[str, str]:
    """What the module's imports call wilk and its names."""
    imports = (node for node in tree.body if isinstance(node, (ast.Import, ast.ImportFrom)))
    return {name: source for node in imports for name, source in _imported(node) if source is not None}


def _hooks(tree: ast.Module, known: dict[str, str]) -> dict[str, ast.FunctionDef]:
    """The functions that are hooks for certain; raises _Doubt."""
    hooks: dict[str, ast.FunctionDef] = {}
    for node in tree.body:
        if isinstance(node, ast.FunctionDef) and _is_hook(node, known):
            if node.name in hooks:
                raise _Doubt
            hooks[node.name] = node
            continue
        for name, source in _bound(node):
            if name in HOOKS or name in ("*", "__dir__") or (name in known and source != known[name]):
                raise _Doubt
        if any(_word(inner) in _SORCERY for inner in _outside(node)):
            raise _Doubt
    if any(isinstance(node, ast.Global) and not HOOKS.isdisjoint(node.names) for node in ast.walk(tree)):
        raise _Doubt
    return hooks


def _is_hook(node: ast.FunctionDef, known: dict[str, str]) -> bool:
    """Whether a function is a hook; raises _Doubt where its decorators or its name do not say."""
    marks = [mark for mark in node.decorator_list if _public(mark, known) == "hookimpl"]
    if not marks:
        return False
    options = [option.arg for mark in marks if isinstance(mark, ast.Call) for option in mark.keywords]
    if (
        len(node.decorator_list) > 1
        or node.name not in HOOKS
        or not {"tryfirst", "trylast"}.issuperset(options)
    ):
        raise _Doubt
    return True


def _offers(function: ast.FunctionDef, known: dict[str, str], offer: Offer) -> Iterator[str]:
    """The names of what an offering function yields or returns; raises _Doubt where one is computed."""
    for node in (inner for statement in function.body for inner in _outside(statement)):
        values: list[ast.expr | None] = []
        if isinstance(node, ast.Yield):
            values = [node.value]
        elif isinstance(node, ast.Return) and isinstance(node.value, (ast.List, ast.Tuple)):
            values = [*node.value.elts]
        elif isinstance(node, ast.YieldFrom) or (isinstance(node, ast.Return) and node.value is not None):
            raise _Doubt
        for value in values:
            if not isinstance(value, ast.Call) or _public(value.func, known) != offer.contract:
                raise _Doubt
            named = [
                keyword.value for keyword in value.keywords if keyword.arg == offer.argument
            ] or value.args[:1]
            if not named or not isinstance(named[0], ast.Constant) or not isinstance(named[0].value, str):
                raise _Doubt
            yield named[0].value


def _public(node: ast.expr, known: dict[str, str]) -> str | None:
    """Which of wilk's public names an expression (``Backend``, ``w.hookimpl()``) stands for."""
    if isinstance(node, ast.Call):
        node = node.func
    if isinstance(node, ast.Name):
        return known.get(node.id)
    root = node
    while isinstance(root, ast.Attribute):
        root = root.value
    if isinstance(node, ast.Attribute) and isinstance(root, ast.Name) and known.get(root.id) == _MODULE:
        return node.attr
    return None


def _bound(node: ast.AST) -> Iterator[tuple[str, str | None]]:
    """The names that a statement binds or deletes, and for wilk's own what they stand for."""
    for inner in _outside(node):
        if isinstance(inner, (ast.Import, ast.ImportFrom)):
            yield from _imported(inner)
        elif isinstance(inner, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
            yield inner.name, None
        elif isinstance(inner, ast.Name) and not isinstance(inner.ctx, ast.Load):
            yield inner.id, None
        elif isinstance(inner, (ast.ExceptHandler, ast.MatchAs, ast.MatchStar)) and inner.name:
            yield inner.name, None


def _imported(node: ast.Import | ast.ImportFrom) -> Iterator[tuple[str, str | None]]:
    """The names that an import binds, and for wilk and its public names what they stand for."""
    for alias in node.names:
        if isinstance(node, ast.ImportFrom):
            home = node.module in _HOMES and not node.level
            yield alias.asname or alias.name, alias.name if home else None
        else:
            top = alias.name.partition(".")[0]
            itself = alias.name == "wilk" or (top == "wilk" and alias.asname is None)
            yield alias.asname or top, _MODULE if itself else None


def _outside(node: ast.AST) -> Iterator[ast.AST]:
    """A node and all that is in it, but not the bodies of functions and classes."""
    yield node
    children: list[ast.AST]
    if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
        children = [*node.decorator_list, node.args]
    elif isinstance(node, ast.ClassDef):
        children = [*node.decorator_list, *node.bases, *node.keywords]
    elif isinstance(node, ast.Lambda):
        children = [node.args]
    else:
        children = list(ast.iter_child_nodes(node))
    for child in children:
        yield from _outside(child)


def _word(node: ast.AST) -> str | None:
    """The last name of ``x`` and ``a.x``."""
    if isinstance(node, ast.Attribute):
        return node.attr
    return node.id if isinstance(node, ast.Name) else None


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
