"""The one way an internal error of ours leaves a callback.

The program must go on as if we were not there, yet the error must not vanish: it is one line on stderr,
once per place it was raised in and type in all processes of a run, and under our own tests
(``REWIND_TESTING=1``) it is raised again. A lack of memory can be met anywhere: it is one line in all, and if
there is none left for that line, it is not said.
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
    """Say ``line`` the first time this ``key`` is seen in the run, in whichever of its processes."""
    try:
        quiet = os.environ.get("REWIND_LOG", "warning").lower() in ("off", "error", "critical")
        if not quiet and _is_first(key, ""):
            say(line)
    except MemoryError:
        return


def report(where: str, error: BaseException) -> None:
    """Log ``error`` once for the place it was raised in, which may pass more than one of ours, and its type.

    Raises:
        BaseException: ``error`` itself, when it is the program's, or ``REWIND_TESTING`` is set.
    """
    if os.environ.get("REWIND_TESTING"):
        raise error
    not_programs(error)
    try:
        kind = type(error).__name__
        place = "" if isinstance(error, MemoryError) else _origin(error) or where
        if _is_first(place, kind):
            say(f"internal error in {where}, the program goes on: {kind}{said(error)}")
    except MemoryError:
        return


def not_programs(error: BaseException, *, thrown: bool = True) -> None:
    """Let go what is no error of ours.

    ``thrown``: what is thrown into a thread as well; of what a codec in C raises that cannot be told apart.

    Raises:
        BaseException: ``error`` itself, or its cause, when that is the program's: see `core.alarms`.
    """
    try:
        from rewind_auto.core import alarms  # of no use to a process in which all is well

        its = alarms.programs(error, thrown=thrown)
    except Exception:  # noqa: BLE001 - out of descriptors or memory, say
        return
    if its is not None:
        raise its


def _origin(error: BaseException) -> str:
    at = error.__traceback__
    while at is not None and at.tb_next is not None:
        at = at.tb_next
    return f"{at.tb_frame.f_code.co_filename}:{at.tb_lineno}" if at is not None else ""


def said(error: BaseException) -> str:
    """What an error says, after a colon, without secrets; nothing if that cannot be had."""
    try:
        from rewind_auto.core import redact

        said = redact.text(str(error))
        return f": {said}" if said else ""
    except Exception:  # noqa: BLE001 - nothing is said rather than a secret
        return ""


def _is_first(key: str, kind: str) -> bool:
    if (key, kind) in _seen:
        return False
    _seen.add((key, kind))
    try:
        from rewind_auto.core import told  # of no use to a process in which all is well

        return told.is_first(f"{key} {kind}")
    except Exception:  # noqa: BLE001 - out of descriptors or memory, say: once in this process, then
        return True


@contextmanager
def swallow(where: str) -> Iterator[None]:
    """Run a block of ours so that no ``Exception`` of its own making reaches the program."""
    try:
        yield
    except Exception as error:  # noqa: BLE001 - this is the guard
        report(where, error)
