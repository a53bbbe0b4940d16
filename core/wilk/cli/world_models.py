"""``wilk world-models``: what is believed of a domain, and how it was before."""

from __future__ import annotations

from typing import TYPE_CHECKING

from wilk.cli import kept
from wilk.cli.output import Styled, moment, word
from wilk.cli.parsing import Verb, completed

if TYPE_CHECKING:
    from wilk.cli.context import Context
    from wilk.cli.parsing import Parser


def commands() -> dict[str, Verb]:
    """The verbs."""
    return {
        "list": Verb(_list, "list world models, the latest change first", _list_arguments),
        "show": Verb(_show, "show a world model with its entities and relations", _one),
        "snapshots": Verb(_snapshots, "list snapshots, the latest first", _snapshots_arguments),
        "snapshot": Verb(_snapshot, "keep how a world model is now", _snapshot_arguments),
        "restore": Verb(_restore, "bring a world model back to a snapshot", _restore_arguments),
        "deactivate": Verb(_deactivate, "note that a world model does not hold any more", _one),
        "remove": Verb(_remove, "move a world model and its snapshots into the archive", _remove_arguments),
    }


def _list_arguments(parser: Parser) -> None:
    completed(
        parser.add_argument("--session", metavar="ID", help="those of a session, by its id"), "sessions"
    )
    parser.add_argument("--domain", help="those of a domain, the surest first")
    parser.add_argument("--active", action="store_true", help="those that hold")
    kept.limit_argument(parser)


def _one(parser: Parser) -> None:
    completed(parser.add_argument("id", metavar="ID", help="its id"), "world-models")


def _snapshots_arguments(parser: Parser) -> None:
    completed(
        parser.add_argument("id", metavar="ID", nargs="?", help="of one world model; left out, of all"),
        "world-models",
    )
    kept.limit_argument(parser)


def _snapshot_arguments(parser: Parser) -> None:
    _one(parser)
    parser.add_argument("--event", metavar="TEXT", help="what caused it")


def _restore_arguments(parser: Parser) -> None:
    _one(parser)
    parser.add_argument("snapshot", metavar="SNAPSHOT", help="the snapshot's id")


def _remove_arguments(parser: Parser) -> None:
    _one(parser)
    kept.remove_arguments(parser)


def _list(context: Context) -> None:
    arguments, out, models = context.arguments, context.out, context.store.world_models
    if arguments.domain is not None:
        found = models.by_domain(arguments.domain, limit=arguments.limit)
        found = [
            one
            for one in found
            if (one.is_active or not arguments.active) and arguments.session in (None, one.session_id)
        ]
    elif arguments.active:
        found = models.active(arguments.session, limit=arguments.limit)
    else:
        found = models.list(session=arguments.session, limit=arguments.limit)
    if out.json:
        out.document(found)
    elif not found:
        out.note("no world models")
    else:
        rows = [
            [
                Styled(one.id, "cyan"),
                one.domain,
                f"{one.domain_confidence:.2f}",
                str(len(one.entities)),
                str(len(one.relations)),
                word(one.is_active),
                moment(one.updated_at),
            ]
            for one in found
        ]
        headings = ["ID", "DOMAIN", "CONFIDENCE", "ENTITIES", "RELATIONS", "ACTIVE", "UPDATED"]
        out.table(headings, rows, right=[2, 3, 4], whole=[0])


def _show(context: Context) -> None:
    model, out = context.store.world_models.get(context.arguments.id), context.out
    if out.json:
        out.document(model)
        return
    shown = {**model._asdict(), "entities": len(model.entities), "relations": len(model.relations)}
    out.fields(shown.items())
    if model.entities:
        out.line()
        rows = [
            [Styled(one["id"], "cyan"), one["type"], f"{one['confidence']:.2f}", word(one["properties"])]
            for one in model.entities
        ]
        out.table(["ENTITY", "TYPE", "CONFIDENCE", "PROPERTIES"], rows, right=[2])
    if model.relations:
        out.line()
        rows = [
            [
                one["source_id"],
                one["type"],
                one["target_id"],
                f"{one['confidence']:.2f}",
                str(one["observed_count"]),
            ]
            for one in model.relations
        ]
        out.table(["FROM", "RELATION", "TO", "CONFIDENCE", "SEEN"], rows, right=[3, 4])


def _snapshots(context: Context) -> None:
    arguments, out = context.arguments, context.out
    found = context.store.world_models.snapshots(arguments.id, limit=arguments.limit)
    if out.json:
        out.document(found)
    elif not found:
        out.note("no snapshots")
    else:
        rows = [
            [Styled(one.id, "cyan"), one.world_model_id, moment(one.created_at), one.trigger_event or ""]
            for one in found
        ]
        out.table(["ID", "WORLD MODEL", "TIME", "EVENT"], rows, whole=[0])


def _snapshot(context: Context) -> None:
    arguments = context.arguments
    one = context.store.world_models.snapshot(arguments.id, trigger_event=arguments.event)
    context.out.result(one, f"kept snapshot {one.id}", id=one.id)


def _restore(context: Context) -> None:
    arguments = context.arguments
    model = context.store.world_models.restore(arguments.id, arguments.snapshot)
    context.out.result(model, f"world model {model.id} is as it was in {arguments.snapshot}", id=model.id)


def _deactivate(context: Context) -> None:
    model = context.store.world_models.deactivate(context.arguments.id)
    context.out.result(model, f"world model {model.id} does not hold any more", id=model.id)


def _remove(context: Context) -> int:
    models = context.store.world_models
    one = models.get(context.arguments.id)
    return kept.remove(context, f"world model {one.id} ({one.domain})", one, models.remove, one.id)
