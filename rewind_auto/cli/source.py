"""Finds the session that a command is to be answered from, before the command is started."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

from rewind_auto.core.errors import RewindError, StoreBusyError
from rewind_auto.core.model import Mode, Session
from rewind_auto.settings import Settings
from rewind_auto.store import open_store
from rewind_auto.values import ALL_HOSTS, split_fork

_T = TypeVar("_T")
_PATIENCE, _PAUSE = 10.0, 0.01  # seconds


def find(settings: Settings) -> tuple[Session, str]:
    """The source session, and a REF for it that stays true: "last" would soon be this run itself.

    Raises:
        UnknownReferenceError: no session, or more than one, answers to the REF.
        RewindError: it has no such step.
        StoreError: there is no store, or it cannot be used.
    """
    ref, step = settings.source or "", None
    if settings.mode is Mode.FORK:
        ref, step = split_fork(ref)
    store = open_store(settings.store, create=False)
    try:
        source = patiently(lambda: store.resolve(ref, for_replay=True))
    finally:
        store.close()
    if step is None:
        return source, source.id
    if step > source.steps + 1:
        raise RewindError(f"session {source.name} has {source.steps} steps: it cannot be forked at {step}")
    return source, f"{source.id}@{step}"


def hosts(settings: Settings, source: Session) -> dict[str, str | None]:
    """The variables that have a run see and hold back whatever the recording of its source did."""
    llm = dict.fromkeys((*settings.llm_hosts, *source.llm_hosts))
    tools = dict.fromkeys((*settings.tool_hosts, *source.tool_hosts))
    return {
        "REWIND_LLM_HOSTS": ",".join(llm) or None,
        "REWIND_TOOL_HOSTS": ALL_HOSTS if ALL_HOSTS in tools else ",".join(tools) or None,
        "REWIND_SESSION_BY": settings.session_by or source.session_by or None,
    }


def patiently(attempt: Callable[[], _T]) -> _T:
    """Try until the store is not busy. Nobody waits for this but the shell."""
    deadline = time.monotonic() + _PATIENCE
    while True:
        try:
            return attempt()
        except StoreBusyError:
            if time.monotonic() > deadline:
                raise
        time.sleep(_PAUSE)
