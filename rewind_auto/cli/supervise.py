"""The parent of a strict replay: stays on until the command ends, because the verdict is about all of it.

To the shell and to the command it must look as if it were not there. The command shares its terminal and
process group, so what the terminal sends reaches both: only what was sent to this process alone is passed on.
"""

from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, NoReturn

from rewind_auto.boot import launch
from rewind_auto.cli import streams
from rewind_auto.core import redact
from rewind_auto.core.errors import StoreError
from rewind_auto.core.model import Mode, Session, Step
from rewind_auto.settings import Settings

if TYPE_CHECKING:
    from rewind_auto.store.contract import Verdict

DIVERGED = 86
_LISTED = 5  # unused steps named in the summary

# Not to be blocked: the kernel raises these at the instruction that is at fault.
_FAULTS = {"SIGSEGV", "SIGFPE", "SIGILL", "SIGBUS", "SIGABRT", "SIGTRAP", "SIGSYS", "SIGKILL", "SIGSTOP"}


def replay(settings: Settings, command: Sequence[str], overrides: Mapping[str, str | None]) -> int:
    """Run ``command`` as a strict replay and return its exit code, or 86 when it diverged.

    Does not return when the command was killed by a signal: this process then dies of the same.

    Raises:
        UnknownReferenceError: no session, or more than one, answers to the REF.
        StoreError: there is no store, or it cannot be used.
    """
    from rewind_auto.cli import run
    from rewind_auto.cli.source import find, hosts, patiently
    from rewind_auto.store import open_store

    redact.use(settings.redact)  # the session begins here
    source, pinned = find(settings)
    store = open_store(settings.store, create=False)
    session = Session(
        id=overrides["REWIND_SESSION_ID"] or "",
        name=overrides["REWIND_SESSION_NAME"] or "",
        mode=Mode.REPLAY,
        parent=source.id,
        started_at=time.time(),
        command=tuple(command),
        llm_hosts=tuple(dict.fromkeys((*settings.llm_hosts, *source.llm_hosts))),
        tool_hosts=tuple(dict.fromkeys((*settings.tool_hosts, *source.tool_hosts))),
        session_by=settings.session_by or source.session_by,
        pid=os.getpid(),
    )
    environ = launch.environment(os.environ, {**overrides, "REWIND_FROM": pinned, **hosts(settings, source)})

    def begin() -> None:
        patiently(lambda: store.begin(session))
        store.close()  # for as long as the command takes

    try:
        status = _supervise(command, environ, begin)
    except OSError as error:
        return run.failure(command, error)
    try:
        begin()  # as a rule it has
        verdict = patiently(lambda: store.verdict(session.id))
    except StoreError as error:
        streams.say(f"rewind-run: no verdict on this replay: {error}")
        return DIVERGED
    signalled = os.WIFSIGNALED(status)
    # A run that was cut short cannot have asked for everything.
    diverged = bool(verdict.blocked or (verdict.unused and not signalled and not settings.allow_unused))
    outcome = "diverged" if diverged else "interrupted" if signalled else "completed"
    with suppress(StoreError):  # the verdict stands
        patiently(lambda: store.finish(session.id, outcome))
    store.close()
    if verdict.drifted:
        first = verdict.drifted[0]
        said = f"{_count(len(verdict.drifted), 'answer')} taken by place alone; the first, step {first.step},"
        streams.say(f"rewind-run: {said} {first.note}")
    if diverged:
        streams.say(_summary(verdict, source, session.id, allow_unused=settings.allow_unused))
        return DIVERGED
    if signalled:
        _die_of(os.WTERMSIG(status))
    return os.waitstatus_to_exitcode(status)


def _summary(verdict: Verdict, source: Session, own: str, *, allow_unused: bool) -> str:
    lines = [f"rewind-run: the run diverged from session {source.name or source.id} ({source.id[:8]})"]
    if verdict.blocked:
        first = verdict.blocked[0]
        said = f"{_count(len(verdict.blocked), 'call')} blocked, nothing was sent"
        lines.append(f"  {said}; the first: {_named(first, own)}")
        lines += [f"    {line}" for line in (first.note or "").splitlines()]
    if verdict.unused and not allow_unused:
        lines.append(
            f"  {_count(len(verdict.unused), 'recorded step')} never asked for (--allow-unused accepts that):"
        )
        lines += [f"    {_named(step, source.id)}" for step in verdict.unused[:_LISTED]]
        if len(verdict.unused) > _LISTED:
            lines.append(f"    and {len(verdict.unused) - _LISTED} more")
    return "\n".join(lines)


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"


def _named(step: Step, own: str) -> str:
    inside = "" if step.session == own else f" of {step.session[:8]}, a session inside"
    return f"step {step.step}{inside}: {step.method} {step.url}{f' ({step.model})' if step.model else ''}"


def _supervise(command: Sequence[str], environ: Mapping[str, str], begin: Callable[[], None]) -> int:
    """Start the command, ``begin`` its session and return its wait status.

    Not the other way round: a command that cannot be executed leaves no session behind.

    Raises:
        OSError: it cannot be executed.
    """
    # An ignored SIGCHLD would have the kernel throw the exit status away.
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    watched: set[int] = {number for number in signal.valid_signals() if _name(number) not in _FAULTS}
    # Before the start, so that nothing is lost between the two; waited for, never handled.
    inherited = signal.pthread_sigmask(signal.SIG_BLOCK, watched)
    try:
        # As on every start of a command from Python: the interpreter ignores these two for itself.
        defaults = (signal.SIGPIPE, signal.SIGXFSZ)
        child = os.posix_spawnp(command[0], list(command), environ, setsigmask=inherited, setsigdef=defaults)
        with suppress(StoreError):  # told with the verdict
            begin()
        return _wait(child, watched)
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, inherited)


def _wait(child: int, watched: set[int]) -> int:
    while True:
        number, alone = _next_signal(child, watched)
        if number != signal.SIGCHLD:
            if alone and not (number == signal.SIGCONT and _continued(child)):
                os.kill(child, number)
            continue
        # Several events can have become one SIGCHLD.
        while True:
            pid, status = os.waitpid(child, os.WNOHANG | os.WUNTRACED)
            if not pid:
                break
            if not os.WIFSTOPPED(status):
                return status
            # The shell's job is this process: it has to see it stop too.
            _suspend(os.WSTOPSIG(status))


def _next_signal(child: int, watched: set[int]) -> tuple[int, bool]:
    """Wait for a signal. Returns it, and whether it was sent to this process and not to the whole group."""
    if hasattr(signal, "sigwaitinfo"):
        info = signal.sigwaitinfo(watched)
        # From the kernel (a key, a hang-up) the code is positive. What the command sent is not for itself.
        return info.si_signo, info.si_code <= 0 and info.si_pid != child
    # macOS does not tell who sent it: take those that keys send as coming from there.
    number = signal.sigwait(watched)
    keys = (signal.SIGINT, signal.SIGQUIT, signal.SIGTSTP, signal.SIGWINCH, signal.SIGHUP)
    return number, not (number in keys and os.isatty(0))


def _continued(child: int) -> bool:
    """Whether the command has had its own SIGCONT, from a shell that told the whole job to go on."""
    return hasattr(os, "waitid") and os.waitid(os.P_PID, child, os.WCONTINUED | os.WNOHANG) is not None


def _suspend(number: int) -> None:
    """Stop by this signal until continued."""
    handler = None if number == signal.SIGSTOP else signal.signal(number, signal.SIG_DFL)
    # Sent while it is blocked: with the one that the terminal has sent already it makes one stop, not two.
    os.kill(os.getpid(), number)
    mask = signal.pthread_sigmask(signal.SIG_UNBLOCK, {number})
    signal.pthread_sigmask(signal.SIG_SETMASK, mask)
    if handler is not None:
        signal.signal(number, handler)


def _die_of(number: int) -> NoReturn:
    sys.stdout.flush()
    if number not in (signal.SIGKILL, signal.SIGSTOP):
        signal.signal(number, signal.SIG_DFL)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {number})
    try:
        import resource

        resource.setrlimit(resource.RLIMIT_CORE, (0, resource.getrlimit(resource.RLIMIT_CORE)[1]))
    except (ImportError, OSError, ValueError):
        pass
    os.kill(os.getpid(), number)
    # Still here: as process 1 of a container, whom signals do not kill.
    sys.exit(128 + number)


def _name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:  # a real-time signal
        return ""
