"""Several saves, syncs and files at once: rows and files end the same, all of them or none."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import wilk
from wilk import Conflict, Invalid, hookimpl
from wilk.definitions import writer
from wilk.host import Host

Put = Callable[[str, str], Path]


@pytest.fixture
def other(store: wilk.Store, home: Path) -> Iterator[wilk.Store]:
    """Another process, as far as the folder and the database can tell."""
    with wilk.open_store(home=home) as opened:
        yield opened


def templates(store: wilk.Store, id: str = "p") -> list[str]:
    return [revision.definition["template"] for revision in store.prompts.history(id)]


def before(monkeypatch: pytest.MonkeyPatch, name: str, first: Callable[[Path], object]) -> None:
    """Let something happen just before ``writer`` touches a file."""
    original = getattr(writer, name)

    def wrapped(file: Path, *rest: Any) -> None:
        first(file)
        original(file, *rest)

    monkeypatch.setattr(writer, name, wrapped)


def no_room_for(name: str) -> Callable[[Path], None]:
    def refuse(file: Path) -> None:
        if file.name == name:
            raise Invalid("No space left")

    return refuse


# -- a sync between the commit and the file -------------------------------------------------


def test_a_sync_before_the_file_is_written_does_not_undo_the_save(
    store: wilk.Store, other: wilk.Store, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store.prompts.save("p", {"template": "one"})
    before(monkeypatch, "write", lambda _: other.sync())
    with store.transaction():
        store.prompts.save("p", {"template": "two"})
        store.prompts.save("new", {"template": "x"})
    assert (home / "prompts/p.yaml").read_text() == "template: two\n"
    assert store.prompts.get("p").definition["template"] == "two"
    assert store.prompts.get("new").definition["template"] == "x"
    assert store.sync().changes == ()


def test_a_sync_before_the_file_is_removed_does_not_undo_the_removal(
    store: wilk.Store, other: wilk.Store, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store.prompts.save("p", {"template": "one"})
    before(monkeypatch, "remove", lambda _: other.sync())
    with store.transaction():
        store.prompts.remove("p")
    assert not (home / "prompts/p.yaml").exists()
    assert store.prompts.find("p") is None
    assert store.sync().changes == ()


def test_a_late_file_that_no_sync_came_before_makes_one_revision(store: wilk.Store) -> None:
    store.prompts.save("p", {"template": "one"})
    with store.transaction():
        store.prompts.save("p", {"template": "two"})
    assert templates(store) == ["one", "two"]


def test_a_plugin_that_hears_of_a_save_finds_its_file_written(home: Path) -> None:
    found = []

    class Reader:
        @hookimpl
        def after_save(self, store: wilk.Store, kind: str) -> None:
            if kind == "prompt":
                store.sync()
                found.append((home / "prompts/p.yaml").read_text())

    with wilk.open_store(home=home, host=Host(Reader())) as store:
        store.prompts.save("p", {"template": "one"})
        with store.transaction():
            store.prompts.save("p", {"template": "two"})
        assert found == ["template: one\n", "template: two\n"]
        assert templates(store) == ["one", "two"]


def test_a_plugin_may_sync_and_save_while_files_wait(home: Path) -> None:
    class Meddler:
        on = False

        @hookimpl
        def after_save(self, store: wilk.Store, kind: str) -> None:
            if kind == "user" and self.on:
                self.on = False
                store.sync()
                store.prompts.save("p", {"template": "three"})

    meddler = Meddler()
    with wilk.open_store(home=home, host=Host(meddler)) as store:
        store.prompts.save("p", {"template": "one"})
        meddler.on = True
        with store.transaction():
            store.users.save("u", name="U")  # whose hook comes before the file
            store.prompts.save("p", {"template": "two"})
        assert templates(store) == ["one", "two", "three"]
        assert (home / "prompts/p.yaml").read_text() == "template: three\n"
        assert store.sync().changes == ()


def test_a_removal_that_fails_after_the_commit_brings_the_row_back(
    store: wilk.Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    store.prompts.save("p", {"template": "one"})
    before(monkeypatch, "remove", no_room_for("p.yaml"))
    with pytest.raises(Invalid), store.transaction():
        store.prompts.remove("p")
    assert store.prompts.get("p").definition["template"] == "one"


# -- several in one transaction -------------------------------------------------------------


def test_two_saves_in_one_transaction_are_two_revisions(store: wilk.Store, home: Path) -> None:
    store.prompts.save("p", {"template": "one"})
    with store.transaction():
        store.prompts.save("p", {"template": "two"})
        store.prompts.save("p", {"template": "three"})
    assert templates(store) == ["one", "two", "three"]
    assert (home / "prompts/p.yaml").read_text() == "template: three\n"


@pytest.mark.parametrize("paths", [None, [Path("prompts")], [Path("prompts/p.yaml")]])
def test_a_sync_passes_over_what_its_transaction_saved(store: wilk.Store, paths: list[Path] | None) -> None:
    store.prompts.save("p", {"template": "one"})
    with store.transaction():
        store.prompts.save("p", {"template": "two"})
        store.prompts.save("new", {"template": "x"})
        assert store.sync(paths).changes == ()
        assert store.prompts.get("p").definition["template"] == "two"
    assert templates(store) == ["one", "two"]
    assert store.prompts.get("new").revision == 1


def test_a_sync_passes_over_what_its_transaction_removed(store: wilk.Store, home: Path) -> None:
    store.prompts.save("p", {"template": "one"})
    with store.transaction():
        store.prompts.remove("p")
        assert store.sync().changes == ()
    assert not (home / "prompts/p.yaml").exists()
    assert store.prompts.find("p") is None


def test_a_sync_in_a_transaction_still_sees_the_other_files(store: wilk.Store, put: Put) -> None:
    with store.transaction():
        store.prompts.save("p", {"template": "one"})
        put("prompts/q.yaml", "template: mine\n")
        assert [change.id for change in store.sync().changes] == ["q"]


def test_the_last_of_a_save_and_a_removal_counts(store: wilk.Store, home: Path) -> None:
    store.prompts.save("p", {"template": "one"})
    with store.transaction():
        store.prompts.save("new", {"template": "x"})
        store.prompts.remove("new")
        store.prompts.remove("p")
        store.prompts.save("p", {"template": "two"})
    assert [file.name for file in (home / "prompts").iterdir()] == ["p.yaml"]
    assert (store.prompts.get("p").definition["template"], store.prompts.find("new")) == ("two", None)
    assert store.sync().changes == ()


def test_a_save_that_is_rolled_back_leaves_the_one_before_it(store: wilk.Store, home: Path) -> None:
    with store.transaction():
        store.prompts.save("p", {"template": "one"})
        with pytest.raises(RuntimeError), store.transaction():
            store.prompts.save("p", {"template": "two"})
            raise RuntimeError
        assert store.sync().changes == ()
    assert (home / "prompts/p.yaml").read_text() == "template: one\n"
    assert templates(store) == ["one"]


def test_what_was_rolled_back_waits_no_longer(store: wilk.Store, put: Put) -> None:
    put("prompts/p.yaml", "template: one\n")
    store.sync()
    with store.transaction():
        with pytest.raises(RuntimeError), store.transaction():
            store.prompts.save("p", {"template": "two"})
            raise RuntimeError
        put("prompts/p.yaml", "template: mine\n")
        assert [change.id for change in store.sync().changes] == ["p"]


def test_a_save_that_is_refused_waits_no_longer_though_its_error_is_kept(store: wilk.Store, put: Put) -> None:
    store.prompts.save("other", {"name": "taken", "template": "x"})
    put("prompts/p.yaml", "template: one\n")
    store.sync()
    with store.transaction():
        with pytest.raises(Conflict) as kept:
            store.prompts.save("p", {"name": "taken", "template": "two"})
        put("prompts/p.yaml", "template: mine\n")
        assert [change.id for change in store.sync().changes] == ["p"]
    assert kept.value.__traceback__ is not None
    assert store.prompts.get("p").definition["template"] == "mine"


def test_a_mark_stands_for_the_secret_that_waits_for_the_commit(store: wilk.Store) -> None:
    def server(key: str) -> dict[str, Any]:
        return {"mcpServers": {"db": {"command": "x", "env": {"KEY": key}}}}

    store.definitions.save("mcp-servers", server("sk-old"))
    with store.transaction():
        saved = store.definitions.save("mcp-servers", server("sk-new"))
        changed = {"mcpServers": {"db": {**saved.definition["mcpServers"]["db"], "command": "y"}}}
        store.definitions.save("mcp-servers", changed)
    held = store.definitions.read("mcp-servers")["mcpServers"]["db"]
    assert (held["command"], held["env"]) == ("y", {"KEY": "sk-new"})


# -- all files or none ----------------------------------------------------------------------

A = "# mine\nname: A\nprompt: x\n"
B = "# mine too\nname: B\nprompt: x\ndefault: true\n"


@pytest.fixture
def pair(store: wilk.Store, put: Put) -> tuple[Path, Path]:
    """Two personas, of which b is the default."""
    files = put("personas/a.yaml", A), put("personas/b.yaml", B)
    store.sync()
    return files


@pytest.mark.parametrize("nested", [False, True])
@pytest.mark.parametrize("name", ["a.yaml", "b.yaml"])
def test_a_file_that_fails_takes_the_others_back(
    store: wilk.Store, pair: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch, name: str, nested: bool
) -> None:
    with monkeypatch.context() as patched:
        before(patched, "write", no_room_for(name))
        with pytest.raises(Invalid, match="No space"):
            if nested:
                with store.transaction():
                    store.personas.make_default("a")
            else:
                store.personas.make_default("a")
    assert [file.read_text() for file in pair] == [A, B]
    assert store.personas.default().id == "b"
    report = store.sync()
    assert (report.changes, report.failures) == ((), ())
    assert store.personas.make_default("a").is_default


@pytest.mark.parametrize("nested", [False, True])
def test_the_file_that_gives_up_a_claim_is_written_first(
    store: wilk.Store, pair: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch, nested: bool
) -> None:
    written: list[str] = []
    before(monkeypatch, "write", lambda file: written.append(file.name))
    if nested:
        with store.transaction():
            store.personas.make_default("a")
    else:
        store.personas.make_default("a")
    assert written == ["b.yaml", "a.yaml"]


def test_new_files_go_with_their_folders_when_another_fails(
    store: wilk.Store, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[Path] = []

    def second(file: Path) -> None:
        seen.append(file)
        if len(seen) == 2:
            raise Invalid("No space left")

    before(monkeypatch, "write", second)
    with pytest.raises(Invalid):
        store.catalog.save_all("agents", {"a": {"name": "A"}, "b": {"name": "B"}})
    assert not list((home / "agents").iterdir())
    assert store.agents.list() == []


@pytest.mark.parametrize("verb", ["save", "remove"])
def test_a_commit_that_fails_takes_the_file_back(
    store: wilk.Store, put: Put, monkeypatch: pytest.MonkeyPatch, verb: str
) -> None:
    file = put("prompts/p.yaml", "template: one # mine\n")
    store.sync()

    database = type(store._engine.database)
    original = database.commit

    def commit(self: Any) -> Any:
        if not file.exists() or "two" in file.read_text():
            raise wilk.Busy("another process held the store")
        return original(self)

    with monkeypatch.context() as patched:
        patched.setattr(database, "commit", commit)
        with pytest.raises(wilk.Busy):
            if verb == "save":
                store.prompts.save("p", {"template": "two"})
            else:
                store.prompts.remove("p")
    assert file.read_text() == "template: one # mine\n"
    assert store.prompts.get("p").definition["template"] == "one"
    assert store.sync().changes == ()


def test_what_a_plugin_raises_after_the_commit_takes_nothing_back(home: Path) -> None:
    class Faulty:
        @hookimpl
        def after_save(self, kind: str) -> None:
            raise KeyboardInterrupt

    with wilk.open_store(home=home, host=Host(Faulty())) as store:
        with pytest.raises(KeyboardInterrupt):
            store.prompts.save("p", {"template": "one"})
        assert (home / "prompts/p.yaml").read_text() == "template: one\n"
        assert store.prompts.get("p").definition["template"] == "one"
        assert store.sync().changes == ()
