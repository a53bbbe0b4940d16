"""``wilk documents``: conversations and other documents, kept as they came."""

from __future__ import annotations

from typing import TYPE_CHECKING

from wilk.cli import kept
from wilk.cli.output import Styled, moment
from wilk.cli.parsing import Verb, completed, mapping
from wilk.services.arguments import UNSET

if TYPE_CHECKING:
    from wilk.cli.context import Context
    from wilk.cli.parsing import Parser


def commands() -> dict[str, Verb]:
    """The verbs."""
    return {
        "list": Verb(_list, "list documents", _list_arguments),
        "show": Verb(_show, "show a document's data as JSON", _one),
        "save": Verb(_save, "keep a JSON file, or replace the document of that id", _save_arguments),
        "remove": Verb(
            _remove, "move a document, and all that is kept of the conversation, into the archive",
            _remove_arguments,
        ),
    }  # fmt: skip


def _list_arguments(parser: Parser) -> None:
    parser.add_argument("--kind", help="those of one kind, such as conversation")
    completed(parser.add_argument("--user", metavar="ID", help="those of one user"), "users")
    parser.add_argument("--after", metavar="ID", help="those after an id")
    kept.limit_argument(parser)


def _one(parser: Parser) -> None:
    completed(parser.add_argument("id", metavar="ID", help="its id"), "documents")


def _save_arguments(parser: Parser) -> None:
    _one(parser)
    parser.add_argument("file", metavar="FILE", nargs="?", help="a JSON file; left out or -, stdin is read")
    parser.add_argument("--kind", help="what it is (conversation)")
    parser.add_argument("--title", help="a title (the one in the data)")
    completed(parser.add_argument("--user", metavar="ID", help="whose it is"), "users")
    parser.add_argument("--metadata", type=mapping, metavar="JSON", help="more about it, as a JSON object")


def _remove_arguments(parser: Parser) -> None:
    _one(parser)
    kept.remove_arguments(parser)


def _list(context: Context) -> None:
    arguments, out = context.arguments, context.out
    documents = context.store.documents.list(
        kind=arguments.kind, user=arguments.user, after=arguments.after, limit=arguments.limit
    )
    if out.json:
        out.document(documents)
    elif not documents:
        out.note("no documents; `wilk documents save ID FILE` keeps one")
    else:
        rows = [
            [Styled(one.id, "cyan"), one.kind, one.title or "", one.user_id or "", moment(one.updated_at)]
            for one in documents
        ]
        out.table(["ID", "KIND", "TITLE", "USER", "UPDATED"], rows)


def _show(context: Context) -> None:
    document = context.store.documents.get(context.arguments.id)
    if context.out.json:
        context.out.document(document)
    else:
        context.out.document(document.data)


def _save(context: Context) -> None:
    arguments = context.arguments
    data = kept.read_json(None, file=arguments.file)
    given = {
        name: UNSET if getattr(arguments, name) is None else getattr(arguments, name)
        for name in ("kind", "title", "user", "metadata")
    }
    document = context.store.documents.save(arguments.id, data, **given)
    context.out.result(document, f"saved document {document.id}", id=document.id)


def _remove(context: Context) -> int:
    documents = context.store.documents
    document = documents.get(context.arguments.id)
    return kept.remove(context, f"document {document.id}", document, documents.remove, document.id)
