"""Exact token counts for wilk, by the vocabularies of OpenAI's models."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from wilk import Command, Tokenizer, hookimpl

if TYPE_CHECKING:
    from argparse import ArgumentParser, Namespace


@hookimpl
def register_tokenizers() -> Iterator[Tokenizer]:
    """One tokenizer, which picks the vocabulary by the model."""
    yield Tokenizer(name="tiktoken", count=_count, summary="exact for OpenAI's models, offline")


@hookimpl
def register_commands() -> Iterator[Command]:
    """``wilk tokens``."""
    yield Command(name="tokens", summary="count the tokens of a text", configure=_configure, run=_run)


def _count(text: str, model: str | None = None) -> int:
    from wilk_tokens.counting import count  # the vocabulary's reader is imported by the first count

    return count(text, model)


def _configure(parser: ArgumentParser) -> None:
    from wilk_tokens.command import configure

    configure(parser)


def _run(arguments: Namespace, _store: object) -> int:
    from wilk_tokens.command import run

    return run(arguments)
