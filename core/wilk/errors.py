"""The one error tree. Every text says what is wrong and what to do next.

::

    WilkError
    ├── NotFound             no record of that kind has that id
    │   └── ToolsMissing     tools that are asked for are not to be had
    ├── Conflict             the name, key or state is taken; nothing was written
    │   └── Protected        the record may not be changed or removed as things stand
    ├── Invalid              a value is not one that the field takes
    │   ├── InvalidDefinition  a definition file does not hold what its kind asks for
    │   ├── NotStorable      a value cannot be kept as JSON without loss
    │   └── OverBudget       what a context must hold does not fit into its budget
    ├── Rejected             a plugin's ``before_`` hook refused the change
    ├── MoveFailed           rows could not be moved into another database as they are
    ├── Busy                 another writer held the store for longer than the time limit
    ├── ReadOnly             the store was opened for reading
    ├── Closed               the store has been closed
    ├── SchemaError          the database is newer than this wilk, or not wilk's at all
    ├── BackendError         the engine below failed; its own error is the cause
    ├── SettingsError        config.yaml or a WILK_* variable holds a bad value
    ├── PluginError          a plugin is missing, quarantined, in a clash or misspelled
    └── ToolFailed           a tool raised, took too long, or gave what cannot be kept
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from wilk.records.transfer import Difference


class WilkError(Exception):
    """Base of everything that wilk raises on purpose."""


class NotFound(WilkError):
    """No record of that kind has that id; ``list`` shows the ones there are."""

    def __init__(self, kind: str, id: str, hint: str = "") -> None:
        self.kind = kind
        self.id = id
        super().__init__(f"no {kind} {id!r}{'; ' + hint if hint else ''}")


class ToolsMissing(NotFound):
    """Tools that an agent's file names, or a caller asks for, are not to be had.

    ``problems`` tells of each, by its name, why: nobody offers it, its file is broken, or the setting
    that would let its file run is off.
    """

    def __init__(self, problems: Mapping[str, str], said: str = "") -> None:
        self.problems = dict(problems)
        super().__init__("tool", ", ".join(self.problems))
        told = [f"{name}: {problem}" for name, problem in self.problems.items()]
        self.args = ("\n".join([said, *(f"  {line}" for line in told)]) if said else f"no tool {told[0]}",)


class Conflict(WilkError):
    """The name, key or state is taken; nothing was written."""


class Protected(Conflict):
    """The record may not be changed or removed as things stand."""


class Invalid(WilkError):
    """A value is not one that the field takes; the text names field, value and range."""


class NotStorable(Invalid):
    """A value cannot be kept as JSON without loss; the text names its path and type."""


class OverBudget(Invalid):
    """What a context must hold does not fit into its budget; the text tells what takes how much."""


class InvalidDefinition(Invalid):
    """A definition file does not hold what its kind asks for.

    ``problems`` are strings of the form ``path:line:column: field: what was expected``.
    """

    def __init__(self, problems: Sequence[str]) -> None:
        self.problems = tuple(problems)
        super().__init__("\n".join(self.problems))


class Rejected(WilkError):
    """A plugin's ``before_`` hook refused the change; nothing was written.

    Plugins raise it from ``before_save`` and the like with a text for the user.
    """


class MoveFailed(WilkError):
    """Rows could not be moved into another database as they are; nothing was switched over.

    ``differences`` are the first ones: their kind, key, and why the target does not take them.
    """

    def __init__(self, text: str, differences: Sequence[Difference] = ()) -> None:
        self.differences = tuple(differences)
        super().__init__(text)


class Busy(WilkError):
    """Another writer held the store for longer than the time limit; try again later."""


class ReadOnly(WilkError):
    """The store was opened with ``readonly``; open it without to write."""


class Closed(WilkError):
    """The store has been closed; open it again with ``wilk.open_store``."""


class SchemaError(WilkError):
    """The database is newer than this wilk, or not wilk's at all."""


class BackendError(WilkError):
    """The engine below failed; its own error is the cause."""


class SettingsError(WilkError):
    """``config.yaml`` or a ``WILK_*`` variable holds a bad value."""


class PluginError(WilkError):
    """A plugin is missing, quarantined, in a clash or misspelled."""


class ToolFailed(WilkError):
    """A tool raised, took too long, or gave what cannot be kept; its own error is the cause.

    ``tool`` is its name, ``call_id`` the id of the tool call in the log, which holds the error's text.
    """

    def __init__(self, tool: str, call_id: str, text: str) -> None:
        self.tool = tool
        self.call_id = call_id
        super().__init__(f"tool {tool!r} failed: {text}")
