"""Lanes: which line of work a call belongs to.

``gather`` and thread pools reorder calls, so a position among all calls says nothing. A position within
one task or thread does. Lanes follow context lineage: work that a task starts gets a lane below its own.
"""

from __future__ import annotations

import contextvars
import sys
import threading
import weakref
from collections.abc import Mapping
from contextlib import suppress
from contextvars import ContextVar

from rewind_auto.core.canonical import digest

_LONGEST = 64  # characters
# No loop runs here; or another thread is half-way through the import of the library.
_NOT_THERE = (RuntimeError, AttributeError)
_NAMES_KEPT = 10_000  # a server makes tasks for ever


class _Lane:
    __slots__ = ("names", "of", "owner", "path")

    def __init__(self, path: str, owner: object, of: Lanes) -> None:
        self.of = of
        self.path = path
        self.owner = owner
        self.names: dict[str, int] = {}

    def below(self, name: str) -> str:
        """Path of a lane started here. Names that come again, as of a trio task, are counted."""
        if len(self.names) >= _NAMES_KEPT:
            self.names.clear()
        count = self.names[name] = self.names.get(name, 0) + 1
        name = name if count == 1 else f"{name}#{count}"
        path = _joined(self.path, name)
        self.of.note(path, self, name)
        return path


Token = contextvars.Token[_Lane | None]
_current: ContextVar[_Lane | None] = ContextVar("rewind_lane", default=None)


class Lanes:
    """The lanes of one session: those of another count for nothing in it."""

    def __init__(self) -> None:
        self._root = _Lane("", None, self)
        # Path of a lane -> path of the one that started it, and the name below that. Not with the lanes: a
        # task that starts the next one, for ever, would keep all of them.
        self._above: dict[str, tuple[str, str]] = {}

    def current(self) -> str:
        """Path of the lane of the running task or thread: ``""`` (main), ``"Task-3"``, ``"Thread-2/Task-5"``.

        By name, which says in what order tasks and threads were *made*: their first calls race.
        """
        owner, name = _owner()
        lane = _current.get()
        if lane is None or lane.of is not self:
            lane = _Lane(self._root.below(name) if name else "", owner, self)
            _current.set(lane)
        elif lane.owner != owner:
            lane = _Lane(lane.below(name or "main"), owner, self)
            _current.set(lane)
        return lane.path

    def note(self, path: str, above: _Lane, name: str) -> None:
        """Remember which lane started the one at ``path``."""
        if above is self._root:
            return  # none has: it only has no context of ours
        if len(self._above) >= _NAMES_KEPT:
            self._above.clear()
        self._above[path] = above.path, name

    def repeated(self, path: str, known: Mapping[str, str]) -> str:
        """The recorded lane that the one at ``path`` repeats, as far as can be told.

        One that is not ``known`` is below what the lane that started it repeats: a pool's threads, and the
        tasks of their loops, have other names each time, which are at the front of all that is started there.
        """
        names = []
        at = path
        while (found := known.get(at)) is None:
            above = self._above.get(at)  # another thread may forget them all
            if above is None:
                return path
            at, name = above
            names.append(name)
        for name in reversed(names):
            found = _joined(found, name)
        return found


def related(first: str, second: str) -> bool:
    """Whether one of two lanes started the other: what happens in one can show in the other."""
    return (
        first == second
        or not first
        or not second
        or second.startswith(f"{first}/")
        or first.startswith(f"{second}/")
    )


def restart() -> Token:
    """Have the running code start in no lane: what it calls from now on is another session's."""
    return _current.set(None)


def resume(token: Token) -> None:
    """Go back to the lane that `restart` left."""
    with suppress(ValueError):  # it was left in another context, whose end that is
        _current.reset(token)


def _joined(path: str, name: str) -> str:
    return _short(f"{path}/{name}" if path else name)


def _short(path: str) -> str:
    """A path fit to be kept: a task that starts the next one, for ever, makes one lane below another."""
    return path if len(path) <= _LONGEST else f"~{digest(path.encode()).hex()}"


def _owner() -> tuple[object, str]:
    """The running task, weakly since a lane outlives its task, else the thread; and its name, "" for main."""
    asyncio = sys.modules.get("asyncio")
    if asyncio is not None:
        try:
            task = asyncio.current_task()
        except _NOT_THERE:
            task = None
        if task is not None:
            return weakref.ref(task), task.get_name()
    trio = sys.modules.get("trio")
    if trio is not None:
        try:
            task = trio.lowlevel.current_task()
            return weakref.ref(task), task.name
        except _NOT_THERE:
            pass
    thread = threading.current_thread()
    return thread.ident, "" if thread is threading.main_thread() else thread.name
