"""Steps and recordings of the SQLite store: rows into the words of the domain."""

from __future__ import annotations

import sqlite3
from typing import Any, NamedTuple

from rewind_auto.core import valid
from rewind_auto.core.cut import Timing
from rewind_auto.core.errors import StoreError
from rewind_auto.core.model import (
    Decision,
    Fingerprint,
    Kind,
    Match,
    Recording,
    Request,
    Step,
    StepRef,
)
from rewind_auto.store import codec, content

SERVABLE = "('record', 'miss', 'hit')"
_STEP = (
    "step, kind, decision, match, source_session, source_step, content_session, content_step, lane, exact,"
    " canonical, started_at, trace_id, span_id, request_prefix, request_tail, response, doc,"
    " inside"
)


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
    found = []
    for step, run, began, packed, servable in rows:
        doc = codec.load_doc(packed)
        ended = began + (doc.get("duration_ms") or 0) / 1000
        found.append(Timing(step, run, began, ended, bool(servable) and not codec.given_up(doc)))
    return found


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


def unasked(db: sqlite3.Connection, me: int | None, source: int, source_id: str) -> list[Step]:
    """`unused` steps, less those whose calls were given up, and what was called inside these."""
    left = unused(db, me, source, source_id)
    spared = {step.step for step in left if not step.complete and given_up(db, source, step.step)}
    return [step for step in left if spared.isdisjoint((step.step, step.inside))]


def given_up(db: sqlite3.Connection, key: int, number: int) -> bool:
    """Whether the call of a step, or the one that a hit repeats, was cancelled before any answer came."""
    (doc,) = db.execute(
        "SELECT coalesce(r.doc, s.doc) FROM steps s"
        " LEFT JOIN steps r ON r.session = s.content_session AND r.step = s.content_step"
        " WHERE s.session = ? AND s.step = ?",
        (key, number),
    ).fetchone()
    return codec.given_up(codec.load_doc(doc))
