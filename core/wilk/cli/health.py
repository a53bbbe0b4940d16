"""``wilk health``: whether the store is well; the exit code tells programs."""

from __future__ import annotations

import argparse
import threading
from typing import TYPE_CHECKING, Any

from wilk.amounts import written_size
from wilk.cli.output import Styled
from wilk.cli.parsing import Verb
from wilk.errors import WilkError

if TYPE_CHECKING:
    from wilk.cli.context import Context
    from wilk.cli.parsing import Parser
    from wilk.records.care import Health
    from wilk.settings import Settings
    from wilk.store import Store

_STYLES = {"ok": "green", "degraded": "yellow", "failing": "red"}


def commands() -> Verb:
    """The command."""
    return Verb(
        _health, "read and write the store, and tell how it fares; exit code 1 when it fails", _arguments
    )


def _arguments(parser: Parser) -> None:
    parser.add_argument(
        "--timeout",
        metavar="SECONDS",
        type=_seconds,
        default=5.0,
        help="the longest wait for each answer (5)",
    )


def _seconds(text: str) -> float:
    try:
        number = float(text)
    except ValueError:
        number = 0.0
    if not 0 < number <= 3600:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number of seconds above 0, at most 3600")
    return number


def _health(context: Context) -> int:
    timeout: float = context.arguments.timeout
    opening = _Opening(context)
    if not opening.ended(timeout):
        return _failing(context, f"the store does not open within {timeout:g} s")
    if opening.error is not None:
        return _failing(context, opening.error)
    found = context.store.health(timeout=timeout)
    if context.out.json:
        context.out.document(found)
    else:
        _show(context, found)
    return 1 if found.status == "failing" else 0


class _Opening:
    """Opens the store on a thread of its own, so that nothing waits for a server that does not answer."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self._over = threading.Event()
        self.error: str | None = None
        threading.Thread(target=self._open, name="wilk-health", daemon=True).start()

    def ended(self, timeout: float) -> bool:
        """Whether it is open, or is known not to open, by the end of so many seconds."""
        return self._over.wait(timeout)

    def _open(self) -> None:
        from wilk.cli.logs import silenced

        try:
            context = self._context
            with silenced("wilk.host"):  # what it would warn of is told as a reason
                context.host.plugins()
            if _can_be_only_read(context) and not context.settings.readonly:
                _opened(context, readonly=True).close()  # a look at it makes no new store, and migrates none
            context.store._engine.release()  # this thread ends here
        except WilkError as error:
            self.error = str(error)
        except Exception as error:
            self.error = f"{type(error).__name__}: {error}"
        finally:
            self._over.set()


def _can_be_only_read(context: Context) -> bool:
    scheme = context.settings.url.partition("://")[0]
    return "readonly" in context.host.backend(scheme).capabilities and ":memory:" not in context.settings.url


def _opened(context: Context, *, readonly: bool) -> Store:
    from dataclasses import replace

    from wilk.store import open_store

    return open_store(settings=replace(context.settings, readonly=readonly), host=context.host)


def _failing(context: Context, reason: str) -> int:
    """Tell why there is no store to ask."""
    out = context.out
    backend = _backend(context.__dict__.get("settings"))
    if out.json:
        out.document({"status": "failing", "reasons": [reason], "backend": backend})
    else:
        out.line(Styled("failing", "red"), backend)
        out.lines(reason, indent="  ")
    return 1


def _backend(settings: Settings | None) -> str:
    return "" if settings is None else settings.url.partition("://")[0]


def _show(context: Context, found: Health) -> None:
    out = context.out
    out.line(Styled(found.status, _STYLES[found.status]), found.backend)
    for reason in found.reasons:
        out.line(Styled(reason, _STYLES[found.status]), indent="  ")
    pool, disk, caches, embedding = found.pool, found.disk, found.caches, found.embedding
    fields: list[tuple[str, Any]] = [
        ("engine", " ".join(filter(None, (found.engine, found.version))) or None),
        ("schema", found.schema),
        ("read", _milliseconds(found.read_seconds)),
        (
            "write",
            "not tried, for it is opened to be read"
            if found.readonly
            else _milliseconds(found.write_seconds),
        ),
        ("full text", found.full_text),
    ]
    if found.writing is not None:
        fields.append(("a writer at work", found.writing))
    if found.wal_bytes is not None:
        fields.append(("write-ahead log", written_size(found.wal_bytes)))
    if pool is not None:
        said = f"{pool.in_use} of {pool.size} in use, at most {pool.largest}; {pool.waiting} wait"
        if pool.replaced:
            said += f"; {pool.replaced} were replaced"
        fields.append(("connections", said))
    if disk is not None:
        said = f"{written_size(disk.free_bytes)} of {written_size(disk.total_bytes)} free ({disk.folder})"
        fields.append(("disk", said))
    if caches is not None:
        fields.append(("caches", caches.tier if caches.error is None else f"{caches.tier}: {caches.error}"))
    if embedding is not None:
        said = f"{embedding.embedder}, {embedding.vector_index}: {embedding.pending} wait"
        if embedding.failed:
            said += f", {embedding.failed} of them were refused"
        fields.append(("vectors", said))
    out.fields(fields)
    if found.locks:
        out.line()
        rows = [[one.who, one.what, _milliseconds(one.seconds) or ""] for one in found.locks]
        out.table(["WHO", "WHAT", "FOR"], rows, right=[2])
    if found.replicas:
        out.line()
        rows = [
            [
                one.name,
                one.state,
                _milliseconds(one.lag_seconds) or "",
                "" if one.lag_bytes is None else written_size(one.lag_bytes),
            ]
            for one in found.replicas
        ]
        out.table(["REPLICA", "STATE", "BEHIND", "BYTES"], rows, right=[2, 3])


def _milliseconds(seconds: float | None) -> str | None:
    if seconds is None:
        return None
    return f"{seconds * 1000:.1f} ms" if seconds < 1 else f"{seconds:.1f} s"
