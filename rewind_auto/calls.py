"""The two kinds of call an adapter can be given: one that goes out, one that is served.

They are the `LiveCall` and `ServedCall` of `rewind_auto.core.seam`, which says what each method is told.
"""

from __future__ import annotations

import os
import sys
import weakref
from contextlib import AbstractContextManager
from contextvars import Token
from typing import TYPE_CHECKING, Any

from rewind_auto import inner
from rewind_auto.core import guard
from rewind_auto.core.errors import RewindReplayDivergenceError
from rewind_auto.core.exchange import Exchange
from rewind_auto.core.model import Decision, Ending, Fault, Head, Recording, Step, StepRef
from rewind_auto.core.order import Place
from rewind_auto.core.playback import Playback
from rewind_auto.core.seam import Pauses, inside

if TYPE_CHECKING:
    from rewind_auto.describe import Description
    from rewind_auto.modes.run import Run
    from rewind_auto.store.contract import Claimed
    from rewind_auto.telemetry.call_span import CallSpan


def _activated(span: CallSpan | None) -> AbstractContextManager[Any] | None:
    with guard.swallow("span"):
        return span.activate() if span is not None else None
    return None


class _Below(weakref.ref["_Scope"]):
    """True until the scope is over: tasks that a transport starts keep this, and may go on for ever.

    Or gone: an exception of the program's can come up as it is left (see `core.alarms`).
    """

    __slots__ = ()

    def __bool__(self) -> bool:
        scope = self()
        return scope is not None and not scope.over


class _Scope:
    """Marks what runs below a call as part of it, and makes its span the current one."""

    __slots__ = ("__weakref__", "_span", "_token", "over")

    def __init__(self, span: CallSpan | None) -> None:
        self._span = _activated(span)
        self._token: Token[object] | None = None
        self.over = False

    def __enter__(self) -> None:
        self._token = inside.set(_Below(self))
        if self._span is not None:
            with guard.swallow("span"):
                self._span.__enter__()

    def __exit__(self, *raised: object) -> None:
        self.over = True
        if self._span is not None:
            with guard.swallow("span"):
                self._span.__exit__(None, None, None)
        if self._token is not None:
            inside.reset(self._token)


class _Around:
    """Marks calls that are made below as made by this one, and makes its span the current one."""

    __slots__ = ("_ref", "_span", "_token")

    def __init__(self, span: CallSpan | None, ref: StepRef) -> None:
        self._span = _activated(span)
        self._ref = ref
        self._token: Token[StepRef | None] | None = None

    def __enter__(self) -> None:
        self._token = inner.enter_function(self._ref)
        if self._span is not None:
            with guard.swallow("span"):
                self._span.__enter__()

    def __exit__(self, *raised: object) -> None:
        if self._span is not None:
            with guard.swallow("span"):
                self._span.__exit__(None, None, None)
        inner.leave_function(self._ref, self._token)


class LiveCall:
    """A call that goes out: teed, recorded, traced. `rewind_auto.core.seam.LiveCall`."""

    __slots__ = ("_left", "_pid", "_run", "description", "exchange", "step", "waited")

    def __init__(
        self, run: Run, exchange: Exchange, step: Step, description: Description, waited: float
    ) -> None:
        self._run = run
        self.exchange = exchange
        self.step = step
        self.description = description
        self.waited = waited  # seconds this call has been held up by the store
        self._left = False
        self._pid = os.getpid()

    @property
    def limit(self) -> int:
        return self.exchange.limit

    def scope(self) -> AbstractContextManager[None]:
        return _Scope(self.description.span)

    def around(self) -> AbstractContextManager[None]:
        return _Around(self.description.span, StepRef(self.step.session, self.step.step))

    def uploaded(self, body: bytes | None) -> None:
        try:
            self.exchange.uploaded(body)
        except Exception as error:  # noqa: BLE001 - here and below: the program must not see it
            self.lost(error)

    def head(self, head: Head) -> None:
        try:
            self.exchange.head(head)
        except Exception as error:  # noqa: BLE001
            self.lost(error)

    def decoded(self) -> None:
        try:
            self.exchange.decoded()
        except Exception as error:  # noqa: BLE001
            self.lost(error)

    def chunk_open(self) -> None:
        try:
            self.exchange.chunk_open()
        except Exception as error:  # noqa: BLE001
            self.lost(error)

    def chunk(self, data: bytes) -> None:
        try:
            self.exchange.chunk(data)
        except Exception as error:  # noqa: BLE001
            self.lost(error)

    def lost(self, error: Exception) -> None:
        guard.not_programs(error)
        with guard.swallow("a call"):
            self.step.decision, self.step.note = Decision.BYPASS, "internal error"
            self.exchange.let_go()
            raise error

    def end(self, ending: Ending, fault: Fault | None = None) -> Pauses[None]:
        try:
            # A child forked on the way has a copy of the response: what it does with that is not the call's
            # end. And when modules are taken apart nothing can be written any more.
            if self._left or self._pid != os.getpid() or sys.is_finalizing():
                return
            recording = self.exchange.finish(ending, fault)
            if recording is not None:
                yield from self._run.ended(self, recording)
        except Exception:
            self._run.runtime.open.discard(self)
            with guard.swallow("end of a call"):
                self.exchange.let_go()  # it may be memory that was missing, and the program needs some
                raise

    def dropped(self) -> None:
        with guard.swallow("a call"):
            if not self.exchange.finished:
                self._run.runtime.dropped.append(self)

    def let_go(self) -> None:
        """End it after it was dropped. A store that is busy is written to behind the call about to begin."""
        pauses = self.end(Ending.CLOSED)
        next(pauses, None)
        pauses.close()

    def leave(self, why: str) -> Pauses[None]:
        self._left = True
        try:
            self.step.decision, self.step.note = Decision.BYPASS, why
            recording = self.exchange.finish(Ending.EOF)
            if recording is not None:
                self.description.end(self.step, recording)
                yield from self._run.bypassed(self, recording)
        except Exception as error:  # noqa: BLE001
            guard.report("end of a call", error)


class ServedCall:
    """A call answered from a recording. `rewind_auto.core.seam.ServedCall`."""

    __slots__ = ("_claimed", "_description", "_ended", "_place", "_playback", "_run", "step")

    def __init__(
        self, run: Run, step: Step, claimed: Claimed, description: Description, place: Place | None = None
    ) -> None:
        self._run = run
        self._claimed = claimed
        self._description = description
        self._place = place
        self._playback: Playback | None = None
        self._ended = False
        self.step = step
        if description.span is not None:
            run.runtime.served.add(self)

    @property
    def recording(self) -> Recording:
        return self._claimed.recording

    def playback(self) -> Playback:
        if self._playback is None:
            self._playback = Playback(self.recording, self._run.settings.speed, self._place)
        return self._playback

    def dropped(self) -> None:
        if not self._ended:
            self._run.runtime.dropped.append(self)

    def let_go(self) -> None:
        """End it after it was dropped."""
        self.end()

    def end(self) -> None:
        with guard.swallow("end of a served call"):
            if not self._ended:
                self._ended = True
                self._run.runtime.served.discard(self)
                if self._place is not None:
                    self._place.passed()
                self._description.end(self.step, self.recording, link=self._claimed.source)

    def beyond(self) -> BaseException:
        step, source = self.step, self._claimed.source
        why = (
            "the program was interrupted"
            if self.recording.ending is Ending.CANCELLED
            else "the program closed it"
        )
        error = RewindReplayDivergenceError(
            f"strict replay: step {step.step} asks for more of its answer than recorded step"
            f" {source.step} has: when that was recorded, {why} here, after"
            f" {len(self.recording.cuts)} chunks",
            step=step.step,
            source_step=source.step,
            fingerprint=str(step.fingerprint) if step.fingerprint else None,
            source_fingerprint=str(step.fingerprint) if step.fingerprint else None,
        )
        with guard.swallow("divergence"):
            self._run.diverged(step, str(error))
        return error
