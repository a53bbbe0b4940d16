"""Writes definitions as YAML that people like to read: long texts as blocks, emoji as they are."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import yaml

from wilk.contracts import SchemaNode
from wilk.definitions.schema import Section

_LIKE_A_NUMBER = re.compile(r"[-+.]?\d[\d_.]*([eE][-+]?\d+)?|0o[0-7]+|[yYnN]")
"""Text that some reader of YAML, if not PyYAML, takes for something else."""

_BREAKS = re.compile("[\r\x85\u2028\u2029\ufeff]")
"""Line ends to YAML 1.1, which readers of 1.2 take for ordinary characters, and the mark of UTF-16."""

_TRAILING = re.compile(r" +$", re.M)


class _Dumper(yaml.SafeDumper):
    """PyYAML's own, because libyaml's writes emoji as escapes."""

    def increase_indent(self, flow: bool = False, indentless: bool = False) -> None:  # noqa: ARG002
        super().increase_indent(flow, False)  # lists are indented below their keys

    def ignore_aliases(self, data: Any) -> bool:  # noqa: ARG002
        return True

    def analyze_scalar(self, scalar: str) -> Any:
        """Let a text stand in a block though some of its lines end in spaces, as templates do."""
        analysis = super().analyze_scalar(scalar)
        if not analysis.allow_block and not scalar.startswith(" "):
            analysis.allow_block = super().analyze_scalar(_TRAILING.sub("", scalar)).allow_block
        return analysis

    def text(self, data: str) -> yaml.ScalarNode:
        style = "|" if "\n" in data else "'" if _LIKE_A_NUMBER.fullmatch(data) else None
        if _BREAKS.search(data):
            style = '"'
        return self.represent_scalar("tag:yaml.org,2002:str", data, style=style)


class _PlainDumper(_Dumper):
    """For what cannot stand in a block."""

    def text(self, data: str) -> yaml.ScalarNode:
        return self.represent_scalar(
            "tag:yaml.org,2002:str", data, style='"' if "\n" in data or _BREAKS.search(data) else None
        )


_Dumper.add_representer(str, _Dumper.text)
_PlainDumper.add_representer(str, _PlainDumper.text)


def dump(definition: Mapping[str, Any], *, blocks: bool = True) -> str:
    """Write a definition, with a blank line around each section. Without ``blocks``, texts are quoted."""
    pieces: list[str] = []
    spaced = False
    for key, value in definition.items():
        piece = dump_block({key: value}, blocks=blocks)
        wide = piece.count("\n") > 1
        pieces.append(f"\n{piece}" if pieces and (wide or spaced) else piece)
        spaced = wide
    return "".join(pieces) or "{}\n"


def dump_block(value: Any, *, blocks: bool = True) -> str:
    """Write a value in block style, ending with a line end."""
    dumper = _Dumper if blocks else _PlainDumper
    text: str = yaml.dump(
        value, Dumper=dumper, sort_keys=False, allow_unicode=True, width=100, default_flow_style=False
    )
    return text.removesuffix("...\n")


def dump_inline(value: Any) -> str:
    """Write a value on one line, so that it can stand among others in ``[…]`` too."""
    text: str = yaml.dump(
        [value],
        Dumper=_PlainDumper,
        sort_keys=False,
        allow_unicode=True,
        width=float("inf"),
        default_flow_style=True,
    )
    return text.strip()[1:-1]


def in_order(value: Any, schema: SchemaNode) -> Any:
    """Put the keys of a new file in the order in which its schema has them; others follow."""
    if not isinstance(value, Mapping) or not isinstance(schema, Section):
        return value
    nodes = {**schema.required, **schema.optional}
    keys = [*(key for key in nodes if key in value), *(key for key in value if key not in nodes)]
    return {key: in_order(value[key], nodes[key]) if key in nodes else value[key] for key in keys}


def in_order_of(value: Any, other: Any) -> Any:
    """Put the keys in the order in which another definition has them; others follow."""
    if not isinstance(value, Mapping) or not isinstance(other, Mapping):
        return value
    keys = [*(key for key in other if key in value), *(key for key in value if key not in other)]
    return {key: in_order_of(value[key], other.get(key)) for key in keys}
