"""Variables of prompts: LibreChat's ``{{name}}`` and ``{{name:one|other}}`` as ``{name}``, and back."""

from __future__ import annotations

import re
from typing import Any

_THEIRS = re.compile(r"\{\{\s*([^\W\d][\w ]*?)\s*(?::([^{}]*))?\}\}")
_OURS = re.compile(r"\{\{([^\W\d]\w*)\}\}|\{([^\W\d]\w*)\}")
_BARE = re.compile(r"\{([^\W\d]\w*)\}")

SPECIAL = {
    "current_date": "the date of today and the day of the week",
    "current_datetime": "date and time, local",
    "iso_datetime": "date and time, UTC, ISO 8601",
    "current_user": "the name of the user",
}
"""What LibreChat fills in by itself."""


def ours(text: str) -> tuple[str, dict[str, dict[str, Any]]]:
    """A text as a template here, and what is known of its variables."""
    found: dict[str, dict[str, Any]] = {}
    made, done = "", 0
    for variable in _THEIRS.finditer(text):
        made += _BARE.sub(r"{{\1}}", text[done : variable.start()])
        done = variable.end()
        name = re.sub(r" +", "_", variable[1])
        told = found.setdefault(name, {})
        if name in SPECIAL:
            told["description"] = SPECIAL[name]
        if variable[2] is not None:
            options = [one.strip() for one in variable[2].split("|")]
            told |= {"description": f"one of {', '.join(options)}", "options": options}
        made += f"{{{name}}}"
    made += _BARE.sub(r"{{\1}}", text[done:])
    return made, found


def theirs(template: str, described: Any) -> str:
    """A template as LibreChat has it."""

    def written(variable: re.Match[str]) -> str:
        if variable[1]:
            return f"{{{variable[1]}}}"
        told = described.get(variable[2]) if isinstance(described, dict) else None
        options = told.get("options") if isinstance(told, dict) else None
        if isinstance(options, list) and options:
            return f"{{{{{variable[2]}:{'|'.join(map(str, options))}}}}}"
        return f"{{{{{variable[2]}}}}}"

    return _OURS.sub(written, template)
