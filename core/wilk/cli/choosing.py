"""Which session a command means: by id, by the beginning of its id, by name, or the current one."""

from __future__ import annotations

from typing import TYPE_CHECKING

from wilk.cli.parsing import completed
from wilk.errors import Conflict, NotFound, WilkError

if TYPE_CHECKING:
    from wilk.cli.context import Context
    from wilk.cli.parsing import Parser
    from wilk.records.conversation import Session

_LOOKED_AT = 1000


def session_argument(
    parser: Parser, *, optional: bool = False, option: bool = False, default: str = "the current session"
) -> None:
    """Add the argument that names a session; ``default`` says what is meant where it may be left out."""
    text = "its id, the beginning of its id, or its name"
    if option:
        action = parser.add_argument("-s", "--session", metavar="SESSION", help=f"{text} ({default})")
    elif optional:
        action = parser.add_argument("session", metavar="SESSION", nargs="?", help=f"{text} ({default})")
    else:
        action = parser.add_argument("session", metavar="SESSION", help=text)
    completed(action, "sessions")


def chosen_session(context: Context, named: str | None) -> Session:
    """Return the session; raises NotFound, Conflict for a name that several have, and WilkError for none."""
    sessions = context.store.sessions
    if named is None:
        if context.store.home is None:
            raise WilkError("without a home folder no session is current; name one, or give --home DIR")
        current = sessions.current()
        if current is None:
            raise WilkError("no session is current; name one, or choose one with `wilk sessions use ID`")
        return current
    if (session := sessions.find(named)) is not None:
        return session
    meant = [session for session in sessions.list(limit=_LOOKED_AT) if named and session.id.startswith(named)]
    meant = meant or [session for session in sessions.list(limit=_LOOKED_AT) if session.name == named]
    if not meant:
        raise NotFound("session", named, "`wilk sessions list` shows the ones there are")
    if len(meant) > 1:
        ids = ", ".join(session.id for session in meant[:3])
        raise Conflict(
            f"{named!r} may be any of {len(meant)} sessions: {ids}{', …' if len(meant) > 3 else ''}"
        )
    return meant[0]
