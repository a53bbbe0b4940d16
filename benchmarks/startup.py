"""Starting the command line and importing the package, in CPU seconds and peak memory."""

from __future__ import annotations

import subprocess
import sys
import sysconfig
from pathlib import Path

import wilk
from benchmarks import material
from benchmarks.measuring import Cost, Report, child, child_environment

RECORDS = 50
PLUGINS = 50
FLOOR = "python -c pass"
WITH_PLUGINS = f", {PLUGINS} plugins"


def measure(folder: Path, *, quick: bool = False) -> Report:
    """Compare wilk's commands with a Python that does nothing, with plugins installed, and with llm."""
    rounds = 7 if quick else 31
    report = Report("startup", f"a home with {RECORDS} agents and {RECORDS} sessions")
    session = _home(folder / "home")
    (folder / "none").mkdir()
    _plugins(folder / "plugins")
    base = {"WILK_HOME": str(folder / "home"), "XDG_CACHE_HOME": str(folder / "cache"), "HOME": str(folder)}
    # Both have one more folder on their path; only the second has plugins in it.
    plain = child_environment(**base, PYTHONPATH=str(folder / "none"))
    plugged = child_environment(**base, PYTHONPATH=str(folder / "plugins"))
    wilk_command = _script("wilk")
    commands = {
        "import wilk": [sys.executable, "-c", "import wilk"],
        "wilk --version": [wilk_command, "--version"],
        "wilk agents list": [wilk_command, "agents", "list"],
        "wilk sessions show": [wilk_command, "sessions", "show", session],
    }
    reading = {
        "wilk context show": [wilk_command, "context", "show", session],
        "wilk memory status": [wilk_command, "memory", "status", session],
        "wilk pins list": [wilk_command, "pins", "list", session],
        "wilk archive list": [wilk_command, "archive", "list"],
    }
    contestants = {FLOOR: ([sys.executable, "-c", "pass"], plain)}
    contestants |= {name: (command, plain) for name, command in {**commands, **reading}.items()}
    contestants |= {name + WITH_PLUGINS: (command, plugged) for name, command in commands.items()}
    llm = _script("llm")
    if llm.exists():
        own = plain | {"LLM_USER_PATH": str(_llm_home(folder / "llm"))}
        contestants |= {
            "llm --version": ([llm, "--version"], own),
            "llm logs -n 1": ([llm, "logs", "-n", "1"], own),
        }
    else:
        report.skipped.append("llm (it is not installed beside this Python)")

    # The first starts compile bytecode and read the installed distributions.
    costs: dict[str, list[Cost]] = {name: [] for name in contestants}
    for turn in range(-2, rounds):
        for name in sorted(contestants, reverse=bool(turn % 2)):
            cost = child(*contestants[name])
            if turn >= 0:
                costs[name].append(cost)

    cpu = {name: [cost.cpu for cost in many] for name, many in costs.items()}
    peak = {name: [cost.peak for cost in many] for name, many in costs.items()}
    for name in contestants:
        report.figure(name, cpu[name], "CPU ms")
    for name in (FLOOR, *commands, *reading, "llm logs -n 1"):
        if name in peak:
            report.figure(f"{name}: peak memory", peak[name], "MiB")
    goals = {"import wilk": 3.0, "wilk --version": 2.5, "wilk agents list": 7.0, "wilk sessions show": 7.0}
    goals |= dict.fromkeys(reading, 7.0)
    for name, goal in goals.items():
        report.compare(f"{name} ÷ floor", cpu[name], cpu[FLOOR], at_most=goal)
    for name in ("wilk agents list", "wilk sessions show", *reading):
        over = sorted(a - b for a, b in zip(peak[name], peak[FLOOR], strict=True))
        report.state(f"{name}: memory over the floor", over[len(over) // 2], at_most=12, unit="MiB")
    for name in commands:
        report.compare(f"{name}{WITH_PLUGINS} ÷ without", cpu[name + WITH_PLUGINS], cpu[name], at_most=1.1)
    if llm.exists():
        report.compare("llm --version ÷ wilk --version", cpu["llm --version"], cpu["wilk --version"])
        for name in ("wilk agents list", "wilk sessions show"):
            report.compare(f"llm logs -n 1 ÷ {name}", cpu["llm logs -n 1"], cpu[name], at_least=9)
    return report


def _script(name: str) -> Path:
    return Path(sysconfig.get_path("scripts")) / (f"{name}.exe" if sys.platform == "win32" else name)


def _home(home: Path) -> str:
    """Make a home folder with agents and sessions, and return a session's id."""
    material.write_agents(home, RECORDS)
    with wilk.open_store(home=home) as store:
        store.sync()
        texts = [{"role": material.role(n), "text": text} for n, text in enumerate(material.texts(20))]
        ids = [store.sessions.create(name=f"session {number}").id for number in range(RECORDS)]
        for session in ids:
            store.messages.extend(session, texts)
        store.pins.add(ids[0], texts[0]["text"])
        store.memory.compact(ids[0], keep_messages=10)
    return ids[0]


def _llm_home(home: Path) -> Path:
    """Make a log database for llm, without entries; by a child, because importing llm takes memory."""
    home.mkdir()
    code = (
        "import sys, llm.migrations, sqlite_utils; llm.migrations.migrate(sqlite_utils.Database(sys.argv[1]))"
    )
    subprocess.run([sys.executable, "-c", code, home / "logs.db"], check=True)
    return home


_SOURCES = {
    "register_backends": "yield wilk.Backend(scheme='{name}', open=print, summary='a backend')",
    "register_tokenizers": "yield wilk.Tokenizer(name='{name}', count=len, summary='a tokenizer')",
    "register_commands": "yield wilk.Command(name='{name}', summary='a command', configure=print, run=print)",
    "after_save(kind)": "pass",
    "definition_synced(change)": "pass",
}


def _plugins(folder: Path) -> None:
    """Install plugins into a folder as pip does: a module and a ``.dist-info`` each, of five kinds."""
    for number in range(PLUGINS):
        hook, body = list(_SOURCES.items())[number % len(_SOURCES)]
        name = f"wilk_fake_{number:02d}"
        signature = hook if "(" in hook else f"{hook}()"
        info = folder / f"{name}-1.0.dist-info"
        info.mkdir(parents=True)
        lines = [
            "import wilk",
            "",
            "",
            "@wilk.hookimpl",
            f"def {signature}:",
            f"    {body.format(name=name)}",
        ]
        _write(folder / f"{name}.py", *lines)
        _write(info / "METADATA", "Metadata-Version: 2.1", f"Name: {name.replace('_', '-')}", "Version: 1.0")
        _write(info / "entry_points.txt", "[wilk]", f"{name} = {name}")
        _write(info / "RECORD", f"{name}.py,,", f"{info.name}/METADATA,,", f"{info.name}/entry_points.txt,,")


def _write(file: Path, *lines: str) -> None:
    file.write_text("\n".join(lines) + "\n")
