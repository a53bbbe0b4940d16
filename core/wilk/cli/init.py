"""``wilk init``: make a home folder."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from wilk.cli.parsing import Verb
from wilk.errors import Invalid

if TYPE_CHECKING:
    from wilk.cli.context import Context

FOLDERS = ("agents", "prompts", "personas", "presets")


def commands() -> Verb:
    """The command."""
    return Verb(_init, "make a home folder; what is there already stays as it is")


def _init(context: Context) -> None:
    from wilk.definitions import redaction

    home = context.settings.home
    if home is None:
        raise Invalid(
            "there is no home folder to make: a URL alone is a store without files; give --home DIR"
        )
    made = make_home(home)
    database = redaction.hide(context.store.settings.url)  # opening makes it
    if context.out.json:
        context.out.document({"home": home, "made": made, "database": database})
        return
    out = context.out
    for path in made:
        out.note(f"made {path}")
    if not made:
        out.note(f"{home} has all that a home folder needs")
    out.note("Next: `wilk agents new ID` begins an agent, `wilk sessions new NAME --use` a conversation")


def make_home(home: Path) -> list[Path]:
    """Make what a home folder is missing, readable by its owner alone; return what was made."""
    from wilk.files import private_folder, write_atomic
    from wilk.settings import CONFIG_FILE

    made = []
    for folder in (home, *(home / name for name in FOLDERS)):
        if not folder.is_dir():
            if folder.exists():
                raise Invalid(f"{folder} is in the way: it is no folder")
            made.append(private_folder(folder))
    config = home / CONFIG_FILE
    if not config.exists():
        write_atomic(config, config_text().encode())
        made.append(config)
    return made


def config_text() -> str:
    """``config.yaml`` with every setting and its default, all of them comments."""
    import json

    from wilk.settings import SETTINGS, Settings

    defaults = Settings()
    lines = [
        "# Settings of wilk. Each line shows a default: take out the # to change it.",
        "# WILK_* variables (WILK_TIMEOUT, WILK_DEFAULT_MODEL, ...) go before this file.",
    ]
    for setting in SETTINGS:
        default = getattr(defaults, setting.name)
        value = json.dumps(list(default) if isinstance(default, tuple) else default)  # JSON is YAML
        lines += ["", f"# {setting.summary} ({setting.expected.strip()})", f"# {setting.name}: {value}"]
    return "\n".join(lines) + "\n"
