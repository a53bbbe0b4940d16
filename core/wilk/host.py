"""The plugin host: finds, checks and isolates plugins, and has one typed method per hook.

The only module that knows pluggy's manager. A host is an instance: two stores in one process may
have different ones. Plugins from entry points are imported when something that they offer, or
an event that they listen to, comes up; one that fails is quarantined, and the host goes on.
"""

from __future__ import annotations

import logging
import sys
import threading
import time
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from importlib import import_module
from inspect import iscoroutinefunction
from typing import TYPE_CHECKING, Any, NamedTuple

import pluggy

from wilk import contracts, hookspecs
from wilk.contracts import API_VERSION
from wilk.discovery import Entry, Index
from wilk.errors import PluginError, WilkError
from wilk.hookspecs import OFFERS

if TYPE_CHECKING:
    from wilk.contracts import (
        Archive,
        Backend,
        BusKind,
        CacheTier,
        Command,
        DefinitionKind,
        Embedder,
        Exporter,
        Importer,
        ModelSet,
        Registry,
        SourceKind,
        Strategy,
        Tokenizer,
        Tool,
        VectorIndex,
    )
    from wilk.records.context import Context
    from wilk.records.conversation import Message
    from wilk.records.definitions import Change, Failure
    from wilk.store import Store

logger = logging.getLogger("wilk.host")

SLOW_IMPORT = 1.0
"""Seconds after which an import is worth a warning."""

_HOOKS = frozenset(name for name, value in vars(hookspecs).items() if hasattr(value, "wilk_spec"))


class PluginInfo(NamedTuple):
    """One plugin as ``wilk plugins`` shows it.

    ``status`` is ``loaded``, ``not imported``, ``quarantined`` or ``disabled``; ``error`` tells why
    it is quarantined; ``seconds`` is what its import took, as far as known.
    """

    name: str
    distribution: str
    version: str
    module: str
    status: str
    error: str | None
    seconds: float | None
    hooks: tuple[str, ...]
    offers: tuple[str, ...]


class _Plugin:
    """A plugin that the host knows: where it comes from and what became of it."""

    def __init__(self, name: str, entry: Entry | None) -> None:
        self.name = name
        self.entry = entry
        self.status = "not imported"
        self.error: str | None = None
        self.hooks: tuple[str, ...] = ()

    @property
    def label(self) -> str:
        if self.entry is None:
            return f"{self.name} (registered by the program)"
        return f"{self.name} ({self.entry.distribution} {self.entry.version})"


class _Implementation(NamedTuple):
    """One plugin's function for one hook, and the arguments that it wants."""

    plugin: _Plugin
    function: Callable[..., Any]
    names: tuple[str, ...]


class Host:
    """Plugins of one or more stores.

    ``plugins`` are objects or modules with ``@hookimpl`` functions, as well as those that are
    installed (``entry_points``). ``disabled`` names plugins or distributions to leave alone.
    ``prefer`` settles clashes: ``{"backends.sqlite": "wilk-fast-sqlite"}``.
    """

    def __init__(
        self,
        *plugins: object,
        entry_points: bool = True,
        disabled: Iterable[str] = (),
        prefer: Mapping[str, str] | None = None,
    ) -> None:
        self._manager = pluggy.PluginManager("wilk")
        self._manager.add_hookspecs(hookspecs)
        self._disabled = frozenset(disabled)
        self._prefer = dict(prefer or {})
        self._index = Index() if entry_points else None
        self._plugins = [self._discovered(entry) for entry in self._index.entries] if self._index else []
        self._lock = threading.RLock()
        self._by_key: dict[str, _Plugin] = {}
        self._listeners: dict[str, list[_Implementation]] = {}
        self._offered: dict[str, dict[str, Any]] = {}  # by plugin key, then hook: what it yielded
        for plugin in plugins:
            self.register(plugin)

    def register(self, plugin: object, name: str | None = None) -> None:
        """Add a plugin that no package brings; raises PluginError when it is not a sound one."""
        for installed in self._plugins:
            # The same module, installed as well: once is enough.
            named = installed.entry is not None and installed.entry.value == getattr(plugin, "__name__", None)
            if named and installed.status != "disabled":
                self._load(installed)
                if installed.error is not None:
                    raise PluginError(f"plugin {installed.label}: {installed.error}")
                return
        known = _Plugin(name or str(getattr(plugin, "__name__", type(plugin).__name__)), None)
        try:
            self._admit(known, plugin)
        except Exception as error:
            raise PluginError(f"plugin {known.label}: {error}") from error
        self._plugins.append(known)
        self._listeners.clear()
        self._offered.clear()

    def plugins(self, *, load: bool = True) -> list[PluginInfo]:
        """List every plugin; with ``load`` each is imported first, so that its state is certain."""
        with self._lock:
            if load:
                for plugin in list(self._plugins):
                    self._load(plugin)
                for hook in OFFERS:
                    self._yields(hook)
            return [self._info(plugin) for plugin in self._plugins]

    # -- offers ---------------------------------------------------------------------------

    def backend(self, scheme: str) -> Backend:
        """The backend for a URL scheme; raises PluginError when none, or more than one, has it."""
        found: Backend = self._one("register_backends", scheme)
        return found

    def backends(self) -> tuple[Backend, ...]:
        return self._all("register_backends")

    def definition_kinds(self) -> tuple[DefinitionKind, ...]:
        return self._all("register_definition_kinds")

    def model_sets(self) -> tuple[ModelSet, ...]:
        return self._all("register_models")

    def tokenizer(self, name: str) -> Tokenizer:
        found: Tokenizer = self._one("register_tokenizers", name)
        return found

    def tokenizers(self) -> tuple[Tokenizer, ...]:
        return self._all("register_tokenizers")

    def command(self, name: str) -> Command:
        found: Command = self._one("register_commands", name)
        return found

    def commands(self) -> tuple[Command, ...]:
        return self._all("register_commands")

    def archive(self, name: str) -> Archive:
        found: Archive = self._one("register_archives", name)
        return found

    def archives(self) -> tuple[Archive, ...]:
        return self._all("register_archives")

    def strategy(self, name: str) -> Strategy:
        found: Strategy = self._one("register_strategies", name)
        return found

    def strategies(self) -> tuple[Strategy, ...]:
        return self._all("register_strategies")

    def cache_tier(self, name: str) -> CacheTier:
        found: CacheTier = self._one("register_caches", name)
        return found

    def cache_tiers(self) -> tuple[CacheTier, ...]:
        return self._all("register_caches")

    def bus_kind(self, scheme: str) -> BusKind:
        found: BusKind = self._one("register_buses", scheme)
        return found

    def bus_kinds(self) -> tuple[BusKind, ...]:
        return self._all("register_buses")

    def vector_index(self, name: str) -> VectorIndex:
        found: VectorIndex = self._one("register_vector_indexes", name)
        return found

    def vector_indexes(self) -> tuple[VectorIndex, ...]:
        return self._all("register_vector_indexes")

    def embedder(self, name: str) -> Embedder:
        found: Embedder = self._one("register_embedders", name)
        return found

    def embedders(self) -> tuple[Embedder, ...]:
        return self._all("register_embedders")

    def tool(self, name: str) -> Tool:
        found: Tool = self._one("register_tools", name)
        return found

    def tools(self) -> tuple[Tool, ...]:
        return self._all("register_tools")

    def registry(self, scheme: str) -> Registry:
        found: Registry = self._one("register_registries", scheme)
        return found

    def registries(self) -> tuple[Registry, ...]:
        return self._all("register_registries")

    def importer(self, name: str) -> Importer:
        found: Importer = self._one("register_importers", name)
        return found

    def importers(self) -> tuple[Importer, ...]:
        return self._all("register_importers")

    def exporter(self, name: str) -> Exporter:
        found: Exporter = self._one("register_exporters", name)
        return found

    def exporters(self) -> tuple[Exporter, ...]:
        return self._all("register_exporters")

    def source_kind(self, scheme: str) -> SourceKind:
        found: SourceKind = self._one("register_sources", scheme)
        return found

    def source_kinds(self) -> tuple[SourceKind, ...]:
        return self._all("register_sources")

    # -- events ---------------------------------------------------------------------------

    def listens(self, hook: str) -> bool:
        """Whether any plugin implements the hook; imports those that do."""
        return bool(self._implementations(hook))

    def store_opened(self, store: Store) -> None:
        self._tell("store_opened", store=store)

    def store_closing(self, store: Store) -> None:
        self._tell("store_closing", store=store)

    def before_save(self, store: Store, kind: str, record: Any) -> None:
        """Unlike events, a failure here stops the write: what guards a write must not fail open."""
        self._strictly("before_save", f"failed before saving a {kind}", store=store, kind=kind, record=record)

    def after_save(self, store: Store, kind: str, record: Any) -> None:
        self._tell("after_save", store=store, kind=kind, record=record)

    def after_delete(self, store: Store, kind: str, record: Any) -> None:
        self._tell("after_delete", store=store, kind=kind, record=record)

    def after_archive(
        self, store: Store, kind: str, reason: str, counts: Mapping[str, int], batch: str
    ) -> None:
        self._tell("after_archive", store=store, kind=kind, reason=reason, counts=counts, batch=batch)

    def after_restore(self, store: Store, entries: Sequence[int], counts: Mapping[str, int]) -> None:
        self._tell("after_restore", store=store, entries=entries, counts=counts)

    def context_built(self, store: Store, context: Context) -> None:
        self._tell("context_built", store=store, context=context)

    def definition_synced(self, store: Store, change: Change) -> None:
        self._tell("definition_synced", store=store, change=change)

    def definition_failed(self, store: Store, failure: Failure) -> None:
        self._tell("definition_failed", store=store, failure=failure)

    def forgetting(
        self, store: Store, records: Mapping[str, Collection[str]], *, dry_run: bool
    ) -> dict[str, int]:
        """What plugins hold of records, by table. Who was told that something is gone must be able to rely
        on it: a failure stops the forgetting."""
        failed = "failed to forget what it holds, and nothing was forgotten"
        answers = self._strictly("forgetting", failed, store=store, records=records, dry_run=dry_run)
        return {str(table): int(rows) for found in answers for table, rows in (found or {}).items() if rows}

    # -- choices: the first answer that is not None --------------------------------------

    def score_importance(self, store: Store, role: str, text: str, score: float) -> float | None:
        found: float | None = self._first(
            "score_importance", _is_importance, store=store, role=role, text=text, score=score
        )
        return None if found is None else float(found)

    def summarize(self, store: Store, messages: Sequence[Message], longest: int) -> str | None:
        found: str | None = self._first(
            "summarize", _is_text, store=store, messages=messages, longest=longest
        )
        return found

    def _first(self, hook: str, sound: Callable[[Any], bool], **arguments: Any) -> Any:
        """Ask one after another; one that fails, or answers nonsense, is logged and passed over."""
        for plugin, function, names in self._implementations(hook):
            try:
                found = function(*[arguments[name] for name in names])
            except Exception:
                logger.exception("plugin %s failed in %s; the next one is asked", plugin.label, hook)
                continue
            if found is None:
                continue
            if sound(found):
                return found
            logger.error("plugin %s answers %r to %s; the next one is asked", plugin.label, found, hook)
        return None

    def _strictly(self, hook: str, failed: str, **arguments: Any) -> list[Any]:
        """Call one after another, and return what they answer; the first that fails ends it."""
        answers = []
        for plugin, function, names in self._implementations(hook):
            try:
                answers.append(function(*[arguments[name] for name in names]))
            except WilkError:
                raise
            except Exception as error:
                raise PluginError(f"plugin {plugin.label} {failed}: {error!r}") from error
        return answers

    def _tell(self, hook: str, **arguments: Any) -> None:
        """Call each listener by itself: one that fails is logged, and breaks nothing."""
        for plugin, function, names in self._implementations(hook):
            try:
                function(*[arguments[name] for name in names])
            except Exception:
                logger.exception("plugin %s failed in %s; the change stands", plugin.label, hook)

    def _implementations(self, hook: str) -> list[_Implementation]:
        """The sound implementations of a hook, in pluggy's order; imports those that have one."""
        found = self._listeners.get(hook)
        if found is not None:
            return found
        with self._lock:
            for plugin in self._plugins:
                if plugin.entry is not None and plugin.entry.may_implement(hook):
                    self._load(plugin)
            implementations = getattr(self._manager.hook, hook).get_hookimpls()
            found = self._listeners[hook] = [
                _Implementation(self._by_key[one.plugin_name], one.function, tuple(one.argnames))
                for one in reversed(implementations)
            ]
            return found

    def _one(self, hook: str, name: str) -> Any:
        """The one offer of that name. Imports only plugins that offer it or may do so."""
        with self._lock:
            for plugin in self._plugins:
                if plugin.entry is not None and plugin.entry.may_offer(hook, name):
                    self._load(plugin)
            offers = self._yielded(hook, name)
            if not offers:
                # What was known may be stale: ask everyone before giving up.
                self._implementations(hook)
                offers = self._yielded(hook, name)
            if not offers:
                raise PluginError(self._missing(hook, name))
            return self._chosen(hook, name, offers)

    def _all(self, hook: str) -> tuple[Any, ...]:
        """One offer for every name that any plugin offers, sorted by name."""
        with self._lock:
            self._implementations(hook)
            names = {offer.name for _, offers in self._yields(hook) for offer in offers}
            return tuple(self._chosen(hook, name, self._yielded(hook, name)) for name in sorted(names))

    def _yielded(self, hook: str, name: str) -> list[tuple[_Plugin, Any]]:
        return [
            (plugin, offer) for plugin, offers in self._yields(hook) for offer in offers if offer.name == name
        ]

    def _yields(self, hook: str) -> list[tuple[_Plugin, tuple[Any, ...]]]:
        """What each loaded plugin yields for an offering hook; asked once, and checked."""
        kind: type = getattr(contracts, OFFERS[hook].contract)
        found = []
        for implementation in reversed(getattr(self._manager.hook, hook).get_hookimpls()):
            plugin = self._by_key[implementation.plugin_name]
            offered = self._offered.setdefault(implementation.plugin_name, {})
            if hook not in offered:
                try:
                    offers = tuple(implementation.function() or ())
                    for offer in offers:
                        if not isinstance(offer, kind):
                            raise PluginError(
                                f"{hook} yields {type(offer).__name__}, not wilk.{kind.__name__}"
                            )
                        if not isinstance(offer.name, str) or not offer.name:  # type: ignore[attr-defined]
                            raise PluginError(f"{hook} yields a {kind.__name__} without a name")
                except (Exception, SystemExit) as error:
                    self._expel(plugin, implementation.plugin_name, error)
                    continue
                offered[hook] = offers
                self._learn(plugin, hook, [offer.name for offer in offers])
            found.append((plugin, offered[hook]))
        return found

    def _chosen(self, hook: str, name: str, offers: list[tuple[_Plugin, Any]]) -> Any:
        """The offer to use among several of one name: the settings decide, or it is an error."""
        if len(offers) == 1:
            return offers[0][1]
        key = f"{OFFERS[hook].plural}.{name}"
        wanted = self._prefer.get(key)
        for plugin, offer in offers:
            if wanted is not None and wanted in (plugin.name, plugin.entry and plugin.entry.distribution):
                return offer
        labels = " and ".join(sorted(plugin.label for plugin, _ in offers))
        raise PluginError(
            f"{key} is offered by {labels}; say which in config.yaml (choose: {{{key}: DISTRIBUTION}}) "
            "or disable one (disabled_plugins)"
        )

    def _missing(self, hook: str, name: str) -> str:
        what = OFFERS[hook].plural.replace("_", " ")
        for plural, one in (("ies", "y"), ("xes", "x"), ("uses", "us"), ("s", "")):
            if what.endswith(plural):
                what = what.removesuffix(plural) + one
                break
        known = sorted({offer.name for _, offers in self._yields(hook) for offer in offers})
        there = f"there is {', '.join(known)}" if known else "none is installed"
        text = f"no plugin offers the {what} {name!r}; {there}"
        for plugin in self._plugins:
            # Its own name, or what is known of it, says that it would have been the one.
            entry = plugin.entry
            if entry is None or not (name == plugin.name or entry.may_offer(hook, name)):
                continue
            if plugin.status == "quarantined":
                text += f". Plugin {plugin.label} is quarantined: {plugin.error}. Mend or upgrade it"
            elif plugin.status == "disabled":
                text += f". Plugin {plugin.label} is disabled; take it out of the setting disabled_plugins"
        return text

    # -- loading --------------------------------------------------------------------------

    def _discovered(self, entry: Entry) -> _Plugin:
        plugin = _Plugin(entry.name, entry)
        if self._disabled & {entry.name, entry.distribution}:
            plugin.status = "disabled"
        return plugin

    def _load(self, plugin: _Plugin) -> None:
        """Import a discovered plugin, once; whatever goes wrong quarantines it."""
        entry = plugin.entry
        if plugin.status != "not imported" or entry is None:
            return
        module, _, attribute = (part.strip() for part in entry.value.partition(":"))
        before = frozenset(sys.modules)
        begun = time.perf_counter()
        try:
            loaded: Any = import_module(module)
            for name in filter(None, attribute.split(".")):
                loaded = getattr(loaded, name)
            seconds = time.perf_counter() - begun
            self._admit(plugin, loaded)
        except (Exception, SystemExit) as error:
            self._quarantine(plugin, error)
            return
        if seconds > SLOW_IMPORT:
            logger.warning("plugin %s took %.1f s to import", plugin.label, seconds)
        fresh = module not in before
        if (
            entry.learn(list(plugin.hooks), _files_of(module, before), seconds if fresh else None)
            and self._index
        ):
            self._index.save()

    def _admit(self, plugin: _Plugin, loaded: Any) -> None:
        """Check a plugin object and register it with pluggy; raises when it is not a sound one."""
        _check_interface(getattr(loaded, "wilk_api", API_VERSION))
        hooks = []
        for name in dir(loaded):
            options = self._manager.parse_hookimpl_opts(loaded, name)
            if options is None:
                continue
            if iscoroutinefunction(getattr(loaded, name)):
                raise PluginError(f"{name} is async; hooks are plain functions, also in an AsyncStore")
            if options.get("wrapper") or options.get("hookwrapper"):
                raise PluginError(
                    f"{name} is a hook wrapper; wilk calls each listener by itself, write a plain hook"
                )
            if name not in _HOOKS:
                from difflib import get_close_matches  # rarely needed

                close = get_close_matches(name, _HOOKS, 1)
                raise PluginError(
                    f"there is no hook {name!r}" + (f"; did you mean {close[0]!r}?" if close else "")
                )
            hooks.append(name)
        if not hooks:
            raise PluginError("it has no @hookimpl function; does its entry point name the right module?")
        # Two distributions may call their entry points alike, so the key holds both names.
        key = f"{plugin.name}@{plugin.entry.distribution if plugin.entry else id(loaded)}"
        self._by_key[key] = plugin
        try:
            self._manager.register(loaded, key)
        except (pluggy.PluginValidationError, ValueError) as error:
            raise PluginError(str(error).replace("\n", " ")) from error
        plugin.hooks = tuple(hooks)
        plugin.status = "loaded"

    def _learn(self, plugin: _Plugin, hook: str, names: list[str]) -> None:
        """Keep the names that a plugin offered, for the next start."""
        entry = plugin.entry
        if entry is not None and (entry.offers or {}).get(hook) != names:
            entry.offers = {**(entry.offers or {}), hook: names}
            if self._index:
                self._index.save()

    def _expel(self, plugin: _Plugin, key: str, error: BaseException) -> None:
        """Quarantine a plugin that was loaded already."""
        self._manager.unregister(name=key)
        self._listeners.clear()
        self._quarantine(plugin, error)

    def _quarantine(self, plugin: _Plugin, error: BaseException) -> None:
        plugin.status = "quarantined"
        plugin.error = str(error) if isinstance(error, WilkError) else f"{type(error).__name__}: {error}"
        logger.warning("plugin %s is quarantined: %s", plugin.label, plugin.error)

    def _info(self, plugin: _Plugin) -> PluginInfo:
        entry = plugin.entry
        offers: Mapping[str, Iterable[str]] = (entry.offers or {}) if entry else {}
        if entry is None:
            key = next(key for key, known in self._by_key.items() if known is plugin)
            offers = {hook: [o.name for o in found] for hook, found in self._offered.get(key, {}).items()}
        return PluginInfo(
            name=plugin.name,
            distribution=entry.distribution if entry else "",
            version=entry.version if entry else "",
            module=entry.value if entry else "",
            status=plugin.status,
            error=plugin.error,
            seconds=entry.seconds if entry else None,
            hooks=plugin.hooks or tuple((entry.hooks or ()) if entry else ()),
            offers=tuple(f"{OFFERS[hook].plural}.{name}" for hook, names in offers.items() for name in names),
        )


def _check_interface(wanted: Any) -> None:
    """Compare the ``wilk_api`` that a plugin declares: the same major, and no later minor."""
    if not (isinstance(wanted, tuple) and len(wanted) == 2 and all(isinstance(part, int) for part in wanted)):
        raise PluginError(f"wilk_api is {wanted!r}; write a major and a minor version, such as {API_VERSION}")
    if wanted[0] != API_VERSION[0] or wanted > API_VERSION:
        raise PluginError(
            f"it is written for plugin interface {'.'.join(map(str, wanted))}, this wilk has "
            f"{'.'.join(map(str, API_VERSION))}; install versions of both that go together"
        )


def _files_of(module: str, before: frozenset[str]) -> list[str]:
    """The source files that importing a plugin read: its own, and its package's."""
    top = module if module.startswith("wilk.") else module.partition(".")[0]
    own = {name for name in sys.modules if name == top or name.startswith(top + ".")} - before | {module}
    return [file for name in sorted(own) if (file := getattr(sys.modules.get(name), "__file__", None))]


def _is_importance(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and 0.0 <= value <= 1.0


def _is_text(value: Any) -> bool:
    return isinstance(value, str)
