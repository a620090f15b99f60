"""A request to a host that is not ours: what the seam adds to it, on a replaced connection pool."""

from __future__ import annotations

from collections.abc import Iterator

from benchmarks.harness import Row, Run, pair
from benchmarks.scene import ELSEWHERE, Agent, Caller, Pool

_BUDGET = {"httpx": 6.0, "httpx2": 3.0}  # µs
_BLOCK = 100
_NOTHING = [b""]


def run(run: Run) -> Iterator[Row]:
    """µs of wall time added, by client."""
    for library in ("httpx2", "httpx"):
        for asynchronous in (False, True):
            pool = Pool(library)
            pool.body = b"sunny"
            caller = Caller(library, asynchronous=asynchronous, url=ELSEWHERE, pool=pool)
            agent = Agent(caller.module, run.scratch / "foreign.db")

            def warm(caller: Caller = caller) -> None:
                caller.calls(_NOTHING * 20)

            def work(caller: Caller = caller) -> float:
                return caller.calls(_NOTHING * _BLOCK).p50

            def plain(caller: Caller = caller) -> float:
                caller.calls(_NOTHING * 20)
                return caller.calls(_NOTHING * _BLOCK).p50

            # CPython stops specialising a class that was changed a thousand times: few rounds, long ones.
            found = pair(run.rounds(160), plain, agent.around(warm, work))
            agent.close()
            yield Row(
                f"foreign request, {caller.name}: added",
                found.added * 1e6,
                "µs",
                _BUDGET[library],
                note=found.note,
                detail=found.detail,
            )
