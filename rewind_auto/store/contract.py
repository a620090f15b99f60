"""What every store promises. The docstrings are the specification; one test suite holds each backend to it.

Writes are attempts: they take effect whole and at once, or raise `StoreBusyError` without having waited,
and then leave nothing behind. Waiting is the caller's business, who knows whether a live call hangs on it.
Secrets are taken out by the store, on the way in.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

from rewind_auto.core.cut import Timing
from rewind_auto.core.model import Fingerprint, Match, Recording, Request, Session, Step

if TYPE_CHECKING:
    from rewind_auto.store.scrubbing import Scrubbed


@dataclass(slots=True)
class Verdict:
    """What a strict replay has to answer for."""

    blocked: list[Step] = field(default_factory=list)
    unused: list[Step] = field(default_factory=list)
    drifted: list[Step] = field(default_factory=list)  # served by their place alone, as was asked for

    @property
    def clean(self) -> bool:
        """Nothing diverged and nothing recorded was left unasked."""
        return not self.blocked and not self.unused


@dataclass(frozen=True, slots=True)
class Claimed:
    """A recorded answer, now taken for this run and for nobody else in it."""

    step: int  # number of the hit's own step
    source: Step
    match: Match
    recording: Recording


@dataclass(frozen=True, slots=True)
class Use:
    """A recording: whether it was made by the steps asked about, and how often they were served it.

    A call that was blocked is neither.
    """

    provider: str | None
    model: str | None
    usage: dict[str, int] | None
    started_at: float  # of the recorded call
    duration_ms: float | None
    live: bool
    hits: int


@dataclass(frozen=True, slots=True)
class Uses:
    """Whole steps, counted and one recording after the other. To be iterated over once."""

    sessions: int
    steps: int
    hits: int
    each: Iterator[Use]


class Store(Protocol):
    """Keeps sessions, their steps and recordings."""

    def begin(self, session: Session) -> None:
        """Make the session known; all processes of a run call this.

        While the process ``session.pid`` lives, its status is "running". When that one is gone and has not
        called `finish`, it is "interrupted" if it was among the processes that called this. Else only its
        children did, and it is "interrupted" if a step was reserved that never became whole, or "completed".
        """

    def finish(self, session_id: str, status: str) -> None:
        """Note that a session ended. The latest call wins, but what diverged stays "diverged".

        ``status`` "running": only a child of the process ``session.pid`` did.
        """

    def reserve(self, session_id: str) -> int:
        """Take the session's next step number, across all its processes. The step stays invisible."""

    def prepare(self, step: Step, recording: Recording | None) -> Callable[[], int]:
        """Do all the work of saving that needs no lock, and return the attempt.

        The attempt returns the step's number; with ``step.step == 0`` it takes the next one. Once it has
        returned, the step is durable against the death of the process and visible to every reader.
        """

    def claim(
        self,
        step: Step,
        source_id: str,
        digest: bytes,
        match: Match,
        *,
        lane: str,
        before: int | None = None,
    ) -> Claimed | None:
        """Take the first unused recorded answer with this digest and write ``step`` as its hit.

        First within ``lane``, then anywhere in the source session, among the steps below ``before`` if that
        is given. No answer is ever claimed twice for one session, by whichever process. None when there is
        none left.
        """

    def claim_step(self, step: Step, source_id: str, source_step: int, match: Match) -> Claimed | None:
        """Like `claim`, for one recorded step. None when it is used by now."""

    def reuse(self, step: Step, digest: bytes, match: Match, *, since: float) -> Claimed | None:
        """Serve the newest recorded success with this digest, of any session, and write ``step`` as its hit.

        Nothing is used up by it. A success is a whole answer with a status below 400, recorded at ``since``
        (seconds since the epoch) or later. None when there is none.
        """

    def note_fork(self, session_id: str, step: int) -> None:
        """Note at which step a session left its source. The first call counts."""

    def has(self, session_id: str, digest: bytes) -> bool:
        """Whether a session has an answer with this exact digest, used or not."""

    def unused(self, session_id: str, source_id: str) -> Iterator[tuple[Step, Request]]:
        """Recorded steps of the source that ``session_id`` has not used, in order, with their requests."""

    def first_unused(
        self, session_id: str, source_id: str, start: int, before: int, *, given_up: bool = True
    ) -> int | None:
        """The first step of the source from ``start`` on and below ``before`` that is not used, or None.

        ``given_up``: whether calls count that were cancelled before any answer came.
        """

    def timings(self, session_id: str, upto: int | None = None) -> list[Timing]:
        """When the calls of a session, up to a step, took place; for hits, the calls that they repeat."""

    def repeated(self, session_id: str, step: int, fingerprint: Fingerprint) -> bool:
        """Whether the session has a later step with an equal fingerprint: the program tried again."""

    def resolve(self, ref: str, *, for_replay: bool = False) -> Session:
        """The session that a REF names: id, unique prefix, name (its newest), ``last``, ``trace:<id>``.

        ``last`` is no session inside another. With ``for_replay``, ``last`` and names pass over sessions that
        are themselves replays.

        Raises:
            UnknownReferenceError: none, or more than one.
        """

    def inner(self, session_id: str) -> list[Session]:
        """The sessions that a program had inside this one, in the order of their beginning."""

    def sessions(self) -> list[Session]:
        """All sessions, newest first."""

    def steps(self, session_id: str) -> list[Step]:
        """The whole steps of a session, in start order. A hit shows what its recording holds."""

    def recording(self, session_id: str, step: int) -> Recording | None:
        """What a step keeps; for a hit, its recording. None for a step that keeps nothing."""

    def uses(self, session_id: str | None = None, *, since: float = 0.0) -> Uses:
        """What was recorded and served in all sessions, or in one and those inside it.

        Of the steps that began at ``since`` (seconds since the epoch) or later.
        """

    def size(self) -> int:
        """Bytes that the store takes up."""

    def verdict(self, session_id: str) -> Verdict:
        """What a replay session blocked, and which recorded steps of its source it never asked for.

        The sessions inside it, and those inside its source, count too.
        """

    def restore(self, session: Session, steps: Iterable[tuple[Step, Recording | None]]) -> bool:
        """Put in a whole session, with the numbers, times and ids that it has.

        A hit has no recording: it shows that of its source, which has to be here already.

        Returns:
            False: a session of this id is here. Nothing was changed.

        Raises:
            StoreError: a hit's source is not here. Nothing was changed.
        """

    def dependencies(self) -> list[tuple[str, str, bool]]:
        """Which session cannot do without which: ``(id, id it needs, whether it is inside that one)``.

        A replay or a fork shows what its source recorded; and a session goes with the one around it.
        """

    def weights(self) -> dict[str, int]:
        """About how many bytes each session's own content takes, by id."""

    def remove(self, session_ids: Sequence[str]) -> None:
        """Delete sessions, and the content that nobody else has.

        What depends on them is left with holes: see `dependencies`. May hold writers up while it goes on: a
        second for some ten thousand steps.
        """

    def scrub(self, session_id: str, *, after: int = 0, dry_run: bool = False) -> Scrubbed:
        """Redact the next steps of a session, those after step ``after``, by the rules of today.

        As many as writers can wait for. What they share with other sessions is redacted there too;
        fingerprints stay. With ``dry_run`` nothing is changed.
        """

    def erase(self) -> bool:
        """Leave nothing of what was redacted or removed in the file. False: somebody is using the store."""

    def used_bytes(self) -> int:
        """Bytes that hold something: what a removal makes less at once, and the file after `shrink`."""

    def shrink(self) -> bool:
        """Give free space back to the file system. False: somebody is using the store."""

    def close(self) -> None:
        """Let go of the store. It opens again by itself when used."""
