"""What the steps of the SQLite store add up to: each recording once, with how often it was served."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator

from rewind_auto.store import codec
from rewind_auto.store.contract import Use

# A session and those inside it.
_FAMILY = (
    "WITH RECURSIVE family (id, uid) AS (SELECT id, uid FROM sessions WHERE uid = :session"
    " UNION SELECT s.id, s.uid FROM sessions s JOIN family ON s.outer = family.uid) SELECT id FROM family"
)
# A program may still record into one that was removed.
_THERE = "SELECT id FROM sessions WHERE status <> 'removed'"


def count(db: sqlite3.Connection, session_id: str | None, since: float) -> tuple[int, int, int]:
    """Sessions, steps and hits; see `Store.uses`."""
    named, counted = _scope(session_id, since)
    steps, hits = db.execute(
        f"SELECT count(*), coalesce(sum(decision = 'hit'), 0) FROM steps WHERE {counted}", named
    ).fetchone()
    asked = _THERE if session_id is None else _FAMILY
    (sessions,) = db.execute(
        f"SELECT count(*) FROM sessions WHERE id IN ({asked}) AND (started_at >= :since OR EXISTS"
        " (SELECT 1 FROM steps WHERE session = sessions.id AND whole = 1 AND steps.started_at >= :since))",
        named,
    ).fetchone()
    return sessions, steps, hits


def each(db: sqlite3.Connection, session_id: str | None, since: float) -> Iterator[Use]:
    """One recording after the other; see `Store.uses`."""
    named, counted = _scope(session_id, since)
    served: dict[tuple[int, int], int] = {
        (session, step): number
        for session, step, number in db.execute(
            "SELECT content_session, content_step, count(*) FROM steps"
            f" WHERE {counted} AND decision = 'hit' GROUP BY content_session, content_step",
            named,
        )
    }
    own = db.execute(
        f"SELECT session, step, decision, started_at, doc FROM steps WHERE {counted} AND decision <> 'hit'",
        named,
    )
    for session, step, decision, at, doc in own:
        yield _use(at, doc, live=decision != "blocked", hits=served.pop((session, step), 0))
    for place, number in served.items():  # recorded by a session, or at a time, that was not asked about
        row = db.execute("SELECT started_at, doc FROM steps WHERE session = ? AND step = ?", place).fetchone()
        yield _use(*(row or (0.0, None)), live=False, hits=number)


def _scope(session_id: str | None, since: float) -> tuple[dict[str, object], str]:
    """Which steps are asked about: a condition and the values in it."""
    whose = _THERE if session_id is None else _FAMILY
    return {
        "session": session_id,
        "since": since,
    }, f"whole = 1 AND started_at >= :since AND session IN ({whose})"


def _use(at: float, packed: bytes | None, *, live: bool, hits: int) -> Use:
    doc = codec.load_doc(packed) if packed else {}  # None: the recording was removed
    return Use(
        provider=doc.get("provider"),
        model=doc.get("model"),
        usage=doc.get("usage"),
        started_at=at,
        duration_ms=doc.get("duration_ms"),
        live=live,
        hits=hits,
    )
