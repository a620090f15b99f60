"""Sessions and steps on their way into the file."""

from __future__ import annotations

import json
import os
import sqlite3
import time
from collections.abc import Callable, Iterable
from typing import Any

from rewind_auto.core import redact
from rewind_auto.core.errors import StoreError
from rewind_auto.core.model import Decision, Mode, Recording, Session, Step
from rewind_auto.store import content, session_rows
from rewind_auto.store.codec import dump_doc, dump_hit
from rewind_auto.store.file import StoreFile

NEXT = "(SELECT coalesce(max(step), 0) + 1 FROM steps WHERE session = ?)"
_Prepared = tuple[dict[str, Any], content.RequestContent | None, content.Packed | None]
_RESERVE = f"INSERT INTO steps (session, step) VALUES (?, {NEXT}) RETURNING step"


class Writer(StoreFile):
    """The part of `rewind_auto.store.contract.Store` that writes what a program does."""

    def begin(self, session: Session) -> None:
        # The verdict on a replay is in the file that it began in, or nowhere.
        if session.mode is not Mode.REPLAY:
            self._begun[session.id] = session
        own = session.pid in (0, os.getpid())
        with self._connection.reading() as db:
            found = db.execute("SELECT status FROM sessions WHERE uid = ?", (session.id,)).fetchone()
        if found is None or (own and found[0] == session_rows.CHILDREN):
            with self._connection.writing() as db:
                self._begin(db, session)
                if own:  # else its children were first
                    db.execute(
                        "UPDATE sessions SET status = 'running' WHERE uid = ? AND status = ?",
                        (session.id, session_rows.CHILDREN),
                    )

    def _begin(self, db: sqlite3.Connection, session: Session) -> None:
        db.execute(
            "INSERT OR IGNORE INTO sessions"
            " (uid, name, mode, status, parent, fork_step, outer, started_at, command, pid, pid_mark,"
            " hosts)"
            " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            (
                session.id,
                # A script may be called anything.
                redact.text(session.name).encode("utf-8", "replace").decode(),
                session.mode.value,
                "running" if session.pid in (0, os.getpid()) else session_rows.CHILDREN,
                session.parent,
                session.fork_step,
                session.outer,
                session.started_at or time.time(),
                json.dumps(redact.command(session.command)),
                session.pid or os.getpid(),
                session_rows.process_mark(session.pid or os.getpid()),
                json.dumps({"llm": session.llm_hosts, "tools": session.tool_hosts, "by": session.session_by}),
            ),
        )

    def _must(self, db: sqlite3.Connection, session_id: str) -> int:
        if self._key(db, session_id) is None and session_id in self._begun:
            self._connection.replaced = True
            self._begin(db, self._begun[session_id])
        return super()._must(db, session_id)

    def finish(self, session_id: str, status: str) -> None:
        self._begun.pop(session_id, None)
        with self._connection.writing() as db:
            db.execute(
                "UPDATE sessions SET ended_at = :now, status = CASE WHEN status = 'diverged'"
                " OR :status = 'running' THEN status ELSE :status END WHERE uid = :uid",
                {"now": time.time(), "status": status, "uid": session_id},
            )

    def reserve(self, session_id: str) -> int:
        with self._connection.reading() as db:  # one statement is a transaction of its own
            number = self._reserve(db, session_id)
        self._connection.wrote()
        return number

    def _reserve(self, db: sqlite3.Connection, session_id: str) -> int:
        key = self._must(db, session_id)
        return int(db.execute(_RESERVE, (key, key)).fetchone()[0])

    def prepare(self, step: Step, recording: Recording | None) -> Callable[[], int]:
        values, request, response = self._prepared(step, recording)

        def attempt() -> int:
            with self._connection.writing() as db:
                number = step.step or self._reserve(db, step.session)
                values["source_session"] = self._key(db, step.source.session) if step.source else None
                self._complete(db, values, self._must(db, step.session), number, request, response)
            step.step = number
            return number

        return attempt

    def _prepared(self, step: Step, recording: Recording | None) -> _Prepared:
        """The row of a step and its content, without secrets: all the work that needs no lock."""
        values = _columns(step)
        request = response = None
        secrets: tuple[bytes, ...] = ()
        if recording is not None:
            recording, secrets = redact.recording(recording, body=False)
            request = content.prepare_request(recording.request.body, secrets)
            response = content.prepare_response(recording.body)
        redact.step(step, secrets)
        hit = step.decision is Decision.HIT and recording is None
        values["doc"] = dump_hit(step) if hit else dump_doc(step, recording)
        return values, request, response

    def _complete(
        self,
        db: sqlite3.Connection,
        values: dict[str, Any],
        key: int,
        number: int,
        request: content.RequestContent | None,
        response: content.Packed | None,
    ) -> None:
        if request is not None:
            values["request_prefix"], values["request_tail"] = content.write_request(db, request)
        values["response"] = content.write_blob(db, response)
        values["session"], values["step"] = key, number
        done = db.execute(_COMPLETE, values)
        if not done.rowcount and self._connection.replaced:  # it was numbered in the file that was there
            db.execute("INSERT OR IGNORE INTO steps (session, step) VALUES (?, ?)", (key, number))
            db.execute(_COMPLETE, values)

    def restore(self, session: Session, steps: Iterable[tuple[Step, Recording | None]]) -> bool:
        prepared = [(step, self._prepared(step, recording)) for step, recording in steps]
        with self._connection.writing() as db:
            if self._key(db, session.id) is not None:
                return False
            if session.outer is not None and self._key(db, session.outer) is None:
                session.outer = None  # it comes first, else it is missing: a file must not make a circle
            self._begin(db, session)
            status = "interrupted" if session.status == "running" else session.status
            ended = session.ended_at or session.started_at
            key = self._must(db, session.id)
            db.execute(
                "UPDATE sessions SET status = ?, ended_at = ?, pid = 0 WHERE id = ?", (status, ended, key)
            )
            for step, (values, request, response) in prepared:
                if step.decision is Decision.HIT:
                    values.update(self._shown(db, session, step))
                db.execute("INSERT INTO steps (session, step) VALUES (?, ?)", (key, step.step))
                self._complete(db, values, key, step.step, request, response)
        return True

    def _shown(self, db: sqlite3.Connection, session: Session, step: Step) -> dict[str, int | None]:
        """Where a hit's recording is kept, and what it uses up."""
        source = step.source and self._key(db, step.source.session)
        row = (
            step.source
            and db.execute(
                "SELECT coalesce(content_session, session), coalesce(content_step, step) FROM steps"
                " WHERE session = ? AND step = ? AND whole = 1",
                (source, step.source.step),
            ).fetchone()
        )
        if not row:
            raise StoreError(f"step {step.step} of session {session.id} shows a recording that is not here")
        used = session.mode is not Mode.CACHE and step.source is not None
        return {
            "source_session": source if used else None,
            "source_step": step.source.step if used and step.source else None,
            "content_session": row[0],
            "content_step": row[1],
        }


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
        "inside": step.inside,
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
