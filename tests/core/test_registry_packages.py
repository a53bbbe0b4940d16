"""Packages: what is in them is checked before any of it is used, however it was made."""

from __future__ import annotations

import io
import re
import stat
import struct
import zipfile
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

import wilk
from wilk.definitions import packages

from .packaging import FILES, agent, package, zipped

pytestmark = pytest.mark.storeless

GOOD = {"agent.yaml": agent(), **FILES}


def refused(files: dict[str, str | bytes]) -> str:
    with pytest.raises(wilk.Invalid) as caught:
        packages.read(zipped(files))
    return str(caught.value)


def with_member(change: zipfile.ZipInfo, content: bytes = b"x") -> bytes:
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w") as archive:
        archive.writestr("agent.yaml", agent())
        archive.writestr(change, content)
    return made.getvalue()


class TestReading:
    def test_gives_the_files_and_names_the_definition(self) -> None:
        contents = packages.read(package())
        assert contents.definition == "agent.yaml"
        assert {path: data.decode() for path, data in contents.files.items()} == GOOD

    def test_takes_one_folder_around_it_all_away(self) -> None:
        contents = packages.read(zipped({f"reviewer-1.0/{path}": data for path, data in GOOD.items()}))
        assert set(contents.files) == set(GOOD)

    @pytest.mark.parametrize(
        "name",
        [
            "../evil.py", "tools/../../evil.py", "/etc/passwd", "tools//evil.py", "tools/./evil.py",
            "C:/evil.py", "C:evil.py", "tools\\evil.py", "..\\evil.py", "tools/evil.py:stream",
            "tools/con", "tools/NUL.py", "tools/com1.txt", "tools/com¹.py", "tools/evil.", "tools/evil ",
            "tools/.hidden", ".env", "tools/-rf", "tools/a\nb.py", "tools/a\x1b.py", "tools/a*b.py",
            "tools/" + "a" * 300, "tools/" + "a/" * 120 + "b",
        ],
    )  # fmt: skip
    def test_refuses_a_name_that_is_dangerous_somewhere(self, name: str) -> None:
        said = refused({**GOOD, name: "x"})
        assert re.search(
            "leads out of the package|no name for a file on every system|a path of at most", said
        )

    def test_refuses_a_name_with_nul_that_zipfile_would_cut(self) -> None:
        data = zipped({**GOOD, "tools/aXb.py": "x"}).replace(b"tools/aXb.py", b"tools/a\0b.py")
        with pytest.raises(wilk.Invalid):
            packages.read(data)

    def test_refuses_a_link(self) -> None:
        link = zipfile.ZipInfo("tools/link.py")
        link.create_system = 3
        link.external_attr = (stat.S_IFLNK | 0o777) << 16
        with pytest.raises(wilk.Invalid, match="link"):
            packages.read(with_member(link, b"/etc/passwd"))

    @pytest.mark.parametrize("kind", [stat.S_IFCHR, stat.S_IFBLK, stat.S_IFIFO, stat.S_IFSOCK])
    def test_refuses_a_device(self, kind: int) -> None:
        device = zipfile.ZipInfo("tools/device.py")
        device.create_system = 3
        device.external_attr = (kind | 0o666) << 16
        with pytest.raises(wilk.Invalid, match="device"):
            packages.read(with_member(device))

    def test_refuses_names_that_are_one_on_some_systems(self) -> None:
        assert "one file on some systems" in refused({**GOOD, "tools/Diff.py": "x"})

    def test_refuses_a_file_that_is_a_folder_too(self) -> None:
        assert "a file and a folder" in refused({**GOOD, "tools": "x"})

    def test_refuses_an_encrypted_member(self) -> None:
        data = bytearray(package())
        for mark, offset in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
            data[data.index(mark) + offset] |= 1
        with pytest.raises(wilk.Invalid, match="encrypted"):
            packages.read(bytes(data))

    def test_refuses_a_compression_that_is_rare(self) -> None:
        made = io.BytesIO()
        with zipfile.ZipFile(made, "w", zipfile.ZIP_BZIP2) as archive:
            archive.writestr("agent.yaml", agent())
        with pytest.raises(wilk.Invalid, match="compressed"):
            packages.read(made.getvalue())

    def test_refuses_what_would_unpack_to_far_more_than_it_is(self) -> None:
        assert "times its size" in refused({**GOOD, "tools/zeros.txt": b"\0" * (7 << 20)})

    def test_refuses_what_would_unpack_to_more_than_is_taken(self) -> None:
        assert "would unpack to" in refused(
            {**GOOD, **{f"tools/{n}.txt": b"\0" * (7 << 20) for n in range(5)}}
        )

    def test_refuses_a_member_that_says_less_than_it_holds(self) -> None:
        data = bytearray(zipped({"agent.yaml": agent(), "tools/big.txt": b"0" * 100_000}))
        place = data.rindex(b"PK\x01\x02")
        data[place + 24 : place + 28] = struct.pack("<I", 10)
        with pytest.raises(wilk.Invalid):
            packages.read(bytes(data))

    def test_refuses_too_many_members(self) -> None:
        assert "members" in refused({**GOOD, **{f"tools/{n}.txt": "x" for n in range(600)}})

    @pytest.mark.parametrize(
        "files",
        [
            {"README.md": "nothing else"},
            {"agent.yaml": agent(), "agent.yml": agent()},
            {"tools/agent.yaml": agent(), "README.md": ""},
            {},
        ],
    )
    def test_refuses_what_does_not_hold_one_definition(self, files: dict[str, str | bytes]) -> None:
        assert "definition" in refused(files)

    @pytest.mark.parametrize(
        "name", ["config.yaml", "bin/run.sh", "setup.py", "tools/__pycache__/diff.txt", "tools/diff.pyc"]
    )
    def test_refuses_what_no_agent_has(self, name: str) -> None:
        assert name in refused({**GOOD, name: "x"})

    @pytest.mark.parametrize("data", [b"", b"PK", b"no zip at all", b"PK\x05\x06" + b"\xff" * 18])
    def test_refuses_what_is_no_archive(self, data: bytes) -> None:
        with pytest.raises(wilk.Invalid, match="ZIP"):
            packages.read(data)

    @given(st.data())
    def test_no_damage_makes_it_do_anything_but_refuse_or_read(self, data: st.DataObject) -> None:
        damaged = bytearray(package())
        for _ in range(data.draw(st.integers(1, 6))):
            damaged[data.draw(st.integers(0, len(damaged) - 1))] = data.draw(st.integers(0, 255))
        try:
            contents = packages.read(bytes(damaged))
        except wilk.Invalid:
            return
        assert all(_stays_inside(path) for path in contents.files)

    @given(st.text(st.characters(codec="utf-8"), min_size=1, max_size=30))
    @example("a/../../b")
    def test_whatever_a_name_is_nothing_leaves_the_folder(self, name: str) -> None:
        try:
            contents = packages.read(zipped({**GOOD, f"tools/{name}": "x"}))
        except (wilk.Invalid, UserWarning):
            return
        assert all(_stays_inside(path) for path in contents.files)


def _stays_inside(path: str) -> bool:
    root = Path("/root/of/it")
    return not Path(path).is_absolute() and ".." not in path.split("/") and root in (root / path).parents


class TestPacking:
    def make(self, folder: Path) -> Path:
        for path, content in {**GOOD, "tools/deep/more.txt": "x"}.items():
            (folder / path).parent.mkdir(parents=True, exist_ok=True)
            (folder / path).write_text(content)
        return folder

    def test_gives_back_what_lay_in_the_folder(self, tmp_path: Path) -> None:
        contents = packages.read(packages.pack(self.make(tmp_path / "a")))
        assert {path: data.decode() for path, data in contents.files.items()} == {
            **GOOD,
            "tools/deep/more.txt": "x",
        }

    def test_gives_the_same_bytes_for_the_same_files(self, tmp_path: Path) -> None:
        one, other = self.make(tmp_path / "a"), self.make(tmp_path / "b")
        (other / "agent.yaml").touch()
        (other / "README.md").chmod(0o755)
        assert packages.pack(one) == packages.pack(other)

    def test_leaves_out_what_is_no_part_of_the_agent(self, tmp_path: Path) -> None:
        folder = self.make(tmp_path / "a")
        before = packages.pack(folder)
        for name in (".git/config", "tools/__pycache__/diff.cpython-311.pyc", "agent.yaml~", "agent.yaml.local",
                     "tools/.secret", "notes/private.txt", "tools/diff.py.package"):  # fmt: skip
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_text("x")
        assert packages.pack(folder) == before

    def test_refuses_a_link(self, tmp_path: Path) -> None:
        folder = self.make(tmp_path / "a")
        (folder / "tools" / "passwd").symlink_to("/etc/passwd")
        with pytest.raises(wilk.Invalid, match="link"):
            packages.pack(folder)

    def test_refuses_a_folder_without_an_agent(self, tmp_path: Path) -> None:
        with pytest.raises(wilk.Invalid, match="no definition"):
            packages.pack(tmp_path)
