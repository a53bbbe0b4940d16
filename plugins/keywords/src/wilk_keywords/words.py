"""The words of one store's settings, and what they add up to in a text."""

from __future__ import annotations

import logging
import re
import unicodedata
import weakref
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from wilk import SettingsError

if TYPE_CHECKING:
    from wilk import Store

logger = logging.getLogger("wilk.plugins.keywords")

_of_store: weakref.WeakKeyDictionary[Store, Words] = weakref.WeakKeyDictionary()


def words_of(store: Store) -> Words:
    """The words of a store, read once. Faulty settings are logged, and count as no words."""
    found = _of_store.get(store)
    if found is None:
        try:
            found = Words(store.settings.plugins.get("keywords") or {})
        except SettingsError as error:
            logger.error("%s; until that is corrected no word counts", error)
            found = Words({})
        _of_store[store] = found
    return found


class Words:
    """Words and phrases with what each adds to importance.

    Raises SettingsError for a section of ``config.yaml`` that is none of ours.
    """

    def __init__(self, section: Mapping[str, Any]) -> None:
        if not isinstance(section, Mapping):
            raise SettingsError(f"plugins.keywords: {section!r} is not a mapping with words")
        if unknown := set(section) - {"words"}:
            raise SettingsError(
                f"plugins.keywords: there is no {', '.join(map(repr, sorted(unknown)))}; known: words"
            )
        words = section.get("words") or {}
        if not isinstance(words, Mapping):
            raise SettingsError(
                f"plugins.keywords.words: {words!r} is not a mapping, such as {{deploy: 0.2}}"
            )
        self._words: dict[str, tuple[re.Pattern[str], float]] = {}
        for word, weight in words.items():
            self._add(word, weight)

    def _add(self, word: Any, weight: Any) -> None:
        if not isinstance(word, str) or not word.strip():
            raise SettingsError(f"plugins.keywords.words: {word!r} is not a word; put it into quotes")
        if isinstance(weight, bool) or not isinstance(weight, (int, float)) or not -1.0 <= weight <= 1.0:
            raise SettingsError(f"plugins.keywords.words.{word}: {weight!r} is not a number from -1.0 to 1.0")
        parts = _folded(word).split()
        name = " ".join(parts)
        if name in self._words:
            raise SettingsError(f"plugins.keywords.words.{word}: it stands there twice, in other letters")
        pattern = re.compile(r"(?<!\w)" + r"\s+".join(map(re.escape, parts)) + r"(?!\w)")
        self._words[name] = pattern, float(weight)

    def weight(self, text: str) -> float:
        """Add up what the words in a text count. Each counts once, whole, in capitals or not."""
        if not self._words:
            return 0.0
        folded = _folded(text)
        return sum(
            weight
            for name, (pattern, weight) in self._words.items()
            # Looking for a piece costs a tenth of the pattern, and most texts have none of them.
            if name.partition(" ")[0] in folded and pattern.search(folded)
        )


def _folded(text: str) -> str:
    """A text as it is compared: without capitals, composed letters like decomposed ones."""
    return text.lower() if text.isascii() else unicodedata.normalize("NFC", text.casefold())
