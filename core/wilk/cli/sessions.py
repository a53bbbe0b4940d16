"""``wilk sessions``: conversations."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from wilk.cli.choosing import chosen_session, session_argument
from wilk.cli.output import Styled, moment, word
from wilk.cli.parsing import Verb, completed, count, days, mapping
from wilk.cli.transcript import show_messages, show_tool_calls
from wilk.errors import WilkError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from wilk.cli.context import Context
    from wilk.cli.parsing import Parser
    from wilk.records.conversation import Session
    from wilk.records.memory import Summary


def commands() -> dict[str, Verb]:
    """The verbs."""
    return {
        "list": Verb(_list, "list sessions, the latest activity first", _list_arguments),
        "show": Verb(_show, "show a session with its last messages", _show_arguments),
        "new": Verb(_new, "begin a session", _new_arguments),
        "set": Verb(_set, "change a session's settings", _set_arguments),
        "save": Verb(_save, "keep a session for good", _save_arguments),
        "use": Verb(
            _use, "make a session the current one, which other commands take if none is named", _use_arguments
        ),
        "fork": Verb(_fork, "begin a new session with a copy of another's messages", _fork_arguments),
        "remove": Verb(
            _remove, "move a session with its messages and tool calls into the archive", _remove_arguments
        ),
    }


def _list_arguments(parser: Parser) -> None:
    kept = parser.add_mutually_exclusive_group()
    kept.add_argument(
        "--saved", dest="saved", action="store_true", default=None, help="those that are kept for good"
    )
    kept.add_argument("--temporary", dest="saved", action="store_false", help="those that are not")
    parser.add_argument("--status", metavar="STATUS", help="active, paused, completed or archived")
    completed(parser.add_argument("--user", metavar="ID", help="those of a user"), "users")
    completed(parser.add_argument("--group", metavar="ID", help="those of a group"), "groups")
    parser.add_argument("--days", type=days, metavar="N", help="those with activity in the last N days")
    parser.add_argument("--limit", type=count, default=50, metavar="N", help="at most N (50)")


def _show_arguments(parser: Parser) -> None:
    session_argument(parser, optional=True)
    parser.add_argument("--last", type=count, default=10, metavar="N", help="how many messages (10)")


def _new_arguments(parser: Parser) -> None:
    parser.add_argument("name", nargs="?", help="what it is about")
    parser.add_argument("--id", help="an id of your own")
    _settings_arguments(parser)
    parser.add_argument("--saved", action="store_true", help="keep it for good")
    parser.add_argument("--use", action="store_true", help="make it the current one")


def _set_arguments(parser: Parser) -> None:
    session_argument(parser)
    parser.add_argument("--name", help="what it is about")
    parser.add_argument("--status", metavar="STATUS", help="active, paused, completed or archived")
    parser.add_argument("--recap", metavar="TEXT", help="a brief description")
    _settings_arguments(parser)


def _settings_arguments(parser: Parser) -> None:
    completed(
        parser.add_argument(
            "--agent", action="append", metavar="ID", help="an active agent; may be repeated"
        ),
        "agents",
    )
    completed(parser.add_argument("--persona", metavar="ID", help="a persona"), "personas")
    parser.add_argument("--model", help="the model (that of the persona, else the setting default_model)")
    parser.add_argument(
        "--strategy", metavar="NAME", help="how a context is fitted: discard, summarize or hybrid"
    )
    parser.add_argument("--max-tokens", type=count, metavar="N", help="the context budget")
    parser.add_argument("--directory", metavar="DIR", help="the working directory")
    completed(parser.add_argument("--user", metavar="ID", help="whose session it is"), "users")
    completed(parser.add_argument("--group", metavar="ID", help="the group that it belongs to"), "groups")
    parser.add_argument("--metadata", type=mapping, metavar="JSON", help="more about it, as a JSON object")


def _save_arguments(parser: Parser) -> None:
    session_argument(parser, optional=True)
    parser.add_argument("--temporary", action="store_true", help="make it temporary again")


def _use_arguments(parser: Parser) -> None:
    session_argument(parser)


def _fork_arguments(parser: Parser) -> None:
    session_argument(parser)
    parser.add_argument("--at", type=int, metavar="N", help="the number of the last message to copy")
    parser.add_argument("--name", help="the name of the new one")


def _remove_arguments(parser: Parser) -> None:
    session_argument(parser)
    parser.add_argument("--reason", default="removed", help="why; the archive keeps it")
    parser.add_argument("-y", "--yes", action="store_true", help="do not ask")


def _list(context: Context) -> None:
    arguments = context.arguments
    sessions = context.store.sessions.list(
        user=arguments.user,
        group=arguments.group,
        saved=arguments.saved,
        status=arguments.status,
        limit=arguments.limit,
    )
    if arguments.days is not None:
        from datetime import UTC, datetime, timedelta

        since = datetime.now(UTC) - timedelta(days=arguments.days)
        sessions = [session for session in sessions if session.updated_at > since]  # the latest come first
    if context.out.json:
        context.out.document(sessions)
    elif not sessions:
        context.out.note("no sessions; `wilk sessions new NAME` begins one")
    else:
        _table(context, sessions)


def _table(context: Context, sessions: Sequence[Session]) -> None:
    current = _current(context)
    rows = [
        [
            Styled(session.id, "cyan"),
            session.name or "",
            _state(session, current),
            str(session.message_count),
            session.model,
            moment(session.updated_at),
        ]
        for session in sessions
    ]
    context.out.table(["ID", "NAME", "STATE", "MESSAGES", "MODEL", "LAST ACTIVITY"], rows, right=[3])


def _current(context: Context) -> Session | None:
    """The current session; a list does without it where there is none to be read."""
    try:
        return context.store.sessions.current()
    except WilkError:
        return None


def _state(session: Session, current: Session | None) -> str:
    words = ["saved" if session.saved else "temporary"]
    if session.status != "active":
        words.append(session.status)
    if current is not None and current.id == session.id:
        return Styled(", ".join(["current", *words]), "green")
    return ", ".join(words)


def _show(context: Context) -> None:
    store, out = context.store, context.out
    session = chosen_session(context, context.arguments.session)
    messages = store.messages.last(session.id, context.arguments.last)
    calls = store.tool_calls.list(session.id)
    summaries = store.summaries.list(session.id)
    if out.json:
        out.document({"session": session, "messages": messages, "tool_calls": calls, "summaries": summaries})
        return
    fork = None if session.fork_of is None else f"{session.fork_of} up to message {session.fork_sequence}"
    out.fields(
        [
            ("session", Styled(session.id, "cyan")),
            ("name", session.name),
            ("state", _state(session, None)),
            ("model", session.model),
            ("agents", word(session.active_agents)),
            ("persona", session.persona_id),
            ("user", session.user_id),
            ("group", session.group_id),
            ("context", f"{session.context_strategy}, {session.max_tokens} tokens"),
            ("directory", session.working_directory),
            ("recap", session.recap),
            ("copy of", fork),
            ("metadata", word(session.metadata)),
            ("begun", session.created_at),
            ("last activity", session.updated_at),
            ("messages", session.message_count),
            ("summaries", _compacted(summaries)),
        ]
    )
    show_messages(out, messages)
    earlier = session.message_count - len(messages)
    if earlier > 0:
        out.note(
            Styled(
                f"… and {earlier} before; `wilk messages list --session {session.id} --last N` shows more",
                "dim",
            )
        )
    show_tool_calls(out, calls)


def _compacted(summaries: Sequence[Summary]) -> str | None:
    """What summaries there are, and which messages lie in the archive for them."""
    if not summaries:
        return None
    ranges = [f"{one.first_sequence} to {one.last_sequence}" for one in summaries if one.compacted]
    if not ranges:
        return str(len(summaries))
    return f"{len(summaries)}; messages {', '.join(ranges)} are compacted (`wilk memory uncompact`)"


def _new(context: Context) -> None:
    arguments, sessions = context.arguments, context.store.sessions
    with context.store.transaction():
        session = sessions.create(
            id=arguments.id,
            name=arguments.name,
            agents=arguments.agent or (),
            persona=arguments.persona,
            model=arguments.model,
            context_strategy=arguments.strategy,
            max_tokens=arguments.max_tokens,
            working_directory=arguments.directory,
            user=arguments.user,
            group=arguments.group,
            metadata=arguments.metadata,
            saved=arguments.saved,
        )
        if arguments.use:
            sessions.use(session.id)
    context.out.result(session, f"began session {session.id}", id=session.id)


def _set(context: Context) -> None:
    """Change the fields that are given; an empty text takes one away where it may be missing."""
    from wilk.services.arguments import UNSET

    arguments, sessions = context.arguments, context.store.sessions

    def given(value: Any) -> Any:
        return UNSET if value is None else value or None

    session = sessions.update(
        chosen_session(context, arguments.session).id,
        name=given(arguments.name),
        status=UNSET if arguments.status is None else arguments.status,
        recap=given(arguments.recap),
        agents=UNSET if arguments.agent is None else [name for name in arguments.agent if name],
        persona=given(arguments.persona),
        model=UNSET if arguments.model is None else arguments.model,
        context_strategy=UNSET if arguments.strategy is None else arguments.strategy,
        max_tokens=UNSET if arguments.max_tokens is None else arguments.max_tokens,
        working_directory=given(arguments.directory),
        user=given(arguments.user),
        group=given(arguments.group),
        metadata=UNSET if arguments.metadata is None else arguments.metadata,
    )
    context.out.result(session, f"changed session {session.id}", id=session.id)


def _save(context: Context) -> None:
    session = chosen_session(context, context.arguments.session)
    session = context.store.sessions.save(session.id, saved=not context.arguments.temporary)
    context.out.result(
        session, f"session {session.id} is {'kept for good' if session.saved else 'temporary'}"
    )


def _use(context: Context) -> None:
    session = context.store.sessions.use(chosen_session(context, context.arguments.session).id)
    context.out.result(session, f"session {session.id} is the current one")


def _fork(context: Context) -> None:
    arguments = context.arguments
    source = chosen_session(context, arguments.session)
    fork = context.store.sessions.fork(source.id, at=arguments.at, name=arguments.name)
    context.out.result(
        fork, f"began session {fork.id} with {fork.message_count} messages of {source.id}", id=fork.id
    )


def _remove(context: Context) -> int:
    session = chosen_session(context, context.arguments.session)
    name = f" ({session.name})" if session.name else ""
    what = f"session {session.id}{name} with {session.message_count} messages"
    if not context.confirmed(f"Move {what} into the archive?"):
        context.out.note("nothing was changed")
        return 1
    context.store.sessions.remove(session.id, reason=context.arguments.reason)
    context.out.result(session, f"moved {what} into the archive; `wilk archive list` shows it")
    return 0
