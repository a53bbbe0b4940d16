"""Events reach their listeners at the right moment, and a listener that fails breaks nothing."""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import wilk

from .distributions import Site


class Listener:
    """Remembers every event that it hears."""

    def __init__(self) -> None:
        self.heard: list[tuple[Any, ...]] = []

    @wilk.hookimpl
    def store_opened(self, store: wilk.Store) -> None:
        self.heard.append(("opened", len(store.sessions.list())))

    @wilk.hookimpl
    def store_closing(self, store: wilk.Store) -> None:
        self.heard.append(("closing", len(store.sessions.list())))

    @wilk.hookimpl
    def before_save(self, kind: str, record: Any) -> None:
        self.heard.append(("before", kind, record.id))

    @wilk.hookimpl
    def after_save(self, kind: str, record: Any) -> None:
        self.heard.append(("after", kind, record.id))

    @wilk.hookimpl
    def after_delete(self, kind: str, record: Any) -> None:
        self.heard.append(("deleted", kind, record.id))

    @wilk.hookimpl
    def definition_synced(self, change: Any) -> None:
        self.heard.append(("synced", change.id, change.action))

    @wilk.hookimpl
    def definition_failed(self, failure: Any) -> None:
        self.heard.append(("failed", failure.id))


class Raising:
    """A plugin that raises when it hears of what is in ``hooks``."""

    def __init__(self, *hooks: str, error: Exception | None = None) -> None:
        for hook in hooks:
            setattr(self, hook, wilk.hookimpl(lambda: self.throw()))
        self.error = error or ZeroDivisionError("by the test")

    def throw(self) -> None:
        raise self.error


@pytest.fixture
def listener() -> Listener:
    return Listener()


Plugged = Callable[..., wilk.Store]


def test_opening_is_told_when_the_verbs_can_be_used(plugged: Plugged, listener: Listener) -> None:
    plugged(listener)
    assert listener.heard == [("opened", 0)]


def test_closing_is_told_while_the_verbs_can_be_used(plugged: Plugged, listener: Listener) -> None:
    plugged(listener).close()
    assert listener.heard[-1] == ("closing", 0)


def test_closing_twice_is_told_once(plugged: Plugged, listener: Listener) -> None:
    store = plugged(listener)
    store.close()
    store.close()
    assert listener.heard.count(("closing", 0)) == 1


def test_a_save_is_told_before_and_after(plugged: Plugged, listener: Listener) -> None:
    plugged(listener).sessions.create(id="s")
    assert listener.heard[1:] == [("before", "session", "s"), ("after", "session", "s")]


def test_after_the_commit_means_after_the_outermost_one(plugged: Plugged, listener: Listener) -> None:
    store = plugged(listener)
    with store.transaction():
        store.users.save("u", name="U")
        assert ("after", "user", "u") not in listener.heard
    assert listener.heard[-1] == ("after", "user", "u")


def test_a_removal_is_told(plugged: Plugged, listener: Listener) -> None:
    store = plugged(listener)
    store.users.save("u", name="U")
    store.users.remove("u")
    assert listener.heard[-1] == ("deleted", "user", "u")


def test_a_definition_is_told_of(plugged: Plugged, listener: Listener) -> None:
    plugged(listener).agents.save("coder", {"name": "Coder"})
    assert ("synced", "coder", "created") in listener.heard


def test_a_broken_definition_is_told_of(plugged: Plugged, listener: Listener, home: Path) -> None:
    store = plugged(listener)
    (home / "prompts").mkdir(parents=True, exist_ok=True)
    (home / "prompts" / "p.yaml").write_text("system: [")
    store.sync()
    assert ("failed", "p") in listener.heard


def test_hosts_are_apart(plugged: Plugged, listener: Listener, tmp_path: Path) -> None:
    plugged(listener)
    with wilk.open_store(f"sqlite:///{tmp_path}/other.db") as other:
        other.sessions.create(id="elsewhere")
    assert listener.heard == [("opened", 0)]


# -- listeners that fail --------------------------------------------------------------------

EVENTS = [
    "store_opened",
    "store_closing",
    "after_save",
    "after_delete",
    "definition_synced",
    "definition_failed",
]


@pytest.fixture
def troubled(plugged: Plugged, home: Path, caplog: pytest.LogCaptureFixture) -> str:
    """The log of a store whose every event fails in its listener."""
    with plugged(Raising(*EVENTS)) as store:
        store.users.save("u", name="U")
        store.users.remove("u")
        store.agents.save("coder", {"name": "Coder"})
        (home / "prompts").mkdir()
        (home / "prompts" / "p.yaml").write_text("system: [")
        store.sync()
        assert store.users.save("v", name="V") == store.users.get("v")
        assert store.agents.get("coder").name == "Coder"
    return caplog.text


@pytest.mark.parametrize("event", EVENTS)
def test_an_event_that_fails_is_logged_with_its_plugin_and_the_change_stands(
    event: str, troubled: str
) -> None:
    assert f"plugin Raising (registered by the program) failed in {event}; the change stands" in troubled


def test_the_other_listeners_are_told_when_one_fails(plugged: Plugged, listener: Listener) -> None:
    plugged(Raising("after_save"), listener, Raising("after_save")).sessions.create(id="s")
    assert ("after", "session", "s") in listener.heard


@pytest.mark.sqlite  # where only a test's plugins are installed
def test_an_installed_listener_that_fails_is_logged_with_its_distribution(site: Site) -> None:
    site.add("moody", "from wilk import hookimpl\n@hookimpl\ndef after_save(): raise OSError('no')")
    done = site.wilk("sessions", "new", "--id", "s")
    assert done.returncode == 0
    assert "plugin moody (wilk-moody 1.0) failed in after_save" in done.stderr
    assert site.wilk("sessions", "show", "s").returncode == 0


# -- before_save ----------------------------------------------------------------------------


def test_a_rejected_record_leaves_nothing_behind(plugged: Plugged) -> None:
    store = plugged(Raising("before_save", error=wilk.Rejected("not today")))
    with pytest.raises(wilk.Rejected, match="not today"):
        store.users.save("u", name="U")
    assert store.users.find("u") is None


def test_a_rejected_record_undoes_the_transaction_that_it_is_in(plugged: Plugged, listener: Listener) -> None:
    class Strict:
        @wilk.hookimpl
        def before_save(self, kind: str) -> None:
            if kind == "message":
                raise wilk.Rejected("no messages")

    store = plugged(Strict(), listener)
    with pytest.raises(wilk.Rejected), store.transaction():
        store.sessions.create(id="s")
        store.messages.append("s", "user")
    assert store.sessions.find("s") is None
    assert ("after", "session", "s") not in listener.heard


def test_a_before_hook_that_fails_stops_the_write_and_names_its_plugin(plugged: Plugged) -> None:
    store = plugged(Raising("before_save"))
    with pytest.raises(
        wilk.PluginError, match="plugin Raising .* failed before saving a user: ZeroDivision"
    ) as failure:
        store.users.save("u", name="U")
    assert isinstance(failure.value.__cause__, ZeroDivisionError)
    assert store.users.find("u") is None


@pytest.mark.sqlite  # where only a test's plugins are installed
def test_an_installed_before_hook_that_fails_is_named_with_its_distribution(site: Site) -> None:
    site.add("moody", "from wilk import hookimpl\n@hookimpl\ndef before_save(): raise OSError('no')")
    done = site.wilk("sessions", "new", "--id", "s")
    assert done.returncode == 1
    assert "plugin moody (wilk-moody 1.0) failed before saving a session: OSError('no')" in done.stderr
    assert site.wilk("sessions", "show", "s").returncode == 1


def test_a_hook_may_write_to_the_store_that_it_hears_of(plugged: Plugged) -> None:
    class Echo:
        @wilk.hookimpl
        def after_save(self, store: wilk.Store, kind: str, record: Any) -> None:
            if kind == "session":
                store.messages.append(record.id, "system", "welcome")

    store = plugged(Echo())
    store.sessions.create(id="s")
    assert [message.text for message in store.messages.last("s")] == ["welcome"]


def test_what_a_hook_writes_is_told_of_as_well(plugged: Plugged, listener: Listener) -> None:
    class Once:
        @wilk.hookimpl
        def after_save(self, store: wilk.Store, kind: str) -> None:
            if kind == "session":
                store.users.save("u", name="U")

    plugged(Once(), listener).sessions.create(id="s")
    assert ("after", "user", "u") in listener.heard


# -- registering by hand --------------------------------------------------------------------


def test_a_plugin_registered_late_hears_what_comes(plugged: Plugged, listener: Listener) -> None:
    store = plugged()
    store.users.save("u", name="U")
    store.host.register(listener)
    store.users.save("v", name="V")
    assert listener.heard == [("before", "user", "v"), ("after", "user", "v")]


def test_an_unsound_object_is_refused_when_it_is_registered() -> None:
    class Misspelled:
        @wilk.hookimpl
        def after_saved(self) -> None: ...

    with pytest.raises(wilk.PluginError, match="plugin Misspelled .* did you mean 'after_save'"):
        wilk.Host(Misspelled())


def test_a_refused_object_leaves_nothing_behind(plugged: Plugged, caplog: pytest.LogCaptureFixture) -> None:
    class Half:
        @wilk.hookimpl
        def after_save(self) -> None:
            raise AssertionError("never called")

        @wilk.hookimpl
        def before_save(self, nonsense: int) -> None: ...

    store = plugged()
    with caplog.at_level(logging.WARNING), pytest.raises(wilk.PluginError):
        store.host.register(Half())
    store.sessions.create()
    assert caplog.records == []
    assert "Half" not in [plugin.name for plugin in store.host.plugins()]
