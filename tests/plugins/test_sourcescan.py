"""What is said of a source without importing it is what an import shows, or nothing is said."""

from __future__ import annotations

import sys
from importlib import import_module
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import wilk
from wilk.sourcescan import OFFERS, Scan, offered_in, scan

pytestmark = pytest.mark.storeless

PLAIN = """
from wilk import Backend, hookimpl

@hookimpl
def register_backends():
    yield Backend("mine", None)
"""


@pytest.fixture
def said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Writes a module and scans it."""
    monkeypatch.syspath_prepend(str(tmp_path))

    def write_and_scan(source: str, value: str = "scanned") -> Scan | None:
        (tmp_path / "scanned.py").write_text(source)
        return scan(value)

    return write_and_scan


def test_a_plain_plugin_is_known_without_import(said) -> None:
    found = said(PLAIN)
    assert (found.hooks, found.offers) == (["register_backends"], {"register_backends": ["mine"]})
    assert "scanned" not in sys.modules


def test_the_file_is_named_so_that_its_edits_are_noticed(said, tmp_path: Path) -> None:
    assert said(PLAIN).file == tmp_path / "scanned.py"


@pytest.mark.parametrize("written", ["import wilk\n@wilk.hookimpl", "from wilk import hookimpl as h\n@h"])
def test_the_marker_may_be_written_in_another_way(written: str, said) -> None:
    assert said(f"{written}\ndef after_save(store): ...").hooks == ["after_save"]


def test_names_may_be_given_by_keyword(said) -> None:
    assert said(PLAIN.replace('"mine", None', 'open=None, scheme="mine"')).offers == {
        "register_backends": ["mine"]
    }


def test_several_offers_are_all_named(said) -> None:
    two = PLAIN.replace('yield Backend("mine", None)', 'return [Backend("a", None), Backend("b", None)]')
    assert said(two).offers == {"register_backends": ["a", "b"]}


@pytest.mark.parametrize(
    "computed",
    [
        "yield Backend(NAME, None)",
        'yield Backend(f"{1}", None)',
        "yield from others()",
        "return others()",
        "yield make()",
        "yield Backend(**options)",
        "yield Backend(*options)",
        'x = Backend("mine", None); yield x',
        "for name in names: yield Backend(name, None)",
    ],
)
def test_a_computed_name_is_unknown(computed: str, said) -> None:
    found = said(PLAIN.replace('yield Backend("mine", None)', computed))
    assert (found.hooks, found.offers) == (["register_backends"], None)


@pytest.mark.parametrize(
    "doubtful",
    [
        "from .others import *",
        "from others import after_save",
        "import others as after_save",
        "try:\n    from fast import after_save\nexcept ImportError:\n    pass",
        "if True:\n    @hookimpl\n    def after_save(store): ...",
        "after_save = hookimpl(make())",
        "def after_save(store): ...\nhookimpl(after_save)",
        "after_save = make()",
        "@hookimpl\n@cached\ndef after_save(store): ...",
        "@hookimpl(specname='after_save')\ndef after_delete(store): ...",
        "@hookimpl\ndef after_saved(store): ...",
        "@hookimpl\nasync def after_save(store): ...",
        "register_backends = None",
        "del register_backends",
        "for register_backends in (): pass",
        "def register_backends(): ...",
        "class register_backends: ...",
        "from elsewhere import hookimpl",
        "hookimpl = print",
        "Backend = print",
        "exec('x = 1')",
        "globals()['after_save'] = make()",
        "import sys\nsys.modules[__name__] = object()",
        "def __dir__(): return []",
        "def change():\n    global register_backends\n    register_backends = None",
        "def (",
    ],
)
def test_nothing_is_said_of_a_doubtful_source(doubtful: str, said) -> None:
    assert said(f"{PLAIN}\n{doubtful}\n") is None


@pytest.mark.parametrize(
    "harmless",
    [
        "import os, logging\nlog = logging.getLogger(__name__)",
        "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from wilk import Store",
        "class Recorder:\n    def after_save(self): ...",
        "def helper():\n    exec('x = 1')",
        "try:\n    import fast\nexcept ImportError:\n    fast = None",
        "NAMES = [name for name in dir()]",
    ],
)
def test_ordinary_code_beside_the_hooks_leaves_no_doubt(harmless: str, said) -> None:
    assert said(f"{PLAIN}\n{harmless}\n").hooks == ["register_backends"]


@pytest.mark.parametrize(
    ("source", "names"),
    [
        (PLAIN, ["mine"]),
        ("x = 1", []),
        (PLAIN.replace('"mine"', '"mi" + "ne"'), None),
        ("def register_backends(:", None),
        ("\0", None),
    ],
)
def test_what_one_hook_offers_is_read_off_a_source(source: str, names: list[str] | None) -> None:
    assert offered_in(source.encode(), "register_backends") == names


def test_an_object_in_a_module_is_unknown(said) -> None:
    assert said(PLAIN, "scanned:plugin") is None


def test_a_module_that_is_not_there_is_unknown() -> None:
    assert scan("no_such_package.no_such_module") is None


def test_a_module_without_hooks_is_unknown(said) -> None:
    assert said("x = 1") is None


def test_a_package_is_not_imported_to_find_what_is_in_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(str(tmp_path))
    (tmp_path / "scanned_package").mkdir()
    (tmp_path / "scanned_package" / "__init__.py").write_text("raise SystemExit")
    (tmp_path / "scanned_package" / "inner.py").write_text(PLAIN)
    assert scan("scanned_package.inner").hooks == ["register_backends"]


# -- the law ------------------------------------------------------------------------------

NAMES = st.sampled_from(["after_save", "after_delete", "register_backends", "register_commands", "helper"])
MARKERS = st.sampled_from(
    [
        *["@hookimpl", "@hookimpl(trylast=True)", "@wilk.hookimpl", "@impl", "@w.hookimpl"] * 8,
        "@mark",
        "@same",
        "@hookimpl\n@same",
        "",
    ]
)
OFFERING = [
    *["return []", "yield {}('a', *REST)", "yield wilk.{}('b', *REST)", "if NAME: yield {}('d', *REST)"] * 5,
    "return [{}('e', *REST), {}('f', *REST)]",
    "for _ in REST[:1]: yield {}('g', *REST)",
    "yield {}(NAME, *REST)",
    "yield from more({})",
    "return more({})",
]
KINDS = {"register_backends": "Backend", "register_commands": "Command"}
IMPORTS = """
import wilk
import wilk as w
from wilk import Backend, Command, hookimpl
from wilk import hookimpl as impl

NAME, REST = "computed", (None, None, None)

def same(function):
    return function

mark = same

def more(kind):
    yield kind("more", *REST)
"""


@st.composite
def functions(draw) -> str:
    name = draw(NAMES)
    body = draw(st.sampled_from(OFFERING)).replace("{}", KINDS[name]) if name in KINDS else "return"
    return f"{draw(MARKERS)}\ndef {name}():\n    {body}\n"


@st.composite
def statements(draw) -> str:
    text = draw(functions())
    name = draw(NAMES)
    indented = text.replace("\n", "\n    ")
    return draw(
        st.sampled_from(
            [
                *[text] * 40,
                f"if NAME:\n    {indented}",
                f"if not NAME:\n    {indented}",
                f"try:\n    {indented}\nfinally:\n    pass",
                f"class Holder:\n    {indented}",
                f"{name} = None",
                f"{name} = hookimpl(same)",
                f"globals().pop({name!r}, None)",
                f"if {name!r} in globals(): hookimpl(globals()[{name!r}])",
                f"from scanned_helper import {name}",
                "from scanned_helper import *",
                "hookimpl = same",
                "Backend = Command",
            ]
        )
    )


@settings(max_examples=400)
@given(parts=st.lists(statements(), min_size=1, max_size=4, unique=True), mark=st.integers(0, 9))
def test_what_is_said_is_what_an_import_shows(
    parts: list[str], mark: int, tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.mktemp("scan")
    imports = IMPORTS.replace("mark = same", "mark = hookimpl") if mark == 9 else IMPORTS
    (folder / "scanned.py").write_text("\n".join([imports, *parts]))
    helper = "".join(
        f"@wilk.hookimpl\ndef {name}(): return []\n" for name in ("after_save", "register_backends")
    )
    helper += "def after_delete(): ...\ndef register_commands(): ...\ndef helper(): ...\n"
    (folder / "scanned_helper.py").write_text("import wilk\n" + helper)
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(folder))
        for name in ("scanned", "scanned_helper"):
            patch.delitem(sys.modules, name, raising=False)
        said = scan("scanned")
        shown = imported()
        for name in ("scanned", "scanned_helper"):
            sys.modules.pop(name, None)
    if said is None or shown is None:
        return
    hooks, offers = shown
    assert said.hooks == hooks
    if said.offers is not None:
        assert said.offers.keys() == offers.keys()
        assert all(set(offers[hook]) <= set(said.offers[hook]) for hook in offers)


def imported() -> tuple[list[str], dict[str, list[str]]] | None:
    """The hooks and offers of the module, or None when it is no sound plugin."""
    host = wilk.Host(entry_points=False)
    try:
        host.register(import_module("scanned"), "scanned")
    except (wilk.PluginError, NameError, TypeError):
        return None
    hooks = sorted(host.plugins(load=False)[0].hooks)
    (info,) = host.plugins()
    if info.status == "quarantined":
        return None
    plural = {"register_backends": "backends", "register_commands": "commands"}
    offers = {
        hook: [offer.partition(".")[2] for offer in info.offers if offer.startswith(plural[hook])]
        for hook in hooks
        if hook in OFFERS
    }
    return hooks, offers
