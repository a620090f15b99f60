"""Fork: the source session up to a step, live from there."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rewind_auto.calls import LiveCall, ServedCall
from rewind_auto.core import guard
from rewind_auto.core.cut import snapped
from rewind_auto.core.errors import StoreBusyError, StoreError
from rewind_auto.core.model import Decision, Request, Session, Step
from rewind_auto.core.seam import Pauses
from rewind_auto.describe import Description
from rewind_auto.modes.run import REPLAY_PATIENCE
from rewind_auto.modes.source import Source
from rewind_auto.values import split_fork

if TYPE_CHECKING:
    from rewind_auto.modes.run import Run


class Fork:
    """Serves the source's steps before the cut, each once. The rest goes out and is recorded.

    The cut is the step that was asked for, or the first call that was not recorded. A session inside has its
    own cut at the time of this one.
    """

    def __init__(self, run: Run) -> None:
        self._run = run
        ref, self._cut = split_fork(run.settings.source or "")
        self._source = run.source = Source(run, ref or None)
        around = run.outer.strategy if run.outer is not None and not ref else None
        self._around = around if isinstance(around, Fork) else None
        self._unused = 1  # every step of the source below this is used
        self._live = False  # nothing more is looked up
        self._lost = False  # nor can it be: the store is held by somebody
        self._passed = False  # whether one line of work is past the cut

    def begin(self, request: Request, *, upgrade: bool) -> Pauses[LiveCall | ServedCall | None]:
        """Serve a request, or let it out.

        Raises:
            RewindReplayDivergenceError: there is no source: to send everything is not what was asked for.
        """
        run = self._run
        yield from self.join(request)
        if upgrade:
            return None
        step, description = run.describe(request)
        if not self._live and not request.unreadable:
            served = yield from self._served(step, description, request)
            if served is not None:
                return served
        call = yield from run.send(request, step, description)
        if step.decision is Decision.MISS:
            with guard.swallow("fork"):
                self._missed(step)
        return call

    def join(self, request: Request, *, inside: bool = False) -> Pauses[None]:
        """Find the source and the cut, and make the session known, once. ``inside``: see `Source.find`."""
        run, around = self._run, self._around
        if run.joined or self._lost:
            return
        try:
            if around is not None:
                yield from around.join(request, inside=True)
                if around._lost:  # noqa: SLF001 - of the same class
                    self._lost = self._live = True
                    return
            source = yield from self._source.find(request, inside=inside)
            if source is None:
                self._live = True
            else:
                self._place_cut(source)
                run.session.fork_step = self._cut
            yield from run.runtime.patiently(run.join, REPLAY_PATIENCE)
        except StoreBusyError as error:
            self._lose(error)

    def _lose(self, error: StoreError) -> None:
        """Go on live. Every call would wait as long again for a store that somebody holds."""
        source = self._source.session
        self._lost = self._live = True
        what = source.name if source is not None else "the recording"
        guard.warn_once("fork", f"fork: nothing more is served from {what}: {error}")

    def _place_cut(self, source: Session) -> None:
        outer = self._run.outer
        left = outer.source.left if self._around is not None and outer is not None and outer.source else None
        if self._cut is None and left is None:
            return
        timings = self._run.store.timings(source.id)
        asked = self._cut or next((call.step for call in timings if call.began >= (left or 0.0)), None)
        if asked is not None:
            self._cut = snapped(asked, timings)
            if self._cut != asked:
                guard.warn_once(
                    f"cut {self._run.session.id}",
                    f"fork: a call was under way when step {asked} of {source.name} began:"
                    f" the fork is at step {self._cut}",
                )
            began = next((call.began for call in timings if call.step == self._cut), None)
            if began is None and self._cut == 1:
                began = 0.0
            left = min((at for at in (left, began) if at is not None), default=None)
        self._source.left = left

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
            if served is None and self._cut is not None and self._is_past(source, self._cut):
                self._live = True
                return None
        except StoreError as error:
            self._lose(error)
            served = None
        if served is None:
            step.decision = Decision.MISS
        return served

    def _is_past(self, source: Session, cut: int) -> bool:
        """Whether nothing is left below the cut but calls that the program may be spared."""
        found = self._run.store.first_unused(
            self._run.session.id, source.id, self._unused, cut, given_up=False
        )
        return found is None

    def _missed(self, step: Step) -> None:
        """A call that was looked up in vain: without a cut to wait for, everything from here on is live."""
        run, source = self._run, self._source.session
        if self._cut is None:
            self._live = True
            self._source.leave()
            run.runtime.behind.submit(lambda: run.store.note_fork(run.session.id, step.step))
        elif self._passed or source is None or step.fingerprint is None:
            return
        elif run.store.has(source.id, step.fingerprint.exact):
            self._passed = True  # and asks what was never recorded, while others are still before the cut
        else:
            guard.warn_once(
                f"missed {run.session.id}",
                f"fork: step {step.step} is not one of the recorded steps of {source.name} before step"
                f" {self._cut}: it went out",
            )
