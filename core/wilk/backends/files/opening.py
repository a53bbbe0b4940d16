"""Opens a store on a folder: the URL with its options, the index, and how a store behaves on it."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl, quote, unquote, urlencode

from wilk.backends.files.backups import copy_tree
from wilk.backends.files.following import Follower
from wilk.backends.files.journal import recover, settle
from wilk.backends.files.noting import Noting
from wilk.backends.files.rebuilding import rebuild
from wilk.backends.files.schema import schema_file
from wilk.backends.files.tree import BESIDE, SCHEMA, Options, Tree, hash_of
from wilk.backends.files.writing import Writer
from wilk.backends.sqlite import open_sqlite
from wilk.contracts import Opened
from wilk.errors import BackendError, NotFound, SettingsError
from wilk.files import private_folder
from wilk.settings import check

if TYPE_CHECKING:
    from peewee import Database

    from wilk.contracts import Erasing, Maintaining
    from wilk.settings import Settings
    from wilk.store import Store

_OPTIONS = ("pretty", "backups", "timeout", "journal_mode", "readonly")
_TRUE, _FALSE = ("1", "true", "yes", "on"), ("0", "false", "no", "off")


def opened(url: str, settings: Settings) -> Opened:
    """Open the folder of a ``files:`` URL. Raises SettingsError for an option that is none."""
    base, options, passed = _parsed(url)
    tree = Tree(base, options, settings.timeout)
    query = f"?{urlencode(passed)}" if passed else ""
    address = f"sqlite:///{quote(str(tree.index))}{query}"
    if check(passed, url).get("readonly", settings.readonly):
        if not tree.index.exists() or not tree.seen.exists():
            raise NotFound("store with an index", str(base), "open it without readonly once to make it")
        return replace(
            open_sqlite(address, settings),
            folder=tree.base / BESIDE,
            maintenance=lambda: _maintenance(tree, readonly=True),
        )
    try:
        private_folder(base)
        private_folder(tree.index.parent)
    except OSError as error:
        raise BackendError(f"{base} cannot be opened for writing: {error.strerror}") from error
    with tree.locked():
        _ready(tree)
        inner = open_sqlite(address, settings)
        _make_whole(tree, inner)
    tree.timeout = settings.timeout if inner.timeout is None else inner.timeout
    return _writing(tree, inner)


def _ready(tree: Tree) -> None:
    """Finish what a process has left, and see to it that there is an index. Under the tree's lock."""
    recover(tree)
    if tree.index.exists() and tree.seen.exists():
        return  # what is left is settled by the first transaction, which knows the index's number
    settle(tree, None)
    if any(tree.index.parent.iterdir()) or tree.path(SCHEMA).exists():
        rebuild(tree)


def _make_whole(tree: Tree, inner: Opened) -> None:
    """Make all of an index while nobody can take it for a part of one. Under the tree's lock.

    What was seen has the index's own journal mode: with another one a commit waits for the disk thrice as
    often, and for readers of what was seen.
    """
    if inner.connect is not None and _journal(tree.seen) != _journal(tree.index):
        connection = inner.connect()
        try:
            tree.attach(connection)
            ((mode,),) = connection.execute("PRAGMA main.journal_mode")
            with suppress(Exception):  # the driver's, when others read it now: a later opening does it
                connection.execute(f"PRAGMA tree.journal_mode = {mode}")
        finally:
            connection.close()
    tree.remember_index()


def _journal(file: Path) -> bytes | None:
    """What a database's header says of its journal: 2 and 2 in WAL; None without a file."""
    try:
        with file.open("rb") as opened:
            return opened.read(20)[18:]
    except FileNotFoundError:
        return None


def _writing(tree: Tree, inner: Opened) -> Opened:
    follows = Follows(tree, inner)
    return replace(
        inner,
        connect=follows.connect,
        attach=follows.attach,
        committing=follows.committing,
        follow=follows.follow,
        backup=follows.backup,
        put_back=None,
        folder=tree.base / BESIDE,
        maintenance=lambda: _maintenance(tree, readonly=False),
        erasing=lambda engine: _erasing(engine, tree),
    )


def _maintenance(tree: Tree, *, readonly: bool) -> Maintaining:
    from wilk.backends.files.maintenance import FilesMaintenance  # rarely needed

    return FilesMaintenance(tree, readonly=readonly)


def _erasing(engine: Any, tree: Tree) -> Erasing:
    from wilk.backends.files.erasing import FilesErasing  # rarely needed

    return FilesErasing(engine, tree, tree.timeout)


class Follows:
    """Lets the files of a tree follow the index that a store works on."""

    def __init__(self, tree: Tree, inner: Opened) -> None:
        assert inner.connect is not None  # noqa: S101 (SQLite's opening gives both)
        assert inner.attach is not None  # noqa: S101
        self._tree = tree
        self._connect, self._attach = inner.connect, inner.attach
        self._writer = Writer(tree)
        self._following = False

    def connect(self) -> Any:
        """Open a connection of the index, with what was seen of the files beside it."""
        connection = self._connect()
        # A commit is on the disk before its files are put in place.
        connection.execute("PRAGMA synchronous = full")
        connection.execute("PRAGMA temp_store = memory")
        self._tree.attach(connection)
        connection.noting = Noting()
        return connection

    def attach(self, connection: Callable[[], Any]) -> Database:
        """A Peewee database whose transactions note what they change."""
        database = self._attach(connection)
        begin = database.begin

        def noting(*arguments: Any) -> None:
            if self._following:
                one = connection()
                one.noting.prepare(one)
            begin(*arguments)

        database.begin = noting  # type: ignore[method-assign]
        return database

    def committing(self, execute: Callable[..., Any]) -> Callable[[bool], bool] | None:
        """Write the files of what a transaction has changed."""
        return self._writer.committing(execute) if self._following else None

    def follow(self, store: Store) -> Follower:
        """Begin to follow a store that is migrated, and take over what people have changed before."""
        execute = store._engine.execute
        seen = self._tree.found(execute, SCHEMA)
        self._writer.everything = seen is None or seen.hash != hash_of(schema_file(execute))
        self._following = True
        follower = Follower(self._tree, self._writer, store)
        follower.sync()
        return follower

    def backup(self, label: str) -> Path:
        """Copy the tree into an archive under ``backups``."""
        with self._tree.locked():
            return copy_tree(self._tree, label)


def _parsed(url: str) -> tuple[Path, Options, dict[str, str]]:
    """The folder, wilk's own options, and those that are SQLite's."""
    rest, _, query = url.partition("?")
    path = unquote(rest.removeprefix("files://").removeprefix("/"))
    if not path:
        raise SettingsError(f"{url!r} names no folder; write files:///path/to/folder")
    given = dict(parse_qsl(query, keep_blank_values=True))
    if unknown := sorted(given.keys() - set(_OPTIONS)):
        raise SettingsError(f"{url}: unknown option {', '.join(unknown)}; known: {', '.join(_OPTIONS)}")
    pretty, backups = given.pop("pretty", "1").lower(), given.pop("backups", "5")
    if pretty not in (*_TRUE, *_FALSE):
        raise SettingsError(f"{url}: pretty is 1 or 0, not {pretty!r}")
    if not backups.isdecimal():
        raise SettingsError(f"{url}: backups is a whole number from 0, not {backups!r}")
    base = Path(path).expanduser().absolute()
    if base.exists() and not base.is_dir():
        raise SettingsError(f"{url}: {base} is a file; a folder is wanted")
    return base, Options(pretty in _TRUE, int(backups)), given
