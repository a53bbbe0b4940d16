"""Settings: defaults, then ``config.yaml`` in the home folder, ``WILK_STORAGE_*``, then ``WILK_*`` variables.

Each setting is one :class:`Setting`; its name in ``config.yaml`` is its name here, its variable
is ``WILK_`` and the name in capitals.
"""

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

from wilk.errors import InvalidDefinition, SettingsError

CONFIG_FILE = "config.yaml"
DATABASE_FILE = "wilk.db"
_TRUE = frozenset({"1", "true", "yes", "on"})
_FALSE = frozenset({"0", "false", "no", "off", ""})


@dataclass(frozen=True, eq=False)
class Settings:
    """What a store is opened with. ``origins`` tells where each value that is no default came from.

    ``home`` is None for a store without files: its definitions live in the tables alone.
    Times are seconds.
    """

    home: Path | None = None
    url: str = field(default="", repr=False)  # it may hold a password
    readonly: bool = False
    timeout: float = 30.0
    journal_mode: str = "wal"
    verbose: bool = False
    disabled_plugins: tuple[str, ...] = ()
    choose: Mapping[str, str] = field(default_factory=dict)
    tokenizer: str = "auto"
    default_model: str = "gpt-4"
    context_strategy: str = "summarize"
    max_tokens: int = 8192
    compaction: str = "auto"
    compact_messages: int = 0
    pin_types: tuple[str, ...] = ()
    archive: str = "table"
    retention: Mapping[str, Any] = field(default_factory=dict)
    retention_interval: float = 3600.0
    consolidation: str = "manual"
    consolidation_interval: float = 300.0
    embedder: str = "none"
    vector_index: str = "auto"
    vector_memory: int = 256_000_000
    cache_tier: str = "disk"
    caches: Mapping[str, Any] = field(default_factory=dict)
    backup_interval: float = 0.0
    backup_keep: int = 5
    backup_folder: str = ""
    bus: str = "auto"
    custom_tools: bool = False
    tool_output_bytes: int = 16_384
    registries: Mapping[str, Any] = field(default_factory=dict)
    watch_quiet: float = 0.05
    watch_polling: str = "auto"
    watch_polling_interval: float = 1.0
    plugins: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    origins: Mapping[str, str] = field(default_factory=dict)


class Setting(NamedTuple):
    """One setting: how its value is checked, and its line in the documentation."""

    name: str
    take: Callable[[Any], Any]
    expected: str
    summary: str


def load(*, home: str | Path | None = None, url: str | None = None, readonly: bool | None = None) -> Settings:
    """Gather the settings; arguments go before variables, variables before ``config.yaml``.

    Of variables ``WILK_URL`` and the like go before ``WILK_STORAGE_*``, and these before Connectome's names.

    With neither ``home`` nor ``url`` the home folder is ``WILK_HOME`` or ``~/.wilk``. With a
    ``url`` alone there is no home folder, unless ``WILK_HOME`` names one.
    """
    environment = os.environ
    place = home if home is not None else environment.get("WILK_HOME") or None
    if place is None and url is None:
        place = "~/.wilk"
    folder = None if place is None else Path(place).expanduser().absolute()
    values: dict[str, Any] = {}
    origins: dict[str, str] = {}
    if folder is not None:
        values.update(_config(folder / CONFIG_FILE))
        origins.update(dict.fromkeys(values, CONFIG_FILE))
    if any(name.startswith(("WILK_STORAGE_", "CONNECTOME_STORAGE_")) for name in environment):
        from wilk import addressing  # rarely needed

        found, placed = addressing.given(environment), bool(url or environment.get("WILK_URL"))
        for name, (value, origin) in addressing.settings_of(found, folder, placed=placed).items():
            values[name], origins[name] = value, origin
    for setting in SETTINGS:
        variable = f"WILK_{setting.name.upper()}"
        if setting.expected != "a mapping" and variable in environment:
            values[setting.name] = _taken(setting, environment[variable], variable)
            origins[setting.name] = variable
    for name, value in (("url", url), ("readonly", readonly)):
        if value is not None:
            values[name] = value
            origins[name] = "argument"
    if folder is not None:
        origins["home"] = (
            "argument" if home is not None else "WILK_HOME" if environment.get("WILK_HOME") else "default"
        )
        if not values.get("url"):
            # In a URL, % begins an escape and ? the options.
            path = str(folder / DATABASE_FILE).replace("%", "%25").replace("?", "%3F")
            values["url"] = f"sqlite:///{path}"
    return Settings(home=folder, origins=origins, **values)


def check(values: Mapping[str, Any], where: str) -> dict[str, Any]:
    """Check settings by name and return them in their own types.

    Raises SettingsError for the first bad one.
    """
    known = {setting.name: setting for setting in SETTINGS}
    taken = {}
    for name, value in values.items():
        if name not in known:
            from difflib import get_close_matches

            close = get_close_matches(str(name), known, 1)
            hint = f"did you mean {close[0]!r}?" if close else f"known: {', '.join(sorted(known))}"
            raise SettingsError(f"{where}: there is no setting {name!r}; {hint}")
        if value is not None:
            taken[name] = _taken(known[name], value, f"{where}: {name}")
    return taken


def _config(file: Path) -> dict[str, Any]:
    try:
        data = file.read_bytes()
    except FileNotFoundError:
        return {}
    except OSError as error:
        raise SettingsError(f"{file} cannot be read: {error.strerror}") from error
    if not any(
        line and not line.isspace() and not line.lstrip().startswith(b"#") for line in data.splitlines()
    ):
        return {}  # nothing but comments, as `wilk init` leaves it: no need of a YAML parser
    from wilk.definitions.reader import parse_yaml

    try:
        return check(parse_yaml(data, str(file)), str(file))
    except InvalidDefinition as error:
        raise SettingsError(str(error)) from error


def _taken(setting: Setting, value: Any, where: str) -> Any:
    try:
        return setting.take(value)
    except (ValueError, TypeError):
        raise SettingsError(f"{where}: {value!r} is not {setting.expected}") from None
    except SettingsError as error:
        raise SettingsError(f"{where}: {str(error).removeprefix(f'{setting.name}: ')}") from error


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError
    return value


def _flag(value: Any) -> bool:
    if isinstance(value, bool):
        return value
    lowered = _text(value).strip().lower()
    if lowered not in _TRUE | _FALSE:
        raise ValueError
    return lowered in _TRUE


def _seconds(value: Any) -> float:
    if isinstance(value, bool) or not 0 <= float(value) <= 86_400:
        raise ValueError
    return float(value)


def _interval(value: Any) -> float:
    seconds = _seconds(value)
    if not seconds:
        raise ValueError
    return seconds


def _span(value: Any) -> float:
    if isinstance(value, str) and not value.strip().replace(".", "", 1).isdecimal():
        from wilk.amounts import span
        from wilk.errors import Invalid

        try:
            return span(value.strip()).total_seconds()
        except Invalid as error:
            raise ValueError from error
    if isinstance(value, bool) or not 0 <= float(value) < float("inf"):
        raise ValueError
    return float(value)


def _count(value: Any) -> int:
    if isinstance(value, (bool, float)) or int(value) < 1:
        raise ValueError
    return int(value)


def _whole(value: Any) -> int:
    if isinstance(value, (bool, float)) or int(value) < 0:
        raise ValueError
    return int(value)


def _names(value: Any) -> tuple[str, ...]:
    if isinstance(value, str):
        return tuple(name.strip() for name in value.split(",") if name.strip())
    return tuple(_text(name) for name in value)


def _one_of(*choices: str) -> Callable[[Any], str]:
    def take(value: Any) -> str:
        lowered = _text(value).strip().lower()
        if lowered not in choices:
            raise ValueError
        return lowered

    return take


def _mapping(value: Any) -> Mapping[str, Any]:
    if not isinstance(value, Mapping):
        raise TypeError
    return dict(value)


def _policies(value: Any) -> Mapping[str, Any]:
    taken = _mapping(value)
    if taken:
        from wilk.caches import policy

        policy.check(taken)
    return taken


def _bus(value: Any) -> str:
    text = _text(value).strip()
    if text not in ("auto", "none") and not all(text.partition("://")[::2]):
        raise ValueError
    return text


def _size(value: Any) -> int:
    from wilk.amounts import size
    from wilk.errors import Invalid

    try:
        return size(int(value) if isinstance(value, str) and value.isdecimal() else value)
    except Invalid as error:
        raise ValueError from error


JOURNAL_MODES = ("wal", "delete", "truncate", "persist")
STRATEGIES = ("discard", "summarize", "hybrid")
POLLING = ("auto", "always", "never")
COMPACTION = ("auto", "summarize", "manual")
CONSOLIDATION = ("manual", "timer", "auto")

SETTINGS = (
    Setting("url", _text, "a URL", "the database; by default wilk.db in the home folder"),
    Setting("readonly", _flag, "true or false", "open the database for reading only"),
    Setting("timeout", _seconds, "seconds from 0 to 86400", "how long to wait for another writer"),
    Setting(
        "journal_mode",
        _one_of(*JOURNAL_MODES),
        " or ".join(JOURNAL_MODES),
        "SQLite's journal; delete for network file systems",
    ),
    Setting(
        "verbose",
        _flag,
        "true or false",
        "log every statement, without its values (logger wilk.statements, level DEBUG)",
    ),
    Setting("disabled_plugins", _names, "a list of names", "plugins or distributions to leave alone"),
    Setting("choose", _mapping, "a mapping", "which distribution wins a clash, e.g. backends.sqlite: wilk-x"),
    Setting("tokenizer", _text, "a name", "heuristic, the name of an installed one, or auto"),
    Setting("default_model", _text, "a name", "the model of sessions that name none"),
    Setting("context_strategy", _text, "a name", "the strategy of new sessions: discard, summarize, hybrid"),
    Setting("max_tokens", _count, "a whole number from 1", "the context budget of new sessions"),
    Setting(
        "compaction",
        _one_of(*COMPACTION),
        " or ".join(COMPACTION),
        "summarize and archive old messages when a session is over its budget; summarize: leave them",
    ),
    Setting(
        "compact_messages", _whole, "a whole number from 0", "compact from this many messages on; 0: never"
    ),
    Setting("pin_types", _names, "a list of names", "types of pins beyond those that wilk has"),
    Setting("archive", _text, "a name", "where removed rows are kept: table, jsonl, or a plugin's"),
    Setting("retention", _mapping, "a mapping", "how long and how much is kept, by kind"),
    Setting(
        "retention_interval",
        _seconds,
        "seconds from 0 to 86400",
        "the time between two runs of the retention rules; 0: only by hand",
    ),
    Setting(
        "consolidation",
        _one_of(*CONSOLIDATION),
        " or ".join(CONSOLIDATION),
        "when interactions become memories: by hand, on a timer, or as soon as there are enough",
    ),
    Setting(
        "consolidation_interval",
        _interval,
        "seconds above 0, at most 86400",
        "the time between two consolidations",
    ),
    Setting(
        "embedder", _text, "a name", "what turns texts into vectors: none, or the name of an installed one"
    ),
    Setting(
        "vector_index",
        _text,
        "a name",
        "what finds the nearest vectors: auto (the backend's own, or else exact), exact, or a plugin's",
    ),
    Setting(
        "vector_memory", _size, "a size such as 256MB", "vectors that a process keeps in memory, at most"
    ),
    Setting("cache_tier", _text, "a name", "where caches outlive the process: disk, or a plugin's"),
    Setting("caches", _policies, "a mapping", "policies of caches, by namespace"),
    Setting(
        "backup_interval",
        _span,
        "seconds from 0, or a span of time such as 1d or 12h",
        "the time between two backups that are made by themselves; 0: only by hand",
    ),
    Setting(
        "backup_keep",
        _count,
        "a whole number from 1",
        "how many of the backups made by themselves are kept; those that people made stay",
    ),
    Setting("backup_folder", _text, "a folder", "where backups lie; by default backups in the home folder"),
    Setting(
        "bus",
        _bus,
        "auto, none, or an address such as redis://host",
        "how stores tell each other of changes; auto: the database's own way, where it has one",
    ),
    Setting(
        "custom_tools",
        _flag,
        "true or false",
        "run Python files of the folders tools and agents/ID/tools as tools; they can do what you can",
    ),
    Setting(
        "tool_output_bytes",
        _size,
        "a size such as 16KiB",
        "results of tools above this lie apart, with their beginning in the log",
    ),
    Setting("registries", _mapping, "a mapping", "sources of agent packages: name and address"),
    Setting("watch_quiet", _seconds, "seconds", "how long a file must be still before it is read"),
    Setting(
        "watch_polling",
        _one_of(*POLLING),
        " or ".join(POLLING),
        "look at files again and again instead of being told",
    ),
    Setting("watch_polling_interval", _seconds, "seconds", "the time between two looks"),
    Setting("plugins", _mapping, "a mapping", "settings of plugins, by plugin name"),
)
