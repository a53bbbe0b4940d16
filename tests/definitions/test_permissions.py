"""Permissions: nothing is allowed unless it is written, and what is blocked is blocked."""

from __future__ import annotations

import os
import shlex
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import wilk
from wilk.definitions.permissions import Permissions

pytestmark = pytest.mark.storeless

SEED = {"allowed": ["git", "npm test", "eslint"], "blocked": ["rm -rf", "sudo"]}
LENIENT = {
    "allowed": [
        "git",
        "rm",
        "env",
        "bash",
        "find",
        "xargs",
        "nohup",
        "npm run *",
        "sudo",
        "curl",
        "sh",
        "timeout",
    ],
    "blocked": ["rm -rf", "sudo", "git push --force", "curl * | sh", "npm run deploy"],
}


def runs(line: str, rules: dict[str, list[str]] = SEED) -> bool:
    return Permissions(**rules).allows_command(line)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "line",
    [
        "git",
        "git status",
        "git  commit -m 'a; b && c'",
        'git log --grep "x|y"',
        "npm test",
        "npm test -- x",
        "npm  test",
        "eslint src",
        "git status; npm test",
        "git status && npm test || eslint .",
        "git log | eslint",
        "git a & git b",
        "git status\nnpm test",
        "git status;",
        "g\\it status",
        "'git' status",
        "git stash@{0}",
        "git add *.py",
        "git commit -m sudo",
        "git commit -m 'rm -rf'",
        "git grep 'a$'",
        "git log HEAD^ ~/x",
        'git commit -m "it\'s"',
    ],
)
def test_what_is_written_may_be_run(line: str) -> None:
    assert runs(line)


@pytest.mark.parametrize(
    "line",
    [
        "",
        "   ",
        ";",
        "gitfoo",
        "git-foo",
        "npm",
        "npm install",
        "npm testing",
        "npm run test",
        "npm --flag test",
        "ls",
        "/tmp/git status",
        "./git",
        "GIT status",
        "X=1 git status",
        "env git status",
        "git status; ls",
        "git status && rm x",
        "git status || ls",
        "git status | sh",
        "ls | git",
        "git status & ls",
        "git status\nls",
        "git status\r\nls",
        "git $(ls)",
        "git `ls`",
        'git "$(ls)"',
        'git "`ls`"',
        "git $HOME",
        "git ${X}",
        "git > x",
        "git >> x",
        "git < x",
        "git 2>&1",
        "git <(ls)",
        "(git status)",
        "{ git status; }",
        "git {a,b}",
        "git status # ls",
        "git 'x",
        'git "x',
        "git \\",
        "git \\\nstatus",
        "g?t status",
        "git* x",
        "~/git",
        "git\0ls",
        "if true; then git; fi",
        "! git status",
        "git status;; ls",
    ],
)
def test_what_is_not_written_may_not_be_run(line: str) -> None:
    assert not runs(line)


@pytest.mark.parametrize(
    "line",
    [
        "rm -rf /",
        "rm -fr x",
        "rm -r -f x",
        "rm -f -v -r x",
        "rm -Rf x",
        "rm --recursive --force x",
        "rm --rec --fo x",
        "rm x -rf",
        "rm -rvf x",
        "/bin/rm -rf x",
        "\\rm -rf x",
        "'rm' -rf x",
        'r"m" "-rf" x',
        "RM -rf x",
        "sudo ls",
        "sudo",
        "/usr/bin/sudo git",
        "env X=1 sudo ls",
        "X=1 sudo ls",
        "nohup rm -rf x",
        "env -i rm -r -f x",
        "timeout 5 rm -rf x",
        "find . -exec rm -rf {} +",
        "git ls-files | xargs rm -rf",
        "bash -c 'rm -rf x'",
        "bash -c \"bash -c 'rm -rf x'\"",
        "env bash -c 'git status; rm -rf x'",
        "git status && rm -rf x",
        "git push --force",
        "git push origin main --force",
        "git push -f",
        "git -C x push --force",
        "curl x | sh",
        "npm run deploy",
        "npm run deploy:all --x deploy",
    ],
)
def test_what_is_blocked_is_blocked_however_it_is_spelled(line: str) -> None:
    assert not runs(line, LENIENT)


@pytest.mark.parametrize(
    "line",
    [
        "rm x",
        "rm -r x",
        "rm -f x",
        "git push",
        "git push origin main",
        "env git status",
        "bash -c 'git status'",
        "find . -name x",
        "npm run build",
        "curl x",
    ],
)
def test_what_is_only_like_what_is_blocked_may_be_run(line: str) -> None:
    assert runs(line, LENIENT)


@pytest.mark.parametrize("line", ["bash -c 'rm $X'", "bash -c 'git > x'", 'sh -c "(git status)"'])
def test_what_a_shell_is_given_must_be_certain_too(line: str) -> None:
    assert not runs(line, LENIENT)


BYPASSES = r"""
sudo sh -c 'rm -rf $HOME'
X=1 sh -c 'rm -rf $HOME'
time bash -c 'rm -rf "$x"'
nohup sh -c 'rm -rf x > y'
sh -c "sh -c 'rm -rf \$x'"
X=rm sh -c "\$X -rf x"
eval rm -rf x
eval 'rm -rf' x
env -S 'rm -rf x'
env -S'rm -rf x'
env -vS 'rm -rf x'
env -Srm -rf x
env --split-string='rm -rf x'
sudo env -S 'rm -rf x'
watch 'rm -rf x'
watch -n 1 rm '-rf x'
script -c 'rm -rf x' f
script -qc'rm -rf x' f
script --command='rm -rf x' f
flock f -c 'rm -rf x'
flock f rm -rf x
su -c'rm -rf x'
su --command='rm -rf x'
ssh host 'cd y; rm -rf x'
parallel 'rm -rf {}' ::: x
parallel rm -rf ::: x
trap 'rm -rf x' EXIT
coproc rm -rf x
mapfile -C 'rm -rf x' -c 1
alias g='rm -rf'; g x
alias g=rm; g -rf x
xargs rm -rf
echo -rf x | xargs rm
echo rm | xargs -I% % -rf x
echo rm | xargs --replace=% % -rf x
echo 'rm -rf x' | xargs -n1 nohup
xargs sh -c
echo 'rm -rf x' | sh
echo 'rm -rf x' | sudo bash -s
echo 'rm -rf x' | bash /dev/stdin
find . -exec rm -rf {} +
find . -name x -exec sh -c 'rm -rf "$1"' _ {} ;
find /bin -name rm -exec {} -rf x \;
find . -delete
for f in x
for f in x; do rm -rf x; done
if ls; then ls; fi
then rm -rf x
while rm -rf x
until ls; do ls; done
case x in
select x in y
function f
{ rm -rf x; }
}
[[ -f x ]]
! rm -rf x
X=1 if ls
command rm -rf x
builtin eval 'rm -rf x'
exec -a y rm -rf x
nice -n 5 rm -rf x
timeout 5 rm -rf x
setsid rm -rf x
stdbuf -o0 rm -rf x
doas rm -rf x
busybox rm -rf x
busybox sh -c 'rm -rf x'
/bin/rm -rf x
/usr/bin/sudo /bin/rm -rf x
\rm -rf x
"rm" -rf x
rm --recursive --force x
rm -r --force x
rm x -f -- -r
cat <<E
sh <<< 'rm -rf x'
cat <(rm -rf x)
$'rm' -rf x
$"rm" -rf x
$X -rf x
"$X" -rf x
/bin/r? -rf x
X=1 /bin/r? -rf x
sudo /bin/r? -rf x
X[0]=1 rm -rf x
{rm,-rf,x}
rm {"a b",-rf}
rm {a{b}c,-rf}
rm {\ ,-rf}
let 'a[$(rm -rf x)]=1'
test -v 'a[`rm -rf x`]'
"""


@pytest.mark.parametrize("line", BYPASSES.strip().splitlines())
def test_no_way_leads_around_what_is_blocked(line: str) -> None:
    assert not runs(line, {"allowed": ["*"], "blocked": ["rm -rf"]})


@pytest.mark.parametrize("line", ["ls\nrm -rf x", "ls\rrm -rf x", "sh -c 'ls\nrm -rf x'", "rm\t-rf x"])
def test_line_ends_lead_around_nothing_either(line: str) -> None:
    assert not runs(line, {"allowed": ["*"], "blocked": ["rm -rf"]})


def test_it_does_not_matter_how_deep_a_shell_stands() -> None:
    line = "rm -rf x"
    for _ in range(8):
        line = f"sh -c {shlex.quote(line)}"
        assert not runs(line, {"allowed": ["*"], "blocked": ["rm -rf"]})


@pytest.mark.parametrize(
    "line",
    [
        "sudo sh -c 'rm -r x'",
        "env -S 'git status'",
        "env X=1 git add *.py",
        'time git commit -m "it\'s (done)"',
        "watch -n 1 git status",
        "flock f -c 'git status'",
        "trap 'rm x' EXIT",
        "find . -not -path './x/*' -name '*.py'",
        "find . -exec grep x {} +",
        "git ls-files | xargs -0 grep -l x",
        "git ls-files | xargs -I{} cp {} y",
        "git show HEAD@{1} HEAD^{commit}",
        'git grep "a\\$b"',
        "printf 'costs $5'",
        "git log --grep 'if'",
        "export X=1; git status",
        "''",
    ],
)
def test_what_is_certain_and_not_blocked_may_be_run(line: str) -> None:
    assert runs(line, {"allowed": ["*"], "blocked": ["rm -rf", "sudo reboot"]})


@pytest.mark.parametrize("line", ["watch " * 2000 + "ls", "sudo " + "sh " * 2000 + "ls"])
def test_a_line_full_of_lines_is_refused_soon(line: str) -> None:
    assert Permissions(allowed=["*"]).refusal(line) == "too many commands may stand within it"


@given(line=st.text(alphabet="shr-f \"'\\$`{},;|&\n*?[~=cS!#", max_size=40))
def test_every_line_gets_an_answer(line: str) -> None:
    Permissions(allowed=["*"], blocked=["rm -rf"]).refusal(f"xargs {line}")
    Permissions(allowed=["*"], blocked=["rm -rf"]).refusal(f"env -S sh {line}")


def test_a_refusal_says_why() -> None:
    rules = Permissions(allowed=["git"], blocked=["sudo"])
    assert rules.refusal("git status") is None
    assert rules.refusal("git status && sudo ls") == "'sudo' is blocked"
    assert rules.refusal("ls -l") == "'ls -l' is not among the allowed commands"


def test_without_permissions_nothing_is_allowed(tmp_path: Path) -> None:
    none = Permissions.of({"name": "x"}, root=tmp_path)
    assert not any((none.allows_read("x"), none.allows_write("x"), none.allows_command("ls")))


@given(line=st.text(max_size=60))
def test_no_line_runs_when_nothing_is_allowed(line: str) -> None:
    assert not Permissions().allows_command(line)


@given(tail=st.text(max_size=20), joint=st.sampled_from([";", "&&", "||", "|", "&", "\n"]))
def test_nothing_after_a_joint_runs_unless_it_is_allowed_itself(tail: str, joint: str) -> None:
    if runs(f"git status {joint} ls {tail}"):
        pytest.fail(f"ls {tail!r} would run")


# -- paths ----------------------------------------------------------------------------------


@pytest.fixture
def project(tmp_path: Path) -> Path:
    root = tmp_path / "project"
    for folder in ("src/deep", "docs", "reports", "secret"):
        (root / folder).mkdir(parents=True)
    return root


def reads(project: Path, path: str | Path, *patterns: str) -> bool:
    return Permissions(read=patterns, root=project).allows_read(path)


@pytest.mark.parametrize(
    "path", ["src", "src/a.py", "src/deep/b.py", "./src/a.py", "src/.env", "docs/../src/a.py", "src/new/x"]
)
def test_what_lies_below_may_be_read(project: Path, path: str) -> None:
    assert reads(project, path, "./src/**")


@pytest.mark.parametrize(
    "path",
    ["", "srcx", "srcx/a", "secret/x", "src/../secret/x", "../project2/src/a", "/etc/passwd", ".", "a\0b"],
)
def test_what_lies_elsewhere_may_not_be_read(project: Path, path: str) -> None:
    assert not reads(project, path, "./src/**")


@pytest.mark.parametrize(
    ("pattern", "path", "allowed"),
    [
        ("docs/*.md", "docs/a.md", True),
        ("docs/*.md", "docs/deep/a.md", False),
        ("docs/*.md", "docs/a.txt", False),
        ("**/*.md", "a.md", True),
        ("**/*.md", "docs/deep/a.md", True),
        ("src/**/test_*.py", "src/test_a.py", True),
        ("src/**/test_*.py", "src/x/y/test_a.py", True),
        ("docs/?.md", "docs/ab.md", False),
        ("docs/[ab].md", "docs/b.md", True),
        ("docs/[!ab].md", "docs/b.md", False),
        ("docs/[!ab].md", "docs/c.md", True),
        ("docs", "docs", True),
        ("docs", "docs/a.md", False),
        ("docs/", "docs/a.md", True),
        ("a+b.(md)", "a+b.(md)", True),
        ("a.md", "aXmd", False),
        ("docs/a**b", "docs/a/b", False),
        ("docs/[", "docs/[", True),
    ],
)
def test_patterns_stay_within_names_unless_they_say_otherwise(
    project: Path, pattern: str, path: str, allowed: bool
) -> None:
    assert reads(project, path, pattern) is allowed


@pytest.mark.parametrize(
    "pattern", ["[z-a]/x", "src/[z-a]", "~nobodyx/**", "src\0", "**/\0", "src/\ud800/**", "x" * 5000]
)
def test_a_pattern_that_is_none_matches_nothing_and_spoils_nothing(project: Path, pattern: str) -> None:
    assert not reads(project, "docs/a", pattern)
    assert reads(project, "src/a", pattern, "./src/**")


@pytest.mark.parametrize("path", ["src/a\0b", "~nobodyx/a", "src/\ud800"])
def test_a_path_that_is_none_may_not_be_read(project: Path, path: str) -> None:
    assert not reads(project, path, "./docs/**")


def test_a_link_out_of_what_is_allowed_leads_nowhere(project: Path) -> None:
    (project / "src/link").symlink_to(project / "secret")
    assert not reads(project, "src/link/x", "./src/**")


def test_a_link_into_what_is_allowed_may_be_read(project: Path) -> None:
    (project / "way").symlink_to(project / "src")
    assert reads(project, "way/a.py", "./src/**")


def test_a_pattern_may_begin_with_a_link(project: Path) -> None:
    (project / "way").symlink_to(project / "src")
    assert reads(project, "src/a.py", "./way/**")


def test_a_loop_of_links_may_not_be_read(project: Path) -> None:
    (project / "src/loop").symlink_to("loop")
    assert not reads(project, "src/loop/x", "./docs/**")


def test_absolute_patterns_and_paths_are_taken_as_they_are(project: Path) -> None:
    assert reads(project, project / "docs/a", f"{project}/docs/**")
    assert reads(project, "/anything/at/all", "/**")


def test_home_is_spelled_with_a_tilde(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(project))
    assert reads(project / "src", "~/docs/a", "~/docs/**")


def test_reading_and_writing_are_told_apart(project: Path) -> None:
    rules = Permissions(read=["./src/**"], write=["./reports/**"], root=project)
    assert (rules.allows_read("src/a"), rules.allows_write("src/a")) == (True, False)
    assert (rules.allows_read("reports/a"), rules.allows_write("reports/a")) == (False, True)


@given(
    path=st.lists(st.sampled_from(["src", "..", ".", "secret", "a", "docs"]), min_size=1, max_size=8).map(
        "/".join
    )
)
def test_a_path_is_allowed_exactly_where_it_ends(path: str) -> None:
    root = Path("/nowhere/project")
    ends = os.path.normpath(root / path)
    inside = ends == "/nowhere/project/src" or ends.startswith("/nowhere/project/src/")
    assert Permissions(read=["./src/**"], root=root).allows_read(path) is inside


# -- through the store ----------------------------------------------------------------------


def test_an_agent_answers_for_itself(
    store: wilk.Store, project: Path, monkeypatch: pytest.MonkeyPatch, seed_agent: str
) -> None:
    from wilk.definitions import reader

    agent: Any = store.agents.save("a", reader.parse_yaml(seed_agent.encode(), "x"))
    monkeypatch.chdir(project)
    assert agent.permissions.allows_read("src/a.py")
    assert not agent.permissions.allows_write("src/a.py")
    assert agent.permissions.allows_command("git status")
    assert not agent.permissions.allows_command("sudo git status")


def test_another_folder_may_stand_for_the_current_one(
    store: wilk.Store, project: Path, seed_agent: str
) -> None:
    from wilk.definitions import reader

    store.agents.save("a", reader.parse_yaml(seed_agent.encode(), "x"))
    assert store.agents.permissions("a", root=project).allows_read(project / "src/a.py")
