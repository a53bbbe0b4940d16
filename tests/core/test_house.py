"""The house rules, read off the source: directions of imports, one seam, one encoder, one host."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from pathlib import Path

import pytest

import wilk

pytestmark = pytest.mark.storeless

PACKAGE = Path(wilk.__file__).parent
FILES = sorted(PACKAGE.rglob("*.py"))
NAMES = [str(file.relative_to(PACKAGE)) for file in FILES]


def imports(file: Path, *, for_types: bool = False) -> set[str]:
    """The modules that a file imports, wherever in it; those for type checkers only on request."""
    found: set[str] = set()

    def visit(node: ast.AST) -> None:
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING" and not for_types:
            for other in node.orelse:
                visit(other)
            return
        if isinstance(node, ast.Import):
            found.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{file} imports relatively"
            assert node.module
            found.add(node.module)
            found.update(f"{node.module}.{alias.name}" for alias in node.names)
        for child in ast.iter_child_nodes(node):
            visit(child)

    visit(ast.parse(file.read_text(encoding="utf-8")))
    return found


IMPORTS = {name: imports(file) for name, file in zip(NAMES, FILES, strict=True)}


def room(name: str) -> str:
    """The folder of a file below the package, or its own name at the top."""
    first = name.split("/")[0]
    return first.removesuffix(".py")


def importers(library: str) -> set[str]:
    return {
        name for name, modules in IMPORTS.items()
        if any(module == library or module.startswith(library + ".") for module in modules)
    }  # fmt: skip


def rooms_used(name: str) -> set[str]:
    return {module.split(".")[1] for module in IMPORTS[name] if module.startswith("wilk.")}


BOTTOM = {"amounts", "clock", "codec", "errors"}
# What a room may import of wilk, beyond itself. The CLI may use every room below it.
MAY_USE = {
    "clock": set(),
    "errors": set(),
    "amounts": {"errors"},
    "codec": {"errors"},
    "addressing": {"errors"},
    "files": {"errors"},
    "models": {"clock", "codec"},
    "records": {"clock", "codec", "definitions"},  # an agent's permissions are read off its definition
    "contracts": set(),
    "hookspecs": set(),
    "worker": set(),
    "vectors": {"codec", "contracts", "errors", "files", "hookspecs", "settings"},
    "caches": {"amounts", "archives", "clock", "codec", "contracts", "errors", "files", "hookspecs", "settings", "worker", "records"},
    "tools": {"contracts", "hookspecs"},
    "registries": {"codec", "contracts", "definitions", "errors", "files", "hookspecs", "settings"},
    "context": {"codec", "contracts", "errors", "hookspecs", "records"},
    "buses": {"codec", "contracts", "definitions", "errors", "records", "worker"},
    "connections": {"contracts", "errors"},
    "transactions": {"errors", "models"},
    "engine": BOTTOM | {"connections", "models", "contracts", "transactions"},
    "services": BOTTOM | {"models", "records", "engine", "events", "contracts", "definitions", "files",
                          "settings", "context", "worker", "archives", "vectors"},
    "backends": BOTTOM | {"contracts", "files", "hookspecs", "models", "settings", "archives", "records",
                          # files: what people edit is taken over by the rules of definition files, archived
                          # and indexed as by the verbs
                          "definitions", "services"},
    "archives": {"amounts", "contracts", "errors", "files", "hookspecs", "settings", "codec"},
    "adapters": BOTTOM | {"addressing", "aio", "host", "store", "services", "records", "settings"},
    "migrations": {"contracts", "engine", "errors"},
    "transfer": BOTTOM | {"models", "records", "engine", "contracts", "services", "definitions", "files",
                          "settings", "hookspecs", "care", "migrations"},
    "care": BOTTOM | {"models", "records", "engine", "contracts", "services", "definitions", "files",
                      "settings", "hookspecs", "transfer", "migrations", "archives", "amounts",
                      # recovery makes a database of its own, and opens it as a store
                      "host", "store",
                      # forgetting writes copies of SQLite databases anew as it does a store's own
                      "backends", "context"},
    "nouns": {"caches", "definitions", "services", "tokens"},
    "store": BOTTOM | {"addressing", "engine", "events", "host", "migrations", "nouns", "settings", "definitions", "records",
                       "contracts", "worker", "transfer", "buses", "care"},
    "aio": BOTTOM | {"caches", "store", "services", "records", "contracts", "transactions", "transfer", "care"},
}  # fmt: skip


@pytest.mark.parametrize("name", [name for name in NAMES if room(name) in MAY_USE])
def test_imports_go_down_only(name: str) -> None:
    strays = rooms_used(name) - MAY_USE[room(name)] - {room(name)}
    assert strays == set()


def test_nothing_below_the_command_line_imports_it() -> None:
    assert {
        name for name in NAMES if "cli" in rooms_used(name) and room(name) not in ("cli", "__main__")
    } == set()


def test_nothing_in_services_knows_a_backend() -> None:
    drivers = {"sqlite3", "psycopg", "playhouse"}
    for name in NAMES:
        if room(name) == "services":
            assert not {module.split(".")[0] for module in IMPORTS[name]} & drivers, name
            assert "backends" not in rooms_used(name), name


def test_only_the_host_and_the_markers_know_pluggy() -> None:
    assert importers("pluggy") == {"host.py", "hookspecs.py"}


def test_only_the_codec_knows_orjson() -> None:
    assert importers("orjson") == {"codec.py"}


def test_only_definitions_read_and_write_yaml() -> None:
    assert {room(name) for name in importers("yaml")} <= {"definitions"}


def test_only_definitions_know_where_definition_files_lie() -> None:
    places = re.compile(r"agent\.yaml|mcp-servers\.json|[\"'/](?:prompts|personas|presets)/\{?")
    strays = {
        f"{name}: {line.strip()}"
        for name, file in zip(NAMES, FILES, strict=True)
        if room(name) not in ("definitions", "cli")
        for line in _code_lines(file)
        if places.search(line)
    }
    assert strays == set()


def test_only_the_sqlite_backend_knows_its_driver() -> None:
    # caches/disk.py keeps a file of its own, which holds nothing that could not be computed again
    # testing/faults/points.py hears what SQLite is sent, to kill a process before it
    # transfer/reading reads databases of other programs, care those that are copies or damaged
    others = {name for name in NAMES if room(name) == "care" or name.startswith("transfer/reading/")}
    drivers = importers("sqlite3") - others - {"testing/faults/points.py"}
    assert drivers == {
        "backends/sqlite.py",
        "backends/sqlite_erasing.py",
        "backends/files/rebuilding.py",
        "caches/disk.py",
    }


def test_only_definitions_know_watchdog() -> None:
    assert {room(name) for name in importers("watchdog")} <= {"definitions"}


def test_only_the_seam_begins_and_ends_transactions() -> None:
    seam = re.compile(
        r"\.(?:commit|rollback|atomic|savepoint)\(|\b(?:database|db|connection)\.begin\(|\b(?:BEGIN|COMMIT|ROLLBACK|SAVEPOINT)\b"
    )
    strays = {
        f"{name}: {line.strip()}"
        for name, file in zip(NAMES, FILES, strict=True)
        if room(name) not in ("engine", "transactions", "backends", "contracts", "migrations")
        and name not in ("caches/disk.py", "caches/schema.py")  # a database of its own
        and name != "testing/faults/points.py"  # it only hears of them
        for line in _code_lines(file)
        if seam.search(line)
    }
    assert strays == set()


def test_nothing_uses_replace_into() -> None:
    for name, file in zip(NAMES, FILES, strict=True):
        code = "\n".join(_code_lines(file))
        assert not re.search(r"OR REPLACE|REPLACE INTO|on_conflict_replace|\.replace_many\(", code), name
        assert not re.search(r"Model\.replace\(", code), name


def test_only_the_archive_deletes_rows() -> None:
    deletes = re.compile(r"\.delete\(|\bDELETE FROM\b|delete_instance|delete_by_id")
    deleting = {
        name
        for name, file in zip(NAMES, FILES, strict=True)
        if room(name) not in ("testing", "caches") and deletes.search("\n".join(_code_lines(file)))
    } - {"aio/caches.py"}  # fmt: skip  # what lies in caches is derived, and no row of the store
    # A move takes copies away again whose originals are gone from the source since.
    # The backend of files deletes notes on files, and on a rebuild what waits for a file that is broken.
    deleting = {name for name in deleting if not name.startswith("backends/files/")}
    # Forgetting is the one exception: rows of a person go without being archived.
    forgetting = "care/forgetting/removing.py"
    assert deleting <= {"services/keeping/archiver.py", "transfer/moves/tables.py", forgetting}


def test_only_the_clock_tells_the_time_of_records() -> None:
    telling = re.compile(r"datetime\.now|utcnow|time\.time\(|time_ns|uuid[147]\(")
    strays = {
        name for name, file in zip(NAMES, FILES, strict=True)
        if room(name) in ("services", "models", "engine", "records", "events")
        and telling.search("\n".join(_code_lines(file)))
    }  # fmt: skip
    assert strays == set()


def _code_lines(file: Path) -> list[str]:
    """The lines of a file without its comments and docstrings."""
    source = file.read_text(encoding="utf-8")
    lines = source.splitlines()
    for node in ast.walk(ast.parse(source)):
        if (
            isinstance(node, ast.Expr)
            and isinstance(node.value, ast.Constant)
            and isinstance(node.value.value, str)
        ):
            lines[node.lineno - 1 : node.end_lineno] = [""] * (
                (node.end_lineno or node.lineno) - node.lineno + 1
            )
    return [re.sub(r"(?:^|\s)#.*", "", line) for line in lines]


class TestImportingWilk:
    def loaded(self, code: str) -> set[str]:
        script = f"import sys; {code}; print(*sys.modules)"
        return set(subprocess.check_output([sys.executable, "-c", script], text=True).split())

    @pytest.mark.parametrize(
        "library", ["peewee", "sqlite3", "watchdog", "numpy", "yaml", "pluggy", "orjson", "asyncio"]
    )
    def test_brings_no_library(self, library: str) -> None:
        assert library not in self.loaded("import wilk")

    @pytest.mark.parametrize(
        "library",
        ["watchdog", "numpy", "yaml", "asyncio", "cachetools", "wilk.caches", "playhouse.migrations"],
    )
    @pytest.mark.sqlite
    def test_and_opening_a_store_brings_only_what_is_needed(self, store: wilk.Store, library: str) -> None:
        assert library not in self.loaded("import wilk; wilk.open_store().close()")


class TestPublicNames:
    def test_all_resolve(self) -> None:
        assert {name for name in wilk.__all__ if getattr(wilk, name, None) is None} == set()

    def test_are_those_that_type_checkers_see(self) -> None:
        seen: set[str] = set()
        for node in ast.walk(ast.parse((PACKAGE / "__init__.py").read_text())):
            if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING":
                for inner in node.body:
                    assert isinstance(inner, ast.ImportFrom)
                    for alias in inner.names:
                        assert alias.asname == alias.name, "a name is re-exported under itself"
                        assert getattr(wilk, alias.name) is getattr(
                            sys.modules[str(inner.module)], alias.name
                        )
                        seen.add(alias.name)
        assert sorted(seen) == sorted(wilk.__all__)

    def test_an_unknown_one_is_an_attribute_error(self) -> None:
        with pytest.raises(AttributeError, match="has no attribute 'nothing'"):
            _ = wilk.nothing

    def test_are_listed_by_dir(self) -> None:
        assert set(wilk.__all__) <= set(dir(wilk))

    def test_hold_the_whole_error_tree(self) -> None:
        from wilk import errors

        tree = {
            name
            for name, value in vars(errors).items()
            if isinstance(value, type) and issubclass(value, Exception)
        }
        assert tree <= set(wilk.__all__)
        drawn = re.findall(r"[├└]── (\w+)|^    (WilkError)$", errors.__doc__ or "", re.M)
        assert {first or second for first, second in drawn} == tree


@pytest.mark.parametrize("name", NAMES)
def test_a_module_opens_by_saying_what_it_is(name: str) -> None:
    said = ast.get_docstring(ast.parse((PACKAGE / name).read_text(encoding="utf-8")))
    assert said
    assert len(said.splitlines()[0]) > 10


@pytest.mark.parametrize("name", NAMES)
def test_a_module_holds_one_idea_in_at_most_600_lines(name: str) -> None:
    assert len((PACKAGE / name).read_text(encoding="utf-8").splitlines()) <= 600
