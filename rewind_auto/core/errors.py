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
        diff: what differs, as ``{"path", "old", "new"}`` dictionaries.
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
    ) -> None:
        super().__init__(message)
        self.step = step
        self.source_step = source_step
        self.fingerprint = fingerprint
        self.source_fingerprint = source_fingerprint
        self.diff = diff
