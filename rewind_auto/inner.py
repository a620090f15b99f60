"""Which of a program's own sessions, and functions that are steps, the running task or thread is in.

Loaded with the driver, before it is known that the program will ever have one: it imports next to nothing.
"""

from __future__ import annotations

import threading
from contextlib import suppress
from contextvars import ContextVar, Token
from typing import TYPE_CHECKING

from rewind_auto.core import forks
from rewind_auto.core.seam import within

if TYPE_CHECKING:
    from collections.abc import Callable

    from rewind_auto.core.model import StepRef
    from rewind_auto.modes.run import Run

    _Start = Callable[[threading.Thread], None]

_current: ContextVar[Opened] = ContextVar("rewind_session")
_opened: list[Opened] = []
_functions: set[StepRef] = set()  # those that are running
_before: list[_Start] = []  # `Thread.start` as it was, and ours in its place
_STARTED_IN, _STARTED_WITHIN = "_rewind_session", "_rewind_within"
_lock = forks.lock()


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
        _note_threads()
    opened.token = _current.set(opened)
    return opened


def leave(opened: Opened) -> None:
    """The end of what `enter` began."""
    with _lock:
        _opened.remove(opened)
        _note_threads()
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


def enter_function(step: StepRef) -> Token[StepRef | None] | None:
    """Have the calls that are made here be part of a function's, unless that is part of another one's."""
    if function() is not None:
        return None
    with _lock:
        _functions.add(step)
        _note_threads()
    return within.set(step)


def leave_function(step: StepRef, token: Token[StepRef | None] | None) -> None:
    """The end of what `enter_function` began."""
    if token is not None:
        with _lock:
            _functions.discard(step)
            _note_threads()
        with suppress(ValueError):  # closed from outside of its task, a coroutine ends in another context
            within.reset(token)


def function() -> StepRef | None:
    """The step of the outermost function that the running code is part of.

    A thread is, while the function runs: a pool that it made may be used by others later.
    """
    found = within.get()
    if found is None and _functions:
        found = getattr(threading.current_thread(), _STARTED_WITHIN, None)
        if found not in _functions:
            return None
    return found


def _forked() -> None:
    """The functions of the parent's other threads are not running here."""
    here = function()
    _functions.intersection_update({here})
    _note_threads()


forks.in_forked_child(_forked)


def _note_threads() -> None:
    """Replace ``Thread.start`` as long as there is something that a thread can be started in."""
    replaced = threading.Thread.start in _before[1:]
    if (_opened or _functions) and not replaced:
        _before[:] = _noting(threading.Thread.start)
        threading.Thread.start = _before[1]  # type: ignore[method-assign, assignment]
    elif replaced and not _opened and not _functions:
        threading.Thread.start = _before[0]  # type: ignore[method-assign, assignment]


def _noting(start: _Start) -> tuple[_Start, _Start]:
    """``Thread.start``, and one that notes where the thread began, for a thread takes no context along.

    Made anew each time: another tool's wrapper around an earlier one may be what it goes on to.
    """

    def noting(thread: threading.Thread) -> None:
        setattr(thread, _STARTED_IN, current())
        setattr(thread, _STARTED_WITHIN, function())
        start(thread)

    return start, noting


def is_looked_up() -> bool:
    """Whether a session is open whose calls may be answered from a recording."""
    return any(opened.run is not None and opened.run.looks_up for opened in tuple(_opened))
