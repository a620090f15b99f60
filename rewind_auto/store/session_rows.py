"""Sessions of the SQLite store: found by a REF, listed, and judged after a replay."""

from __future__ import annotations

import json
import os
import sqlite3
from pathlib import Path
from typing import Any

from rewind_auto.core import trace_id, valid
from rewind_auto.core.errors import StoreError, UnknownReferenceError
from rewind_auto.core.model import Decision, Match, Mode, Session, Step
from rewind_auto.store import reading
from rewind_auto.store.contract import Verdict

CHILDREN = "children"  # status of a session that runs, but not, or not yet, in the process that will end it

_SHORTEST_PREFIX = 4

_KEY = "SELECT id FROM sessions WHERE uid = ?"
_SESSIONS = (
    "SELECT id, uid, name, mode, status, parent, fork_step, outer, started_at, ended_at, command, pid,"
    " pid_mark, hosts FROM (SELECT * FROM sessions WHERE status <> 'removed')"
)
_COUNTS = "SELECT session, decision, count(*) FROM steps WHERE whole = 1"


def unknown(ref: str) -> UnknownReferenceError:
    """The error for a REF that names nothing."""
    return UnknownReferenceError(f"no session is called {ref!r}; `rewind-auto sessions` lists them")


def resolve(db: sqlite3.Connection, ref: str, *, for_replay: bool) -> Session:
    """See `Store.resolve`."""
    newest = "mode = 'replay', id DESC" if for_replay else "id DESC"
    if ref == "last":
        session = _one(db, "outer IS NULL", (), newest)
        if session is None:
            raise UnknownReferenceError("there is no session yet: nothing has been recorded in this store")
        return session
    if ref.startswith("trace:"):
        return _by_trace(db, ref, newest)
    session = _one(db, "uid = ?", (ref,)) or _one(db, "name = ?", (ref,), newest) or _by_prefix(db, ref)
    if session is None:
        raise unknown(ref)
    return session


def _by_trace(db: sqlite3.Connection, ref: str, newest: str) -> Session:
    trace = trace_id.parse(ref.removeprefix("trace:"))
    if trace is None:
        raise UnknownReferenceError(f"{ref!r} has no trace id: that is up to 32 hex digits")
    where = "id IN (SELECT session FROM steps WHERE trace_id = ? AND whole = 1)"
    # A trace that goes through a session inside another one is of the run as a whole.
    session = _one(db, where, (trace,), f"outer IS NOT NULL, {newest}")
    if session is None:
        raise UnknownReferenceError(f"no call in this store was recorded in the trace {ref!r}")
    return session


def _by_prefix(db: sqlite3.Connection, ref: str) -> Session | None:
    if len(ref) < _SHORTEST_PREFIX or not ref.isalnum():
        return None
    found = db.execute("SELECT id FROM sessions WHERE uid LIKE ? || '%' LIMIT 2", (ref.lower(),)).fetchall()
    if len(found) > 1:
        raise UnknownReferenceError(f"{ref!r} is the beginning of more than one session id")
    return _one(db, "id = ?", found[0]) if found else None


def _one(
    db: sqlite3.Connection, where: str, values: tuple[Any, ...], order: str = "id DESC"
) -> Session | None:
    row = db.execute(f"{_SESSIONS} WHERE {where} ORDER BY {order} LIMIT 1", values).fetchone()
    if row is None:
        return None
    counts = db.execute(f"{_COUNTS} AND session = ? GROUP BY decision", row[:1]).fetchall()
    return _session(db, row, {decision: number for _, decision, number in counts})


def sessions(db: sqlite3.Connection) -> list[Session]:
    """All sessions, newest first."""
    counts: dict[int, dict[str, int]] = {}  # one query for all: twice as fast as one each
    for key, decision, number in db.execute(f"{_COUNTS} GROUP BY session, decision"):
        counts.setdefault(key, {})[decision] = number
    rows = db.execute(f"{_SESSIONS} ORDER BY id DESC").fetchall()
    return [_session(db, row, counts.get(row[0], {})) for row in rows]


def inner(db: sqlite3.Connection, session_id: str) -> list[Session]:
    """The sessions inside one, in the order of their beginning."""
    rows = db.execute(f"{_SESSIONS} WHERE outer = ? ORDER BY id", (session_id,)).fetchall()
    return [_session(db, row, {}) for row in rows]


def verdict(db: sqlite3.Connection, session_id: str, key: int) -> Verdict:
    """See `Store.verdict`."""
    found = Verdict()
    own = reading.steps(db, session_id, key)
    found.blocked += [step for step in own if step.decision is Decision.BLOCKED]
    found.drifted += [step for step in own if step.match is Match.ALIGNED]
    (parent,) = db.execute("SELECT parent FROM sessions WHERE id = ?", (key,)).fetchone()
    source = db.execute(_KEY, (parent,)).fetchone()
    if parent and not source:  # what is removed leaves a row behind: this is another file
        raise StoreError("the session that was replayed is not in the store any more")
    if source:
        found.unused += reading.unasked(db, key, source[0], parent)
    ours = inner(db, session_id)
    for session in ours:
        below = verdict(db, session.id, db.execute(_KEY, (session.id,)).fetchone()[0])
        found.blocked += below.blocked
        found.drifted += below.drifted
        found.unused += below.unused
    if source:
        replayed = {session.parent for session in ours}
        repeated = {(session.name, session.parent) for session in ours}  # those with a source of their own
        for recorded in inner(db, parent):
            if recorded.id not in replayed and (recorded.name, recorded.parent or "") not in repeated:
                found.unused += _all_of(db, recorded.id)
    return found


def _all_of(db: sqlite3.Connection, session_id: str) -> list[Step]:
    """The servable steps of a session and of those inside it, as far as they have to be asked for."""
    key = db.execute(_KEY, (session_id,)).fetchone()[0]
    return reading.unasked(db, None, key, session_id) + [
        step for session in inner(db, session_id) for step in _all_of(db, session.id)
    ]


def _session(db: sqlite3.Connection, row: tuple[Any, ...], decisions: dict[str, int]) -> Session:
    (
        key,
        uid,
        name,
        mode,
        status,
        parent,
        fork_step,
        outer,
        started_at,
        ended_at,
        command,
        pid,
        mark,
        hosts,
    ) = row
    listed = valid.object_of(json.loads(hosts or "{}"))
    if status in ("running", CHILDREN):
        if _alive(pid, mark):
            status, ended_at = "running", None
        elif status == "running" or _cut_off(db, key):
            status = "interrupted"
        else:
            status, ended_at = "completed", ended_at or _last_call(db, key)
    return valid.session(
        Session(
            id=uid,
            name=name,
            mode=Mode(mode),
            status=status,
            parent=parent,
            fork_step=fork_step,
            outer=outer,
            started_at=started_at,
            ended_at=ended_at,
            command=tuple(json.loads(command)),
            llm_hosts=tuple(listed.get("llm", ())),
            tool_hosts=tuple(listed.get("tools", ())),
            session_by=listed.get("by", ""),
            pid=pid,
            steps=sum(decisions.values()),
            decisions=decisions,
        )
    )


def _cut_off(db: sqlite3.Connection, key: int) -> bool:
    """Whether a call never came to its end: the one thing that tells of a process that was killed.

    Children of servers and pools end as they do every day by ``os._exit``, or by a signal that they send
    themselves once they have shut down: they say no more than those that are killed.
    """
    query = "SELECT EXISTS (SELECT 1 FROM steps WHERE session = ? AND whole = 0)"
    return bool(db.execute(query, (key,)).fetchone()[0])


def _last_call(db: sqlite3.Connection, key: int) -> float | None:
    """When the last call of a session began."""
    query = "SELECT started_at FROM steps WHERE session = ? ORDER BY step DESC LIMIT 1"
    found = db.execute(query, (key,)).fetchone()
    return found[0] if found else None


def process_mark(pid: int) -> str:
    """What tells a process from a later one with the same pid: its start time, where the system says."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
        return stat.rpartition(")")[2].split()[19]
    except (OSError, IndexError):
        return ""


def _alive(pid: int, mark: str) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except OSError:
        return True
    return process_mark(pid) == mark
