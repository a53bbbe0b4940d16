"""Working memory: labelled blocks with a limit, which an agent keeps up to date itself.

A block belongs to a session, an agent, a user, or to the store, and its label is unique there. The
limit is in tokens, as in Letta's memory blocks (https://docs.letta.com) it is in characters.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from wilk import clock, codec, models
from wilk.contracts import Tokenizer
from wilk.engine import Engine
from wilk.errors import Invalid, NotFound, Protected
from wilk.events import Events
from wilk.models.statements import param
from wilk.records.decoding import decoder
from wilk.records.memory import Block
from wilk.services import checks
from wilk.services.arguments import UNSET, Unset
from wilk.services.checks import limit as limits
from wilk.services.keeping.archiver import Archiver
from wilk.services.memory.origins import check_session, check_user

MAX_TOKENS = 500
"""The limit of a block that is given none."""

_LONGEST_LABEL = 200
_decoded = decoder(Block)


class Blocks:
    """The working memory of a store.

    Verbs take at most one owner (``session``, ``agent`` or ``user``); without one they mean the
    store's own blocks, which concern every session.
    """

    def __init__(
        self, engine: Engine, events: Events, archiver: Archiver, tokenizer: Callable[[], Tokenizer]
    ) -> None:
        self._engine = engine
        self._events = events
        self._archiver = archiver
        self._tokenizer = tokenizer

    def set(
        self,
        label: str,
        value: str | Unset = UNSET,
        *,
        session: str | None = None,
        agent: str | None = None,
        user: str | None = None,
        description: str | Unset | None = UNSET,
        max_tokens: int | Unset = UNSET,
        read_only: bool | Unset = UNSET,
        metadata: Mapping[str, Any] | Unset = UNSET,
    ) -> Block:
        """Make a block, or change the given fields of the one with that label.

        A new one may hold 500 tokens by the store's tokenizer. Raises Invalid for a value over the
        limit, NotFound for an unknown session or user, and Protected for a read-only block, unless
        ``read_only=False`` is given.
        """
        owner = _owner(session, agent, user)
        _check_label(label)
        with self._engine.transaction():
            block = self._find(label, owner)
            now = clock.to_datetime(self._engine.clock.now())
            if block is None:
                self._check_owner(owner)
                block = Block(
                    id=self._engine.clock.new_id(), owner_kind=owner[0], owner_id=owner[1], label=label,
                    value="", description=None, max_tokens=MAX_TOKENS, read_only=False, metadata={},
                    created_at=now, updated_at=now,
                )  # fmt: skip
            elif block.read_only and read_only is not False:
                raise _read_only(block)
            if value is not UNSET:
                block = block._replace(value=_value(value))
            if description is not UNSET:
                block = block._replace(
                    description=None if description is None else checks.filled("description", description)
                )
            if max_tokens is not UNSET:
                block = block._replace(max_tokens=checks.whole("max_tokens", max_tokens, least=1))
            if read_only is not UNSET:
                block = block._replace(read_only=checks.flag("read_only", read_only))
            if metadata is not UNSET:
                block = block._replace(metadata=checks.mapping("metadata", metadata))
            return self._write(block._replace(updated_at=now))

    def append(
        self,
        label: str,
        text: str,
        *,
        session: str | None = None,
        agent: str | None = None,
        user: str | None = None,
    ) -> Block:
        """Add text at the end of a block, as it stands. Raises what :meth:`set` raises, and NotFound."""
        with self._engine.transaction():
            block = self._writable(label, session, agent, user)
            return self._change(block, block.value + _value(text))

    def replace(
        self,
        label: str,
        old: str,
        new: str,
        *,
        session: str | None = None,
        agent: str | None = None,
        user: str | None = None,
    ) -> Block:
        """Put ``new`` in the place of ``old``, which must stand in the block exactly once."""
        if not isinstance(old, str) or not old:
            raise Invalid(f"old {old!r}: the text to be replaced is wanted")
        with self._engine.transaction():
            block = self._writable(label, session, agent, user)
            times = _occurrences(block.value, old)
            if times != 1:
                fault = "does not stand" if not times else f"stands {times} times"
                raise Invalid(
                    f"old {old!r} {fault} in block {label!r}; give a piece that stands in it exactly once"
                )
            return self._change(block, block.value.replace(old, _value(new)))

    def get(
        self, label: str, *, session: str | None = None, agent: str | None = None, user: str | None = None
    ) -> Block:
        """Return the block; raises NotFound."""
        owner = _owner(session, agent, user)
        block = self._find(label, owner)
        if block is None:
            raise NotFound("block", label, f"{_whose(owner)} has none of that label")
        return block

    def find(
        self, label: str, *, session: str | None = None, agent: str | None = None, user: str | None = None
    ) -> Block | None:
        """Return the block, or None."""
        return self._find(label, _owner(session, agent, user))

    def list(
        self,
        *,
        session: str | None = None,
        agent: str | None = None,
        user: str | None = None,
        limit: int = 1000,
    ) -> Sequence[Block]:
        """List the blocks of an owner by label; without one the store's own."""
        return self._of(_owner(session, agent, user), limits(limit))

    def for_session(self, session_id: str) -> Sequence[Block]:
        """List the blocks that concern a session: the store's, its user's, its active agents', its own."""
        with self._engine.snapshot():
            rows = self._engine.fetch("blocks.owners", _owners, (session_id,))
            if not rows:
                raise NotFound("session", session_id)
            user, agents = rows[0]
            owners = [("store", "")]
            if user is not None:
                owners.append(("user", user))
            found = codec.kept(agents, list) if agents else []
            owners += [("agent", agent) for agent in dict.fromkeys(found) if isinstance(agent, str)]
            owners.append(("session", session_id))
            return [block for owner in owners for block in self._of(owner)]

    def remove(
        self,
        label: str,
        *,
        session: str | None = None,
        agent: str | None = None,
        user: str | None = None,
        reason: str = "removed",
    ) -> Block:
        """Archive a block, and remove it; return its last state. Raises Protected for a read-only one."""
        with self._engine.transaction():
            block = self._writable(label, session, agent, user)
            self._archiver.remove("block", models.Block.id == block.id, reason=reason)
            self._events.deleted("block", block)
            return block

    # -- one block ------------------------------------------------------------------------

    def _find(self, label: str, owner: tuple[str, str]) -> Block | None:
        return next(iter(_decoded(self._engine.fetch("blocks.find", _find, (*owner, label)))), None)

    def _of(self, owner: tuple[str, str], limit: int = 1000) -> Sequence[Block]:
        return _decoded(self._engine.fetch("blocks.list", _list, (*owner, limit)))

    def _writable(self, label: str, session: str | None, agent: str | None, user: str | None) -> Block:
        block = self.get(label, session=session, agent=agent, user=user)
        if block.read_only:
            raise _read_only(block)
        return block

    def _change(self, block: Block, value: str) -> Block:
        now = clock.to_datetime(self._engine.clock.now())
        return self._write(block._replace(value=value, updated_at=now))

    def _write(self, block: Block) -> Block:
        tokens = self._tokenizer().count(block.value, None)
        if tokens > block.max_tokens:
            raise Invalid(
                f"value of block {block.label!r} has {tokens} tokens, {tokens - block.max_tokens} over its "
                f"limit of {block.max_tokens}; shorten it, or set a higher max_tokens"
            )
        model: Any = models.Block
        values = dict(zip(_fields(), block, strict=True))
        changed = {field: values[field] for field in _fields() if field.name in _CHANGEABLE}
        self._engine.run(
            model.insert(values).on_conflict(
                conflict_target=[model.owner_kind, model.owner_id, model.label], update=changed
            )
        )
        self._events.saving("block", block)
        return block

    def _check_owner(self, owner: tuple[str, str]) -> None:
        kind, id = owner
        if kind == "session":
            check_session(self._engine, id)
        elif kind == "user":
            check_user(self._engine, id)


_CHANGEABLE = {"value", "description", "max_tokens", "read_only", "metadata", "updated_at"}


def _owner(session: str | None, agent: str | None, user: str | None) -> tuple[str, str]:
    """The kind and id of a block's owner: at most one is given."""
    given = [
        (kind, checks.filled(kind, id))
        for kind, id in (("session", session), ("agent", agent), ("user", user))
        if id is not None
    ]
    if len(given) > 1:
        raise Invalid(f"{' and '.join(kind for kind, _ in given)}: a block has one owner; give one of them")
    return given[0] if given else ("store", "")


def _whose(owner: tuple[str, str]) -> str:
    return f"{owner[0]} {owner[1]!r}" if owner[1] else "the store itself"


def _read_only(block: Block) -> Protected:
    return Protected(f"block {block.label!r} is read-only; to change it, set it with read_only=False first")


def _check_label(label: str) -> None:
    if len(checks.filled("label", label)) > _LONGEST_LABEL:
        raise Invalid(f"label {label[:40]!r}…: at most {_LONGEST_LABEL} characters are wanted")


def _value(value: str) -> str:
    if not isinstance(value, str) or codec.storable_text(value)[1] is not None:
        raise Invalid(f"value {checks.shown(value)}: a text without NUL and lone surrogates is wanted")
    return value


def _occurrences(text: str, piece: str) -> int:
    """How many times a piece stands in a text, overlapping ones too: any of them may be meant."""
    times, place = 0, text.find(piece)
    while place >= 0:
        times, place = times + 1, text.find(piece, place + 1)
    return times


# -- statements, compiled once per store ---------------------------------------------------


def _fields() -> list[Any]:
    return models.fields_of(models.Block, Block)


def _select() -> Any:
    model: Any = models.Block
    return model.select(*_fields()).where(
        model.owner_kind == param("owner_kind"), model.owner_id == param("owner_id")
    )


def _find() -> Any:
    return _select().where(models.Block.label == param("label"))


def _list() -> Any:
    return _select().order_by(models.Block.label).limit(param("limit"))


def _owners() -> Any:
    session: Any = models.Session
    return session.select(session.user, session.active_agents).where(session.id == param("id"))
