"""The maintenance of a store on a PostgreSQL server: checks, statistics, dead rows, indexes made anew."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from wilk.amounts import written_size
from wilk.contracts import Outcome, Step
from wilk.errors import BackendError, Busy, WilkError
from wilk_postgres.addresses import Address, quoted

if TYPE_CHECKING:
    from wilk.contracts.backends import Execute

STEPS = (
    Step(
        "integrity",
        "check indexes for what the server marks as unusable, and with amcheck their order",
        quick=True,
    ),
    Step("foreign-keys", "look for constraints that the server has not checked", quick=True),
    Step("analyze", "count what the planner of queries goes by", quick=True),
    Step("vacuum", "make the room of dead rows usable again"),
    Step("reindex", "make the indexes anew, beside those in use", asked=True),
    Step(
        "compact", "write the tables anew, without dead rows; nobody else can use them meanwhile", asked=True
    ),
)
_SHOWN = 20

_BROKEN = """
SELECT c.relname, t.relname FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid
JOIN pg_class t ON t.oid = i.indrelid
WHERE c.relnamespace = %s::regnamespace AND NOT (i.indisvalid AND i.indisready) ORDER BY 1
"""
_TREES = """
SELECT c.oid::bigint, c.relname FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid
JOIN pg_am a ON a.oid = c.relam
WHERE c.relnamespace = %s::regnamespace AND a.amname = 'btree' AND c.relkind = 'i'
  AND i.indisvalid AND i.indisready ORDER BY 2
"""
_CHECKER = """
SELECT n.nspname FROM pg_extension e JOIN pg_namespace n ON n.oid = e.extnamespace WHERE e.extname = 'amcheck'
"""
_UNCHECKED = """
SELECT c.conname, t.relname FROM pg_constraint c JOIN pg_class t ON t.oid = c.conrelid
WHERE t.relnamespace = %s::regnamespace AND NOT c.convalidated ORDER BY 1
"""
_TABLES = """
SELECT c.relname FROM pg_class c
WHERE c.relnamespace = %s::regnamespace AND c.relkind IN ('r', 'm') ORDER BY 1
"""
_DEAD = """
SELECT COALESCE(SUM(n_dead_tup), 0)::bigint FROM pg_stat_user_tables WHERE schemaname = %s
"""
_HOLDING = """
SELECT pid, application_name, EXTRACT(EPOCH FROM clock_timestamp() - xact_start)::float8
FROM pg_stat_activity
WHERE datname = current_database() AND pid <> pg_backend_pid()
  AND xact_start < clock_timestamp() - interval '60 s'
ORDER BY 3 DESC
"""
_SIZE = """
SELECT SUM(pg_total_relation_size(c.oid))::bigint FROM pg_class c
WHERE c.relnamespace = %s::regnamespace AND c.relkind IN ('r', 'm')
"""


class PostgresMaintenance:
    """The maintenance of one store on a server."""

    steps = STEPS

    def __init__(self, address: Address) -> None:
        self._address = address

    def run(self, step: str, execute: Execute, *, quick: bool) -> Outcome:
        """Do one step; see :class:`wilk.contracts.Maintaining`."""
        schema = quoted(self._address.schema)
        if step == "integrity":
            return self._integrity(execute, schema, quick=quick)
        if step == "foreign-keys":
            rows = execute(_UNCHECKED, (schema,))
            if not rows:
                return Outcome("ok", "the server checks every reference")
            return Outcome(
                "found",
                f"{len(rows)} constraints were never checked: ALTER TABLE … VALIDATE CONSTRAINT does it",
                tuple(f"{name} of {table}" for name, table in rows)[:_SHOWN],
            )
        if self._address.readonly:
            return Outcome("skipped", "the store is open for reading only")
        if execute("SELECT pg_is_in_recovery()")[0][0]:
            return Outcome("skipped", "the server is a standby, which does what its primary does")
        tables = [name for (name,) in execute(_TABLES, (schema,))]
        if step == "analyze":
            return _each(execute, tables, "ANALYZE", schema, "have the planner's figures of now")
        if step == "vacuum":
            return self._vacuum(execute, tables, schema)
        if step == "reindex":
            return _each(execute, tables, "REINDEX TABLE CONCURRENTLY", schema, "have new indexes")
        before = execute(_SIZE, (schema,))[0][0] or 0
        found = _each(execute, tables, "VACUUM (FULL, ANALYZE)", schema, "were written anew")
        after = execute(_SIZE, (schema,))[0][0] or 0
        return found._replace(said=f"{found.said}; they are {written_size(max(before - after, 0))} smaller")

    def _integrity(self, execute: Execute, schema: str, *, quick: bool) -> Outcome:
        broken = execute(_BROKEN, (schema,))
        if broken:
            return Outcome(
                "found",
                f"{len(broken)} indexes are not usable: `reindex` makes them anew",
                tuple(f"{index} of {table}" for index, table in broken)[:_SHOWN],
            )
        if quick:
            return Outcome("ok", "every index is usable")
        where = execute(_CHECKER)
        if not where:
            return Outcome(
                "ok",
                "every index is usable; with CREATE EXTENSION amcheck their order would be checked as well",
            )
        wrong = []
        trees = execute(_TREES, (schema,))
        for number, name in trees:
            try:
                execute(
                    f"SELECT {quoted(where[0][0])}.bt_index_check(%s::bigint::oid::regclass, true)", (number,)
                )
            except Busy:
                raise
            except BackendError as error:
                if "permission denied" in str(error):
                    return Outcome(
                        "ok", "every index is usable; this user may not use amcheck on their order"
                    )
                wrong.append(f"{name}: {error}")
        if wrong:
            return Outcome(
                "found",
                f"{len(wrong)} of {len(trees)} indexes do not agree with their tables: `reindex` makes them "
                "anew; look for what damaged the disk",
                tuple(wrong)[:_SHOWN],
            )
        return Outcome("ok", f"{len(trees)} indexes agree with their tables (amcheck)")

    def _vacuum(self, execute: Execute, tables: list[str], schema: str) -> Outcome:
        found = _each(execute, tables, "VACUUM (ANALYZE)", schema, "have no dead rows that could go")
        dead = execute(_DEAD, (self._address.schema,))[0][0]
        old = execute(_HOLDING)
        if found.result == "ok" and dead and old:
            return Outcome(
                "busy",
                f"about {dead:,} dead rows stay, for transactions that began long ago may still read them",
                tuple(_who(*row) for row in old)[:_SHOWN],
            )
        return found


def _each(execute: Execute, tables: list[str], what: str, schema: str, said: str) -> Outcome:
    """Do it to every table; what one of them is kept from keeps no other."""
    kept: list[str] = []
    for name in tables:
        try:
            execute(f"{what} {schema}.{quoted(name)}")
        except Busy as error:
            kept.append(f"{name}: {error}")
        except WilkError as error:
            kept.append(f"{name}: {error}")
    if kept:
        return Outcome(
            "busy", f"{len(tables) - len(kept)} of {len(tables)} tables {said}", tuple(kept)[:_SHOWN]
        )
    return Outcome("ok", f"{len(tables)} tables {said}")


def _who(pid: int, program: str | None, seconds: Any) -> str:
    return f"process {pid} ({program or 'a program'}), {seconds:.0f} s"
