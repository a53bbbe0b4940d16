"""A conversation as a request for its summary, and the answer as a summary."""

from __future__ import annotations

import json
import logging
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from wilk import SettingsError
from wilk_openai.client import Client, EndpointError
from wilk_openai.options import Options, options_of

if TYPE_CHECKING:
    from wilk import Message, Store

logger = logging.getLogger("wilk.plugins.openai")

_LEAST_LEFT = 16
"""Tokens of a message that are sent however long the conversation is."""


def summary(store: Store, section: Any, messages: Sequence[Message], longest: int) -> str | None:
    """Let the model summarize; None without a model, and, with a warning in the log, after a failure."""
    try:
        options = options_of(section)
        if not options.model or not messages:
            return None
        with Client(options) as client:
            answer = client.post("chat/completions", request(store, options, messages, longest))
            return _checked(answer, client)
    except (EndpointError, SettingsError) as error:
        logger.warning("no summary by a model: %s; wilk makes its own", error)
        return None


def request(store: Store, options: Options, messages: Sequence[Message], longest: int) -> dict[str, Any]:
    """The body of the request: what the model is told, and the conversation as a transcript."""
    texts = shortened(store, options, [_spoken(message) for message in messages])
    lines = [
        f"[{message.role}{f' {message.agent_id}' if message.agent_id else ''}]\n{text}"
        for message, text in zip(messages, texts, strict=True)
    ]
    return {
        "model": options.model,
        "messages": [
            {"role": "system", "content": f"{options.prompt} Use at most {longest} characters."},
            {"role": "user", "content": "\n\n".join(lines)},
        ],
        **options.body,
    }


def shortened(store: Store, options: Options, texts: Sequence[str]) -> list[str]:
    """Leave out the middle of the longest texts until all of them have at most ``max_input_tokens``.

    Short ones stay whole, so that an output of a hundred pages does not push out what was said of it.
    """
    sizes = [store.count_tokens(text, model=options.model) for text in texts]
    room = _fair_share(sizes, options.max_input_tokens)
    return [text if size <= room else _cut(text, size, room) for text, size in zip(texts, sizes, strict=True)]


def _fair_share(sizes: Sequence[int], budget: int) -> int:
    """The most that one text may have, so that all together fit: the short leave theirs to the long."""
    for count, size in zip(range(len(sizes), 0, -1), sorted(sizes), strict=True):
        share = budget // count
        if size > share:
            return max(share, _LEAST_LEFT)
        budget -= size
    return max(sizes, default=0)


def _cut(text: str, size: int, room: int) -> str:
    kept = len(text) * room // size
    left_out = len(text) - kept
    begin, end = kept * 2 // 3, kept - kept * 2 // 3
    return f"{text[:begin]} [… {left_out} characters left out …] {text[len(text) - end :]}"


def _spoken(message: Message) -> str:
    """What a message says: its text, or its parts as JSON where it has no text."""
    text: str = message.text
    if not text and message.parts is not None:
        text = json.dumps(message.parts, ensure_ascii=False, default=str)
    # A lone surrogate cannot be sent.
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


def _checked(answer: Any, client: Client) -> str:
    """The summary in an answer; raises EndpointError where there is none that can be used."""
    try:
        choice = answer["choices"][0]
        text = choice["message"]["content"]
        reason = choice.get("finish_reason")
    except (KeyError, IndexError, TypeError, AttributeError):
        shown = client.without_key(json.dumps(answer, ensure_ascii=False))[:200]
        raise EndpointError(f"an answer without choices[0].message.content: {shown}") from None
    shown = client.without_key(repr(reason))[:100]
    if not isinstance(text, str) or not text.strip():
        raise EndpointError(f"an answer without text (finish_reason {shown})")
    if reason not in (None, "stop"):
        raise EndpointError(f"an answer that does not end by itself (finish_reason {shown})")
    return str(text.strip())
