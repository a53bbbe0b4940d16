"""Templates of prompts: ``{name}`` is a variable, ``{{name}}`` the text ``{name}`` itself.

All other braces are what they are, so JSON and code need no escaping. A variable is a plain
name: nothing is looked up in a value, called or formatted, whatever the template says.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from wilk.errors import Invalid

_NAME = r"[^\W\d]\w*"
_VARIABLE = re.compile(rf"\{{\{{({_NAME})\}}\}}|\{{({_NAME})\}}")


def variables(*templates: str | None) -> list[str]:
    """List the variables of templates in order of appearance, each once."""
    found = (match[2] for template in templates if template for match in _VARIABLE.finditer(template))
    return list(dict.fromkeys(name for name in found if name))


def render(template: str, values: Mapping[str, Any]) -> str:
    """Put values in place of variables; raises Invalid naming those that are missing.

    A value is inserted once and never read as a template itself.
    """
    missing = [name for name in variables(template) if name not in values]
    if missing:
        raise Invalid(f"no value for {_listed(missing)}; this template takes {_listed(variables(template))}")
    return _VARIABLE.sub(lambda match: f"{{{match[1]}}}" if match[1] else str(values[match[2]]), template)


def check_given(given: Mapping[str, Any], known: list[str], what: str) -> None:
    """Raise Invalid for values that no variable of ``what`` takes."""
    unknown = [name for name in given if name not in known]
    if unknown:
        takes = f"takes {_listed(known)}" if known else "takes no variables"
        raise Invalid(f"{what} has no variable {_listed(unknown)}; it {takes}")


def _listed(names: list[str]) -> str:
    return ", ".join(f"{{{name}}}" for name in names)
