"""One SQLite file with sessions in it: what its readers and writers share."""

from __future__ import annotations

import sqlite3
from pathlib import Path

from rewind_auto.core.model import Session
from rewind_auto.store import session_rows
from rewind_auto.store.connection import Connection


class StoreFile:
    """The connection to a file, and the keys that sessions have in it.

    Args:
        path: of the file.
        create: whether a missing file is made.
        patience: seconds to wait for another process.
    """

    def __init__(self, path: Path, *, create: bool = True, patience: float = 0.0) -> None:
        self.path = path
        self._connection = Connection(path, create=create, patience=patience, forget=self._forget)
        self._keys: dict[str, int] = {}
        self._begun: dict[str, Session] = {}  # by this process, and not finished

    def _forget(self) -> None:
        """There is another file at the path now."""
        self._keys.clear()

    def close(self) -> None:
        """See `Store.close`."""
        self._connection.close()

    def _key(self, db: sqlite3.Connection, session_id: str) -> int | None:
        key = self._keys.get(session_id)
        if key is None:
            row = db.execute("SELECT id FROM sessions WHERE uid = ?", (session_id,)).fetchone()
            if row:
                key = self._keys[session_id] = int(row[0])
        return key

    def _must(self, db: sqlite3.Connection, session_id: str) -> int:
        key = self._key(db, session_id)
        if key is None:
            raise session_rows.unknown(session_id)
        return key
