"""The ends of a process: one set of hooks, and one bound, for all that waits for export."""

from __future__ import annotations

import atexit
import os
import threading
import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from functools import wraps
from typing import Any, Final, Protocol

from rewind_auto.core import guard
from rewind_auto.core.forks import around_fork, in_forked_child

EXIT_SECONDS: Final = 1.2
FORK_SECONDS: Final = 0.5

# Their relatives (execl, execvp, …) are written in terms of them.
_EXEC: Final = ("execv", "execve")


class Waiting(Protocol):
    """The part of an `Outbox` that is used here; writes that wait for a store have it too."""

    def leave(self, by: float) -> Callable[[], bool]: ...
    def stay(self, by: float | None) -> None: ...
    def pause(self, by: float) -> Callable[[], None]: ...
    def resume(self) -> None: ...


class Exit:
    """Delivers what waits in every outbox before the process ends.

    No exit hook runs where a program ends by ``os._exit``, as the children of ``multiprocessing`` do, or
    makes way for another one: while there are outboxes, these functions are patched.
    """

    def __init__(self) -> None:
        self._outboxes: list[Waiting] = []
        self._functions: dict[str, tuple[Callable[..., Any], Callable[..., Any]]] = {}
        self._begin()
        around_fork(self._before_fork, self._after_fork)
        in_forked_child(self._begin)

    def _begin(self) -> None:
        self._lock = threading.Lock()
        self._by: float | None = None
        self._patient = True

    @property
    def leaving(self) -> bool:
        """Whether the process is at its end."""
        return self._by is not None

    def add(self, outbox: Waiting) -> None:
        """Deliver this outbox too."""
        if outbox in self._outboxes:
            return
        with self._lock:
            if not self._outboxes:
                self._hook()
            self._outboxes.append(outbox)
        # The main thread is past its end: exit handlers run, and one that is registered now never will.
        main = threading.main_thread()
        if threading.get_ident() == main.ident and not main.is_alive():
            self.deliver()

    def deliver(self) -> None:
        """The one wait of an exit. What later exit handlers bring shares what is left of its time."""
        if self._by is None:
            self._by = time.monotonic() + EXIT_SECONDS
        # Who interrupts or ends it once more wants no more waiting, and no traceback of an exit handler.
        with suppress(KeyboardInterrupt, SystemExit):
            _leave(self._outboxes, self._by)

    def close(self, outboxes: Iterable[Waiting]) -> None:
        """Deliver these in the time of an exit, or in what is left of it, and let go of them.

        The process may go on.
        """
        closed = list(outboxes)
        if _leave(closed, self._by or time.monotonic() + EXIT_SECONDS):
            _pause(closed)
        self.let_go(closed)

    def let_go(self, outboxes: Iterable[Waiting]) -> None:
        """Forget these; with the last one the process is let go of as well."""
        closed = list(outboxes)
        with self._lock:
            self._outboxes = [outbox for outbox in self._outboxes if outbox not in closed]
            if closed and not self._outboxes:
                self._unhook()

    def _before_fork(self) -> None:
        with guard.swallow("telemetry.fork"):
            _pause(self._outboxes)

    def _after_fork(self) -> None:
        with guard.swallow("telemetry.fork"):
            for outbox in self._outboxes:
                outbox.resume()

    def _before_exec(self) -> None:
        # A name that is looked for along PATH is tried once a directory.
        if self._patient:
            self._patient = _leave(self._outboxes, self._by or time.monotonic() + EXIT_SECONDS)

    def _hook(self) -> None:
        atexit.register(self.deliver)
        self._patch("_exit", self.deliver)
        for name in _EXEC:
            self._patch(name, self._before_exec)

    def _unhook(self) -> None:
        atexit.unregister(self.deliver)
        for name, (original, patched) in self._functions.items():
            if getattr(os, name) is patched:
                setattr(os, name, original)
        self._functions.clear()

    def _patch(self, name: str, deliver: Callable[[], None]) -> None:
        original = getattr(os, name)

        @wraps(original)
        def leave(*args: Any, **options: Any) -> None:
            try:
                deliver()
            finally:
                try:
                    original(*args, **options)
                finally:  # there was nothing to make way for
                    for outbox in self._outboxes:
                        outbox.stay(self._by)

        # Picklable by reference, as the original: programs submit os._exit to process pools.
        leave.__module__ = "os"
        self._functions[name] = original, leave
        setattr(os, name, leave)


def _leave(outboxes: Iterable[Waiting], by: float) -> bool:
    # First all are asked, then waited for: one dead collector takes no time from the others.
    waits = [outbox.leave(by) for outbox in outboxes]
    left = [wait() for wait in waits]
    return all(left)


def _pause(outboxes: Iterable[Waiting]) -> None:
    by = time.monotonic() + FORK_SECONDS
    for paused in [outbox.pause(by) for outbox in outboxes]:
        paused()


PROCESS: Final = Exit()
