"""Connectome's ``StorageInterface``: the methods that every storage of its components has."""

from __future__ import annotations

import logging
from abc import ABC, abstractmethod
from typing import Any


class StorageInterface(ABC):
    """The base of storages. What a method means is told by ``wilk.adapters.connectome.ConnectomeStorage``."""

    def __init__(self, storage_config: dict[str, Any]) -> None:
        self.config = storage_config
        self.logger = logging.getLogger(f"wilk.adapters.{type(self).__name__}")

    @abstractmethod
    async def initialize(self) -> bool: ...

    @abstractmethod
    async def shutdown(self) -> bool: ...

    @abstractmethod
    async def store_conversation(self, conversation_id: str, data: dict[str, Any]) -> bool: ...

    @abstractmethod
    async def load_conversation(self, conversation_id: str) -> dict[str, Any] | None: ...

    @abstractmethod
    async def list_conversations(self) -> list[str]: ...

    @abstractmethod
    async def delete_conversation(self, conversation_id: str) -> bool: ...

    @abstractmethod
    async def store_raw_messages(self, conversation_id: str, messages: list[dict[str, Any]]) -> bool: ...

    @abstractmethod
    async def load_raw_messages(self, conversation_id: str) -> list[dict[str, Any]]: ...

    @abstractmethod
    async def store_memory(
        self, conversation_id: str, memory_id: str, memory_data: dict[str, Any]
    ) -> bool: ...

    @abstractmethod
    async def load_memories(self, conversation_id: str) -> list[dict[str, Any]]: ...

    @abstractmethod
    async def store_reasoning_chain(self, agent_id: str, chain_data: dict[str, Any]) -> bool: ...

    @abstractmethod
    async def load_reasoning_chains(
        self, agent_id: str, limit: int | None = None
    ) -> list[dict[str, Any]]: ...

    @abstractmethod
    async def store_chunk_info(self, conversation_id: str, chunk_data: dict[str, Any]) -> bool: ...

    @abstractmethod
    async def load_chunk_info(self, conversation_id: str) -> dict[str, Any] | None: ...

    @abstractmethod
    async def store_cache_entry(
        self, cache_key: str, cache_data: dict[str, Any], ttl: float | None = None
    ) -> bool: ...

    @abstractmethod
    async def load_cache_entry(self, cache_key: str) -> dict[str, Any] | None: ...

    @abstractmethod
    async def store_system_state(self, state_key: str, state_data: dict[str, Any]) -> bool: ...

    @abstractmethod
    async def load_system_state(self, state_key: str) -> dict[str, Any] | None: ...

    @abstractmethod
    async def health_check(self) -> dict[str, Any]: ...

    @abstractmethod
    async def get_storage_stats(self) -> dict[str, Any]: ...
