"""``wilk context``: what would be sent to a model, why, and the receipts of what was."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from wilk.cli.choosing import chosen_session, session_argument
from wilk.cli.output import Output, Styled, moment, terminal_width
from wilk.cli.parsing import UsageError, Verb, count

if TYPE_CHECKING:
    from wilk.cli.context import Context
    from wilk.cli.parsing import Parser
    from wilk.records.context import Context as Built
    from wilk.records.context import ContextItem, LeftOut

_STYLES = {"system": "yellow", "block": "cyan", "pin": "blue", "summary": "green", "message": "bold"}
_SIGNS = {"system": "s", "block": "b", "pin": "p", "summary": "z", "message": "m"}
_BAR = 60  # characters at most


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
                "" if one.tokens is None else f"{one.tokens:,}",
            ]
            for one in _joined(built.left_out)
        ]
        out.table(["OUT", "MESSAGES", "RULE", "SCORE", "TOKENS"], rows, right=[3, 4])
    out.line()
    out.table(["RULE", "MEANS"], [[rule, sentence] for rule, sentence in _rules(built).items()])
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
            ("live", f"{stats.messages:,} messages ({stats.tokens:,} tokens)"),
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
    out.table(["ID", "BUILT", "STRATEGY", "TOKENS", "ITEMS", "UP TO"], rows, right=[3, 4, 5], whole=[0])


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
    """The budget by part: a bar in colours, or of letters; and below it a line for each part."""
    used, length = built.tokens_by_kind, _BAR
    if out.terminal:
        length = max(1, min(_BAR, terminal_width() - 2))
    drawn = out.colored and _can_draw(out)
    cells, before = [], 0
    for kind, tokens in used.items():
        # By their ends, so that parts which fill the budget fill the bar.
        width = (before + tokens) * length // built.max_tokens - before * length // built.max_tokens
        before += tokens
        cells.append(out.paint(Styled("█" * width, _STYLES[kind])) if drawn else _SIGNS[kind] * width)
    free = length - before * length // built.max_tokens
    out.stream.write("".join(cells) + "░" * free + "\n" if drawn else f"[{''.join(cells)}{'.' * free}]\n")
    for kind, tokens in {**used, "free": built.max_tokens - built.total_tokens}.items():
        share = f"{tokens / built.max_tokens:.0%}"
        sign = "░" if drawn else "."
        if kind in used:
            sign = Styled("█", _STYLES[kind]) if drawn else _SIGNS[kind]
        out.line(sign, Styled(f"{kind:<8}", _STYLES.get(kind, "dim")), f"{tokens:>8,}  {share:>4}")


def _can_draw(out: Output) -> bool:
    try:
        "█░".encode(getattr(out.stream, "encoding", None) or sys.getdefaultencoding())
    except UnicodeEncodeError:
        return False
    return True


def _explained(built: Built) -> dict[str, Any]:
    return {**built._asdict(), "tokens_by_kind": built.tokens_by_kind, "rules": _rules(built)}


def _rules(built: Built) -> dict[str, str]:
    """What the rules of a context say, in the order in which they come."""
    from wilk.context.rules import sentence

    rules = [*(item.rule for item in built.items), *(one.rule for one in built.left_out)]
    return {rule: sentence(rule) for rule in rules}


def _joined(left_out: Iterable[LeftOut]) -> list[LeftOut]:
    """What was left out, with neighbours of one kind and rule as one, for people."""
    joined: list[LeftOut] = []
    for one in left_out:
        last = joined[-1] if joined else None
        if last is None or (last.kind, last.rule) != (one.kind, one.rule) or not _adjacent(last, one):
            joined.append(one)
            continue
        tokens = None if last.tokens is None or one.tokens is None else last.tokens + one.tokens
        score = last.score if last.score == one.score else None
        joined[-1] = last._replace(
            last=one.last, messages=last.messages + one.messages, tokens=tokens, score=score
        )
    return joined


def _adjacent(one: LeftOut, next: LeftOut) -> bool:
    return one.last is not None and next.first == one.last + 1


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
    return f"{item.kind} {_range(item)}".rstrip() + f", {item.tokens} tokens"


def _range(one: ContextItem | LeftOut) -> str:
    if one.first is None:
        return ""
    return str(one.first) if one.first == one.last else f"{one.first}-{one.last}"


def _score(score: float | None) -> str:
    return "" if score is None else f"{score:.2f}"


def _short(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= 60 else line[:59] + "…"
