"""Running the files of tools: each in a module of its own, anew when it has changed.

A file that fails is quarantined with its error, and the others go on. Nothing here asks whether files
may be run: who calls this has done so.
"""

from __future__ import annotations

import itertools
import logging
import re
import sys
import threading
import traceback
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, replace
from types import ModuleType
from typing import TYPE_CHECKING, Any

from wilk.codec import text_hash
from wilk.contracts import Tool
from wilk.definitions.tool_files import HOOK
from wilk.errors import Invalid, WilkError
from wilk.services.tools.signatures import complete, first_sentence

if TYPE_CHECKING:
    from wilk.definitions.tool_files import ToolFile

logger = logging.getLogger("wilk.tools")

_NAME = re.compile(r"[A-Za-z0-9_-]{1,64}")
_numbers = itertools.count(1)  # names of modules differ, also between two stores of one process


@dataclass(frozen=True, eq=False)
class Loaded:
    """What came of a file: its tools by name, or the fault for which it has none."""

    tools: Mapping[str, Tool]
    fault: str | None
    stamp: str
    digest: str
    module: str | None


class LoadedFiles:
    """The files that one store has run."""

    def __init__(self) -> None:
        self._lock = threading.RLock()
        self._loaded: dict[str, Loaded] = {}

    def load(self, file: ToolFile) -> Loaded:
        """Run a file, unless it is as it was when it ran last."""
        with self._lock:
            known = self._loaded.get(file.path)
            if known is not None and file.fault is None and known.stamp == file.stamp:
                return known
            try:
                source = file.read()
            except Invalid as error:
                found = Loaded({}, str(error), "", "", None)
            else:
                digest = text_hash(source.decode("latin-1"))
                if known is not None and known.fault is None and known.digest == digest:
                    self._loaded[file.path] = replace(known, stamp=file.stamp)
                    return known
                found = _run(file, source, digest)
            if found.fault is not None and (known is None or known.fault != found.fault):
                logger.warning("the file of tools %s is quarantined: %s", file.path, found.fault)
            self._forget(file.path)
            self._loaded[file.path] = found
            return found

    def keep(self, folder: str, paths: Collection[str]) -> None:
        """Forget the files of a folder that are not among the paths any more."""
        with self._lock:
            for path in [path for path in self._loaded if path.rpartition("/")[0] == folder]:
                if path not in paths:
                    self._forget(path)

    def close(self) -> None:
        """Let go of every module."""
        with self._lock:
            for path in list(self._loaded):
                self._forget(path)

    def _forget(self, path: str) -> None:
        known = self._loaded.pop(path, None)
        if known is not None and known.module is not None:
            sys.modules.pop(known.module, None)


def _run(file: ToolFile, source: bytes, digest: str) -> Loaded:
    """Run a file's source in a new module, and take what it offers."""
    module = ModuleType(f"wilk_tools_{next(_numbers)}_{re.sub(r'[^a-zA-Z0-9_]', '_', file.name)}")
    module.__file__ = str(file.full)
    sys.modules[module.__name__] = module  # dataclasses and the like look there
    try:
        exec(compile(source, str(file.full), "exec", dont_inherit=True), vars(module))  # noqa: S102  (asked for)
        tools = _named(_offered(module, file.name))
    except (Exception, SystemExit) as error:
        del sys.modules[module.__name__]
        return Loaded({}, _told(error, str(file.full)), file.stamp, digest, None)
    except BaseException:
        del sys.modules[module.__name__]
        raise
    return Loaded(tools, None, file.stamp, digest, module.__name__)


def _offered(module: ModuleType, name: str) -> Iterable[Tool]:
    """What a module yields from the hook, or the one tool that its function ``run`` is."""
    hook, run = getattr(module, HOOK, None), getattr(module, "run", None)
    if hook is not None and run is not None:
        raise Invalid(f"it has both a function run and {HOOK}(); keep one")
    if hook is not None:
        if getattr(hook, "wilk_impl", None) is None:
            raise Invalid(f"its {HOOK} is not marked; write @wilk.hookimpl above it")
        return tuple(hook() or ())
    if run is None:
        raise Invalid(f"it offers no tool; write a function run, or {HOOK}() with @wilk.hookimpl")
    return (Tool(name, run, first_sentence(run) or (module.__doc__ or "").partition("\n")[0].strip()),)


def _named(offers: Iterable[Any]) -> dict[str, Tool]:
    tools: dict[str, Tool] = {}
    for tool in offers:
        if not isinstance(tool, Tool):
            raise Invalid(f"{HOOK} yields {type(tool).__name__}, not wilk.Tool")
        if not isinstance(tool.name, str) or not _NAME.fullmatch(tool.name):
            raise Invalid(
                f"the name {tool.name!r} is none that models take: 1 to 64 letters, digits, '_' and '-'"
            )
        if tool.name in tools:
            raise Invalid(f"it offers the tool {tool.name!r} twice")
        try:
            tools[tool.name] = complete(tool)
        except Invalid as error:
            raise Invalid(f"tool {tool.name!r}: {error}") from error
    return tools


def _told(error: BaseException, file: str) -> str:
    """An error in a line, with the last line of the file that it came through."""
    if isinstance(error, WilkError):
        return str(error)
    lines = [frame.lineno for frame in traceback.extract_tb(error.__traceback__) if frame.filename == file]
    if isinstance(error, SyntaxError) and error.filename == file:
        lines = [error.lineno]
    where = f"line {lines[-1]}: " if lines and lines[-1] else ""
    text = error.msg if isinstance(error, SyntaxError) else str(error)
    return f"{where}{type(error).__name__}: {text}"
