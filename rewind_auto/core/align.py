"""Which calls of two runs are the same call: by what they ask, never by their position."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from difflib import SequenceMatcher

from rewind_auto.core.address import parts_of
from rewind_auto.core.diff import Change, compare, distance
from rewind_auto.core.model import Request

_INDEX = re.compile(r"\[\d+\]")


@dataclass(frozen=True)
class Call:
    """A call of one run.

    Attributes:
        number: of its step.
        key: equal for requests that mean the same.
        outcome: what came of it, as JSON values; equal outcomes mean the same.
        origin: the recorded call that it shows, or itself.
    """

    number: int
    key: bytes
    request: Request
    outcome: object = None
    origin: object = None


@dataclass(frozen=True)
class Pair:
    """A call of either run, or of both."""

    a: Call | None
    b: Call | None
    changes: tuple[Change, ...] = field(default=())

    @property
    def state(self) -> str:
        """``same``, ``changed``, ``only_a`` or ``only_b``."""
        if self.a is None or self.b is None:
            return "only_b" if self.a is None else "only_a"
        return "changed" if self.changes or self.a.outcome != self.b.outcome else "same"


def align(a: Sequence[Call], b: Sequence[Call]) -> list[Pair]:
    """Pairs of calls, in the order of the first run.

    Calls that show the same recorded one go together first, then equal requests, wherever they stand:
    parallel ones may in another order. What is left between these goes with the call to the same address that
    differs least.
    """
    shown = {call.origin for call in a if call.origin} & {call.origin for call in b}
    keys_of_a, keys_of_b = (
        [call.origin if call.origin in shown else call.key for call in run] for run in (a, b)
    )
    matcher = SequenceMatcher(None, keys_of_a, keys_of_b, autojunk=False)
    gaps = [code[1:] for code in matcher.get_opcodes() if code[0] != "equal"]
    with_a: dict[int, int] = {}
    for x, y, size in matcher.get_matching_blocks():
        with_a.update(zip(range(x, x + size), range(y, y + size), strict=True))
    anchors = {y: x for x, y in with_a.items()}
    by_key: dict[object, list[int]] = {}
    for y in sorted(set(range(len(b))) - anchors.keys()):
        by_key.setdefault(keys_of_b[y], []).append(y)
    for x in sorted(set(range(len(a))) - with_a.keys()):
        if by_key.get(keys_of_a[x]):
            with_a[x] = by_key[keys_of_a[x]].pop(0)
    for a_from, a_to, b_from, b_to in gaps:
        taken = set(with_a.values())
        left = [y for y in range(b_from, b_to) if y not in taken]
        for x in range(a_from, a_to):
            near = _nearest(a[x], b, left) if x not in with_a else None
            if near is not None:
                left.remove(near)
                with_a[x] = near
    return _in_order(a, b, with_a, anchors)


def _nearest(call: Call, others: Sequence[Call], left: Sequence[int]) -> int | None:
    like = [y for y in left if _address(others[y].request) == _address(call.request)]
    return min(like, key=lambda y: distance(call.request, others[y].request), default=None)


def _in_order(
    a: Sequence[Call], b: Sequence[Call], with_a: dict[int, int], anchors: dict[int, int]
) -> list[Pair]:
    """All pairs; calls of the second run alone stand before the next call that both made in its place."""
    placed: list[tuple[tuple[int, int, int], Pair]] = []
    for x, call in enumerate(a):
        other = b[with_a[x]] if x in with_a else None
        changes = compare(call.request, other.request) if other and other.key != call.key else ()
        placed.append(((x, 1, 0), Pair(call, other, changes)))
    taken, following = set(with_a.values()), len(a)
    for y in range(len(b) - 1, -1, -1):
        following = anchors.get(y, following)
        if y not in taken:
            placed.append(((following, 0, y), Pair(None, b[y])))
    return [pair for _, pair in sorted(placed, key=lambda one: one[0])]


def volatile(pairs: Sequence[Pair]) -> list[tuple[str, int]]:
    """JSON paths that differ between requests of two runs of one program, the most frequent first.

    An index that varies is ``*``. What the model said is none of them: it differs because an answer did.
    """
    found: Counter[str] = Counter()
    for pair in pairs:
        paths = {
            _INDEX.sub("[*]", change.path)
            for change in pair.changes
            if change.state == "changed"
            and "role assistant" not in change.where
            and _can_be_ignored(change.path)
        }
        found.update(paths)
    return found.most_common()


def _can_be_ignored(path: str) -> bool:
    return path not in ("", "body", "url", "method") and '"' not in path


def _address(request: Request) -> tuple[str, str]:
    return request.method, parts_of(request.url).path
