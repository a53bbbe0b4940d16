"""Reads what goes before it goes, and notes what is to be looked for afterwards."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from wilk import codec
from wilk.care.forgetting.closure import Found, Key, Reader
from wilk.care.forgetting.needles import Needles
from wilk.care.forgetting.rows import Rows, name, names
from wilk.errors import WilkError


def gather(
    rows: Rows, found: Found, needles: Needles, read: Reader | None = None, *, known: Found | None = None
) -> None:
    """Note what the rows that were found say, but for those that were ``known`` before."""
    before = {} if known is None else {table: keys for table, _, keys in known.rows()}
    for table, key, keys in found.rows():
        fresh = keys - before.get(table, set())
        if table == "archive":
            for row in _archived(rows, [one[0] for one in fresh], read):
                needles.row(row)
        elif table == "vectors":
            _vectors(rows, fresh, needles)
        else:
            for row in contents(rows, table, key, fresh):
                needles.row(row)
    for ids in found.gone.ids.values():
        needles.ids(ids)


def contents(rows: Rows, table: str, key: Sequence[str], keys: Iterable[Key]) -> Iterator[dict[str, Any]]:
    """The rows of these keys, whole."""
    columns = list(rows.columns[table])
    if len(key) == 1:
        for row in rows.where(table, columns, key[0], [one[0] for one in keys]):
            yield dict(zip(columns, row, strict=True))
        return
    condition = " AND ".join(f"{name(one)} = {rows.mark}" for one in key)
    for values in keys:
        for row in rows.execute(
            f"SELECT {names(columns)} FROM {name(table)} WHERE {condition}", list(values)
        ):
            yield dict(zip(columns, row, strict=True))


def _archived(rows: Rows, entries: Iterable[int], read: Reader | None) -> Iterator[dict[str, Any]]:
    place = rows.has("archive", "place")
    for data, where in rows.where("archive", ["data", "place" if place else "pk"], "pk", entries):
        if data is not None:
            yield {"data": data}
        elif place and where is not None and read is not None:
            try:
                yield {"data": codec.dumps(read([(None, where)])[0])}
            except WilkError:
                continue


def _vectors(rows: Rows, keys: Iterable[Key], needles: Needles) -> None:
    wanted = ["record_id", "data", "metadata"]
    for record, data, metadata in rows.where("vectors", wanted, "pk", [one[0] for one in keys]):
        needles.ids([record])
        needles.vector(bytes(data))
        needles.row({"metadata": metadata})
