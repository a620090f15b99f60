"""The agent at work in one process: wires core, store, providers and telemetry together."""

from __future__ import annotations

import atexit
import os
import shlex
import sys
import time
from collections import OrderedDict, deque
from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING, TypeVar
from urllib.parse import urlsplit

from rewind_auto import inner
from rewind_auto.calls import LiveCall, ServedCall
from rewind_auto.core import forks, guard, redact
from rewind_auto.core.address import port_of
from rewind_auto.core.canonical import Canonicalizer, digest
from rewind_auto.core.decode import uncoded
from rewind_auto.core.errors import RewindReplayDivergenceError, StoreBusyError, StoreError
from rewind_auto.core.model import Ending, Head, Kind, Match, Mode, Recording, Request, Session
from rewind_auto.core.seam import Pauses
from rewind_auto.core.seam import run as run_through
from rewind_auto.describe import host_class, session_key
from rewind_auto.modes.run import PATIENCE, REPLAY_PATIENCE, Run
from rewind_auto.recorded_hosts import with_those_of
from rewind_auto.store import open_store
from rewind_auto.store.behind import Behind
from rewind_auto.store.contract import Claimed
from rewind_auto.telemetry.spans import Tracing
from rewind_auto.values import split_fork

if TYPE_CHECKING:
    from rewind_auto.driver import ProcessDriver
    from rewind_auto.predicates import LLMRequest

T = TypeVar("T")

_PAUSE = 0.001
_KEYED = 1000  # traces or conversations at once; one that comes again after that joins its session again
# What is sent by these, or to there, is about calls: no run sends the same again.
_EXPORTER = b"OTel-OTLP-Exporter-Python"
_INGEST = "/v1/traces/ingest"  # of OpenAI; openai-agents traces to there by default
_EDGE = 64 * 1024  # bytes
_EXIT = 1.0  # seconds at exit for what is still to be written, after those of `telemetry.exits`


class Runtime:
    """What the driver loads on the first call to an LLM host."""

    def __init__(self, driver: ProcessDriver) -> None:
        settings = driver.settings
        self.settings = settings
        self.driver = driver
        redact.use(settings.redact)
        self.store = open_store(settings.store)
        self.behind = Behind(self._outlast_exits)
        self.tracing = Tracing(settings.otlp, os.environ)
        self.canonicalizer = Canonicalizer(settings.ignore, host_class)
        self.patience = PATIENCE
        self.open: set[LiveCall] = set()
        self.served: set[ServedCall] = set()  # with a span, the program not yet done with them
        # Whose bodies nobody has any more; ended when there is time.
        self.dropped: deque[LiveCall | ServedCall] = deque()
        session = Session(
            id=settings.session_id,
            name=settings.session_name or _program(),
            mode=Mode(settings.mode),
            started_at=time.time(),
            command=tuple(shlex.split(settings.command)) if settings.command else tuple(sys.orig_argv),
            llm_hosts=settings.llm_hosts,
            tool_hosts=settings.tool_hosts,
            pid=settings.root_pid or os.getpid(),
        )
        self.run = Run(self, settings, session)
        self._keys = forks.lock()
        self._keyed: OrderedDict[str, Run] = OrderedDict()  # of REWIND_SESSION_BY, the least recent first
        atexit.register(self.close)
        forks.in_forked_child(self._forked)

    def _forked(self) -> None:
        for calls in (self.open, self.served, self.dropped):  # the parent finishes its own
            calls.clear()

    def begin(self, request: Request, *, upgrade: bool) -> Pauses[LiveCall | ServedCall | None]:
        """See `rewind_auto.core.seam.Driver.begin`."""
        run: Run | None = self.run
        try:
            opened = inner.current()
            if opened is not None:
                run = opened.run
            if request.url.endswith(_INGEST):
                return self._upload(request)
            kind = self._kind_of(request)
            if kind is None:
                return None
            if kind is Kind.TOOL:
                request = replace(request, tool=True)
            if len(request.body) > self.settings.max_body:
                request = replace(request, body=_stand_in(request.body), oversized=True)
            request = uncoded(request)
            self._end_dropped()
            run = self._run_of(request)
            if run is None:
                return None
            return (yield from run.begin(request, upgrade=upgrade))
        except Exception as error:
            guard.not_programs(error)
            if run is not None and run.strict:  # the one mode that must not let a call out
                what = "" if isinstance(error, StoreError) else f"internal error: {type(error).__name__}: "
                message = f"strict replay: nothing was sent: {what}{redact.text(str(error))}"
                with guard.swallow("divergence"):
                    run.diverged(run.describe(request)[0], message)
                raise RewindReplayDivergenceError(message) from error
            if isinstance(error, StoreError):
                guard.warn_once("store", f"nothing is recorded: {error}")
            else:
                guard.report("begin of a call", error)
            return None

    def _run_of(self, request: Request) -> Run | None:
        """The session that a call belongs to. None: one whose calls are left alone."""
        opened = inner.current()
        if opened is not None:
            return opened.run
        if self.run.session.mode is Mode.OFF:
            return None
        key = session_key(self.settings.session_by, request) if self.settings.session_by else ""
        if not key:
            return self.run
        with self._keys:
            run = self._keyed.get(key)
            if run is None:
                run = self._keyed[key] = self._run_by(key)
                if len(self._keyed) > _KEYED:
                    self._keyed.popitem(last=False)[1].finish()
            self._keyed.move_to_end(key)
        return run

    def _run_by(self, key: str) -> Run:
        """The session of one trace or conversation; every process of a server makes it the same one."""
        own = self.run.session
        session = Session(
            id=digest(f"{own.id} {key}".encode()).hex(),
            name=key,
            mode=own.mode,
            started_at=time.time(),
            command=own.command,
            llm_hosts=own.llm_hosts,
            tool_hosts=own.tool_hosts,
            pid=own.pid,
        )
        settings = replace(self.settings, source=None)
        return Run(self, settings, session, outer=self.run, named=self.settings.session_by != "trace")

    def check_source(self, mode: Mode, source: str) -> None:
        """Make sure that a session answers to a REF, and see the calls to the hosts that it had.

        Raises:
            UnknownReferenceError: none, or more than one.
            StoreError: the store cannot be used.
        """
        ref = split_fork(source)[0] if mode is Mode.FORK else source
        found = run_through(self.patiently(lambda: self.store.resolve(ref, for_replay=True), REPLAY_PATIENCE))
        self.settings = with_those_of(self.settings, found)
        self.driver.see(with_those_of(self.driver.settings, found))

    def open_run(self, name: str, mode: Mode, source: str | None, *, speed: float | None) -> Run:
        """The run of a session of the program's own: see `rewind_auto.session`."""
        opened = inner.current()
        around = opened.run if opened is not None else None
        outer = around or (None if self.run.session.mode is Mode.OFF else self.run)
        settings = replace(self.settings, mode=mode, source=source)
        if speed is not None:
            settings = replace(settings, speed=speed)
        session = Session(
            id=os.urandom(16).hex(),
            name=name or self.run.session.name,
            mode=mode,
            started_at=time.time(),
            command=self.run.session.command,
            llm_hosts=self.settings.llm_hosts,
            tool_hosts=self.settings.tool_hosts,
            pid=os.getpid(),
        )
        return Run(self, settings, session, outer=outer, named=bool(name))

    def _outlast_exits(self) -> None:
        from rewind_auto.telemetry.exits import PROCESS

        PROCESS.add(self.behind)

    def _end_dropped(self) -> None:
        while self.dropped:
            self.dropped.popleft().let_go()

    def _upload(self, request: Request) -> ServedCall | None:
        """What openai-agents tells OpenAI of its calls. None of them: other ids, other times in every run.

        It is neither recorded nor, in a strict replay, sent: it is taken, and forgotten.
        """
        run = self._run_of(request)
        if run is None or not run.strict:
            return None
        step, description = run.describe(request)
        taken = Recording(request, Head(204, ()))
        return ServedCall(run, step, Claimed(0, step, Match.EXACT, taken), description)

    def _kind_of(self, request: Request) -> Kind | None:
        """Whether a request is to an LLM host, to a tool of the agent's, or (None) not ours to see."""
        if request.tool:  # a function of the program's own
            return Kind.TOOL
        if _is_exporters(request):
            return None
        predicates, driver = self.driver.predicates, self.driver
        if predicates is None and not driver.settings.tool_hosts:
            return Kind.LLM
        parts = urlsplit(request.url)
        host, port = parts.hostname or "", port_of(parts)
        if driver.is_llm_host(host, port):
            return Kind.LLM
        if predicates is not None:
            from rewind_auto.predicates import LLMRequest

            seen = LLMRequest.of(request)
            if _agrees(predicates.is_llm_call, seen):
                return Kind.LLM
            if _agrees(predicates.is_tool_call, seen):
                return Kind.TOOL
        return Kind.TOOL if driver.is_tool_host(host, port) else None

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

    def lose_patience(self) -> None:
        """Wait for the store no more, until it is free again."""
        # Waiting once more at every call would hold a program up for as long as the lock is held.
        self.patience = 0.0
        guard.warn_once(
            "busy", "the store is locked by another process; recordings are written as soon as it is free"
        )

    def close(self) -> None:
        """Finish what is open: bodies nobody read to the end, writes that wait, spans."""
        atexit.unregister(self.close)
        with guard.swallow("exit"):
            for call in list(self.open):
                # A daemon thread was waiting for the answer: in a replay it waits again.
                waiting = call.exchange.response_head is None
                for _ in call.end(Ending.CANCELLED if waiting else Ending.CLOSED):
                    break
            for served in list(self.served):
                served.end()
            self.behind.flush(_EXIT)
            if "rewind_auto.telemetry.exits" in sys.modules:
                sys.modules["rewind_auto.telemetry.exits"].PROCESS.let_go([self.behind])
            self.tracing.close()
            for run in (self.run, *self._keyed.values()):
                if not run.finish():
                    break  # each would wait as long for the same lock
            self.store.close()


def _agrees(predicate: Callable[[LLMRequest], bool], request: LLMRequest) -> bool:
    try:
        return bool(predicate(request))
    except Exception as error:  # noqa: BLE001 - the user's code; documented to count as false
        guard.not_programs(error)
        guard.warn_once(
            "predicate", f"a predicate raised and counts as false: {type(error).__name__}: {error}"
        )
        return False


def _stand_in(body: bytes) -> bytes:
    """What there is of a body that is too large to be recorded: nobody has the time to look at all of it."""
    known = digest(body[:_EDGE], body[-_EDGE:], b"%d" % len(body)).hex()
    return f'"{len(body)} bytes: {known}"'.encode()


def _is_exporters(request: Request) -> bool:
    """Whether this is OpenTelemetry's own traffic, to a collector on a host that is listed."""
    return any(
        value.startswith(_EXPORTER) and name.lower() == b"user-agent" for name, value in request.headers
    )


def _program() -> str:
    """Name of the running script, for a session that was given none."""
    return os.path.splitext(os.path.basename(sys.argv[0] if sys.argv else ""))[0] or "python"
