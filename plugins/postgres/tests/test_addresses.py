"""What a URL may say, and that what is wrong with it is told without the password."""

import pytest
from psycopg.conninfo import conninfo_to_dict

from wilk import Settings, SettingsError
from wilk_postgres.addresses import OWN, Address, parsed, with_defaults

WHERE = "postgresql://u:hidden@h:5433/db"


def address(query: str = "", base: str = WHERE) -> Address:
    return parsed(base + query, Settings())


def libpq(query: str = "", base: str = WHERE) -> dict[str, object]:
    return dict(conninfo_to_dict(address(query, base).conninfo))


def refusal(query: str, base: str = WHERE) -> str:
    with pytest.raises(SettingsError) as caught:
        address(query, base)
    return str(caught.value)


def test_without_options_it_is_what_the_table_of_options_says() -> None:
    found = address()
    assert {name: getattr(found, name) for name in OWN} == {name: one.default for name, one in OWN.items()}


def test_what_is_not_wilks_goes_to_libpq_as_it_stands() -> None:
    found = libpq("?sslmode=require&schema=s&application_name=my%20app&options=-c%20geqo%3Doff")
    assert (found["sslmode"], found["application_name"], found["options"]) == (
        "require",
        "my app",
        "-c geqo=off",
    )


def test_a_plus_in_what_is_libpqs_stays_a_plus() -> None:
    assert libpq("?application_name=a+b")["application_name"] == "a+b"


def test_several_hosts_are_libpqs() -> None:
    found = libpq("?target_session_attrs=read-write", "postgresql://u@h1:1,h2:2/db")
    assert (found["host"], found["port"], found["target_session_attrs"]) == ("h1,h2", "1,2", "read-write")


def test_settings_in_the_url_go_before_the_others() -> None:
    found = parsed(WHERE + "?timeout=3&readonly=1", Settings(timeout=9.0))
    assert (found.timeout, found.readonly) == (3.0, True)


@pytest.mark.parametrize(
    ("option", "value", "range_"),
    [
        ("schema", "", "1 to 63 bytes"),
        ("schema", "x" * 64, "1 to 63 bytes"),
        ("schema", "pg_mine", "do not begin with pg_"),
        ("pool_size", "0", "from 1 to 1000"),
        ("pool_size", "1001", "from 1 to 1000"),
        ("pool_size", "many", "from 1 to 1000"),
        ("pool_size", "2.5", "from 1 to 1000"),
        ("pool_lifetime", "0", "seconds from 1 to 86400"),
        ("pool_lifetime", "nan", "seconds from 1 to 86400"),
        ("pool_ping", "-1", "seconds from 0 to 86400"),
        ("statement_timeout", "1e9", "seconds from 0 to 86400"),
        ("replica_wait", "61", "seconds from 0 to 60"),
        ("replicas", "", "HOST:PORT"),
        ("replicas", "h:99999", "HOST:PORT"),
        ("replicas", "h:1,,g:2", "HOST:PORT"),
        ("replicas", "u:p@h:1", "HOST:PORT"),
        ("timeout", "-1", "seconds from 0 to 86400"),
        ("readonly", "perhaps", "true or false"),
    ],
)
def test_a_bad_value_is_told_with_its_option_and_the_range(option: str, value: str, range_: str) -> None:
    told = refusal(f"?{option}={value}")
    assert (option in told, repr(value) in told, range_ in told) == (True, True, True)


def test_an_unknown_option_is_told_with_the_nearest() -> None:
    assert "'pool_sise' of libpq or wilk; did you mean 'pool_size'?" in refusal("?pool_sise=3")


@pytest.mark.parametrize(
    ("base", "query"),
    [
        (WHERE, "?nothing=1"),
        (WHERE, "?pool_size=0"),
        (WHERE, "?timeout=x"),
        ("postgresql://u:hid%zzden@h/db", ""),
        ("postgresql://u:hidden@sub@h/db", ""),
        ("postgresql://u:hidden/sub@h/db", ""),
        ("postgresql://u:hidden", "?x@h/db"),
        ("postgresql://u:hidden@h:port/db?x", "=1"),
        ("postgresql://h/db", "?password=hidden&nothing=1"),
        ("postgresql://h/db", "?password=hid%zzden"),
    ],
)
def test_no_refusal_tells_the_password(base: str, query: str) -> None:
    told = refusal(query, base)
    assert ("hidden" in told, "hid%zz" in told) == (False, False)


def test_an_address_is_shown_without_its_password() -> None:
    assert "hidden" not in repr(address("?replicas=r:1"))


def test_replicas_are_reached_as_the_primary_is() -> None:
    (found,) = (conninfo_to_dict(one) for one in address("?replicas=r:1&sslmode=require").replicas)
    assert (found["host"], found["port"], found["user"], found["password"], found["sslmode"]) == (
        "r",
        "1",
        "u",
        "hidden",
        "require",
    )


def test_replicas_need_not_be_writable() -> None:
    found = address("?replicas=r&target_session_attrs=read-write", "postgresql://u@h1,h2/db").replicas
    assert "target_session_attrs" not in conninfo_to_dict(found[0])


def test_a_replica_may_be_an_address_of_ipv6() -> None:
    found = conninfo_to_dict(address("?replicas=[::1]:7").replicas[0])
    assert (found["host"], found["port"]) == ("::1", "7")


def test_two_schemas_have_locks_of_their_own() -> None:
    locks = {one: address(f"?schema={one}").lock for one in ("a", "b")}
    # The number after it is the lock of migrations.
    assert len({*locks.values(), *(lock + 1 for lock in locks.values())}) == 4


def test_the_time_to_connect_is_short_unless_something_else_is_said() -> None:
    conninfo = address().conninfo
    said = address("?connect_timeout=60").conninfo
    assert (
        with_defaults(conninfo, {})["connect_timeout"],
        with_defaults(said, {})["connect_timeout"],
        with_defaults(conninfo, {"PGCONNECT_TIMEOUT": "60"}).get("connect_timeout"),
    ) == ("5", "60", None)
