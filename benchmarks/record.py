"""Recording a call: 572 bytes asked, 2 KB of JSON answered."""

from __future__ import annotations

from collections.abc import Iterator

from benchmarks import server
from benchmarks.harness import Row, Run, batches, pair
from benchmarks.scene import URL, Agent, Caller, Pool, question

_BUDGET = 200.0  # µs
_CLIENTS = (("httpx2", False), ("httpx2", True), ("httpx", False))
_BLOCK = 50


def run(run: Run) -> Iterator[Row]:
    """CPU added by call: on a replaced connection pool, then with a server on the loopback interface."""
    for library, asynchronous in _CLIENTS:
        yield _measure(run, Caller(library, asynchronous=asynchronous, pool=Pool(library)), 80)
    with server.running() as base:
        url = URL.replace("https://api.openai.com", base)
        for library, asynchronous in _CLIENTS:
            yield _measure(run, Caller(library, asynchronous=asynchronous, url=url), 50)


def _measure(run: Run, caller: Caller, rounds: int) -> Row:
    agent = Agent(caller.module, run.scratch / f"record-{caller.name.replace(' ', '-')}.db")
    questions = batches([question(number) for number in range(10_000)], _BLOCK)

    def warm() -> None:
        caller.calls(next(questions)[:10])

    def work() -> float:
        return caller.calls(next(questions)).cpu

    def plain() -> float:
        warm()
        return work()

    found = pair(run.rounds(rounds), plain, agent.around(warm, work))
    agent.close()
    where = "loopback" if "127.0.0.1" in caller.url else "mock pool"
    return Row(
        f"record, {caller.name}, {where}: CPU added",
        found.added * 1e6,
        "µs",
        _BUDGET,
        note=found.note,
        detail=found.detail,
    )
