"""Who is installed is known without importing anyone, and a change of who is installed is noticed."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path
from typing import Any

import pytest

from .distributions import BACKEND, LISTENER, Site

pytestmark = pytest.mark.sqlite  # the host alone: what is installed in these tests is no backend of theirs

KINDS = {
    "backend": BACKEND.format(scheme="fake{n}"),
    "command": """
from wilk import Command, hookimpl

@hookimpl
def register_commands():
    yield Command("fake{n}", "a test's", lambda parser: None, lambda arguments, store: 0)
""",
    "tokenizer": """
from wilk import Tokenizer, hookimpl

@hookimpl
def register_tokenizers():
    yield Tokenizer("fake{n}", lambda text, model: 1)
""",
    "kind": """
from wilk import DefinitionKind, hookimpl

@hookimpl
def register_definition_kinds():
    yield DefinitionKind("fake{n}", "fake{n}/{{id}}.yaml", None)
""",
    "before_save": LISTENER.format(hook="before_save"),
    "after_save": LISTENER.format(hook="after_save"),
    "after_delete": LISTENER.format(hook="after_delete"),
    "definition_synced": LISTENER.format(hook="definition_synced"),
    "definition_failed": LISTENER.format(hook="definition_failed"),
    "store_closing": LISTENER.format(hook="store_closing"),
}

FAKES = """
import sys
def fakes(): return sorted(name.removeprefix("wilk_fake_") for name in sys.modules if name.startswith("wilk_fake_"))
import wilk
"""

INDEXED = """
import sys, wilk
with wilk.open_store() as store:
    store.sessions.list()
tell("importlib.metadata" in sys.modules)
"""


@pytest.fixture
def crowd(site: Site) -> Site:
    """Fifty plugins, five of each kind."""
    for kind, source in KINDS.items():
        for n in range(5):
            site.add(f"fake_{kind}_{n}", source.format(n=n) if "{n}" in source else source)
    return site


def of(kind: str) -> list[str]:
    return [f"{kind}_{n}" for n in range(5)]


# -- nothing is imported that is not needed -------------------------------------------------


def test_the_host_imports_no_plugin(crowd: Site) -> None:
    assert crowd.python(f"{FAKES}\nwilk.Host()\ntell(fakes())") == []


def test_opening_and_reading_imports_no_plugin(crowd: Site) -> None:
    code = f"{FAKES}\nstore = wilk.open_store()\nstore.sessions.list()\nstore.messages.search('x')\ntell(fakes())"
    assert crowd.python(code) == []


def test_an_event_imports_its_listeners_and_no_other(crowd: Site) -> None:
    code = f"{FAKES}\nstore = wilk.open_store()\nstore.sessions.create()\ntell(fakes())"
    assert crowd.python(code) == sorted(of("after_save") + of("before_save"))


def test_closing_imports_those_that_listen_to_it(crowd: Site) -> None:
    assert crowd.python(f"{FAKES}\nwilk.open_store().close()\ntell(fakes())") == of("store_closing")


def test_a_backend_is_imported_alone(crowd: Site) -> None:
    assert crowd.python(f"{FAKES}\nwilk.open_store('fake3://x')\ntell(fakes())") == ["backend_3"]


def test_a_command_is_imported_without_those_that_offer_none(crowd: Site) -> None:
    assert crowd.python(f"{FAKES}\nwilk.Host().command('fake2')\ntell(fakes())") == ["command_2"]


def test_counting_tokens_imports_tokenizers_alone(crowd: Site) -> None:
    code = f"{FAKES}\nstore = wilk.open_store()\nstore.count_tokens('x')\ntell(fakes())"
    assert crowd.python(code) == of("tokenizer")


def test_definitions_import_their_kinds_alone(crowd: Site) -> None:
    code = f"{FAKES}\nwilk.Host().definition_kinds()\ntell(fakes())"
    assert crowd.python(code) == of("kind")


def test_opening_imports_those_that_listen_to_it(site: Site) -> None:
    site.add("fake_opened", LISTENER.format(hook="store_opened"))
    assert site.python(f"{FAKES}\nwilk.open_store()\ntell(fakes())") == ["opened"]


def test_listing_the_plugins_imports_all_of_them(crowd: Site) -> None:
    found = json.loads(crowd.wilk("plugins", "--json").stdout)
    assert sum(plugin["status"] == "loaded" and "fake" in plugin["name"] for plugin in found) == 50


def test_what_a_doubtful_source_hides_is_learned_by_one_import(site: Site) -> None:
    site.add(
        "fake_doubt",
        {"__init__.py": "from .inner import *", "inner.py": LISTENER.format(hook="after_delete")},
    )
    code = f"{FAKES}\nwilk.open_store()\ntell(fakes())"
    assert [site.python(code), site.python(code)] == [["doubt", "doubt.inner"], []]


def test_a_plugin_may_be_an_object(site: Site) -> None:
    source = """
        from wilk import hookimpl
        class Listener:
            @hookimpl
            def after_save(self, store):
                store.settings.home.joinpath("heard").touch()
        class holder:
            plugin = Listener()
    """
    site.add("object", source, value="wilk_object:holder.plugin")
    site.wilk("sessions", "new")
    assert (site.folder.parent / "home" / "heard").exists()


# -- the index ------------------------------------------------------------------------------


def test_the_second_start_reads_the_index_and_no_metadata(crowd: Site) -> None:
    assert [crowd.python(INDEXED), crowd.python(INDEXED)] == [True, False]


def test_a_file_beside_the_program_does_not_make_the_index_stale(site: Site) -> None:
    site.python(INDEXED)
    (site.folder / "notes.txt").touch()
    assert site.python(INDEXED) is False


def names(site: Site) -> dict[str, str]:
    code = "import wilk; tell({plugin.name: plugin.version for plugin in wilk.Host().plugins(load=False)})"
    found: dict[str, str] = site.python(code)
    time.sleep(0.02)  # two changes of a folder within one tick of the file system's clock look like one
    return found


def test_an_installed_distribution_is_noticed(site: Site) -> None:
    before = names(site)
    site.add("late", LISTENER.format(hook="after_save"))
    assert names(site).keys() - before.keys() == {"late"}


def test_an_upgraded_distribution_is_noticed(site: Site) -> None:
    site.add("late", LISTENER.format(hook="after_save"))
    assert names(site)["late"] == "1.0"
    site.remove("late")
    site.add("late", LISTENER.format(hook="after_save"), version="1.1")
    assert names(site)["late"] == "1.1"


def test_a_removed_distribution_is_noticed(site: Site) -> None:
    site.add("late", LISTENER.format(hook="after_save"))
    assert "late" in names(site)
    site.remove("late")
    assert "late" not in names(site)


def test_a_distribution_installed_again_with_other_entry_points_is_noticed(site: Site) -> None:
    site.add("late", LISTENER.format(hook="after_save"))
    assert "late" in names(site)
    metadata = site.folder / "wilk_late-1.0.dist-info"
    points = metadata / "entry_points.txt"
    points.unlink()  # an installer removes the old file and writes a new one
    points.write_text("[wilk]\nrenamed = wilk_late\n")
    os.utime(site.folder)
    assert names(site).keys() >= {"renamed"}


def test_an_edited_source_is_noticed(site: Site) -> None:
    module = site.add("edited", BACKEND.format(scheme="first"))
    opening = "import wilk; wilk.open_store('{}://x'); tell(True)"
    assert site.python(opening.format("first"))
    (site.folder / f"{module}.py").write_text(BACKEND.format(scheme="the_second"))
    assert site.python(opening.format("the_second"))
    with pytest.raises(AssertionError, match="no plugin offers the backend 'first'"):
        site.python(opening.format("first"))


def test_a_hook_added_to_a_source_is_heard(site: Site) -> None:
    module = site.add("edited", LISTENER.format(hook="after_delete"))
    code = f"import sys, wilk\nwilk.open_store().sessions.create()\ntell('{module}' in sys.modules)"
    assert site.python(code) is False
    (site.folder / f"{module}.py").write_text(LISTENER.format(hook="after_save"))
    assert site.python(code) is True


def test_a_hook_added_to_a_module_of_the_package_is_heard(site: Site) -> None:
    inner = LISTENER.format(hook="after_delete")
    module = site.add("edited", {"__init__.py": "from .inner import *", "inner.py": inner})
    code = f"import sys, wilk\nwilk.open_store().sessions.create()\ntell('{module}' in sys.modules)"
    site.python(code)
    assert site.python(code) is False
    (site.folder / module / "inner.py").write_text(inner + LISTENER.format(hook="after_save"))
    assert site.python(code) is True


DAMAGED: list[Any] = [
    "",
    "{",
    "[]",
    "{}",
    '{"format": 1}',
    '{"format": 1, "state": [], "entries": [{}]}',
    "null",
    "\0",
]


@pytest.mark.parametrize("content", DAMAGED, ids=ascii)
def test_a_damaged_index_is_made_anew(content: str, site: Site) -> None:
    site.python(INDEXED)
    (file,) = (site.folder.parent / "cache" / "wilk").glob("plugins-*.json")
    file.write_text(content)
    assert [site.python(INDEXED), site.python(INDEXED)] == [True, False]


@pytest.mark.parametrize("damage", ["state", "entries"])
def test_an_index_damaged_within_is_made_anew(damage: str, site: Site) -> None:
    site.python(INDEXED)
    (file,) = (site.folder.parent / "cache" / "wilk").glob("plugins-*.json")
    file.write_text(json.dumps({**json.loads(file.read_text()), damage: [["x"]]}))
    assert site.python(INDEXED) is True


def test_a_cache_folder_that_cannot_be_written_is_done_without(site: Site, tmp_path: Path) -> None:
    (tmp_path / "occupied").write_text("a file where the folder should be")
    found = [site.python(INDEXED, XDG_CACHE_HOME=str(tmp_path / "occupied")) for _ in range(2)]
    assert found == [True, True]


def test_two_environments_do_not_share_an_index(site: Site, tmp_path: Path) -> None:
    site.python(INDEXED)
    other = Site(tmp_path / "other", tmp_path)
    assert other.python(INDEXED) is True
    assert len(list((tmp_path / "cache" / "wilk").glob("plugins-*.json"))) == 2


def test_the_index_is_private(site: Site, tmp_path: Path) -> None:
    site.python(INDEXED)
    assert (tmp_path / "cache" / "wilk").stat().st_mode & 0o077 == 0
