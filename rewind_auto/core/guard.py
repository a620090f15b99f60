"""The one way an internal error of ours leaves a callback.

The program must go on as if we were not there, yet the error must not vanish: it is one line on stderr,
once per place and type, and under our own tests (``REWIND_TESTING=1``) it is raised again.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager

_seen: set[tuple[str, str]] = set()


def say(line: str) -> None:
    """Write one line to stderr. A closed or missing stderr is not our business to complain about."""
    try:
        sys.stderr.write(f"rewind-auto: {line}\n")
        sys.stderr.flush()
    except (OSError, ValueError, AttributeError):
        return


def warn_once(key: str, line: str) -> None:
    """Say ``line`` the first time this ``key`` is seen in the process."""
    if (key, "") not in _seen:
        _seen.add((key, ""))
        if os.environ.get("REWIND_LOG", "warning").lower() not in ("off", "error", "critical"):
            say(line)


def report(where: str, error: BaseException) -> None:
    """Log ``error`` once for this place and type.

    Raises:
        BaseException: ``error`` itself, when ``REWIND_TESTING`` is set.
    """
    if os.environ.get("REWIND_TESTING"):
        raise error
    key = (where, type(error).__name__)
    if key not in _seen:
        _seen.add(key)
        say(f"internal error in {where}, the program goes on: {type(error).__name__}: {error}")


@contextmanager
def swallow(where: str) -> Iterator[None]:
    """Run a block of ours so that no ``Exception`` of it reaches the program."""
    try:
        yield
    except Exception as error:  # noqa: BLE001 - this is the guard
        report(where, error)
