"""The store on SQLite, the default: one file, many processes, nothing to run."""

from __future__ import annotations

import json
import os
import sqlite3
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from rewind_auto.core import redact
from rewind_auto.core.model import Decision, Fingerprint, Match, Recording, Request, Session, Step
from rewind_auto.store import content, reading
from rewind_auto.store.codec import dump_doc
from rewind_auto.store.connection import Connection
from rewind_auto.store.contract import Claimed, Verdict

_NEXT = "(SELECT coalesce(max(step), 0) + 1 FROM steps WHERE session = :session)"
_DIGEST_COLUMN = {Match.EXACT: "exact", Match.RENAMED: "canonical"}


class SqliteStore:
    """`rewind_auto.store.contract.Store` on one SQLite file."""

    def __init__(self, path: Path, *, create: bool = True) -> None:
        self.path = path
        self._connection = Connection(path, create=create)
        self._keys: dict[str, int] = {}
        # Below these, this process has seen every answer used: looking for the next one stays flat however
        # often a program asks the same thing. Only a hint; the claim index decides.
        self._used_below: dict[tuple[int, bytes, str | None], int] = {}

    # --- sessions

    def begin(self, session: Session) -> None:
        with self._connection.reading() as db:
            if self._key(db, session.id) is not None:
                return
        with self._connection.writing() as db:
            db.execute(
                "INSERT OR IGNORE INTO sessions"
                " (uid, name, mode, status, parent, fork_step, started_at, command, pid, pid_mark)"
                " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
                (
                    session.id,
                    session.name,
                    session.mode.value,
                    "running",
                    session.parent,
                    session.fork_step,
                    session.started_at or time.time(),
                    json.dumps(session.command),
                    session.pid or os.getpid(),
                    reading.process_mark(session.pid or os.getpid()),
                ),
            )

    def finish(self, session_id: str, status: str) -> None:
        with self._connection.writing() as db:
            db.execute("UPDATE sessions SET status = ?, ended_at = ? WHERE uid = ?", (status, time.time(), session_id))

    def resolve(self, ref: str, *, for_replay: bool = False) -> Session:
        with self._connection.reading() as db:
            return reading.resolve(db, ref, for_replay=for_replay)

    def sessions(self) -> list[Session]:
        with self._connection.reading() as db:
            return reading.sessions(db)

    # --- writing steps

    def reserve(self, session_id: str) -> int:
        with self._connection.writing() as db:
            return self._reserve(db, session_id)

    def _reserve(self, db: sqlite3.Connection, session_id: str) -> int:
        row = db.execute(
            f"INSERT INTO steps (session, step) VALUES (:session, {_NEXT}) RETURNING step",
            {"session": self._must(db, session_id)},
        ).fetchone()
        return int(row[0])

    def prepare(self, step: Step, recording: Recording | None) -> Callable[[], int]:
        values = _columns(step)
        request = response = None
        if recording is not None:
            recording, secrets = redact.recording(recording)
            step.url, step.error = recording.request.url, redact.text(step.error, secrets) if step.error else None
            step.note = redact.text(step.note, secrets) if step.note else None
            request = content.prepare_request(recording.request.body)
            response = content.prepare_response(recording.body)
        values["doc"] = dump_doc(step, recording)

        def attempt() -> int:
            with self._connection.writing() as db:
                number = step.step or self._reserve(db, step.session)
                if request is not None:
                    values["request_prefix"], values["request_tail"] = content.write_request(db, request)
                values["response"] = content.write_blob(db, response)
                values["session"], values["step"] = self._must(db, step.session), number
                values["source_session"] = self._key(db, step.source.session) if step.source else None
                db.execute(_COMPLETE, values)
            step.step = number
            return number

        return attempt

    # --- replay

    def claim(self, step: Step, source_id: str, digest: bytes, match: Match, *, lane: str) -> Claimed | None:
        column = _DIGEST_COLUMN[match]
        with self._connection.reading() as db:
            me, source = self._must(db, step.session), self._must(db, source_id)
            while True:
                found = self._next_unused(db, me, source, column, digest, lane)
                if found is None:
                    return None
                claimed = self._claim(db, step, source_id, found, match)
                if claimed is not None:
                    return claimed

    def claim_step(self, step: Step, source_id: str, source_step: int, match: Match) -> Claimed | None:
        with self._connection.reading() as db:
            return self._claim(db, step, source_id, source_step, match)

    def _next_unused(
        self, db: sqlite3.Connection, me: int, source: int, column: str, digest: bytes, lane: str
    ) -> int | None:
        for wanted in (lane, None):
            below = self._used_below.get((source, digest, wanted), 0)
            row = db.execute(
                f"SELECT step FROM steps s WHERE {column} = :digest AND session = :source AND whole = 1"
                " AND step > :below AND (:lane IS NULL OR lane = :lane)"
                f" AND decision IN {reading.SERVABLE} AND NOT EXISTS (SELECT 1 FROM steps h"
                " WHERE h.session = :me AND h.source_session = :source AND h.source_step = s.step)"
                " ORDER BY step LIMIT 1",
                {"digest": digest, "source": source, "below": below, "lane": wanted, "me": me},
            ).fetchone()
            if row:
                self._used_below[source, digest, wanted] = row[0]
                return int(row[0])
        return None

    def _claim(
        self, db: sqlite3.Connection, step: Step, source_id: str, source_step: int, match: Match
    ) -> Claimed | None:
        me, source = self._must(db, step.session), self._must(db, source_id)
        origin, recording, content_at = reading.served(db, source_id, source, source_step)
        step.decision, step.match = Decision.HIT, match
        values = _columns(step)
        values |= {"session": me, "source_session": source, "source_step": source_step, "doc": dump_doc(step, None)}
        values["content_session"], values["content_step"] = content_at
        try:
            row = db.execute(_HIT, values).fetchone()
        except sqlite3.IntegrityError:
            return None  # another process of this run was quicker
        self._connection.wrote()
        step.step = int(row[0])
        return Claimed(step.step, origin, match, recording)

    def used(self, session_id: str, source_id: str, digest: bytes) -> bool:
        with self._connection.reading() as db:
            row = db.execute(
                "SELECT 1 FROM steps WHERE exact = ? AND session = ? AND whole = 1 LIMIT 1",
                (digest, self._key(db, source_id)),
            ).fetchone()
            return row is not None

    def unused(self, session_id: str, source_id: str) -> Iterator[tuple[Step, Request]]:
        with self._connection.reading() as db:
            source = self._must(db, source_id)
            steps = reading.unused(db, self._key(db, session_id), source, source_id)
        for step in steps:
            with self._connection.reading() as db:
                recording = reading.recording(db, source, step.step)
            if recording is not None:
                yield step, recording.request

    def repeated(self, session_id: str, step: int, fingerprint: Fingerprint) -> bool:
        with self._connection.reading() as db:
            row = db.execute(
                "SELECT 1 FROM steps WHERE exact = ? AND session = ? AND step > ? AND whole = 1 LIMIT 1",
                (fingerprint.exact, self._key(db, session_id), step),
            ).fetchone()
            return row is not None

    # --- reading

    def steps(self, session_id: str) -> list[Step]:
        with self._connection.reading() as db:
            return reading.steps(db, session_id, self._must(db, session_id))

    def recording(self, session_id: str, step: int) -> Recording | None:
        with self._connection.reading() as db:
            return reading.recording(db, self._must(db, session_id), step)

    def verdict(self, session_id: str) -> Verdict:
        with self._connection.reading() as db:
            me = self._must(db, session_id)
            blocked = [s for s in reading.steps(db, session_id, me) if s.decision is Decision.BLOCKED]
            parent = db.execute("SELECT parent FROM sessions WHERE id = ?", (me,)).fetchone()[0]
            source = self._key(db, parent) if parent else None
            unused = reading.unused(db, me, source, parent) if source is not None else []
            return Verdict(blocked, unused)

    def close(self) -> None:
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


def _columns(step: Step) -> dict[str, Any]:
    """Values for every column, by name."""
    fingerprint = step.fingerprint
    return {
        "kind": step.kind.value,
        "decision": step.decision.value,
        "match": step.match.value if step.match else None,
        "source_session": None,
        "source_step": step.source.step if step.source else None,
        "content_session": None,
        "content_step": None,
        "lane": step.lane,
        "exact": fingerprint.exact if fingerprint else None,
        "canonical": fingerprint.canonical if fingerprint else None,
        "started_at": step.started_at,
        "trace_id": step.trace_id,
        "span_id": step.span_id,
        "request_prefix": None,
        "request_tail": None,
        "response": None,
        "doc": None,
    }


_NAMES = tuple(_columns(Step("", 0)))
_COMPLETE = (
    f"UPDATE steps SET whole = 1, {', '.join(f'{name} = :{name}' for name in _NAMES)}"
    " WHERE session = :session AND step = :step"
)
_HIT = (
    f"INSERT INTO steps (session, step, whole, {', '.join(_NAMES)})"
    f" VALUES (:session, {_NEXT}, 1, {', '.join(f':{name}' for name in _NAMES)}) RETURNING step"
)
