"""Changes one setting in ``config.yaml``; what a person wrote around it stays."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from wilk import codec
from wilk.definitions import dumping, kinds, reader, writer
from wilk.errors import Invalid, InvalidDefinition


def set_setting(file: Path, name: str, value: Any) -> None:
    """Write a setting into the file, which is made if it is missing.

    Raises Invalid where the file is broken, cannot be written, or would lose comments.
    """
    path = str(file)
    before = file.read_bytes() if file.exists() else b""
    try:
        held = reader.parse_yaml(before, path)
    except InvalidDefinition as error:
        if not _only_comments(before):
            raise Invalid(
                f"{path} is broken, and writing would lose what is in it; mend it: {error}"
            ) from error
        held = {}
    wanted = {**held, name: value}
    if held:
        data = writer.rendered(file, path, wanted, kinds._Config())
    else:  # nothing but comments, as `wilk init` leaves it
        gap = b"" if not before or before.endswith(b"\n") else b"\n"
        data = (
            before
            + gap
            + f"\n{name}: {dumping.dump_inline(value)}\n".encode().lstrip(b"" if before else b"\n")
        )
        if codec.canonical(reader.parse_yaml(data, path)) != codec.canonical(wanted):
            raise Invalid(f"{path}: {name} cannot be written so that it reads back the same; edit it by hand")
    writer.write(file, data)


def _only_comments(data: bytes) -> bool:
    lines = (line.strip() for line in data.splitlines())
    return all(not line or line.startswith(b"#") for line in lines)
