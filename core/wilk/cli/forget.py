"""``wilk forget``: a person or a session goes for good, with a certificate."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

from wilk.amounts import written_size
from wilk.cli.output import Output, Styled, moment
from wilk.cli.parsing import UsageError, Verb

if TYPE_CHECKING:
    from collections.abc import Mapping

    from wilk.cli.context import Context
    from wilk.cli.parsing import Parser
    from wilk.records.forgetting import Certificate, ForgettingPlan, Remaining

_VERBS = ("certificates", "show", "verify", "search")
_SHORT = 13


def commands() -> Verb:
    """The command."""
    return Verb(_forget, "remove a user or a session for good, everywhere, with a certificate", _arguments)


def _arguments(parser: Parser) -> None:
    parser.add_argument(
        "what",
        metavar="VERB",
        nargs="?",
        choices=_VERBS,
        help="certificates, show ID, verify ID, search TEXT…; without it, --user or --session is forgotten",
    )
    parser.add_argument("words", metavar="ID or TEXT", nargs="*", help="a certificate, or texts to look for")
    parser.add_argument("--user", metavar="ID", help="forget a user, with all sessions and records")
    parser.add_argument("--session", metavar="ID", help="forget a session")
    parser.add_argument(
        "--forks", action="store_true", help="and sessions of others that were forked from these"
    )
    parser.add_argument(
        "--full", action="store_true", help="let a database server write its tables anew, which locks each"
    )
    parser.add_argument("-n", "--dry-run", action="store_true", help="show what would go, and change nothing")
    parser.add_argument("--certificate", metavar="FILE", type=Path, help="write the certificate into a file")
    parser.add_argument("-y", "--yes", action="store_true", help="do not ask")


def _forget(context: Context) -> int:
    arguments = context.arguments
    named = arguments.user is not None or arguments.session is not None
    if arguments.what is None:
        if not named:
            raise UsageError("name what to forget: --user ID or --session ID; or `wilk forget certificates`")
        return _run(context)
    if named:
        raise UsageError(f"--user and --session do not go with {arguments.what!r}")
    return {"certificates": _certificates, "show": _show, "verify": _verify, "search": _search}[
        arguments.what
    ](context)


def _run(context: Context) -> int:
    arguments, out = context.arguments, context.out
    if arguments.user is not None and arguments.session is not None:
        raise UsageError("name a user or a session, one of them")
    given = {"user": arguments.user, "session": arguments.session, "forks": arguments.forks}
    if arguments.certificate is not None and not arguments.certificate.absolute().parent.is_dir():
        raise UsageError(f"--certificate {arguments.certificate}: there is no such folder")
    forgetting = context.store.forgetting
    if arguments.dry_run or not arguments.yes:
        plan = forgetting.plan(**given)
        if arguments.dry_run and out.json:
            out.document(plan)
            return 0
        if not out.json:
            _show_plan(out, plan)
        if arguments.dry_run:
            out.note("nothing was changed")
            return 0
        what = f"{plan.kind} {plan.id}"
        if not context.confirmed(f"Forget {what} for good? Nothing brings it back."):
            out.note("nothing was changed")
            return 1
    tell = None if out.json or out.quiet else lambda step: sys.stderr.write(f"{step} …\n")
    try:
        certificate = forgetting.run(**given, full=arguments.full, progress=tell)
    except KeyboardInterrupt:
        sys.stderr.write("wilk: stopped; the same command goes on from there\n")
        raise
    if arguments.certificate is not None:
        from wilk import codec
        from wilk.files import write_atomic

        write_atomic(arguments.certificate.absolute(), codec.pretty(certificate.report).encode() + b"\n")
    if out.json:
        out.document(certificate.report)
    else:
        _show_certificate(out, certificate)
    return 1 if certificate.remaining.residues else 0


def _certificates(context: Context) -> int:
    found = context.store.forgetting.certificates()
    if context.out.json:
        context.out.document([one.report for one in found])
        return 0
    rows = [
        [
            one.id,
            moment(one.created_at),
            one.subject.get("kind", ""),
            one.subject.get("hash", "")[:_SHORT],
            str(sum(one.rows.values())),
            Styled("unfinished: run it again", "red")
            if one.status != "finished"
            else Styled(f"left in {len(one.remaining.residues)} files", "yellow")
            if one.remaining.residues
            else Styled("nothing left", "green"),
        ]
        for one in found
    ]
    context.out.table(["ID", "WHEN", "OF", "HASH", "ROWS", ""], rows, right=[4], whole=[0])
    return 0


def _show(context: Context) -> int:
    certificate = context.store.forgetting.certificate(_one(context))
    if context.out.json:
        context.out.document(certificate.report)
    else:
        _show_certificate(context.out, certificate)
    return 0


def _verify(context: Context) -> int:
    found = context.store.forgetting.verify(_one(context))
    out = context.out
    if out.json:
        out.document(found)
    else:
        out.line(
            Styled("as it was issued", "green")
            if found.sound
            else Styled("not as it was issued: its hash is another one", "red")
        )
        if found.back:
            out.line(Styled("back in the store:", "red"), _counted(found.back))
        else:
            out.line(f"{found.marks} marks are kept, and nothing of what they stand for is back")
    return 0 if found.sound and not found.back else 1


def _search(context: Context) -> int:
    texts = context.arguments.words
    if not texts:
        raise UsageError("give at least one text: wilk forget search TEXT")
    found = context.store.forgetting.search(*texts)
    if context.out.json:
        context.out.document(found)
    else:
        _show_remaining(context.out, found)
    return 1 if found.residues else 0


def _one(context: Context) -> str:
    words: list[str] = context.arguments.words
    if len(words) != 1:
        raise UsageError(f"name one certificate: wilk forget {context.arguments.what} ID")
    return words[0]


def _show_plan(out: Output, plan: ForgettingPlan) -> None:
    out.line(Styled(f"What belongs to {plan.kind} {plan.id}, and would go for good:", "bold"))
    rows = [["the database", table, str(count)] for table, count in plan.rows.items()]
    rows += [["plugins", table, str(count)] for table, count in plan.plugins.items()]
    rows += [[f"archive {name}", "archived rows", str(count)] for name, count in plan.archives.items()]
    rows += [["files", name, str(count)] for name, count in plan.files.items()]
    rows += [[f"copy {name}", "rows", str(count)] for name, count in plan.copies.items()]
    rows += [[f"cache {name}", "everything", ""] for name in plan.caches]
    out.table(["WHERE", "WHAT", "HOW MANY"], rows, right=[2])
    if plan.forks:
        out.note(
            f"{plan.forks} sessions that stay were forked from what goes, with copies of its messages; "
            "--forks takes them along"
        )
    if plan.shared:
        out.note(f"{plan.shared} memories and patterns were made of others' records as well, and stay")
    for note in plan.notes:
        out.note(note)


def _show_certificate(out: Output, certificate: Certificate) -> None:
    report = certificate.report
    out.fields(
        [
            ("certificate", certificate.id),
            ("of", f"{certificate.subject.get('kind')} with hash {certificate.subject.get('hash')}"),
            ("begun", certificate.created_at),
            ("finished", certificate.finished_at or "no: run it again"),
            ("rows", _counted(certificate.rows)),
            *(
                (name, _counted(report.get(name) or {}))
                for name in ("plugins", "archives", "caches", "files")
            ),
            ("copies", ", ".join(f"{name}: {count}" for name, count in (report.get("copies") or {}).items())),
            ("hash", report.get("hash")),
        ]
    )
    if certificate.finished_at is not None:
        _show_remaining(out, certificate.remaining)


def _show_remaining(out: Output, found: Remaining) -> None:
    read = f"{found.files:,} files with {written_size(found.bytes)} were read to the last byte"
    if found.residues:
        out.line(Styled(f"{read}; of {found.strings:,} strings some are left:", "yellow"))
        for one in found.residues:
            out.line(f"{one.place}: {one.strings} in {one.where}", indent="  ")
    else:
        out.line(Styled(f"{read}; none of {found.strings:,} strings was found", "green"))
    for note in found.notes:
        out.note(note)


def _counted(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{count} {name}" for name, count in counts.items())
