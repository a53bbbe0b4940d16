"""What a kind of source of agent packages hands over."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from wilk.settings import Settings


class RegistrySource(Protocol):
    """An open source of agent packages."""

    def index(self) -> Sequence[Mapping[str, Any]]:
        """Return what there is: mappings with ``name``, ``version``, ``location``, ``checksum`` (SHA-256)
        and, where known, category, tags, downloads, rating, description, author, size and whatever else."""

    def fetch(self, location: str, longest: int) -> bytes:
        """Return the content of a package, a ZIP archive; raises BackendError, also when it is longer."""

    def close(self) -> None:
        """Let go of connections."""


@dataclass(frozen=True, eq=False)
class Registry:
    """A kind of source of agent packages, offered by ``register_registries``.

    ``open(address, settings)`` opens the source at an address of the setting ``registries``; ``name`` is
    the scheme of such addresses (``file``, ``https``).
    """

    name: str
    open: Callable[[str, Settings], RegistrySource]
    summary: str = ""
