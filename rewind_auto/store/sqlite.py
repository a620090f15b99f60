"""The store on SQLite, the default: one file, many processes, nothing to run."""

from __future__ import annotations

import json
import os
import sqlite3
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from rewind_auto.core import redact
from rewind_auto.core.cut import Timing
from rewind_auto.core.errors import StoreBusyError, StoreError
from rewind_auto.core.model import (
    Decision,
    Fingerprint,
    Match,
    Mode,
    Recording,
    Request,
    Session,
    Step,
    StepRef,
)
from rewind_auto.store import content, reading, removing, totals
from rewind_auto.store.codec import dump_doc, dump_hit
from rewind_auto.store.connection import Connection
from rewind_auto.store.contract import Claimed, Use, Uses, Verdict

_NO_LIMIT = 1 << 62
_ERROR = 400  # HTTP status codes from here on
_NEXT = "(SELECT coalesce(max(step), 0) + 1 FROM steps WHERE session = ?)"
_Prepared = tuple[dict[str, Any], content.RequestContent | None, content.Packed | None]
_Found = tuple[reading.Served, Callable[[], object]]  # an answer, and how to note that it is used
_RESERVE = f"INSERT INTO steps (session, step) VALUES (?, {_NEXT}) RETURNING step"


class SqliteStore:
    """`rewind_auto.store.contract.Store` on one SQLite file."""

    def __init__(self, path: Path, *, create: bool = True) -> None:
        self.path = path
        self._connection = Connection(path, create=create)
        self._keys: dict[str, int] = {}
        # Up to these, this process has seen every answer used: looking for the next one stays flat however
        # often a program asks the same thing. Only a hint; the claim index decides.
        self._used_to: dict[tuple[int, int, bytes, str | None], int] = {}
        self._indirect: dict[int, bool] = {}
        self._index: dict[tuple[int, int, Match], dict[bytes, list[tuple[int, str]]]] = {}

    # --- sessions

    def begin(self, session: Session) -> None:
        with self._connection.reading as db:
            if self._key(db, session.id) is not None:
                return
        with self._connection.writing as db:
            self._begin(db, session)

    def _begin(self, db: sqlite3.Connection, session: Session) -> None:
        db.execute(
            "INSERT OR IGNORE INTO sessions"
            " (uid, name, mode, status, parent, fork_step, outer, started_at, command, pid, pid_mark,"
            " hosts)"
            " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            (
                session.id,
                session.name.encode("utf-8", "replace").decode(),  # a script may be called anything
                session.mode.value,
                "running",
                session.parent,
                session.fork_step,
                session.outer,
                session.started_at or time.time(),
                json.dumps(redact.command(session.command)),
                session.pid or os.getpid(),
                reading.process_mark(session.pid or os.getpid()),
                json.dumps({"llm": session.llm_hosts, "tools": session.tool_hosts}),
            ),
        )

    def finish(self, session_id: str, status: str) -> None:
        with self._connection.writing as db:
            db.execute(
                "UPDATE sessions SET status = ?, ended_at = ? WHERE uid = ?",
                (status, time.time(), session_id),
            )

    def resolve(self, ref: str, *, for_replay: bool = False) -> Session:
        with self._connection.reading as db:
            return reading.resolve(db, ref, for_replay=for_replay)

    def inner(self, session_id: str) -> list[Session]:
        with self._connection.reading as db:
            return reading.inner(db, session_id)

    def sessions(self) -> list[Session]:
        with self._connection.reading as db:
            return reading.sessions(db)

    # --- writing steps

    def reserve(self, session_id: str) -> int:
        with self._connection.reading as db:  # one statement is a transaction of its own
            number = self._reserve(db, session_id)
        self._connection.wrote()
        return number

    def _reserve(self, db: sqlite3.Connection, session_id: str) -> int:
        key = self._must(db, session_id)
        return int(db.execute(_RESERVE, (key, key)).fetchone()[0])

    def prepare(self, step: Step, recording: Recording | None) -> Callable[[], int]:
        values, request, response = self._prepared(step, recording)

        def attempt() -> int:
            with self._connection.writing as db:
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
        step.url = redact.url(step.url)
        if recording is not None:
            recording, secrets = redact.recording(recording, body=False)
            request = content.prepare_request(recording.request.body, secrets)
            response = content.prepare_response(recording.body)
        step.error = step.error and redact.text(step.error, secrets)
        step.note = step.note and redact.text(step.note, secrets)
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
        db.execute(_COMPLETE, values)

    # --- replay

    def claim(
        self,
        step: Step,
        source_id: str,
        digest: bytes,
        match: Match,
        *,
        lane: str,
        before: int | None = None,
    ) -> Claimed | None:
        before = before or _NO_LIMIT
        with self._connection.reading as db:
            me, source = self._must(db, step.session), self._must(db, source_id)
            while True:
                if match is not Match.EXACT or self._is_indirect(db, source):
                    found = self._next_indexed(db, me, source, match, digest, lane, before)
                else:
                    found = self._next_unused(db, me, source, digest, lane, before)
                if found is None:
                    return None
                answer, note_used = found
                claimed = self._claim(db, me, step, answer, match, source_id)
                note_used()  # not before: had the store been busy, the answer would still be to be had
                if claimed is not None:
                    return claimed

    def claim_step(self, step: Step, source_id: str, source_step: int, match: Match) -> Claimed | None:
        with self._connection.reading as db:
            found = reading.served_step(db, self._must(db, source_id), source_step)
            return self._claim(db, self._must(db, step.session), step, found, match, source_id)

    def _next_unused(
        self, db: sqlite3.Connection, me: int, source: int, digest: bytes, lane: str, before: int
    ) -> _Found | None:
        """The first step of the source with this digest that nobody has used: of this lane, else of any."""
        for wanted, query, more in ((lane, _NEXT_IN_LANE, (lane,)), (None, _NEXT_ANYWHERE, ())):
            key = (me, source, digest, wanted)
            used_to = self._used_to.get(key, 0)
            row = db.execute(query, (digest, source, used_to, before, me, source, *more)).fetchone()
            if row:
                return reading.Served(*row), partial(self._used_to.__setitem__, key, row[1])
        return None

    def _next_indexed(
        self,
        db: sqlite3.Connection,
        me: int,
        source: int,
        match: Match,
        digest: bytes,
        lane: str,
        before: int,
    ) -> _Found | None:
        """`_next_unused` over an index in memory, for what no index in the file answers."""
        key = (me, source, match)
        if key not in self._index:
            self._index[key] = reading.index(db, source, "exact" if match is Match.EXACT else "canonical")
        candidates = self._index[key].get(digest, [])
        for number, at in sorted(candidates, key=lambda found: (found[1] != lane, found[0])):
            if number >= before:
                continue
            note_used = partial(candidates.remove, (number, at))
            if not db.execute(_IS_USED, {"me": me, "source": source, "step": number}).fetchone():
                return reading.served_step(db, source, number), note_used
            note_used()
        return None

    def _is_indirect(self, db: sqlite3.Connection, source: int) -> bool:
        """Whether the source has hits: their digests are with the recordings they point at."""
        known = self._indirect.get(source)
        if known is None:
            row = db.execute("SELECT mode FROM sessions WHERE id = ?", (source,)).fetchone()
            known = self._indirect[source] = row[0] != Mode.RECORD.value
        return known

    def _claim(
        self,
        db: sqlite3.Connection,
        me: int,
        step: Step,
        found: reading.Served,
        match: Match,
        source_id: str,
    ) -> Claimed | None:
        """Write the hit, which is the claim. None: another process of this run was quicker."""
        served = reading.serve(db, source_id, found)
        hit = self._hit(db, me, step, found, match, served, used=(found.session, found.step))
        return None if hit is None else Claimed(hit, served.step, match, served.recording)

    def reuse(self, step: Step, digest: bytes, match: Match, *, since: float) -> Claimed | None:
        with self._connection.reading as db:
            for row in db.execute(_NEWEST[match], (digest, since, step.kind.value)):
                found = reading.Served(*row[1:])
                served = reading.serve(db, row[0], found)
                head = served.recording.head
                if served.recording.complete and head is not None and head.status < _ERROR:
                    me = self._must(db, step.session)
                    # Such a hit uses nothing up, so it stands at no place of its source: the recording says.
                    number = self._hit(db, me, step, found, match, served, used=(None, None))
                    return Claimed(number or 0, served.step, match, served.recording)
        return None

    def _hit(
        self,
        db: sqlite3.Connection,
        me: int,
        step: Step,
        found: reading.Served,
        match: Match,
        served: reading.Serving,
        *,
        used: tuple[int | None, int | None],
    ) -> int | None:
        """Write ``step`` as a hit; returns its number. None: what it uses is used already."""
        origin = served.step
        step.decision, step.match = Decision.HIT, match
        step.source = StepRef(origin.session, origin.step)
        exact = canonical = None
        if match is Match.EXACT:  # the digests stand with the recording, or with a hit that was renamed
            step.fingerprint = origin.fingerprint
            if found.content_session is not None:
                exact, canonical = found.exact, found.canonical
        elif step.fingerprint is not None:
            exact, canonical = step.fingerprint.exact, step.fingerprint.canonical
        values = (
            *(me, me, step.kind.value, match.value, *used, *served.kept),
            *(
                step.lane,
                step.inside,
                exact,
                canonical,
                step.started_at,
                step.trace_id,
                step.span_id,
                dump_hit(step),
            ),
        )
        try:
            row = db.execute(_HIT, values).fetchone()
        except sqlite3.IntegrityError:
            return None
        self._connection.wrote()
        step.step = int(row[0])
        return step.step

    def note_fork(self, session_id: str, step: int) -> None:
        with self._connection.writing as db:
            db.execute(
                "UPDATE sessions SET fork_step = ? WHERE uid = ? AND fork_step IS NULL", (step, session_id)
            )

    def has(self, session_id: str, digest: bytes) -> bool:
        with self._connection.reading as db:
            key = self._key(db, session_id)
            return key is not None and reading.has(db, key, digest, indirect=self._is_indirect(db, key))

    def unused(self, session_id: str, source_id: str) -> Iterator[tuple[Step, Request]]:
        with self._connection.reading as db:
            source = self._must(db, source_id)
            steps = reading.unused(db, self._key(db, session_id), source, source_id)
        for step in steps:
            with self._connection.reading as db:
                recording = reading.recording(db, source, step.step)
            if recording is not None:
                yield step, recording.request

    def first_unused(self, session_id: str, source_id: str, start: int, before: int) -> int | None:
        with self._connection.reading as db:
            me, source = self._must(db, session_id), self._must(db, source_id)
            row = db.execute(_FIRST_UNUSED, {"me": me, "source": source, "start": start, "before": before})
            found = row.fetchone()
            return found and int(found[0])

    def timings(self, session_id: str, upto: int | None = None) -> list[Timing]:
        with self._connection.reading as db:
            return reading.timings(db, self._must(db, session_id), upto or _NO_LIMIT)

    def repeated(self, session_id: str, step: int, fingerprint: Fingerprint) -> bool:
        with self._connection.reading as db:
            key = self._must(db, session_id)
            indirect = self._is_indirect(db, key)
            return reading.has(db, key, fingerprint.exact, after=step, indirect=indirect)

    # --- reading

    def steps(self, session_id: str) -> list[Step]:
        with self._connection.reading as db:
            return reading.steps(db, session_id, self._must(db, session_id))

    def recording(self, session_id: str, step: int) -> Recording | None:
        with self._connection.reading as db:
            return reading.recording(db, self._must(db, session_id), step)

    def uses(self, session_id: str | None = None, *, since: float = 0.0) -> Uses:
        with self._connection.reading as db:
            if session_id is not None:
                self._must(db, session_id)
            return Uses(*totals.count(db, session_id, since), self._each(session_id, since))

    def _each(self, session_id: str | None, since: float) -> Iterator[Use]:
        with self._connection.reading as db:
            yield from totals.each(db, session_id, since)

    def size(self) -> int:
        files = (self.path, f"{self.path}-wal")  # what else is beside them comes and goes with the processes
        return sum(os.path.getsize(file) for file in files if os.path.exists(file))

    def verdict(self, session_id: str) -> Verdict:
        with self._connection.reading as db:
            return reading.verdict(db, session_id, self._must(db, session_id))

    # --- bringing in and removing

    def restore(self, session: Session, steps: Iterable[tuple[Step, Recording | None]]) -> bool:
        prepared = [(step, self._prepared(step, recording)) for step, recording in steps]
        with self._connection.writing as db:
            if self._key(db, session.id) is not None:
                return False
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

    def dependencies(self) -> list[tuple[str, str, bool]]:
        with self._connection.reading as db:
            return removing.dependencies(db)

    def weights(self) -> dict[str, int]:
        with self._connection.reading as db:
            return removing.weights(db)

    def remove(self, session_ids: Sequence[str]) -> None:
        with self._connection.writing as db:
            removing.remove(db, [self._must(db, one) for one in session_ids])
            removing.sweep(db)
        self._keys.clear()

    def used_bytes(self) -> int:
        with self._connection.reading as db:
            return removing.used_bytes(db)

    def shrink(self) -> bool:
        try:
            with self._connection.reading as db:
                db.execute("VACUUM")
                db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        except StoreBusyError:
            return False
        return True

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
_NEXT_ANYWHERE = (
    f"{reading.SERVED} WHERE s.exact = ? AND s.session = ? AND s.step > ? AND s.step < ?"
    f" AND s.decision IN {reading.SERVABLE} AND NOT EXISTS (SELECT 1 FROM steps h"
    " WHERE h.session = ? AND h.source_session = ? AND h.source_step = s.step) ORDER BY s.step LIMIT 1"
)
_NEWEST = {
    match: f"SELECT (SELECT uid FROM sessions WHERE id = s.session), {reading.SERVED.removeprefix('SELECT ')}"
    f" WHERE s.{column} = ? AND s.started_at >= ? AND s.decision IN ('record', 'miss') AND s.kind = ?"
    " ORDER BY s.session DESC, s.step DESC"
    for match, column in ((Match.EXACT, "exact"), (Match.RENAMED, "canonical"))
}
_NEXT_IN_LANE = _NEXT_ANYWHERE.replace(" ORDER", " AND s.lane = ? ORDER")
_FIRST_UNUSED = (
    "SELECT step FROM steps s WHERE session = :source AND step >= :start AND step < :before AND whole = 1"
    f" AND decision IN {reading.SERVABLE} AND NOT EXISTS (SELECT 1 FROM steps h WHERE h.session = :me"
    " AND h.source_session = :source AND h.source_step IN (s.step, s.inside)) ORDER BY step LIMIT 1"
)
_IS_USED = "SELECT 1 FROM steps WHERE session = :me AND source_session = :source AND source_step = :step"
_HIT = (
    "INSERT INTO steps (session, step, whole, decision, kind, match, source_session, source_step,"
    " content_session, content_step, lane, inside, exact, canonical, started_at, trace_id, span_id, doc)"
    f" VALUES (?, {_NEXT}, 1, 'hit',"
    " ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) RETURNING step"
)
