"""How programs save a file: the system calls of each, in its own order.

Each function replaces the content of ``path`` by ``text`` as that program does. Where a program
was traced (``strace -f``), its version says which.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path

Save = Callable[[Path, str], None]


def _write(path: Path, text: str, flags: int, *, truncate: bool = False, sync: bool = True) -> None:
    file = os.open(path, flags, 0o644)
    if truncate:
        os.ftruncate(file, 0)
    os.write(file, text.encode())
    if sync:
        os.fsync(file)
    os.close(file)


def vim(path: Path, text: str) -> None:
    """Vim 9.0, ``backupcopy=auto`` on a plain file: probe the folder with 4913, rename the file to
    its backup, create it anew, drop the backup. The swap file lives from opening to leaving."""
    swap = path.with_name(f".{path.name}.swp")
    backup = path.with_name(path.name + "~")
    probe = path.with_name("4913")
    _write(path.with_name(f".{path.name}.swx"), "", os.O_RDWR | os.O_CREAT | os.O_EXCL, sync=False)
    _write(swap, "b0VIM 9.0", os.O_RDWR | os.O_CREAT)
    path.with_name(f".{path.name}.swx").unlink()
    _write(probe, "", os.O_WRONLY | os.O_CREAT | os.O_EXCL, sync=False)
    probe.unlink()
    path.rename(backup)
    _write(path, text, os.O_WRONLY | os.O_CREAT)
    path.chmod(0o644)
    backup.unlink()
    swap.unlink()


def vim_copying(path: Path, text: str) -> None:
    """Vim 9.0, ``backupcopy=yes``: copy to the backup, then open without O_TRUNC, ftruncate, write."""
    swap = path.with_name(f".{path.name}.swp")
    backup = path.with_name(path.name + "~")
    _write(swap, "b0VIM 9.0", os.O_RDWR | os.O_CREAT | os.O_EXCL)
    _write(backup, path.read_text(), os.O_WRONLY | os.O_CREAT | os.O_EXCL)
    _write(path, text, os.O_WRONLY | os.O_CREAT, truncate=True)
    backup.unlink()
    swap.unlink()


def code(path: Path, text: str) -> None:
    """VS Code: truncate on opening, then write, flush and close from a pool of threads; a watcher
    sees the file empty in between (microsoft/vscode#4727)."""
    file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o644)
    time.sleep(0.02)
    os.write(file, text.encode())
    os.fdatasync(file)
    os.close(file)


def code_atomic(path: Path, text: str) -> None:
    """VS Code, ``atomic``: write ``<name>.vsctmp`` and rename it over (microsoft/vscode#182270)."""
    temporary = path.with_name(path.name + ".vsctmp")
    _write(temporary, text, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    temporary.rename(path)


def emacs(path: Path, text: str) -> None:
    """Emacs, the first save of a buffer (``basic-save-buffer-2``, ``backup-buffer``): a dangling
    link as lock, an auto-save file, the old file renamed to its backup, the new one created."""
    lock = path.with_name(f".#{path.name}")
    saved = path.with_name(f"#{path.name}#")
    lock.symlink_to("someone@host.1234:1700000000")
    _write(saved, text, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    path.rename(path.with_name(path.name + "~"))
    _write(path, text, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    path.chmod(0o644)
    saved.unlink()
    lock.unlink()


def emacs_again(path: Path, text: str) -> None:
    """Emacs, each further save: the backup is made, so the file is written in place."""
    lock = path.with_name(f".#{path.name}")
    lock.symlink_to("someone@host.1234:1700000000")
    _write(path, text, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    lock.unlink()


def emacs_precious(path: Path, text: str) -> None:
    """Emacs, ``file-precious-flag``: write ``tmpXXXXXX`` beside it and rename it over."""
    temporary = path.with_name("tmpQm3x1T")
    _write(temporary, text, os.O_WRONLY | os.O_CREAT | os.O_EXCL)
    temporary.chmod(0o644)
    temporary.rename(path)


def nano(path: Path, text: str) -> None:
    """GNU nano 7.2: truncate on opening, write, fsync, close."""
    _write(path, text, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)


def gedit(path: Path, text: str) -> None:
    """GLib's ``g_file_replace`` (gedit, gnome-text-editor): write ``.goutputstream-XXXXXX``, keep
    the old file as a backup by a hard link, rename over."""
    temporary = path.with_name(".goutputstream-7XK2T3")
    backup = path.with_name(path.name + "~")
    _write(temporary, text, os.O_RDWR | os.O_CREAT | os.O_EXCL)
    backup.unlink(missing_ok=True)
    backup.hardlink_to(path)
    temporary.rename(path)


def jetbrains(path: Path, text: str) -> None:
    """IntelliJ's safe write: a new file, the old one renamed away, the new one renamed in."""
    new = path.with_name(path.name + "___jb_tmp___")
    old = path.with_name(path.name + "___jb_old___")
    _write(new, text, os.O_WRONLY | os.O_CREAT | os.O_EXCL)
    path.rename(old)
    new.rename(path)
    old.unlink()


def rsync(path: Path, text: str) -> None:
    """rsync 3.2.7: write ``.<name>.XXXXXX``, set mode and times, rename over."""
    temporary = path.with_name(f".{path.name}.wqgx5i")
    _write(temporary, text, os.O_RDWR | os.O_CREAT | os.O_EXCL, sync=False)
    temporary.chmod(0o644)
    os.utime(temporary)
    temporary.rename(path)


def rsync_in_place(path: Path, text: str) -> None:
    """rsync ``--inplace``: open without truncating, write, cut to length, set the times."""
    file = os.open(path, os.O_RDWR)
    os.write(file, text.encode())
    os.ftruncate(file, len(text.encode()))
    os.utime(file)
    os.close(file)


def sed(path: Path, text: str) -> None:
    """GNU sed 4.9 ``-i``: write ``sedXXXXXX`` beside it, take over the owner, rename over."""
    temporary = path.with_name("sedJveqSJ")
    _write(temporary, text, os.O_RDWR | os.O_CREAT | os.O_EXCL, sync=False)
    temporary.rename(path)


def delete_and_create(path: Path, text: str) -> None:
    """Programs that delete a file before they write it."""
    path.unlink()
    time.sleep(0.02)
    _write(path, text, os.O_WRONLY | os.O_CREAT | os.O_EXCL, sync=False)


def in_pieces(path: Path, text: str) -> None:
    """A slow writer that keeps the file open: three pieces with 60 ms between them."""
    third = len(text) // 3 + 1
    with open(path, "w") as file:
        for start in range(0, len(text), third):
            file.write(text[start : start + third])
            file.flush()
            time.sleep(0.06)


def in_closed_pieces(path: Path, text: str) -> None:
    """A shell script: ``> file``, then ``>> file`` twice, each of which closes it."""
    third = len(text) // 3 + 1
    path.write_text("")
    for start in range(0, len(text), third):
        time.sleep(0.02)
        with open(path, "a") as file:
            file.write(text[start : start + third])


SAVES: tuple[Save, ...] = (
    vim,
    vim_copying,
    code,
    code_atomic,
    emacs,
    emacs_again,
    emacs_precious,
    nano,
    gedit,
    jetbrains,
    rsync,
    rsync_in_place,
    sed,
    delete_and_create,
    in_pieces,
    in_closed_pieces,
)
