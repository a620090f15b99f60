"""Picks the recorded request that one is nearest to, and the one that stands in its place."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from rewind_auto.core.address import parts_of
from rewind_auto.core.diff import distance
from rewind_auto.core.model import Request, Step

Recorded = tuple[Step, Request]

_AHEAD = 3  # recorded calls of a lane that the next one may be: the program may have left one out


def nearest(request: Request, recorded: Iterable[Recorded]) -> Recorded | None:
    """The recorded step that differs least from ``request``; of equals, the earliest."""
    return min(recorded, key=lambda one: distance(one[1], request), default=None)


def aligned(request: Request, lane: str, unused: Sequence[Recorded]) -> Recorded | None:
    """The recorded call that stands where this one does: in its lane next, and to the same address.

    ``lane`` is the recorded lane that the call's own one repeats; where nobody recorded that, it is whichever
    lane's next call is nearest. ``unused``: recorded steps whose answers are still to be had, in start order.
    """
    same = [one for one in unused if _address(one[1]) == _address(request)]
    mine = [one for one in same if one[0].lane == lane][:_AHEAD]
    if not mine:
        first: dict[str, Recorded] = {}
        for one in same:
            first.setdefault(one[0].lane, one)
        mine = list(first.values())
    return nearest(request, mine)


def _address(request: Request) -> tuple[str, str]:
    return request.method, parts_of(request.url).path
