"""The encrypted backend meets wilk's contract, and nothing of what it keeps is readable."""

from pathlib import Path

import pytest

import wilk
from wilk.testing import BackendSuite


@pytest.fixture(autouse=True)
def key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WILK_ENCRYPTED_KEY", "it's a key")


class TestEncrypted(BackendSuite):
    @pytest.fixture
    def url(self, tmp_path: Path) -> str:
        return f"encrypted:///{tmp_path}/t.db"


def test_what_is_kept_cannot_be_read_from_the_file(tmp_path: Path) -> None:
    with wilk.open_store(f"encrypted:///{tmp_path}/t.db") as store:
        session = store.sessions.create()
        store.messages.append(session.id, "user", "the secret plan")
        written = b"".join(file.read_bytes() for file in tmp_path.iterdir())
    assert b"secret" not in written
    assert b"SQLite format 3" not in written


def test_another_key_does_not_open_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    wilk.open_store(f"encrypted:///{tmp_path}/t.db").close()
    monkeypatch.setenv("WILK_ENCRYPTED_KEY", "another")
    with pytest.raises(wilk.BackendError, match="does not open with this key"):
        wilk.open_store(f"encrypted:///{tmp_path}/t.db")


def test_no_key_is_an_error_that_says_where_to_put_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("WILK_ENCRYPTED_KEY")
    with pytest.raises(wilk.SettingsError, match="WILK_ENCRYPTED_KEY"):
        wilk.open_store(f"encrypted:///{tmp_path}/t.db")


def test_the_key_may_lie_in_a_file(tmp_path: Path) -> None:
    (tmp_path / "key").write_text("from a file\n")
    (tmp_path / "config.yaml").write_text(
        f"url: 'encrypted:///{tmp_path}/t.db'\nplugins: {{encrypted: {{key_file: '{tmp_path}/key'}}}}\n"
    )
    with wilk.open_store(home=tmp_path) as store:
        assert store.sessions.list() == []
