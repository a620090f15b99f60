"""Replayed calls a second: 200 tasks on one asynchronous client, 8 threads on a synchronous one.

A second is one of CPU time: Python runs one thread at a time, and others may want the processor too.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from benchmarks.harness import Pair, Row, Run, decile
from benchmarks.scene import ANSWER, HEADERS, URL, Agent, Caller, Pool, question

_BUDGET = 5_000.0  # hits a second, with tasks
_TASKS, _THREADS, _CALLS = 200, 8, 1_000
_WARM = [question(number) for number in range(_CALLS, _CALLS + 20)]
_QUESTIONS = [question(number) for number in range(_CALLS)]


def run(run: Run) -> Iterator[Row]:
    """Hits a second, also as a share of what the bare client does on a replaced connection pool."""
    for name, program, budget in (("200 tasks", _tasks, _BUDGET), ("8 threads", _threads, None)):
        found = _pair(run, name, program)
        rate = _CALLS / decile(found.plain) / found.ratio
        yield Row(
            f"hits a second of CPU, httpx2, {name}",
            rate,
            "/s",
            budget,
            at_least=True,
            note=f"{1 / found.ratio:.0%} of the bare client's {_CALLS / decile(found.plain):.0f}",
            detail=found.detail,
        )


def _pair(run: Run, name: str, program: Callable[[Caller], float]) -> Pair:
    """The program plain and replayed, in turns; each replay is a session of its own."""
    pool = Pool("httpx2")
    caller = Caller("httpx2", asynchronous=program is _tasks, pool=pool)
    store = run.scratch / f"{name.replace(' ', '-')}.db"
    recorded, _ = _under_agent(caller, program, store, None)
    plain, other = [], []
    for _ in range(run.rounds(24)):
        pool.body = ANSWER
        plain.append(program(caller))
        pool.body = None
        other.append(_under_agent(caller, program, store, recorded)[1])
    return Pair(plain, other)


def _under_agent(
    caller: Caller, program: Callable[[Caller], float], store: Path, source: str | None
) -> tuple[str, float]:
    agent = Agent(caller.module, store, source=source)
    with agent.installed():
        seconds = program(caller)
    agent.close()
    return agent.driver.settings.session_id, seconds


def _tasks(caller: Caller) -> float:
    post = caller.client.post

    async def ask(questions: Sequence[bytes]) -> None:
        for each in questions:
            await post(URL, content=each, headers=HEADERS)

    async def main() -> float:
        await ask(_WARM)
        start = time.process_time()
        await asyncio.gather(*(ask(_QUESTIONS[task::_TASKS]) for task in range(_TASKS)))
        return time.process_time() - start

    return caller.wait(main())


def _threads(caller: Caller) -> float:
    post = caller.client.post

    def ask(questions: Sequence[bytes]) -> None:
        for each in questions:
            post(URL, content=each, headers=HEADERS)

    ask(_WARM)
    start = time.process_time()
    with ThreadPoolExecutor(_THREADS) as pool:
        list(pool.map(ask, [_QUESTIONS[thread::_THREADS] for thread in range(_THREADS)]))
    return time.process_time() - start
