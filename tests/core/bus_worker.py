"""A store of a process of its own, which does what it is told by lines of JSON and answers with such."""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path
from typing import Any

import wilk


class Plugin:
    """Remembers the definitions that it hears of."""

    def __init__(self) -> None:
        self.heard: list[list[Any]] = []

    @wilk.hookimpl
    def definition_synced(self, change: Any) -> None:
        self.heard.append([change.kind, change.id, change.action, change.revision])


def main(options: dict[str, Any]) -> None:
    plugin = Plugin()
    reports: list[list[Any]] = []
    home = Path(options["home"]) if options.get("home") else None
    settings = wilk.Settings(**{**options, "home": home})
    host = wilk.Host(*([plugin] if options.get("home") is None else []), disabled=settings.disabled_plugins)
    with wilk.open_store(settings=settings, host=host) as store:
        watcher = None
        print(json.dumps("ready"), flush=True)
        for line in sys.stdin:
            verb, *arguments = json.loads(line)
            answer: Any = None
            if verb == "watch":
                watcher = store.watch(
                    lambda report: reports.extend(
                        [c.kind, c.id, c.action, c.revision] for c in report.changes
                    )
                )
                time.sleep(0.3)  # the bus connects behind
            elif verb in ("set", "get", "delete", "clear"):
                answer = getattr(store.cache("x"), verb)(*arguments)
            elif verb == "save":
                answer = store.prompts.save(*arguments).revision
            elif verb == "remove":
                store.prompts.remove(*arguments)
            elif verb == "reports":
                answer = reports
            elif verb == "heard":
                answer = plugin.heard
            print(json.dumps(answer), flush=True)
        if watcher is not None:
            watcher.stop()


if __name__ == "__main__":
    main(json.loads(sys.argv[1]))
