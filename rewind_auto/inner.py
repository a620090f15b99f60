"""Which of a program's own sessions the running task or thread is in.

Loaded with the driver, before it is known that the program will ever have one: it imports next to nothing.
"""

from __future__ import annotations

import threading
from contextlib import suppress
from contextvars import ContextVar, Token
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from rewind_auto.modes.run import Run

    _Start = Callable[[threading.Thread], None]

_current: ContextVar[Opened] = ContextVar("rewind_session")
_opened: list[Opened] = []
_before: list[_Start] = []  # `Thread.start` as it was, and ours in its place
_STARTED_IN = "_rewind_session"
_lock = threading.Lock()


class Opened:
    """A session of the program's own, from its ``with`` to the end of that."""

    __slots__ = ("around", "run", "token")

    token: Token[Opened]

    def __init__(self, run: Run | None, around: Opened | None) -> None:
        self.run = run  # None: calls in it are left alone
        self.around = around


def enter(run: Run | None) -> Opened:
    """Have what runs here, and the tasks and threads that it starts, be in a session."""
    opened = Opened(run, current())
    with _lock:
        _opened.append(opened)
        if threading.Thread.start not in _before[1:]:
            _before[:] = _noting(threading.Thread.start)
            threading.Thread.start = _before[1]  # type: ignore[method-assign, assignment]
    opened.token = _current.set(opened)
    return opened


def leave(opened: Opened) -> None:
    """The end of what `enter` began."""
    with _lock:
        _opened.remove(opened)
        if not _opened and threading.Thread.start in _before[1:]:
            threading.Thread.start = _before[0]  # type: ignore[method-assign, assignment]
    # Entered in one context and left in another, as fixtures of pytest-asyncio are, it is that context's end.
    with suppress(ValueError):
        _current.reset(opened.token)


def current() -> Opened | None:
    """The innermost session that the running code is in."""
    found = _current.get(None)
    if found is None and _opened:
        found = getattr(threading.current_thread(), _STARTED_IN, None)
    while found is not None and found not in _opened:  # it has ended: a thread may outlive it
        found = found.around
    return found


def _noting(start: _Start) -> tuple[_Start, _Start]:
    """``Thread.start``, and one that notes where the thread began, for a thread takes no context along.

    Made anew each time: another tool's wrapper around an earlier one may be what it goes on to.
    """

    def noting(thread: threading.Thread) -> None:
        setattr(thread, _STARTED_IN, current())
        start(thread)

    return start, noting


def is_looked_up() -> bool:
    """Whether a session is open whose calls may be answered from a recording."""
    return any(opened.run is not None and opened.run.looks_up for opened in tuple(_opened))
