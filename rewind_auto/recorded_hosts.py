"""What a recording saw, for whatever replays or forks it: a strict replay holds back the same hosts."""

from __future__ import annotations

from dataclasses import replace

from rewind_auto.core.errors import RewindError
from rewind_auto.core.model import Mode, Session
from rewind_auto.settings import Settings
from rewind_auto.values import split_fork


def added(settings: Settings) -> Settings:
    """The settings with what their source saw. `rewind-run` has added them already.

    A source that is not to be had is left to the first call to say.
    """
    if settings.mode not in (Mode.REPLAY, Mode.FORK) or not settings.source or settings.command:
        return settings
    from rewind_auto.store import open_store

    try:
        store = open_store(settings.store, create=False)
        try:
            ref = split_fork(settings.source)[0] if settings.mode is Mode.FORK else settings.source
            return with_those_of(settings, store.resolve(ref, for_replay=True))
        finally:
            store.close()
    except RewindError:
        return settings


def with_those_of(settings: Settings, source: Session) -> Settings:
    """The settings with the hosts of a session, and with what tells its conversations apart."""
    return replace(
        settings,
        llm_hosts=tuple(dict.fromkeys((*settings.llm_hosts, *source.llm_hosts))),
        tool_hosts=tuple(dict.fromkeys((*settings.tool_hosts, *source.tool_hosts))),
        session_by=settings.session_by or source.session_by,
    )
