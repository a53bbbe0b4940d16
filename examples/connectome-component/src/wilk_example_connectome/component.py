"""A component that keeps what its agent thought, and shows it to the model again.

It is written against Connectome's storage interface alone: nothing in it knows of wilk.
"""

from __future__ import annotations

from typing import Any, Protocol


class Storage(Protocol):
    """The part of Connectome's ``StorageInterface`` that the component uses."""

    async def initialize(self) -> bool: ...

    async def shutdown(self) -> bool: ...

    async def store_reasoning_chain(self, agent_id: str, chain_data: dict[str, Any]) -> bool: ...

    async def load_reasoning_chains(
        self, agent_id: str, limit: int | None = None
    ) -> list[dict[str, Any]]: ...

    async def store_raw_messages(self, conversation_id: str, messages: list[dict[str, Any]]) -> bool: ...

    async def load_raw_messages(self, conversation_id: str) -> list[dict[str, Any]]: ...


class CompressionEngineComponent:
    """Keeps an agent's reasoning chains and raw messages in a storage."""

    def __init__(self, agent_name: str, storage: Storage) -> None:
        self._agent_name = agent_name
        self._storage = storage

    async def initialize(self) -> bool:
        return await self._storage.initialize()

    async def shutdown(self) -> bool:
        return await self._storage.shutdown()

    async def store_reasoning_chain(self, chain_data: dict[str, Any]) -> None:
        await self._storage.store_reasoning_chain(self._agent_name, chain_data)
        messages = await self._storage.load_raw_messages(self._agent_name)
        messages.append({"role": "user", "content": chain_data["context_received"]})
        messages.append({"role": "assistant", "content": chain_data["agent_response"]})
        await self._storage.store_raw_messages(self._agent_name, messages)

    async def get_memory_context(self, limit: int = 10) -> list[dict[str, str]]:
        """Give the most recent turns as messages for a model."""
        context = []
        for chain in await self._storage.load_reasoning_chains(self._agent_name, limit):
            context.append({"role": "user", "content": chain["context_received"]})
            context.append({"role": "assistant", "content": chain["agent_response"]})
        return context
