"""Errors that users can meet."""

from __future__ import annotations

from typing import Any


class RewindError(Exception):
    """Base of the errors that end a command with one clear line and exit code 2."""


class StoreError(RewindError):
    """The store cannot be used: unreadable, foreign, newer than this release, or not there."""


class StoreBusyError(StoreError):
    """Another process holds the store right now: try again. Nothing was written."""


class UnknownReferenceError(RewindError):
    """No session, or more than one, answers to a REF."""


class RewindReplayDivergenceError(BaseException):
    """A strict replay met a call that it has no recorded answer for. Nothing was sent.

    Derives from ``BaseException`` (as pytest's outcomes do) so that ``except Exception`` in an SDK's
    retry loop neither wraps it nor tries again.

    Attributes:
        step: number of the step in this run.
        source_step: number of the recorded step it was compared with, or None.
        fingerprint: hex fingerprint of the request that was made.
        source_fingerprint: hex fingerprint of the recorded request, or None.
        diff: what differs, as ``{"path", "old", "new"}`` dictionaries, the first cause first.
        call_site: where the program asked, ``file:line``, or None.
        source_call_site: where it asked when the nearest step was recorded, or None.
        cause: the step of this run that diverged before, if this one may follow from that, or None.
        ignore: the rule that would make the difference not matter, to paste, or None.
        fork: the REF with which ``rewind-run --fork`` goes on live from here, or None.
    """

    def __init__(
        self,
        message: str,
        *,
        step: int | None = None,
        source_step: int | None = None,
        fingerprint: str | None = None,
        source_fingerprint: str | None = None,
        diff: tuple[dict[str, Any], ...] = (),
        call_site: str | None = None,
        source_call_site: str | None = None,
        cause: int | None = None,
        ignore: str | None = None,
        fork: str | None = None,
    ) -> None:
        super().__init__(message)
        self.step = step
        self.source_step = source_step
        self.fingerprint = fingerprint
        self.source_fingerprint = source_fingerprint
        self.diff = diff
        self.call_site = call_site
        self.source_call_site = source_call_site
        self.cause = cause
        self.ignore = ignore
        self.fork = fork
