"""Taking sessions out of the SQLite store, and what only they needed with them."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable


def dependencies(db: sqlite3.Connection) -> list[tuple[str, str, bool]]:
    """See `Store.dependencies`."""
    uids = dict(db.execute("SELECT id, uid FROM sessions"))
    rows = db.execute(
        "SELECT DISTINCT session, content_session FROM steps WHERE content_session IS NOT NULL"
        " UNION SELECT DISTINCT session, source_session FROM steps WHERE source_session IS NOT NULL"
    ).fetchall()
    shown = [(uids[one], uids[on], False) for one, on in rows if one in uids and on in uids]
    inside = db.execute("SELECT i.uid, o.uid FROM sessions i JOIN sessions o ON o.uid = i.outer")
    return shown + [(one, on, True) for one, on in inside]


def weights(db: sqlite3.Connection) -> dict[str, int]:
    """See `Store.weights`."""
    rows = db.execute(
        "SELECT x.uid, sum(coalesce(length(s.doc), 0) + coalesce(length(r.data), 0)"
        " + coalesce(length(t.data), 0)) FROM steps s JOIN sessions x ON x.id = s.session"
        " LEFT JOIN blobs r ON r.id = s.response LEFT JOIN blobs t ON t.id = s.request_tail"
        " GROUP BY s.session"
    )
    return {uid: int(weight) for uid, weight in rows}


def remove(db: sqlite3.Connection, keys: Iterable[int]) -> None:
    """Delete sessions with their steps. `sweep` frees their content.

    Of the newest one an empty row stays until there is a newer: SQLite would give its key to the next one,
    and with it whatever a program writes that still records into the one that is gone.
    """
    newest: int = db.execute("SELECT max(id) FROM sessions").fetchone()[0]
    for key in keys:
        db.execute("DELETE FROM steps WHERE session = ?", (key,))
        if key == newest:
            db.execute(
                "UPDATE sessions SET uid = 'removed:' || id, name = '', status = 'removed', parent = NULL,"
                " outer = NULL, command = '[]' WHERE id = ?",
                (key,),
            )
        else:
            db.execute("DELETE FROM sessions WHERE id = ?", (key,))
    db.execute("DELETE FROM sessions WHERE status = 'removed' AND id < ?", (newest,))
    db.execute("DELETE FROM steps WHERE session NOT IN (SELECT id FROM sessions WHERE status <> 'removed')")


def sweep(db: sqlite3.Connection) -> None:
    """Delete content that no step has any more.

    In the transaction that deleted the steps: a recorder may be about to find the very content that it has
    by its digest.
    """
    db.execute(
        """
        WITH RECURSIVE used (id) AS (
            SELECT DISTINCT request_prefix FROM steps WHERE request_prefix IS NOT NULL
            UNION
            SELECT nodes.parent FROM used JOIN nodes ON nodes.id = used.id WHERE nodes.parent IS NOT NULL
        )
        DELETE FROM nodes WHERE id NOT IN (SELECT id FROM used)
        """
    )
    db.execute(
        """
        DELETE FROM blobs WHERE id NOT IN (
            SELECT request_tail FROM steps WHERE request_tail IS NOT NULL
            UNION SELECT response FROM steps WHERE response IS NOT NULL
            UNION SELECT blob FROM nodes
        )
        """
    )


def used_bytes(db: sqlite3.Connection) -> int:
    """Bytes of the file that hold something."""
    pages: int = db.execute("PRAGMA page_count").fetchone()[0]
    free: int = db.execute("PRAGMA freelist_count").fetchone()[0]
    size: int = db.execute("PRAGMA page_size").fetchone()[0]
    return (pages - free) * size
