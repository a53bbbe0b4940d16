"""What ``wilk plugin new`` writes: a package with one plugin that passes its own tests as it stands."""

from __future__ import annotations

import re
from pathlib import Path

from wilk.errors import Conflict, Invalid

_TEMPLATES = Path(__file__).parent / "skeletons"
_NAME = re.compile(r"[a-z][a-z0-9]*(-[a-z0-9]+)*")

KINDS = {
    "backend": ("A backend of wilk: stores under @NAME@://", "backends.md"),
    "cache": ("A tier of caches for wilk", "caches.md"),
    "vectors": ("An index of vectors for wilk", "vector-indexes.md"),
    "archive": ("An archive for what is removed from wilk", "archives.md"),
    "hooks": ("An extension of wilk that hears of what happens", "events.md"),
}
"""Each kind of plugin: what its package says of itself, and its guide."""

_USE = {
    "backend": "```console\n$ wilk sessions new first --url @NAME@:///store.db\n```",
    "cache": "In `config.yaml` of the home folder: `cache_tier: @NAME@`.",
    "vectors": "In `config.yaml` of the home folder: `vector_index: @NAME@`.",
    "archive": "In `config.yaml` of the home folder: `archive: @NAME@`.",
    "hooks": "It works as soon as it is installed; `wilk @NAME@` tells what it counted.",
}


def write_plugin(kind: str, name: str, folder: Path) -> list[Path]:
    """Write a package ``wilk-NAME`` into a folder; return its files.

    Raises Invalid for a name that no package can have, and Conflict where such a folder is already.
    """
    name = name.removeprefix("wilk-")
    if not _NAME.fullmatch(name) or len(name) > 40:
        raise Invalid(
            f"name {name!r}: small letters, digits and single hyphens are wanted, such as my-{kind}"
        )
    target = folder / f"wilk-{name}"
    if target.exists():
        raise Conflict(f"{target} is there already; choose another name, or another folder with --in")
    module = f"wilk_{name.replace('-', '_')}"
    words = {
        "NAME": name,
        "PLAIN": name.replace("-", "_"),
        "MODULE": module,
        "CLASS": "".join(part.capitalize() for part in name.split("-")),
        "DISTRIBUTION": f"wilk-{name}",
        "DEPENDENCIES": ", ".join(f'"{one}"' for one in _dependencies(kind)),
        "GUIDE": KINDS[kind][1],
        "USE": _USE[kind].replace("@NAME@", name),
        "SUMMARY": KINDS[kind][0].replace("@NAME@", name),
    }
    files = {
        target / _place(template, module, words["PLAIN"]): _filled(template.read_text("utf-8"), words)
        for part in ("common", kind)
        for template in sorted((_TEMPLATES / part).iterdir())
    }
    for file, text in files.items():
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text, encoding="utf-8")
    return sorted(files)


def _dependencies(kind: str) -> list[str]:
    from wilk import __version__

    major, minor = __version__.split(".")[:2]
    more = {"vectors": ["numpy>=1.26"], "backend": ["peewee>=4.5"]}.get(kind, [])
    return [f"wilk>={major}.{minor},<{major}.{int(minor) + 1}", *more]


def _place(template: Path, module: str, plain: str) -> Path:
    """Where a template's file goes in the package."""
    name = template.name.removesuffix(".txt")
    if name == "test.py":
        return Path("tests") / f"test_{plain}.py"
    if name == "init.py":
        return Path("src") / module / "__init__.py"
    if name.endswith(".py") or name == "py.typed":
        return Path("src") / module / name
    return Path(name)


def _filled(text: str, words: dict[str, str]) -> str:
    return re.sub(r"@([A-Z]+)@", lambda found: words[found[1]], text)
