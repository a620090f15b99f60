"""The agent at work in one process: wires core, store, providers and telemetry together."""

from __future__ import annotations

import atexit
import os
import shlex
import sys
import time
from collections import deque
from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING, TypeVar
from urllib.parse import urlsplit

from rewind_auto.calls import LiveCall, ServedCall
from rewind_auto.core import guard, lane
from rewind_auto.core.address import port_of
from rewind_auto.core.callsite import call_site
from rewind_auto.core.canonical import Canonicalizer
from rewind_auto.core.errors import RewindReplayDivergenceError, StoreBusyError, StoreError
from rewind_auto.core.exchange import Exchange
from rewind_auto.core.model import Decision, Ending, Kind, Mode, Recording, Request, Session, Step
from rewind_auto.core.seam import Pauses, run
from rewind_auto.describe import Description, ended, host_class, route_of
from rewind_auto.store import open_store
from rewind_auto.store.behind import Behind
from rewind_auto.telemetry.spans import Tracing

if TYPE_CHECKING:
    from rewind_auto.driver import ProcessDriver

T = TypeVar("T")

PATIENCE = 0.050  # seconds that the store may hold up a live call, in all
REPLAY_PATIENCE = 10.0  # seconds; a replay cannot go on without its store, and no live call waits for it
_PAUSE = 0.001
_EXPORTER = b"OTel-OTLP-Exporter-Python"  # its requests are about calls, and are none themselves
_EXIT = 2.0  # seconds at exit for what is still to be written


class Runtime:
    """What the driver loads on the first call to an LLM host."""

    def __init__(self, driver: ProcessDriver) -> None:
        settings = driver.settings
        self.settings = settings
        self.mode = Mode(settings.mode)
        self.driver = driver
        self.store = open_store(settings.store)
        self.behind = Behind()
        self.tracing = Tracing(settings.otlp, os.environ)
        self.canonicalizer = Canonicalizer(settings.ignore, host_class)
        self.session = Session(
            id=settings.session_id,
            name=settings.session_name or _program(),
            mode=self.mode,
            started_at=time.time(),
            command=tuple(shlex.split(settings.command)) if settings.command else tuple(sys.orig_argv),
            pid=settings.root_pid or os.getpid(),
        )
        lane.restart()
        self._joined = False
        self._patience = PATIENCE
        self._open: set[LiveCall] = set()
        self.dropped: deque[LiveCall] = deque()  # whose bodies nobody has any more; ended when there is time
        self._diverged: list[str] = []
        if self.mode is Mode.REPLAY:
            from rewind_auto.replay import Replay

            self.replay: Replay | None = Replay(self)
        else:
            self.replay = None
        atexit.register(self.close)
        if hasattr(os, "register_at_fork"):
            os.register_at_fork(after_in_child=self._open.clear)  # the parent finishes its own calls

    def begin(self, request: Request, *, upgrade: bool) -> Pauses[LiveCall | ServedCall | None]:
        """See `rewind_auto.core.seam.Driver.begin`."""
        try:
            if not self._is_ours(request):
                return None
            self._end_dropped()
            if self.replay is not None:
                return (yield from self.replay.begin(request, upgrade=upgrade))
            return (yield from self._record(request, upgrade=upgrade))
        except Exception as error:
            if self.mode is Mode.REPLAY:  # the one mode that must not let a call out
                message = f"strict replay: internal error, nothing was sent: {type(error).__name__}: {error}"
                with guard.swallow("divergence"):
                    self.diverged(self.describe(request)[0], message)
                raise RewindReplayDivergenceError(message) from error
            guard.report("begin of a call", error)
            return None

    def _end_dropped(self) -> None:
        while self.dropped:
            pauses = self.dropped.popleft().end(Ending.CLOSED)
            next(pauses, None)
            pauses.close()  # a store that is busy is written to behind the call that is about to begin

    def _is_ours(self, request: Request) -> bool:
        if _is_exporters(request):
            return False
        predicates = self.driver.predicates
        if predicates is None:
            return True
        parts = urlsplit(request.url)
        if self.driver.is_llm_host(parts.hostname or "", port_of(parts)):
            return True
        from rewind_auto.predicates import LLMRequest

        try:
            return bool(predicates.is_llm_call(LLMRequest.of(request)))
        except Exception as error:  # noqa: BLE001 - the user's code; documented to count as false
            guard.warn_once(
                "predicate", f"a predicate raised and counts as false: {type(error).__name__}: {error}"
            )
            return False

    def describe(self, request: Request) -> tuple[Step, Description]:
        """A step for this request, not yet numbered, and what is known of it."""
        route = route_of(request.method, request.url, self.settings.llm_hosts)
        step = Step(
            self.session.id,
            0,
            kind=Kind.LLM if route.operation else Kind.HTTP,
            lane=lane.current(),
            method=request.method,
            url=request.url,
            library=request.library,
            provider=route.provider,
            operation=route.operation,
            started_at=time.time(),
            call_site=call_site(),
        )
        return step, Description(route, request)

    # --- record

    def _record(self, request: Request, *, upgrade: bool) -> Pauses[LiveCall | None]:
        if upgrade:
            return None
        step, description = self.describe(request)
        step.fingerprint = self.canonicalizer.fingerprint(request)
        waited = yield from self._reserve(step)
        description.start(step, self.session, self.tracing)
        exchange = Exchange(
            request,
            limit=self.settings.max_body,
            ended=lambda head, body: ended(description.route, head, body),
        )
        call = LiveCall(self, exchange, step, description, waited)
        self._open.add(call)
        return call

    def _reserve(self, step: Step) -> Pauses[float]:
        """Number the step before it is sent. With the store busy it stays unnumbered until it is written."""

        def attempt() -> int:
            self.join()
            return self.store.reserve(step.session)

        started = time.monotonic()
        try:
            step.step = yield from self.patiently(attempt, self._patience)
        except StoreBusyError:
            self._lose_patience()
        except StoreError as error:
            guard.warn_once("store", f"nothing is recorded: {error}")
            step.decision, step.note = Decision.BYPASS, "store unavailable"
        return time.monotonic() - started

    def ended(self, call: LiveCall, recording: Recording) -> Pauses[None]:
        """A live call is over: describe it, trace it, keep it."""
        self._open.discard(call)
        step, exchange = call.step, call.exchange
        head, fault = recording.head, recording.fault
        step.status = head.status if head else None
        step.error = f"{fault.name}: {fault.message}" if fault else None
        step.complete = recording.complete
        step.chunks = sum(1 for length, _ in recording.cuts if length)
        step.duration_ms = round(recording.end_us / 1000, 3)
        step.first_chunk_ms = round(recording.cuts[0][1] / 1000, 3) if recording.cuts else None
        if recording.ending is Ending.CANCELLED and step.error is None:
            step.error = "cancelled"
        if exchange.streamed_upload:
            step.fingerprint = self.canonicalizer.fingerprint(recording.request)
        call.description.finish(step, recording)
        if exchange.oversized:
            step.decision, step.note = Decision.BYPASS, f"larger than {self.settings.max_body} bytes"
        if step.decision is Decision.BYPASS:
            yield from self.bypassed(call, recording)
        else:
            yield from self._save(step, recording, self._patience - call.waited)

    def bypassed(self, call: LiveCall, recording: Recording) -> Pauses[None]:
        """A call that is left alone is still a step, without content."""
        self._open.discard(call)
        if call.step.note != "store unavailable":
            call.step.url = recording.request.url
            yield from self._save(call.step, None, self._patience - call.waited)

    def _save(self, step: Step, recording: Recording | None, patience: float) -> Pauses[None]:
        save = self.store.prepare(step, recording)

        def attempt() -> int:
            self.join()
            return save()

        try:
            yield from self.patiently(attempt, patience)
        except GeneratorExit:  # the caller cannot wait
            self.behind.submit(attempt)
            raise
        except StoreBusyError:
            self._lose_patience()
            self.behind.submit(attempt)
        except StoreError as error:
            guard.warn_once("store", f"a recording was lost: {error}")
        else:
            self._patience = PATIENCE

    def patiently(self, attempt: Callable[[], T], patience: float) -> Pauses[T]:
        """Try until the store is not busy, or ``patience`` seconds are over.

        Raises:
            StoreBusyError: they are over.
        """
        deadline = time.monotonic() + patience
        while True:
            try:
                return attempt()
            except StoreBusyError:
                if time.monotonic() >= deadline:
                    raise
            yield _PAUSE

    def _lose_patience(self) -> None:
        # Waiting once more at every call would hold a program up for as long as the lock is held.
        self._patience = 0.0
        guard.warn_once(
            "busy", "the store is locked by another process; recordings are written as soon as it is free"
        )

    def join(self) -> None:
        """Make this process's session known to the store."""
        if not self._joined:
            self.store.begin(self.session)
            self._joined = True

    # --- replay

    def note_divergence(self, message: str) -> None:
        """Remember a divergence for the summary at the end."""
        self._diverged.append(message)

    def diverged(self, step: Step, message: str) -> None:
        """Keep, as a step of its own, that ``step`` was not to be had, or not all that was asked of it."""
        self.note_divergence(message)
        blocked = replace(step, step=0, decision=Decision.BLOCKED, match=None, source=None, note=message)
        run(self.patiently(self.store.prepare(blocked, None), REPLAY_PATIENCE))

    def close(self) -> None:
        """Finish what is open: bodies nobody read to the end, writes that wait, spans."""
        atexit.unregister(self.close)
        with guard.swallow("exit"):
            for call in list(self._open):
                # A daemon thread was waiting for the answer: in a replay it waits again.
                waiting = call.exchange.response_head is None
                for _ in call.end(Ending.CANCELLED if waiting else Ending.CLOSED):
                    break
            self.behind.flush(_EXIT)
            self.tracing.close()
            if self._joined:
                self._finish_session()
            self.store.close()

    def _finish_session(self) -> None:
        if self._diverged and not self.settings.supervised:
            guard.say(
                f"{len(self._diverged)} call(s) diverged from the recording; the first:\n{self._diverged[0]}"
            )
        if not self.settings.supervised:
            root = os.getpid() == self.session.pid
            status = "diverged" if self._diverged else "completed" if root else "running"
            try:
                run(self.patiently(lambda: self.store.finish(self.session.id, status), PATIENCE))
            except StoreBusyError:
                guard.warn_once(
                    "busy", "the store is locked by another process: this session's end is not noted"
                )
            except StoreError as error:
                guard.warn_once("store", f"this session's end is not noted: {error}")


def _is_exporters(request: Request) -> bool:
    """Whether this is OpenTelemetry's own traffic, to a collector on a host that is listed."""
    return any(
        value.startswith(_EXPORTER) and name.lower() == b"user-agent" for name, value in request.headers
    )


def _program() -> str:
    """Name of the running script, for a session that was given none."""
    return os.path.splitext(os.path.basename(sys.argv[0] if sys.argv else ""))[0] or "python"
