"""``wilk context``: what would be sent to a model, why, and the receipts of what was."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

from wilk.cli.choosing import chosen_session, session_argument
from wilk.cli.output import Output, Styled, moment
from wilk.cli.parsing import UsageError, Verb, count

if TYPE_CHECKING:
    from wilk.cli.context import Context
    from wilk.cli.parsing import Parser
    from wilk.records.context import Context as Built
    from wilk.records.context import ContextItem, LeftOut

_STYLES = {"system": "yellow", "block": "cyan", "pin": "blue", "summary": "green", "message": "bold"}
_SIGNS = {"system": "s", "block": "b", "pin": "p", "summary": "z", "message": "m"}
_BAR = 60


def commands() -> dict[str, Verb]:
    """The verbs."""
    return {
        "show": Verb(_show, "show what would be sent to a model", _build_arguments),
        "explain": Verb(
            _explain, "tell what is in a context, what is not, and by which rule", _explain_arguments
        ),
        "stats": Verb(_stats, "count what a session's contexts are made of", _session_arguments),
        "manifests": Verb(_manifests, "list the receipts of a session's contexts", _manifests_arguments),
        "replay": Verb(_replay, "give a kept context again, byte for byte", _manifest_argument),
        "diff": Verb(_diff, "tell what two kept contexts have apart, and why", _diff_arguments),
        "remove": Verb(_remove, "archive a receipt", _remove_arguments),
    }


# -- arguments -------------------------------------------------------------------------------


def _session_arguments(parser: Parser) -> None:
    session_argument(parser, optional=True)


def _build_arguments(parser: Parser) -> None:
    session_argument(parser, optional=True)
    parser.add_argument("--max-tokens", type=count, metavar="N", help="the budget (the session's)")
    parser.add_argument("--strategy", metavar="NAME", help="discard, summarize, hybrid, or a plugin's")
    parser.add_argument("--system", metavar="TEXT", help="the system prompt (the persona's or agent's)")
    parser.add_argument("--query", metavar="TEXT", help="also look for older messages that hold these words")
    parser.add_argument("--model", metavar="NAME", help="the model that tokens are counted for")
    parser.add_argument("--keep", action="store_true", help="keep a manifest, which can be replayed")


def _explain_arguments(parser: Parser) -> None:
    _build_arguments(parser)
    parser.add_argument("--manifest", metavar="ID", help="explain a context that was kept")


def _manifests_arguments(parser: Parser) -> None:
    session_argument(parser, optional=True)
    parser.add_argument("--limit", type=count, default=20, metavar="N", help="at most N (20)")


def _manifest_argument(parser: Parser) -> None:
    parser.add_argument("manifest", metavar="ID", help="a manifest; `wilk context manifests` lists them")


def _diff_arguments(parser: Parser) -> None:
    parser.add_argument("a", metavar="A", help="a manifest")
    parser.add_argument("b", metavar="B", help="another one")


def _remove_arguments(parser: Parser) -> None:
    _manifest_argument(parser)
    parser.add_argument("--reason", default="removed", metavar="WHY", help="what the archive keeps as why")


# -- verbs -----------------------------------------------------------------------------------


def _built(context: Context) -> Built:
    arguments = context.arguments
    return context.store.contexts.build(
        chosen_session(context, arguments.session).id,
        max_tokens=arguments.max_tokens,
        strategy=arguments.strategy,
        system=arguments.system,
        query=arguments.query,
        model=arguments.model,
        manifest=arguments.keep,
    )


def _show(context: Context) -> None:
    built, out = _built(context), context.out
    if out.json:
        out.document(built.messages)
        return
    for item in built.items:
        out.line(Styled(item.role, _STYLES[item.kind]), Styled(_place(item), "dim"))
        if item.text:
            out.lines(item.text, indent="    ")
        if item.parts:
            out.line(Styled(f"({len(item.parts)} parts; --json shows them)", "dim"), indent="    ")
    out.note(_total(built))
    _tell_kept(out, built)


def _explain(context: Context) -> None:
    arguments, out = context.arguments, context.out
    if arguments.manifest is not None:
        _check_alone(arguments)
        built = context.store.contexts.reopen(arguments.manifest)
    else:
        built = _built(context)
    if out.json:
        out.document(_explained(built))
        return
    out.line(Styled(_total(built), "bold"))
    _bar(out, built)
    out.line()
    rows = [
        [
            Styled(item.kind, _STYLES[item.kind]),
            _range(item),
            item.rule,
            _score(item.score),
            str(item.tokens),
            _short(item.text),
        ]
        for item in built.items
    ]
    out.table(["IN", "MESSAGES", "RULE", "SCORE", "TOKENS", "TEXT"], rows, right=[3, 4])
    if built.left_out:
        out.line()
        rows = [
            [
                one.kind,
                _range(one),
                one.rule,
                _score(one.score),
                "" if one.tokens is None else str(one.tokens),
                _sentence(one.rule),
            ]
            for one in built.left_out
        ]
        out.table(["OUT", "MESSAGES", "RULE", "SCORE", "TOKENS", "WHY"], rows, right=[3, 4])
    _tell_kept(out, built)


def _stats(context: Context) -> None:
    session = chosen_session(context, context.arguments.session)
    stats, out = context.store.contexts.stats(session.id), context.out
    if out.json:
        out.document(stats)
        return
    used = sum(stats.used.values())
    out.fields(
        [
            ("session", Styled(stats.session_id, "cyan")),
            ("strategy", stats.strategy),
            ("budget", f"{stats.max_tokens:,} tokens"),
            ("messages", f"{stats.messages:,} ({stats.tokens:,} tokens)"),
            ("archived", f"{stats.archived:,} messages"),
            ("summaries", f"{stats.summaries:,}"),
            ("pins", f"{stats.pins:,}"),
            ("manifests", f"{stats.manifests:,}"),
            ("a context now", stats.problem or f"{used:,} tokens"),
        ]
    )
    for kind, tokens in stats.used.items():
        out.line(f"{kind:>13}  {tokens:,} tokens ({tokens / stats.max_tokens:.0%})")


def _manifests(context: Context) -> None:
    session, out = chosen_session(context, context.arguments.session), context.out
    found = context.store.contexts.manifests(session.id, limit=context.arguments.limit)
    if out.json:
        out.document(found)
        return
    if not found:
        out.note("there are no manifests; `wilk context show --keep` leaves one")
        return
    rows = [
        [
            Styled(one.id, "cyan"), moment(one.created_at, seconds=True), one.strategy,
            f"{one.total_tokens:,} of {one.max_tokens:,}", str(len(one.items)), str(one.last_sequence),
        ]
        for one in found
    ]  # fmt: skip
    out.table(["ID", "BUILT", "STRATEGY", "TOKENS", "ITEMS", "UP TO"], rows, right=[3, 4, 5])


def _replay(context: Context) -> None:
    """Write the bytes as they are: a pipe gets what the model got."""
    data = context.store.contexts.replay(context.arguments.manifest)
    binary = getattr(context.out.stream, "buffer", None)
    if binary is None or context.out.terminal:
        context.out.raw(data.decode() + ("\n" if context.out.terminal else ""))
        return
    context.out.stream.flush()
    binary.write(data)
    binary.flush()


def _diff(context: Context) -> None:
    arguments, out = context.arguments, context.out
    difference = context.store.contexts.diff(arguments.a, arguments.b)
    if out.json:
        out.document(difference)
        return
    out.lines(str(difference))


def _remove(context: Context) -> None:
    arguments = context.arguments
    manifest = context.store.contexts.remove(arguments.manifest, reason=arguments.reason)
    context.out.result(manifest, f"archived manifest {manifest.id}", id=manifest.id)


# -- showing ---------------------------------------------------------------------------------


def _bar(out: Output, built: Built) -> None:
    """The budget by part: a bar on a terminal, one line a part in any case."""
    used = built.tokens_by_kind
    widths = {kind: tokens * _BAR // built.max_tokens for kind, tokens in used.items()}
    if out.terminal and _can_draw(out):
        cells = [out.paint(Styled("█" * width, _STYLES[kind])) for kind, width in widths.items()]
        out.stream.write("".join(cells) + "░" * (_BAR - sum(widths.values())) + "\n")
    else:
        bar = "".join(_SIGNS[kind] * width for kind, width in widths.items())
        out.line(f"[{bar.ljust(_BAR, '.')}]")
    for kind, tokens in {**used, "free": built.max_tokens - built.total_tokens}.items():
        share = f"{tokens / built.max_tokens:.0%}"
        out.line(Styled(f"{kind:>8}", _STYLES.get(kind, "dim")), f"{tokens:>8,}  {share:>4}")


def _can_draw(out: Output) -> bool:
    try:
        "█░".encode(getattr(out.stream, "encoding", None) or sys.getdefaultencoding())
    except UnicodeEncodeError:
        return False
    return True


def _explained(built: Built) -> dict[str, Any]:
    from wilk.context.rules import sentence

    rules = sorted({item.rule for item in built.items} | {one.rule for one in built.left_out})
    return {
        **built._asdict(),
        "tokens_by_kind": built.tokens_by_kind,
        "rules": {rule: sentence(rule) for rule in rules},
    }


def _total(built: Built) -> str:
    return (
        f"{built.total_tokens:,} of {built.max_tokens:,} tokens, strategy {built.strategy}, "
        f"counted by {built.tokenizer}"
    )


def _tell_kept(out: Output, built: Built) -> None:
    if built.manifest is not None:
        out.note(f"manifest {built.manifest}")


def _check_alone(arguments: Any) -> None:
    given = ("session", "max_tokens", "strategy", "system", "query", "model", "keep")
    if other := [name for name in given if getattr(arguments, name)]:
        raise UsageError(f"--manifest explains what was kept; leave out {', '.join(other)}")


def _place(item: ContextItem) -> str:
    return f"{item.kind} {_range(item)} {item.tokens} tokens".replace("  ", " ")


def _range(one: ContextItem | LeftOut) -> str:
    if one.first is None:
        return ""
    return str(one.first) if one.first == one.last else f"{one.first}-{one.last}"


def _score(score: float | None) -> str:
    return "" if score is None else f"{score:.2f}"


def _short(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= 60 else line[:59] + "…"


def _sentence(rule: str) -> str:
    from wilk.context.rules import sentence

    return sentence(rule)
