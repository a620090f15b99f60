"""Strict replay: every call is answered from the source session, or nothing happens."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rewind_auto.calls import ServedCall
from rewind_auto.core import match, redact
from rewind_auto.core.divergence import Divergence
from rewind_auto.core.errors import RewindReplayDivergenceError
from rewind_auto.core.lane import related
from rewind_auto.core.model import Decision, Ending, Fingerprint, Recording, Request, Session, Step
from rewind_auto.core.seam import Pauses
from rewind_auto.describe import Description
from rewind_auto.modes.run import REPLAY_PATIENCE
from rewind_auto.modes.source import Source

if TYPE_CHECKING:
    from rewind_auto.modes.run import Run


class Replay:
    """Serves what was recorded, and refuses the rest."""

    def __init__(self, run: Run) -> None:
        self._run = run
        self._source = run.source = Source(run, run.settings.source)
        self._first: Step | None = None  # that diverged

    def begin(self, request: Request, *, upgrade: bool) -> Pauses[ServedCall]:
        """Serve a request.

        Raises:
            RewindReplayDivergenceError: it has no recorded answer.
        """
        run = self._run
        source = yield from self._source.find(request)
        if not run.joined:
            yield from run.runtime.patiently(run.join, REPLAY_PATIENCE)
        step, description = run.describe(request)
        if source is None:
            message = f"strict replay: the source has no session {run.session.name!r} here; nothing was sent"
            run.diverged(step, message)
            raise RewindReplayDivergenceError(message)
        if request.unreadable:
            message = f"strict replay: {request.unreadable}"
            run.diverged(step, message)
            raise RewindReplayDivergenceError(message)
        if upgrade:
            step.fingerprint = Fingerprint(run.canonicalizer.exact(request), b"")
            why = "a protocol upgrade cannot be replayed"
            raise (yield from self._refuse(step, description, request, source, why=why))
        served = yield from self._source.claim(step, request, description)
        if served is None:
            raise (yield from self._refuse(step, description, request, source))
        return served

    def _unkept(self, request: Request, fingerprint: Fingerprint, source: Session) -> str:
        """Why the recorded run has no answer to a request that it may well have made, if that is so."""
        if request.oversized:
            return (
                f"the request is larger than {self._run.settings.max_body} bytes: such a call is not recorded"
                " (REWIND_MAX_BODY)"
            )
        if source.decisions.get(Decision.BYPASS):
            for step in self._run.store.steps(source.id):
                same = step.fingerprint is not None and step.fingerprint.canonical == fingerprint.canonical
                if same and step.decision is Decision.BYPASS:
                    return f"recorded step {step.step} asked the same, but it was not kept: {step.note}"
        return ""

    def _refuse(
        self, step: Step, description: Description, request: Request, source: Session, *, why: str = ""
    ) -> Pauses[RewindReplayDivergenceError]:
        """Keep the step as blocked and say what happened."""
        run = self._run
        store, fingerprint = run.store, step.fingerprint
        assert fingerprint is not None
        kept, _ = redact.recording(Recording(request, ending=Ending.CLOSED))
        step.decision = Decision.BLOCKED
        number = step.step = yield from run.runtime.patiently(
            lambda: store.reserve(step.session), REPLAY_PATIENCE
        )
        left = list(store.unused(step.session, source.id))
        divergence = Divergence(
            kept.request,
            fingerprint,
            number,
            source.name or source.id[:12],
            near=match.nearest(kept.request, left or store.unused("", source.id)),
            call_site=step.call_site,
            spent=store.has(source.id, fingerprint.exact),
            exhausted=not left,
            cause=self._first.step
            if self._first is not None and related(self._first.lane, step.lane)
            else None,
            fork=source.id[:12] if self._first is None else None,
            why=why or self._unkept(request, fingerprint, source),
        )
        self._first = self._first or step
        drifted = self._source.drifted_before(step)
        error = divergence.error()
        step.model = description.asked().model
        step.note, step.detail = (
            str(error),
            divergence.facts() | ({"downstream_of": drifted} if drifted else {}),
        )
        description.end(step, kept)
        run.note_divergence(str(error))
        yield from run.runtime.patiently(store.prepare(step, kept), REPLAY_PATIENCE)
        return error
