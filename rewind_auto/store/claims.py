"""The part of the store that answers requests from recordings, each answer once a run."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

from rewind_auto.core.cut import Timing
from rewind_auto.core.model import Decision, Fingerprint, Match, Mode, Request, Step, StepRef
from rewind_auto.store import reading
from rewind_auto.store.codec import dump_hit
from rewind_auto.store.contract import Claimed
from rewind_auto.store.file import StoreFile
from rewind_auto.store.writing import NEXT

_NO_LIMIT = 1 << 62
_ERROR = 400  # HTTP status codes from here on
_Found = tuple[reading.Served, Callable[[], object]]  # an answer, and how to note that it is used


class Claims(StoreFile):
    """The part of `rewind_auto.store.contract.Store` that replays, forks and caches need."""

    def __init__(self, path: Path, *, create: bool = True, patience: float = 0.0) -> None:
        super().__init__(path, create=create, patience=patience)
        # Up to these, this process has seen every answer used: looking for the next one stays flat however
        # often a program asks the same thing. Only a hint; the claim index decides.
        self._used_to: dict[tuple[int, int, bytes, str | None], int] = {}
        self._indirect: dict[int, bool] = {}
        self._index: dict[tuple[int, int, Match], dict[bytes, list[tuple[int, str]]]] = {}

    def _forget(self) -> None:
        super()._forget()
        self._used_to.clear()
        self._indirect.clear()
        self._index.clear()

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
        with self._connection.reading() as db:
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
        with self._connection.reading() as db:
            found = reading.served_step(db, self._must(db, source_id), source_step)
            return self._claim(db, self._must(db, step.session), step, found, match, source_id)

    def _next_unused(
        self, db: sqlite3.Connection, me: int, source: int, digest: bytes, lane: str, before: int
    ) -> _Found | None:
        """The first step of the source with this digest that nobody has used: of this lane, else of any."""
        given = {"digest": digest, "source": source, "before": before, "me": me, "lane": lane}
        for wanted, query in ((lane, _NEXT_IN_LANE), (None, _NEXT_ANYWHERE)):
            key = (me, source, digest, wanted)
            used_to = self._used_to.get(key, 0)
            row = db.execute(query, {**given, "used": used_to}).fetchone()
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
        with self._connection.reading() as db:
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
        with self._connection.writing() as db:
            db.execute(
                "UPDATE sessions SET fork_step = ? WHERE uid = ? AND fork_step IS NULL", (step, session_id)
            )

    def has(self, session_id: str, digest: bytes) -> bool:
        with self._connection.reading() as db:
            key = self._key(db, session_id)
            return key is not None and reading.has(db, key, digest, indirect=self._is_indirect(db, key))

    def unused(self, session_id: str, source_id: str) -> Iterator[tuple[Step, Request]]:
        with self._connection.reading() as db:
            source = self._must(db, source_id)
            steps = reading.unused(db, self._key(db, session_id), source, source_id)
        for step in steps:
            with self._connection.reading() as db:
                recording = reading.recording(db, source, step.step)
            if recording is not None:
                yield step, recording.request

    def first_unused(
        self, session_id: str, source_id: str, start: int, before: int, *, given_up: bool = True
    ) -> int | None:
        with self._connection.reading() as db:
            me, source = self._must(db, session_id), self._must(db, source_id)
            asked = {"me": me, "source": source, "before": before}
            while (row := db.execute(_FIRST_UNUSED, {**asked, "start": start}).fetchone()) is not None:
                step = int(row[0])
                if given_up or not reading.given_up(db, source, step):
                    return step
                start = step + 1
            return None

    def timings(self, session_id: str, upto: int | None = None) -> list[Timing]:
        with self._connection.reading() as db:
            return reading.timings(db, self._must(db, session_id), upto or _NO_LIMIT)

    def repeated(self, session_id: str, step: int, fingerprint: Fingerprint) -> bool:
        with self._connection.reading() as db:
            key = self._must(db, session_id)
            indirect = self._is_indirect(db, key)
            return reading.has(db, key, fingerprint.exact, after=step, indirect=indirect)


# The plus keeps SQLite with the index of digests: of two limits it would make a range of the whole session.
_NEXT_ANYWHERE = (
    f"{reading.SERVED} WHERE s.exact = :digest AND s.session = :source AND s.step > :used"
    f" AND +s.step < :before AND s.decision IN {reading.SERVABLE} AND NOT EXISTS (SELECT 1 FROM steps h"
    " WHERE h.session = :me AND h.source_session = :source AND h.source_step = s.step)"
    # Apart, and not as one of two steps in an IN: nearly no step is inside a function.
    " AND (s.inside IS NULL OR NOT EXISTS (SELECT 1 FROM steps h"
    " WHERE h.session = :me AND h.source_session = :source AND h.source_step = s.inside))"
    " ORDER BY s.step LIMIT 1"
)
_NEWEST = {
    match: f"SELECT (SELECT uid FROM sessions WHERE id = s.session), {reading.SERVED.removeprefix('SELECT ')}"
    f" WHERE s.{column} = ? AND s.started_at >= ? AND s.decision IN ('record', 'miss') AND s.kind = ?"
    " ORDER BY s.session DESC, s.step DESC"
    for match, column in ((Match.EXACT, "exact"), (Match.RENAMED, "canonical"))
}
_NEXT_IN_LANE = _NEXT_ANYWHERE.replace(" ORDER", " AND s.lane = :lane ORDER")
_FIRST_UNUSED = (
    "SELECT step FROM steps s WHERE session = :source AND step >= :start AND step < :before AND whole = 1"
    f" AND decision IN {reading.SERVABLE} AND NOT EXISTS (SELECT 1 FROM steps h WHERE h.session = :me"
    " AND h.source_session = :source AND h.source_step IN (s.step, s.inside)) ORDER BY step LIMIT 1"
)
_IS_USED = (
    "SELECT 1 FROM steps WHERE session = :me AND source_session = :source AND source_step IN"
    " (:step, (SELECT inside FROM steps WHERE session = :source AND step = :step))"
)
_HIT = (
    "INSERT INTO steps (session, step, whole, decision, kind, match, source_session, source_step,"
    " content_session, content_step, lane, inside, exact, canonical, started_at, trace_id, span_id, doc)"
    f" VALUES (?, {NEXT}, 1, 'hit',"
    " ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) RETURNING step"
)
