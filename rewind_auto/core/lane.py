"""Lanes: which line of work a call belongs to.

``gather`` and thread pools reorder calls, so a position among all calls says nothing. A position within
one task or thread does. Lanes follow context lineage: work that a task starts gets a lane below its
own, numbered in the order of first calls.
"""

from __future__ import annotations

import itertools
import sys
import threading
import weakref
from contextvars import ContextVar

from rewind_auto.core.canonical import digest

_LONGEST = 64  # characters


class _Lane:
    __slots__ = ("children", "owner", "path", "roots")

    def __init__(self, path: str, owner: object) -> None:
        self.roots = _roots
        self.path = path
        self.owner = owner
        self.children = itertools.count(1)


_current: ContextVar[_Lane | None] = ContextVar("rewind_lane", default=None)
_roots = itertools.count(1)


def restart() -> None:
    """Number lanes from the start again: a session begins, and those of one before it count no more."""
    global _roots
    _roots = itertools.count(1)


def current() -> str:
    """Path of the lane of the running task or thread, such as ``""`` (main), ``"2"``, ``"2.1"``."""
    owner = _owner()
    lane = _current.get()
    if lane is None or lane.roots is not _roots:
        main = threading.current_thread() is threading.main_thread() and not isinstance(owner, weakref.ref)
        lane = _Lane("" if main else f"t{next(_roots)}", owner)
        _current.set(lane)
    elif lane.owner != owner:
        number = next(lane.children)
        lane = _Lane(_short(f"{lane.path}.{number}" if lane.path else str(number)), owner)
        _current.set(lane)
    return lane.path


def _short(path: str) -> str:
    """A path fit to be kept: a task that starts the next one, for ever, makes one lane below another."""
    return path if len(path) <= _LONGEST else f"~{digest(path.encode()).hex()}"


def _owner() -> object:
    """The running task, weakly, else the thread. Weakly because a lane outlives its task."""
    asyncio = sys.modules.get("asyncio")
    if asyncio is not None:
        try:
            task = asyncio.current_task()
        except RuntimeError:
            task = None
        if task is not None:
            return weakref.ref(task)
    trio = sys.modules.get("trio")
    if trio is not None:
        try:
            return weakref.ref(trio.lowlevel.current_task())
        except RuntimeError:
            pass
    return threading.get_ident()
