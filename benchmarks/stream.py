"""Recording a stream: when its first chunk comes, and what each chunk costs."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from benchmarks import server
from benchmarks.harness import Pair, Row, Run, batches, pair
from benchmarks.scene import Agent, Caller, Chunks, Cost, Pool, question

_CHUNKS = 200
_FIRST, _EACH = 1.1, 2.5  # times, µs


def run(run: Run) -> Iterator[Row]:
    """The ratio of the times to the first chunk, and the CPU added by chunk."""
    with server.running() as base:
        for asynchronous in (False, True):
            caller = Caller("httpx2", asynchronous=asynchronous, url=f"{base}/stream?chunks=50&pause=2")
            found = _pair(run, caller, 120, 1, lambda cost: cost.p50, warm=0)
            yield Row(
                f"stream of 50 chunks x 2 ms, {caller.name}: first chunk",
                found.best,
                "x",
                _FIRST,
                note=f"of the best deciles; rounds {found.note}",
                detail=found.detail,
            )
        caller = Caller("httpx2", asynchronous=False, url=f"{base}/stream?chunks={_CHUNKS}&pause=0")
        yield _each(_pair(run, caller, 40, 10, lambda cost: cost.cpu), f"{caller.name}, loopback", "")
    for library, asynchronous in (("httpx2", False), ("httpx2", True), ("httpx", False)):
        pool = Pool(library)
        caller = Caller(library, asynchronous=asynchronous, pool=pool)
        pool.body = Chunks(0)
        call = _pair(run, caller, 40, 20, lambda cost: cost.cpu)
        pool.body = Chunks(_CHUNKS)
        found = _pair(run, caller, 60, 20, lambda cost: cost.cpu)
        marginal = (found.added - call.added) / _CHUNKS * 1e6
        yield _each(found, f"{caller.name}, mock pool", f"{marginal:.2f} µs without what any call costs; ")


def _each(found: Pair, where: str, note: str) -> Row:
    """As the other tools are quoted: all that a call of so many chunks adds, shared out among them."""
    return Row(
        f"stream of {_CHUNKS} chunks, {where}: CPU added by chunk",
        found.added / _CHUNKS * 1e6,
        "µs",
        _EACH,
        note=note + found.note,
        detail=found.detail,
    )


def _pair(
    run: Run, caller: Caller, rounds: int, block: int, of: Callable[[Cost], float], warm: int = 2
) -> Pair:
    agent = Agent(caller.module, run.scratch / "stream.db")
    questions = batches([question(number) for number in range(10_000)], block)

    def warm_up() -> None:
        caller.streams(next(questions)[:warm])

    def work() -> float:
        return of(caller.streams(next(questions)))

    def plain() -> float:
        warm_up()
        return work()

    try:
        return pair(run.rounds(rounds), plain, agent.around(warm_up, work))
    finally:
        agent.close()
