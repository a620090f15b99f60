"""The descriptors that SQLite has open, in programs that close them: daemonizers close all that there are.

SQLite writes and locks by number, whatever file of the program has that number now. To close the connection
would close that file. Nor can another one be opened beside it: its notes on locks and the descriptor of its
``-shm`` belong to the file, and are shared (``unixInodeInfo`` in SQLite's ``os_unix.c``).
"""

from __future__ import annotations

import _socket  # not `socket`: programs and tests replace what is in there
import os
import sqlite3
from array import array
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from rewind_auto.core import guard

with suppress(ImportError):  # Windows: there is no list of descriptors either, and so nothing is noted
    import fcntl

_File = tuple[int, int]

_LISTS = ("/proc/self/fd", "/dev/fd")
# A file gets the lowest number that is free: a program comes by one of SQLite's when it has so many open.
# Less than a message carries (253, SCM_MAX_FD), and than select() can take (1024).
_FROM = 200
_ENOUGH = 1000  # numbers that there must be: those below are taken for a moment, and nobody may go without

_kept: list[sqlite3.Connection] = []


class Descriptors:
    """What SQLite has open of the store at ``path``. Empty until it was opened, and `note` called."""

    __slots__ = ("_before", "_files", "_path")

    def __init__(self, path: Path) -> None:
        self._path = path
        self._before: frozenset[int] = frozenset()
        self._files: dict[int, _File] = {}

    @contextmanager
    def opening(self) -> Iterator[None]:
        """To open it in: it gets numbers that the program's later files hardly come to. Linux only."""
        self._before = frozenset(_numbers())
        taken: list[int] = []
        try:
            try:
                if os.sysconf("SC_OPEN_MAX") >= _ENOUGH:
                    _take(_FROM - sum(number < _FROM for number in self._before), taken)
            except (OSError, ValueError, AttributeError) as error:
                guard.not_programs(error)
            yield
        finally:
            _close(taken)

    def note(self) -> None:
        """Add what is open now: the database, ``-wal`` and ``-shm``, if a query has been made.

        To be called after others have closed the file in this process: what they had open of it stays open
        while this connection has locks on it (``setPendingFd`` in ``os_unix.c``).
        """
        files = {_at(f"{self._path}{suffix}") for suffix in ("", "-shm")}
        log = _at(f"{self._path}-wal")
        numbers = _numbers()
        for number in numbers:
            file = _at(number)
            # The logs are each connection's own: those of others are closed without our being told.
            if file and (file in files or (file == log and number not in self._before)):
                self._files.setdefault(number, file)
        self._before = frozenset(numbers)

    def is_lost(self) -> bool:
        """Whether the lowest of them is: all are closed at once, from some number on. About a microsecond."""
        number = min(tuple(self._files), default=-1)  # a checkpoint's thread may add some meanwhile
        return number >= 0 and _at(number) != self._files[number]

    def lost(self) -> list[int]:
        """Those that are closed, or other files, by now."""
        return [number for number, file in tuple(self._files.items()) if _at(number) != file]

    def close(self, db: sqlite3.Connection) -> bool:
        """Close the connection. False: that cannot be done while the program has files in those places."""
        if not (lost := self.lost()):
            db.close()
            return True
        plugs: list[int] = []
        try:
            # What is open for reading only can neither be locked nor written: SQLite lets go of it, no more.
            plugs.append(os.open(os.devnull, os.O_RDONLY))
            null = _at(plugs[0])
            for number in lost:
                if number != plugs[0]:
                    plugs.append(fcntl.fcntl(plugs[0], fcntl.F_DUPFD_CLOEXEC, number))
            if not set(lost) <= set(plugs):
                return False
            with suppress(sqlite3.Error):
                db.close()
            plugs = [number for number in plugs if _at(number) == null]
        except OSError:  # no more can be had
            return False
        finally:
            _close(plugs)
        return True


def keep(db: sqlite3.Connection) -> None:
    """See to it that a connection is never closed, not even when the interpreter frees all there is."""
    if any(db is one for one in _kept):
        return
    _kept.append(db)
    with suppress(ImportError):
        import ctypes  # not in every Python, and hardly ever needed

        ctypes.pythonapi.Py_IncRef(ctypes.py_object(db))


def _numbers() -> list[int]:
    for directory in _LISTS:
        with suppress(OSError, ValueError):
            return [int(name) for name in os.listdir(directory)]
    return []


def _at(place: int | str) -> _File | None:
    try:
        found = os.stat(place)
    except OSError:
        return None
    return found.st_dev, found.st_ino


def _take(count: int, taken: list[int]) -> None:
    """Open so many of the lowest numbers that are free.

    By way of a message, in one step: each call of the system lets other threads run, for milliseconds.
    """
    if count <= 0:
        return
    taken.append(os.open(os.devnull, os.O_RDONLY))
    ends = _socket.socketpair(_socket.AF_UNIX, _socket.SOCK_DGRAM)
    try:
        numbers = array("i", taken * count)
        ends[0].sendmsg([b"-"], [(_socket.SOL_SOCKET, _socket.SCM_RIGHTS, numbers)])
        size = _socket.CMSG_SPACE(len(numbers.tobytes()))
        for _, _, data in ends[1].recvmsg(1, size, _socket.MSG_CMSG_CLOEXEC)[1]:
            taken += array("i", data)
    finally:
        taken += [end.detach() for end in ends]


def _close(numbers: Iterable[int]) -> None:
    """Close them, in as few steps as can be."""
    ordered = sorted(numbers)
    while ordered:
        first = ordered[0]
        run = sum(number == first + place for place, number in enumerate(ordered))
        os.closerange(first, first + run)
        del ordered[:run]
