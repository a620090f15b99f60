"""Queries of the SQLite store: rows into the words of the domain."""

from __future__ import annotations

import json
import os
import sqlite3
from pathlib import Path
from typing import Any, NamedTuple

from rewind_auto.core import trace_id, valid
from rewind_auto.core.cut import Timing
from rewind_auto.core.errors import StoreError, UnknownReferenceError
from rewind_auto.core.model import (
    Decision,
    Fingerprint,
    Kind,
    Match,
    Mode,
    Recording,
    Request,
    Session,
    Step,
    StepRef,
)
from rewind_auto.store import codec, content
from rewind_auto.store.contract import Verdict

SERVABLE = "('record', 'miss', 'hit')"
CHILDREN = "children"  # status of a session that runs, but not, or not yet, in the process that will end it

_SHORTEST_PREFIX = 4
_STEP = (
    "step, kind, decision, match, source_session, source_step, content_session, content_step, lane, exact,"
    " canonical, started_at, trace_id, span_id, request_prefix, request_tail, response, doc,"
    " inside"
)


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


_KEY = "SELECT id FROM sessions WHERE uid = ?"
_SESSIONS = (
    "SELECT id, uid, name, mode, status, parent, fork_step, outer, started_at, ended_at, command, pid,"
    " pid_mark, hosts FROM (SELECT * FROM sessions WHERE status <> 'removed')"
)
_COUNTS = "SELECT session, decision, count(*) FROM steps WHERE whole = 1"


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
    own = steps(db, session_id, key)
    found.blocked += [step for step in own if step.decision is Decision.BLOCKED]
    found.drifted += [step for step in own if step.match is Match.ALIGNED]
    (parent,) = db.execute("SELECT parent FROM sessions WHERE id = ?", (key,)).fetchone()
    source = db.execute(_KEY, (parent,)).fetchone()
    if parent and not source:  # what is removed leaves a row behind: this is another file
        raise StoreError("the session that was replayed is not in the store any more")
    if source:
        found.unused += unused(db, key, source[0], parent)
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
    """The servable steps of a session and of those inside it."""
    key = db.execute(_KEY, (session_id,)).fetchone()[0]
    return unused(db, None, key, session_id) + [
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


def steps(db: sqlite3.Connection, session_id: str, key: int) -> list[Step]:
    """The whole steps of a session, in start order."""
    rows = db.execute(
        f"SELECT {_STEP} FROM steps WHERE session = ? AND whole = 1 ORDER BY step", (key,)
    ).fetchall()
    uids: dict[int, str] = {}
    return [_step(db, session_id, row, uids) for row in rows]


def _step(db: sqlite3.Connection, session_id: str, row: tuple[Any, ...], uids: dict[int, str]) -> Step:
    step = Step(session_id, row[0])
    source, number = (row[4], row[5]) if row[4] is not None else (row[6], row[7])
    if source is not None:
        if source not in uids:
            found = db.execute("SELECT uid FROM sessions WHERE id = ?", (source,)).fetchone()
            uids[source] = found[0] if found else ""
        step.source = StepRef(uids[source], number)
    if row[6] is not None:  # a hit: what it served is the recording's, what it did is its own
        origin = db.execute(
            "SELECT doc, exact, canonical, started_at FROM steps WHERE session = ? AND step = ?",
            (row[6], row[7]),
        ).fetchone()
        if origin:
            codec.fill(step, codec.load_doc(origin[0]))
            step.fingerprint = Fingerprint(origin[1], origin[2])
            step.recorded_at = origin[3]
            step.duration_ms = step.first_chunk_ms = step.note = None
            step.detail = {}
    step.kind, step.decision = Kind(row[1]), Decision(row[2])
    step.match = Match(row[3]) if row[3] else None
    step.lane = row[8] or ""
    if row[9]:
        step.fingerprint = Fingerprint(row[9], row[10])
    step.started_at, step.trace_id, step.span_id = row[11], row[12], row[13]
    step.inside = row[18]
    return valid.step(codec.fill(step, codec.load_doc(row[17])))


def recording(db: sqlite3.Connection, key: int, number: int) -> Recording | None:
    """What a step keeps; for a hit, its recording."""
    row = db.execute(
        f"SELECT {_STEP} FROM steps WHERE session = ? AND step = ? AND whole = 1", (key, number)
    ).fetchone()
    if row is None:
        return None
    if row[6] is not None:
        return recording(db, row[6], row[7])
    return _recording(db, row)


def _recording(db: sqlite3.Connection, row: tuple[Any, ...]) -> Recording | None:
    doc = codec.load_doc(row[17])
    if "exchange" not in doc:
        return None
    headers = codec.load_request_headers(doc)
    body = content.read_request(db, row[14], row[15])
    request = Request(doc.get("method", ""), doc.get("url", ""), headers, body, doc.get("library", ""))
    kept = Recording(request, codec.load_head(doc), content.read_blob(db, row[16]))
    return valid.recording(codec.complete_recording(kept, doc))


class Served(NamedTuple):
    """What is read of a recorded step to serve it: all of it in one look, since every hit passes here."""

    session: int
    step: int
    content_session: int | None
    content_step: int | None
    exact: bytes | None
    canonical: bytes | None
    trace_id: str | None
    span_id: str | None
    lane: str
    doc: bytes
    packed: int | None
    data: bytes | None


SERVED = (
    "SELECT s.session, s.step, s.content_session, s.content_step, s.exact, s.canonical, s.trace_id,"
    " s.span_id, s.lane, s.doc, b.packed, b.data FROM steps s LEFT JOIN blobs b ON b.id = s.response"
)


def served_step(db: sqlite3.Connection, session: int, number: int) -> Served:
    """What is read of one step to serve it."""
    row = db.execute(
        f"{SERVED} WHERE s.session = ? AND s.step = ? AND s.whole = 1", (session, number)
    ).fetchone()
    if row is None:
        raise StoreError(f"recorded step {number} is gone")
    return Served(*row)


class Serving(NamedTuple):
    """A recorded step, what it serves, and the keys of the session and the step that keep that."""

    step: Step
    recording: Recording
    kept: tuple[int, int]


def serve(db: sqlite3.Connection, source_id: str, found: Served) -> Serving:
    """What a recorded step serves: through a hit, the recording that it points at.

    The recording's request has neither headers nor body: serving does not need them.
    """
    kept = found
    if found.content_session is not None and found.content_step is not None:
        kept = served_step(db, found.content_session, found.content_step)
    doc = codec.load_doc(kept.doc)
    if "exchange" not in doc:
        raise StoreError(f"recorded step {found.step} has lost its content")
    step = Step(source_id, found.step, trace_id=found.trace_id, span_id=found.span_id, lane=found.lane)
    asked = found if found.exact else kept
    if asked.exact and asked.canonical is not None:
        step.fingerprint = Fingerprint(asked.exact, asked.canonical)
    step.model, step.status = doc.get("model"), doc.get("status")
    request = Request(doc.get("method", ""), doc.get("url", ""), (), b"", doc.get("library", ""))
    body = codec.unpack(kept.packed or 0, kept.data) if kept.data is not None else b""
    recorded = valid.recording(codec.complete_recording(Recording(request, codec.load_head(doc), body), doc))
    return Serving(step, recorded, (kept.session, kept.step))


def index(db: sqlite3.Connection, source: int, column: str) -> dict[bytes, list[tuple[int, str]]]:
    """Digest to ``(step, lane)`` of every servable step of a session; for hits, their recordings' digests."""
    found: dict[bytes, list[tuple[int, str]]] = {}
    rows = db.execute(
        f"SELECT coalesce(s.{column}, r.{column}), s.step, s.lane FROM steps s"
        " LEFT JOIN steps r ON r.session = s.content_session AND r.step = s.content_step"
        f" WHERE s.session = ? AND s.whole = 1 AND s.decision IN {SERVABLE} ORDER BY s.step",
        (source,),
    )
    for digest, number, lane in rows:
        found.setdefault(digest, []).append((number, lane))
    return found


def has(db: sqlite3.Connection, key: int, digest: bytes, *, after: int = 0, indirect: bool) -> bool:
    """Whether a session has an answer with this exact digest, later than step ``after``."""
    found = db.execute(
        "SELECT 1 FROM steps WHERE exact = ? AND session = ? AND step > ? AND whole = 1"
        f" AND decision IN {SERVABLE} LIMIT 1",
        (digest, key, after),
    ).fetchone()
    if found is None and indirect:
        found = db.execute(
            "SELECT 1 FROM steps s JOIN steps r ON r.session = s.content_session AND r.step = s.content_step"
            " WHERE s.session = ? AND s.step > ? AND s.exact IS NULL AND r.exact = ? LIMIT 1",
            (key, after, digest),
        ).fetchone()
    return found is not None


def timings(db: sqlite3.Connection, key: int, upto: int) -> list[Timing]:
    """See `Store.timings`."""
    rows = db.execute(
        "SELECT s.step, coalesce(s.content_session, s.session), coalesce(r.started_at, s.started_at),"
        f" coalesce(r.doc, s.doc), s.decision IN {SERVABLE} AND s.inside IS NULL FROM steps s"
        " LEFT JOIN steps r ON r.session = s.content_session AND r.step = s.content_step"
        " WHERE s.session = ? AND s.step <= ? AND s.whole = 1 ORDER BY s.step",
        (key, upto),
    )
    return [
        Timing(step, run, began, began + (codec.load_doc(doc).get("duration_ms") or 0) / 1000, bool(servable))
        for step, run, began, doc, servable in rows
    ]


def unused(db: sqlite3.Connection, me: int | None, source: int, source_id: str) -> list[Step]:
    """Recorded steps of ``source`` that the session ``me`` has not used, in start order."""
    rows = db.execute(
        f"SELECT {_STEP} FROM steps s WHERE session = :source AND whole = 1 AND decision IN {SERVABLE}"
        " AND NOT EXISTS (SELECT 1 FROM steps h WHERE h.session = :me AND h.source_session = :source"
        " AND h.source_step IN (s.step, s.inside)) ORDER BY step",
        {"me": me, "source": source},
    ).fetchall()
    uids: dict[int, str] = {}
    return [_step(db, source_id, row, uids) for row in rows]
