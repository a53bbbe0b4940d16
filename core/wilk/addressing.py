"""Where a store lies: its URL out of a backend and its options, or out of ``WILK_STORAGE_*`` variables.

The variables are those of Connectome's storage, under wilk's name or its own (``CONNECTOME_STORAGE_*``).
"""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import quote

from wilk.errors import SettingsError

logger = logging.getLogger("wilk.settings")

MEMORY = ":memory:"
PREFIXES = ("WILK_STORAGE_", "CONNECTOME_STORAGE_")
_OTHER_NAMES = {"file": "files"}
_FLAGS = {
    "1": True,
    "true": True,
    "yes": True,
    "on": True,
    "0": False,
    "false": False,
    "no": False,
    "off": False,
}


def address(
    backend: str,
    *,
    base_dir: str | Path | None = None,
    db_path: str | Path | None = None,
    options: Mapping[str, Any] | None = None,
) -> str:
    """Return the URL of a store: ``files`` wants ``base_dir``, ``sqlite`` wants ``db_path``.

    ``options`` become the options of the URL, by the names that the backend knows them by. A backend on a
    server takes all that it needs from them. Raises SettingsError.
    """
    if not isinstance(backend, str) or not backend or not backend.replace("_", "").isalnum():
        raise SettingsError(f"backend {backend!r}: a name is wanted, such as sqlite, files or postgresql")
    scheme = _OTHER_NAMES.get(backend, backend)
    places = {"base_dir": base_dir, "db_path": db_path}
    wanted = {"files": "base_dir", "sqlite": "db_path"}.get(scheme)
    for name, place in places.items():
        if place is not None and name != wanted:
            hint = f"it takes {wanted}" if wanted else "it takes all from options, or from a URL"
            raise SettingsError(f"{name} is not for the backend {backend!r}; {hint}")
    if wanted is not None and places[wanted] is None:
        raise SettingsError(f"backend {backend!r} wants {wanted}, which says where the data is to lie")
    path = "" if wanted is None else _path(wanted, places[wanted])
    query = "&".join(
        f"{quote(name)}={quote(_written(name, value), safe='')}" for name, value in _given(options)
    )
    return f"{scheme}:///{path}{'?' if query else ''}{query}"


def _path(name: str, place: Any) -> str:
    """A place as the URL has it: absolute, with what has a meaning in URLs as escapes."""
    if not isinstance(place, (str, os.PathLike)) or not str(place) or "\0" in str(place):
        raise SettingsError(f"{name} {place!r}: a path is wanted")
    if str(place) == MEMORY:
        return MEMORY
    try:
        full = str(Path(place).expanduser().absolute())
    except RuntimeError as error:
        raise SettingsError(f"{name} {str(place)!r}: {error}") from error
    return full.replace("%", "%25").replace("?", "%3F")


def _given(options: Mapping[str, Any] | None) -> list[tuple[str, Any]]:
    if options is None:
        return []
    if not isinstance(options, Mapping) or not all(isinstance(name, str) and name for name in options):
        raise SettingsError(f"options {options!r}: an object is wanted, such as {{'timeout': 5}}")
    return [(name, value) for name, value in options.items() if value is not None]


def _written(name: str, value: Any) -> str:
    if isinstance(value, bool):
        return "1" if value else "0"
    if isinstance(value, (str, int, float, os.PathLike)):
        return str(value)
    raise SettingsError(f"options: {name} {value!r}: a text, a number, True or False is wanted")


# -- variables ------------------------------------------------------------------------------------


def _type(text: str) -> str:
    if text.lower() not in ("file", "files", "sqlite"):
        raise ValueError
    return _OTHER_NAMES.get(text.lower(), text.lower())


def _place(text: str) -> str:
    return _path("", text) and text


def _flag(text: str) -> bool:
    if text.lower() not in _FLAGS:
        raise ValueError
    return _FLAGS[text.lower()]


def _seconds(text: str) -> float:
    if not 0 <= float(text) <= 86_400:
        raise ValueError
    return float(text)


def _whole(text: str) -> int:
    if not text.isascii() or not text.isdecimal() or int(text) > 1_000_000:
        raise ValueError
    return int(text)


class Variable(NamedTuple):
    """One variable without its prefix: how its text is taken, and its line in the documentation."""

    name: str
    take: Callable[[str], Any]
    expected: str
    summary: str


VARIABLES = (
    Variable(
        "TYPE",
        _type,
        "file or sqlite; for another backend set WILK_URL to its address, such as postgresql://user@host/name",
        "the backend",
    ),
    Variable("BASE_DIR", _place, "a path", "the folder of files; by default data in the home folder"),
    Variable("DB_PATH", _place, "a path", "the database of sqlite; by default wilk.db in the home folder"),
    Variable("CREATE_BACKUPS", _flag, "true or false", "keep earlier versions of files (true)"),
    Variable("PRETTY_JSON", _flag, "true or false", "indent the JSON in files (true)"),
    Variable("WAL_MODE", _flag, "true or false", "journal_mode wal, or delete when false"),
    Variable("TIMEOUT", _seconds, "seconds from 0 to 86400", "the setting timeout"),
    Variable(
        "MAX_BACKUPS", _whole, "a whole number from 0", "how many earlier versions of a file to keep (5)"
    ),
)


class Given(NamedTuple):
    """What the variables say: their values by name, and which variable each comes from."""

    values: Mapping[str, Any]
    origins: Mapping[str, str]


def given(environment: Mapping[str, str]) -> Given:
    """Take the variables that are set. Raises SettingsError, which names the variable, for a bad value.

    ``WILK_STORAGE_*`` go before ``CONNECTOME_STORAGE_*``; where both are set and differ, a warning says so.
    An empty one counts as not set.
    """
    known = [variable.name for variable in VARIABLES]
    for name in environment:
        if name.startswith(PREFIXES[0]) and name.removeprefix(PREFIXES[0]) not in known:
            from difflib import get_close_matches

            close = get_close_matches(name.removeprefix(PREFIXES[0]), known, 1)
            hint = f"did you mean {PREFIXES[0]}{close[0]}?" if close else f"known: {', '.join(known)}"
            raise SettingsError(f"there is no variable {name}; {hint}")
    values, origins = {}, {}
    for one in VARIABLES:
        both = {prefix + one.name: environment.get(prefix + one.name, "").strip() for prefix in PREFIXES}
        taken = {variable: _taken(one, variable, text) for variable, text in both.items() if text}
        if not taken:
            continue
        first = next(iter(taken))
        if len(set(taken.values())) > 1:
            logger.warning("%s; the first one holds", " and ".join(f"{key}={both[key]}" for key in taken))
        values[one.name], origins[one.name] = taken[first], first
    return Given(values, origins)


def _taken(one: Variable, variable: str, text: str) -> Any:
    try:
        return one.take(text)
    except (ValueError, SettingsError):
        raise SettingsError(f"{variable}: {text!r} is not {one.expected}") from None


def settings_of(found: Given, home: Path | None, *, placed: bool = False) -> dict[str, tuple[Any, str]]:
    """What the variables mean for a store: values of settings by name, and where each comes from.

    There is a ``url`` when one of TYPE, BASE_DIR and DB_PATH is set, unless something that goes before
    them has ``placed`` the store.
    """
    values, origins = found
    meant: dict[str, tuple[Any, str]] = {}
    if "TIMEOUT" in values:
        meant["timeout"] = (values["TIMEOUT"], origins["TIMEOUT"])
    if "WAL_MODE" in values:
        meant["journal_mode"] = ("wal" if values["WAL_MODE"] else "delete", origins["WAL_MODE"])
    backend = values.get("TYPE")
    if placed:
        return meant
    if backend is None and "BASE_DIR" in values and "DB_PATH" in values:
        raise SettingsError(
            f"{origins['BASE_DIR']} and {origins['DB_PATH']} are both set; say which one holds with "
            "WILK_STORAGE_TYPE=file or WILK_STORAGE_TYPE=sqlite"
        )
    backend = backend or ("files" if "BASE_DIR" in values else "sqlite" if "DB_PATH" in values else None)
    place = {"files": "BASE_DIR", "sqlite": "DB_PATH"}.get(backend or "", "")
    if backend is None or (place not in values and home is None):
        return meant
    origin = origins.get(place) or origins["TYPE"]
    if backend == "sqlite":
        url = address("sqlite", db_path=values.get(place) or str((home or Path()) / "wilk.db"))
    else:
        url = address(
            "files",
            base_dir=values.get(place) or str((home or Path()) / "data"),
            options=files_options(values),
        )
    meant["url"] = (url, origin)
    return meant


def files_options(values: Mapping[str, Any]) -> dict[str, Any]:
    """The options of a ``files://`` URL that the variables ask for."""
    options: dict[str, Any] = {}
    if not values.get("PRETTY_JSON", True):
        options["pretty"] = False
    if not values.get("CREATE_BACKUPS", True):
        options["backups"] = 0
    elif "MAX_BACKUPS" in values:
        options["backups"] = values["MAX_BACKUPS"]
    return options
