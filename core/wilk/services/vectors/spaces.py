"""The spaces of vectors: made, found, written to. One space holds one collection by one model."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

from wilk import codec, models
from wilk.engine import Engine
from wilk.errors import Conflict, Invalid
from wilk.models.statements import param

if TYPE_CHECKING:
    from wilk.services.keeping.archiver import Archiver

DISTANCES = ("cosine", "dot", "euclidean")
MOST_DIMENSIONS = 65_536
_DEEPEST = 8
_LONGEST = 400
_CHUNK = 500
_SIZES = (1, 16, 64, 256, 1024)
_T = TypeVar("_T")


class Space(NamedTuple):
    """A space as its row has it."""

    id: int
    collection: str
    kind: str | None
    model: str
    embedder: str | None
    dimension: int
    distance: str
    state: str
    token: str
    last_number: int
    count: int  # type: ignore[assignment]  # nobody counts the values of a record
    cursor: str | None
    created_at: int
    updated_at: int


class Entry(NamedTuple):
    """One vector to be written; ``data`` is float32, little-endian."""

    record_id: str
    part: int
    data: bytes
    metadata: Mapping[str, Any]
    content_hash: str | None = None


def spaces(engine: Engine, collection: str | None = None) -> list[Space]:
    """The spaces that are active or being built: all of them, or those of a collection."""
    if collection is None:
        return [Space(*row) for row in engine.fetch("vector_spaces.open", _all_open)]
    return [Space(*row) for row in engine.fetch("vector_spaces.of", _open_of, (collection,))]


def active(engine: Engine, collection: str) -> Space | None:
    """The space in which a collection is searched."""
    return next((one for one in spaces(engine, collection) if one.state == "active"), None)


def make(
    engine: Engine,
    collection: str,
    *,
    model: str,
    dimension: int,
    distance: str,
    state: str = "active",
    kind: str | None = None,
    embedder: str | None = None,
) -> Space:
    """Make a space. Raises Invalid for a dimension that cannot be, and Conflict if there is an active one."""
    if not 1 <= dimension <= MOST_DIMENSIONS:
        raise Invalid(f"dimension {dimension}: 1 to {MOST_DIMENSIONS} values are wanted")
    now = engine.clock.now()
    row = (
        collection,
        kind,
        model,
        embedder,
        dimension,
        distance,
        state,
        engine.clock.new_id(),
        0,
        0,
        None,
        now,
        now,
    )
    with engine.transaction():
        try:
            engine.execute(engine.statement("vector_spaces.insert", _insert).sql, row)
        except Conflict as error:
            raise Conflict(f"there is a collection {collection!r} already") from error
        found = [one for one in spaces(engine, collection) if one.token == row[7]]
    return found[0]


def advance(engine: Engine, space: int, n: int) -> int:
    """Take the next ``n`` numbers of a space, and return the last of them. Writers to it take turns."""
    rows = engine.fetch("vector_spaces.advance", _advance, (n, n, engine.clock.now(), space))
    return int(rows[0][0])


def write(
    engine: Engine, archiver: Archiver, space: Space, entries: Sequence[Entry], *, now: int | None = None
) -> int:
    """Write vectors into a space, in the caller's transaction; return the last number given.

    A vector of the same record and part is replaced: it gets a new number, so that indexes see it. Of
    several for one record and part the last one counts.
    """
    entries = list({(one.record_id, one.part): one for one in entries}.values())
    last = advance(engine, space.id, len(entries))  # first: it keeps other writers of the space out
    fresh = last == len(entries)
    there = {} if fresh else _numbers(engine, space.id, [one.record_id for one in entries])
    now = engine.clock.now() if now is None else now
    rows, replaced, tagged = [], [], []
    for number, one in enumerate(entries, last - len(entries) + 1):
        if (earlier := there.get((one.record_id, one.part))) is not None:
            replaced.append(earlier)
        text = codec.dumps(dict(one.metadata)) if one.metadata else None
        rows.append(
            (space.id, number, space.kind, one.record_id, one.part, one.data, one.content_hash, text, now)
        )
        if one.metadata:
            tagged.append((number, one.metadata))
    statement = engine.statement("vectors.set" if replaced else "vectors.insert", _set if replaced else _add)
    engine.insert_many(statement, rows)
    if replaced:
        engine.execute(engine.statement("vector_spaces.recount", _recount).sql, (len(replaced), space.id))
        one_tag: Any = models.VectorTag
        for start in range(0, len(replaced), _CHUNK):
            some = one_tag.number.in_(replaced[start : start + _CHUNK])
            archiver.drop_derived(models.VectorTag, (one_tag.space_id == space.id) & some)
    tag(engine, space.id, tagged)
    return last


def tag(engine: Engine, space: int, tagged: Iterable[tuple[int, Mapping[str, Any]]]) -> None:
    """Write the values of vectors' metadata by which they can be filtered."""
    rows = [
        (space, number, key, text, real) for number, metadata in tagged for key, text, real in tags(metadata)
    ]
    if rows:
        engine.insert_many(engine.statement("vector_tags.insert", _tag), rows)


def tag_of(value: Any) -> tuple[str, float | None]:
    """A single value as tags hold it: its JSON, and its number where it is one.

    Raises Invalid for what is no text, number, boolean or null. 1 and 1.0 are one value.
    """
    if isinstance(value, str):
        if len(value) > _LONGEST:  # not every engine can keep it in an index
            value = f"{value[:_LONGEST]}…{codec.text_hash(codec.dumps(value))}"
        return codec.dumps(value), None
    if isinstance(value, bool) or value is None:
        return codec.dumps(value), None
    if isinstance(value, (int, float)):
        try:
            real = float(value)
        except OverflowError:
            raise Invalid(f"{value!r}: a number that large cannot be filtered by") from None
        whole = real.is_integer() and abs(real) < 2**53
        return codec.dumps(int(real) if whole else value), real
    raise Invalid(f"{value!r}: a text, a number, true, false or null is wanted")


def tags(metadata: Mapping[str, Any]) -> Iterator[tuple[str, str, float | None]]:
    """Every single value of metadata under its dotted key; each item of a list counts."""
    waiting: list[tuple[str, Any, int]] = [(str(key), value, 1) for key, value in metadata.items()]
    while waiting:
        key, value, depth = waiting.pop()
        if isinstance(value, Mapping):
            if depth < _DEEPEST:
                waiting += [(f"{key}.{name}", inner, depth + 1) for name, inner in value.items()]
        elif isinstance(value, (list, tuple)):
            waiting += [(key, inner, depth + 1) for inner in value if not isinstance(inner, (list, tuple))]
        elif value is None or isinstance(value, (str, bool, int, float)):
            yield (key, *tag_of(value))


def parts(values: Sequence[_T]) -> Iterator[list[_T]]:
    """Values in parts of few sizes, so that few statements do for any number; the last one fills up."""
    for start in range(0, len(values), _SIZES[-1]):
        some = list(values[start : start + _SIZES[-1]])
        size = next(size for size in _SIZES if size >= len(some))
        yield some + some[-1:] * (size - len(some))


def _numbers(engine: Engine, space: int, ids: Sequence[str]) -> dict[tuple[str, int], int]:
    """The numbers of what a space holds of records, by record and part."""
    found: dict[tuple[str, int], int] = {}
    for some in parts(ids):
        size = len(some)
        rows = engine.fetch(f"vectors.numbers.{size}", partial(_numbers_of, size), (space, *some))
        found.update({(id, part): number for id, part, number in rows})
    return found


def _numbers_of(size: int) -> Any:
    one: Any = models.Vector
    ids = [param("record_id") for _ in range(size)]
    return one.select(one.record_id, one.part, one.number).where(
        one.space == param("space"), one.record_id.in_(ids)
    )


def _fields() -> list[Any]:
    return models.fields_of(models.VectorSpace, Space)


def _all_open() -> Any:
    from peewee import SQL  # with Peewee; see wilk.models

    one = models.VectorSpace
    return one.select(*_fields()).where(one.state.in_(SQL("('active', 'building')"))).order_by(one.id)


def _open_of() -> Any:
    return _all_open().where(models.VectorSpace.collection == param("collection"))


def _insert() -> Any:
    one = models.VectorSpace
    return one.insert({getattr(one, name): param(name) for name in Space._fields if name != "id"})


def _advance() -> Any:
    one = models.VectorSpace
    return (
        one.update(
            {
                one.last_number: one.last_number + param("n"),
                one.count: one.count + param("count"),
                one.updated_at: param("now"),
            }
        )
        .where(one.id == param("id"))
        .returning(one.last_number)
    )


def _recount() -> Any:
    one = models.VectorSpace
    return one.update({one.count: one.count - param("count")}).where(one.id == param("id"))


_WRITTEN = ("space", "number", "kind", "record_id", "part", "data", "content_hash", "metadata", "created_at")


def _add() -> Any:
    one = models.Vector
    return one.insert({getattr(one, name): param(name) for name in _WRITTEN})


def _set() -> Any:
    one = models.Vector
    return _add().on_conflict(
        conflict_target=[one.space, one.record_id, one.part],
        preserve=[one.number, one.data, one.content_hash, one.metadata, one.created_at],
    )


def _tag() -> Any:
    one = models.VectorTag
    return one.insert(
        {getattr(one, name): param(name) for name in ("space_id", "number", "key", "text", "real")}
    )
