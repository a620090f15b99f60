"""One SQLite file with sessions in it: what its readers and writers share."""

from __future__ import annotations

import sqlite3
from pathlib import Path

from rewind_auto.store import reading
from rewind_auto.store.connection import Connection


class StoreFile:
    """The connection to a file, and the keys that sessions have in it.

    Args:
        path: of the file.
        create: whether a missing file is made.
    """

    def __init__(self, path: Path, *, create: bool = True) -> None:
        self.path = path
        self._connection = Connection(path, create=create)
        self._keys: dict[str, int] = {}

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
            raise reading.unknown(session_id)
        return key
