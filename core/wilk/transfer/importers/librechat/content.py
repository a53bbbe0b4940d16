"""Content parts of messages: a tool call and its output are one part in LibreChat, and two messages here."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

from wilk import codec
from wilk.errors import WilkError
from wilk.transfer.importers.librechat.fields import NAME
from wilk.transfer.reading.ejson import decode, encode_relaxed

_ABSENT: Any = object()


class Call(NamedTuple):
    """A tool call: the part that asks, and what came of it (``answered`` False: nothing)."""

    part: dict[str, Any]
    answered: bool
    output: Any


class Step(NamedTuple):
    """A message's worth of parts: what was said, and the calls that were made then."""

    parts: list[Any]
    calls: list[Call]


def steps(content: Sequence[Any], message: str, lost: Callable[[str], None]) -> list[Step]:
    """Split content where answers of tools lie between what was said."""
    made = [Step([], [])]
    for number, part in enumerate(content):
        call = _call(part, f"{message}:{number}", lost)
        if call is None:
            if made[-1].calls and any(one.answered for one in made[-1].calls):
                made.append(Step([], []))
            made[-1].parts.append(_text_part(part))
        else:
            made[-1].parts.append(call.part)
            made[-1].calls.append(call)
    return made


def text_of(parts: Sequence[Any]) -> str:
    """The text of parts, as a message here has it."""
    if len(parts) == 1:
        return _text(parts[0])
    return "\n".join(text for part in parts if (text := _text(part)))


def result(call: Call) -> list[Any]:
    """The parts of the message that answers a call."""
    return [{"type": "tool_result", "tool_call_id": call.part["id"], "content": encode_relaxed(call.output)}]


def joined(parts: Sequence[Any], results: Mapping[str, Any]) -> list[Any]:
    """Content as LibreChat has it; ``results`` are the outputs by the ids of their calls."""
    return [_joined(part, results) for part in parts]


def is_call(part: Any) -> bool:
    return isinstance(part, Mapping) and part.get("type") == "tool_call" and "name" in part


# -- in ---------------------------------------------------------------------------------------


def _text(part: Any) -> str:
    if not isinstance(part, Mapping) or part.get("type") != "text":
        return ""
    text = part.get("text")
    if isinstance(text, Mapping):
        text = text.get("value")
    return text if isinstance(text, str) else ""


def _text_part(part: Any) -> Any:
    """A part as it is kept: text is text, whatever it came wrapped in."""
    plain = encode_relaxed(part)
    if isinstance(plain, dict) and plain.get("type") == "text":
        text = plain.get("text")
        if isinstance(text, dict) and isinstance(text.get("value"), str) and NAME not in plain:
            return {**plain, "text": text["value"], NAME: {"text": text}}
    return plain


def _call(part: Any, own: str, lost: Callable[[str], None]) -> Call | None:
    """The call that a part is, whichever shape it has; None for other parts."""
    if not isinstance(part, Mapping) or part.get("type") != "tool_call":
        return None
    call = part.get("tool_call")
    if not isinstance(call, Mapping):
        return None
    call = dict(call)
    if call.pop("auth", None):
        lost("messages.content.tool_call.auth")
    more: dict[str, Any] = {}
    if beside := {name: item for name, item in part.items() if name not in ("type", "tool_call")}:
        more["part"] = beside
    function, interpreter = call.get("function"), call.get("code_interpreter")
    output: Any = None
    if isinstance(function, Mapping):
        inner = dict(call.pop("function"))
        name, output = inner.pop("name", _ABSENT), inner.pop("output", None)
        arguments = _arguments(inner, "arguments", more)
        more["function"] = inner
    elif isinstance(interpreter, Mapping):
        inner = dict(call.pop("code_interpreter"))
        name, output = "code_interpreter", inner.pop("outputs", None)
        arguments = inner
        more["interpreter"] = True
    elif "name" in call or "args" in call:
        name, output = call.pop("name", _ABSENT), call.pop("output", None)
        arguments = _arguments(call, "args", more)
    else:
        name, arguments = call.get("type"), {}
        more["bare"] = True
    if not isinstance(name, str) or not name:
        more |= {"nameless": True} if name is _ABSENT else {"name": name}
        name = "unknown"
    id = call.get("id")
    if isinstance(id, str) and id:
        del call["id"]
    else:
        id = own
        more["made"] = True
    more["call"] = call
    made = {"type": "tool_call", "id": id, "name": name}
    if arguments is not None:
        made["arguments"] = encode_relaxed(arguments)
    return Call({**made, NAME: encode_relaxed(more)}, output is not None, output)


def _arguments(call: dict[str, Any], name: str, more: dict[str, Any]) -> Any:
    """Take the arguments out of a call: an object, where they are one; ``more`` notes another spelling."""
    if name not in call:
        return None
    given = call.pop(name)
    if isinstance(given, str):
        read = _read(given)
        if read is not given and _written(read) != given:
            more["args"] = given
        return read
    more["args"] = given
    return given


def _read(text: str) -> Any:
    """The object that a text of arguments is, or the text itself."""
    if text[:1] != "{":
        return text
    try:
        value = codec.parse(text)
    except WilkError:
        return text
    return value if isinstance(value, dict) else text


def _written(value: Any) -> str | None:
    try:
        return codec.dumps(value)
    except WilkError:
        return None


# -- and back -----------------------------------------------------------------------------------


def _joined(part: Any, results: Mapping[str, Any]) -> Any:
    if not isinstance(part, Mapping):
        return decode(part)
    if is_call(part):
        return _call_part(part, results)
    more = part.get(NAME)
    plain = decode({name: item for name, item in part.items() if name != NAME} if more else part)
    if isinstance(more, Mapping) and isinstance(wrapped := more.get("text"), Mapping):
        return {**plain, "text": {**decode(wrapped), "value": part.get("text")}}
    return plain


def _call_part(part: Mapping[str, Any], results: Mapping[str, Any]) -> dict[str, Any]:
    more = part.get(NAME)
    told: Mapping[str, Any] = decode(more) if isinstance(more, Mapping) else {}
    call = dict(told.get("call") or ({} if told else {"type": "tool_call"}))
    id, name, arguments = part.get("id"), part.get("name"), decode(part.get("arguments"))
    output = decode(results.get(str(id)))
    if not told.get("made"):
        call["id"] = id
    nameless = bool(told.get("nameless")) and name == "unknown"
    if "name" in told and name == "unknown":
        name = told["name"]
    if told.get("interpreter"):
        inner = dict(arguments or {})
        if output is not None:
            inner["outputs"] = output
        call["code_interpreter"] = inner
    elif not told.get("bare"):
        inner = dict(told["function"]) if "function" in told else call
        if not nameless:
            inner["name"] = name
        if "arguments" in part or "args" in told:
            inner["arguments" if "function" in told else "args"] = _given(arguments, told)
        if output is not None:
            inner["output"] = output
        if "function" in told:
            call["function"] = inner
    made = {"type": "tool_call", "tool_call": call}
    beside = told.get("part")
    return {**made, **beside} if isinstance(beside, Mapping) else made


def _given(arguments: Any, told: Mapping[str, Any]) -> Any:
    """Arguments in the spelling that they came in, unless they are others by now."""
    if "args" in told:
        spelled = told["args"]
        if (_read(spelled) if isinstance(spelled, str) else spelled) == arguments:
            return spelled
        if not isinstance(spelled, str):
            return arguments
    return arguments if isinstance(arguments, str) else _written(arguments)
