"""A replayed call: its median time against the client's own on a replaced connection pool.

Each size of store is measured in an interpreter of its own, asking random recorded questions.
"""

from __future__ import annotations

import json
import random
import shutil
import sys
import tempfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from benchmarks.filled import RECORDED, filled, size_of_largest
from benchmarks.harness import Pair, Row, Run, fresh
from benchmarks.scene import ANSWER, Agent, Caller, Pool, question

_BUDGET, _FLAT = 1.3, 1.15  # times
_BLOCK = 50


def run(run: Run) -> Iterator[Row]:
    """p50 of a hit as a ratio, for every size of store; and how flat it is."""
    for kind in ("sync", "async"):
        ratios = []
        for size in (10, 1_000, size_of_largest(run)):
            found = Pair(*fresh("hit", filled(run, size), size, kind, run.rounds(80)))
            ratios.append(found.ratio)
            yield Row(
                f"hit, httpx2 {kind}, {size} recorded: p50 to the client's",
                found.ratio,
                "x",
                _BUDGET,
                note=found.note,
                detail=found.detail,
            )
        yield Row(f"hit, httpx2 {kind}: largest store to smallest", ratios[-1] / ratios[0], "x", _FLAT)


class Hits:
    """Recorded questions in random order, a session of replay after the other: each has an answer once."""

    def __init__(self, caller: Caller, store: Path, size: int) -> None:
        self._caller, self._store = caller, store
        self._questions = [question(number) for number in range(size)]
        self._left: list[bytes] = []
        self._agent: Agent | None = None

    def block(self, count: int) -> list[float]:
        """Seconds of each of ``count`` hits, those that open a session or warm up the caller left out."""
        times: list[float] = []
        while len(times) < count:
            if len(self._left) < 3:
                self._begin()
            assert self._agent is not None
            with self._agent.installed():
                self._caller.calls(self._take(min(20, len(self._left) // 4 + 1)))
                times += self._caller.calls(self._take(count - len(times))).wall
        return times

    def close(self) -> None:
        """Let go of the store, which is about to go."""
        if self._agent is not None:
            self._agent.close()

    def _take(self, count: int) -> list[bytes]:
        taken, self._left = self._left[:count], self._left[count:]
        return taken

    def _begin(self) -> None:
        self.close()
        self._agent = Agent(self._caller.module, self._store, source=RECORDED)
        self._left = random.Random(7).sample(self._questions, len(self._questions))


def measure(store: Path, size: int, kind: str, rounds: int) -> Pair:
    """Plain calls and hits in turns; the median of each block."""
    pool = Pool("httpx2")
    caller = Caller("httpx2", asynchronous=kind == "async", pool=pool)
    hits = Hits(caller, store, size)
    plain, other = [], []
    for _ in range(rounds):
        pool.body = ANSWER
        caller.calls([question(0)] * 20)
        plain.append(caller.calls([question(0)] * _BLOCK).p50)
        pool.body = None
        other.append(sorted(hits.block(_BLOCK))[_BLOCK // 2])
    hits.close()
    return Pair(plain[2:], other[2:])


def _main(store: str, size: str, kind: str, rounds: str) -> None:
    with tempfile.TemporaryDirectory() as scratch:
        copy = Path(shutil.copy(store, scratch))
        # The answers were recorded in the lane of a first task; a first thread has the same.
        with ThreadPoolExecutor(1) as thread:
            found = thread.submit(measure, copy, int(size), kind, int(rounds)).result()
    print(json.dumps([found.plain, found.other]))


if __name__ == "__main__":
    _main(*sys.argv[1:])
