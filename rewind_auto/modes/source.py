"""The recorded session that a run takes its answers from."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from rewind_auto.calls import ServedCall
from rewind_auto.core import forks, match, redact
from rewind_auto.core.cut import Timing
from rewind_auto.core.diff import compare
from rewind_auto.core.errors import RewindError, RewindReplayDivergenceError, StoreBusyError
from rewind_auto.core.lane import related
from rewind_auto.core.model import Fingerprint, Match, Recording, Request, Session, Step, StepRef
from rewind_auto.core.order import Place, Turnstile
from rewind_auto.core.seam import Pauses
from rewind_auto.core.serve import asks_to_wait, without_waiting
from rewind_auto.describe import Description
from rewind_auto.modes.run import REPLAY_PATIENCE
from rewind_auto.store.contract import Claimed

if TYPE_CHECKING:
    from rewind_auto.modes.run import Run


_choosing = forks.lock()


class Source:
    """Finds recorded answers, each served once a run.

    Attributes:
        left: when, in recorded seconds since the epoch, a fork leaves it; None: not before its end.

    Args:
        run: what asks.
        ref: which session, a REF.
    """

    def __init__(self, run: Run, ref: str | None) -> None:
        self._run = run
        self._ref = ref
        self.session: Session | None = None
        self.left: float | None = None
        self._drifted: list[Step] = []
        self._turnstile: Turnstile | None = None
        self._lanes: dict[str, str] = {}  # lane of this run -> lane of the recorded one
        self._by_canonical: dict[bytes, list[int]] | None = None
        outer = run.outer.source if run.outer is not None else None
        self.chosen: set[str] = outer.chosen if outer is not None else set()  # each is repeated once

    def find(self, request: Request, *, inside: bool = False) -> Pauses[Session | None]:
        """The session, looked up on the first call; it becomes the parent of the run's own.

        None: the program has a session of its own here that the source has not.

        Args:
            request: the first call.
            inside: whether it is made in a session inside this one, which has made none itself yet.

        Raises:
            RewindReplayDivergenceError: the REF names no session.
        """
        run = self._run
        if self.session is None:
            if self._ref is None and run.outer is not None and run.outer.source is not None:
                around = yield from run.outer.source.find(request, inside=True)
                if around is None:
                    return None
                yield from run.runtime.patiently(
                    lambda: self._choose(around, request, inside=inside), REPLAY_PATIENCE
                )
            else:
                self._found((yield from run.runtime.patiently(self._named, REPLAY_PATIENCE)))
        return self.session

    def _found(self, session: Session | None) -> None:
        # In this order: as soon as there is a session, other threads go on.
        self._run.session.parent = session.id if session is not None else None
        self.session = session

    def _named(self) -> Session:
        what = "strict replay" if self._run.strict else str(self._run.session.mode)
        if not self._ref:
            raise RewindReplayDivergenceError(f"{what}: REWIND_FROM does not say which session to go by")
        try:
            return self._run.store.resolve(self._ref, for_replay=True)
        except StoreBusyError:
            raise  # tried again by the caller
        except RewindError as error:
            raise RewindReplayDivergenceError(f"{what}: {error}") from None

    def _choose(self, around: Session, request: Request, *, inside: bool) -> None:
        """Find the session inside the source that this one repeats: of its name, best with the request in it.

        Or, if the request is ``inside`` of this one, in one of those inside it.

        A name that is made anew for each session (``Run.named`` is false), as of traces, tells nothing.
        """
        run = self._run
        exact = run.canonicalizer.exact(request)
        outer = run.outer.source if run.outer is not None else None
        with _choosing:
            if self.session is not None:
                return  # by another thread
            left = [session for session in run.store.inner(around.id) if session.id not in self.chosen]
            if run.named:
                left = [session for session in left if session.name == run.session.name]
            fits = [
                session
                for session in left
                if any(run.store.has(one, exact) for one in self._family(session.id, itself=not inside))
            ]
            if not fits and outer is not None and outer.left is not None:
                # What is past the cut asks something new: it must not take what another one is to be served.
                left = [one for one in left if self._begins_after(one, outer.left)]
            found = next(iter(fits or left), None)
            if found is not None:
                self.chosen.add(found.id)
            self._found(found)

    def _begins_after(self, session: Session, at: float) -> bool:
        return all(
            timing.began >= at
            for one in self._family(session.id)
            for timing in self._run.store.timings(one, 1)
        )

    def claim(
        self, step: Step, request: Request, description: Description, *, before: int | None = None
    ) -> Pauses[ServedCall | None]:
        """An answer to this request that was not served yet, of the recorded steps below ``before``, or None.

        ``step`` becomes the hit; without an answer it gets the request's fingerprint.
        """
        run = self._run
        assert self.session is not None
        source = self.session.id
        exact = run.canonicalizer.exact(request)
        step.fingerprint = Fingerprint(exact, b"")
        description.start(step, run.session, run.runtime.tracing)
        lane = run.lanes.repeated(step.lane, self._lanes)
        drifted = self.drifted_before(step)
        if drifted is not None:
            step.detail = {"downstream_of": drifted}
        claimed = yield from run.runtime.patiently(
            lambda: run.store.claim(step, source, exact, Match.EXACT, lane=lane, before=before),
            REPLAY_PATIENCE,
        )
        if claimed is None:
            step.fingerprint = run.canonicalizer.fingerprint(request)
            how = run.settings.match
            if how is not Match.EXACT:
                claimed = yield from run.runtime.patiently(
                    lambda: self._renamed(step, lane, before), REPLAY_PATIENCE
                )
            if claimed is None and how is Match.ALIGNED:
                claimed = yield from run.runtime.patiently(
                    lambda: self._aligned(step, request, lane, before), REPLAY_PATIENCE
                )
        if claimed is None:
            return None
        # Tasks and threads may have other names in this run. The first answer tells which recorded lane this
        # one is, and the next ones are looked for there.
        self._lanes.setdefault(step.lane, claimed.source.lane)
        return serve(run, step, description, claimed, self._place(claimed))

    def _place(self, claimed: Claimed) -> Place | None:
        """Where an answer stands, if the answers are to come in recorded order."""
        if self._run.settings.order != "recorded":
            return None
        with _choosing:
            return self._passage().place(StepRef(claimed.source.session, claimed.source.step))

    def _passage(self) -> Turnstile:
        """What the answers of this session pass, and those of all around it and inside it."""
        outer = self._run.outer
        if self._ref is None and outer is not None and outer.source is not None:
            return outer.source._passage()  # noqa: SLF001 - of the same class
        if self._turnstile is None:
            assert self.session is not None
            self._turnstile = Turnstile(self._timings(self.session.id))
        return self._turnstile

    def _timings(self, session_id: str) -> Iterator[tuple[StepRef, Timing]]:
        """Of what can be asked for again, in this session and those inside it."""
        for family in self._family(session_id):
            for timing in self._run.store.timings(family):
                if timing.servable and (self.left is None or timing.began < self.left):
                    yield StepRef(family, timing.step), timing

    def _family(self, session_id: str, *, itself: bool = True) -> Iterator[str]:
        """A session and those inside it, at any depth."""
        if itself:
            yield session_id
        for inner in self._run.store.inner(session_id):
            yield from self._family(inner.id)

    def leave(self) -> None:
        """Nothing more is served from here."""
        self.left = 0.0
        if self._run.settings.order == "recorded" and self.session is not None:
            with _choosing:
                self._passage().forget(set(self._family(self.session.id)))

    def _renamed(self, step: Step, lane: str, before: int | None) -> Claimed | None:
        """An answer whose request is equal in canonical form."""
        assert step.fingerprint is not None
        assert self.session is not None
        run, source, canonical = self._run, self.session.id, step.fingerprint.canonical
        if not run.settings.ignore:
            claimed = run.store.claim(step, source, canonical, Match.RENAMED, lane=lane, before=before)
            if claimed is not None or not run.settings.redact:
                return claimed
        # Recorded fingerprints may know nothing of this run's own rules: work them out anew, once.
        if self._by_canonical is None:
            self._by_canonical = {}
            for recorded, request in run.store.unused(step.session, source):
                key = run.canonicalizer.canonical(request)
                self._by_canonical.setdefault(key, []).append(recorded.step)
        for number in self._by_canonical.get(canonical, ()):
            if before is not None and number >= before:
                continue
            if run.store.first_unused(step.session, source, number, number + 1) is None:
                continue  # by now, or the function that it was inside is
            claimed = run.store.claim_step(step, source, number, Match.RENAMED)
            if claimed is not None:
                return claimed
        return None

    def _aligned(self, step: Step, request: Request, lane: str, before: int | None) -> Claimed | None:
        """The answer of the recorded call in this place, whatever it asked."""
        assert self.session is not None
        store, source = self._run.store, self.session.id
        kept, _ = redact.recording(Recording(request))
        while True:  # until nobody else is quicker
            unused = [
                one for one in store.unused(step.session, source) if before is None or one[0].step < before
            ]
            found = match.aligned(kept.request, lane, unused)
            if found is None:
                return None
            changes = compare(found[1], kept.request)
            drift = {"drift": [change.as_dict() for change in changes]}
            note = f"takes the place of recorded step {found[0].step}: {'; '.join(map(str, changes[:3]))}"
            kept_detail, kept_note = step.detail, step.note
            step.detail, step.note = {**step.detail, **drift}, note
            claimed = store.claim_step(step, source, found[0].step, Match.ALIGNED)
            if claimed is not None:
                self._drifted.append(step)
                return claimed
            step.detail, step.note = kept_detail, kept_note

    def drifted_before(self, step: Step) -> int | None:
        """The first step of this run that was served by its place alone, if this one may follow from it."""
        return next((one.step for one in self._drifted if related(one.lane, step.lane)), None)


def serve(
    run: Run, step: Step, description: Description, claimed: Claimed, place: Place | None = None
) -> ServedCall:
    """The call that gives a claimed answer to the program."""
    recording = claimed.recording
    step.status = recording.head.status or None if recording.head else None
    if recording.head is not None and not run.settings.speed and asks_to_wait(recording.head):
        assert step.fingerprint is not None
        source = claimed.source
        retried = run.store.repeated(source.session, source.step, step.fingerprint)
        recording.head = without_waiting(recording.head, retried=retried)
    description.decided(step, claimed.source, recording)
    return ServedCall(run, step, claimed, description, place)
