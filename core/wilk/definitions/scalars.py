"""What an unquoted YAML scalar means: YAML 1.1 as PyYAML has it, without its surprises."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import Any

from yaml.resolver import Resolver

from wilk.definitions.schema import in_words

_PREFIX = "tag:yaml.org,2002:"
_BY_FIRST_CHARACTER: dict[str, list[tuple[str, Any]]] = Resolver.yaml_implicit_resolvers
_TRUE = frozenset({"yes", "true", "on"})


class NotPlain(ValueError):
    """A scalar that readers of YAML take for different things; the text says what to write."""


@lru_cache(maxsize=4096)
def plain(text: str) -> Any:
    """Give the value of an unquoted scalar; raises NotPlain for a number with a leading zero.

    Dates and clock times (``2026-01-31``, ``12:30``) are the text that was written.
    """
    for tag, pattern in _BY_FIRST_CHARACTER.get(text[:1], ()):
        if pattern.match(text):
            convert = _IMPLICIT.get(tag)
            try:
                return text if convert is None else convert(text)
            except NotPlain:
                raise
            except ValueError:  # 0x_, or thousands of digits
                raise NotPlain(
                    f"{in_words(text)} looks like a number but is none; write it in quotes"
                ) from None
    return text


def _boolean(text: str) -> bool:
    return text.lower() in _TRUE


def _explicit_boolean(text: str) -> bool:
    if text.lower() not in _TRUE | {"no", "false", "off"}:
        raise ValueError
    return _boolean(text)


def _nothing(_text: str) -> None:
    return None


def _integer(text: str) -> int | str:
    if ":" in text:
        return text
    digits = text.replace("_", "")
    body = digits.lstrip("+-")
    if body[:2].lower() in ("0b", "0x"):
        return int(digits, 0)
    if len(body) > 1 and body[0] == "0":
        octal, decimal = int(digits, 8), int(digits)
        raise NotPlain(
            f"{text} is the number {octal} to some readers and {decimal} to others; "
            f"write it without the leading 0, or as '{text}'"
        )
    return int(digits)


def _float(text: str) -> float | str:
    if ":" in text:
        return text
    digits = text.replace("_", "").lower()
    sign, body = ("-", digits[1:]) if digits[0] == "-" else ("", digits.lstrip("+"))
    if body in (".inf", ".nan"):
        return float(sign + body[1:])
    return float(sign + body)


_IMPLICIT: dict[str, Callable[[str], Any]] = {
    _PREFIX + "bool": _boolean,
    _PREFIX + "null": _nothing,
    _PREFIX + "int": _integer,
    _PREFIX + "float": _float,
}

EXPLICIT: dict[str, Callable[[str], Any]] = {
    _PREFIX + "str": str,
    _PREFIX + "bool": _explicit_boolean,
    _PREFIX + "null": _nothing,
    _PREFIX + "int": _integer,
    _PREFIX + "float": _float,
}
"""Converters of the tags that a file may write before a scalar (``!!str 12``)."""
