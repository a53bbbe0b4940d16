"""Counting tokens: the heuristic that ships, and the choice of a plugin's tokenizer over it."""

from __future__ import annotations

from wilk.contracts import Tokenizer
from wilk.host import Host

HEURISTIC = "heuristic"


def estimate(text: str, model: str | None = None) -> int:  # noqa: ARG001 (as every tokenizer)
    """Estimate tokens without a vocabulary: a token per four bytes of UTF-8, rounded up.

    English prose comes out within about a fifth of what a vocabulary gives; Chinese, Japanese
    and Korean within about a third; it counts too low for digits and dense code. ``model`` is
    taken for the sake of the signature and changes nothing.
    """
    size = len(text) if text.isascii() else len(text.encode("utf-8", "surrogatepass"))
    return (size + 3) // 4


_ESTIMATE = Tokenizer(HEURISTIC, estimate, "a token per four bytes of UTF-8")


def tokenizer(host: Host, name: str) -> Tokenizer:
    """The tokenizer of that name; ``auto`` takes the one that is installed, if there is just one.

    Raises PluginError when no plugin offers the name.
    """
    if name == HEURISTIC:
        return _ESTIMATE
    if name == "auto":
        installed = host.tokenizers()
        return installed[0] if len(installed) == 1 else _ESTIMATE
    return host.tokenizer(name)
