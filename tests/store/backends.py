"""The kinds of store that the contract suite is run against."""

from __future__ import annotations

import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Protocol

from rewind_auto.store import open_store
from rewind_auto.store.contract import Store

_HOLD = """
import sqlite3, sys
db = sqlite3.connect(sys.argv[1], isolation_level=None)
db.execute("BEGIN IMMEDIATE")
print("held", flush=True)
sys.stdin.readline()
db.execute("ROLLBACK")
"""


class Backend(Protocol):
    """One place where a store can be; nothing is there yet."""

    name: str
    location: str  # what `open_store` takes, in any process

    def open(self, *, create: bool = True) -> Store:
        """A store object of its own, as another process would have."""

    def held(self) -> AbstractContextManager[None]:
        """While another process writes, and keeps everybody else from writing."""

    def written(self) -> bytes:
        """All that the store has written anywhere, byte for byte."""

    def check(self) -> None:
        """Assert that what is written is sound."""

    def close(self) -> None:
        """Close every store that `open` gave."""


class Sqlite:
    """`rewind_auto.store.sqlite.SqliteStore`."""

    name = "sqlite"

    def __init__(self, directory: Path) -> None:
        self.path = directory / "rewind.db"
        self.location = f"sqlite:///{self.path}"
        self._opened: list[Store] = []

    def open(self, *, create: bool = True) -> Store:
        store = open_store(self.location, create=create)
        self._opened.append(store)
        return store

    @contextmanager
    def held(self) -> Iterator[None]:
        command = [sys.executable, "-c", _HOLD, str(self.path)]
        with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as holder:
            assert holder.stdout is not None
            assert holder.stdout.readline() == "held\n"
            try:
                yield
            finally:
                holder.communicate("\n")

    def written(self) -> bytes:
        return b"".join(path.read_bytes() for path in sorted(self.path.parent.iterdir()))

    def check(self) -> None:
        db = sqlite3.connect(self.path)
        assert db.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        assert db.execute("PRAGMA foreign_key_check").fetchall() == []
        db.close()

    def close(self) -> None:
        for store in self._opened:
            store.close()


BACKENDS = (Sqlite,)
