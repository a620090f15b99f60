"""Fork: the source session up to a step, live from there."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rewind_auto.calls import LiveCall, ServedCall
from rewind_auto.core import guard
from rewind_auto.core.cut import snapped
from rewind_auto.core.errors import StoreError
from rewind_auto.core.model import Decision, Request, Step
from rewind_auto.core.seam import Pauses
from rewind_auto.describe import Description
from rewind_auto.modes.run import REPLAY_PATIENCE
from rewind_auto.modes.source import Source
from rewind_auto.values import split_fork

if TYPE_CHECKING:
    from rewind_auto.modes.run import Run


class Fork:
    """Serves the source's steps before the cut, each once. The rest goes out and is recorded.

    The cut is the step that was asked for, or the first call that was not recorded.
    """

    def __init__(self, run: Run) -> None:
        self._run = run
        ref, self._cut = split_fork(run.settings.source or "")
        self._source = run.source = Source(run, ref or None)
        self._unused = 1  # every step of the source below this is used
        self._live = False  # nothing more is looked up

    def begin(self, request: Request, *, upgrade: bool) -> Pauses[LiveCall | ServedCall | None]:
        """Serve a request, or let it out.

        Raises:
            RewindReplayDivergenceError: there is no source: to send everything is not what was asked for.
        """
        run = self._run
        if not run.joined:
            yield from self._join(request)
        if upgrade:
            return None
        step, description = run.describe(request)
        if not self._live:
            served = yield from self._served(step, description, request)
            if served is not None:
                return served
        call = yield from run.send(request, step, description)
        if step.decision is Decision.MISS:
            with guard.swallow("fork"):
                self._missed(step)
        return call

    def _join(self, request: Request) -> Pauses[None]:
        run = self._run
        source = yield from self._source.find(request)
        if source is None:
            self._live = True
        elif self._cut is not None:
            asked = self._cut
            self._cut = snapped(asked, run.store.timings(source.id, asked))
            if self._cut != asked:
                guard.warn_once(
                    f"cut {run.session.id}",
                    f"fork: a call was under way when step {asked} of {source.name} began:"
                    f" the fork is at step {self._cut}",
                )
            run.session.fork_step = self._cut
        yield from run.runtime.patiently(run.join, REPLAY_PATIENCE)

    def _served(self, step: Step, description: Description, request: Request) -> Pauses[ServedCall | None]:
        run, source = self._run, self._source.session
        assert source is not None
        try:
            if self._cut is not None:
                unused = run.store.first_unused(run.session.id, source.id, self._unused, self._cut)
                if unused is None:
                    self._live = True
                    return None
                self._unused = unused
            served = yield from self._source.claim(step, request, description, before=self._cut)
        except StoreError as error:
            guard.warn_once("fork", f"fork: nothing more is served from {source.name}: {error}")
            served = None
        if served is None:
            step.decision = Decision.MISS
        return served

    def _missed(self, step: Step) -> None:
        """A call that was looked up in vain: without a cut to wait for, everything from here on is live."""
        run, source = self._run, self._source.session
        if self._cut is None:
            self._live = True
            run.runtime.behind.submit(lambda: run.store.note_fork(run.session.id, step.step))
        elif source is not None and step.fingerprint and not run.store.has(source.id, step.fingerprint.exact):
            guard.warn_once(
                f"missed {run.session.id}",
                f"fork: step {step.step} is not one of the recorded steps of {source.name} before step"
                f" {self._cut}: it went out",
            )
