"""A store's file as it is opened: whose it is, made if there is none, brought up to this format."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from rewind_auto.core import forks
from rewind_auto.core.errors import StoreError
from rewind_auto.store import header, shape
from rewind_auto.store.schema import APPLICATION_ID, MIGRATIONS, SCHEMA, SCHEMA_VERSION

_checked: set[Path] = set()
_checking = forks.lock()


def check(path: Path) -> None:
    """Refuse files of others before SQLite is let near: closing a database would write its log into it.

    Once only: to close a file that has been read drops all locks that this process has on it (POSIX), those
    of the connections that are open among them.
    """
    with _checking:
        if path not in _checked:
            header.check(str(path))
            _checked.add(path)


def uncheck(path: Path) -> None:
    """Have the file be looked at again: it is another one now."""
    with _checking:
        _checked.discard(path)


def make(path: Path) -> None:
    """Create an empty file that only its owner can read; SQLite gives its log the same mode."""
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        # A link of this user's was looked at; one that comes in between is not followed.
        flags = os.O_CREAT | os.O_RDWR | getattr(os, "O_NOFOLLOW", 0)
        os.close(os.open(os.path.realpath(path), flags, 0o600))
    except OSError as error:
        raise StoreError(f"cannot create the store {path}: {error.strerror or error}") from None


def prepare(db: sqlite3.Connection, path: Path) -> None:
    """Recognise the file, make the schema if it is new, and set the connection up."""
    db.execute("PRAGMA synchronous=NORMAL")
    db.execute("PRAGMA wal_autocheckpoint=0")
    db.execute("PRAGMA cache_size=-8000")  # KB; the default of 2 MB is outgrown by a few thousand steps
    if _recognise(db, path):
        shape.check(db, path)
        if db.execute("PRAGMA user_version").fetchone()[0] < SCHEMA_VERSION:
            _migrate(db)
        return
    # The schema is written in rollback mode, before the switch to WAL, so that the mark of whose file it is
    # stands in the file itself and never only in a log beside it.
    with _transaction(db):
        if not _recognise(db, path):
            for statement in SCHEMA:
                db.execute(statement)
            db.execute(f"PRAGMA application_id={APPLICATION_ID}")
            db.execute(f"PRAGMA user_version={SCHEMA_VERSION}")
    db.execute("PRAGMA journal_mode=WAL")
    db.execute("SELECT count(*) FROM sqlite_master").fetchone()  # makes the log, which `Identity` looks for


def _migrate(db: sqlite3.Connection) -> None:
    """Bring a file of an earlier format up to this one, in one transaction."""
    with _transaction(db):
        version: int = db.execute("PRAGMA user_version").fetchone()[0]  # another process may have done it
        for since in range(version, SCHEMA_VERSION):
            for statement in MIGRATIONS[since]:
                db.execute(statement)
        db.execute(f"PRAGMA user_version={SCHEMA_VERSION}")


@contextmanager
def _transaction(db: sqlite3.Connection) -> Iterator[None]:
    try:
        db.execute("BEGIN IMMEDIATE")
        yield
        db.execute("COMMIT")
    except BaseException:
        if db.in_transaction:
            db.execute("ROLLBACK")
        raise


def _recognise(db: sqlite3.Connection, path: Path) -> bool:
    """Whether the file has our schema. False: it is empty.

    Raises:
        StoreError: it is another program's, or a newer release's; it was not touched.
    """
    mark: int = db.execute("PRAGMA application_id").fetchone()[0]
    version: int = db.execute("PRAGMA user_version").fetchone()[0]
    if mark == 0 and version == 0 and db.execute("SELECT count(*) FROM sqlite_master").fetchone()[0] == 0:
        return False
    if mark != APPLICATION_ID:
        raise StoreError(f"{path} is not a rewind-auto store; it was left untouched")
    if version > SCHEMA_VERSION:
        raise StoreError(
            f"{path} was written by a newer rewind-auto (format {version}, this one knows {SCHEMA_VERSION}); "
            "it was left untouched"
        )
    if db.execute("PRAGMA journal_mode").fetchone()[0] != "wal":
        db.execute("PRAGMA journal_mode=WAL")  # the process that made the schema died before this
    return True
