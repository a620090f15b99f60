"""The kinds of store that the contract suite is run against."""

from __future__ import annotations

import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import AbstractContextManager, closing, contextmanager
from pathlib import Path
from typing import Protocol

import rewind_auto
from rewind_auto.store import open_store
from rewind_auto.store.contract import Store

# For a child process that imports what stands beside this file.
ENVIRON = {"PYTHONPATH": f"{Path(rewind_auto.__file__).parents[1]}:{Path(__file__).parent}"}

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
        # Read by another process: to close a file drops all locks that this one has on it.
        files = sorted(map(str, self.path.parent.iterdir()))
        return subprocess.run(["cat", *files], stdout=subprocess.PIPE, check=True).stdout

    def check(self) -> None:
        db = sqlite3.connect(self.path)
        assert db.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        assert db.execute("PRAGMA foreign_key_check").fetchall() == []
        db.close()

    def close(self) -> None:
        for store in self._opened:
            store.close()


BACKENDS = (Sqlite,)


def run(code: str, *arguments: object) -> str:
    """Run Python in a process of its own; what it printed."""
    command = [sys.executable, "-c", code, *map(str, arguments)]
    done = subprocess.run(command, env=ENVIRON, capture_output=True, text=True, timeout=60)
    assert (done.stderr, done.returncode) == ("", 0)
    return done.stdout


def made_by(path: Path, *statements: str) -> Path:
    """An SQLite file in which these statements were executed."""
    with closing(sqlite3.connect(path, isolation_level=None)) as db:
        for statement in statements:
            db.execute(statement)
    return path


def left_by(path: Path, *statements: str) -> Path:
    """As `made_by` in a process that then dies: what it wrote is in the log beside the file."""
    code = """
import os, sqlite3, sys
db = sqlite3.connect(sys.argv[1], isolation_level=None)
for statement in sys.argv[2:]:
    db.execute(statement)
os._exit(0)
"""
    run(code, path, *statements)
    return path
