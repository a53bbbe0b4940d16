"""What a move needs to know of a server: whether two addresses are one database, and numbers that go on."""

from __future__ import annotations

from wilk.contracts.backends import Execute
from wilk.errors import WilkError


def identity(execute: Execute, schema: str) -> str:
    """The server's own number, the database's and the schema: the same for a primary and its standbys."""
    ((database,),) = execute("SELECT oid::text FROM pg_database WHERE datname = current_database()")
    try:
        ((server,),) = execute("SELECT system_identifier::text FROM pg_control_system()")
    except WilkError:  # where that is for superusers, or the server only speaks like PostgreSQL
        ((server,),) = execute(
            "SELECT COALESCE(host(inet_server_addr()), '') || ':' || COALESCE(inet_server_port(), 0)"
        )
    return f"postgresql {server} {database} {schema}"


def renumber(execute: Execute, table: str, column: str) -> None:
    """Let the table's sequence go on behind its largest number."""
    execute(
        f"SELECT setval(pg_get_serial_sequence(%s, %s), GREATEST(largest, 1), largest >= 1) "  # noqa: S608 (own names)
        f'FROM (SELECT COALESCE(MAX("{column}"), 0) AS largest FROM "{table}") AS numbers '
        "WHERE pg_get_serial_sequence(%s, %s) IS NOT NULL",
        (f'"{table}"', column, f'"{table}"', column),
    )
