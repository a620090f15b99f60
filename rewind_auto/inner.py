"""Which of a program's own sessions the running task or thread is in.

Loaded with the driver, before it is known that the program will ever have one: it imports next to nothing.
"""

from __future__ import annotations

import threading
from contextlib import suppress
from contextvars import ContextVar, Token
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rewind_auto.modes.run import Run

_current: ContextVar[Opened] = ContextVar("rewind_session")
_opened: list[Opened] = []
_lock = threading.Lock()


class Opened:
    """A session of the program's own, from its ``with`` to the end of that."""

    __slots__ = ("_threads", "around", "run", "token")

    token: Token[Opened]

    def __init__(self, run: Run | None, around: Opened | None) -> None:
        self.run = run  # None: calls in it are left alone
        self.around = around
        self._threads = set(threading.enumerate())

    def has(self, thread: threading.Thread) -> bool:
        """Whether a thread was started since."""
        return thread not in self._threads


def enter(run: Run | None) -> Opened:
    """Have what runs here, and the tasks that it starts, be in a session."""
    opened = Opened(run, current())
    with _lock:
        _opened.append(opened)
    opened.token = _current.set(opened)
    return opened


def leave(opened: Opened) -> None:
    """The end of what `enter` began."""
    with _lock:
        _opened.remove(opened)
    # Entered in one context and left in another, as fixtures of pytest-asyncio are, it is that context's end.
    with suppress(ValueError):
        _current.reset(opened.token)


def current() -> Opened | None:
    """The innermost session that the running code is in.

    Threads take no context along. One that was started while a session was open belongs to it, as long as
    there is but one, or one inside the other: of two side by side it cannot be told which it is.
    """
    found = _current.get(None)
    if found is not None or not _opened:
        return found
    with _lock:
        opened = list(_opened)
    innermost = opened[-1]
    inside, count = innermost, 1
    while inside.around is not None:
        inside, count = inside.around, count + 1
    return innermost if count == len(opened) and innermost.has(threading.current_thread()) else None


def is_looked_up() -> bool:
    """Whether a session is open whose calls may be answered from a recording."""
    return any(opened.run is not None and opened.run.looks_up for opened in tuple(_opened))
