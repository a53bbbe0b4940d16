"""Connectome's factory: storages by type and options, or by what ``WILK_STORAGE_*`` variables say."""

from __future__ import annotations

import os
from inspect import iscoroutinefunction
from pathlib import Path
from typing import Any, ClassVar

from wilk import addressing
from wilk.adapters.connectome_interface import StorageInterface
from wilk.adapters.connectome_storage import FILE, FOLDER, ConnectomeStorage
from wilk.errors import SettingsError

_FILE_VARIABLES = {
    "BASE_DIR": "base_dir",
    "CREATE_BACKUPS": "create_backups",
    "PRETTY_JSON": "pretty_print_json",
    "MAX_BACKUPS": "max_backup_files",
}
_SQLITE_VARIABLES = {"DB_PATH": "db_path", "TIMEOUT": "connection_timeout", "WAL_MODE": "enable_wal_mode"}
_METHODS = sorted(StorageInterface.__abstractmethods__)


class FileStorage(ConnectomeStorage):
    """A folder of JSON files that people can read and edit, with an index over it."""

    _options = ("base_dir", "create_backups", "max_backup_files", "pretty_print_json")

    def __init__(self, storage_config: dict[str, Any]) -> None:
        super().__init__({"base_dir": FOLDER, **storage_config})


class SQLiteStorage(ConnectomeStorage):
    """One SQLite file."""

    _options = ("db_path", "connection_timeout", "enable_wal_mode")

    def __init__(self, storage_config: dict[str, Any]) -> None:
        super().__init__({"db_path": FILE, **storage_config})


class StorageFactory:
    """Makes storages by their type: ``file``, ``sqlite``, what was registered, or any backend of wilk."""

    _registered: ClassVar[dict[str, type[Any]]] = {"file": FileStorage, "sqlite": SQLiteStorage}

    @classmethod
    def create_storage(cls, storage_type: str, storage_config: dict[str, Any] | None = None) -> Any:
        """Make a storage, which ``await storage.initialize()`` opens.

        A type that is a backend of wilk's, such as ``postgresql``, takes its ``url``. Raises SettingsError
        for an unknown type, an unknown option, or a bad value.
        """
        config = dict(storage_config or {})
        kind = cls._registered.get(storage_type) if isinstance(storage_type, str) else None
        if kind is not None:
            return kind(config)
        if storage_type not in _backends():
            known = ", ".join(cls.get_available_backends())
            raise SettingsError(f"there is no storage of type {storage_type!r}; there is {known}")
        if (scheme := str(config.get("url", "")).partition("://")[0]) != storage_type:
            said = f"{scheme!r} is another one" if scheme else "there is none"
            raise SettingsError(f"a storage of type {storage_type!r} wants a url that begins so; {said}")
        return ConnectomeStorage(config)

    @classmethod
    def get_available_backends(cls) -> dict[str, str]:
        """Return the types there are, with a line about each."""
        registered = {
            name: next(iter((kind.__doc__ or "").strip().splitlines()), "")
            for name, kind in cls._registered.items()
        }
        return {**{name: line for name, line in _backends().items() if name != "files"}, **registered}

    @classmethod
    def register_backend(cls, name: str, storage_class: type[Any]) -> None:
        """Add a type, or put another class in its place. Raises SettingsError for one that lacks methods."""
        if not isinstance(name, str) or not name:
            raise SettingsError(f"name {name!r}: a text is wanted")
        missing = [one for one in _METHODS if not iscoroutinefunction(getattr(storage_class, one, None))]
        if not isinstance(storage_class, type) or missing:
            raise SettingsError(
                f"{getattr(storage_class, '__name__', storage_class)!s} is no storage: it lacks "
                f"async {', '.join(missing)}; see StorageInterface"
            )
        cls._registered[name] = storage_class

    @classmethod
    def create_default_file_storage(cls, base_dir: str | Path | None = None) -> Any:
        """Make a storage over a folder, by default ``./storage_data``."""
        return cls.create_storage("file", {} if base_dir is None else {"base_dir": base_dir})

    @classmethod
    def create_default_sqlite_storage(cls, db_path: str | Path | None = None) -> Any:
        """Make a storage over a SQLite file, by default ``./storage_data/connectome.db``."""
        return cls.create_storage("sqlite", {} if db_path is None else {"db_path": db_path})

    @classmethod
    def create_from_env_config(cls) -> Any:
        """Make the storage that ``WILK_STORAGE_*`` or ``CONNECTOME_STORAGE_*`` variables describe.

        Without TYPE it is a file storage, or with DB_PATH alone an SQLite one. A type that was registered
        gets no options. Raises SettingsError, which names the variable.
        """
        environment = dict(os.environ)
        for prefix in addressing.PREFIXES:
            wanted = environment.get(f"{prefix}TYPE", "").strip()
            if wanted in cls._registered and wanted not in ("file", "sqlite"):
                return cls.create_storage(wanted, {})
            if wanted:
                break
        values = addressing.given(environment).values
        sqlite = values.get("TYPE") == "sqlite" or (
            "TYPE" not in values and "DB_PATH" in values and "BASE_DIR" not in values
        )
        named = _SQLITE_VARIABLES if sqlite else _FILE_VARIABLES
        config = {option: values[name] for name, option in named.items() if name in values}
        return cls.create_storage("sqlite" if sqlite else "file", config)


def create_storage(storage_type: str = "file", **options: Any) -> Any:
    """Make a storage of a type with its options."""
    return StorageFactory.create_storage(storage_type, options)


def create_file_storage(base_dir: str | Path = FOLDER, **options: Any) -> Any:
    """Make a storage over a folder; the options are those of :class:`FileStorage`."""
    return StorageFactory.create_storage("file", {"base_dir": base_dir, **options})


def create_sqlite_storage(db_path: str | Path = FILE, **options: Any) -> Any:
    """Make a storage over an SQLite file; the options are those of :class:`SQLiteStorage`."""
    return StorageFactory.create_storage("sqlite", {"db_path": db_path, **options})


def create_storage_from_env() -> Any:
    """Make the storage that the variables describe; see :meth:`StorageFactory.create_from_env_config`."""
    return StorageFactory.create_from_env_config()


def get_available_backends() -> dict[str, str]:
    """Return the types there are, with a line about each."""
    return StorageFactory.get_available_backends()


def _backends() -> dict[str, str]:
    """The backends of wilk and of plugins, with their summaries."""
    from wilk.host import Host

    return {backend.scheme: backend.summary for backend in Host().backends()}
