"""Signatures of functions as JSON Schemas: what a tool takes, and where it wants its context."""

from __future__ import annotations

import inspect
import types
import typing
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from typing import Any

from wilk import codec
from wilk.contracts import Tool, ToolContext
from wilk.errors import Invalid, NotStorable

_SCALARS: dict[Any, str] = {
    str: "string",
    bool: "boolean",
    int: "integer",
    float: "number",
    type(None): "null",
}
_MAPPINGS = (dict, Mapping)
_TYPES = "str, int, float, bool, list, dict, Literal or a union of these"


def complete(tool: Tool) -> Tool:
    """Give a tool the summary of its docstring and the schema of its signature, where it has none.

    Raises Invalid for a tool that cannot be called by name, or whose schema is none.
    """
    if not callable(tool.run):
        raise Invalid(f"its run is {type(tool.run).__name__}, not a function")
    parameters = tool.parameters or schema_of(tool.run)
    if not isinstance(parameters, Mapping) or not isinstance(parameters.get("properties") or {}, Mapping):
        raise Invalid("its parameters are no JSON Schema of an object")
    if (context := context_of(tool.run)) in (parameters.get("properties") or {}):
        raise Invalid(f"its parameter {context} is a ToolContext, and in its parameters as well")
    try:
        codec.dumps(parameters)
    except NotStorable as error:
        raise Invalid(f"its parameters are no JSON: {error}") from error
    return replace(tool, parameters=parameters, summary=tool.summary or first_sentence(tool.run))


def first_sentence(thing: Any) -> str:
    """The first paragraph of a docstring, as one line."""
    return " ".join((inspect.getdoc(thing) or "").partition("\n\n")[0].split())


def context_of(run: Callable[..., Any]) -> str | None:
    """The name of the parameter in which a tool wants its :class:`ToolContext`, if it does."""
    try:
        parameters = _signature(run).parameters.values()
    except Invalid:  # a function of another language, whose tool says itself what it takes
        return None
    return next((one.name for one in parameters if _is_context(one.annotation)), None)


def schema_of(run: Callable[..., Any]) -> dict[str, Any]:
    """The JSON Schema of what a function takes by name. Raises Invalid where its signature has none."""
    properties: dict[str, Any] = {}
    required = []
    open_ended = False
    for parameter in _signature(run).parameters.values():
        if _is_context(parameter.annotation):
            continue
        if parameter.kind is parameter.VAR_KEYWORD:
            open_ended = True
            continue
        if parameter.kind in (parameter.VAR_POSITIONAL, parameter.POSITIONAL_ONLY):
            raise Invalid(f"its parameter {parameter.name} cannot be given by name")
        annotation = parameter.annotation
        if isinstance(annotation, str):
            raise Invalid(
                f"the type {annotation!r} of its parameter {parameter.name} is not known in its module"
            )
        try:
            schema = _schema(annotation)
        except TypeError:
            raise Invalid(
                f"the type {_named(annotation)} of its parameter {parameter.name} has no JSON form; "
                f"use {_TYPES}, or give the tool parameters"
            ) from None
        if parameter.default is parameter.empty:
            required.append(parameter.name)
        else:
            with suppress(NotStorable):  # then the function knows its default, and a model cannot
                schema = {**schema, "default": codec.loads(codec.dumps(parameter.default))}
        properties[parameter.name] = schema
    made: dict[str, Any] = {"type": "object", "properties": properties}
    if required:
        made["required"] = required
    made["additionalProperties"] = open_ended
    return made


def _signature(run: Callable[..., Any]) -> inspect.Signature:
    try:
        return inspect.signature(run, eval_str=True)
    except (NameError, AttributeError, TypeError, SyntaxError, ValueError):
        pass  # a name that only a type checker sees
    try:
        return inspect.signature(run)
    except (TypeError, ValueError) as error:
        raise Invalid(f"its signature cannot be read ({error}); give the tool parameters") from error


def _is_context(annotation: Any) -> bool:
    if isinstance(annotation, str):
        return annotation.strip("\"' ").rpartition(".")[2] == ToolContext.__name__
    return annotation is ToolContext or ToolContext in typing.get_args(annotation)


def _schema(annotation: Any) -> dict[str, Any]:
    """The schema of one type; raises TypeError where JSON has none."""
    if annotation is Any or annotation is inspect.Parameter.empty or annotation is object:
        return {}
    if annotation is None:
        return {"type": "null"}
    if isinstance(annotation, type) and annotation in _SCALARS:
        return {"type": _SCALARS[annotation]}
    origin, arguments = typing.get_origin(annotation), typing.get_args(annotation)
    if origin is typing.Annotated:
        said = next((one for one in arguments[1:] if isinstance(one, str)), None)
        schema = _schema(arguments[0])
        return schema if said is None else {**schema, "description": said}
    if origin is typing.Literal:
        codec.dumps(list(arguments))
        return {"enum": list(arguments)}
    if origin in (typing.Union, types.UnionType):
        return _union([_schema(one) for one in arguments])
    kind = origin or annotation
    if kind is list or kind is Sequence:
        return {"type": "array", **({"items": _schema(arguments[0])} if arguments else {})}
    if kind in _MAPPINGS:
        if arguments and arguments[0] is not str:
            raise TypeError(annotation)
        values = _schema(arguments[1]) if arguments else {}
        return {"type": "object", **({"additionalProperties": values} if values else {})}
    raise TypeError(annotation)


def _union(schemas: list[dict[str, Any]]) -> dict[str, Any]:
    if {} in schemas:
        return {}
    if all(schema.keys() == {"type"} for schema in schemas):
        return {"type": [schema["type"] for schema in schemas]}
    return {"anyOf": schemas}


def _named(annotation: Any) -> str:
    return annotation.__name__ if isinstance(annotation, type) else str(annotation)
