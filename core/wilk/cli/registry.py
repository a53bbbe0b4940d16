"""``wilk registry``: packages of agents, and what was installed from them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from wilk.amounts import written_size
from wilk.cli import kept
from wilk.cli.output import Styled, moment
from wilk.cli.parsing import UsageError, Verb, completed, count

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from wilk.cli.context import Context
    from wilk.cli.parsing import Parser
    from wilk.records.registry import Package, Update


def commands() -> dict[str, Verb]:
    """The verbs."""
    return {
        "search": Verb(_search, "find packages of agents", _search_arguments),
        "show": Verb(_show, "show a package", _name_argument),
        "install": Verb(_install, "install a package as an agent", _install_arguments),
        "installed": Verb(_installed, "list what was installed, and what was edited since"),
        "update": Verb(_update, "bring installed agents to newer versions", _update_arguments),
        "remove": Verb(_remove, "remove an installed agent", _remove_arguments),
        "sources": Verb(_sources, "list the sources that packages come from"),
        "refresh": Verb(_refresh, "ask the sources what they offer", _refresh_arguments),
        "pack": Verb(_pack, "pack an agent, for others to install", _pack_arguments),
    }


def _search_arguments(parser: Parser) -> None:
    parser.add_argument("text", metavar="TEXT", nargs="*", help="words that the packages hold")
    parser.add_argument("--category", help="packages of one category")
    parser.add_argument(
        "--tag",
        action="append",
        default=[],
        metavar="TAG",
        help="packages with a tag; more than once for all",
    )
    parser.add_argument("--source", help="packages of one source")
    parser.add_argument("--sort", default="downloads", help="downloads, rating, name or updated (downloads)")
    parser.add_argument("--limit", type=count, default=50, metavar="N", help="at most N (50)")


def _name_argument(parser: Parser) -> None:
    parser.add_argument("name", metavar="NAME", help="its name, or SOURCE/NAME")


def _install_arguments(parser: Parser) -> None:
    _name_argument(parser)
    parser.add_argument("--id", help="the id that the agent is to have (the package's name)")
    parser.add_argument("--version", metavar="VERSION", help="a version other than the newest")


def _update_arguments(parser: Parser) -> None:
    action = parser.add_argument("id", metavar="ID", nargs="?", help="one agent (all that were installed)")
    completed(action, "agents")
    parser.add_argument(
        "--version", metavar="VERSION", help="a version other than the newest, also an older one"
    )
    parser.add_argument(
        "--keep",
        metavar="SIDE",
        help="where both changed something: local leaves it, package takes the other and saves yours",
    )


def _remove_arguments(parser: Parser) -> None:
    completed(parser.add_argument("id", metavar="ID", help="its id"), "agents")
    parser.add_argument(
        "--force",
        action="store_true",
        help="also when it was edited here; edited files stay, the definition as a copy",
    )
    kept.remove_arguments(parser)


def _refresh_arguments(parser: Parser) -> None:
    parser.add_argument("source", metavar="SOURCE", nargs="?", help="one source (all)")


def _pack_arguments(parser: Parser) -> None:
    completed(parser.add_argument("id", metavar="ID", help="the agent's id"), "agents")
    parser.add_argument("--to", default=".", metavar="DIR", help="the folder for the package (this one)")


def _search(context: Context) -> None:
    arguments, out = context.arguments, context.out
    found = context.store.registry.search(
        " ".join(arguments.text) or None,
        category=arguments.category,
        tags=arguments.tag,
        source=arguments.source,
        sort=arguments.sort,
        limit=arguments.limit,
    )
    if out.json:
        out.document(found)
    elif not found:
        some = context.settings.registries
        out.note("no package is like that" if some else "no sources; the setting registries names them")
    else:
        rows = [
            [
                Styled(one.name, "cyan"), one.version, one.category or "", str(one.downloads),
                f"{one.rating:.1f}", one.source, one.description or "",
            ]
            for one in found
        ]  # fmt: skip
        headings = ["NAME", "VERSION", "CATEGORY", "DOWNLOADS", "RATING", "SOURCE", "DESCRIPTION"]
        out.table(headings, rows, right=[3, 4], whole=[0])


def _show(context: Context) -> None:
    out = context.out
    package = context.store.registry.get(context.arguments.name)
    if out.json:
        out.document({**package._asdict(), "versions": package.versions})
        return
    out.fields(_fields_of(package))


def _fields_of(package: Package) -> Iterable[tuple[str, object]]:
    for name in ("name", "source", "version", "description", "category", "tags", "author", "downloads"):
        yield name, getattr(package, name)
    yield "rating", f"{package.rating:.1f}"
    yield "size", None if package.size is None else written_size(package.size)
    yield "checksum", package.checksum
    yield "location", package.location
    yield "versions", package.versions if len(package.versions) > 1 else None
    for name, value in package.metadata.items():
        if name != "versions" and isinstance(value, (str, int, float, list)):
            yield name, value
    yield "seen", package.cached_at


def _install(context: Context) -> None:
    arguments = context.arguments
    installed = context.store.registry.install(arguments.name, id=arguments.id, version=arguments.version)
    told = f"installed {installed.source}/{installed.package} {installed.version} as agent {installed.id}"
    context.out.result(installed, told, id=installed.id)
    _tell_of_code(context, installed.id, installed.code)


def _tell_of_code(context: Context, id: str, code: list[str]) -> None:
    tools = [path for path in code if path.startswith("tools/")]
    if tools and context.settings.custom_tools:
        context.out.note(f"agent {id} brings Python files that run as tools: {', '.join(tools)}; read them")
    elif tools:
        context.out.note(
            f"agent {id} brings Python files ({', '.join(tools)}), which run only if custom_tools is set"
        )


def _installed(context: Context) -> None:
    out = context.out
    found = context.store.registry.installed()
    if out.json:
        out.document(found)
    elif not found:
        out.note("nothing was installed; `wilk registry install NAME` installs a package")
    else:
        rows = [
            [
                Styled(one.id, "cyan"), f"{one.source}/{one.package}", one.version, one.available or "gone",
                ", ".join(one.edited), ", ".join(one.missing), moment(one.updated_at),
            ]
            for one in found
        ]  # fmt: skip
        out.table(["ID", "PACKAGE", "VERSION", "AVAILABLE", "EDITED", "MISSING", "SINCE"], rows, whole=[0])


def _update(context: Context) -> int:
    arguments, out = context.arguments, context.out
    if arguments.version is not None and arguments.id is None:
        raise UsageError("--version goes with the id of one agent")
    updates = context.store.registry.update(arguments.id, version=arguments.version, keep=arguments.keep)
    if out.json:
        out.document(updates)
    else:
        for one in updates:
            _tell_of_update(context, one)
        if not updates:
            out.note("nothing was installed")
    return 1 if any(one.error for one in updates) else 0


def _tell_of_update(context: Context, one: Update) -> None:
    out = context.out
    if one.error is not None:
        out.line(Styled(f"{one.id}:", "red"), "not updated")
        out.lines(one.error, indent="  ")
    elif not one.changed:
        out.note(f"{one.id}: nothing newer than {one.version}")
    else:
        moved = one.version if one.before == one.version else f"{one.before} → {one.version}"
        out.note(Styled(f"{one.id}:", "cyan"), moved)
        _tell_of_files(context, one.files, one.saved)
        _tell_of_code(
            context, one.id, [path for path in one.code if one.files.get(path) in ("added", "replaced")]
        )


def _tell_of_files(context: Context, files: Mapping[str, str], saved: Mapping[str, str]) -> None:
    for path, word in files.items():
        where = f"; yours is {saved[path]}" if path in saved else ""
        context.out.note(f"  {word} {path}{where}")


def _remove(context: Context) -> int:
    registry, arguments, out = context.store.registry, context.arguments, context.out
    found = next((one for one in registry.installed() if one.id == arguments.id), None)
    # What is not listed may be what a killed process has begun to install; the verb knows.
    if found is not None:
        what = f"{found.id} ({found.source}/{found.package} {found.version})"
        if not context.confirmed(f"Remove agent {what}?"):
            out.note("nothing was changed")
            return 1
    removed = registry.remove(arguments.id, reason=arguments.reason, force=arguments.force)
    out.result(removed, f"removed agent {removed.id}", id=removed.id)
    return 0


def _sources(context: Context) -> None:
    out = context.out
    found = context.store.registry.sources()
    if out.json:
        out.document(found)
    elif not found:
        out.note("no sources; the setting registries names them")
    else:
        rows = [
            [
                Styled(one.name, "cyan"), one.address, str(one.packages),
                moment(one.cached_at) if one.cached_at else "never",
            ]
            for one in found
        ]  # fmt: skip
        out.table(["SOURCE", "ADDRESS", "PACKAGES", "ASKED"], rows, right=[2], whole=[0])


def _refresh(context: Context) -> int:
    out = context.out
    done = context.store.registry.refresh(context.arguments.source, force=True)
    if out.json:
        out.document(done)
    elif not done:
        out.note("no sources; the setting registries names them")
    else:
        for one in done:
            if one.error is not None:
                out.line(Styled(f"{one.source}:", "red"), one.error)
                continue
            out.note(
                Styled(f"{one.source}:", "cyan"), f"{one.packages} package{'s' if one.packages != 1 else ''}"
            )
            for reason in one.left_out:
                out.note(f"  left out {reason}")
    return 1 if any(one.error for one in done) else 0


def _pack(context: Context) -> None:
    file = context.store.registry.pack(context.arguments.id, context.arguments.to)
    context.out.result({"file": str(file)}, f"packed {file}", id=str(file))
