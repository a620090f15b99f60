"""What the agent does around a fork, all on one set of hooks.

Python takes its list of what to call before a fork when the fork begins: what another thread registers from
then on is called after the fork only. A store that is opened by a first call while the program forks would
so be forked in the middle of its work, and the child hang, or be locked out for ever. These hooks are there
before the first call, and while a fork is under way nothing of ours is begun that has to be told of it.
"""

from __future__ import annotations

import os
import threading
import weakref
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any

from rewind_auto.core import guard

_Hook = Callable[[], None]
_Pair = tuple[Callable[[], _Hook | None], Callable[[], _Hook | None]]
_WAIT = 1.0  # seconds that a fork waits, at most

# Held while modules are imported in the middle of a program, and while what has to be told of forks is made.
# A child that is forked while another thread imports a module finds the lock of that module held, by a thread
# that it does not have: its own first call would wait for ever.
importing = threading.RLock()

_around: list[_Pair] = []
_registered = 0  # how often `_tell` is on Python's list, from which nothing can be taken
_in_child: list[Callable[[], _Hook | None]] = []
_locks: weakref.WeakSet[Any] = weakref.WeakSet()
_mine = threading.local()  # threads can fork at the same time


def around_fork(before: _Hook, after: _Hook) -> None:
    """Call two bound methods in the parent, before and after every fork while their object lives.

    ``after`` is called only where ``before`` was.
    """
    global _registered
    _around[:] = [pair for pair in _around if pair[0]() is not None]
    _around.append((_weakly(before), _weakly(after)))
    _registered += 1
    # The latest is called first: before `logging` takes its lock, say, for which a thread may be waiting that
    # is waited for here.
    _register(before=_tell)


def in_forked_child(hook: _Hook) -> None:
    """Call a function, or a bound method while its object lives, in every child that is forked."""
    _in_child[:] = [kept for kept in _in_child if kept() is not None]
    _in_child.append(_weakly(hook))


def lock() -> AbstractContextManager[bool]:
    """A lock that nobody holds in a forked child: a thread that did is not there.

    Who has it can take it again, as a signal handler may, or a finalizer.
    """
    made = threading.RLock()
    _locks.add(made)
    return made


def _weakly(hook: _Hook) -> Callable[[], _Hook | None]:
    if hasattr(hook, "__self__"):
        return weakref.WeakMethod(hook)
    return lambda: hook


def _tell() -> None:
    """Call what was not called yet before this fork."""
    told = _told()
    if _mine.registered == _registered:  # as it is but once, where thousands of stores were opened
        return
    _mine.registered = _registered
    for pair in reversed(tuple(_around)):
        if not any(pair is one for one in told):
            told.append(pair)
            _call(pair[0]())


def _told() -> list[_Pair]:
    if not hasattr(_mine, "told"):
        _mine.told, _mine.registered = [], 0
    told: list[_Pair] = _mine.told
    return told


def _forget() -> None:
    _told().clear()
    _mine.registered = 0


def _before() -> None:
    _tell()
    _mine.waited = importing.acquire(timeout=_WAIT)
    _tell()  # what was made meanwhile


def _after() -> None:
    for _, after in reversed(_told()):
        _call(after())
    _forget()
    if _mine.waited:
        importing.release()


def _after_in_child() -> None:
    _forget()
    for held in tuple(_locks):
        held._at_fork_reinit()  # noqa: SLF001 - there since 3.9, for this
    if _mine.waited:
        importing.release()
    else:  # whoever holds it is not here
        importing._at_fork_reinit()  # type: ignore[attr-defined]  # noqa: SLF001
    for hook in tuple(_in_child):
        _call(hook())


def _call(hook: _Hook | None) -> None:
    if hook is not None:
        with guard.swallow("fork"):
            hook()


def _register(**hooks: _Hook) -> None:
    if hasattr(os, "register_at_fork"):
        os.register_at_fork(**hooks)


_register(before=_before, after_in_parent=_after, after_in_child=_after_in_child)
