"""Hooks around forks that do not keep their object alive: Python has no way to take one back."""

from __future__ import annotations

import os
import weakref
from collections.abc import Callable


def around_fork(before: Callable[[], None], after: Callable[[], None]) -> None:
    """Call two bound methods in the parent, before and after every fork while their object lives."""
    if hasattr(os, "register_at_fork"):
        os.register_at_fork(before=_weakly(before), after_in_parent=_weakly(after))


def in_forked_child(method: Callable[[], None]) -> None:
    """Call a bound method in every child that is forked while its object lives."""
    if hasattr(os, "register_at_fork"):
        os.register_at_fork(after_in_child=_weakly(method))


def _weakly(method: Callable[[], None]) -> Callable[[], None]:
    reference = weakref.WeakMethod(method)

    def call() -> None:
        alive = reference()
        if alive is not None:
            alive()

    return call
