"""What a command works with: its arguments, the store that they mean, and where it shows things."""

from __future__ import annotations

import sys
from argparse import Namespace
from functools import cached_property
from typing import TYPE_CHECKING

from wilk.cli.output import Output, is_terminal
from wilk.cli.parsing import UsageError

if TYPE_CHECKING:
    from wilk.cli.logs import Lines
    from wilk.host import Host
    from wilk.settings import Settings
    from wilk.store import Store


class Context:
    """One run of one command. Settings, host and store are made when they are first asked for."""

    def __init__(self, arguments: Namespace) -> None:
        self.arguments = arguments
        self.home: str | None = getattr(arguments, "home", None)
        self.verbose: int = getattr(arguments, "verbose", 0)
        self._logs: Lines | None = None
        self.out = Output(json=getattr(arguments, "json", False), quiet=getattr(arguments, "quiet", False))

    @cached_property
    def settings(self) -> Settings:
        """The settings, with the options of the command line over them."""
        from wilk import settings

        arguments = self.arguments
        readonly = True if getattr(arguments, "readonly", False) else None
        found = settings.load(home=self.home, url=getattr(arguments, "url", None), readonly=readonly)
        if self.verbose > 1:
            from dataclasses import replace

            found = replace(found, verbose=True, origins={**found.origins, "verbose": "argument"})
        return found

    @cached_property
    def host(self) -> Host:
        """The plugins."""
        from wilk.cli.logs import Lines
        from wilk.host import Host

        self._logs = Lines(self.verbose)
        return Host(disabled=self.settings.disabled_plugins, prefer=self.settings.choose)

    @cached_property
    def store(self) -> Store:
        """The store; the program closes it."""
        from wilk.store import open_store

        return open_store(settings=self.settings, host=self.host)

    def open_store(self) -> Store:
        """Give the store: what a plugin's command gets to call."""
        return self.store

    def close(self) -> None:
        """Close what was opened."""
        store: Store | None = self.__dict__.get("store")
        if store is not None:
            store.close()
        if self._logs is not None:
            self._logs.close()

    def confirmed(self, question: str) -> bool:
        """Ask before something is removed; ``--yes`` answers. Raises UsageError where nobody can be asked."""
        if self.arguments.yes:
            return True
        if not (is_terminal(sys.stdin) and is_terminal(sys.stderr)):
            raise UsageError(f"{question} Say so with --yes")
        sys.stderr.write(f"{question} [y/N] ")
        sys.stderr.flush()
        return sys.stdin.readline().strip().lower() in ("y", "yes")
