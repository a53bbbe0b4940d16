"""A broken plugin, of whatever sort, is set aside with its cause; the host and its store live on."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

import wilk

from .distributions import Site

HOOK = "from wilk import hookimpl\n@hookimpl\n"

BROKEN = {
    "importerror": ("from wilk import NoSuchThing", "ImportError: cannot import name 'NoSuchThing'"),
    "attribute": ("import wilk\nwilk.NoSuchThing", "AttributeError: module 'wilk' has no attribute"),
    "syntax": ("def (", "SyntaxError: invalid syntax"),
    "dependency": ("import no_such_driver", "ModuleNotFoundError: No module named 'no_such_driver'"),
    "exits": ("import sys\nsys.exit(3)", "SystemExit: 3"),
    "misspelled": (f"{HOOK}def register_backend(): ...", "did you mean 'register_backends'?"),
    "signature": (f"{HOOK}def after_save(store, session): ...", "Argument(s) {'session'} are declared"),
    "wrongtype": (f"{HOOK}def register_commands():\n    yield 'mine'", "yields str, not wilk.Command"),
    "noyield": (f"{HOOK}def register_backends():\n    return 5", "TypeError: 'int' object is not iterable"),
    "nameless": (
        f"{HOOK}def register_tokenizers():\n    from wilk import Tokenizer\n    yield Tokenizer(None, len)",
        "yields a Tokenizer without a name",
    ),
    "raises": (f"{HOOK}def register_models():\n    raise RuntimeError('no luck')", "RuntimeError: no luck"),
    "quits": (f"{HOOK}def register_models():\n    raise SystemExit('bye')", "SystemExit: bye"),
    "newer": (f"wilk_api = (2, 0)\n{HOOK}def after_save(): ...", "plugin interface 2.0, this wilk has 1.0"),
    "laterminor": (
        f"wilk_api = (1, 99)\n{HOOK}def after_save(): ...",
        "plugin interface 1.99, this wilk has",
    ),
    "oddversion": (
        f"wilk_api = '1.0'\n{HOOK}def after_save(): ...",
        "wilk_api is '1.0'; write a major and a minor",
    ),
    "nohooks": ("x = 1", "it has no @hookimpl function"),
    "asynchronous": (f"{HOOK}async def after_save(): ...", "after_save is async"),
    "wrapper": (
        "from wilk import hookimpl\n@hookimpl(wrapper=True)\ndef after_save():\n    yield",
        "after_save is a hook wrapper",
    ),
}


@pytest.fixture(scope="module")
def broken(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What a process shows that works with all of them installed at once."""
    folder = tmp_path_factory.mktemp("broken")
    site = Site(folder / "site", folder)
    for name, (source, _) in BROKEN.items():
        site.add(name, source)
    site.add("noobject", HOOK + "def after_save(): ...", value="wilk_noobject:nothing")
    home = {"WILK_HOME": str(folder / "home"), "XDG_CACHE_HOME": str(folder / "cache")}
    shown = site.python(
        """
import io, logging, wilk
log = io.StringIO()
logging.basicConfig(stream=log, format="%(message)s")
with wilk.open_store() as store:
    session = store.sessions.create(name="alive")
    store.messages.append(session.id, "user", "hello")
    store.agents.save("coder", {"name": "Coder"})
    texts = [message.text for message in store.messages.last(session.id)]
    plugins = [plugin._asdict() for plugin in store.host.plugins()]
tell({"texts": texts, "plugins": plugins, "log": log.getvalue()})
""",
        **home,
    )
    command = site.wilk("plugins", "--json", **home)
    listing = site.wilk("plugins", **home)
    return {**shown, "command": command, "listing": listing.stdout}


@pytest.mark.parametrize(("name", "cause"), [(name, cause) for name, (_, cause) in BROKEN.items()])
def test_a_broken_plugin_is_quarantined_with_its_cause(name: str, cause: str, broken: dict[str, Any]) -> None:
    plugin = next(plugin for plugin in broken["plugins"] if plugin["name"] == name)
    assert plugin["status"] == "quarantined"
    assert cause in plugin["error"]


def test_an_entry_point_that_names_nothing_is_quarantined(broken: dict[str, Any]) -> None:
    plugin = next(plugin for plugin in broken["plugins"] if plugin["name"] == "noobject")
    assert "has no attribute 'nothing'" in plugin["error"]


def test_the_store_works_beside_all_of_them(broken: dict[str, Any]) -> None:
    assert broken["texts"] == ["hello"]


def test_wilks_own_plugins_are_loaded_beside_all_of_them(broken: dict[str, Any]) -> None:
    own = [plugin for plugin in broken["plugins"] if plugin["distribution"] == "wilk"]
    assert {plugin["status"] for plugin in own} == {"loaded"}


@pytest.mark.parametrize("name", BROKEN)
def test_the_log_tells_of_each_once_with_its_distribution(name: str, broken: dict[str, Any]) -> None:
    assert broken["log"].count(f"plugin {name} (wilk-{name} 1.0) is quarantined: ") == 1


@pytest.mark.parametrize(("name", "cause"), [(name, cause) for name, (_, cause) in BROKEN.items()])
def test_the_command_line_lists_the_cause(name: str, cause: str, broken: dict[str, Any]) -> None:
    found = {plugin["name"]: plugin for plugin in json.loads(broken["command"].stdout)}
    assert cause in found[name]["error"]


def test_the_command_line_shows_causes_to_people_as_well(broken: dict[str, Any]) -> None:
    assert "syntax is quarantined: SyntaxError: invalid syntax" in broken["listing"]


def test_listing_broken_plugins_is_no_failure(broken: dict[str, Any]) -> None:
    assert (broken["command"].returncode, broken["command"].stderr) == (0, "")


# -- asking for what a quarantined or disabled plugin would have provided -------------------


@pytest.mark.parametrize(
    "source",
    [
        # its source says that it is the one; only its import fails
        "import no_such_driver\nfrom wilk import Backend, hookimpl\n"
        "@hookimpl\ndef register_backends():\n    yield Backend('mongo', None)",
        # its source says nothing
        "def (",
    ],
    ids=["known", "unknown"],
)
def test_a_missing_backend_names_the_quarantined_plugin(source: str, site: Site) -> None:
    site.add("documents", source)
    done = site.wilk("--url", "mongo://host/x", "sessions", "list")
    assert done.returncode == 1
    assert "no plugin offers the backend 'mongo'" in done.stderr
    assert "Plugin documents (wilk-documents 1.0) is quarantined" in done.stderr
    assert "Mend or upgrade it" in done.stderr


def test_a_missing_backend_names_the_disabled_plugin(site: Site) -> None:
    site.add("documents", "from wilk import Backend, hookimpl\n@hookimpl\ndef register_backends():\n"
                          "    yield Backend('mongo', None)")  # fmt: skip
    done = site.wilk("--url", "mongo://host/x", "sessions", "list", WILK_DISABLED_PLUGINS="documents")
    assert "Plugin documents (wilk-documents 1.0) is disabled" in done.stderr
    assert "take it out of the setting disabled_plugins" in done.stderr


def test_a_missing_backend_does_not_accuse_those_that_are_not_to_blame(site: Site) -> None:
    site.add("loud", "import no_such_driver\nfrom wilk import hookimpl\n@hookimpl\ndef after_save(): ...")
    assert "loud" not in site.wilk("--url", "mongo://host/x", "sessions", "list").stderr


def test_a_missing_command_names_the_quarantined_plugin(site: Site) -> None:
    site.add("shout", "import no_such_driver\nfrom wilk import Command, hookimpl\n"
                      "@hookimpl\ndef register_commands():\n    yield Command('shout', '', None, None)")  # fmt: skip
    done = site.wilk("shout")
    assert "Plugin shout (wilk-shout 1.0) is quarantined: ModuleNotFoundError" in done.stderr


def test_a_disabled_plugin_is_never_imported(site: Site) -> None:
    site.add(
        "marker", "from pathlib import Path\nPath('imported').touch()\n" + HOOK + "def store_opened(): ..."
    )
    environment = {"WILK_DISABLED_PLUGINS": "wilk-marker"}
    found = json.loads(site.wilk("plugins", "--json", **environment).stdout)
    assert [plugin["status"] for plugin in found if plugin["name"] == "marker"] == ["disabled"]
    assert not Path(site.folder.parent / "imported").exists()


# -- slow -----------------------------------------------------------------------------------


@pytest.mark.sqlite  # where only a test's plugins are installed
def test_a_slow_plugin_is_not_waited_for_unless_it_is_needed(site: Site) -> None:
    module = site.add("slow", f"import time\ntime.sleep(1.1)\n{HOOK}def after_delete(): ...")
    code = f"import sys, wilk\nwilk.open_store().sessions.create()\ntell('{module}' in sys.modules)"
    assert site.python(code) is False


def test_a_slow_plugin_is_listed_with_its_time(site: Site) -> None:
    site.add("slow", f"import time\ntime.sleep(1.1)\n{HOOK}def after_delete(): ...")
    found = {plugin["name"]: plugin for plugin in json.loads(site.wilk("plugins", "--json").stdout)}
    assert found["slow"]["seconds"] >= 1.1 > found["sqlite"]["seconds"]


@pytest.mark.sqlite  # where only a test's plugins are installed
def test_a_slow_import_is_warned_of(site: Site) -> None:
    site.add("slow", f"import time\ntime.sleep(1.1)\n{HOOK}def store_opened(): ...")
    assert "plugin slow (wilk-slow 1.0) took 1." in site.wilk("sessions", "list").stderr


def test_where_nobody_offers_anything_the_error_says_that_none_is_installed() -> None:
    with pytest.raises(wilk.PluginError, match="no plugin offers the embedder 'local'; none is installed"):
        wilk.Host(entry_points=False).embedder("local")
