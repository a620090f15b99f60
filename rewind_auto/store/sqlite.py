"""The store on SQLite, the default: one file, many processes, nothing to run."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence

from rewind_auto.core.errors import StoreBusyError
from rewind_auto.core.model import Recording, Session, Step
from rewind_auto.store import reading, removing, scrubbing, session_rows, totals
from rewind_auto.store.claims import Claims
from rewind_auto.store.contract import Use, Uses, Verdict
from rewind_auto.store.scrubbing import Scrubbed
from rewind_auto.store.writing import Writer


class SqliteStore(Writer, Claims):
    """`rewind_auto.store.contract.Store` on one SQLite file."""

    def resolve(self, ref: str, *, for_replay: bool = False) -> Session:
        with self._connection.reading() as db:
            return session_rows.resolve(db, ref, for_replay=for_replay)

    def inner(self, session_id: str) -> list[Session]:
        with self._connection.reading() as db:
            return session_rows.inner(db, session_id)

    def sessions(self) -> list[Session]:
        with self._connection.reading() as db:
            return session_rows.sessions(db)

    def steps(self, session_id: str) -> list[Step]:
        with self._connection.reading() as db:
            return reading.steps(db, session_id, self._must(db, session_id))

    def recording(self, session_id: str, step: int) -> Recording | None:
        with self._connection.reading() as db:
            return reading.recording(db, self._must(db, session_id), step)

    def uses(self, session_id: str | None = None, *, since: float = 0.0) -> Uses:
        with self._connection.reading() as db:
            if session_id is not None:
                self._must(db, session_id)
            return Uses(*totals.count(db, session_id, since), self._each(session_id, since))

    def _each(self, session_id: str | None, since: float) -> Iterator[Use]:
        with self._connection.reading() as db:
            yield from totals.each(db, session_id, since)

    def size(self) -> int:
        files = (self.path, f"{self.path}-wal")  # what else is beside them comes and goes with the processes
        return sum(os.path.getsize(file) for file in files if os.path.exists(file))

    def verdict(self, session_id: str) -> Verdict:
        with self._connection.reading() as db:
            return session_rows.verdict(db, session_id, self._must(db, session_id))

    # --- removing

    def dependencies(self) -> list[tuple[str, str, bool]]:
        with self._connection.reading() as db:
            return removing.dependencies(db)

    def weights(self) -> dict[str, int]:
        with self._connection.reading() as db:
            return removing.weights(db)

    def remove(self, session_ids: Sequence[str]) -> None:
        with self._connection.writing() as db:
            removing.remove(db, [self._must(db, one) for one in session_ids])
            removing.sweep(db)
        self._keys.clear()

    def used_bytes(self) -> int:
        with self._connection.reading() as db:
            return removing.used_bytes(db)

    def scrub(self, session_id: str, *, after: int = 0, dry_run: bool = False) -> Scrubbed:
        with self._connection.reading() as db:
            found = scrubbing.look(db, self._must(db, session_id), after)
        if found.changes and not dry_run:
            with self._connection.writing() as db:
                scrubbing.apply(db, found.changes)
        return found

    def erase(self) -> bool:
        try:
            with self._connection.impatient() as db:
                return scrubbing.erase(db)
        except StoreBusyError:
            return False

    def shrink(self) -> bool:
        try:
            with self._connection.impatient() as db:
                db.execute("VACUUM")
                db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        except StoreBusyError:
            return False
        return True
