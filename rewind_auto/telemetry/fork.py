"""Hooks around ``os.fork`` that do not keep their object alive: Python has no way to take them back."""

from __future__ import annotations

import os
import weakref
from collections.abc import Callable
from typing import Any


def at_fork(**hooks: Callable[[], Any]) -> None:
    """Call bound methods around every fork, for as long as their object lives.

    Args:
        hooks: ``before``, ``after_in_parent``, ``after_in_child``, as ``os.register_at_fork`` has them.
    """
    if hasattr(os, "register_at_fork"):
        os.register_at_fork(**{when: _weakly(method) for when, method in hooks.items()})


def _weakly(method: Callable[[], Any]) -> Callable[[], None]:
    reference = weakref.WeakMethod(method)

    def call() -> None:
        alive = reference()
        if alive is not None:
            alive()

    return call
