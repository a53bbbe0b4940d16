"""Why there is no connection, and why nothing can be made in a database: told with what to do."""

import re
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
from tests.servers.postgres import PostgresServer, free_port
from tests.servers.sessions import end, serving, wait_until

import wilk
from wilk import BackendError, Busy

# -- no connection ------------------------------------------------------------------------


def told_by_opening(url: str) -> str:
    with pytest.raises((BackendError, Busy)) as caught:
        wilk.open_store(url)
    return str(caught.value)


def test_an_unknown_database_is_told_with_the_command_that_makes_it(server: PostgresServer) -> None:
    assert "make it: createdb nowhere" in told_by_opening(server.url("nowhere"))


def test_an_unknown_user_is_told(url: str) -> None:
    assert "createuser" in told_by_opening(url.replace("wilk@", "nobody_there@"))


def test_a_port_without_a_server_is_told() -> None:
    assert "is the server up" in told_by_opening(f"postgresql://u@127.0.0.1:{free_port()}/db")


def test_a_host_that_nobody_knows_is_told() -> None:
    assert "spelled right" in told_by_opening("postgresql://u@nobody.invalid/db")


def test_a_host_without_an_answer_is_told_after_the_time_to_connect() -> None:
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen(0)
        address = f"127.0.0.1:{silent.getsockname()[1]}"
        assert "timeout expired" in told_by_opening(f"postgresql://u@{address}/db?connect_timeout=2")


@pytest.fixture
def guarded(server: PostgresServer, url: str) -> Iterator[str]:
    """A URL whose user needs a password."""
    rules = server.folder / "data" / "pg_hba.conf"
    before = rules.read_text()
    server.execute("DROP ROLE IF EXISTS guarded")
    server.execute("CREATE ROLE guarded LOGIN SUPERUSER PASSWORD 'the:word'")
    rules.write_text("host all guarded 127.0.0.1/32 scram-sha-256\n" + before)
    server.execute("SELECT pg_reload_conf()")
    address = url.replace("wilk@", "guarded@")
    wait_until(lambda: not _connects(address))
    yield address
    rules.write_text(before)
    server.execute("SELECT pg_reload_conf()")


def _connects(url: str) -> bool:
    try:
        psycopg.connect(url).close()
    except psycopg.OperationalError:
        return False
    return True


def test_a_password_that_is_missing_is_told_with_where_to_give_it(guarded: str) -> None:
    assert re.search(r"no password supplied.*PGPASSWORD or ~/\.pgpass", told_by_opening(guarded))


def test_a_wrong_password_is_told_without_it(guarded: str) -> None:
    told = told_by_opening(guarded.replace("guarded@", "guarded:mistaken@"))
    assert ("password authentication failed" in told, "mistaken" in told) == (True, False)


def test_a_password_may_stand_in_the_url_the_environment_or_a_file(
    guarded: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    with wilk.open_store(guarded.replace("guarded@", "guarded:the%3Aword@")) as store:
        assert "word" not in repr(store)
    with monkeypatch.context() as patch:
        patch.setenv("PGPASSWORD", "the:word")
        wilk.open_store(guarded).close()
    passwords = tmp_path / "pgpass"
    passwords.write_text("127.0.0.1:*:*:guarded:the\\:word\n")
    passwords.chmod(0o600)
    monkeypatch.setenv("PGPASSFILE", str(passwords))
    monkeypatch.setenv("WILK_URL", guarded)
    wilk.open_store().close()


def test_a_store_with_a_password_never_shows_it(guarded: str, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("DEBUG")
    with wilk.open_store(guarded.replace("guarded@", "guarded:the%3Aword@")) as store:
        session = store.sessions.create().id
        with pytest.raises(BackendError) as caught, store.transaction():
            store.messages.append(session, "user")
            end(guarded.replace("guarded@", "wilk@"), serving(store))
            store.messages.append(session, "user")
        shown = " ".join([repr(store), repr(store.settings), str(caught.value), caplog.text])
    assert re.search("the(:|%3A)word", shown) is None


def test_the_command_line_tells_it_in_a_line(server: PostgresServer) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "wilk", "sessions", "list", "--url", server.url("nowhere")],
        capture_output=True,
        text=True,
    )
    assert done.returncode != 0
    assert "wilk: error: no connection to PostgreSQL" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_database_of_another_encoding_is_refused_with_the_command(server: PostgresServer) -> None:
    server.execute("CREATE DATABASE latin TEMPLATE template0 ENCODING 'LATIN1' LC_COLLATE 'C' LC_CTYPE 'C'")
    assert "as LATIN1; make one" in told_by_opening(server.url("latin"))


def test_a_server_without_a_free_connection_is_busy(server: PostgresServer, url: str) -> None:
    server.execute("DROP ROLE IF EXISTS narrow")
    server.execute("CREATE ROLE narrow LOGIN CONNECTION LIMIT 0")
    with pytest.raises(Busy, match="use a smaller pool_size"):
        wilk.open_store(url.replace("wilk@", "narrow@"))


# -- schemas and rights ---------------------------------------------------------------------


@pytest.fixture
def powerless(server: PostgresServer, empty: str) -> str:
    """The URL of a database in which the user may make nothing."""
    server.execute("DROP ROLE IF EXISTS powerless")
    server.execute("CREATE ROLE powerless LOGIN")
    name = empty.rpartition("/")[2]
    server.execute("REVOKE CREATE ON SCHEMA public FROM PUBLIC", name)
    return empty.replace("wilk@", "powerless@")


def test_a_missing_schema_is_made(empty: str, server: PostgresServer) -> None:
    wilk.open_store(f"{empty}?schema=new").close()
    found = server.execute("SELECT 1 FROM pg_namespace WHERE nspname = 'new'", empty.rpartition("/")[2])
    assert found == [(1,)]


def test_a_schema_that_may_not_be_made_is_told_with_the_command(powerless: str) -> None:
    assert 'CREATE SCHEMA "new" AUTHORIZATION "powerless"' in told_by_opening(f"{powerless}?schema=new")


def test_a_schema_in_which_nothing_may_be_made_is_told_with_the_command(powerless: str) -> None:
    assert 'GRANT ALL ON SCHEMA "public" TO "powerless"' in told_by_opening(powerless)


def test_the_command_that_was_told_helps(powerless: str, empty: str, server: PostgresServer) -> None:
    server.execute('CREATE SCHEMA "new" AUTHORIZATION "powerless"', empty.rpartition("/")[2])
    with wilk.open_store(f"{powerless}?schema=new") as store:
        assert store.sessions.create(id="s").id == "s"


def test_a_right_that_is_missing_later_is_told(url: str, server: PostgresServer) -> None:
    server.execute("DROP ROLE IF EXISTS reader")
    server.execute("CREATE ROLE reader LOGIN")
    server.execute("GRANT SELECT ON ALL TABLES IN SCHEMA public TO reader", url.rpartition("/")[2])
    told = r"permission denied for table .* needs all rights in schema"
    with wilk.open_store(url.replace("wilk@", "reader@")) as store, pytest.raises(BackendError, match=told):
        store.sessions.create()
    server.execute("DROP OWNED BY reader; DROP ROLE reader", url.rpartition("/")[2])


def test_a_schema_that_is_missing_cannot_be_opened_to_be_read(empty: str) -> None:
    with pytest.raises(wilk.SchemaError, match="open it once without readonly"):
        wilk.open_store(f"{empty}?schema=new&readonly=1")
