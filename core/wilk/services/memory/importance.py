"""How important a message is, 0.0–1.0: the table of the Kalito guide, applied when it is written.

========= ====== =========================================
role      base   added
========= ====== =========================================
user      0.6    0.2 for a question, 0.1 for code
assistant 0.5    0.3 for a solution, 0.2 for an explanation
others    0.5    nothing
========= ====== =========================================

The sum is capped at 1.0. A pin is 0.8, one of the type ``auto`` 0.7, a summary 0.7. What counts as
a question, code, a solution or an explanation is read off the text's surface, in English; a host that
knows better passes ``importance`` itself, a plugin implements ``score_importance``.
"""

from __future__ import annotations

import re

from wilk.errors import Invalid

PIN = 0.8
"""The importance of a pin that is given none."""

AUTO_PIN = 0.7
"""The importance of a pin that a program set by itself."""

SUMMARY = 0.7
"""The importance of a summary that is given none."""


class _Trait:
    """A trait of a text: a pattern, and plain pieces of which one must occur for it to match.

    Looking for the pieces costs a tenth of the pattern, and most texts have none of them.
    """

    def __init__(self, pattern: str, pieces: tuple[str, ...]) -> None:
        self._pattern = re.compile(pattern, re.MULTILINE)
        self._pieces = pieces

    def of(self, lowered: str) -> bool:
        for piece in self._pieces:
            if piece in lowered:
                return self._pattern.search(lowered) is not None
        return False


_ASKING = (
    "who ", "what ", "what's ", "when ", "where ", "why ", "how ", "how's ", "which ", "can ", "could ",
    "should ", "is ", "are ", "do ", "does ",
)  # fmt: skip
_QUESTION = _Trait(r"\?(?:\s|$)", ("?",))
_CODE = _Trait(
    r"```|^(?: {4}|\t)\S|\b(?:def|class|function|import|const|let|var) \w+\s*[(:={.]"
    r"|\bselect\b.+\bfrom\b|[{};]\s*$",
    (
        "```", "\n    ", "\n\t", "def ", "class ", "function ", "import ", "const ", "let ", "var ",
        "select ", "{", "}", ";",
    ),
)  # fmt: skip
_SOLUTION = _Trait(
    r"\b(?:fix(?:ed|es)?|solution|solve[ds]?|resolve[ds]?|instead of|works? now|try this|you can)\b",
    ("fix", "solution", "solve", "instead of", "works now", "work now", "try this", "you can"),
)
_EXPLANATION = _Trait(
    r"\b(?:because|therefore|means? that|the reason|in other words|this is why|due to)\b",
    (
        "because",
        "therefore",
        "means that",
        "mean that",
        "the reason",
        "in other words",
        "this is why",
        "due to",
    ),
)
_LOOKED_AT = 4000
"""Characters of a text that are looked at: the surface of a long output says no more."""


def score(role: str, text: str) -> float:
    """Score one message by the table above."""
    if role == "user":
        lowered = text[:_LOOKED_AT].lower()
        asks = lowered.startswith(_ASKING) or _QUESTION.of(lowered)
        return (6 + 2 * asks + _CODE.of(lowered)) / 10
    if role == "assistant":
        lowered = text[:_LOOKED_AT].lower()
        return (5 + 3 * _SOLUTION.of(lowered) + 2 * _EXPLANATION.of(lowered)) / 10
    return 0.5


def of_pin(type: str) -> float:
    """The importance of a pin that is given none, by its type."""
    return AUTO_PIN if type == "auto" else PIN


def check(importance: float) -> float:
    """Return an importance that lies in its range, or raise Invalid."""
    if (
        isinstance(importance, bool)
        or not isinstance(importance, (int, float))
        or not 0.0 <= importance <= 1.0
    ):
        raise Invalid(f"importance {importance!r}: a number from 0.0 to 1.0 is wanted")
    return float(importance)
