"""Strict replay: every call is answered from the source session, or nothing happens."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rewind_auto.calls import ServedCall
from rewind_auto.core import match, redact
from rewind_auto.core.errors import RewindError, RewindReplayDivergenceError, StoreBusyError
from rewind_auto.core.model import Decision, Ending, Fingerprint, Match, Recording, Request, Session, Step
from rewind_auto.core.seam import Pauses
from rewind_auto.core.serve import asks_to_wait, without_waiting
from rewind_auto.describe import Description
from rewind_auto.runtime import REPLAY_PATIENCE
from rewind_auto.store.contract import Claimed

if TYPE_CHECKING:
    from rewind_auto.runtime import Runtime


class Replay:
    """The replay half of a runtime."""

    def __init__(self, runtime: Runtime) -> None:
        self._runtime = runtime
        self._source: Session | None = None
        self._lanes: dict[str, str] = {}  # lane of this run -> lane of the recorded one
        self._by_canonical: dict[bytes, list[int]] | None = None

    def begin(self, request: Request, *, upgrade: bool) -> Pauses[ServedCall]:
        """Serve a request.

        Raises:
            RewindReplayDivergenceError: it has no recorded answer.
        """
        runtime = self._runtime
        source = yield from runtime.patiently(self._join, REPLAY_PATIENCE)
        step, description = runtime.describe(request)
        exact = runtime.canonicalizer.exact(request)
        step.fingerprint = Fingerprint(exact, b"")
        if upgrade:
            why = "a protocol upgrade cannot be replayed"
            raise (yield from self._refuse(step, description, request, source, why=why))
        description.start(step, runtime.session, runtime.tracing)
        lane = self._lanes.get(step.lane, step.lane)
        claimed = yield from runtime.patiently(
            lambda: runtime.store.claim(step, source.id, exact, Match.EXACT, lane=lane), REPLAY_PATIENCE
        )
        if claimed is None:
            step.fingerprint = runtime.canonicalizer.fingerprint(request)
            claimed = yield from runtime.patiently(lambda: self._renamed(step, source), REPLAY_PATIENCE)
        if claimed is None:
            raise (yield from self._refuse(step, description, request, source))
        return self._serve(step, description, claimed)

    def _join(self) -> Session:
        if self._source is None:
            reference = self._runtime.settings.source
            if not reference:
                raise RewindReplayDivergenceError(
                    "strict replay: REWIND_FROM does not say which session to replay"
                )
            try:
                source = self._runtime.store.resolve(reference, for_replay=True)
            except StoreBusyError:
                raise  # tried again by the caller
            except RewindError as error:
                raise RewindReplayDivergenceError(f"strict replay: {error}") from None
            self._runtime.session.parent = source.id
            self._runtime.join()
            self._source = source
        return self._source

    def _renamed(self, step: Step, source: Session) -> Claimed | None:
        """An answer whose request is equal in canonical form."""
        assert step.fingerprint is not None
        store, canonical = self._runtime.store, step.fingerprint.canonical
        if not self._runtime.settings.ignore:
            return store.claim(
                step, source.id, canonical, Match.RENAMED, lane=self._lanes.get(step.lane, step.lane)
            )
        # Recorded fingerprints know nothing of this run's ignore rules: work them out anew, once.
        if self._by_canonical is None:
            self._by_canonical = {}
            for recorded, request in store.unused(step.session, source.id):
                key = self._runtime.canonicalizer.canonical(request)
                self._by_canonical.setdefault(key, []).append(recorded.step)
        for number in self._by_canonical.get(canonical, ()):
            claimed = store.claim_step(step, source.id, number, Match.RENAMED)
            if claimed is not None:
                return claimed
        return None

    def _serve(self, step: Step, description: Description, claimed: Claimed) -> ServedCall:
        recording, speed = claimed.recording, self._runtime.settings.speed
        step.status = recording.head.status if recording.head else None
        if recording.head is not None and not speed and asks_to_wait(recording.head):
            assert step.fingerprint is not None
            source = claimed.source
            retried = self._runtime.store.repeated(source.session, source.step, step.fingerprint)
            recording.head = without_waiting(recording.head, retried=retried)
        # Tasks and threads may have other names in this run. The first answer tells which recorded lane this
        # one is, and the next ones are looked for there.
        self._lanes.setdefault(step.lane, claimed.source.lane)
        description.decided(step, claimed.source)
        return ServedCall(self._runtime, step, claimed, description, speed)

    def _refuse(
        self, step: Step, description: Description, request: Request, source: Session, *, why: str = ""
    ) -> Pauses[RewindReplayDivergenceError]:
        """Keep the step as blocked and say what happened."""
        store, fingerprint = self._runtime.store, step.fingerprint
        assert fingerprint is not None
        kept, _ = redact.recording(Recording(request, ending=Ending.CLOSED))
        step.decision = Decision.BLOCKED
        number = step.step = yield from self._runtime.patiently(
            lambda: store.reserve(step.session), REPLAY_PATIENCE
        )
        left = [(s.step, r) for s, r in store.unused(step.session, source.id)]
        recorded = left or [(s.step, r) for s, r in store.unused("", source.id)]
        near = match.nearest(kept.request, recorded)
        spent = store.has(source.id, fingerprint.exact)
        error = match.divergence(
            kept.request,
            fingerprint,
            number,
            source.name or source.id[:12],
            (*near, None) if near else None,
            spent=spent,
            exhausted=not left,
            why=why,
        )
        step.model = description.asked().model
        step.note, step.detail = str(error), {"diff": list(error.diff), "source_step": error.source_step}
        description.end(step, kept)
        self._runtime.note_divergence(str(error))
        yield from self._runtime.patiently(store.prepare(step, kept), REPLAY_PATIENCE)
        return error
