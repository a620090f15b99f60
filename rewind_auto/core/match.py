"""Puts a divergence into words, and picks the recorded request it is nearest to."""

from __future__ import annotations

from collections.abc import Iterable

from rewind_auto.core.diff import Change, compare, distance
from rewind_auto.core.errors import RewindReplayDivergenceError
from rewind_auto.core.model import Fingerprint, Request

_LISTED = 6


def nearest(request: Request, recorded: Iterable[tuple[int, Request]]) -> tuple[int, Request] | None:
    """The recorded step that differs least from ``request``; of equals, the earliest."""
    best: tuple[float, int, Request] | None = None
    for step, other in recorded:
        far = distance(other, request)
        if best is None or far < best[0]:
            best = (far, step, other)
    return (best[1], best[2]) if best else None


def ignore_rule(changes: tuple[Change, ...]) -> str | None:
    """The ignore rule that would make these changes not matter, or None if that cannot be said."""
    if not changes or len(changes) > _LISTED:
        return None
    if any(c.path in ("", "body", "url", "method") or '"' in c.path for c in changes):
        return None
    if any(c.path.endswith("]") and c.state != "changed" for c in changes):
        return None  # a message more or less: ignoring its place would not bring the lists in step
    return "REWIND_IGNORE='" + ",".join(c.path for c in changes) + "'"


def divergence(
    request: Request,
    fingerprint: Fingerprint,
    step: int,
    source: str,
    near: tuple[int, Request, Fingerprint | None] | None,
    *,
    spent: bool = False,
    exhausted: bool = False,
    why: str = "",
) -> RewindReplayDivergenceError:
    """The error of a strict replay for a request that has no recorded answer.

    Args:
        request: what was asked.
        fingerprint: of that request.
        step: its number in this run.
        source: name of the session being replayed.
        near: the nearest recorded step, an unused one if there is any, with its request and fingerprint.
        exhausted: whether every recorded step has been used by now.
        why: a reason other than the content of the request.
        spent: whether an equal request was recorded, but all its answers are already used.
    """
    lines = [f"strict replay: step {step} has no recorded answer in session {source}; nothing was sent"]
    lines.append(f"  asked: {request.method} {request.url}")
    changes: tuple[Change, ...] = ()
    if why:
        lines.append(f"  {why}")
    if exhausted:
        lines.append("  every recorded step is already used: this run makes more calls than the recorded one")
    elif spent:
        lines.append("  an equal request was recorded, but each of its answers is already used in this run")
    if near is not None:
        changes = compare(near[1], request)
        lines.append(
            f"  nearest: recorded step {near[0]}; "
            + ("what differs (recorded → now):" if changes else "its request is the same")
        )
        lines.extend(f"    {change}" for change in changes[:_LISTED])
        if len(changes) > _LISTED:
            lines.append(f"    … and {len(changes) - _LISTED} more")
        rule = ignore_rule(changes)
        if rule:
            lines.append(f"  if that may vary: {rule}")
    return RewindReplayDivergenceError(
        "\n".join(lines),
        step=step,
        source_step=near[0] if near else None,
        fingerprint=str(fingerprint),
        source_fingerprint=str(near[2]) if near and near[2] else None,
        diff=tuple(change.as_dict() for change in changes),
    )
