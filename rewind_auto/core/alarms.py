"""Exceptions of the program's that come up in the middle of our code.

A handler of signals runs wherever the main thread is, and time limits are built on one that raises: those of
Celery, RQ and all the decorators. Others throw into a thread (``PyThreadState_SetAsyncExc``). Without us the
exception would have come up in the program's own call, and nobody would have swallowed it there.
"""

from __future__ import annotations

import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from importlib.machinery import EXTENSION_SUFFIXES
from types import CodeType, FrameType, FunctionType, MethodType, ModuleType
from typing import Any

_OWN = __name__.partition(".")[0]


@contextmanager
def held_back() -> Iterator[None]:
    """Let signals that the program handles wait until the block is through: on POSIX, without other threads.

    For imports. A package that was cut off in the middle of its own is in pieces for good: what is loaded of
    it is not loaded again, and is not among its attributes either.
    """
    if not hasattr(signal, "pthread_sigmask") or threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, ())
    try:
        # One that has come already is handled in here, after all are blocked.
        handled = [number for number in signal.valid_signals() if callable(signal.getsignal(number))]
        signal.pthread_sigmask(signal.SIG_BLOCK, handled)
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def programs(error: BaseException, *, thrown: bool = True) -> BaseException | None:
    """What of an exception that left our code is not of its own making: itself, its cause, or nothing."""
    frames = list(_frames(error))
    if _is_of_handler(frames) or (thrown and _is_thrown(type(error), frames)):
        return error
    # Python wraps what comes up in some places, as while a class is made in a module that is imported.
    return programs(error.__cause__, thrown=thrown) if error.__cause__ is not None else None


def _frames(error: BaseException) -> Iterator[FrameType]:
    at = error.__traceback__
    while at is not None:
        yield at.tb_frame
        at = at.tb_next


def _is_of_handler(frames: list[FrameType]) -> bool:
    handlers = [signal.getsignal(number) for number in signal.valid_signals()]
    codes = {_code(handler) for handler in handlers if callable(handler)}
    return any(frame.f_code in codes for frame in frames)


def _code(handler: Callable[..., Any]) -> CodeType | None:
    while isinstance(handler, partial):
        handler = handler.func
    if not isinstance(handler, (FunctionType, MethodType)):
        handler = type(handler).__call__
    return getattr(handler, "__code__", None)


def _is_thrown(kind: type, frames: list[FrameType]) -> bool:
    """Whether it came up in a line of ours, and nothing that was called there knows its class.

    What is from a module in C may be raised by C, of which there are no frames.
    """
    home = kind.__module__.partition(".")[0]
    if home == _OWN or home in sys.stdlib_module_names or not _is_python(sys.modules.get(kind.__module__)):
        return False
    roots = [str(frame.f_globals.get("__name__", "")).partition(".")[0] for frame in frames]
    return roots[-1:] == [_OWN] and home not in roots


def _is_python(module: ModuleType | None) -> bool:
    return module is not None and not str(getattr(module, "__file__", "")).endswith(tuple(EXTENSION_SUFFIXES))
