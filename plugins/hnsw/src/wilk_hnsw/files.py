"""The files of an index: the graph, what its places stand for, and a header that names and proves both."""

from __future__ import annotations

import json
import os
import time
import zlib
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import faiss
import numpy as np

from wilk.files import private_folder, sync_folder, write_atomic

if TYPE_CHECKING:
    from pathlib import Path

    from wilk_hnsw.measures import Numbers

HEADER = "hnsw.json"
FORMAT = 1
_BLOCK = 1 << 22
_STRAY = 3600.0
_TRIES = 5


class Unfit(Exception):
    """The files do not fit; the index is built anew."""


@dataclass(frozen=True)
class Kind:
    """What must be the same for an index to go on from its files."""

    format: int
    token: str
    dimension: int
    distance: str
    connectivity: int
    expansion_add: int


@dataclass(frozen=True)
class Saved:
    """An index as its files have it. The graph is mapped, and stays where it is."""

    graph: Any
    path: Path
    last: int
    numbers: Numbers
    places: Numbers
    gone: np.ndarray[Any, np.dtype[np.bool_]]
    zeros: Numbers


def last_of(folder: Path, kind: Kind) -> int | None:
    """The last number that saved files of this kind hold; None without any."""
    try:
        header = _header(folder)
    except Unfit:
        return None
    return None if header is None or _unlike(header, kind) else int(header["last"])


def write(folder: Path, kind: Kind, graph: Any, last: int, arrays: dict[str, Any]) -> None:
    """Write an index beside the one that is there, and then say that it is the one.

    Whoever reads, or is killed, in between has the earlier one. Files of others that were killed are
    removed after an hour.
    """
    private_folder(folder)
    stem = os.urandom(6).hex()
    paths = [folder / f"{stem}.faiss", folder / f"{stem}.npz"]
    try:
        faiss.write_index(graph, str(paths[0]))
        with paths[1].open("wb") as file:
            np.savez(file, **arrays)
        files = {}
        for path in paths:
            path.chmod(0o600)
            with path.open("rb+") as file:
                os.fsync(file.fileno())
            files[path.name] = [path.stat().st_size, _checksum(path)]
    except BaseException as error:
        for path in paths:
            path.unlink(missing_ok=True)
        if isinstance(error, RuntimeError):  # the library's way to say that a disk is full
            raise OSError(f"{paths[0]}: {str(error).splitlines()[0][:200]}") from error
        raise
    sync_folder(folder)
    try:
        earlier = _header(folder)
    except Unfit:
        earlier = None
    header = {**asdict(kind), "last": last, "graph": stem, "faiss": faiss.__version__, "files": files}
    write_atomic(folder / HEADER, json.dumps(header, indent=1).encode())
    _clean(folder, stem, "" if earlier is None else str(earlier["graph"]))


def read(folder: Path, kind: Kind) -> Saved | None:
    """Read an index; None when there is none. Raises Unfit for files that are damaged, or of another kind."""
    for _ in range(_TRIES):
        header = _header(folder)
        if header is None:
            return None
        if name := _unlike(header, kind):
            raise Unfit(f"it was made with another {name}")
        try:
            return _read(folder, header)
        except FileNotFoundError:
            time.sleep(0.01)  # another process has just replaced it
    raise Unfit("a file of it is missing")


def _read(folder: Path, header: dict[str, Any]) -> Saved:
    path = folder / f"{header['graph']}.faiss"
    for name, (size, checksum) in header["files"].items():
        # The library ends the process over some damaged files, so none is shown to it.
        if (folder / name).stat().st_size != size or _checksum(folder / name) != checksum:
            raise Unfit(f"its file {name} is damaged")
    try:
        with np.load(folder / f"{header['graph']}.npz", allow_pickle=False) as arrays:
            numbers, places = arrays["numbers"], arrays["places"]
            gone, zeros = arrays["gone"], arrays["zeros"]
        graph = faiss.read_index(str(path), faiss.IO_FLAG_MMAP_IFC)
    except (RuntimeError, ValueError, KeyError) as error:
        raise Unfit(f"this version of faiss ({faiss.__version__}) cannot read it: {error}") from error
    sound = (
        isinstance(graph, faiss.IndexHNSWFlat)
        and graph.d == header["dimension"]
        and len(numbers) == len(places) == len(gone)
        and (not len(places) or places.max() < graph.ntotal)
    )
    if not sound:
        raise Unfit("its files do not belong together")
    return Saved(graph, path, int(header["last"]), numbers, places, gone, zeros)


def _header(folder: Path) -> dict[str, Any] | None:
    try:
        header = json.loads((folder / HEADER).read_bytes())
        if not isinstance(header, dict) or not isinstance(header["files"], dict):
            raise Unfit("its header is damaged")
        int(header["last"])
        stem = str(header["graph"])
        if set(header["files"]) != {f"{stem}.faiss", f"{stem}.npz"} or not stem.isalnum():
            raise Unfit("its header is damaged")
        if not all(isinstance(one, list) and len(one) == 2 for one in header["files"].values()):
            raise Unfit("its header is damaged")
    except FileNotFoundError:
        return None
    except (ValueError, TypeError, KeyError, OSError) as error:
        raise Unfit("its header is damaged") from error
    return header


def _unlike(header: dict[str, Any], kind: Kind) -> str:
    """The name of the first thing in which a header is of another kind."""
    return next((name for name, value in asdict(kind).items() if header.get(name) != value), "")


def _checksum(path: Path) -> int:
    value = 0
    with path.open("rb") as file:
        while block := file.read(_BLOCK):
            value = zlib.crc32(block, value)
    return value


def _clean(folder: Path, current: str, earlier: str) -> None:
    """Remove the files before these, and those of processes that were killed. Another process may have
    them open: where that keeps them there, they go the next time."""
    try:
        newest = _header(folder)
    except Unfit:
        return
    kept = {current} | ({str(newest["graph"])} if newest else set())
    for path in folder.iterdir():
        if path.suffix not in (".faiss", ".npz") or path.stem in kept:
            continue
        try:
            if path.stem == earlier or path.stat().st_mtime < time.time() - _STRAY:
                path.unlink()
        except OSError:
            continue
