"""Where tools come from: an agent's folder, the home folder's, and plugins, the nearest first."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from wilk.contracts import Tool
from wilk.definitions import tool_files
from wilk.definitions.tool_files import ToolFile
from wilk.errors import Invalid, PluginError
from wilk.records.conversation import ToolInfo
from wilk.services.tools.files import LoadedFiles
from wilk.services.tools.signatures import complete

if TYPE_CHECKING:
    from wilk.definitions.catalog import Catalog
    from wilk.host import Host


class Shelf:
    """The tools of one store. Files are run only when the setting ``custom_tools`` is on."""

    def __init__(
        self, host: Host, catalog: Callable[[], Catalog], home: Path | None, *, runs_files: bool
    ) -> None:
        self._host = host
        self._catalog = catalog
        self._home = home
        self._runs_files = runs_files
        self._files = LoadedFiles()

    def find(self, name: str, agent: str | None) -> Tool | str:
        """The tool of a name, or why it is not to be had."""
        off = None
        faults = []
        for files in self._folders(agent):
            offering = []
            for file in files:
                if file.is_folder:
                    faults.append(f"{file.path}: {file.fault}")
                elif not self._runs_files:
                    off = off or (file.path if file.offers(name) else None)
                elif (offers := file.offers(name)) is not False:
                    loaded = self._files.load(file)
                    if name in loaded.tools:
                        offering.append((file.path, loaded.tools[name]))
                    elif loaded.fault is not None:
                        fault = f"the file {file.path} is quarantined: {loaded.fault}"
                        if offers:
                            return fault
                        faults.append(fault)
            if len(offering) > 1:
                return f"{' and '.join(path for path, _ in offering)} both offer it; take it out of one"
            if offering:
                return offering[0][1]
        try:
            return complete(self._host.tool(name))
        except Invalid as error:
            return f"a plugin offers it, and {error}"
        except PluginError as error:
            if off is not None:
                return (
                    f"the file {off} would provide it, but files of tools are not run; "
                    "set custom_tools: true in config.yaml to let them (they can do what you can)"
                )
            told = str(error) if self._is_known(name) else self._unknown(name, agent)
            return "; ".join([told, *faults])

    def _unknown(self, name: str, agent: str | None) -> str:
        from difflib import get_close_matches

        known = self.names(agent)
        close = get_close_matches(name, known, 1)
        hint = f"did you mean {close[0]!r}?" if close else f"there is {', '.join(sorted(known)) or 'none'}"
        return f"no plugin and no file offers it; {hint}"

    def names(self, agent: str | None) -> list[str]:
        """The names of all tools that there are, those that are not ready too."""
        return sorted({info.name for info in self.all(agent)})

    def all(self, agent: str | None) -> list[ToolInfo]:
        """All tools by name, of equals the one first that goes first."""
        found: dict[str, list[ToolInfo]] = {}
        for info in self._infos(agent):
            found.setdefault(info.name, []).append(info)
        for infos in found.values():
            ready = [info for info in infos if info.status in ("ready", "broken")]
            for place, info in enumerate(infos):
                if ready and info.status == "ready" and info is not ready[0]:
                    infos[place] = info._replace(
                        status="hidden", problem=f"the one of {ready[0].origin} goes first"
                    )
        return [info for name in sorted(found) for info in found[name]]

    def close(self) -> None:
        """Let go of the modules of files."""
        self._files.close()

    # -- files ----------------------------------------------------------------------------

    def _folders(self, agent: str | None) -> Iterator[Sequence[ToolFile]]:
        """The files of an agent, if one is given, and those for all."""
        if self._home is None:
            return
        folders = [tool_files.FOLDER]
        if agent is not None:
            folders.insert(0, tool_files.folder_of_agent(self._catalog().places()["agents"], agent))
        for folder in folders:
            files = tool_files.listed(self._home, folder)
            self._files.keep(folder, {file.path for file in files})
            yield files

    def _infos(self, agent: str | None) -> Iterator[ToolInfo]:
        owners = [agent, None] if agent is not None else [None]
        for owner, files in zip(owners, self._folders(agent), strict=False):
            seen: dict[str, str] = {}
            for file in files:
                for info in self._of_file(file, owner):
                    first = seen.setdefault(info.name, file.path)
                    if first != file.path and info.status == "ready":
                        info = info._replace(status="broken", problem=f"{first} offers it too; keep one")
                    yield info
        for name, label in self._plugins().items():
            try:
                tool = complete(self._host.tool(name))
            except (PluginError, Invalid) as error:
                yield ToolInfo(name, "", {}, label, None, "broken", str(error))
            else:
                yield ToolInfo(name, tool.summary, tool.parameters, label, None, "ready", None)

    def _of_file(self, file: ToolFile, owner: str | None) -> Iterator[ToolInfo]:
        if not self._runs_files:
            for name in file.names():
                yield ToolInfo(name, "", {}, file.path, owner, "off", file.fault or "custom_tools is off")
            return
        loaded = self._files.load(file)
        if loaded.fault is not None:
            for name in file.names():
                yield ToolInfo(name, "", {}, file.path, owner, "broken", loaded.fault)
        for tool in loaded.tools.values():
            yield ToolInfo(tool.name, tool.summary, tool.parameters, file.path, owner, "ready", None)

    # -- plugins --------------------------------------------------------------------------

    def _is_known(self, name: str) -> bool:
        """Whether a plugin offers a name, or would if it were sound and not disabled."""
        return name in self._plugins() or any(
            plugin.status in ("quarantined", "disabled")
            and (plugin.name == name or f"tools.{name}" in plugin.offers)
            for plugin in self._host.plugins(load=False)
        )

    def _plugins(self) -> Mapping[str, str]:
        """The names that plugins offer, and which plugin does."""
        with suppress(PluginError):  # two offer one name: told where that name is asked for
            self._host.tools()
        offered: dict[str, str] = {}
        for plugin in self._host.plugins(load=False):
            if plugin.status != "loaded":
                continue
            label = f"plugin {plugin.name}" + (f" ({plugin.distribution})" if plugin.distribution else "")
            for offer in plugin.offers:
                if offer.startswith("tools."):
                    name = offer.removeprefix("tools.")
                    offered[name] = f"{offered[name]} and {label}" if name in offered else label
        return offered
