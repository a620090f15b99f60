"""Which file a path names: a store that is deleted or replaced while a program writes to it is another one.

SQLite goes on in the file that it has open, where nobody will find what is written.
"""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

from rewind_auto.core import guard

_Id = tuple[int, int] | None
_HIDDEN: _Id = (-1, -1)


class Identity:
    """The file at ``path`` as it is now, with its log."""

    __slots__ = ("_file", "_log", "_path")

    def __init__(self, path: Path) -> None:
        self._path = os.fspath(path)
        self._file = _id(self._path)
        self._log = _id(f"{self._path}-wal")

    def is_gone(self) -> bool:
        """Whether it is not at its path any more. Costs a ``stat``: one to two microseconds."""
        return _id(self._path) not in (self._file, _HIDDEN)

    def forget(self) -> None:
        """Take away the log that it left behind: SQLite would put it into the file that came in its place."""
        if self._log is not None and _id(f"{self._path}-wal") == self._log:
            for suffix in ("-wal", "-shm"):
                with suppress(OSError):
                    os.unlink(f"{self._path}{suffix}")


def _id(path: str) -> _Id:
    try:
        found = os.stat(path)
    except FileNotFoundError:
        return None
    except OSError as error:
        guard.not_programs(error)
        return _HIDDEN  # who may not look there any more may write on
    return found.st_dev, found.st_ino
