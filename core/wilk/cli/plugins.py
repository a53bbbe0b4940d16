"""``wilk plugins``: what is installed, and how it fares."""

from __future__ import annotations

from typing import TYPE_CHECKING

from wilk.cli.output import Styled, word
from wilk.cli.parsing import Verb

if TYPE_CHECKING:
    from wilk.cli.context import Context
    from wilk.host import PluginInfo

_STYLES = {"loaded": "green", "quarantined": "red", "disabled": "yellow"}


def commands() -> Verb:
    """The command."""
    return Verb(_plugins, "import every plugin, and show how that went and what it offers")


def _plugins(context: Context) -> None:
    from wilk.cli.logs import silenced

    host, out = context.host, context.out
    with silenced("wilk.host"):  # what it would warn of stands in the table
        plugins = host.plugins()
    if out.json:
        out.document(plugins)
        return
    rows = [
        [
            Styled(plugin.name, "cyan"),
            plugin.distribution or "-",
            plugin.version or "-",
            Styled(plugin.status, _STYLES.get(plugin.status, "")),
            "" if plugin.seconds is None else f"{plugin.seconds * 1000:.0f} ms",
            _brings(plugin),
        ]
        for plugin in plugins
    ]
    out.table(["PLUGIN", "PACKAGE", "VERSION", "STATUS", "IMPORT", "OFFERS AND HOOKS"], rows, right=[4])
    for plugin in plugins:
        if plugin.error:
            out.line()
            out.line(Styled(plugin.name, "red"), f"is quarantined: {plugin.error}")


def _brings(plugin: PluginInfo) -> str:
    events = [hook for hook in plugin.hooks if not hook.startswith("register_")]
    return word([*plugin.offers, *events])
