"""The async face of what comes in and goes out: imports and exports."""

from __future__ import annotations

from wilk.aio.nouns import Noun, aside, reading
from wilk.transfer.exports import Exports
from wilk.transfer.imports import Imports


class AsyncImports(Noun):
    """The verbs of imports, awaited."""

    run = aside(Imports.run)
    recognize = aside(Imports.recognize)
    importers = reading(Imports.importers)
    list = reading(Imports.list)


class AsyncExports(Noun):
    """The verbs of exports, awaited."""

    run = aside(Exports.run)
    exporters = reading(Exports.exporters)
