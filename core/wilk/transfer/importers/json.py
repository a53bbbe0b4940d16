"""Reads wilk's own JSON Lines: the rows and files of a store, which become those of this one."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from wilk.errors import Invalid
from wilk.transfer.own.lines import Lines, checked_header
from wilk.transfer.own.restoring import Restoring

if TYPE_CHECKING:
    from wilk.contracts import Incoming, Reading
    from wilk.store import Store
    from wilk.transfer.landing.report import Report
    from wilk.transfer.reading.sources import Source, SourceFile

_BEGIN = b'{"header":{"format":"wilk",'
_YES = ("yes", "true", "1")


def recognize(source: Source) -> str | None:
    """Tell the form by the beginning of the only file."""
    file = source.only
    if file is None:
        return None
    try:
        return "wilk's JSON Lines" if file.head(len(_BEGIN)) == _BEGIN else None
    except Invalid:
        return None


def read(source: Source, _reading: Reading) -> Iterator[Incoming]:
    """The rows of the form belong into the tables that they come from: :func:`land` writes them."""
    raise Invalid(f"{source.text}: rows of wilk's own form are written as they are")
    yield  # pragma: no cover


def land(store: Store, source: Source, report: Report, user: str | None) -> None:
    """Write the rows and files of a source into a store."""
    if user is not None:
        raise Invalid("user: what wilk exported belongs to whom it belonged; import it without a user")
    replace = report.options.get("replace", "no").lower()
    if replace not in (*_YES, "no", "false", "0"):
        raise Invalid(f"replace {replace!r}: yes or no is wanted")
    if source.only is None:
        raise Invalid(f"{source.text}: one file is wanted; it is {source.describe()}")
    _one(store, source.only, report, replace=replace in _YES)


def _one(store: Store, file: SourceFile, report: Report, *, replace: bool) -> None:
    lines = Lines(file, lambda done: report.at(done, file.size))
    restoring: Restoring | None = None
    for line in lines:
        if restoring is None:
            restoring = Restoring(store, report, checked_header(line.value, file.name), replace=replace)
        elif line.value is None:
            report.fail("lines", f"line {line.number}", line.error)
        else:
            restoring.take(line)
    if restoring is None:
        raise Invalid(f"{file.name} is empty")
    restoring.end(lines.trailer)
    for problem in lines.problems:
        report.fail("file", file.name, problem)
    report.at(file.size, file.size)
