"""One SQLite connection a process, and what keeps it safe in somebody else's process.

Constraints: SQLite must not be used, nor even closed, across a fork, so it is closed before one. A call
must not wait for another process's lock, so the busy time-out is zero for it and callers retry. A commit must
not wait for a disk, so checkpoints (the only fsync under ``synchronous=NORMAL``) run on a thread of
their own; the process may be killed at any time and loses nothing, since the log is in the page cache.
"""

from __future__ import annotations

import os
import sqlite3
import threading
import zlib
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import Any

from rewind_auto.core import forks, guard
from rewind_auto.core.errors import StoreBusyError, StoreError
from rewind_auto.store import opening
from rewind_auto.store.descriptors import Descriptors, keep
from rewind_auto.store.identity import Identity

_CHECKPOINT_EVERY = 1000  # write transactions; a log of some ten MB
_PASSES = 4
_LONG_LOG = 16_000  # pages of 4 KB
_CLOSE_WAIT = 1.0  # seconds for a checkpoint to end: only the last to close a store can remove its log
_FORK_WAIT = 1.0  # seconds for a running transaction to end before a fork


class Connection:
    """The connection of this process to one store file, opened on first use.

    Args:
        path: the database file.
        create: whether a missing file is made.
        patience: seconds to wait for another process.
        forget: called before the file is opened: what is known of another one holds no more.

    Attributes:
        replaced: whether that has happened.
    """

    def __init__(
        self,
        path: Path,
        *,
        create: bool = True,
        patience: float = 0.0,
        forget: Callable[[], None] = lambda: None,
    ) -> None:
        self.path = path
        self.replaced = False
        self._create = create
        self._patience = patience
        self._forget = forget
        self._identity: Identity | None = None
        self._descriptors = Descriptors(path)
        self._lock = threading.RLock()
        self._checkpoint_lock = threading.Lock()
        self._db: sqlite3.Connection | None = None
        self._writes = 0
        self._writing = False  # by whoever has the lock
        self._checkpointing = False
        self._held: dict[int, list[Any]] = {}  # by thread: two can fork at the same time
        forks.around_fork(self._before_fork, self._after_fork)
        forks.in_forked_child(self._after_fork_in_child)

    @contextmanager
    def reading(self) -> Iterator[sqlite3.Connection]:
        """``with connection.reading() as db``: for queries and single statements.

        Raises:
            StoreBusyError: another process holds the file.
            StoreError: the file cannot be used.
        """
        # An exception of the program's may come up anywhere, even as this is left (see `core.alarms`). Only a
        # lock that is held by ``with``, in a generator that ends with its last reference, is never left held.
        try:
            with self._lock:
                yield self._opened()
        except sqlite3.IntegrityError:
            raise
        except (sqlite3.Error, *_DAMAGE) as error:
            guard.not_programs(error)
            raise _translated(error, self.path) from error

    @contextmanager
    def writing(self) -> Iterator[sqlite3.Connection]:
        """``with connection.writing() as db``: a transaction, committed at the end of the block or undone.

        Raises:
            StoreBusyError: another process is writing. Nothing was written.
            StoreError: the file cannot be used. Nothing was written.
        """
        with self.reading():
            if self._writing:  # this thread, which is in a finalizer in the middle of it, say
                raise StoreBusyError(f"{self.path} is being written to")
            db = self._current()
            try:
                self._writing = True
                if db.in_transaction:  # there was no memory to end it with
                    db.execute("ROLLBACK")
                db.execute("BEGIN IMMEDIATE")
                yield db
                db.execute("COMMIT")
            except BaseException:
                self._undo(db)
                raise
            finally:
                self._writing = False
                self.wrote()

    def _opened(self) -> sqlite3.Connection:
        if self._db is not None and self._descriptors.is_lost() and not self._end():
            raise StoreError(f"{self.path}: the program has closed its descriptors, and uses the numbers")
        if self._db is None:
            self._db = self._connect()
        return self._db

    def _current(self) -> sqlite3.Connection:
        """The connection that was acquired, or one to the file that has come in the place of its file."""
        db, identity = self._db, self._identity
        assert db is not None
        if identity is None or not identity.is_gone():
            return db
        self._db = None
        with suppress(sqlite3.Error):
            # It may have been moved away, whole: closing would leave out what is in the log still.
            db.execute("PRAGMA synchronous=OFF")
            db.execute("PRAGMA wal_checkpoint(PASSIVE)")
        db.close()
        identity.forget()
        self._db = self._connect()
        return self._db

    @contextmanager
    def impatient(self) -> Iterator[sqlite3.Connection]:
        """`reading`, without waiting: for what is only done while nobody uses the store."""
        with self.reading() as db:
            db.execute("PRAGMA busy_timeout=0")
            try:
                yield db
            finally:
                db.execute(f"PRAGMA busy_timeout={int(self._patience * 1000)}")

    def _undo(self, db: sqlite3.Connection) -> None:
        if db.in_transaction:
            try:
                db.execute("ROLLBACK")
            except (sqlite3.Error, MemoryError):  # closing undoes it too
                self.close()

    def wrote(self) -> None:
        """Count a write transaction; now and then, start a checkpoint beside the program."""
        self._writes += 1
        if self._writes >= _CHECKPOINT_EVERY and not self._checkpointing:
            self._writes = 0
            self._checkpointing = True
            try:
                threading.Thread(target=self._checkpoint, name="rewind-checkpoint", daemon=True).start()
            except BaseException as error:
                self._checkpointing = False
                # The interpreter is shutting down, or no thread can be had; closing the file checkpoints too.
                if not isinstance(error, (RuntimeError, MemoryError)):
                    raise

    def close(self) -> None:
        """Close the connection. It opens again when used."""
        waited = self._checkpoint_lock.acquire(timeout=_CLOSE_WAIT)
        try:
            with self._lock:
                self._end()
        finally:
            if waited:
                self._checkpoint_lock.release()

    def _end(self) -> bool:
        """Close the connection, if there is one. False: the program has files of its own in its place."""
        if self._db is not None and not self._descriptors.close(self._db):
            keep(self._db)
            return False
        self._db = None
        return True

    def _connect(self) -> sqlite3.Connection:
        if self._identity is not None and self._identity.is_gone():
            self._identity, self.replaced = None, True
            guard.warn_once(
                "replaced",
                f"{self.path} was deleted or replaced: what was recorded before is not in the new file",
            )
            opening.uncheck(self.path)
        self._forget()  # a new file can have the number of the one that was deleted
        opening.check(self.path)
        if not self.path.exists():
            if not self._create:
                raise StoreError(f"no store at {self.path}: nothing has been recorded there yet")
            opening.make(self.path)
        descriptors = Descriptors(self.path)
        with descriptors.opening():
            # Not by `sqlite3.connect`: tracers replace it, and would have our queries among its spans.
            db = sqlite3.Connection(
                self.path,
                timeout=self._patience,
                isolation_level=None,
                check_same_thread=False,
                cached_statements=128,
            )
            try:
                opening.prepare(db, self.path)
                descriptors.note()
            except BaseException:
                db.close()
                raise
        self._descriptors, self._identity = descriptors, Identity(self.path)
        return db

    def _checkpoint(self) -> None:
        descriptors = self._descriptors
        try:
            # Busy is no failure: the next one will do.
            with (
                guard.swallow("checkpoint"),
                self._checkpoint_lock,
                suppress(sqlite3.OperationalError),
            ):
                if descriptors.lost():
                    return
                with closing(sqlite3.Connection(self.path, timeout=0, isolation_level=None)) as db:
                    # The log starts over only from a moment when all of it was in the file, and writers add
                    # to it meanwhile; each pass leaves less. RESTART holds them back, and so live calls: only
                    # for a log that would grow for ever.
                    log = copied = 0
                    for _ in range(_PASSES):
                        _, log, copied = db.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchone()
                        if log == copied:
                            break
                    if log > _LONG_LOG:
                        db.execute("PRAGMA wal_checkpoint(RESTART)").fetchone()
        finally:
            with guard.swallow("checkpoint"):
                descriptors.note()
            self._checkpointing = False

    def _before_fork(self) -> None:
        # No connection may be open. The child would inherit SQLite's notes on the locks it holds, but not
        # the locks; its log would then be removed by whoever closes the file last and knows of no other.
        held = self._held[threading.get_ident()] = [
            lock for lock in (self._checkpoint_lock, self._lock) if lock.acquire(timeout=_FORK_WAIT)
        ]
        if self._lock in held and self._db is not None and not self._db.in_transaction:
            self._end()

    def _after_fork(self) -> None:
        for lock in self._held.pop(threading.get_ident(), ()):
            lock.release()

    def _after_fork_in_child(self) -> None:
        # Where the program has files of its own in its place, that is so in the child as well.
        if self._db is not None and not self._descriptors.lost():
            _abandoned.append(self._db)  # a transaction that did not end in time: never touch it here
            self._db = None
        self._lock, self._checkpoint_lock = threading.RLock(), threading.Lock()
        self._writing = self._checkpointing = False
        self._held.clear()


_abandoned: list[sqlite3.Connection] = []


def _translated(error: BaseException, path: Path) -> StoreError:
    """One of SQLite's errors, or what comes of reading damaged rows, as ours."""
    if getattr(error, "sqlite_errorcode", 0) & 0xFF in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED):
        return StoreBusyError(f"{path} is locked by another process")
    said = " ".join(str(error).split())
    if getattr(error, "sqlite_errorcode", 0) == sqlite3.SQLITE_CANTOPEN and not os.access(
        path.parent, os.W_OK
    ):
        said += ": its directory cannot be written to, which is needed even to read it"
    return StoreError(f"{path}: {said}" if isinstance(error, sqlite3.Error) else f"{path} is damaged: {said}")


# What comes of bytes that are not those written: SQLite itself notices damage to its own structures only.
_DAMAGE = (ValueError, TypeError, LookupError, AttributeError, ArithmeticError, RecursionError, zlib.error)
