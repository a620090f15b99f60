"""One session that this process takes part in, and its calls that go out: numbered, recorded, traced."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING, Protocol

from rewind_auto import inner
from rewind_auto.calls import LiveCall, ServedCall
from rewind_auto.core import guard, redact
from rewind_auto.core.callsite import call_site
from rewind_auto.core.errors import StoreBusyError, StoreError
from rewind_auto.core.exchange import Exchange
from rewind_auto.core.lane import Lanes
from rewind_auto.core.model import FUNCTIONS, Decision, Ending, Kind, Mode, Recording, Request, Session, Step
from rewind_auto.core.seam import Pauses, run
from rewind_auto.describe import FUNCTION, TOOL, Description, ended, route_of

if TYPE_CHECKING:
    from rewind_auto.modes.source import Source
    from rewind_auto.runtime import Runtime
    from rewind_auto.settings import Settings

PATIENCE = 0.050  # seconds that the store may hold up a live call, in all
REPLAY_PATIENCE = 10.0  # seconds; a replay cannot go on without its store, and no live call waits for it


class Strategy(Protocol):
    """What a mode does with a call."""

    def begin(self, request: Request, *, upgrade: bool) -> Pauses[LiveCall | ServedCall | None]:
        """See `rewind_auto.core.seam.Driver.begin`."""


class Run:
    """A session while it is written.

    Args:
        runtime: what all sessions of this process share.
        settings: source and speed are this session's own.
        session: not yet known to the store.
        outer: the run around this one, where a program has sessions of its own.
        named: whether the session's name tells which recorded one it repeats.
    """

    def __init__(
        self,
        runtime: Runtime,
        settings: Settings,
        session: Session,
        *,
        outer: Run | None = None,
        named: bool = True,
    ) -> None:
        self.runtime = runtime
        self.settings = settings
        session.name = redact.text(session.name)  # here, and not in the store: a replay looks for it
        self.session = session
        self.outer = outer
        self.named = named
        self.source: Source | None = None
        self.store = runtime.store
        self.canonicalizer = runtime.canonicalizer
        self.lanes = Lanes()
        self.joined = False
        self._diverged: list[str] = []
        self.strategy = _strategy(self)
        self.begin = self.strategy.begin

    @property
    def looks_up(self) -> bool:
        """Whether calls may be answered from a recording."""
        return self.session.mode is not Mode.RECORD

    @property
    def strict(self) -> bool:
        """Whether nothing may go out."""
        return self.session.mode is Mode.REPLAY

    def join(self) -> None:
        """Make this session known to the store."""
        if not self.joined:
            if self.outer is not None:
                self.outer.join()
                self.session.outer = self.outer.session.id
            self.session.llm_hosts, self.session.tool_hosts = (
                self.settings.llm_hosts,
                self.settings.tool_hosts,
            )
            self.session.session_by = self.settings.session_by if self.outer is None else ""
            self.store.begin(self.session)
            self.joined = True

    def describe(self, request: Request) -> tuple[Step, Description]:
        """A step for this request, not yet numbered, and what is known of it."""
        if request.tool:
            route = FUNCTION if request.library == FUNCTIONS else TOOL
        else:
            route = route_of(request.method, request.url, self.settings.llm_hosts)
        around = inner.function()
        step = Step(
            self.session.id,
            0,
            kind=Kind.TOOL if request.tool else Kind.LLM if route.operation else Kind.HTTP,
            lane=self.lanes.current(),
            method=request.method,
            url=request.url,
            library=request.library,
            provider=route.provider or None,
            operation=route.operation,
            started_at=time.time(),
            call_site=call_site(),
            inside=around.step if around is not None and around.session == self.session.id else None,
        )
        return step, Description(route, request)

    # --- calls that go out

    def send(self, request: Request, step: Step, description: Description) -> Pauses[LiveCall]:
        """Number a call and let it go out, with ``step.decision`` as it is."""
        if step.fingerprint is None or not step.fingerprint.canonical:
            step.fingerprint = self.canonicalizer.fingerprint(request)
        waited = yield from self._reserve(step)
        if description.span is None:
            description.start(step, self.session, self.runtime.tracing)
        else:  # it was looked up before
            description.decided(step)
        step.started_at = time.time()  # not before: recorded times count from the exchange's beginning
        exchange = Exchange(
            request,
            limit=self.settings.max_body,
            ended=lambda head, body: ended(description.route, head, body),
        )
        call = LiveCall(self, exchange, step, description, waited)
        self.runtime.open.add(call)
        return call

    def _reserve(self, step: Step) -> Pauses[float]:
        """Number the step before it is sent. With the store busy it stays unnumbered until it is written."""

        def attempt() -> int:
            self.join()
            return self.store.reserve(step.session)

        started = time.monotonic()
        try:
            step.step = yield from self.runtime.patiently(attempt, self.runtime.patience)
        except StoreBusyError:
            self.runtime.lose_patience()
        except StoreError as error:
            guard.warn_once("store", f"nothing is recorded: {error}")
            step.decision, step.note = Decision.BYPASS, "store unavailable"
        return time.monotonic() - started

    def ended(self, call: LiveCall, recording: Recording) -> Pauses[None]:
        """A live call is over: describe it, trace it, keep it."""
        self.runtime.open.discard(call)
        step, exchange = call.step, call.exchange
        head, fault = recording.head, recording.fault
        step.status = head.status or None if head else None  # a function's result has none
        step.error = f"{fault.name}: {fault.message}" if fault else None
        step.complete = recording.complete
        step.chunks = sum(1 for length, _ in recording.cuts if length)
        step.duration_ms = round(recording.end_us / 1000, 3)
        step.first_chunk_ms = round(recording.cuts[0][1] / 1000, 3) if recording.cuts else None
        if recording.ending is Ending.CANCELLED and step.error is None:
            step.error = "cancelled"
        if exchange.streamed_upload:
            step.fingerprint = self.canonicalizer.fingerprint(recording.request)
        if exchange.oversized and step.decision is not Decision.BYPASS:
            why = "in too many pieces" if exchange.crumbled else f"larger than {self.settings.max_body} bytes"
            step.decision, step.note = Decision.BYPASS, why
        call.description.finish(step, recording)
        if step.decision is Decision.BYPASS:
            yield from self.bypassed(call, recording)
        else:
            yield from self._save(step, recording, self.runtime.patience - call.waited)

    def bypassed(self, call: LiveCall, recording: Recording) -> Pauses[None]:
        """A call that is left alone is still a step, without content."""
        self.runtime.open.discard(call)
        if call.step.note != "store unavailable":
            call.step.url = recording.request.url
            secrets = redact.credentials(recording.request.headers, recording.request.url)
            redact.step(call.step, secrets)
            yield from self._save(call.step, None, self.runtime.patience - call.waited)

    def _save(self, step: Step, recording: Recording | None, patience: float) -> Pauses[None]:
        attempt = self._writing(step, recording)
        try:
            yield from self.runtime.patiently(attempt, patience)
        except GeneratorExit:  # the caller cannot wait
            self.runtime.behind.submit(attempt)
            raise
        except StoreBusyError:
            self.runtime.lose_patience()
            self.runtime.behind.submit(attempt)
        except StoreError as error:
            guard.warn_once("store", f"a recording was lost: {error}")
        else:
            self.runtime.patience = PATIENCE

    def _writing(self, step: Step, recording: Recording | None) -> Callable[[], int]:
        save = self.store.prepare(step, recording)

        def attempt() -> int:
            self.join()
            return save()

        return attempt

    # --- what diverged

    def note_divergence(self, message: str) -> None:
        """Remember a divergence for the summary at the end."""
        self._diverged.append(message)

    def diverged(self, step: Step, message: str) -> None:
        """Keep, as a step of its own, that ``step`` was not to be had, or not all that was asked of it."""
        self.note_divergence(message)
        blocked = replace(step, step=0, decision=Decision.BLOCKED, match=None, source=None, note=message)
        run(self.runtime.patiently(self._writing(blocked, None), REPLAY_PATIENCE))

    def failed(self, message: str) -> None:
        """Keep that a call could not even be looked at: nothing is known of it."""
        self.diverged(Step(self.session.id, 0, kind=Kind.HTTP), message)

    def finish(self) -> bool:
        """Note the session's end and say what diverged, unless that is another process's business.

        False: the store is held by another process.
        """
        if not self.joined or (self.settings.supervised and self.outer is None):
            return True
        if self._diverged and not self.settings.supervised:
            guard.say(
                f"{len(self._diverged)} call(s) diverged from the recording; the first:\n{self._diverged[0]}"
            )
        root = os.getpid() == self.session.pid
        status = "diverged" if self._diverged else "completed" if root else "running"
        try:
            run(self.runtime.patiently(lambda: self.store.finish(self.session.id, status), PATIENCE))
        except StoreBusyError:
            guard.warn_once("busy", "the store is locked by another process: this session's end is not noted")
            return False
        except StoreError as error:
            guard.warn_once("store", f"this session's end is not noted: {error}")
        return True


class Record:
    """Every call goes out, and is recorded."""

    def __init__(self, run: Run) -> None:
        self._run = run

    def begin(self, request: Request, *, upgrade: bool) -> Pauses[LiveCall | None]:
        """Record a call. An upgrade of the protocol is left alone."""
        if upgrade:
            return None
        return (yield from self._run.send(request, *self._run.describe(request)))


def _strategy(run: Run) -> Strategy:
    """What the mode of a session does. A program has one mode: the others are not loaded."""
    mode = run.session.mode
    if mode is Mode.REPLAY:
        from rewind_auto.modes.replay import Replay

        return Replay(run)
    if mode is Mode.FORK:
        from rewind_auto.modes.fork import Fork

        return Fork(run)
    if mode is Mode.CACHE:
        from rewind_auto.modes.cache import Cache

        return Cache(run)
    return Record(run)
