"""Backups: what is in one, listing, trying, removing; the names and the reasons they have."""

from __future__ import annotations

import stat
from datetime import UTC, datetime
from pathlib import Path

import pytest
from tests.conftest import Time
from tests.core.moving import fill, rows

import wilk
from wilk.care.backups import copies, manifest
from wilk.records.backups import Backup

PERSONA = "name: Wolf\nprompt: You are a wolf.\n"


@pytest.fixture
def home(tmp_path: Path) -> Path:
    return tmp_path / "home"


def of(made: Backup) -> manifest.Manifest:
    return manifest.read(Path(made.folder))


@pytest.mark.backends
class TestOnEveryBackend:
    def test_every_row_is_in_the_copy(self, tmp_path: Path) -> None:
        with wilk.open_store() as store:
            fill(store)
            made = store.backups.create()
            wanted = rows(store)
        with wilk.open_store(f"sqlite:///{made.folder}/wilk.db", readonly=True) as copy:
            assert rows(copy) == wanted

    def test_a_backup_that_was_made_is_good(self) -> None:
        with wilk.open_store() as store:
            fill(store)
            made = store.backups.create(name="first")
            assert (made.name, made.why, made.good, made.problems) == ("first", "manual", True, ())
            assert store.backups.list() == [made]
            assert store.backups.verify("first").good

    def test_what_was_there_is_put_back_and_what_came_since_goes(self) -> None:
        with wilk.open_store() as store:
            fill(store)
            wanted = rows(store)
            made = store.backups.create()
            store.sessions.remove("hostile")
            store.sessions.create(id="later")
            store.messages.append("later", "user", "not there any more")
            done = store.backups.restore(made.id)
            assert {**rows(store), "vector_spaces": []} == {**wanted, "vector_spaces": []}
            assert (done.safety, done.into) == (store.backups.list()[0].id, "this store")

    def test_messages_go_on_behind_what_was_put_back(self) -> None:
        with wilk.open_store() as store:
            store.sessions.create(id="talk")
            store.messages.extend("talk", [{"role": "user", "text": str(n)} for n in range(3)])
            made = store.backups.create()
            store.messages.extend("talk", [{"role": "user", "text": str(n)} for n in range(3, 9)])
            store.backups.restore(made.id)
            store.messages.append("talk", "user", "new wolf")
            assert [one.sequence for one in store.messages.last("talk")] == [1, 2, 3, 4]
            assert [one.message.text for one in store.messages.search("wolf")] == ["new wolf"]

    def test_the_safety_copy_brings_back_what_a_restore_took_away(self) -> None:
        with wilk.open_store() as store:
            made = store.backups.create()
            store.sessions.create(id="since")
            safety = store.backups.restore(made.id).safety
            assert store.sessions.find("since") is None
            assert safety is not None
            store.backups.restore(safety)
            assert store.sessions.find("since") is not None

    def test_it_is_restored_into_another_database(self, tmp_path: Path) -> None:
        with wilk.open_store() as store:
            fill(store)
            made = store.backups.create()
            store.backups.restore(made.id, to=f"sqlite:///{tmp_path}/other.db")
            wanted = rows(store)
        with wilk.open_store(f"sqlite:///{tmp_path}/other.db") as other:
            assert {**rows(other), "vector_spaces": []} == {**wanted, "vector_spaces": []}

    def test_it_is_restored_into_a_new_home_folder(
        self, home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        (home / "personas").mkdir(parents=True)
        (home / "personas/wolf.yaml").write_text(PERSONA)
        with wilk.open_store() as store:
            store.sync()
            store.sessions.create(id="talk")
            made = store.backups.create()
            store.backups.restore(made.id, to=tmp_path / "new")
        monkeypatch.delenv("WILK_URL", raising=False)
        with wilk.open_store(home=tmp_path / "new") as new:
            assert new.sync().changes == ()
            assert new.personas.get("wolf").name == "Wolf"
            assert new.sessions.find("talk") is not None

    def test_it_can_be_made_twice_in_a_second(self) -> None:
        with wilk.open_store(clock=wilk.Clock(Time())) as store:
            ids = {store.backups.create().id for _ in range(3)}
            assert len(ids) == 3
            assert {one.id for one in store.backups.list()} == ids


class TestWhatIsInOne:
    def test_definitions_tools_and_the_current_session_are(self, home: Path) -> None:
        for path in ("agents/wolf/tools/howl.py", "tools/sing.py", "personas/wolf.yaml"):
            (home / path).parent.mkdir(parents=True, exist_ok=True)
            (home / path).write_text(PERSONA if path.endswith("yaml") else "def run(): ...\n")
        with wilk.open_store() as store:
            store.agents.save("wolf", {"name": "Wolf", "description": "one"})
            store.sessions.use(store.sessions.create().id)
            made = of(store.backups.create())
        assert [part.path for part in made.files if part.what != "database"] == [
            "home/agents/wolf/agent.yaml",
            "home/agents/wolf/tools/howl.py",
            "home/personas/wolf.yaml",
            "home/sessions/current.json",
            "home/tools/sing.py",
        ]

    def test_caches_indexes_and_other_backups_are_not(self, home: Path) -> None:
        with wilk.open_store() as store:
            store.cache("responses").set("a", "kept only here")
            store.backups.create()
            made = store.backups.create()
        assert [part.path for part in of(made).files] == ["wilk.db"]

    def test_archives_in_files_are(self, home: Path) -> None:
        home.mkdir()
        (home / "config.yaml").write_text("archive: jsonl\n")
        with wilk.open_store() as store:
            store.sessions.create(id="talk")
            store.messages.append("talk", "user", "archived")
            store.sessions.remove("talk")
            store.settle()
            made = store.backups.create()
        assert "archive/jsonl/000001.jsonl.gz" in [part.path for part in of(made).files]

    def test_a_broken_definition_is_kept_as_it_is(self, home: Path) -> None:
        (home / "personas").mkdir(parents=True)
        (home / "personas/wolf.yaml").write_text("name: [")
        with wilk.open_store() as store:
            made = store.backups.create()
            assert made.good
            assert [note for note in made.notes if "broken" in note and "personas/wolf.yaml" in note]

    @pytest.mark.sqlite
    def test_its_manifest_tells_where_it_comes_from(self) -> None:
        time = Time()
        with wilk.open_store(clock=wilk.Clock(time)) as store:
            store.sessions.create()
            made = of(store.backups.create(name="first"))
        assert made.id == "20270115T080000Z-first"
        assert made.started_at == "2027-01-15T08:00:00+00:00"
        assert (made.wilk, made.schema["wilk"], made.backend) == (wilk.__version__, "0005_care", "sqlite")
        assert made.tables["sessions"].rows == 1
        assert made.tables == copies.counted(Path(store.backups.folder / made.id / "wilk.db"))

    def test_no_password_is_in_it(self, tmp_path: Path) -> None:
        with wilk.open_store(f"sqlite:///{tmp_path}/x.db?timeout=5") as store:
            made = of(store.backups.create())
        assert "***" not in made.source
        assert made.source.startswith("sqlite:///")

    def test_nobody_else_can_read_it(self, home: Path) -> None:
        (home / "personas").mkdir(parents=True, mode=0o755)
        (home / "personas/wolf.yaml").write_text(PERSONA)
        with wilk.open_store() as store:
            folder = Path(store.backups.create().folder)
        modes = {stat.S_IMODE(path.stat().st_mode) for path in folder.rglob("*") if path.is_file()}
        assert (modes, stat.S_IMODE(folder.stat().st_mode)) == ({0o600}, 0o700)

    def test_programs_that_know_nothing_of_it_can_check_it(self) -> None:
        import subprocess

        with wilk.open_store() as store:
            folder = store.backups.create().folder
        check = ["sha256sum", "--check", "--quiet", "SHA256SUMS"]
        assert subprocess.run(check, cwd=folder, check=False).returncode == 0


class TestNames:
    def test_one_that_is_taken_is_refused(self) -> None:
        with wilk.open_store() as store:
            store.backups.create(name="first")
            with pytest.raises(wilk.Conflict, match="there is a backup 'first' already"):
                store.backups.create(name="first")
            assert len(store.backups.list()) == 1

    @pytest.mark.parametrize(
        "name", ["../x", "", "manual", "interval", "before-migration", "a/b", 5, "x" * 61]
    )
    def test_what_is_none_is_refused(self, name: str) -> None:
        with wilk.open_store() as store:
            with pytest.raises(wilk.Invalid):
                store.backups.create(name=name)
            assert store.backups.list() == []

    def test_one_that_is_not_there_is_answered_with_what_may_be_meant(self) -> None:
        with wilk.open_store() as store:
            made = store.backups.create(name="first")
            with pytest.raises(wilk.NotFound, match="did you mean first"):
                store.backups.get("frist")
            assert store.backups.get(made.id[:12]) == made

    def test_several_that_may_be_meant_are_named(self) -> None:
        with wilk.open_store(clock=wilk.Clock(Time())) as store:
            store.backups.create()
            store.backups.create(name="other")
            with pytest.raises(wilk.Conflict, match="may be any of 2 backups"):
                store.backups.get("2027")

    def test_reasons_are_known_ones(self) -> None:
        with wilk.open_store() as store, pytest.raises(wilk.Invalid, match="before-repair"):
            store.backups.create(why="because")


class TestWhereTheyLie:
    def test_beside_a_database_without_a_home(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.delenv("WILK_HOME")
        for name in ("one", "two"):
            with wilk.open_store(f"sqlite:///{tmp_path}/{name}.db") as store:
                made = store.backups.create()
                assert Path(made.folder).parent == tmp_path / "backups"
                assert [one.id for one in store.backups.list()] == [made.id]

    def test_a_store_without_any_folder_says_what_to_do(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.delenv("WILK_HOME")
        with (
            wilk.open_store("sqlite:///:memory:") as store,
            pytest.raises(wilk.Invalid, match="backup_folder"),
        ):
            store.backups.create()

    def test_where_the_setting_says(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("WILK_BACKUP_FOLDER", str(tmp_path / "elsewhere"))
        with wilk.open_store("sqlite:///:memory:") as store:
            store.sessions.create(id="talk")
            made = store.backups.create()
        assert Path(made.folder).parent == tmp_path / "elsewhere"
        with wilk.open_store(f"sqlite:///{made.folder}/wilk.db", readonly=True) as copy:
            assert copy.sessions.find("talk") is not None

    def test_a_store_that_is_only_read_can_be_backed_up(self) -> None:
        with wilk.open_store() as store:
            store.sessions.create(id="talk")
        with wilk.open_store(readonly=True) as store:
            made = store.backups.create()
            assert store.backups.verify(made.id).good
            with pytest.raises(wilk.ReadOnly, match="restore elsewhere"):
                store.backups.restore(made.id)

    def test_a_folder_that_cannot_be_written_is_named(self, home: Path) -> None:
        with wilk.open_store() as store:
            home.mkdir(exist_ok=True)
            (home / "backups").write_text("in the way")
            with pytest.raises(wilk.BackendError, match="backups"):
                store.backups.create()
            (home / "backups").unlink()

    def test_a_folder_that_was_copied_away_and_back_is_known(self, home: Path, tmp_path: Path) -> None:
        import shutil

        with wilk.open_store() as store:
            made = store.backups.create()
            shutil.copytree(made.folder, tmp_path / made.id, copy_function=shutil.copyfile)
            store.backups.remove(made.id)
            assert store.backups.list() == []
            shutil.copytree(tmp_path / made.id, made.folder, copy_function=shutil.copyfile)
            assert store.backups.list() == [made]
            assert store.backups.verify(made.id).good

    def test_within_a_transaction_there_is_none(self) -> None:
        with wilk.open_store() as store, store.transaction(), pytest.raises(wilk.Conflict, match="committed"):
            store.backups.create()


class TestByInterval:
    @pytest.fixture
    def time(self, home: Path) -> Time:
        home.mkdir()
        (home / "config.yaml").write_text("backup_interval: 1d\nbackup_keep: 2\n")
        return Time()

    def made(self, time: Time) -> list[str]:
        """Open the store, and tell what backups there are then, the newest first."""
        with wilk.open_store(clock=wilk.Clock(time)) as store:
            store.settle()
            return [one.id for one in store.backups.list()]

    def test_one_is_made_when_a_store_is_opened_after_the_time(self, time: Time) -> None:
        assert self.made(time) == ["20270115T080000Z-interval"]
        time.pass_by(days=0.9)
        assert self.made(time) == ["20270115T080000Z-interval"]
        time.pass_by(days=0.1)
        assert self.made(time) == ["20270116T080000Z-interval", "20270115T080000Z-interval"]

    def test_the_oldest_go_and_those_of_people_stay(self, time: Time) -> None:
        with wilk.open_store(clock=wilk.Clock(time)) as store:
            store.settle()
            store.backups.create(name="mine")
            store.backups.create(why="before-repair")
        for _ in range(3):
            time.pass_by(days=1)
            found = self.made(time)
        assert found == [
            "20270118T080000Z-interval",
            "20270117T080000Z-interval",
            "20270115T080000Z-mine",
            "20270115T080000Z-before-repair",
        ]

    def test_damaged_ones_do_not_push_good_ones_out(self, time: Time, home: Path) -> None:
        self.made(time)
        for _ in range(2):
            time.pass_by(days=1)
            newest = self.made(time)[0]
            (home / "backups" / newest / "wilk.db").write_bytes(b"damaged")
        time.pass_by(days=1)
        assert "20270115T080000Z-interval" in self.made(time)

    def test_it_is_made_while_the_store_stays_open(self, time: Time) -> None:
        with wilk.open_store(clock=wilk.Clock(time)) as store:
            store.settle()
            time.pass_by(days=1)
            assert store.backups._make_due() is not None
            assert store.backups._make_due() is None

    def test_a_clock_that_was_put_back_does_not_hold_them_up(self, time: Time) -> None:
        time.pass_by(days=400)
        self.made(time)
        time.pass_by(days=-400)
        assert len(self.made(time)) == 2

    def test_none_is_made_unless_the_settings_want_it(self) -> None:
        with wilk.open_store() as store:
            store.settle()
            assert store.backups.list() == []

    def test_pruning_by_hand_leaves_so_many_of_each_kind(self, time: Time) -> None:
        with wilk.open_store(clock=wilk.Clock(time)) as store:
            store.settle()
            for _ in range(3):
                time.pass_by(seconds=60)
                store.backups.create()
                store.backups.create(why="before-repair")
            wanted = [one.id for one in store.backups.prune(keep=1, dry_run=True)]
            assert len(wanted) == 2
            assert [one.id for one in store.backups.prune(keep=1)] == wanted
            assert [one.why for one in store.backups.list()].count("manual") == 3
            with pytest.raises(wilk.Invalid, match="keep"):
                store.backups.prune(keep=0)


class TestSettings:
    @pytest.mark.parametrize(
        ("text", "seconds"), [("1d", 86_400), ("90m", 5400), ("3600", 3600), ("0", 0), ("2w", 1_209_600)]
    )
    def test_an_interval_is_seconds_or_a_span(
        self, text: str, seconds: float, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("WILK_BACKUP_INTERVAL", text)
        assert wilk.settings.load().backup_interval == seconds

    @pytest.mark.parametrize("text", ["often", "-1", "1x", "nan"])
    def test_what_is_none_is_refused(self, text: str, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("WILK_BACKUP_INTERVAL", text)
        with pytest.raises(wilk.SettingsError, match="such as 1d or 12h"):
            wilk.settings.load()


def test_a_plain_copy_of_an_earlier_version_is_listed_tried_and_restored(home: Path) -> None:
    with wilk.open_store() as store:
        store.sessions.create(id="talk")
        made = store.backups.create()
        plain = home / "backups" / "wilk-before-0005_care-20260101T000000Z-17.db"
        plain.write_bytes((Path(made.folder) / "wilk.db").read_bytes())
        store.backups.remove(made.id)
        (found,) = store.backups.list()
        assert (found.id, found.why, found.good) == (plain.stem, "before-migration", True)
        assert store.backups.verify(found.id).good
        store.sessions.remove("talk")
        store.backups.restore(found.id)
        assert store.sessions.find("talk") is not None
        plain.write_bytes(plain.read_bytes()[:-4096])
        assert not store.backups.get(found.id).good
        assert not store.backups.verify(found.id).good


def test_the_time_of_a_backup_is_that_of_the_stores_clock() -> None:
    with wilk.open_store(clock=wilk.Clock(Time())) as store:
        assert store.backups.create().created_at == datetime(2027, 1, 15, 8, tzinfo=UTC)
