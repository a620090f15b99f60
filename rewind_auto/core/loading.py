"""Our imports while a program runs, kept apart from its forks.

A child that is forked while another thread imports a module finds that module's lock held, by a thread that
it does not have: its own first call would wait for ever. So a fork waits for the import.
"""

from __future__ import annotations

import os
import threading

_WAIT = 1.0  # seconds that a fork waits, at most

importing = threading.RLock()
_held = False


def _before_fork() -> None:
    global _held
    _held = importing.acquire(timeout=_WAIT)


def _after_fork() -> None:
    if _held:
        importing.release()


def _after_fork_in_child() -> None:
    if _held:
        importing.release()
    else:  # whoever holds it is not here
        importing._at_fork_reinit()  # type: ignore[attr-defined]  # noqa: SLF001 - there since 3.9, for this


if hasattr(os, "register_at_fork"):
    os.register_at_fork(before=_before_fork, after_in_parent=_after_fork, after_in_child=_after_fork_in_child)
