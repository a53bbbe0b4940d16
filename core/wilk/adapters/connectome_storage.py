"""Connectome's storage interface over wilk, method by method, for its components to be pointed at.

The names, arguments and results are those of Connectome's ``StorageInterface``; what comes back
equals what went in, down to the order of keys. A method that writes returns True when what it
wrote is on the disk. What fails raises a :class:`~wilk.errors.WilkError`, where the original
returned False and lost it without a word.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, Self
from urllib.parse import unquote

from wilk import addressing, aio, clock
from wilk import settings as settings_module
from wilk.adapters.connectome_interface import StorageInterface
from wilk.errors import Closed, SettingsError
from wilk.services.connectome.counting import counts
from wilk.services.connectome.documents import CONVERSATION

FOLDER = "./storage_data"
FILE = f"{FOLDER}/connectome.db"
_CACHE = "connectome"
_NOT_OPEN = "the storage is not open; `await storage.initialize()` first"
_PLACES = ("db_path", "base_dir", "url", "home")
_OF_SQLITE = ("connection_timeout", "enable_wal_mode")
_OF_FILES = ("create_backups", "max_backup_files", "pretty_print_json")


class _Memory(dict[str, Any]):
    """A memory as it was stored, which also knows its ``memory_id`` and ``created_at`` when asked.

    Connectome's own backends add the two to the data, and its migration reads ``memory["memory_id"]``.
    """

    def __init__(self, data: Mapping[str, Any], **known: Any) -> None:
        super().__init__(data)
        self._known = known

    def __missing__(self, key: str) -> Any:
        return self._known[key]

    def get(self, key: str, default: Any = None) -> Any:
        return super().get(key, self._known.get(key, default))


class ConnectomeStorage(StorageInterface):
    """Connectome's ``StorageInterface``. Its own factory asks for a subclass of its own base class:
    ``class Wilk(ConnectomeStorage, StorageInterface): pass`` is one."""

    _options: tuple[str, ...] = (*_PLACES, *_OF_SQLITE, *_OF_FILES)

    def __init__(self, storage_config: dict[str, Any]) -> None:
        """Take Connectome's options: ``db_path``, ``connection_timeout`` (seconds), ``enable_wal_mode``; or
        ``base_dir``, ``create_backups``, ``max_backup_files``, ``pretty_print_json``; or wilk's: ``url``,
        ``home``. Raises SettingsError for others, and for several places."""
        if not isinstance(storage_config, Mapping):
            raise SettingsError(f"storage_config {storage_config!r}: an object is wanted")
        if unknown := sorted(map(str, storage_config.keys() - set(self._options))):
            raise SettingsError(f"unknown option {', '.join(unknown)}; known: {', '.join(self._options)}")
        if len(places := [name for name in _PLACES if name in storage_config]) > 1:
            raise SettingsError(f"{' and '.join(places)} say where the data is; give one of them")
        for name in places:
            if not isinstance(storage_config[name], (str, Path)):
                raise SettingsError(f"{name} {storage_config[name]!r}: a path is wanted")
        if "base_dir" not in places and (odd := [name for name in _OF_FILES if name in storage_config]):
            raise SettingsError(f"{', '.join(odd)} belong to base_dir; a URL has options of its own")
        super().__init__(dict(storage_config))
        self._files_options()
        self._given: aio.AsyncStore | None = None
        self._opened: aio.AsyncStore | None = None
        self._turn = asyncio.Lock()

    @classmethod
    def over(cls, store: aio.AsyncStore) -> Self:
        """Use a store that is open already, and leave it open at the end."""
        storage = cls({})
        storage._given = storage._opened = store
        return storage

    # -- life -----------------------------------------------------------------------------

    async def initialize(self) -> bool:
        """Open the store. Doing so twice is harmless."""
        async with self._turn:
            if self._opened is None:
                self._opened = self._given or await aio.open_async_store(settings=self._settings())
        return True

    async def shutdown(self) -> bool:
        """Close the store, unless it was given. Doing so twice is harmless."""
        async with self._turn:
            opened, self._opened = self._opened, None
            if opened is not None and opened is not self._given:
                await opened.close()
        return True

    def _settings(self) -> settings_module.Settings:
        config = self.config
        if "home" in config:
            found = settings_module.load(home=config["home"])
        elif "base_dir" in config:
            options = self._files_options()
            found = settings_module.load(
                url=addressing.address("files", base_dir=config["base_dir"], options=options)
            )
        else:
            url = config.get("url") or addressing.address("sqlite", db_path=config.get("db_path", FILE))
            found = settings_module.load(url=url)
        options = {}
        if "connection_timeout" in config:
            options["timeout"] = config["connection_timeout"]
        if "enable_wal_mode" in config:
            options["journal_mode"] = "wal" if config["enable_wal_mode"] else "delete"
        return replace(found, **settings_module.check(options, "storage_config"))

    def _files_options(self) -> dict[str, Any]:
        """The options of a folder as its URL has them."""
        config = self.config
        for name in ("create_backups", "pretty_print_json"):
            if not isinstance(config.get(name, True), bool):
                raise SettingsError(f"{name} {config[name]!r}: True or False is wanted")
        most = config.get("max_backup_files")
        if most is not None and (type(most) is not int or most < 0):
            raise SettingsError(f"max_backup_files {most!r}: a whole number from 0 is wanted")
        return {
            "pretty": config.get("pretty_print_json"),
            "backups": most if config.get("create_backups", True) else 0,
        }

    @property
    def _store(self) -> aio.AsyncStore:
        if self._opened is None:
            raise Closed(_NOT_OPEN)
        return self._opened

    # -- conversations --------------------------------------------------------------------

    async def store_conversation(self, conversation_id: str, data: dict[str, Any]) -> bool:
        """Keep a conversation as it is, in the place of the one with that id."""
        await self._store.documents.save(conversation_id, data, kind=CONVERSATION)
        return True

    async def load_conversation(self, conversation_id: str) -> dict[str, Any] | None:
        """Return the conversation, or None."""
        document = await self._store.documents.find(conversation_id)
        return document.data if document is not None and document.kind == CONVERSATION else None

    async def list_conversations(self) -> list[str]:
        """Return the ids of all conversations, in the order in which they were first stored."""
        return list(await self._store.documents.ids(kind=CONVERSATION))

    async def delete_conversation(self, conversation_id: str) -> bool:
        """Archive a conversation with its messages, memories and chunks; False when there is nothing."""
        async with self._store.transaction():
            document = await self._store.documents.find(conversation_id)
            if document is not None and document.kind != CONVERSATION:
                return False
            return bool(await self._store.documents.clear(conversation_id))

    # -- raw messages ---------------------------------------------------------------------

    async def store_raw_messages(self, conversation_id: str, messages: list[dict[str, Any]]) -> bool:
        """Make these the raw messages of a conversation."""
        await self._store.raw_messages.save(conversation_id, messages)
        return True

    async def load_raw_messages(self, conversation_id: str) -> list[dict[str, Any]]:
        """Return the raw messages of a conversation in their order."""
        return [message.data for message in await self._store.raw_messages.list(conversation_id)]

    # -- memories -------------------------------------------------------------------------

    async def store_memory(self, conversation_id: str, memory_id: str, memory_data: dict[str, Any]) -> bool:
        """Keep a memory. Stored twice, it is replaced and keeps its place."""
        await self._store.memories.save_sequence(conversation_id, memory_id, memory_data)
        return True

    async def load_memories(self, conversation_id: str) -> list[dict[str, Any]]:
        """Return the memories of a conversation that were stored under an id, the oldest first."""
        memories = await self._store.memories.list(conversation=conversation_id, oldest=True, limit=None)
        return [
            _Memory(one.data, memory_id=one.memory_id, created_at=one.created_at.isoformat())
            if isinstance(one.data, dict)
            else one.data
            for one in memories
            if one.memory_id is not None
        ]

    # -- reasoning ------------------------------------------------------------------------

    async def store_reasoning_chain(self, agent_id: str, chain_data: dict[str, Any]) -> bool:
        """Keep a reasoning chain of an agent."""
        await self._store.reasoning.add(agent_id, chain_data)
        return True

    async def load_reasoning_chains(self, agent_id: str, limit: int | None = None) -> list[dict[str, Any]]:
        """Return an agent's most recent chains, at most ``limit`` of them, the oldest first."""
        return [chain.data for chain in await self._store.reasoning.recent(agent_id, limit)]

    # -- chunks and cache -----------------------------------------------------------------

    async def store_chunk_info(self, conversation_id: str, chunk_data: dict[str, Any]) -> bool:
        """Keep what was decided on the chunks of a conversation."""
        await self._store.chunks.save_info(conversation_id, chunk_data)
        return True

    async def load_chunk_info(self, conversation_id: str) -> dict[str, Any] | None:
        """Return what was decided on the chunks of a conversation, or None."""
        found: dict[str, Any] | None = await self._store.chunks.info(conversation_id)
        return found

    async def store_cache_entry(
        self, cache_key: str, cache_data: dict[str, Any], ttl: float | None = None
    ) -> bool:
        """Keep a value for ``ttl`` seconds; None is for ever, and 0 is over at once."""
        await self._store._cache_entries.set(_CACHE, cache_key, cache_data, ttl=ttl)
        return True

    async def load_cache_entry(self, cache_key: str) -> dict[str, Any] | None:
        """Return the value, or None when there is none or it has expired."""
        found: dict[str, Any] | None = await self._store._cache_entries.get(_CACHE, cache_key)
        return found

    # -- state ----------------------------------------------------------------------------

    async def store_system_state(self, state_key: str, state_data: dict[str, Any]) -> bool:
        """Keep a part of the system's state."""
        await self._store.state.set(state_key, state_data)
        return True

    async def load_system_state(self, state_key: str) -> dict[str, Any] | None:
        """Return a part of the system's state, or None."""
        state = await self._store.state.find(state_key)
        return None if state is None else state.data

    # -- tools ----------------------------------------------------------------------------

    async def health_check(self) -> dict[str, Any]:
        """Tell whether the store answers: ``status`` is ``healthy`` or ``error``. It never raises.

        ``warnings`` are what is not as it should be while the store works.
        """
        if self._opened is None:
            return {"status": "error", "error": _NOT_OPEN, "connection_active": False}
        store = self._opened
        found = await store.health()
        if found.status == "failing":
            return {"status": "error", "error": "; ".join(found.reasons), "connection_active": False}
        return {
            "status": "healthy",
            **self._place(store),
            "journal_mode": store.settings.journal_mode,
            "connection_active": True,
            "warnings": list(found.reasons),
            "latency_seconds": found.read_seconds,
        }

    async def get_storage_stats(self) -> dict[str, Any]:
        """Count what there is. Each count has the name of Connectome's table (``conversations_count``),
        and that of conversations its documented one too (``conversation_count``).

        The tables of Connectome are counted by an index, and nothing else is read.
        """
        store = self._store
        found = await store._workers.read(lambda: counts(store._store._engine))
        place = self._place(store)
        total = place.get("database_size_bytes")
        if total is None:
            total = await store._workers.read(lambda: store._store._measuring.size())
        return {
            "storage_type": store.settings.url.partition("://")[0],
            **place,
            "conversation_count": found["conversations"],
            **{f"{name}_count": count for name, count in found.items()},
            **({} if total is None else {"total_bytes": total}),
        }

    def _place(self, store: aio.AsyncStore) -> dict[str, Any]:
        """Where the data is and how large, for a store that is a file; and the time."""
        now = {"timestamp": clock.to_datetime(store._store._engine.clock.now()).isoformat()}
        scheme, _, rest = store.settings.url.partition(":///")
        file = Path(unquote(rest.partition("?")[0])).expanduser()
        if scheme != "sqlite" or not file.is_file():
            return now
        parts = (file, file.with_name(file.name + "-wal"))
        size = sum(part.stat().st_size for part in parts if part.exists())
        return {"database_path": str(file), "database_size_bytes": size, **now}
