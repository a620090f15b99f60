"""A divergence in words for people, and as data for programs."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from rewind_auto.core.diff import Change, compare
from rewind_auto.core.errors import RewindReplayDivergenceError
from rewind_auto.core.model import Fingerprint, Request, Step

_LISTED = 6
_MESSAGE = re.compile(r"^(?:messages|contents|input|chat_history)\[(\d+)\]")


@dataclass(frozen=True)
class Divergence:
    """A request of a strict replay that has no recorded answer.

    Attributes:
        request: what was asked.
        fingerprint: of that request.
        step: its number in this run.
        call_site: where the program asked.
        source: name of the session being replayed.
        near: the nearest recorded step, an unused one if there is any, and its request.
        spent: whether an equal request was recorded, but all its answers are already used.
        exhausted: whether every recorded step has been used by now.
        cause: the step of this run that diverged first, if this one may follow from it.
        fork: a REF; forked from there, the run would go on live from this step.
        why: a reason other than the content of the request.
    """

    request: Request
    fingerprint: Fingerprint
    step: int
    source: str
    near: tuple[Step, Request] | None = None
    call_site: str | None = None
    spent: bool = False
    exhausted: bool = False
    cause: int | None = None
    fork: str | None = None
    why: str = ""

    @cached_property
    def changes(self) -> tuple[Change, ...]:
        """What differs from the nearest recorded request."""
        return compare(self.near[1], self.request) if self.near else ()

    def text(self) -> str:
        """For people, several lines."""
        missing = f"step {self.step} has no recorded answer in session {self.source}"
        lines = [
            f"strict replay: {missing}; nothing was sent",
            f"  asked: {self.request.method} {self.request.url}{_at(self.call_site)}",
        ]
        if self.why:
            lines.append(f"  {self.why}")
        elif self.exhausted:
            lines.append(
                "  every recorded step is already used: this run makes more calls than the recorded one"
            )
        elif self.spent:
            lines.append(
                "  an equal request was recorded, but each of its answers is already used in this run"
            )
        if self.near is not None:
            lines += self._nearest(self.near[0])
        if self.cause is not None:
            lines.append(f"  this may follow from step {self.cause}, which diverged before it")
        rule = ignore_rule(self.changes)
        if rule:
            lines.append(f"  if that may vary: {rule}")
        if self.fork:
            lines.append(f"  to go on from here with live calls: rewind-run --fork {self.fork} COMMAND")
        return "\n".join(lines)

    def _nearest(self, near: Step) -> list[str]:
        first, later = apart(self.changes)
        same = "its request is the same"
        lines = [
            f"  nearest: recorded step {near.step}{_at(near.call_site)}; "
            + ("what differs (recorded → now):" if self.changes else same)
        ]
        lines += [f"    {change}" for change in first[:_LISTED]]
        if len(first) > _LISTED:
            lines.append(f"    … and {len(first) - _LISTED} more")
        if later:
            lines.append(f"    and after that, perhaps because of it: {len(later)} in later messages")
        return lines

    def facts(self) -> dict[str, Any]:
        """For programs, as JSON values."""
        return {
            "source_step": self.near[0].step if self.near else None,
            "call_site": self.call_site,
            "source_call_site": self.near[0].call_site if self.near else None,
            "diff": [change.as_dict() for change in self.changes],
            "cause": self.cause,
            "ignore": ignore_rule(self.changes),
            "fork": self.fork,
        }

    def error(self) -> RewindReplayDivergenceError:
        """What the program gets."""
        near = self.near[0].fingerprint if self.near else None
        return RewindReplayDivergenceError(
            self.text(),
            step=self.step,
            fingerprint=str(self.fingerprint),
            source_fingerprint=str(near) if near else None,
            **{**self.facts(), "diff": tuple(change.as_dict() for change in self.changes)},
        )


def apart(changes: Sequence[Change]) -> tuple[list[Change], list[Change]]:
    """The first cause apart from likely consequences: changes in messages after the first changed."""
    at = [int(found[1]) if (found := _MESSAGE.match(change.path)) else -1 for change in changes]
    first = min((index for index in at if index >= 0), default=-1)
    causes = [change for change, index in zip(changes, at, strict=True) if index <= first]
    later = [change for change, index in zip(changes, at, strict=True) if index > first]
    return causes, later


def ignore_rule(changes: tuple[Change, ...]) -> str | None:
    """The ignore rule that would make these changes not matter, or None if that cannot be said."""
    if not changes or len(changes) > _LISTED:
        return None
    if any(c.path in ("", "body", "url", "method") or '"' in c.path for c in changes):
        return None
    if any(c.path.endswith("]") and c.state != "changed" for c in changes):
        return None  # a message more or less: ignoring its place would not bring the lists in step
    return "REWIND_IGNORE='" + ",".join(c.path for c in changes) + "'"


def _at(call_site: str | None) -> str:
    return f", at {call_site}" if call_site else ""
