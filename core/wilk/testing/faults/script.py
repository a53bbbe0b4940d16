"""What a store is made to do while faults are done to it: steps, and what there must be after each.

The steps name their rows by a tag of their own, so that one database serves any number of runs.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from wilk.errors import NotFound
from wilk.testing.faults.steps import Rows, Step, Steps, drive

if TYPE_CHECKING:
    from wilk.store import Store


class Script(Steps):
    """What a store is led through."""

    def __init__(self, tag: str) -> None:
        self.one, self.two = f"{tag}-1", f"{tag}-2"
        self.user = f"{tag}-user"
        super().__init__(tag)

    def observe(self, store: Store) -> list[tuple[str, Any]]:
        found: list[tuple[str, Any]] = []
        for id in (self.one, self.two):
            session = store.sessions.find(id)
            if session is not None:
                found.append((f"session {id}", (session.name, session.last_sequence, session.message_count)))
                for message in store.messages.page(id, limit=1000):
                    value = (id, message.sequence, message.role, message.text, dict(message.metadata))
                    found.append((f"message {message.id}", value))
                pins = store.pins.list(id, limit=1000)
                found += [(f"pin {pin.content!r}", (id, pin.type)) for pin in pins]
            found += [
                (f"archived {entry.kind} {entry.record_id}", entry.reason)
                for entry in store.archive.list(session=id, limit=1000)
                if entry.restored_at is None
            ]
        hits = store.messages.search(self.tag, limit=1000)
        found += [(f"search for message {hit.message.id}", hit.message.text) for hit in hits]
        user = store.users.find(self.user)
        if user is not None:
            found.append((f"user {user.id}", user.name))
        state = store.state.find(self.tag)
        if state is not None:
            found.append((f"state {self.tag}", state.data))
        return found

    # -- the steps ------------------------------------------------------------------------

    def again(self, store: Store) -> None:
        store.sessions.create(id=f"{self.tag}-3")

    def make(self) -> Iterator[Step]:
        one, two = self.one, self.two
        yield self._create(one)
        yield self._append(one, 1)
        yield self._extend(one, 2, 5)
        yield Step(
            "save a session",
            lambda store: store.sessions.update(one, name="a name"),
            lambda rows: self._touch(rows, one, name="a name"),
        )
        yield Step(
            "save a user",
            lambda store: store.users.save(self.user, name="Ann"),
            lambda rows: rows.update({f"user {self.user}": "Ann"}),
        )
        yield Step(
            "pin",
            lambda store: store.pins.add(one, f"{self.tag} pin", source=self._id(one, 2)),
            lambda rows: rows.update({f"pin '{self.tag} pin'": (one, "user")}),
        )
        yield self._together()
        yield self._extend(two, 2, 4)
        yield self._append(one, 8, key=f"{self.tag}-key")
        yield Step("remove", lambda store: store.sessions.remove(two, reason="removed"), self._removed)
        yield self._undone()
        yield Step("restore", lambda store: store.archive.restore(session=two), self._restored)
        yield self._count_up(2)
        yield self._append(two, 6)
        yield self._extend(one, 9, 3)

    def _create(self, session: str) -> Step:
        return Step(
            "create a session",
            lambda store: store.sessions.create(id=session),
            lambda rows: rows.update({f"session {session}": (None, 0, 0)}),
        )

    def _append(self, session: str, number: int, key: str | None = None) -> Step:
        def act(store: Store) -> None:
            message = self._message(session, number)
            store.messages.append(session, message.pop("role"), message.pop("text"), key=key, **message)

        return Step("append", act, lambda rows: self._write(rows, session, number))

    def _extend(self, session: str, first: int, count: int) -> Step:
        numbers = range(first, first + count)

        def act(store: Store) -> None:
            store.messages.extend(session, [self._message(session, number) for number in numbers])

        def change(rows: Rows) -> None:
            for number in numbers:
                self._write(rows, session, number)

        return Step("extend", act, change)

    def _together(self) -> Step:
        """A transaction over several kinds, with a savepoint that is undone."""
        one, two = self.one, self.two

        def act(store: Store) -> None:
            with store.transaction():
                self._append(one, 7).act(store)
                with suppress(NotFound), store.transaction():
                    store.messages.append(one, "user", f"{self.tag} undone", id=f"{one}-undone", tokens=3)
                    store.messages.append("nobody", "user", tokens=3)
                store.sessions.create(id=two)
                self._append(two, 1).act(store)
                store.state.set(self.tag, 1)

        def change(rows: Rows) -> None:
            self._write(rows, one, 7)
            self._create(two).change(rows)
            self._write(rows, two, 1)
            rows[f"state {self.tag}"] = 1

        return Step("a transaction with a savepoint", act, change)

    def _undone(self) -> Step:
        def act(store: Store) -> None:
            with suppress(NotFound), store.transaction():
                store.messages.append(
                    self.one, "user", f"{self.tag} undone", id=f"{self.one}-undone", tokens=3
                )
                store.state.set(self.tag, -1)
                store.messages.append("nobody", "user", tokens=3)

        return Step("a transaction that is undone", act, lambda _: None)

    def _count_up(self, to: int) -> Step:
        def act(store: Store) -> None:
            with store.transaction():
                store.state.set(self.tag, store.state.get(self.tag).data + 1)

        return Step("count up", act, lambda rows: rows.update({f"state {self.tag}": to}))

    # -- what they change -----------------------------------------------------------------

    def _message(self, session: str, number: int) -> dict[str, Any]:
        # With its tokens, so that no tokenizer is loaded for it.
        id, text = self._id(session, number), self._text(number)
        return {"role": "user", "text": text, "id": id, "metadata": {"n": number}, "tokens": 3}

    def _id(self, session: str, number: int) -> str:
        return f"{session}-m{number}"

    def _text(self, number: int) -> str:
        return f"{self.tag} says {number}"

    def _write(self, rows: Rows, session: str, number: int) -> None:
        name, last, count = rows[f"session {session}"]
        rows[f"session {session}"] = (name, last + 1, count + 1)
        id, text = self._id(session, number), self._text(number)
        rows[f"message {id}"] = (session, last + 1, "user", text, {"n": number})
        rows[f"search for message {id}"] = text

    def _touch(self, rows: Rows, session: str, *, name: str) -> None:
        _, last, count = rows[f"session {session}"]
        rows[f"session {session}"] = (name, last, count)

    def _removed(self, rows: Rows) -> None:
        for row in list(rows):
            kind, _, id = row.partition(" ")
            if id.startswith(self.two) and kind in ("session", "message"):
                self._kept = {**getattr(self, "_kept", {}), row: rows.pop(row)}
                rows[f"archived {row}"] = "removed"
            elif row.startswith(f"search for message {self.two}"):
                self._kept = {**getattr(self, "_kept", {}), row: rows.pop(row)}

    def _restored(self, rows: Rows) -> None:
        for row in [row for row in rows if row.startswith("archived ")]:
            del rows[row]
        rows.update(self._kept)


def act(job: Mapping[str, Any], report: Any) -> None:
    """Lead a store through the script, as a process of its own."""
    from wilk.store import open_store
    from wilk.testing.faults.plugins import host, settings_of

    drive(job, report, Script(job["tag"]), lambda: open_store(settings=settings_of(job), host=host(job)))
