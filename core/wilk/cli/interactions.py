"""``wilk interactions``: exchanges with users, and all that carries an exchange's id."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from wilk.cli import kept
from wilk.cli.output import Styled, moment, word
from wilk.cli.parsing import Verb, completed, mapping

if TYPE_CHECKING:
    from collections.abc import Sequence

    from wilk.cli.context import Context
    from wilk.cli.parsing import Parser
    from wilk.records.learning import Interaction


def commands() -> dict[str, Verb]:
    """The verbs."""
    return {
        "add": Verb(_add, "keep an exchange with a user", _add_arguments),
        "list": Verb(_list, "list interactions, the latest first", _list_arguments),
        "show": Verb(_show, "show an interaction with its actions", _one),
        "search": Verb(_search, "find interactions by the words of the user's query", _search_arguments),
        "related": Verb(_related, "show all that carries the id of an interaction", _one),
        "archive": Verb(_archive, "move old interactions into the archive", _archive_arguments),
        "remove": Verb(_remove, "move an interaction into the archive", _remove_arguments),
    }


def _add_arguments(parser: Parser) -> None:
    parser.add_argument("query", metavar="TEXT", help="what the user asked")
    parser.add_argument("--id", help="the correlation id; left out, one is made")
    completed(parser.add_argument("--session", metavar="ID", help="its session, by its id"), "sessions")
    completed(parser.add_argument("--user", metavar="ID", help="its user"), "users")
    completed(parser.add_argument("--agent", metavar="ID", help="its agent"), "agents")
    parser.add_argument("--confidence", type=float, metavar="X", help="how sure the agent was, 0.0 to 1.0")
    parser.add_argument("--success", choices=("yes", "no"), help="whether it went well")
    parser.add_argument(
        "--feedback-type", default="none", help="approval, correction, followup, clarification, none"
    )
    parser.add_argument("--feedback", metavar="TEXT", help="what the user said of it")
    parser.add_argument("--tag", action="append", default=[], help="a tag; may be given again")
    parser.add_argument("--metadata", type=mapping, metavar="JSON", help="more about it, as a JSON object")


def _list_arguments(parser: Parser) -> None:
    completed(
        parser.add_argument("--session", metavar="ID", help="those of a session, by its id"), "sessions"
    )
    completed(parser.add_argument("--user", metavar="ID", help="those of a user"), "users")
    completed(parser.add_argument("--agent", metavar="ID", help="those of an agent"), "agents")
    parser.add_argument("--feedback-type", help="approval, correction, followup, clarification, none")
    parser.add_argument("--success", choices=("yes", "no"), help="those that went well, or not")
    parser.add_argument("--tag", help="those with a tag")
    parser.add_argument("--since", metavar="TIME", help="those since then, such as 2026-01-31T12:00:00Z")
    kept.limit_argument(parser)


def _one(parser: Parser) -> None:
    completed(parser.add_argument("id", metavar="ID", help="its id"), "interactions")


def _search_arguments(parser: Parser) -> None:
    parser.add_argument("text", metavar="TEXT", help="words; all of them must be there")
    completed(parser.add_argument("--session", metavar="ID", help="of a session, by its id"), "sessions")
    completed(parser.add_argument("--user", metavar="ID", help="of a user"), "users")
    kept.limit_argument(parser)


def _archive_arguments(parser: Parser) -> None:
    parser.add_argument(
        "--before", required=True, metavar="TIME", help="older ones than that, such as 2026-01-31T12:00:00Z"
    )
    kept.remove_arguments(parser)


def _remove_arguments(parser: Parser) -> None:
    _one(parser)
    kept.remove_arguments(parser)


def _add(context: Context) -> None:
    arguments = context.arguments
    interaction = context.store.interactions.add(
        arguments.query,
        id=arguments.id,
        session=arguments.session,
        user=arguments.user,
        agent=arguments.agent,
        confidence=arguments.confidence,
        success=_yes(arguments.success),
        feedback_type=arguments.feedback_type,
        user_feedback=arguments.feedback,
        tags=arguments.tag,
        metadata=arguments.metadata,
    )
    context.out.result(interaction, f"kept interaction {interaction.id}", id=interaction.id)


def _list(context: Context) -> None:
    arguments = context.arguments
    found = context.store.interactions.list(
        session=arguments.session,
        user=arguments.user,
        agent=arguments.agent,
        feedback_type=arguments.feedback_type,
        success=_yes(arguments.success),
        tag=arguments.tag,
        since=arguments.since,
        limit=arguments.limit,
    )
    _table(context, found)


def _search(context: Context) -> None:
    arguments = context.arguments
    found = context.store.interactions.search(
        arguments.text, session=arguments.session, user=arguments.user, limit=arguments.limit
    )
    _table(context, found)


def _table(context: Context, found: Sequence[Interaction]) -> None:
    if context.out.json:
        context.out.document(found)
    elif not found:
        context.out.note("no interactions")
    else:
        rows = [
            [
                Styled(one.id, "cyan"),
                moment(one.created_at),
                one.user_id or "",
                word(one.success),
                "" if one.feedback_type == "none" else one.feedback_type,
                one.user_query,
            ]
            for one in found
        ]
        context.out.table(["ID", "TIME", "USER", "SUCCESS", "FEEDBACK", "QUERY"], rows, whole=[0])


def _show(context: Context) -> None:
    interactions, out = context.store.interactions, context.out
    interaction = interactions.get(context.arguments.id)
    actions = interactions.actions(interaction.id)
    if out.json:
        out.document({**interaction._asdict(), "actions": actions})
        return
    out.fields(interaction._asdict().items())
    if actions:
        out.line()
        rows = [
            [str(one.position), one.action_type, one.target or "", one.status, one.error or word(one.result)]
            for one in actions
        ]
        out.table(["", "ACTION", "TARGET", "STATUS", "RESULT"], rows, right=[0])


def _related(context: Context) -> None:
    found, out = context.store.interactions.related(context.arguments.id), context.out
    if out.json:
        out.document(found)
        return
    rows: list[list[str]] = []
    if found.interaction is not None:
        one = found.interaction
        rows.append(["interaction", one.id, moment(one.created_at), one.user_query])
    rows += [["action", str(one.position), moment(one.created_at), one.action_type] for one in found.actions]
    rows += [["message", one.id, moment(one.created_at), one.text] for one in found.messages]
    rows += [["tool call", one.id, moment(one.started_at), one.name] for one in found.tool_calls]
    rows += [["feedback", one.id, moment(one.created_at), one.message] for one in found.feedback]
    rows += [["memory", one.id, moment(one.created_at), one.content] for one in found.memories]
    rows += [
        [f"archived {one.kind}", one.record_id, moment(one.archived_at), one.reason] for one in found.archived
    ]
    if rows:
        out.table(["WHAT", "ID", "TIME", "TEXT"], rows)
    else:
        out.note("nothing carries this id")


def _archive(context: Context) -> int:
    arguments = context.arguments
    if not context.confirmed(f"Move interactions before {arguments.before} into the archive?"):
        context.out.note("nothing was changed")
        return 1
    gone = context.store.interactions.archive(before=arguments.before, reason=arguments.reason)
    context.out.result({"interactions": gone}, f"moved {gone} interactions into the archive")
    return 0


def _remove(context: Context) -> int:
    interactions: Any = context.store.interactions
    one = interactions.get(context.arguments.id)
    return kept.remove(context, f"interaction {one.id}", one, interactions.remove, one.id)


def _yes(given: str | None) -> bool | None:
    return None if given is None else given == "yes"
