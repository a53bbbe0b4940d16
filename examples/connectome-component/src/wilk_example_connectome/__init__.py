"""A Connectome component whose storage is wilk: every call goes on where the last one ended."""

from __future__ import annotations

import argparse
import asyncio
from collections.abc import Sequence

import wilk
from wilk.adapters.connectome import create_sqlite_storage
from wilk_example_connectome.component import CompressionEngineComponent


def main(argv: Sequence[str] | None = None) -> int:
    """Say one thing to an agent, and print what it answers."""
    parser = argparse.ArgumentParser(prog="wilk-component", description=__doc__)
    parser.add_argument("agent", help="the name of the agent")
    parser.add_argument("text", nargs="+", help="what to say")
    parser.add_argument("--db", default="connectome.db", help="the SQLite file (connectome.db)")
    arguments = parser.parse_args(argv)
    try:
        print(asyncio.run(say(arguments.db, arguments.agent, " ".join(arguments.text))))
    except wilk.WilkError as error:
        parser.exit(1, f"wilk-component: {error}\n")
    return 0


async def say(db: str, agent: str, text: str) -> str:
    """Let the component hear a text, answer it, and remember both."""
    component = CompressionEngineComponent(agent, create_sqlite_storage(db))  # the storage is chosen here
    await component.initialize()
    try:
        known = len(await component.get_memory_context()) // 2
        answer = text.upper()  # stands in for a language model that calls a tool
        await component.store_reasoning_chain(
            {
                "context_received": text,
                "agent_response": answer,
                "tool_calls": [{"id": "1", "name": "shout", "arguments": {"text": text}}],
                "tool_results": [{"tool_call_id": "1", "result": answer}],
            }
        )
    finally:
        await component.shutdown()
    return f"{agent} knows of {known} turns before: {answer}"
